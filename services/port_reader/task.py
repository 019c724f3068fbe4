"""What one port reader is to do."""

from __future__ import annotations

import msgspec

from common.config.models import Device, Storage


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is to serve; without a device the journal says whose it is."""

    device: Device | None
    journal: str
    devices: tuple[str, ...]
    """All that are configured."""
    storage: Storage
    data_dir: str
    log_level: str


def write_task(task: Task) -> bytes:
    """The task as bytes."""
    return msgspec.json.encode(task)


def read_task(data: bytes) -> Task:
    """The task of `write_task`."""
    return msgspec.json.decode(data, type=Task)
