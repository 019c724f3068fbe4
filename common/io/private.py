"""Folders that belong to us alone. What root or the service's user reads and believes (what a process is to do, locks,
sockets, journals) must not lie where somebody else could have put it, or could exchange it later.

A private folder belongs to the user of this process, others may not write in it, no link of anybody else's leads to
it, and nobody but root or this user can exchange a folder on the way to it. `make_private` makes one, or refuses what
it finds with a sentence; `find_folder` is for who only looks, and makes nothing.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from pathlib import Path
from typing import Final

from common.core.errors import LinkError

MODE: Final = 0o700
"""For each folder that is made here, whatever the umask."""
ROOT: Final = 0
MOST_LINKS: Final = 40
"""Links that are followed on one way: as many as the kernel follows."""
_OTHERS_WRITE: Final = 0o022
_ANYBODY_WRITES: Final = 0o002


def keep_private() -> None:
    """Files and sockets that this process makes from now on are for its user alone, whatever umask it was started
    with. Folders and files whose mode matters are made with it all the same; this is for those that libraries make."""
    os.umask(0o077)


def write_private(path: Path, text: str, *, flush: bool = False) -> None:
    """Writes a file of mode 0600, whole or not at all; one that says this already is left as it is, so that it can be
    written again on a full disk. `flush`: it is on the disk when this returns. Raises OSError."""
    content = text.encode()
    try:
        if path.read_bytes() == content and not path.is_symlink() and path.stat().st_mode & 0o777 == 0o600:
            return
    except OSError:
        pass
    # Under another name first: nobody ever finds half a file. O_EXCL refuses whatever lies in its way.
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)  # Each try on a full disk has a pid of its own, and would leave one more.
        raise
    if flush:
        # The new name too: else a power cut may bring the old file back.
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def make_private(path: Path, *, close: bool = False) -> None:
    """Makes the folder, with mode 0700 whatever the umask, or takes one that is private. `close`: one that is, but may
    be read by others, gets mode 0700 too.

    Raises LinkError, with a sentence for a person, for a folder that is not private; OSError where none can be made.
    """
    folder = _open(path, make=True, by=os.geteuid())
    try:
        _check(folder, path)
        if close and os.fstat(folder).st_mode & 0o077:
            os.fchmod(folder, MODE)
    finally:
        os.close(folder)


def is_private(path: Path) -> bool:
    """True for a private folder that is there. Makes nothing, and raises nothing."""
    try:
        folder = _open(path, make=False, by=os.geteuid())
    except (OSError, LinkError):
        return False
    try:
        _check(folder, path)
    except LinkError:
        return False
    finally:
        os.close(folder)
    return True


def find_folder(path: Path) -> None:
    """Raises OSError if there is no folder that this user may enter, LinkError if the name is a link."""
    if stat.S_ISLNK(os.lstat(path).st_mode):
        raise LinkError(f"{path} is a link, expected a folder")
    os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))


def _open(path: Path, *, make: bool, by: int) -> int:
    """A descriptor of the folder, step by step from the root, so that what was checked is what is used. Raises
    LinkError for a link, or a folder on the way, that a user other than `by` and root has in hand."""
    words = deque(path.absolute().parts[1:])
    folder, links = _open_step(None, "/"), 0
    try:
        while words:
            _check_step(folder, path, by)
            word = words.popleft()
            step = _enter(folder, word, make)
            if not stat.S_ISLNK(os.fstat(step).st_mode):
                folder = _replace(folder, step)
                continue
            # A link is followed by hand, so that each folder on its way is checked as those on ours.
            links += 1
            target = Path(_read_link(step, path, by))
            if links > MOST_LINKS:
                raise LinkError(f"{path}: found more than {MOST_LINKS} links on the way")
            words.extendleft(reversed(target.parts[1:] if target.is_absolute() else target.parts))
            if target.is_absolute():
                folder = _replace(folder, _open_step(None, "/"))
        # What was opened so far can only be named; this one can be read and changed.
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        # The kernel names the step at which it failed; a person knows the whole path.
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(folder)


def _open_step(folder: int | None, word: str) -> int:
    return os.open(word, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)


def _enter(folder: int, word: str, make: bool) -> int:
    """A descriptor of what is called so in the folder, which is made where it is missing. Raises OSError."""
    try:
        return _open_step(folder, word)
    except FileNotFoundError:
        if not make:
            raise
    try:
        os.mkdir(word, MODE, dir_fd=folder)
    except FileExistsError:
        pass  # Another process of ours was quicker, or somebody else: it is looked at like any other.
    return _open_step(folder, word)


def _replace(folder: int, step: int) -> int:
    os.close(folder)
    return step


def _read_link(step: int, path: Path, by: int) -> str:
    """Where a link leads; closes it."""
    try:
        owner = os.fstat(step).st_uid
        if owner not in (ROOT, by):
            raise LinkError(
                f"{path}: a link on the way belongs to user id {owner}, expected {by}; name the folder itself"
            )
        return os.readlink("", dir_fd=step)
    finally:
        os.close(step)


def _check_step(folder: int, path: Path, by: int) -> None:
    """What lies in a folder can be exchanged by its owner, and where anybody may write, by anybody; in one with the
    sticky bit, such as /tmp, only by whoever it belongs to."""
    found = os.fstat(folder)
    if found.st_uid not in (ROOT, by):
        raise LinkError(
            f"{path}: {_name_of(folder)} on the way to it belongs to user id {found.st_uid}, who could exchange it; "
            "choose a place below folders of this user or of root"
        )
    if found.st_mode & _ANYBODY_WRITES and not found.st_mode & stat.S_ISVTX:
        raise LinkError(
            f"{path}: anybody may write in {_name_of(folder)} on the way to it, and could exchange it; "
            "choose another place, or take that right away (chmod o-w)"
        )


def _check(folder: int, path: Path) -> None:
    """Looks at the last step, the folder itself: it is ours, and nobody else writes in it. Raises LinkError."""
    found, wanted = os.fstat(folder), os.geteuid()
    if found.st_uid != wanted:
        raise LinkError(
            f"{path} belongs to user id {found.st_uid}, expected {wanted}, the user of this process: "
            "run it as that user, or choose another folder"
        )
    if found.st_mode & _OTHERS_WRITE:
        raise LinkError(
            f"{path} has mode {stat.S_IMODE(found.st_mode):04o}, so others may write in it and anything in it may be "
            f"theirs; expected {MODE:04o}: look at what is in it, then chmod go-w {path}"
        )


def _name_of(folder: int) -> str:
    """The path of a folder that is known by its descriptor, for a sentence."""
    try:
        return os.readlink(f"/proc/self/fd/{folder}")
    except OSError:
        return "a folder"
