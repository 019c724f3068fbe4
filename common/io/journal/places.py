"""Where the journals are, and whose they are: one file a device."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from common.config.models import Storage
from common.core.hashes import short_hash
from common.io.private import is_private, make_private

SUFFIX: Final = ".journal"
"""What else belongs to a journal has a name that begins with its whole name."""
DEVICES_SUFFIX: Final = ".devices"
"""Behind a journal's name: the file of the devices that a hosted connector has named."""
SHARED_MEMORY: Final = Path("/dev/shm")
"""A file system in memory that every Linux has."""
MEMORY_NOTE: Final = "memory-folder"
"""The file of the data directory that says which folder of SHARED_MEMORY is this gateway's. Everybody may make folders
there, so ours has a name that nobody can know before."""
_MEMORY_NAME: Final = re.compile(r"serialgw-[0-9a-f-]{1,64}")


def journal_dir(storage: Storage, data_dir: Path) -> Path:
    """Where the journals are, for a process of the gateway. `memory` keeps them on a memory file system, where they
    outlive processes, not a reboot; their folder is made when missing. Raises LinkError, OSError."""
    place = Path(storage.data_dir) if storage.data_dir else data_dir.resolve() / "journals"
    return place if storage.type != "memory" else _memory_dir(data_dir, place)


def _memory_dir(data_dir: Path, place: Path) -> Path:
    """Our folder in shared memory: the one that the note names, if that is still ours, or else a new one."""
    make_private(data_dir)
    note = data_dir / MEMORY_NOTE
    lock = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Processes that start together agree on one.
        fcntl.flock(lock, fcntl.LOCK_EX)
        # The name that versions before 0.2 gave it, under which journals may still wait.
        former = f"serialgw-{os.getuid()}-{short_hash(os.fsencode(place), 16)}"
        for name in (_noted_name(note), former):
            if name and is_private(SHARED_MEMORY / name):
                break
        else:
            name = _new_memory_dir(note)
        if name != _noted_name(note):
            _write_note(note, name)
    finally:
        os.close(lock)
    return SHARED_MEMORY / name


def _new_memory_dir(note: Path) -> str:
    """Makes our folder in shared memory: under the name that is noted, unless somebody else has taken that, else under
    a new one, which is noted first: whoever can't note it makes none. Raises LinkError, OSError."""
    name = _noted_name(note)
    if not name or os.path.lexists(SHARED_MEMORY / name):
        name = f"serialgw-{os.urandom(16).hex()}"
        _write_note(note, name)
    make_private(SHARED_MEMORY / name)
    return name


def _write_note(note: Path, name: str) -> None:
    """Writes it whole or not at all: a note that is cut would lose what waits in the folder."""
    draft = note.with_name(note.name + ".new")
    draft.write_text(f"{name}\n", encoding="ascii")
    draft.replace(note)


def _noted_name(note: Path) -> str:
    """The folder's name in the note; "" if there is none, or something else stands there."""
    try:
        text = note.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
    return text if _MEMORY_NAME.fullmatch(text) else ""


def file_name(device: str) -> str:
    """The journal's file name for a device: readable, safe, distinct for distinct names."""
    # The readable part is cut, and is then no longer distinct: the digest is.
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
