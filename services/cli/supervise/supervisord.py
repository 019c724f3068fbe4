"""What our part inside supervisord uses of it; supervisord itself says no types."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol


class ProcessConfig(Protocol):
    """What our configuration says of a process."""

    name: str
    """Spelled by `encode_word`."""
    command: str
    """As the file says it: words with blanks between."""
    exitcodes: Collection[int]
    """Exit codes that are no failure."""

    def create_autochildlogs(self) -> None:
        """Makes what it needs before the first process."""
        ...

    def make_process(self, group: ProcessGroup) -> Process:
        """A process that does not run yet."""
        ...


class GroupConfig(Protocol):
    """What our configuration says of processes that are started and stopped together."""

    name: str
    process_configs: list[ProcessConfig]


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

    def stop(self) -> str | None:
        """Begins to stop it."""
        ...


class ProcessGroup(Protocol):
    """Processes that are started and stopped together."""

    config: GroupConfig
    processes: dict[str, Process]


class Options(Protocol):
    """What supervisord has read, and how it reaches the system."""

    mood: int
    """One of SupervisorStates: what it wants to do."""

    process_group_configs: Sequence[GroupConfig]
    """What its file said when it was read last."""

    execve: Callable[[str, Sequence[str], Mapping[str, str]], None]
    """What a child that was forked, and has its files, becomes a program by. Raises OSError."""

    def process_config(self, *, do_usage: bool) -> None:
        """Reads its file anew; nothing that runs is touched. Raises ValueError for one that can't be used."""
        ...

    def get_socket_map(self) -> dict[int, object]:
        """Descriptor → who is polled for it, and is told."""
        ...


class Supervisord(Protocol):
    """The whole of it."""

    options: Options
    process_groups: Mapping[str, ProcessGroup]

    def add_process_group(self, config: GroupConfig) -> bool:
        """Makes a group, whose processes start."""
        ...


class ProcessEvent(Protocol):
    """Something that has happened to a process."""

    process: Process


class OutputEvent(ProcessEvent, Protocol):
    """Something that a process wrote."""

    data: bytes
