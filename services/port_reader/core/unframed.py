"""What a person is told of bytes that end no frame, or of frames that may have been cut. Pure.

To be imported only when it has come to that: most lines never need it.
"""

from __future__ import annotations

from common.config.framing import Framing
from common.core.looks import SAMPLE_BYTES, cased_in, end_in, looks_of
from common.core.quoting import shown, spelled

SHOWN_BYTES = 40
"""So many of the newest bytes are shown: a line or two of text."""


def why_unframed(framing: Framing, waiting: bytes, fault: str = "") -> str:
    """Why these bytes, the newest last, are no frame yet, and what would probably be right: a sentence for a person.

    `fault`: what was wrong with the last frame of the line that was whole and wrong; "" if there was none.
    """
    if framing.shapes:
        return _why_unshaped(framing, waiting, fault)
    awaited = framing.delimiter
    parts = [f"bytes come, and no frame ends: the configuration awaits {spelled(awaited)}"]
    sample = waiting[-SAMPLE_BYTES:]
    if looks := looks_of(sample):
        parts.append(looks)
    elif (found := cased_in(sample, awaited) or end_in(sample)) and found != awaited:
        parts.append(f'the data has {spelled(found)} instead: set "delimiter": {spelled(found)}')
    else:
        parts.append("nothing in the data ends a frame")
    newest = waiting[-SHOWN_BYTES:]
    parts.append(f"newest bytes: {newest[-SHOWN_BYTES // 2 :].hex(' ').upper() if looks else shown(newest)}")
    return "; ".join(parts)


def _why_unshaped(framing: Framing, waiting: bytes, fault: str) -> str:
    """The same where frames have shapes."""
    from common.core.frame_words import words_of

    wanted = words_of(framing.shapes, skip=framing.skip, mask=framing.mask)
    parts = [f"bytes come, and no frame is found: the configuration awaits what {wanted}"]
    sample = waiting[-SAMPLE_BYTES:]
    starts = [start for shape in framing.shapes for start in shape.starts]
    if fault:
        parts.append(f"of the last that looked like one, {fault}")
    elif looks := looks_of(sample) if all(map(_is_text, starts)) else "":
        parts.append(looks)
    elif starts and not any(start in sample for start in starts):
        parts.append("none of the newest bytes begins a frame")
    elif cure := _other_end(framing, sample):
        parts.append(cure)
    parts.append(f"newest bytes: {waiting[-SHOWN_BYTES // 2 :].hex(' ').upper()}")
    return "; ".join(parts)


def _other_end(framing: Framing, sample: bytes) -> str:
    """What ends the messages of a line whose frames end with a text that does not come; "" where that is not it."""
    ends = {end for shape in framing.shapes for end in shape.ends}
    is_by_end = not looks_of(sample) and all(
        shape.ends and shape.length is None and not shape.is_cobs for shape in framing.shapes
    )
    if not is_by_end or any(end in sample for end in ends):
        return ""
    cased = (cased_in(sample, end) for end in ends)
    found = next(filter(None, cased), b"") or end_in(sample)
    return f'the data has {spelled(found)} instead: say "end": {spelled(found)} in "framing"' if found else ""


def _is_text(start: bytes) -> bool:
    """True for a start that a device would send that speaks text."""
    return start.isascii() and not any(byte < 0x20 and byte not in b"\r\n\t\x02" for byte in start)


def why_cut(framing: Framing, frames: int, first: bytes, newest: bytes) -> str:
    """What may be wrong with frames that silence has ended, where the delimiter comes again, for a person."""
    which = f"{frames} frames, from {shown(first)} to {shown(newest)}" if frames > 1 else f"the frame {shown(first)}"
    return (
        f"the delimiter {spelled(framing.delimiter)} comes again, after silence had ended {which}; "
        f'if these were parts of one message, set a longer "timeout" than {framing.timeout_s:g} s'
    )
