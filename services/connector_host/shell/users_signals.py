"""The signals that a connector host takes, in a process whose main thread runs users' code.

That code may set handlers of its own, or run an asyncio loop, which takes the one descriptor into which Python writes
the numbers of signals. Its handlers are called, and its descriptor is served; the gateway hears of the signal in any
case, and decides alone when the process ends.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from common.io.levels import SIGNAL as LEVELS_SIGNAL

Handler = Callable[[int, FrameType | None], Any]
OURS: Final = (signal.SIGTERM, signal.SIGINT, LEVELS_SIGNAL)
NOBODY: Final = -1
"""In the place of a descriptor: nothing is written anywhere."""


class UsersSignals:
    """Takes signals for the gateway, from the moment that it is made. For the main thread."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        """`reading` is where the numbers of signals are read."""
        self._users_descriptor = NOBODY
        self._users: dict[int, Any] = dict.fromkeys(OURS, signal.SIG_DFL)
        """What the user's code has set last."""
        self._set_handler: Callable[[Any, Any], Any] = signal.signal
        self._set_descriptor: Callable[..., int] = signal.set_wakeup_fd
        self._set_descriptor(self._writing, warn_on_full_buffer=False)
        for number in OURS:
            self._set_handler(number, self._hear)
        self._set_handler(signal.SIGHUP, signal.SIG_IGN)

    def guard(self) -> None:
        """What the user's code sets from now on is set beside ours."""
        _replace(self._signal, self._set_wakeup_fd)

    def unguard(self) -> None:
        """This is a child that the user's code has forked: what it sets is its own affair."""
        _replace(self._set_handler, self._set_descriptor)

    @property
    def descriptors(self) -> list[int]:
        """What no child is to have."""
        return [self.reading, self._writing]

    def _signal(self, number: Any, handler: Any) -> Any:
        """`signal.signal`. Raises what that raises."""
        if number not in OURS:
            return self._set_handler(number, handler)
        is_ours = handler in (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)
        self._set_handler(number, self._hear if is_ours else self._beside(handler) if callable(handler) else handler)
        before, self._users[number] = self._users[number], handler
        return before

    def _beside(self, handler: Handler) -> Handler:
        """The user's handler, after the gateway has heard. That it ends the program is the gateway's to do."""

        def both(number: int, frame: FrameType | None) -> None:
            self._hear(number, frame)
            try:
                handler(number, frame)
            except SystemExit:
                pass

        return both

    def _hear(self, number: int, frame: FrameType | None) -> None:
        """While Python writes numbers where the user's code wants them, somebody else has to tell ours."""
        if self._users_descriptor == NOBODY:
            return
        try:
            os.write(self._writing, bytes((number,)))
        except BlockingIOError:
            pass  # It is full of them.

    def _set_wakeup_fd(self, descriptor: int, *, warn_on_full_buffer: bool = True) -> int:
        """`signal.set_wakeup_fd`. Raises what that raises."""
        if descriptor == NOBODY:
            self._set_descriptor(self._writing, warn_on_full_buffer=False)
        else:
            self._set_descriptor(descriptor, warn_on_full_buffer=warn_on_full_buffer)
        before, self._users_descriptor = self._users_descriptor, descriptor
        return before


def _replace(set_handler: Callable[..., Any], set_descriptor: Callable[..., int]) -> None:
    module: Any = signal
    module.signal, module.set_wakeup_fd = set_handler, set_descriptor
