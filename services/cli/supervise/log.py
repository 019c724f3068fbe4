"""Runs inside supervisord: prints the processes' output as whole lines, and says what happens to them.

supervisord's own ways of passing output on open /dev/stdout, which fails where that is a socket (as under systemd),
overwrites itself where it is a file, and waits where nobody reads it: then supervisord would start nothing again, and
the processes would wait too, for it to read what they say.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from common.core.events import Note
from common.core.log_lines import plain_line, read_line
from common.io.exits import EXIT_CONFIG
from common.io.logs import handler_of, log_note, start_logs, take_streams
from services.cli.supervise.kept import keep_lines
from services.cli.supervise.launch import decode_word
from services.cli.supervise.lines import PublisherLines
from services.cli.supervise.signals import release_signals
from services.cli.supervise.supervisord import OutputEvent, ProcessEvent

LONGEST_LINE: Final = 65_536
MOST_HEAD_BYTES: Final = 1_024
"""The head of a line, with the name of a device in it, is shorter."""


class SupervisordLog:
    """What supervisord's events become on standard error."""

    def __init__(self, lines: PublisherLines, data_dir: Path) -> None:
        """`lines`: who else is told what is printed; in `data_dir` it is kept for `serialgw logs`."""
        self._partial: dict[str, bytes] = {}
        # What was opened before supervisord read its configuration anew, it has closed.
        logging.getLogger("serialgw").handlers.clear()
        self._logger = start_logs("supervisord")
        handler = handler_of(self._logger)
        assert handler is not None, "start_logs has made one"
        self._handler = handler
        self._lines = lines
        self._kept = keep_lines(data_dir, handler.dropped_line)
        handler.outlet.also = self._hand_on
        # supervisord itself prints what it can't log, for instance on a full disk.
        take_streams(self._logger)
        self._printer = ""
        """The process whose output is being printed; "" for what is said here."""
        self._then = "restarting"

    def output(self, event: OutputEvent) -> None:
        """Something that a process wrote: whole lines go on, the rest waits for its end."""
        name = event.process.config.name
        data = self._partial.pop(name, b"") + event.data
        whole, newline, rest = data.rpartition(b"\n")
        if len(rest) > LONGEST_LINE:
            whole, newline, rest = data, b"\n", b""
        if rest:
            self._partial[name] = rest
        if newline:
            self._print(whole + newline, name)

    def exited(self, event: ProcessEvent) -> None:
        """A process ended without being told to."""
        name, status = self._ended(event)
        if status == EXIT_CONFIG:
            advice = "see above; it is tried again every 30 s, with the configuration that the gateway started with"
            self.note(Note("error", "process.misconfigured", {"name": name, "status": status, "advice": advice}))
        elif status in event.process.config.exitcodes:
            self.note(Note("info", "process.finished", {"name": name, "status": status}))
        else:
            # supervisord gives -1 for every signal.
            reason = "killed by a signal" if status < 0 else f"exit code {status}"
            self.note(Note("warning", "process.died", {"name": name, "reason": reason, "then": self._then}))

    def gave_up(self, event: ProcessEvent) -> None:
        """supervisord could not even start a process."""
        name = decode_word(event.process.config.name)
        facts = {"name": name, "reason": event.process.spawnerr or "unknown", "then": "not restarted"}
        self.note(Note("error", "process.failed", facts))

    def stopped(self, event: ProcessEvent) -> None:
        """A process ended because it was told to."""
        name, status = self._ended(event)
        self.note(Note("info", "process.stopped", {"name": name, "status": status}))

    def started(self, event: ProcessEvent) -> None:
        """A process is about to run."""
        facts = {"name": decode_word(event.process.config.name), "pid": event.process.pid}
        self.note(Note("info", "process.started", facts))

    def stopping(self, _: object) -> None:
        """The whole gateway was told to stop."""
        self._then = "not restarted, the gateway is stopping"
        self.note(Note("info", "gateway.stopping", {}))

    def _ended(self, event: ProcessEvent) -> tuple[str, int]:
        """(the name as people know it, exit status), after the last words have been printed."""
        if rest := self._partial.pop(event.process.config.name, b""):
            self._print(rest + b"\n", event.process.config.name)
        return decode_word(event.process.config.name), event.process.exitstatus

    def running(self, _: object) -> None:
        """supervisord has its handlers by now."""
        release_signals()

    def join(self, socket_map: dict[int, object]) -> None:
        """Makes supervisord poll for room, while lines wait for it."""
        if (descriptor := self._handler.outlet.descriptor) is not None:
            socket_map[descriptor] = self

    def readable(self) -> bool:
        """Never: we only write there."""
        return False

    def writable(self) -> bool:
        """While lines wait for room."""
        return self._handler.outlet.wants_room

    def handle_write_event(self) -> None:
        """Somebody reads again."""
        self._handler.catch_up()

    def handle_error(self) -> None:
        """What can't be told is dropped and counted; nothing is left to do."""

    def catch_up(self, _: object) -> None:
        """Some seconds have passed: perhaps somebody reads again."""
        if self._handler.is_behind:
            self._handler.catch_up()

    def _print(self, lines: bytes, name: str) -> None:
        """Whole lines of a process. They may come from users' code, and hold anything."""
        # `port_reader-press1` is the process `port_reader:press1`.
        self._printer = decode_word(name).replace("-", ":", 1)
        self._handler.outlet.write(self._handler.printed(lines.decode(errors="backslashreplace"), self._printer))
        self._printer = ""

    def _hand_on(self, lines: bytes) -> None:
        """What is printed, to the files, and to the publisher, which reads text. In the files it is known who has
        printed what says that not itself, such as the traceback of a crash."""
        if (
            self._printer
            and not self._handler.is_json
            and read_line(lines[:MOST_HEAD_BYTES].decode(errors="replace")) is None
        ):
            self._kept.write(self._handler.head_line(self._printer, "printed:"))
        self._kept.write(lines)
        if self._handler.is_json:
            found = map(plain_line, lines.decode().removesuffix("\n").split("\n"))
            lines = "".join(f"{line}\n" for line in found).encode()
        self._lines.put(lines)

    def note(self, note: Note) -> None:
        """One line."""
        log_note(self._logger, note)
