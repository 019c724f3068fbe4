"""Reads log lines, in both of their forms: as text, and as JSON. Pure.

Both say the same: when, how serious, which process, of which device, and what. `time LEVEL [kind:name device] text`, or
`{"time":…,"level":…,"process":"kind:name","device":…,"event":…,"facts":{…},"message":…,"exception":…}`, where a line of
ours has an event with its facts, and one of users' code, or of a library, a message.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec

from common.core.facts import fact_text
from common.core.shown import harmless, harmless_lines

_HEAD: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\S+) ([A-Z]+) +\[([a-z_]+(?::[^\]\s]+?)?)(?: ([^\]]*?))?\] (.*)", re.DOTALL
)
_DEVICE: Final = re.compile(r' device=(?:"((?:[^"\\]|\\.)*)"|(\S+))')
_NAME: Final = re.compile(r' name=(?:"((?:[^"\\]|\\.)*)"|(\S+))')
_SOURCES: Final = {"port_reader": "", "connector_host": "connector:"}
"""Kind of process that serves one device → what stands before the device's name in its stream's."""
LEVELS: Final = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
"""How serious a line is."""


class _Object(msgspec.Struct):
    """A line in the form of JSON."""

    time: str
    level: str
    process: str
    device: str = ""
    event: str = ""
    facts: dict[str, Any] = {}
    message: str = ""
    exception: str = ""


class LogLine(NamedTuple):
    """What a line says."""

    time: str
    level: str
    process: str
    """`port_reader:press1`, `supervisord`."""
    device: str
    """The device, or hosted connector's stream, that it is about; "" for none."""
    said: str
    """What is behind its head, as text."""


def read_line(line: str) -> LogLine | None:
    """What a line says; None for one without a head, which goes on where the one before it ended."""
    found = _HEAD.match(plain_line(line))
    if found is None:
        return None
    # A name may have blanks in it: then what is behind the first is no device of users' code.
    kind, _, name = found[3].partition(":")
    if kind in _SOURCES:
        name = f"{name} {found[4]}" if found[4] else name
        return LogLine(found[1], found[2], f"{kind}:{name}", f"{_SOURCES[kind]}{name}", found[5])
    return LogLine(found[1], found[2], found[3], found[4] or _told_device(found[5]), found[5])


def plain_line(line: str) -> str:
    """A line in its form as text, whichever it has; of one that is neither nothing is changed but what would steer a
    terminal."""
    if not line.startswith("{"):
        return harmless_lines(line)
    try:
        found = msgspec.json.decode(line, type=_Object)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return harmless_lines(line)
    who = f"{found.process} {found.device}" if found.device else found.process
    words = [found.event, *(fact_text(key, value) for key, value in found.facts.items())] if found.event else []
    head = harmless(f"{found.time} {found.level:7} [{who}] {' '.join(words) or found.message}")
    return f"{head}\n{harmless_lines(found.exception)}" if found.exception else head


def _told_device(text: str) -> str:
    """The device in the facts of a line of a process that serves many; of supervisord's, by its name for a process."""
    if found := _DEVICE.search(text):
        return _unquoted(found)
    name = _unquoted(found) if (found := _NAME.search(text)) else ""
    kind, dash, device = name.partition("-")
    return f"{_SOURCES[kind]}{device}" if dash and kind in _SOURCES else ""


def _unquoted(found: re.Match[str]) -> str:
    return re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[2]
