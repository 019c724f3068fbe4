"""A process that runs users' code: what is kept from what that code starts, and what it may expect of a process.

Users' code forks, `multiprocessing` above all. Such a child has all that the process has: what must not live on in it
is let go of here, at its first moment.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Final

from common.io.levels import SIGNAL as LEVELS_SIGNAL

STANDARD_INPUT: Final = 0
_HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, LEVELS_SIGNAL)
"""What our processes take, and a program of its own dies of."""
_set_handler: Final = signal.signal
"""As it is before anybody puts another in its place."""
_set_descriptor: Final = signal.set_wakeup_fd


def take_no_input() -> None:
    """Whoever reads standard input finds its end, instead of waiting for somebody who types."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, STANDARD_INPUT)
    os.close(nothing)


def let_go_in_children(descriptors: Callable[[], list[int]], also: Callable[[], None] | None = None) -> None:
    """A child that is forked from now on closes these, as they are then, takes signals as any program does, and calls
    `also`. A lock that it kept would outlive this process; a signal that it shared would end this process too."""

    before = threading.local()

    def hold() -> None:
        # A signal to the child at its first moment must not find our handlers there.
        before.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)

    def go_on() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before.mask)

    def let_go() -> None:
        _set_descriptor(-1)
        for number in _HANDLED:
            _set_handler(number, signal.SIG_DFL)
        for descriptor in descriptors():
            try:
                os.close(descriptor)
            except OSError:
                pass  # The child of a child has closed it already.
        if also is not None:
            also()
        go_on()

    os.register_at_fork(before=hold, after_in_parent=go_on, after_in_child=let_go)
