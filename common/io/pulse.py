"""A process shows whoever started it that it goes round. Whoever hangs, in whatever, shows nothing, and is replaced.

Below `serialgw run` a pulse is a line in a pipe that our part in supervisord reads. Each process also has an alarm on
the processor time that it spends without going round once (an endless loop, a regular expression that explodes), which
leaves a traceback and ends it, whoever holds the interpreter's lock: so whatever started it starts it again. Beside no
`serialgw run` it touches a file now and then (`common.io.alive`), whose age others can look at, and where systemd has
started it says that to systemd.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from pathlib import Path
from typing import Final

from common.io.alive import AliveFile, alive_path
from common.io.systemd import notify_systemd
from common.io.variables import TOP_VARIABLE

PIPE: Final = "pulse"
"""The pipe's name in the socket directory."""
EVERY_S: Final = 1.0
"""Seconds between two pulses at least: each costs a write and two timers."""
TOLD_S: Final = 5.0
"""systemd is told so often at most; its units expect a word in a minute."""
ALARM_S: Final = 20.0
"""Seconds of processor time without going round once that no honest work takes."""
TRACEBACK_SIGNAL: Final = signal.SIGUSR1
"""The signal that asks for a traceback of all threads, and changes nothing else."""


class Pulse:
    """The pulse of this process. `beat` costs a comparison, and now and then a write that never waits."""

    def __init__(self, sockets: Path, descriptor: int, address: str) -> None:
        """`descriptor`: where tracebacks go; one that never waits. `address`: whose pulse it is."""
        self._next_s = 0.0
        self._line = b"%d\n" % os.getpid()
        self._pipe = _open_pipe(sockets / PIPE) if TOP_VARIABLE in os.environ else None
        path = alive_path(sockets, address, os.environ)
        self._alive = None if path is None else AliveFile(path)
        # `serialgw run` speaks for all of its own.
        self._systemd = os.environ.get("NOTIFY_SOCKET", "") if TOP_VARIABLE not in os.environ else ""
        self._told_s: float | None = None
        """When systemd was told last."""
        faulthandler.register(TRACEBACK_SIGNAL, file=descriptor, all_threads=True)
        faulthandler.register(signal.SIGVTALRM, file=descriptor, all_threads=True, chain=True)

    def beat(self, now_s: float) -> None:
        """The process has gone round once more."""
        if now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        signal.setitimer(signal.ITIMER_VIRTUAL, ALARM_S)
        if self._alive is not None:
            self._alive.touch(now_s)
        if self._systemd and (self._told_s is None or now_s - self._told_s >= TOLD_S):
            notify_systemd("READY=1" if self._told_s is None else "WATCHDOG=1", self._systemd)
            self._told_s = now_s
        if self._pipe is not None:
            try:
                os.write(self._pipe, self._line)
            except OSError:
                pass  # Nobody reads it at the moment, or it is full: then there are pulses enough in it.

    def close(self) -> None:
        """What follows may take its time."""
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        faulthandler.unregister(signal.SIGVTALRM)
        faulthandler.unregister(TRACEBACK_SIGNAL)
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        if self._alive is not None:
            self._alive.remove()
        if self._systemd:
            notify_systemd("STOPPING=1", self._systemd)


def _open_pipe(path: Path) -> int | None:
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
