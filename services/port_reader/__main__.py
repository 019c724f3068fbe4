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

import msgspec

from common.config.models import Device, Gateway, Storage, device_of, section_of
from common.config.reading import read_gateway
from common.errors import ConfigError, LinkError
from common.events import Note
from common.io.clock import monotonic_s, wall_ms
from common.io.journals import bytes_used, file_name, journal_dir, left_journals
from common.io.locks import FileLock
from common.io.logs import log_note, start_logs
from common.io.loop import Loop
from common.io.process import EXIT_CONFIG, EXIT_UNAVAILABLE, make_identity, service_parser
from common.io.sockets import Endpoints, socket_dir
from services.port_reader.core import PortReaderCore
from services.port_reader.journal import Journal, JournalError, JournalFile, open_journal
from services.port_reader.shell import PortReaderShell
from services.port_reader.window import Limits

KIND: Final = "port_reader"
JOURNAL_BYTES: Final = 256 * 1024 * 1024
ALL_JOURNALS_BYTES: Final = 4 * 1024**3
LEAST_BYTES: Final = 1024 * 1024
"""A journal may take this much, however small the disk."""


class _Stopped(Exception):  # noqa: N818 (it ends the start, with an exit code)
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Task(NamedTuple):
    """What this process is to serve; without a device the journal says whose it is."""

    device: Device | None
    journal: Path
    devices: tuple[str, ...]
    """All that are configured."""


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


def section_hash(section: bytes) -> str:
    """The short name of a section."""
    return hashlib.sha256(section).hexdigest()[:16]


def journal_limits(device: Device, storage: Storage, journals: int, room_bytes: int) -> Limits:
    """The journal's bounds, the stricter of what is configured and of its share: all `journals` of a folder together
    take at most 4 GiB (or what is configured, if more) and a fifth of `room_bytes`, free or theirs already."""
    records = min(device.uplink_queue_size, storage.max_records or device.uplink_queue_size)
    together = min(max(ALL_JOURNALS_BYTES, storage.max_bytes or 0), room_bytes // 5)
    share = max(together // max(1, journals), LEAST_BYTES)
    most = min(storage.max_bytes or JOURNAL_BYTES, share)
    return Limits(max_records=records, max_bytes=most, ttl_s=storage.ttl_s)


def _find_task(gateway: Gateway, name: str | None, journal: Path | None, data_dir: Path) -> _Task:
    devices = tuple(device.name for device in gateway.devices)
    if journal is not None:
        if not journal.is_file():
            raise _Stopped(EXIT_CONFIG, f"--journal: {journal} is no file")
        return _Task(None, journal, devices)
    device = next((device for device in gateway.devices if device.name == name), None)
    if device is None:
        known = ", ".join(device.name for device in gateway.devices) or "none"
        raise _Stopped(EXIT_CONFIG, f"--device: found {name}, expected one of: {known}")
    return _Task(device, journal_dir(gateway.storage, data_dir) / file_name(device.name), devices)


def _run(task: _Task, storage: Storage, data_dir: Path, log_level: str) -> int:
    lock_path = task.journal.with_name(task.journal.name + ".lock")
    try:
        _make_folder(task.journal.parent)
        lock = FileLock(lock_path)
        endpoints = Endpoints(socket_dir(data_dir))
        journal, aside, damage = open_journal(_journal_file(task, storage), time.strftime("%Y%m%dT%H%M%S"))
        device, section = _section_of(task, journal)
    except (LinkError, JournalError, OSError) as error:
        raise _Stopped(EXIT_UNAVAILABLE, str(error)) from None
    logger = start_logs(f"{KIND}:{device.name}", log_level)
    if aside is not None:
        log_note(logger, Note("error", "journal.damaged", {"aside": aside, "reason": damage}))
    try:
        shell = PortReaderShell(device, journal, endpoints, logger)
        core = PortReaderCore(
            make_identity(KIND, device.name, lock_path),
            device,
            section_hash(section),
            journal.state,
            limits=_limits(task, device, storage),
            draw=random.random,
            gauges=lambda: shell.gauges,
            has_port=task.device is not None,
            wall_offset_ms=wall_ms() - monotonic_s() * 1000,
            ports=len(task.devices),
        )
        return _serve(core, shell, logger)
    finally:
        _leave(task, journal, logger)
        lock.release()


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid not in (os.getuid(), 0):
        raise LinkError(f"{folder} belongs to somebody else")


def _limits(task: _Task, device: Device, storage: Storage) -> Limits:
    folder = task.journal.parent
    journals = len(task.devices) + len(left_journals(folder, task.devices))
    return journal_limits(device, storage, journals, shutil.disk_usage(folder).free + bytes_used(folder))


def _leave(task: _Task, journal: Journal, logger: logging.Logger) -> None:
    """Closes the journal; one that was drained for good is deleted, unless it keeps dead letters."""
    if task.device is None and journal.is_empty:
        journal.remove()
        log_note(logger, Note("info", "journal.removed", {"path": task.journal}))
        return
    journal.close()


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
        journal.remove()
        raise _Stopped(0, f"{task.journal} held nothing and was removed")
    try:
        return device_of(last[1]), last[1]
    except msgspec.DecodeError as error:
        raise _Stopped(EXIT_CONFIG, f"{task.journal}: its section can't be read: {error}") from None


def _serve(core: PortReaderCore, shell: PortReaderShell, logger: logging.Logger) -> int:
    loop = Loop(core, shell, logger)
    shell.attach(loop)
    try:
        return loop.run()
    finally:
        shell.close()


if __name__ == "__main__":
    sys.exit(main())
