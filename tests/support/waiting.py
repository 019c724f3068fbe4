"""Waiting for a condition with a deadline: the one place in the tests where time passes on purpose."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def wait_until(condition: Callable[[], Value], what: str, deadline_s: float = 20.0, every_s: float = 0.01) -> Value:
    """The first true value of `condition`; fails with `what` when there was none before the deadline."""
    end_s = time.monotonic() + deadline_s
    pause = threading.Event()
    while not (value := condition()):
        if time.monotonic() > end_s:
            raise AssertionError(f"not within {deadline_s:g} s: {what}")
        pause.wait(every_s)
    return value
