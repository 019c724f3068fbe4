"""Runs inside supervisord: what a changed configuration means for its processes, one by one. The others go on.

supervisord's own `update` stops and starts a whole group where one process of it is another. Here programs are taken
out of a running group and put into it; those that go are stopped before those that come are started, since both may
want the same port or journal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from supervisor.states import SupervisorStates

from common.core.events import Note
from services.cli.supervise.supervisord import Process, ProcessConfig, ProcessGroup, Supervisord


class _Stopping(NamedTuple):
    """A process that was told to stop, and what comes then."""

    group: ProcessGroup
    process: Process
    then: Literal["start", "remove"]


class Applying:
    """One change at a time; what is not done yet goes on with each `go_on`."""

    def __init__(self, supervisord: Supervisord, note: Callable[[Note], None]) -> None:
        self._supervisord = supervisord
        self._note = note
        self._stopping: list[_Stopping] = []
        self._added: list[tuple[ProcessGroup, ProcessConfig]] = []

    def begin(self, restarts: Sequence[str]) -> None:
        """Compares supervisord's file with what runs: programs that are new start, those that are gone stop, and those
        whose names are given start anew."""
        options = self._supervisord.options
        try:
            options.process_config(do_usage=False)
        except ValueError as error:
            self._note(Note("error", "configuration.not_applied", {"reason": str(error)}))
            return
        self._added.clear()
        wanted = {config.name: config for group in options.process_group_configs for config in group.process_configs}
        for group in self._supervisord.process_groups.values():
            for name, process in list(group.processes.items()):
                if name not in wanted:
                    self._stop(group, process, "remove")
                else:
                    self._exchange(group, process, wanted[name])
                    # Who was to go, and is wanted again before it has gone, comes back.
                    if name in restarts or any(entry.process is process for entry in self._stopping):
                        self._stop(group, process, "start")
        for group_config in options.process_group_configs:
            running = self._supervisord.process_groups.get(group_config.name)
            if running is None:
                self._supervisord.add_process_group(group_config)
                continue
            new = [config for config in group_config.process_configs if config.name not in running.processes]
            self._added += [(running, config) for config in new]
        self.go_on()

    @staticmethod
    def _exchange(group: ProcessGroup, process: Process, config: ProcessConfig) -> None:
        """From its next start on the process goes by this; until then nothing about it changes."""
        configs = group.config.process_configs
        configs[:] = [config if one.name == config.name else one for one in configs]
        process.config = config

    def _stop(self, group: ProcessGroup, process: Process, then: Literal["start", "remove"]) -> None:
        self._stopping = [entry for entry in self._stopping if entry.process is not process]
        self._stopping.append(_Stopping(group, process, then))
        if process.pid:
            process.stop()

    def go_on(self) -> None:
        """Looks who has stopped. To be called whenever one has, outside of what supervisord does with it."""
        if self._supervisord.options.mood != SupervisorStates.RUNNING:
            self._stopping.clear()
            self._added.clear()
            return
        waiting, self._stopping = self._stopping, []
        for entry in waiting:
            if entry.process.pid:
                self._stopping.append(entry)
            elif entry.then == "start":
                entry.process.spawn()
            else:
                name, configs = entry.process.config.name, entry.group.config.process_configs
                del entry.group.processes[name]
                configs[:] = [config for config in configs if config.name != name]
        if not any(entry.then == "remove" for entry in self._stopping):
            added, self._added = self._added, []
            for group, config in added:
                # supervisord starts it in the same round, as it does at its own start.
                config.create_autochildlogs()
                group.processes[config.name] = config.make_process(group)
                group.config.process_configs.append(config)
