"""Log lines: an event and its facts, `time LEVEL [kind:name] event key=value …` or as JSON, on standard error.

A line goes out without waiting (`common.io.outlet`), holds nothing that steers a terminal (`common.core.shown`), and
is one of a bounded number of its kind: what a flood says beyond that is counted, and said in one line.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from common.core.events import Note
from common.core.facts import fact_text
from common.core.shown import harmless, harmless_lines
from common.io.clock import iso_time, monotonic_s, wall_ms
from common.io.outlet import STANDARD_ERROR, LogOutlet, OutletStream, open_sink, shortened

TRACE: Final = 5
FORMAT_VARIABLE: Final = "SERIALGW_LOG_FORMAT"
"""Names the form of log lines for all processes: `text`, or `json`."""
FORMATS: Final = ("text", "json")
BURST_LINES: Final = 200
"""Lines of one kind (one event of ours, one logger of users' code) that may come at once: what a start says of many
ports is shown whole."""
LINES_HZ: Final = 10.0
"""Lines of one kind that may come on and on: of call lines, five calls a second."""
USERS_LINES_HZ: Final = 100.0
"""Lines of one of users' converters that may come on and on: it may log each frame on purpose."""
KINDS_KEPT: Final = 1_000
"""Kinds of lines that are told apart; beyond it all others are one."""
DEVICE_LOGGER: Final = ".device."
"""Stands in the name of a logger before the device whose converter has it; lines name the device then."""
_LEVELS: Final = {
    "TRACE": TRACE,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
}
_NO_FACTS: Final[Mapping[str, Any]] = {}
_NOTE_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class _OwnLogger(logging.Logger):
    """A logger of ours: users' code that sets logging up as if the process were its own does not switch it off."""

    @property
    def disabled(self) -> bool:
        return False

    @disabled.setter
    def disabled(self, disabled: bool) -> None:
        """`logging.config` sets it on every logger that it was not told of."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 (the library's name)
        """By the level alone: `logging.disable` is the user's word for the user's loggers."""
        return level >= self.getEffectiveLevel()


class _Kind:
    """How many more lines of one kind may come now, and how many could not be shown.

    `left` grows with time up to BURST_LINES and falls by one a line: a burst is shown whole, a flood in part.
    """

    __slots__ = ("hidden", "left", "since_s")

    def __init__(self, left: float, since_s: float) -> None:
        self.left = left
        self.since_s = since_s
        self.hidden = 0


class LogHandler(logging.Handler):
    """Writes records to an outlet, so many of a kind. Ours are of one kind by their event, users' by their logger."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process
        self._kinds: dict[str, _Kind] = {}
        self._hidden: set[str] = set()
        """Kinds of which something was left out that is not told yet."""
        self.hidden = 0
        """Lines that were not shown, for there were too many of their kind."""
        self.outlet = LogOutlet(open_sink(sys.stderr), self.dropped_line)
        self.is_json = os.environ.get(FORMAT_VARIABLE, "").lower() == "json"

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record, if its kind has one left."""
        event = getattr(record, "event", "")
        kind = self._take(event or record.name, LINES_HZ if event else USERS_LINES_HZ)
        if kind.left < 1:
            kind.hidden += 1
            self.hidden += 1
            self._hidden.add(event or record.name)
            return
        kind.left -= 1
        text, device = shortened(_message_of(record)), record.name.partition(DEVICE_LOGGER)[2]
        trace = shortened(logging.Formatter().formatException(record.exc_info)) if record.exc_info else ""
        if self.is_json:
            facts = getattr(record, "facts", None)
            ours = {} if facts is None else {"event": event, "facts": facts}
            self.outlet.write(self._json(record.levelname, text, device, exception=trace, **ours))
            return
        behind = f"\n{harmless_lines(trace)}" if trace else ""
        self.outlet.write(self._line(record.levelname, harmless(text) + behind, device))

    def catch_up(self) -> None:
        """Says what could not be said before, as far as it can be now. To be called now and then."""
        if self.outlet.is_behind:
            self.outlet.catch_up()
        for name in sorted(self._hidden):
            kind = self._take(name, LINES_HZ)
            # Not before the flood has ebbed: this line must not take the place of one that says something.
            if kind.left >= BURST_LINES / 2:
                self._hidden.discard(name)
                hidden, kind.hidden = kind.hidden, 0
                self.outlet.write(self._own_line("log.limited", {"kind": name, "lines": hidden}))

    @property
    def is_behind(self) -> bool:
        """True while `catch_up` may have something to do."""
        return bool(self._hidden) or self.outlet.is_behind

    def _take(self, name: str, lines_hz: float) -> _Kind:
        now_s = monotonic_s()
        kind = self._kinds.get(name)
        if kind is None:
            if len(self._kinds) >= KINDS_KEPT:
                # Names of loggers are users' to choose, and may never end.
                name = "(others)"
            kind = self._kinds.setdefault(name, _Kind(BURST_LINES, now_s))
        kind.left = min(BURST_LINES, kind.left + (now_s - kind.since_s) * lines_hz)
        kind.since_s = now_s
        return kind

    def dropped_line(self, count: int) -> bytes:
        """The line that says how many lines are missing."""
        return self._own_line("log.dropped", {"lines": count})

    def head_line(self, process: str, text: str) -> bytes:
        """A line of another process, as text."""
        return f"{iso_time(wall_ms())} {'INFO':7} [{harmless(process)}] {text}\n".encode(errors="backslashreplace")

    def printed(self, lines: str, process: str = "") -> bytes:
        """Lines that were printed, each with its end, as they are told: as they are, or each in an object; those that
        are such objects already stay as they are. `process`: who has printed them, if not this process."""
        if not self.is_json:
            return harmless_lines(lines).encode(errors="backslashreplace")
        found = (
            f"{harmless(line)}\n".encode(errors="backslashreplace")
            if line.startswith('{"time":')
            else self._json("INFO", line, "", process=process)
            for line in lines.removesuffix("\n").split("\n")
        )
        return b"".join(found)

    def _own_line(self, event: str, facts: dict[str, Any]) -> bytes:
        """A line about the log itself."""
        if self.is_json:
            return self._json("WARNING", "", "", event=event, facts=facts)
        return self._line("WARNING", " ".join([event, *(f"{key}={value}" for key, value in facts.items())]))

    def _json(
        self,
        level: str,
        message: str,
        device: str,
        *,
        event: str = "",
        facts: Mapping[str, Any] = _NO_FACTS,
        exception: str = "",
        process: str = "",
    ) -> bytes:
        # Here: most gateways log for people, and a port reader keeps what it has loaded.
        from common.io.log_json import json_line

        who = process or self.process
        head = {"time": iso_time(wall_ms()), "level": level, "process": who, "device": device}
        return json_line(head, event, facts, "" if event else message, exception)

    def _line(self, level: str, text: str, device: str = "") -> bytes:
        who = harmless(f"{self.process} {device}" if device else self.process)
        return f"{iso_time(wall_ms())} {level:7} [{who}] {text}\n".encode(errors="backslashreplace")


def _message_of(record: logging.LogRecord) -> str:
    """What the record says. Users' code logs too, with arguments that may not fit or can't be shown: then it says that,
    and whoever logs goes on."""
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 (arguments are users' objects, and raise anything)
        kind = type(error).__name__
    try:
        return f"{record.msg!r} {record.args!r}: this can't be put together: {kind}"
    except Exception:  # noqa: BLE001 (their `__repr__` too)
        return f"{record.pathname}:{record.lineno}: this can't be put together: {kind}"


def start_logs(process: str, level: str = "INFO") -> logging.Logger:
    """The logger of this process, `process` being its address such as `port_reader:press1`. Called again, it is the
    same under another name."""
    logging.addLevelName(TRACE, "TRACE")
    logger = logging.getLogger("serialgw")
    # Whoever has asked for it before has made it as any other.
    logger.__class__ = _OwnLogger
    handler = handler_of(logger)
    if handler is None:
        logger.handlers[:] = [LogHandler(process)]
    else:
        handler.process = process
    logger.propagate = False
    set_level(logger, level)
    return logger


def set_level(logger: logging.Logger, level: str) -> bool:
    """From now on it logs from this level up, from INFO where nobody knows the word. True if that is another one."""
    before = logger.level
    logger.setLevel(_LEVELS.get(level.upper(), logging.INFO))
    return logger.level != before


def handler_of(logger: logging.Logger) -> LogHandler | None:
    """The handler that `start_logs` has made; None for any other logger, as tests have them."""
    return next((handler for handler in logger.handlers if isinstance(handler, LogHandler)), None)


def take_streams(logger: logging.Logger) -> None:
    """What is printed from now on, tracebacks too, goes the way of log lines: it waits for nobody."""
    handler = handler_of(logger)
    if handler is not None:
        sys.stdout = sys.stderr = OutletStream(handler.outlet, handler.printed)


def take_loggers(logger: logging.Logger) -> None:
    """What users' code says by loggers of its own goes the way of log lines, at the level of the process."""
    handler, root = handler_of(logger), logging.getLogger()
    if handler is not None and handler not in root.handlers:
        root.addHandler(handler)
        root.setLevel(logger.level)


def unblocking_descriptor(logger: logging.Logger) -> int:
    """A descriptor of standard error for who can only write to one; it does not wait, where the system has that."""
    handler = handler_of(logger)
    descriptor = None if handler is None else handler.outlet.descriptor
    return STANDARD_ERROR if descriptor is None else descriptor


def log_counters() -> dict[str, int]:
    """What this process could not tell, for its heartbeat."""
    handler = handler_of(logging.getLogger("serialgw"))
    if handler is None:
        return {}
    return {"log_lines_dropped": handler.outlet.dropped, "log_lines_hidden": handler.hidden}


def log_note(logger: logging.Logger, note: Note) -> None:
    """Writes what a core noted, `event key=value …`. Cores do not log: this is where their sentences become lines."""
    level = _NOTE_LEVELS[note.level]
    if logger.isEnabledFor(level):
        text = " ".join([note.event, *(fact_text(key, value) for key, value in note.facts.items())])
        logger.log(level, "%s", text, extra={"event": note.event, "facts": note.facts})
