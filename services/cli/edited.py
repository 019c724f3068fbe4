"""A change of one file of a configuration that a person keeps: found good beside it, then put in its place.

So whoever reads the files meanwhile, such as a reload, never finds them broken, and who is killed leaves them whole.
The file stays whose it was, with its mode, where its name's link leads, and with its line ends. One changes at a time:
of two who have read the same file the second would undo what the first has written.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from common.config.reading import Draft, read_gateway
from common.core.errors import GatewayError

ALONE_S: Final = 20.0
"""Somebody else's change takes a second or two on a small machine."""
_LOOK_S: Final = 0.05


def edit_file(config: Path, file: Path, edit: Callable[[str], str]) -> None:
    """Changes a file of the configuration whose main file is `config`. `edit` gives the new text of a text.

    Raises ConfigError with what would be wrong then, GatewayError, OSError; then nothing has changed.
    """
    target = Path(os.path.realpath(file))
    with _alone(target.parent):
        before = target.read_bytes()
        changed = edit(before.decode("utf-8")).encode()
        _check(config, target, changed)
        _exchange(target, changed)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds a lock on the folder, which leaves nothing behind. Raises GatewayError when that takes too long."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        end_s = time.monotonic() + ALONE_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end_s:
                    raise GatewayError(f"{folder}: somebody has been changing it for {ALONE_S:g} s; see who") from None
                time.sleep(_LOOK_S)
        yield
    finally:
        os.close(descriptor)


def _check(config: Path, file: Path, content: bytes) -> None:
    """Reads the configuration as it would be, with the content in the place of one of its files, wherever that is.
    Raises ConfigError."""
    with tempfile.TemporaryDirectory(prefix="serialgw-edit-") as name:
        place = Path(name) / file.name
        place.write_bytes(content)
        read_gateway(config, os.environ, draft=Draft(file, place))


def _exchange(target: Path, content: bytes) -> None:
    """Another content under the same name, whole or not at all, and on the disk when this returns."""
    before = target.stat()
    draft = target.with_name(f"{target.name}.{os.getpid()}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(draft, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as writing:
            writing.write(content)
            writing.flush()
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                _give(descriptor, target, before)
            os.fchmod(descriptor, before.st_mode & 0o777)
            os.fsync(descriptor)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _give(descriptor: int, target: Path, before: os.stat_result) -> None:
    """The gateway's user must be able to read it still. Raises GatewayError."""
    try:
        os.fchown(descriptor, before.st_uid, before.st_gid)
    except PermissionError:
        raise GatewayError(f"{target} is another user's: give this command as that user, or as root") from None
