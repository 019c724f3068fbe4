"""Whether this user may open a device file, and which of the gates is shut: asked of the kernel, not tried."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from typing import Final

from common.io.port_access import access_to
from services.cli.diagnosis.finding import Finding

REFUSED: Final = "this user may not open it"
_CLASSES: Final = {4: "ttyS", 136: "pts", 166: "ttyACM", 188: "ttyUSB", 204: "ttyAMA"}
"""Major numbers of ports → the kernel's name for them (Linux, Documentation/admin-guide/devices.txt)."""


def gate(path: str) -> int:
    """0 if this user may read and write a file; else the error's number, of which Python's own `os.access` says
    nothing: EACCES for the file's rights, EPERM for the devices that a container, or a unit of systemd, is allowed.

    access(2) goes through the same gates as open(2), and the port hears nothing of it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.access(os.fsencode(path), os.R_OK | os.W_OK) == 0:
        return errno.EACCES if _forbids_devices(path) else 0
    return ctypes.get_errno()


def access_finding(port: str, path: str, code: int, *, in_container: bool) -> Finding:
    """What the gate's answer means, and what to do."""
    if code == 0:
        return Finding("access", port, "ok", "this user may open it")
    found = os.stat(path)
    if code == errno.EPERM:
        why = "the rights of its file would do, but devices of this number are not allowed to this container or unit"
        return Finding("access", port, "fault", f"{REFUSED}: {why}", _allow(os.major(found.st_rdev)))
    if code == errno.EACCES and _forbids_devices(path):
        why = f"the file system of {os.path.dirname(path) or '.'} takes device files for plain ones (nodev)"
        return Finding("access", port, "fault", f"{REFUSED}: {why}", "mount the host's /dev there:\n- /dev:/dev")
    if code != errno.EACCES:
        return Finding("access", port, "fault", f"{REFUSED}: {os.strerror(code)}", "plug it out and in again")
    _, group, advice = access_to(path)
    rights = f"{stat.filemode(found.st_mode)}, group {group}"
    if in_container:
        cure = f'in docker-compose.yml, at this service:\ngroup_add: ["{found.st_gid}"]'
        return Finding("access", port, "fault", f"{REFUSED} ({rights}), and joins no group inside a container", cure)
    return Finding("access", port, "fault", f"{REFUSED} ({rights})", _on_lines(advice))


def _allow(major: int) -> str:
    return (
        f'in docker-compose.yml, at this service:\ndevice_cgroup_rules: ["c {major}:* rmw"]\n'
        f"under systemd, in the unit:\nDeviceAllow=char-{_CLASSES.get(major, 'ttyUSB')} rw"
    )


def _on_lines(advice: str) -> str:
    """The command that an advice ends with on a line of its own."""
    what, colon, command = advice.partition(": sudo ")
    return f"{what}:\nsudo {command}" if colon else advice


def _forbids_devices(path: str) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_NODEV)
    except OSError:
        return False
