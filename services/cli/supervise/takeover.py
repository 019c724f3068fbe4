"""What a gateway that was killed has left behind. Its processes end with it; one that was stopped, or hangs, can't."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from common.io.variables import GATEWAY_VARIABLE, TOP_VARIABLE

PATIENCE_S: Final = 10.0
"""How long they may take to end in order, which a port reader uses to write down what it has read."""
KILLED_S: Final = 5.0
"""How long the kernel may take to end what was killed."""


def end_leftovers(data_dir: Path, patience_s: float = PATIENCE_S) -> int:
    """Ends every process that an earlier `serialgw run` on this data directory has started; how many there were. For
    who holds the directory's lock: no other gateway lives. Waits until they are gone; who is not by `patience_s` is
    killed."""
    found = dict(_leftovers(data_dir))
    try:
        for handle in found:
            _send(handle, signal.SIGTERM)
            # One that was stopped hears it only now.
            _send(handle, signal.SIGCONT)
        left = _wait(set(found), patience_s)
        for handle in left:
            _send(handle, signal.SIGKILL)
        _wait(left, KILLED_S)
        return len(found)
    finally:
        for handle in found:
            os.close(handle)


def _leftovers(data_dir: Path) -> Iterator[tuple[int, int]]:
    """(handle, pid) of each: a handle means one process, even if its pid is used again."""
    mark = f"{GATEWAY_VARIABLE}={data_dir.resolve()}".encode(errors="surrogateescape")
    own = f"{TOP_VARIABLE}={os.getpid()}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            handle = os.pidfd_open(int(folder.name))
        except OSError:
            continue
        try:
            words = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            words = []
        if mark in words and own not in words:
            yield handle, int(folder.name)
        else:
            os.close(handle)


def _send(handle: int, number: signal.Signals) -> None:
    """Sends a signal to exactly this process; nothing to one that is gone."""
    try:
        signal.pidfd_send_signal(handle, number)
    except OSError:
        pass  # It is gone.


def _wait(handles: set[int], seconds: float) -> set[int]:
    """Waits until the processes behind these handles are gone; those that are not in time."""
    end_s = time.monotonic() + seconds
    left = set(handles)
    poll = select.poll()
    for handle in left:
        poll.register(handle, select.POLLIN)
    while left and (left_s := end_s - time.monotonic()) > 0:
        for handle, _ in poll.poll(int(left_s * 1000) + 1):
            poll.unregister(handle)
            left.discard(handle)
    return left
