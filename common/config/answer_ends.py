"""Whether the end of an answer stands behind several frames: `"OK\\r\\n"` where `\\n` ends one. Pure, and small: port
readers load it."""

from __future__ import annotations

from collections.abc import Sequence

from common.config.framing import Framing
from common.core.blanks import BLANK_BYTES


def ends_of(framing: Framing) -> Sequence[bytes]:
    """What ends a frame of the device; empty where only its length does, or silence."""
    return [end for shape in framing.shapes for end in shape.ends] if framing.shapes else [framing.delimiter]


def is_beyond_a_frame(until: bytes, framing: Framing) -> bool:
    """True for an end of an answer that has the end of a frame in it and says more than that: `OK\\r\\n`, `\\n>`,
    `\\n\\n`. False for the end of a frame with blanks around it (`\\r\\n`), which ends a line and no more."""
    ends = ends_of(framing)
    said = _without(until, ends)
    return len(said) < len(until) and (bool(said.strip(BLANK_BYTES)) or any(until.count(end) > 1 for end in ends))


def has_several_lines(until: bytes, framing: Framing) -> bool:
    """True if an answer up to `until` is collected from several frames: where one is, and the framing hands over all of
    it. Frames with shapes are never empty, their beginnings are not looked at before their ends have come, and of
    `skip` there is nothing in them."""
    if not is_beyond_a_frame(until, framing):
        return False
    if not framing.shapes:
        return True
    ends = ends_of(framing)
    is_said = bool(_without(until, ends).strip(BLANK_BYTES)) and any(until.endswith(end) for end in ends)
    return is_said and not any(byte in framing.skip for byte in until)


def end_behind(until: bytes, framing: Framing) -> bytes:
    """The ends of frames that `until` ends with, as they follow each other: `\\r\\n`."""
    rest, ends = until, ends_of(framing)
    while end := next((end for end in ends if rest.endswith(end)), b""):
        rest = rest.removesuffix(end)
    return until[len(rest) :]


def _without(until: bytes, ends: Sequence[bytes]) -> bytes:
    for end in ends:
        until = until.replace(end, b"")
    return until
