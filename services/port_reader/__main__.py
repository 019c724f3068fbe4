"""`python -m services.port_reader --config FILE --device NAME [--data-dir DIR]`: the process of one serial port."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import shutil
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from common.config.models import Device, Gateway, Storage, device_of, section_of
from common.config.reading import read_gateway
from common.errors import ConfigError, LinkError
from common.io.locks import FileLock
from common.io.logs import start_logs
from common.io.loop import Loop
from common.io.process import EXIT_CONFIG, EXIT_UNAVAILABLE, make_identity, service_parser
from common.io.sockets import Endpoints, socket_dir
from services.port_reader.core import PortReaderCore
from services.port_reader.journal import Journal, JournalError, JournalFile, file_name, open_journal
from services.port_reader.shell import PortReaderShell
from services.port_reader.window import Limits

KIND: Final = "port_reader"
SHARED_MEMORY: Final = Path("/dev/shm")
JOURNAL_BYTES: Final = 256 * 1024 * 1024


class _Stopped(Exception):  # noqa: N818 (it ends the start, with an exit code)
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Task(NamedTuple):
    """What this process is to serve; without a device the journal says whose it is."""

    device: Device | None
    journal: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one port reader; returns its exit code."""
    parser = service_parser(KIND, "Reads one serial port, and writes to it what calls ask for.")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--device", metavar="NAME", help="the device as the configuration names it")
    group.add_argument("--journal", type=Path, metavar="FILE", help="send what this journal holds, without a port")
    options = parser.parse_args(arguments)
    try:
        gateway = read_gateway(options.config, os.environ).gateway
        task = _find_task(gateway, options.device, options.journal, options.data_dir)
        return _run(task, gateway.storage, options.data_dir, options.log_level)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return EXIT_CONFIG
    except _Stopped as stopped:
        print(stopped, file=sys.stderr)  # noqa: T201
        return stopped.code


def journal_dir(storage: Storage, data_dir: Path) -> Path:
    """Where the journals are. `memory` keeps them on a memory file system: they outlive processes, not a reboot."""
    place = Path(storage.data_dir) if storage.data_dir else data_dir.resolve() / "journals"
    if storage.type != "memory":
        return place
    digest = hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
    return SHARED_MEMORY / f"serialgw-{os.getuid()}-{digest}"


def section_hash(section: bytes) -> str:
    """The short name of a section."""
    return hashlib.sha256(section).hexdigest()[:16]


def journal_limits(device: Device, storage: Storage, free_bytes: int) -> Limits:
    """The journal's bounds: the stricter of what is configured; never more than a fifth of the free disk."""
    records = min(device.uplink_queue_size, storage.max_records or device.uplink_queue_size)
    return Limits(max_records=records, max_bytes=min(storage.max_bytes or JOURNAL_BYTES, max(free_bytes // 5, 1 << 20)))


def _find_task(gateway: Gateway, name: str | None, journal: Path | None, data_dir: Path) -> _Task:
    if journal is not None:
        if not journal.is_file():
            raise _Stopped(EXIT_CONFIG, f"--journal: {journal} is no file")
        return _Task(None, journal)
    device = next((device for device in gateway.devices if device.name == name), None)
    if device is None:
        known = ", ".join(device.name for device in gateway.devices) or "none"
        raise _Stopped(EXIT_CONFIG, f"--device: found {name}, expected one of: {known}")
    return _Task(device, journal_dir(gateway.storage, data_dir) / file_name(device.name))


def _run(task: _Task, storage: Storage, data_dir: Path, log_level: str) -> int:
    try:
        task.journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if task.journal.parent.stat().st_uid not in (os.getuid(), 0):
            raise LinkError(f"{task.journal.parent} belongs to somebody else")
        lock_path = task.journal.with_name(task.journal.name + ".lock")
        lock = FileLock(lock_path)
        endpoints = Endpoints(socket_dir(data_dir))
        journal, aside, damage = open_journal(_journal_file(task, storage), time.strftime("%Y%m%dT%H%M%S"))
    except (LinkError, JournalError, OSError) as error:
        raise _Stopped(EXIT_UNAVAILABLE, str(error)) from None
    device, section = _section_of(task, journal)
    logger = start_logs(f"{KIND}:{device.name}", log_level)
    if aside is not None:
        logger.error("journal.damaged aside=%s reason=%r", aside, damage)
    try:
        limits = journal_limits(device, storage, shutil.disk_usage(task.journal.parent).free)
        shell = PortReaderShell(device, journal, endpoints, logger)
        core = PortReaderCore(
            make_identity(KIND, device.name, lock_path),
            device,
            section_hash(section),
            journal.state,
            limits=limits,
            draw=random.random,
            gauges=lambda: shell.gauges,
            has_port=task.device is not None,
        )
        return _serve(core, shell, logger)
    finally:
        journal.close()
        lock.release()


def _journal_file(task: _Task, storage: Storage) -> JournalFile:
    name = task.device.name if task.device else ""
    return JournalFile(task.journal, name, uuid.uuid4().hex[:12], storage.durability)


def _section_of(task: _Task, journal: Journal) -> tuple[Device, bytes]:
    """The device and its section: the configured one, or the last that the journal knows."""
    if task.device is not None:
        section = section_of(task.device)
        journal.put_section(section_hash(section), section)
        return task.device, section
    last = journal.last_section()
    if last is None:
        raise _Stopped(0, f"{task.journal} holds nothing")
    return device_of(last[1]), last[1]


def _serve(core: PortReaderCore, shell: PortReaderShell, logger: logging.Logger) -> int:
    loop = Loop(core, shell, logger)
    shell.attach(loop)
    try:
        return loop.run()
    finally:
        shell.close()


if __name__ == "__main__":
    sys.exit(main())
