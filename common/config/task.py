"""What one port reader is to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from common.config.models import PLAIN, VERSION, Device, Gateway, Storage, updated, version_of
from common.config.task_file import OPTION, find_written
from common.io.journal.places import file_name, journal_dir


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is to serve; without a device the journal says whose it is."""

    version: int = VERSION
    device: Device | None
    journal: str
    devices: tuple[str, ...]
    """All that are configured."""
    storage: Storage
    data_dir: str
    log_level: str
    company_s: float | None = None
    """How long what was said may wait here on purpose for company; None: as long as pays."""
    others: tuple[Device, ...] = ()
    """Further devices on the line of `device`."""
    other_journals: tuple[str, ...] = ()
    """Their journals, in the same order."""


def device_task(gateway: Gateway, device: Device, data_dir: Path, log_level: str) -> Task:
    """The task of the reader of a configured device, and of all others on its line."""
    first, *others = next((line for line in gateway.lines if device in line), (device,))
    folder = journal_dir(gateway.storage, data_dir)
    return Task(
        device=first,
        others=tuple(others),
        other_journals=tuple(str(folder / file_name(other.name)) for other in others),
        journal=str(folder / file_name(first.name)),
        devices=gateway.streams,
        storage=gateway.storage,
        data_dir=str(data_dir),
        log_level=log_level,
        company_s=gateway.platform.reader_company_s,
    )


def files_of(gateway: Gateway) -> tuple[str, ...]:
    """The files that a configuration was read from."""
    serial = (connector.file for connector in gateway.connectors)
    hosted = (file for connector in gateway.hosted for file in (connector.file, connector.class_file))
    return (gateway.file, *serial, *hosted)


def code_of(gateway: Gateway) -> tuple[str, ...]:
    """Those of the files that are programs."""
    return tuple(connector.class_file for connector in gateway.hosted)


def write_task(task: Task) -> bytes:
    """The task as bytes."""
    return msgspec.json.encode(task)


def read_task(data: bytes) -> Task:
    """The task that `write_task` wrote, in this release or the one before it: a gateway that is updated in place
    restarts its readers from the files that its old release has written.

    Raises msgspec.DecodeError, UnicodeDecodeError for anything else, and for what a newer release wrote.
    """
    version = version_of(data)
    if version >= PLAIN:
        return msgspec.structs.replace(msgspec.json.decode(data, type=Task), version=VERSION)
    fields = msgspec.json.decode(data, type=dict[str, Any])
    if isinstance(fields.get("device"), dict):
        fields["device"] = updated(fields["device"], version)
    return msgspec.convert(fields | {"version": VERSION}, Task)


def written_task(arguments: Sequence[str]) -> Task | None:
    """The task in the file that the arguments name; None as `common.config.task_file.find_written` says."""
    return find_written(arguments, read_task, _whose)


def task_words(task: Task, place: Path) -> list[str]:
    """The arguments by which a port reader finds the task in this file, and by which a person knows it in a list of
    processes."""
    return [f"{OPTION}{place}", _whose(task)]


def _whose(task: Task) -> str:
    return f"--journal={task.journal}" if task.device is None else f"--device={task.device.name}"
