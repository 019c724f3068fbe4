"""A change of files of a configuration that a person keeps: found good beside them, then put in their place.

So whoever reads the files meanwhile, such as a reload, never finds them broken, and who is killed leaves them whole.
A file stays whose it was, with its mode, where its name's link leads, and with its line ends. One changes at a time:
of two who have read the same file the second would undo what the first has written.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from common.config.reading import Draft, read_gateway
from common.core.errors import GatewayError

ALONE_S: Final = 20.0
"""Somebody else's change takes a second or two on a small machine."""
LEFT_S: Final = 600.0
"""A check takes seconds, and is ended after 90: a draft that is older is nobody's."""
_LOOK_S: Final = 0.05
_PREFIX: Final = "serialgw-edit-"


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


def save_files(config: Path, contents: Mapping[str, bytes], look: Callable[[], None]) -> None:
    """Writes files of the configuration by their names below the main file's folder, new ones too: all of them are on
    the disk, under other names, before the first one has its own.

    `look` is called when nobody else of ours changes them any more, and may raise. Raises also GatewayError, OSError.
    """
    targets = {Path(os.path.realpath(config.parent / name)): content for name, content in contents.items()}
    with ExitStack() as held:
        for folder in sorted({target.parent for target in targets}):
            held.enter_context(_alone(folder))
        look()
        drafts: list[tuple[Path, Path]] = []
        try:
            for target, content in targets.items():
                like = target if target.exists() else Path(os.path.realpath(config))
                drafts.append((_draft(target, content, like.stat()), target))
            for draft, target in drafts:
                draft.replace(target)
        finally:
            for draft, _ in drafts:
                draft.unlink(missing_ok=True)
        for folder in {target.parent for target in targets}:
            _flush(folder)


@contextmanager
def as_it_would_be(config: Path, contents: Mapping[str, bytes]) -> Iterator[Path]:
    """The main file of the configuration as it would be with these contents, by their names below its folder: a folder
    of links to all that is there, but for these files. It is gone afterwards. Raises OSError."""
    with _draft_folder() as name:
        _lay(config.absolute().parent, Path(name), {Path(file).parts: it for file, it in contents.items()})
        yield Path(name) / config.name


@contextmanager
def _draft_folder() -> Iterator[str]:
    """A folder for drafts, which may hold secrets: it is gone afterwards, and so is what an earlier process that was
    killed has left. Raises OSError."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            found = left.lstat()
            if found.st_uid == os.geteuid() and found.st_mtime < time.time() - LEFT_S:
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        yield name


def _lay(source: Path, place: Path, contents: Mapping[tuple[str, ...], bytes]) -> None:
    heads = {parts[0] for parts in contents}
    for entry in source.iterdir() if source.is_dir() else ():
        if entry.name not in heads:
            (place / entry.name).symlink_to(entry)
    for head in heads:
        inner = {parts[1:]: content for parts, content in contents.items() if parts[0] == head}
        if () in inner:
            (place / head).touch(0o600)
            (place / head).write_bytes(inner[()])
        else:
            (place / head).mkdir()
            _lay(source / head, place / head, inner)


def _check(config: Path, file: Path, content: bytes) -> None:
    """Reads the configuration as it would be, with the content in the place of one of its files, wherever that is.
    Raises ConfigError."""
    with _draft_folder() as name:
        place = Path(name) / file.name
        place.write_bytes(content)
        read_gateway(config, os.environ, draft=Draft(file, place))


def _exchange(target: Path, content: bytes) -> None:
    """Another content under the same name, whole or not at all, and on the disk when this returns."""
    draft = _draft(target, content, target.stat())
    try:
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _flush(target.parent)


def _draft(target: Path, content: bytes, before: os.stat_result) -> Path:
    """The content under another name beside it, on the disk, with the owner and the mode of what was before."""
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
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _flush(path: Path) -> None:
    """The names in a folder are on the disk, too."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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
