"""How chunks become frames: one file, and one line here, per kind of framing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from common.config.framing import Framing
from services.port_reader.core.framers.base import Framer, ShapedFramer
from services.port_reader.core.framers.delimiter import DelimiterFramer


def delimited(framing: Framing) -> DelimiterFramer:
    """A new framer for a line whose frames a delimiter ends."""
    return DelimiterFramer(framing.delimiter, framing.max_frame_bytes)


def shaped(framing: Framing) -> ShapedFramer:
    """A new framer for a line whose frames have shapes."""
    # Here: lines with a delimiter never need them, and a port reader keeps what it has loaded.
    from services.port_reader.core.framers.shape import ShapeFramer
    from services.port_reader.core.framers.silence import SilenceFramer

    limits = (framing.max_frame_bytes, framing.skip, framing.mask)
    first = framing.shapes[0]
    return ShapeFramer(framing.shapes, *limits) if first.silence_ms is None else SilenceFramer(first, *limits)


FRAMERS: Final[Mapping[str, Callable[[Framing], Framer]]] = {
    "delimiter": delimited,
    "shapes": shaped,
}
"""`Framing.kind` → what makes a framer of its settings."""


def framer_of(framing: Framing) -> Framer:
    """A new framer for a line. Raises KeyError for a kind that nobody has written; reading a configuration refuses
    it before."""
    return FRAMERS[framing.kind](framing)
