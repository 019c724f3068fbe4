"""What our part inside supervisord uses of it; supervisord itself says no types."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol


class ProcessConfig(Protocol):
    """What our configuration says of a process."""

    name: str
    """Spelled by `encode_word`."""
    exitcodes: Collection[int]
    """Exit codes that are no failure."""


class Process(Protocol):
    """A process that supervisord starts."""

    config: ProcessConfig
    pid: int
    """0 while it does not run."""
    exitstatus: int
    """The exit code of one that has ended; -1 for every signal."""
    spawnerr: str | None
    """Why it could not be started."""

    def spawn(self) -> int | None:
        """Starts it."""
        ...


class ProcessGroup(Protocol):
    """Processes that are started and stopped together."""

    processes: Mapping[str, Process]


class Options(Protocol):
    """What supervisord has read, and how it reaches the system."""

    mood: int
    """One of SupervisorStates: what it wants to do."""

    def get_socket_map(self) -> dict[int, object]:
        """Descriptor → who is polled for it, and is told."""
        ...


class Supervisord(Protocol):
    """The whole of it."""

    options: Options
    process_groups: Mapping[str, ProcessGroup]


class ProcessEvent(Protocol):
    """Something that has happened to a process."""

    process: Process


class OutputEvent(ProcessEvent, Protocol):
    """Something that a process wrote."""

    data: bytes
