"""A command that is told to end while secrets of the gateway lie in a folder that it has made takes them away first."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
"""From a supervisor, or from a terminal that was closed."""


@contextmanager
def ending_in_order() -> Iterator[None]:
    """While this lasts those signals are an exit like any other, with the code that shells give."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _exit) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit(number: int, frame: FrameType | None) -> None:
    for one in ENDING:
        signal.signal(one, signal.SIG_IGN)  # What is taken away is taken away whole.
    sys.exit(128 + number)
