"""Work that takes its time, in a thread of its own beside the loop's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

Result = TypeVar("Result")


async def aside(work: Callable[[], Result]) -> Result:
    """What the work returns, or raises. Its thread keeps no process from ending, as one of an executor does: a monitor
    that is told to stop waits for no device and for no command."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def run() -> None:
        tell: Callable[[], None]
        try:
            tell = partial(done.set_result, work())
        except BaseException as error:  # noqa: BLE001 (whoever waits is told, whatever it is)
            tell = partial(done.set_exception, error)
        try:
            loop.call_soon_threadsafe(lambda: None if done.done() else tell())
        except RuntimeError:
            pass  # The loop has ended meanwhile.

    threading.Thread(target=run, name="web-aside", daemon=True).start()
    return await done
