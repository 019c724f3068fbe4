"""What a person is told of a device that is asked, and does not answer, or not in time. Pure.

To be imported only when it has come to that: most lines never need it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from common.config.asking import Ask
from common.config.models import Line
from common.core.quoting import shown
from services.port_reader.core.asking.turns import Late

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
    after_s: float | None = None
    """How long after the last of them it has said something that nobody waited for any more; None if it has not."""


class Untold(NamedTuple):
    """A device that has not taken its `init`."""

    fault: str
    """In few words, as in the log."""
    written: bytes
    """What was sent to it last."""
    expected: str
    """The message that did not come; "" where the write failed."""
    instead: bytes
    """The last frame that came meanwhile; b"" if none did."""


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
    elif found.after_s is not None:
        parts.append(
            f"something came {found.after_s:.2g} s after it was asked, when nobody waited for it any more: if that is "
            f'the answer, a longer "timeoutMs" is right, such as {_longer_ms(found.after_s)}'
        )
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


def why_late(late: Late) -> str:
    """What is asked, how late its answers come, and what would be right: a sentence for a person."""
    name = f" ({late.ask.name})" if late.ask.name else ""
    written = next((step.data for step in reversed(late.ask.steps) if step.kind == "send"), b"")
    return (
        f"the last {late.in_a_row} answers to {_bytes(written)}{name} came too late, after up to {late.most_s:.2g} s; "
        f'they count, but nothing else is asked of the device meanwhile: set "timeoutMs": {_longer_ms(late.most_s)} '
        f"(it is {late.ask.timeout_s * 1000:.0f})"
    )


def why_untold(untold: Untold, line: Line) -> str:
    """What a device did not take of its `init`, and what would probably be right: a sentence for a person."""
    if not untold.expected:
        return f'its "init" could not be written: {_bytes(untold.written)}; does flow control, or the adapter, hold it?'
    parts = [f'its "init" was not taken: no {untold.expected} came after {_bytes(untold.written)}']
    if untold.instead:
        parts.append(f'another frame came instead: {_bytes(untold.instead)}; does "when" of {untold.expected} fit it?')
    else:
        parts.append(f"nothing came: is the device on, is its cable right, and does it speak {_settings(line)}?")
    return "; ".join(parts) + " It is tried again and again"


def _longer_ms(time_s: float) -> int:
    """A time-out that leaves room for an answer that has taken so long: half as much again, in round numbers."""
    unit = 10 if time_s < 0.5 else 100
    return int(time_s * 1500 // unit + 1) * unit


def _settings(line: Line) -> str:
    return f"{line.baudrate} baud {line.bytesize}{line.parity}{line.stopbits:g}"


def _bytes(data: bytes) -> str:
    """Text as text, all else as pairs of digits."""
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in data)
    if printable == len(data):
        return shown(data)
    cut = " …" if len(data) > SHOWN_BYTES else ""
    return data[:SHOWN_BYTES].hex(" ").upper() + cut
