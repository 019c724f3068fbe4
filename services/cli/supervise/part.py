"""Our part inside supervisord, which loads it as an "rpcinterface": once, with its event system ready.

It tells what happens, and looks after what supervisord does not see: who hangs, and who waits for a better
configuration. It has to be small and quick, since supervisord does nothing else meanwhile.
"""

from __future__ import annotations

import json
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from supervisor import events
from supervisor.states import SupervisorStates

from common.config.names import SECRET_VARIABLES
from common.config.overlay import REMOTE_DIR, is_waiting
from common.core.events import Note
from common.io.alive import AliveFile
from common.io.exits import EXIT_CONFIG
from common.io.levels import SIGNAL as LEVELS_SIGNAL
from common.io.orders import APPLY_FILE
from common.io.systemd import notify_systemd
from common.io.variables import ALIVE_VARIABLE
from services.cli.supervise.applying import Applying
from services.cli.supervise.conf import CONFIGURATOR, RELOADER
from services.cli.supervise.forking import Forks
from services.cli.supervise.launch import decode_word
from services.cli.supervise.lines import PublisherLines
from services.cli.supervise.log import SupervisordLog
from services.cli.supervise.orders import Orders
from services.cli.supervise.pulse import Pulses
from services.cli.supervise.readiness import Readiness
from services.cli.supervise.revival import Revival
from services.cli.supervise.signals import guard_forks
from services.cli.supervise.supervisord import Process, ProcessEvent, Supervisord
from services.cli.supervise.wakeup import SignalWakeup

Event = TypeVar("Event")


class SupervisordPart:
    """What is done every five seconds, and when a process has ended."""

    def __init__(
        self, supervisord: Supervisord, log: SupervisordLog, lines: PublisherLines, run_dir: Path, files: list[str]
    ) -> None:
        self._supervisord = supervisord
        self._log = log
        self._lines = lines
        self._run_dir = run_dir
        self._applying = Applying(supervisord, log.note)
        self._revival = Revival(files)
        self._is_reload_due = False
        """True if the files are to be looked at again when who looks at them has ended."""
        self._pulses: Pulses | None = None
        """None where there is no room for its pipe: then nobody notices who hangs."""
        try:
            self._pulses = Pulses(run_dir, log.note)
        except OSError as error:
            # Rather without than not at all.
            log.note(Note("error", "pulses.unavailable", {"reason": str(error), "then": "who hangs is not replaced"}))
        named = os.environ.get(ALIVE_VARIABLE)
        self._readiness = Readiness()
        self._alive = AliveFile(Path(named)) if named else None
        self.orders: Orders | None = None
        """None where there is no room for its pipe: then nobody can ask for anything."""
        try:
            self.orders = Orders(run_dir, _guarded(self._obey))
        except OSError as error:
            then = "the platform can't restart or configure the gateway"
            log.note(Note("error", "orders.unavailable", {"reason": str(error), "then": then}))

    def tick(self, event: object) -> None:
        """Five seconds have passed."""
        if self._pulses is not None:
            self._pulses.check(self._processes())
        self._revival.check()
        self._applying.go_on()
        self._lines.open()
        self._log.catch_up(event)
        if self._alive is not None:
            self._alive.touch(time.monotonic())
        self._readiness.tick()
        notify_systemd("WATCHDOG=1")

    def exited(self, event: ProcessEvent) -> None:
        """A process ended without being told to; one that says its configuration is wrong waits until a file has
        changed."""
        if event.process.exitstatus == EXIT_CONFIG:
            self._revival.wait(event.process)
        self._log.exited(event)
        if event.process.config.name == CONFIGURATOR:
            # supervisord has not finished with it; and more may have come meanwhile.
            self._again("configure")
        if event.process.config.name == RELOADER and self._is_reload_due:
            self._again("reload")

    def stopped(self, event: ProcessEvent) -> None:
        """A process ended because it was told to; perhaps it is to start anew."""
        self._log.stopped(event)
        self._again("go on")

    def running(self, event: object) -> None:
        """supervisord has started, and has its handlers by now. It would stop and start everything at a SIGHUP."""
        signal.signal(signal.SIGHUP, self._hang_up)
        self._log.running(event)
        self._again("configure")

    def stopping(self, event: object) -> None:
        """The whole gateway was told to stop."""
        self._revival.stop()
        self._log.stopping(event)
        if self._supervisord.options.mood != SupervisorStates.RESTARTING:
            notify_systemd("STOPPING=1")

    def _obey(self, order: str) -> None:
        """Somebody of ours asks for something. An order that nobody knows is left alone: it may be of a newer
        release."""
        match order.split():
            case ["go", "on"]:
                self._applying.go_on()
            case ["logs"]:
                self._lines.open()
            case ["configure"]:
                self._configure()
            case ["standing", word, *text]:
                self._readiness.hear(word, " ".join(text))
            case ["levels"]:
                self._tell_levels()
            case ["apply"]:
                self._applying.begin(json.loads((self._run_dir / APPLY_FILE).read_bytes()))
            case ["restart", seconds] if seconds != "reload":
                # Its answer is still to go out.
                self._later("restart", float(seconds))
            case ["restart", "reload"]:
                self._restart("a reload")
            case ["restart"]:
                self._restart()
            case ["reload"]:
                self._reload()
            case ["secret", name, *value] if name in SECRET_VARIABLES:
                # The publisher starts with it; all others get a word in its place.
                os.environ[name] = decode_word("".join(value))

    def _configure(self) -> None:
        """The platform wants something configured: starts who looks at it. One that runs looks at all there is."""
        group = self._supervisord.process_groups.get(CONFIGURATOR)
        if group is None or not is_waiting(self._run_dir.parent / REMOTE_DIR):
            return
        process = group.processes[CONFIGURATOR]
        if not process.pid and self._supervisord.options.mood == SupervisorStates.RUNNING:
            process.spawn()

    def _hang_up(self, *_: object) -> None:
        """SIGHUP: somebody wants the files to be taken, or a terminal has gone away, which changes nothing."""
        self._again("reload")

    def _reload(self) -> None:
        """Starts who takes what stands in the files now. One that runs may have read them already, and is followed by
        another."""
        group = self._supervisord.process_groups.get(RELOADER)
        if group is None or self._supervisord.options.mood != SupervisorStates.RUNNING:
            return
        process = group.processes[RELOADER]
        self._is_reload_due = bool(process.pid)
        if not process.pid:
            self._log.note(Note("info", "configuration.reloading", {"asked_by": "SIGHUP"}))
            process.spawn()

    def _tell_levels(self) -> None:
        """Processes are to log more, or less: they look how much."""
        for process in self._processes():
            if process.pid:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, LEVELS_SIGNAL)

    def _again(self, order: str) -> None:
        if self.orders is not None:
            self.orders.again(order)

    def _later(self, order: str, delay_s: float) -> None:
        if self.orders is not None:
            self.orders.later(order, delay_s)

    def _restart(self, asked_by: str = "the platform") -> None:
        """Stops all processes in their order, and starts them again, with what was configured when this gateway was
        started."""
        if self._supervisord.options.mood == SupervisorStates.RUNNING:
            note = {"asked_by": asked_by, "then": "all processes are stopped in order and started again"}
            self._log.note(Note("info", "gateway.restarting", note))
            self._supervisord.options.mood = SupervisorStates.RESTARTING

    def _processes(self) -> Iterator[Process]:
        """All processes that go round. Those that change a configuration do not: they wait for others, for a bounded
        time each."""
        for name, group in self._supervisord.process_groups.items():
            if name not in (CONFIGURATOR, RELOADER):
                yield from group.processes.values()


