"""The data directory and the disk of the journals: whether they are this user's, and whether there is room."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from common.config.models import Storage
from common.core.errors import LinkError
from common.io.journal.places import SHARED_MEMORY, bytes_used
from common.io.private import find_folder
from services.cli.diagnosis.finding import Finding

FULL_BYTES: Final = 16 * 1024 * 1024
"""With less than this free the journals of a few devices can't even begin: each has a log of up to 4 MiB beside it."""
LITTLE_BYTES: Final = 256 * 1024 * 1024
"""With less than this free an outage of a platform, in which journals grow, fills the disk before long."""
FEW_FILES: Final = 64
"""With fewer files left to make no device's journal can be: it has up to 4 of them."""


def room_findings(data_dir: Path, storage: Storage) -> list[Finding]:
    """The data directory, and the folder of the journals where that is another one."""
    folders = [data_dir]
    if storage.data_dir is not None and storage.type != "memory":
        folders.append(Path(storage.data_dir))
    found = [one for folder in folders for one in _folder(folder)]
    if storage.type == "memory":
        found += _disk(SHARED_MEMORY, str(SHARED_MEMORY))
    return found


def _folder(folder: Path) -> list[Finding]:
    subject = str(folder)
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if there == folder:
        try:
            find_folder(folder)
        except (LinkError, OSError) as error:
            return [Finding("storage", subject, "fault", f"it can't be used: {error}", f"ls -ld {folder}")]
        if folder.is_dir() and folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            what = "others may write in it, so anything in it may be theirs"
            return [Finding("storage", subject, "fault", what, f"look at what is in it, then\nchmod go-w {folder}")]
    if not there.is_dir():
        return [Finding("storage", subject, "fault", f"{there} is no folder", "--data-dir names another place")]
    owner = there.stat().st_uid
    if not os.access(there, os.W_OK | os.X_OK) and not os.statvfs(there).f_flag & os.ST_RDONLY:
        what = f"this user may not write in {there}, which belongs to user id {owner}"
        cure = "run it as the gateway's user, such as\nsudo -u serialgw serialgw doctor"
        return [Finding("storage", subject, "fault", what, cure)]
    return _disk(there, subject)


def _disk(folder: Path, subject: str) -> list[Finding]:
    """The file system that a folder is in."""
    disk = os.statvfs(folder)
    if disk.f_flag & os.ST_RDONLY:
        cure = f"the reason stands in:\nsudo dmesg | tail\nsudo mount -o remount,rw {_mount_of(folder)}"
        return [Finding("storage", subject, "fault", "its file system is read-only", cure)]
    free = disk.f_bavail * disk.f_frsize
    used = bytes_used(folder / "journals") if folder.name != "journals" else bytes_used(folder)
    said = f"{_size(free)} are free there, journals take {_size(used)}"
    cure = f"make room; what takes most is shown by:\nsudo du -xhd1 {_mount_of(folder)} | sort -h | tail"
    if free < FULL_BYTES:
        return [Finding("storage", subject, "fault", f"the disk is full: {said}", cure)]
    if disk.f_files and disk.f_favail < FEW_FILES:
        what = f"the disk has room, and no more files can be made on it: {disk.f_favail} of {disk.f_files} are free"
        cure = (
            f"remove files; where most are is shown by:\nsudo du -x --inodes -d1 {_mount_of(folder)} | sort -n | tail"
        )
        return [Finding("storage", subject, "fault", what, cure)]
    if free < LITTLE_BYTES:
        return [Finding("storage", subject, "warning", f"there is little room for an outage: {said}", cure)]
    return [Finding("storage", subject, "ok", said)]


def _mount_of(folder: Path) -> Path:
    """The top folder of the file system."""
    folder = folder.resolve()
    while not os.path.ismount(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _size(count: int) -> str:
    """`1.5 GiB`, `16 MiB`, `12 KiB`."""
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2)):
        if count >= size:
            return f"{count / size:.1f} {unit}" if count < 10 * size else f"{count // size} {unit}"
    return f"{count // 1024} KiB"
