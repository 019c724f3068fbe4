"""No signal to stop is lost while supervisord starts, nor while it starts a process.

Until supervisord has its handlers a Ctrl-C would end it with a traceback; and a process that is told to stop between
its fork and its exec would note the signal in handlers that the exec wipes out, and be killed 10 s later. So signals
wait: from `serialgw run` to supervisord's first round, and over each fork until the child has none of these handlers.
"""

from __future__ import annotations

import functools
import os
import signal
from typing import Final

STOP_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
HANDLED: Final = (*sorted(STOP_SIGNALS), signal.SIGCHLD, signal.SIGUSR2)
"""What supervisord has handlers for."""


def hold_signals() -> None:
    """Signals to stop wait from now on, also over an exec."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def release_signals() -> None:
    """Signals to stop, those that have waited among them, arrive again."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


@functools.cache
def guard_forks() -> None:
    """From now on a child begins without its parent's handlers and has lost no signal. Once per process."""
    os.register_at_fork(before=hold_signals, after_in_parent=release_signals, after_in_child=_begin_child)


def _begin_child() -> None:
    signal.set_wakeup_fd(-1)
    for number in HANDLED:
        signal.signal(number, signal.SIG_DFL)
    release_signals()
