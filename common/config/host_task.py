"""What one connector host is to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from common.config.models import VERSION, Gateway, HostedConnector, Storage, version_of
from common.config.task_file import OPTION, find_written
from common.io.journal.places import file_name, journal_dir
from common.wire.calls import hosted_stream


class HostTask(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector host is to serve. A later version may have more fields, with defaults."""

    version: int = VERSION
    connector: HostedConnector
    journal: str
    streams: tuple[str, ...]
    """All that are configured, hosted connectors' among them."""
    storage: Storage
    extension_dirs: tuple[str, ...]
    config_dir: str
    """The folder of the main file, which connectors may ask for."""
    data_dir: str
    log_level: str


def host_task(gateway: Gateway, connector: HostedConnector, data_dir: Path, log_level: str) -> HostTask:
    """The task of a hosted connector's process."""
    return HostTask(
        connector=connector,
        journal=str(journal_dir(gateway.storage, data_dir) / file_name(hosted_stream(connector.name))),
        streams=gateway.streams,
        storage=gateway.storage,
        extension_dirs=gateway.extension_dirs,
        config_dir=str(Path(gateway.file).parent),
        data_dir=str(data_dir),
        log_level=log_level,
    )


def write_host_task(task: HostTask) -> bytes:
    """The task as bytes."""
    return msgspec.json.encode(task)


def read_host_task(data: bytes) -> HostTask:
    """The task that `write_host_task` wrote. Raises msgspec.DecodeError, UnicodeDecodeError for anything else, and for
    what a newer release wrote."""
    version_of(data)
    return msgspec.json.decode(data, type=HostTask)


def written_host_task(arguments: Sequence[str]) -> HostTask | None:
    """The task in the file that the arguments name; None as `common.config.task_file.find_written` says."""
    return find_written(arguments, read_host_task, _whose)


def host_task_words(task: HostTask, place: Path) -> list[str]:
    """The arguments by which a host finds the task in this file, and by which a person knows it in a list of
    processes."""
    return [f"{OPTION}{place}", _whose(task)]


def _whose(task: HostTask) -> str:
    return f"--connector={task.connector.name}"
