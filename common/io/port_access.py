"""Whether this user may open a serial port, and what to do where not: said alike by whoever is asked.

A port reader imports this only when a port could not be opened.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterable


def access_to(path: str) -> tuple[bool, str, str]:
    """(may this user open it, the group it belongs to, what to do if not). Raises nothing.

    The advice depends on why: no group at all, a group to join, or one that this login does not know of yet.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        return False, "", f"it can't be looked at: {error.strerror}"
    group = _group_name(found.st_gid)
    if os.access(path, os.R_OK | os.W_OK):
        return True, group, ""
    needed = stat.S_IRGRP | stat.S_IWGRP
    if found.st_mode & needed != needed or found.st_gid == 0:
        return False, group, "no group may open it; a udev rule has to give it one, such as dialout"
    user = _user_name()
    if user in _members(found.st_gid):
        return False, group, f"{user} is in the group {group}, but not since this login: log out and in again"
    return False, group, f"join its group, then log out and in again: sudo usermod -aG {group} {user}"


def _members(group_id: int) -> Iterable[str]:
    """The users of a group; none where the group has no name."""
    try:
        return grp.getgrgid(group_id).gr_mem
    except KeyError:
        return ()


def _group_name(group_id: int) -> str:
    """A group's name, or its number where it has none, as in containers."""
    try:
        return grp.getgrgid(group_id).gr_name
    except KeyError:
        return str(group_id)


def _user_name() -> str:
    """This user's name, or its number where it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
