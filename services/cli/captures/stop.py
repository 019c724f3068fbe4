"""Ctrl-C as a wish, for commands that have something to finish: a file to end, a link to take away."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Final, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopWish:
    """`is_set` once somebody wants the command to end; a second time ends it at once. Use as a context manager."""

    def __init__(self) -> None:
        self.is_set = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        # Python lets the main thread alone have handlers.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._wish) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _wish(self, _number: int, _frame: FrameType | None) -> None:
        self.is_set = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}
