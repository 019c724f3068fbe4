"""What a person is told of bytes that end no frame, or of frames that may have been cut. Pure.

To be imported only when it has come to that: most lines never need it.
"""

from __future__ import annotations

from common.config.framing import Framing
from common.core.looks import SAMPLE_BYTES, end_in, looks_of
from common.core.quoting import shown, spelled

SHOWN_BYTES = 40
"""So many of the newest bytes are shown: a line or two of text."""


def why_unframed(framing: Framing, waiting: bytes) -> str:
    """Why these bytes, the newest last, are no frame yet, and what would probably be right: a sentence for a person."""
    awaited = framing.delimiter
    parts = [f"bytes come, and no frame ends: the configuration awaits {spelled(awaited)}"]
    sample = waiting[-SAMPLE_BYTES:]
    if looks := looks_of(sample):
        parts.append(looks)
    elif (found := end_in(sample)) and found != awaited:
        parts.append(f'the data has {spelled(found)} instead: set "delimiter": {spelled(found)}')
    else:
        parts.append("nothing in the data ends a frame")
    newest = waiting[-SHOWN_BYTES:]
    parts.append(f"newest bytes: {newest[-SHOWN_BYTES // 2 :].hex(' ').upper() if looks else shown(newest)}")
    return "; ".join(parts)


def why_cut(framing: Framing, frames: int, first: bytes, newest: bytes) -> str:
    """What may be wrong with frames that silence has ended, where the delimiter comes again, for a person."""
    which = f"{frames} frames, from {shown(first)} to {shown(newest)}" if frames > 1 else f"the frame {shown(first)}"
    return (
        f"the delimiter {spelled(framing.delimiter)} comes again, after silence had ended {which}; "
        f'if these were parts of one message, set a longer "timeout" than {framing.timeout_s:g} s'
    )
