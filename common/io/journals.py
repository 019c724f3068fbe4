"""Where the journals are, and whose they are: one file a device."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from common.config.models import Storage
from common.hashes import short_hash

SUFFIX: Final = ".journal"
SHARED_MEMORY: Final = Path("/dev/shm")


def journal_dir(storage: Storage, data_dir: Path) -> Path:
    """Where the journals are. `memory` keeps them on a memory file system: they outlive processes, not a reboot."""
    place = Path(storage.data_dir) if storage.data_dir else data_dir.resolve() / "journals"
    if storage.type != "memory":
        return place
    digest = short_hash(os.fsencode(place), 16)
    return SHARED_MEMORY / f"serialgw-{os.getuid()}-{digest}"


def file_name(device: str) -> str:
    """The journal's file name for a device: readable, safe, distinct for distinct names."""
    digest = short_hash(device.encode(), 8)
    name = quote(device, safe="")[:80]
    if name.startswith("."):
        name = "%2E" + name[1:]
    return f"{name}-{digest}{SUFFIX}"


def left_journals(folder: Path, devices: Iterable[str]) -> list[Path]:
    """The journals in a folder that belong to none of these devices; [] where there is no folder."""
    known = {file_name(device) for device in devices}
    try:
        found = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIX) and path.is_file())
    except OSError:
        return []
    return [path for path in found if path.name not in known]


def bytes_used(folder: Path) -> int:
    """What the journals in a folder take, with what belongs to them; damaged ones that were set aside not counted."""
    try:
        return sum(path.stat().st_size for path in folder.glob(f"*{SUFFIX}*") if ".damaged-" not in path.name)
    except OSError:
        return 0
