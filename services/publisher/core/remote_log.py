"""Log lines of all processes as telemetry of the gateway itself, where the platform or the configuration wants them.

Which lines: all from the level up that the platform's attribute `RemoteLoggingLevel` says, and those about the devices
of connectors with `enableRemoteLogging`. They are a courtesy and never in the way: so many wait at most, the oldest are
left out and counted, and one message goes out in a second, when no other of them is on its way. Nothing is logged about
a line that goes out well, so no line makes another. Pure.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from common.wire.calls import hosted_stream
from services.publisher.core.dialects import Dialect, Outgoing
from services.publisher.core.events import LogLines
from services.publisher.core.replies import Replies

MOST_LINES: Final = 1_000
"""Lines that wait, as in the reference."""
MOST_LINES_BYTES: Final = 256 * 1024
"""The text of all lines that wait."""
LONGEST_LINE: Final = 4_000
"""Characters of a line, or of a traceback with all its lines; what is behind is left out."""
LINES_A_MESSAGE: Final = 20
"""As in the reference."""
MESSAGE_BYTES: Final = 6_500
"""A message of several lines has at most so many bytes: what the smallest usual limit of a platform leaves."""
APART_S: Final = 1.0
"""One message in so long: enough for a person who reads along, and little beside the data."""
LEVELS: Final = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50, "NONE": 100}
"""Words of the attribute `RemoteLoggingLevel`, and of `logLevel`."""
ALL_KEY: Final = "LOGS"
SERVICE_KEY: Final = "SERVICE_LOGS"
CONNECTION_KEY: Final = "CONNECTION_LOGS"
STORAGE_KEY: Final = "STORAGE_LOGS"
EXTENSION_KEY: Final = "EXTENSION_LOGS"
"""The keys that ThingsBoard's gateway dashboards read; a connector's own is its name with `_LOGS` behind."""
HIDDEN: Final = "***"
"""Stands for a secret, should one ever be in a line."""
_HEAD: Final = re.compile(r"(\d{4}-\d\d-\d\dT\S+) ([A-Z]+) +\[([a-z_]+)(?::(\S+?))?(?: (.*?))?\] (.*)", re.DOTALL)
"""Time, level, kind, name, device, text: see `common.io.logs`."""
_DEVICE: Final = re.compile(r' device=(?:"((?:[^"\\]|\\.)*)"|(\S+))')
_CONNECTION_EVENTS: Final = ("link.", "platform.", "publish.", "device.")
_NEVER_TOLD: Final = "publish.refused"
"""What the publisher says where the platform refuses a message; that may have been one of ours."""
_STORAGE_EVENTS: Final = ("journal.", "storage.", "frames.shed")


class Line(NamedTuple):
    """A log line that is to be told."""

    at_ms: int
    level: int
    keys: tuple[str, ...]
    text: str


class RemoteLog:
    """What waits to be told, and when. `is_wanted`: whether log lines are to be heard at all."""

    def __init__(
        self,
        dialect: Dialect,
        replies: Replies,
        connectors: Mapping[str, str],
        logged: Mapping[str, str],
        hidden: Sequence[str] = (),
    ) -> None:
        """`connectors`: each device's connector; `logged`: the level from which on lines of a connector are told, for
        those that have it; `hidden`: what must not be in a line, whoever has written it."""
        self._dialect = dialect
        self._replies = replies
        self._connectors = connectors
        self._logged = {connector: LEVELS.get(level, LEVELS["INFO"]) for connector, level in logged.items()}
        self._hidden = sorted(filter(None, hidden), key=len, reverse=True)
        self._level = LEVELS["NONE"]
        self._waiting: deque[Line] = deque()
        self._bytes = 0
        self._left_out = 0
        self._last_ms: dict[str, int] = {}
        """Key → the time of its last line: two in one millisecond would be one on the platform."""
        self._message: Outgoing | None = None
        self._next_s = 0.0

    @property
    def is_wanted(self) -> bool:
        return self._level < LEVELS["NONE"] or bool(self._logged)

    def set_level(self, word: str) -> bool:
        """The platform's word. False for one that is none, which changes nothing."""
        level = LEVELS.get(word.strip().upper())
        if level is None:
            return False
        self._level = level
        return True

    def take(self, said: LogLines) -> None:
        """What processes have logged: whole lines, of one process at a time. Lines without a head, as a traceback has
        them, belong to the one before."""
        head, at_ms = None, said.at_ms
        for text in said.data.decode(errors="backslashreplace").splitlines():
            if match := _HEAD.match(text):
                self._end(head, at_ms)
                head, at_ms = match, _milliseconds(match[1], said.at_ms)
                continue
            if self._level <= LEVELS["INFO"] and head is None:
                # Printed by something that is not ours.
                self._put(Line(said.at_ms, LEVELS["INFO"], (ALL_KEY, EXTENSION_KEY), text))
            elif head is not None and len(head.string) < LONGEST_LINE:
                head = _HEAD.match(f"{head.string}\n{text}")
        self._end(head, at_ms)

    def _end(self, head: re.Match[str] | None, at_ms: int) -> None:
        """A line is complete."""
        if head is None or (head[3] == "publisher" and head[6].startswith(_NEVER_TOLD)):
            return
        level = LEVELS.get(head[2], LEVELS["INFO"])
        keys = (ALL_KEY, _key_of(head)) if level >= self._level else ()
        connector = self._connectors.get(_device_of(head))
        if connector is not None and level >= self._logged.get(connector, LEVELS["NONE"]):
            keys = (*keys, f"{connector}_LOGS")
        if keys:
            self._put(Line(at_ms, level, keys, head.string))

    def _put(self, line: Line) -> None:
        text = line.text
        for secret in self._hidden:
            text = text.replace(secret, HIDDEN)
        if len(text) > LONGEST_LINE:
            text = f"{text[:LONGEST_LINE]}…"
        self._waiting.append(line._replace(text=text))
        self._bytes += len(text.encode())
        while len(self._waiting) > MOST_LINES or self._bytes > MOST_LINES_BYTES:
            self._bytes -= len(self._waiting.popleft().text.encode())
            self._left_out += 1

    @property
    def next_deadline_s(self) -> float | None:
        """When `publish` may have something to do, where the platform can be told anything."""
        return self._next_s if self._waiting else None

    def publish(self, now_s: float) -> None:
        """Queues the next message, if it is time for one. To be called while the connection stands."""
        if not self._waiting or now_s < self._next_s:
            return
        self._next_s = now_s + APART_S
        if self._message is not None and self._replies.holds(self._message):
            return  # The platform takes them more slowly than that.
        items, size = [], 0
        if self._left_out:
            first = self._waiting[0]
            text = f"{self._left_out} log lines were left out: there were more than the platform is told"
            items.append(self._item(Line(first.at_ms, LEVELS["WARNING"], first.keys, text)))
            self._left_out = 0
        while self._waiting and len(items) < LINES_A_MESSAGE:
            item = self._item(self._waiting[0])
            size += sum(len(key) + len(value) for key, value in item[1].items())
            if items and size > MESSAGE_BYTES:
                break
            self._bytes -= len(self._waiting.popleft().text.encode())
            items.append(item)
        self._message = self._dialect.own_telemetry(items)
        if self._message is not None:
            self._replies.add(self._message, now_s)

    def _item(self, line: Line) -> tuple[int, dict[str, bytes]]:
        at_ms = max([line.at_ms, *(self._last_ms.get(key, 0) + 1 for key in line.keys)])
        self._last_ms.update(dict.fromkeys(line.keys, at_ms))
        return at_ms, dict.fromkeys(line.keys, msgspec.json.encode(line.text))


def _milliseconds(time: str, otherwise: int) -> int:
    try:
        return round(datetime.fromisoformat(time).timestamp() * 1000)
    except ValueError:
        return otherwise


def _device_of(head: re.Match[str]) -> str:
    """The device that a line is about, or a hosted connector's stream; "" for none."""
    if head[3] == "port_reader":
        # The name may have blanks in it.
        return head[4] if head[5] is None else f"{head[4]} {head[5]}"
    if head[3] == "connector_host":
        return hosted_stream(head[4] if head[5] is None else f"{head[4]} {head[5]}")
    if head[5]:
        return head[5]
    found = _DEVICE.search(f" {head[6]}")
    return re.sub(r"\\(.)", r"\1", found[1]) if found and found[1] is not None else found[2] if found else ""


def _key_of(head: re.Match[str]) -> str:
    """The key of the dashboards under which a line of this process and event stands."""
    event = head[6]
    if head[3] in ("converter", "connector_host"):
        return EXTENSION_KEY
    if head[3] == "publisher" and event.startswith(_CONNECTION_EVENTS):
        return CONNECTION_KEY
    return STORAGE_KEY if event.startswith(_STORAGE_EVENTS) else SERVICE_KEY
