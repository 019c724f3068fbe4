"""What a process and all that descend from it have used: processor time, memory, bytes sent to the disk."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

MIB_KIB = 1024


def cpu_clock_s(pid: int) -> float:
    """The processor time of a process, all its threads, those that have ended too. OSError: there is no such process.

    `/proc/PID/stat` has it in hundredths of a second, which is more than a quiet process takes in a minute; the
    kernel's clock of a process (see clock_getcpuclockid(3)) has nanoseconds.
    """
    return time.clock_gettime(~pid << 3 | 2)


def pss_kib(pid: int) -> int:
    """Proportional memory of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def written_bytes(pid: int) -> int:
    """What a process has sent to the disk; 0 where its files are in memory."""
    rows = Path(f"/proc/{pid}/io").read_text().splitlines()
    return sum(int(row.split()[1]) for row in rows if row.startswith("write_bytes:"))


def descendants(pid: int) -> list[int]:
    """The process itself and all below it."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


class Used(NamedTuple):
    """What a tree has used so far, by process."""

    at_s: float
    cpu_s: dict[int, float]
    written_bytes: dict[int, int]


def look(pid: int) -> Used:
    """The whole tree now; without who ends while it is looked at."""
    used = Used(time.monotonic(), {}, {})
    for one in descendants(pid):
        try:
            cpu_s, size = cpu_clock_s(one), written_bytes(one)
        except OSError:
            continue
        used.cpu_s[one], used.written_bytes[one] = cpu_s, size
    return used


def tree_pss_mib(pid: int) -> float:
    """Proportional memory of the whole tree."""
    return round(sum(pss_kib(one) for one in descendants(pid)) / MIB_KIB, 1)


class Spent:
    """What a tree uses from now on. A process that ends meanwhile takes its part with it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = look(pid)
        self._after = self._before

    def look(self) -> None:
        """The end of what is asked for below."""
        self._after = look(self._pid)

    @property
    def cpu_s_by_process(self) -> dict[int, float]:
        before = self._before.cpu_s
        return {pid: used_s - before.get(pid, 0.0) for pid, used_s in self._after.cpu_s.items()}

    @property
    def cpu_s(self) -> float:
        return sum(self.cpu_s_by_process.values())

    @property
    def cpu_percent(self) -> float:
        """Of one core."""
        return round(100 * self.cpu_s / self.seconds, 2)

    @property
    def written_bytes(self) -> int:
        before = self._before.written_bytes
        return sum(size - before.get(pid, 0) for pid, size in self._after.written_bytes.items())

    @property
    def seconds(self) -> float:
        return max(1e-9, self._after.at_s - self._before.at_s)
