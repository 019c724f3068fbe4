"""What a person is told of a device that is asked and does not answer. Pure.

To be imported only when it has come to that: most lines never need it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from common.config.asking import Ask
from common.config.models import Line
from common.core.quoting import shown

SHOWN_BYTES: Final = 20
"""So many of the newest bytes that are no frame are shown."""


class Unanswered(NamedTuple):
    """A device that has not answered something lately."""

    ask: Ask
    """What was asked last."""
    for_s: float
    """How long ago the first of these questions failed."""
    probe_s: float | None
    """Seconds until it is tried again, where it counts as gone; None while it is asked in its turns, or just now."""
    instead: bytes
    """The last frame that came while an answer was awaited and was none; b"" if none did."""
    answers_some: bool = False
    """True if it answers other questions."""


def why_unanswered(found: Unanswered, line: Line, address: int | None, stray: str, newest: bytes) -> str:
    """What was asked, what came instead, and what would probably be right: a sentence for a person.

    `stray`: why a whole frame of the line was no answer, where the protocol says that. `newest`: bytes that have come
    since and are in no frame.
    """
    written = next((step.data for step in reversed(found.ask.steps) if step.kind == "send"), b"")
    name = f" ({found.ask.name})" if found.ask.name else ""
    parts = [f"asked, no answer: {_bytes(written)}{name} was not answered within {found.ask.timeout_s:g} s"]
    if found.instead and found.instead.strip() == written.strip():
        parts.append('what was asked came back instead: set "bus": {"echo": true} if the adapter repeats what it sends')
    elif stray:
        parts.append(f"{stray} came instead")
    elif found.instead:
        parts.append(f'another frame came instead: {_bytes(found.instead)}; does "when" or "answer" fit the answer?')
    elif newest:
        parts.append(
            f'bytes came instead that are no frame: {newest[-SHOWN_BYTES:].hex(" ").upper()}; do "framing", "checksum" '
            f"and {_settings(line)} fit?"
        )
    else:
        of = "" if address is None else f", is its address {address}, are A and B the right way round"
        parts.append(f"nothing came: is the device on, is its cable right{of}, and does it speak {_settings(line)}?")
    return "; ".join(parts)


def _settings(line: Line) -> str:
    return f"{line.baudrate} baud {line.bytesize}{line.parity}{line.stopbits:g}"


def _bytes(data: bytes) -> str:
    """Text as text, all else as pairs of digits."""
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in data)
    if printable == len(data):
        return shown(data)
    cut = " …" if len(data) > SHOWN_BYTES else ""
    return data[:SHOWN_BYTES].hex(" ").upper() + cut
