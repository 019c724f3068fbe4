"""Runs inside supervisord: ends whoever hangs, so that supervisord starts it again. Others are not touched.

supervisord itself only sees processes that end. Ours write their pid into a pipe while they go round
(`common.io.pulse`); who has not for long is asked for a traceback, and killed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from common.core.events import Note
from common.io.pulse import PIPE, TRACEBACK_SIGNAL
from services.cli.supervise.launch import decode_word
from services.cli.supervise.supervisord import Process

HANG_S: Final = 15.0
"""A process that goes round does so every ten seconds at least, however little there is to do."""
START_S: Final = 120.0
"""How long a start may take: one that is patient after quick deaths, or checks a large journal on a slow card."""
LATE_S: Final = 12.0
"""If we ourselves were away for longer than this, silence until now says nothing of others."""
PIPE_BYTES: Final = 65_536
_SLEEPS_IN_KERNEL: Final = "D"
"""Waits for a disk: no signal reaches it, and a new one would wait for the same."""
_IS_STOPPED: Final = "T"


class Pulses:
    """Knows which process has gone round when. `check` is to be called every five seconds."""

    def __init__(
        self, run_dir: Path, note: Callable[[Note], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises OSError if the pipe can't be made."""
        path = run_dir / PIPE
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        # For writing too, so that it never ends when nobody else has it open.
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._note = note
        self._clock = clock
        self._checked_s = clock()
        self._seen_s: dict[int, float] = {}
        """Pid → when it last went round."""
        self._first_s: dict[int, float] = {}
        """Pid → when we first saw it."""
        self._asked: set[int] = set()
        """Pids that were asked for a traceback."""

    def check(self, processes: Iterable[Process]) -> None:
        """Looks at supervisord's processes, those that run."""
        now_s = self._clock()
        self._listen(now_s)
        if now_s - self._checked_s > LATE_S:
            self._seen_s = dict.fromkeys(self._seen_s, now_s)
        self._checked_s = now_s
        running = {process.pid: process for process in processes if process.pid}
        self._forget(running.keys())
        for pid, process in running.items():
            first_s = self._first_s.setdefault(pid, now_s)
            seen_s = self._seen_s.get(pid)
            silent_s = now_s - (first_s if seen_s is None else seen_s)
            if silent_s >= (START_S if seen_s is None else HANG_S):
                self._end(pid, decode_word(process.config.name), silent_s)

    def close(self) -> None:
        os.close(self._pipe)

    def _listen(self, now_s: float) -> None:
        while True:
            try:
                data = os.read(self._pipe, PIPE_BYTES)
            except BlockingIOError:
                return
            for word in data.split():
                if word.isdigit():
                    self._seen_s[int(word)] = now_s
                    # The next time it hangs it is asked first again.
                    self._asked.discard(int(word))

    def _forget(self, pids: Iterable[int]) -> None:
        kept = set(pids)
        self._seen_s = {pid: at_s for pid, at_s in self._seen_s.items() if pid in kept}
        self._first_s = {pid: at_s for pid, at_s in self._first_s.items() if pid in kept}
        self._asked &= kept

    def _end(self, pid: int, name: str, silent_s: float) -> None:
        state = state_of(pid)
        if state == _SLEEPS_IN_KERNEL:
            return
        if pid not in self._asked and state != _IS_STOPPED:
            # Where it hangs is worth a few seconds.
            self._asked.add(pid)
            os.kill(pid, TRACEBACK_SIGNAL)
            return
        facts = {"name": name, "pid": pid, "silent_s": silent_s, "then": "ended and started again"}
        self._note(Note("error", "process.hung", facts))
        os.kill(pid, signal.SIGKILL)


def state_of(pid: int) -> str:
    """The kernel's letter for what a process does; "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
