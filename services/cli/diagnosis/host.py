"""What is known of this machine without touching any port: its processes, and whether it is a container."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from typing import Final, NamedTuple

from common.config import usb_ports

_TEXT_BYTES: Final = 65_536
"""Files of /proc, /sys and udev are read so far: none that matters is longer."""


class Host(NamedTuple):
    """Where this machine shows what it is. Tests give folders that look like it."""

    proc: str = "/proc"
    sys: str = "/sys"
    dev: str = "/dev"
    run: str = "/run"
    etc: str = "/etc"
    lib: str = "/usr/lib"
    modules: str = "/lib/modules"
    root: str = "/"

    @classmethod
    def own(cls) -> Host:
        """This machine."""
        return cls(sys=usb_ports.SYS, dev=usb_ports.DEV)

    @property
    def is_container(self) -> bool:
        """True where devices and rights are given from outside."""
        marks = (os.path.join(self.root, ".dockerenv"), os.path.join(self.run, ".containerenv"))
        return any(map(os.path.exists, marks)) or bool(os.environ.get("container"))  # noqa: SIM112 (podman's name)


class Process(NamedTuple):
    """A process that runs."""

    pid: int
    name: str
    """As the kernel knows it, 15 characters at most."""
    command: tuple[str, ...]
    """Its command line; () where it can't be read."""
    user: str
    user_id: int

    def __str__(self) -> str:
        program = f" running {script}" if (script := self._script) else ""
        return f"{self.name}{program} (pid {self.pid}, user {self.user})"

    @property
    def _script(self) -> str:
        """What an interpreter runs: many programs for serial lines are scripts, and `python` names none of them."""
        if not self.name.startswith(("python", "node", "perl", "ruby")):
            return ""
        words = self.command[1:]
        if "-m" in words[:-1]:
            return words[words.index("-m") + 1]
        return next((os.path.basename(word) for word in words if not word.startswith("-")), "")


def processes(host: Host) -> list[Process]:
    """Every process that is seen from here, by its pid. Raises nothing; what ends meanwhile is left out."""
    return [process for pid in pids(host) if (process := process_of(host, pid)) is not None]


def pids(host: Host) -> list[int]:
    """The pids of all processes that are seen from here."""
    return sorted(int(name) for name in names_in(host.proc) if name.isdigit())


def process_of(host: Host, pid: int) -> Process | None:
    """The process of this pid; None if it is gone."""
    folder = os.path.join(host.proc, str(pid))
    try:
        user_id = os.stat(folder).st_uid
    except OSError:
        return None
    words = text_of(os.path.join(folder, "cmdline")).rstrip("\0").split("\0")
    name = text_of(os.path.join(folder, "comm")).strip() or os.path.basename(words[0]) or str(pid)
    return Process(pid, name, tuple(filter(None, words)), _user(user_id), user_id)


def text_of(path: str) -> str:
    """What a file says; "" where it can't be read. Raises nothing."""
    try:
        with open(path, "rb") as file:
            return file.read(_TEXT_BYTES).decode(errors="replace")
    except OSError:
        return ""


def names_in(folder: str) -> list[str]:
    """The names in a folder, in their order; [] where it can't be read. Raises nothing."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def folders_up(path: str) -> Iterator[str]:
    """The folder behind all links, and those above it, from the inside out."""
    path = os.path.realpath(path)
    while len(path) > 1:
        yield path
        path = os.path.dirname(path)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
