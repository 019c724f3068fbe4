"""Runs inside supervisord: prints the processes' output as whole lines, and says what happens to them.

supervisord's own ways of passing output on open /dev/stdout, which fails where that is a socket (as under systemd) and
overwrites itself where it is a file. As an "rpcinterface" this is called once, with the event system ready.
"""

from __future__ import annotations

import os
from typing import Any, Final

from supervisor import events

from common.events import Note
from common.io.logs import log_note, start_logs
from common.io.process import EXIT_CONFIG
from services.cli.launch import decode_word
from services.cli.supervisord_signals import guard_forks, release_signals
from services.cli.supervisord_wakeup import SignalWakeup

STANDARD_ERROR: Final = 2
LONGEST_LINE: Final = 65_536


class SupervisordLog:
    """What supervisord's events become on standard error."""

    def __init__(self) -> None:
        self._partial: dict[str, bytes] = {}
        self._logger = start_logs("supervisord")
        self._then = "restarting"

    def output(self, event: Any) -> None:
        """Something that a process wrote: whole lines go on, the rest waits for its end."""
        name = event.process.config.name
        data = self._partial.pop(name, b"") + event.data
        whole, newline, rest = data.rpartition(b"\n")
        if len(rest) > LONGEST_LINE:
            whole, newline, rest = data, b"\n", b""
        if rest:
            self._partial[name] = rest
        _write(whole + newline)

    def exited(self, event: Any) -> None:
        """A process ended without being told to."""
        name, status = self._ended(event)
        if status == EXIT_CONFIG:
            advice = "its configuration has problems, see above; it is not restarted: correct them and run again"
            self._note(Note("error", "process.misconfigured", {"name": name, "status": status, "advice": advice}))
        elif status in event.process.config.exitcodes:
            self._note(Note("info", "process.finished", {"name": name, "status": status}))
        else:
            # supervisord gives -1 for every signal.
            reason = "killed by a signal" if status < 0 else f"exit code {status}"
            self._note(Note("warning", "process.died", {"name": name, "reason": reason, "then": self._then}))

    def gave_up(self, event: Any) -> None:
        """supervisord could not even start a process."""
        name = decode_word(event.process.config.name)
        facts = {"name": name, "reason": event.process.spawnerr or "unknown", "then": "not restarted"}
        self._note(Note("error", "process.failed", facts))

    def stopped(self, event: Any) -> None:
        """A process ended because it was told to."""
        name, status = self._ended(event)
        self._note(Note("info", "process.stopped", {"name": name, "status": status}))

    def started(self, event: Any) -> None:
        """A process is about to run."""
        facts = {"name": decode_word(event.process.config.name), "pid": event.process.pid}
        self._note(Note("info", "process.started", facts))

    def stopping(self, _: Any) -> None:
        """The whole gateway was told to stop."""
        self._then = "not restarted, the gateway is stopping"
        self._note(Note("info", "gateway.stopping", {}))

    def _ended(self, event: Any) -> tuple[str, int]:
        """(the name as people know it, exit status), after the last words have been printed."""
        if rest := self._partial.pop(event.process.config.name, b""):
            _write(rest + b"\n")
        return decode_word(event.process.config.name), event.process.exitstatus

    def _note(self, note: Note) -> None:
        log_note(self._logger, note)


def _write(data: bytes) -> None:
    try:
        while data:
            data = data[os.write(STANDARD_ERROR, data) :]
    except OSError:
        # Nobody reads our output any more; the gateway goes on.
        return


def start(supervisord: Any) -> SupervisordLog:
    """supervisord's hook: subscribes, and returns the object that it keeps."""
    log = SupervisordLog()
    guard_forks()
    SignalWakeup().join(supervisord.options.get_socket_map())
    events.subscribe(events.ProcessLogEvent, log.output)
    events.subscribe(events.ProcessStateExitedEvent, log.exited)
    events.subscribe(events.ProcessStateFatalEvent, log.gave_up)
    events.subscribe(events.ProcessStateStoppedEvent, log.stopped)
    events.subscribe(events.ProcessStateRunningEvent, log.started)
    events.subscribe(events.SupervisorStoppingEvent, log.stopping)
    # By now supervisord has its handlers.
    events.subscribe(events.SupervisorRunningEvent, lambda _: release_signals())
    return log
