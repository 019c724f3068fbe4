"""Who has a port: seen from outside, by the files that processes have open and by the locks that they hold.

A port is never opened to find that out: opening one raises DTR, which resets many boards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from common.io.variables import GATEWAY_VARIABLE
from services.cli.diagnosis.host import Host, Process, names_in, pids, process_of, text_of

_LOCK: Final = re.compile(r"^\d+: FLOCK\s+\S+\s+WRITE (\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) ", re.MULTILINE)
"""A line of /proc/locks: pid, major and minor number of the file system in hexadecimal, inode (proc(5))."""


class Holder(NamedTuple):
    """A process that has a port."""

    process: Process
    data_dir: str = ""
    """Of a port reader: its gateway's data directory, where that is seen."""

    @property
    def is_reader(self) -> bool:
        """True for a port reader of some gateway."""
        return "services.port_reader" in self.process.command


class Held(NamedTuple):
    """Who has which port."""

    holders: dict[int, tuple[Holder, ...]]
    """By the port's device number (`st_rdev`)."""
    unseen: int
    """Processes into which this user may not look."""


def find_holders(host: Host, ports: Iterable[str]) -> Held:
    """Who has these ports, other than this process. Raises nothing; a port that is not there has no holders."""
    wanted: dict[int, os.stat_result] = {}
    for path in ports:
        try:
            found = os.stat(path)
        except OSError:
            continue
        wanted[found.st_rdev] = found
    if not wanted:
        return Held({}, 0)
    pids_of: dict[int, set[int]] = {number: _lockers(host, found) for number, found in wanted.items()}
    unseen = 0
    for pid in pids(host):
        numbers = _open_devices(host, pid)
        unseen += numbers is None
        for number in (numbers or set()) & wanted.keys():
            pids_of[number].add(pid)
    holders = {number: tuple(_holders(host, found - {os.getpid()})) for number, found in pids_of.items()}
    return Held(holders, unseen)


def _holders(host: Host, found: set[int]) -> Iterable[Holder]:
    for pid in sorted(found):
        if (process := process_of(host, pid)) is not None:
            yield Holder(process, _gateway_of(host, pid))


def _open_devices(host: Host, pid: int) -> set[int] | None:
    """The device numbers of what a process has open below /dev; None where this user may not look."""
    folder = os.path.join(host.proc, str(pid), "fd")
    try:
        names = os.listdir(folder)
    except PermissionError:
        return None
    except OSError:
        return set()
    found = set()
    for name in names:
        path = os.path.join(folder, name)
        try:
            # Only the name is looked at of what is no device: a file on a dead network drive would not answer.
            if os.readlink(path).startswith(("/dev/", host.dev)):
                found.add(os.stat(path).st_rdev)
        except OSError:
            continue
    return found


def _lockers(host: Host, port: os.stat_result) -> set[int]:
    """Who has locked a port's file: seen also of other users' processes."""
    place = os.major(port.st_dev), os.minor(port.st_dev), port.st_ino
    found = set()
    for pid, major, minor, inode in _LOCK.findall(text_of(os.path.join(host.proc, "locks"))):
        if (int(major, 16), int(minor, 16), int(inode)) == place:
            found.add(int(pid))
    return found


def _gateway_of(host: Host, pid: int) -> str:
    """The data directory of the gateway that a process belongs to; "" if to none, or where that is not seen."""
    words = text_of(os.path.join(host.proc, str(pid), "environ")).split("\0")
    return next((word.partition("=")[2] for word in words if word.startswith(f"{GATEWAY_VARIABLE}=")), "")


def lock_files(host: Host, path: str) -> list[tuple[str, int]]:
    """(lock file, pid in it) of each program of the old kind that says it uses the port; 0 for a pid that is not
    readable. They bind nobody who does not look (Filesystem Hierarchy Standard 3.0, 5.9)."""
    folder = os.path.join(host.run, "lock")
    wanted = {f"LCK..{os.path.basename(name)}" for name in (path, os.path.realpath(path))}
    found = []
    for name in names_in(folder):
        if name in wanted:
            word = text_of(os.path.join(folder, name)).split()
            found.append((os.path.join(folder, name), int(word[0]) if word and word[0].isdigit() else 0))
    return found
