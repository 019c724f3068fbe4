"""How the machine and the gateway's own processes are, for the statistics. Linux's /proc, read in a thread: with many
processes that takes a while, and nobody's readings are to wait for it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from common.io.inbox import Inbox
from common.io.sources import Sources
from common.io.variables import TOP_VARIABLE
from services.publisher.core.events import Event, MachineSeen

PROC: Final = Path("/proc")
_MEMORY: Final = {"Rss": "rss", "Pss": "pss", "Shared_Clean": "shared", "Shared_Dirty": "shared", "Swap": "swap"}
"""Line of `smaps_rollup` → the name that the reference has for it."""
_OWN_LINES: Final = ("Private_Clean", "Private_Dirty")
"""Together they are `uss`."""


class MachineLook:
    """Looks when it is told to; `MachineSeen` follows."""

    def __init__(self, sources: Sources[Event]) -> None:
        self._seen: Inbox[MachineSeen] = Inbox()
        sources.add_reader(self._seen.descriptor, self._seen.take)

    def look(self) -> None:
        """Begins to look."""
        threading.Thread(target=self._look, name="machine", daemon=True).start()

    def _look(self) -> None:
        self._seen.put(look_at_machine(os.environ))


def look_at_machine(environ: Mapping[str, str]) -> MachineSeen:
    """What can be seen now. Raises nothing: what can't be read is 0."""
    memory = _numbers(_text(PROC / "meminfo"))
    try:
        disk = os.statvfs("/")
        disk_bytes, free_bytes = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    except OSError:
        disk_bytes = free_bytes = 0
    own = _own_processes(environ)
    return MachineSeen(
        at_s=time.monotonic(),
        cpus=os.cpu_count() or 1,
        load=os.getloadavg()[2],
        memory_bytes=memory.get("MemTotal", 0),
        free_memory_bytes=memory.get("MemAvailable", 0),
        disk_bytes=disk_bytes,
        free_disk_bytes=free_bytes,
        own_cpu_s=sum(map(_cpu_s, own)),
        own_memory=_memory_of(own),
    )


def _own_processes(environ: Mapping[str, str]) -> list[int]:
    """The gateway's processes: those that `serialgw run` has started, and theirs; this one, where somebody else did."""
    top = environ.get(TOP_VARIABLE, "")
    if not top.isdigit():
        return [os.getpid()]
    parents = {}
    for entry in os.listdir(PROC):
        if entry.isdigit() and (fields := _stat(int(entry))):
            parents[int(entry)] = int(fields[1])
    found = [int(top)]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _stat(pid: int) -> list[str]:
    """The fields of `stat` behind the name, which may hold blanks: state, parent, … ; [] if the process has ended."""
    return _text(PROC / str(pid) / "stat").rpartition(")")[2].split()


def _cpu_s(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if len(fields) > 12 else 0.0


def _memory_of(pids: list[int]) -> dict[str, int]:
    """Bytes of all of them together."""
    found: dict[str, int] = dict.fromkeys((*_MEMORY.values(), "uss"), 0)
    for pid in pids:
        for name, size in _numbers(_text(PROC / str(pid) / "smaps_rollup")).items():
            if name in _MEMORY:
                found[_MEMORY[name]] += size
            elif name in _OWN_LINES:
                found["uss"] += size
    return found


def _numbers(text: str) -> dict[str, int]:
    """`Name: 12 kB` lines, in bytes."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[0].isdigit():
            found[name] = int(words[0]) * 1024
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
