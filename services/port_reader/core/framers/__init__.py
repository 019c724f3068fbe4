"""How chunks become frames: one file, and one line here, per kind of framing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from common.config.framing import Framing
from services.port_reader.core.framers.base import Framer
from services.port_reader.core.framers.delimiter import DelimiterFramer

FRAMERS: Final[Mapping[str, Callable[[Framing], Framer]]] = {
    "delimiter": lambda framing: DelimiterFramer(framing.delimiter, framing.max_frame_bytes),
}
"""`Framing.kind` → what makes a framer of its settings."""


def framer_of(framing: Framing) -> Framer:
    """A new framer for a line. Raises KeyError for a kind that nobody has written; reading a configuration refuses
    it before."""
    return FRAMERS[framing.kind](framing)
