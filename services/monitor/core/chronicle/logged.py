"""Which lines of the log are events: warnings, errors, and what it said of devices before we were there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from common.core.log_lines import LEVELS, LogLine, read_line
from services.monitor.core.chronicle.chronicle import EventLevel, Happened

STATE_LINE: Final = "device.state "
"""How the monitor's own lines about devices begin."""
_WORTH: Final = ("WARNING", "ERROR", "CRITICAL", STATE_LINE.strip())
"""A line without any of these is not taken apart."""


def events_of(lines: Iterable[str], since_ms: int) -> Iterator[Happened]:
    """The events among these lines, in their order. `since_ms`: from then on states are known better than by the log's
    lines about them."""
    for line in lines:
        if not any(word in line for word in _WORTH):
            continue
        found = read_line(line)
        if found is None or (ms := _ms_of(found.time)) is None:
            continue
        is_state = found.said.startswith(STATE_LINE)
        level = LEVELS.get(found.level, 0)
        if is_state and ms >= since_ms:
            continue
        if level >= LEVELS["WARNING"] or is_state:
            yield _event_of(found, ms, level)


def _event_of(found: LogLine, ms: int, level: int) -> Happened:
    name: EventLevel = "error" if level >= LEVELS["ERROR"] else "warning" if level >= LEVELS["WARNING"] else "info"
    said = found.said.partition("\n")[0]
    return Happened(ms, "log", name, found.device, found.process, "", "", said)


def _ms_of(time: str) -> int | None:
    """Milliseconds since 1970; None for what is no moment."""
    try:
        at = datetime.fromisoformat(time)
        return int(at.timestamp() * 1000) if at.tzinfo is not None else None
    except (ValueError, OverflowError, OSError):
        return None