def start(supervisord: Supervisord, run_dir: str = "", files: str = "") -> SupervisordPart:
    """supervisord's hook: subscribes, and returns the object that it keeps. The arguments come from its configuration,
    spelled by `encode_word`; `files` are separated by blanks."""
    place = Path(decode_word(run_dir))
    lines = PublisherLines(place)
    log = SupervisordLog(lines, place.parent)
    part = SupervisordPart(supervisord, log, lines, place, list(map(decode_word, files.split())))
    guard_forks()
    forks = Forks(supervisord.options.execve, log.note)
    supervisord.options.execve = forks.execve
    sockets = supervisord.options.get_socket_map()
    SignalWakeup().join(sockets)
    log.join(sockets)
    if part.orders is not None:
        part.orders.join(sockets)
    for event, callback in (
        (events.ProcessLogEvent, log.output),
        (events.ProcessStateStartingEvent, lambda event: forks.prepare(event.process.config.command)),
        (events.ProcessStateExitedEvent, part.exited),
        (events.ProcessStateFatalEvent, log.gave_up),
        (events.ProcessStateStoppedEvent, part.stopped),
        (events.ProcessStateRunningEvent, log.started),
        (events.SupervisorStoppingEvent, part.stopping),
        (events.SupervisorRunningEvent, part.running),
        (events.Tick5Event, part.tick),
    ):
        events.subscribe(event, _guarded(callback))
    return part


def _guarded(callback: Callable[[Event], None]) -> Callable[[Event], None]:
    """What an event makes us do, whatever goes wrong in it: an exception would end supervisord, and all with it."""

    def call(event: Event) -> None:
        try:
            callback(event)
        except Exception:  # noqa: BLE001 (a bug here must not end all processes; it is logged)
            traceback.print_exc()

    return call
