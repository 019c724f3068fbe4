"""A connector host at work: the gateway's thread with journal and sockets, and the main thread for the user's code.

The gateway's thread comes first: it takes the lock and opens the journal, so that whatever the connector says is kept
from its first word on. When its loop ends the process ends, whatever the connector's threads are in.
"""

from __future__ import annotations

import logging
import os
import threading
from functools import partial
from pathlib import Path
from typing import Any, Final

from common.compat.hook import install
from common.config.host_task import HostTask
from common.config.models import Device, section_of
from common.config.names import BUILTIN_ENTRIES
from common.core.events import Note
from common.core.hashes import short_hash
from common.io.clock import monotonic_s, wall_ms
from common.io.endpoints import Endpoints, socket_dir
from common.io.journal.files import JournalFile
from common.io.journal.journal import Journal
from common.io.journal.places import DEVICES_SUFFIX
from common.io.journal.sections import section_name
from common.io.journal.serving import limits_of, open_stream, show_breath, tell_opening
from common.io.levels import LogLevels
from common.io.locks import FileLock
from common.io.logs import log_note, start_logs, unblocking_descriptor
from common.io.private import make_private
from common.io.process import begin, draw, make_identity, refusals, run_core
from common.io.sources import Sources
from common.io.users_path import add_users_path
from common.io.users_process import let_go_in_children, take_no_input
from common.stream.device_stream import KeptDevice as KeptStream
from common.wire.calls import hosted_stream
from services.connector_host.core.core import ConnectorFacts, ConnectorHostCore
from services.connector_host.core.devices import KeptDevice
from services.connector_host.core.events import Event
from services.connector_host.shell.devices_file import read_devices
from services.connector_host.shell.facade import Hosted
from services.connector_host.shell.intake import Intake
from services.connector_host.shell.pulse import HostPulse
from services.connector_host.shell.shell import ConnectorHostShell
from services.connector_host.shell.users_code import UsersCode
from services.connector_host.shell.users_log import take_users_logs
from services.connector_host.shell.users_signals import UsersSignals

KIND: Final = "connector_host"
SECRETS: Final = "TB_GW_"
"""Variables that begin so are between the publisher and the platform, and no business of users' code."""


def serve(task: HostTask) -> int:
    """Serves until the end, and ends the process then. Raises SystemExit where it can't be served now."""
    for name in [name for name in os.environ if name.startswith(SECRETS)]:
        del os.environ[name]
    logger = begin(f"{KIND}:{task.connector.name}", task.log_level)
    take_no_input()
    signals = UsersSignals()
    gateway = _GatewayThread(task, signals.reading, logger)
    gateway.start()
    gateway.is_ready.wait()
    if gateway.users is None:
        gateway.join()
        return gateway.code
    users = gateway.users
    signals.guard()

    def forked() -> None:
        signals.unguard()
        users.forked()

    let_go_in_children(lambda: [*signals.descriptors, *gateway.locked], forked)
    users.run()
    raise RuntimeError("the main thread of a connector host does not come back")


class _GatewayThread(threading.Thread):
    """The thread with all that is ours: nothing of the user's ever runs in it."""

    def __init__(self, task: HostTask, signals: int, logger: logging.Logger) -> None:
        super().__init__(name="serialgw", daemon=True)
        self._task = task
        self._signals = signals
        self._logger = logger
        self.is_ready = threading.Event()
        """Set when the user's code may begin, or when there will be none."""
        self.users: UsersCode | None = None
        self.code = 0
        self.locked: list[int] = []
        """Descriptors that hold a lock."""

    def run(self) -> None:
        try:
            self.code = self._serve()
        except SystemExit as end:
            self.code = end.code if isinstance(end.code, int) else 1
        except BaseException:  # Whatever it is: a process whose gateway thread is gone must not go on.
            self._logger.exception("process.crashed")
            self.code = 70
        if self.users is None:
            self.is_ready.set()
            return
        # Threads of the connector's that go on must not keep the process.
        os._exit(self.code)

    def _serve(self) -> int:
        task, connector = self._task, self._task.connector
        path = Path(task.journal)
        with refusals():
            make_private(path.parent, close=True)
            lock = FileLock(path.with_name(path.name + ".lock"))
            self.locked.append(lock.descriptor)
            sockets = socket_dir(Path(task.data_dir))
            endpoints = Endpoints(sockets)
            pulse = HostPulse(sockets, unblocking_descriptor(self._logger), f"{KIND}:{connector.name}")
            breathe = partial(show_breath, pulse)
            stream = hosted_stream(connector.name)
            section = section_of(
                Device(
                    name=stream,
                    converter=BUILTIN_ENTRIES,
                    connector_name=connector.name,
                    uplink_queue_size=connector.uplink_queue_size,
                )
            )
            name = section_name(section)
            opening = open_stream(
                JournalFile(path, stream, os.urandom(6).hex(), task.storage.durability, (name, section)), breathe
            )
        logger, journal = self._logger, opening.journal
        tell_opening(opening, logger)
        journal.put_section(name, section)
        file = path.with_name(path.name + DEVICES_SUFFIX)
        devices, fault = read_devices(file)
        if fault:
            log_note(logger, Note("warning", "devices.unreadable", {"reason": fault}))
        try:
            hosted, users = self._make_users(journal, devices)
            sources: Sources[Event] = Sources()
            shell = ConnectorHostShell(
                journal, file, endpoints, sources, hosted=hosted, users=users, logger=logger, breathe=breathe
            )
            core = ConnectorHostCore(
                make_identity(KIND, connector.name, lock.path),
                ConnectorFacts(
                    connector.name,
                    connector.type,
                    connector.class_name,
                    connector.class_file,
                    connector.memory_limit_mb,
                ),
                KeptStream(stream, name, lambda: section, journal.state),
                devices=devices,
                limits=limits_of(path.parent, task.streams, connector.uplink_queue_size, task.storage),
                draw=draw,
                gauges=lambda: shell.gauges,
                has_ended=lambda: users.has_ended,
                wall_offset_ms=wall_ms() - monotonic_s() * 1000,
            )
            self.users = users
            self.is_ready.set()
            levels = LogLevels(sockets, logger)
            return run_core(
                core, shell, sources, logger, pulse, ends=(shell.close,), levels=levels, signals=self._signals
            )
        finally:
            journal.close()
            lock.release()

    def _make_users(self, journal: Journal, devices: dict[str, KeptDevice]) -> tuple[Hosted, UsersCode]:
        """What the user's code is to see. The reference's package is there from now on, for whoever imports it."""
        task, connector = self._task, self._task.connector
        start_logs(f"{KIND}:{connector.name}", task.log_level)
        take_users_logs(self._logger, connector.log_level)
        add_users_path()
        install(task.extension_dirs)
        made_id = connector.id or id_of(journal.state.journal, connector.name)
        config: Any = connector.text
        if connector.config is not None:
            config = {"name": connector.name, **connector.config, "id": made_id}
        hosted = Hosted(
            connector.name,
            made_id,
            config=config,
            config_dir=task.config_dir,
            intake=Intake(),
            logger=self._logger,
            devices={name: device.type for name, device in devices.items() if device.is_connected},
        )
        return hosted, UsersCode(task, hosted, self._logger)


def id_of(journal: str, name: str) -> str:
    """An id for a connector whose files name none, in the reference's form: the same at each start."""
    digits = short_hash(f"{journal} {name}".encode(), 32)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
