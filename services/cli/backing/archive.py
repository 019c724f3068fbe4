"""A backup as one file: a tar archive, whose first member says what the others are.

    manifest.json       what is kept, and the SHA-256 of each
    config/…            as they lie below the configuration's folder
    data/…              as they lie in the data directory
    journals/…          one a device, with its mark

Whoever has it has the gateway's secrets. What is read of one is not believed: a name leads nowhere but into its folder,
and no member counts that the manifest does not know.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Final

import msgspec

from common.core.errors import GatewayError
from common.core.version import RELEASE
from common.io.journal.mark import SUFFIX as MARK_SUFFIX
from common.io.journal.places import DEVICES_SUFFIX, SUFFIX
from services.cli.backing.contents import DATA

MANIFEST: Final = "manifest.json"
JOURNAL_ENDS: Final = tuple(f"{SUFFIX}{end}" for end in ("", MARK_SUFFIX, DEVICES_SUFFIX, "-wal", "-wal-kept", ".new"))
"""How the files of a journal are called, also of one that is damaged, as `copy_journal` keeps them."""
FORM: Final = 1
"""Of the archive; a later one is refused."""
MOST_MANIFEST_BYTES: Final = 16 * 1024 * 1024
MOST_BYTES: Final = 32 * 1024**3
"""What comes out of an archive, in all, if nothing else is said: 64 journals at their usual limit are half of it."""
MOST_FILES: Final = 100_000
"""Members of an archive: a gateway has some for each device."""
CHUNK_BYTES: Final = 1 << 20
EXPECTED: Final = "expected a file that `serialgw backup` has written"


class KeptJournal(msgspec.Struct, frozen=True):
    """What waits in a journal."""

    file: str
    device: str
    waiting: int
    letters: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive is. A later one may have more fields, with defaults."""

    form: int = FORM
    release: str = RELEASE
    at: str
    """When it was made, with its zone."""
    host: str
    main: str
    """The main file's name, in `config`."""
    journals: tuple[KeptJournal, ...] = ()
    sums: Mapping[str, str] = {}
    """Member → SHA-256."""


def sum_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_archive(target: Path, manifest: Manifest, folder: Path) -> None:
    """Packs what lies in a folder, whole or not at all, readable by its user alone. Raises OSError."""
    names = sorted(manifest.sums)
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    draft = target.with_name(f"{target.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
                for name in (MANIFEST, *names):
                    archive.add(folder / name, arcname=name, recursive=False, filter=_anonymous)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Whose files they were means nothing elsewhere."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def unpack_archive(path: Path, folder: Path, most_bytes: int = MOST_BYTES) -> Manifest:
    """Unpacks an archive into a folder of our own and checks each file. Raises GatewayError for what is no backup, not
    whole, or more than `most_bytes` once it is unpacked; OSError."""
    left_bytes = most_bytes
    try:
        with tarfile.open(path, "r:*") as archive:
            members = _members(path, archive)
            manifest = _read_manifest(path, next(members, ("", None))[1])
            left = dict(manifest.sums)
            for name, file in members:
                wanted = left.pop(name, None)
                if wanted is None:
                    raise GatewayError(f"{path}: found {name!r}, which its list does not have; {EXPECTED}")
                left_bytes -= _unpack(path, file, folder / name, wanted, left_bytes)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise GatewayError(f"{path}: {error}; {EXPECTED}") from None
    if left:
        raise GatewayError(f"{path}: {min(left)} is missing in it: it was cut, or changed")
    return manifest


def _members(path: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes] | None]]:
    for count, member in enumerate(archive):
        if count > MOST_FILES:
            raise GatewayError(f"{path}: found more than {MOST_FILES} files in it; {EXPECTED}")
        place = PurePosixPath(member.name)
        is_ours = member.name == MANIFEST or _is_kept(place)
        if not member.isreg() or not is_ours or ".." in place.parts or str(place) != member.name:
            raise GatewayError(f"{path}: found {member.name!r} in it; {EXPECTED}")
        yield member.name, archive.extractfile(member)


def _is_kept(place: PurePosixPath) -> bool:
    """True for what `serialgw backup` keeps. Where journals go is said by the configuration in the same file: another
    name there could be one that the host believes."""
    folder, *parts = place.parts or ("",)
    name = "/".join(parts)
    if folder == "journals":
        return len(place.parts) == 2 and name.endswith(JOURNAL_ENDS)
    return bool(name) and (folder == "config" or (folder == "data" and name in DATA))


def _read_manifest(path: Path, file: IO[bytes] | None) -> Manifest:
    try:
        manifest = msgspec.json.decode(file.read(MOST_MANIFEST_BYTES) if file else b"", type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise GatewayError(f"{path}: it has no list of what is in it; {EXPECTED}") from None
    if "/" in manifest.main or manifest.main in ("", ".", ".."):
        raise GatewayError(f"{path}: found {manifest.main!r} as the name of its main file; {EXPECTED}")
    if manifest.form > FORM:
        raise GatewayError(f"{path}: serialgw {manifest.release} has written it, in a newer form; restore it with that")
    return manifest


def _unpack(path: Path, file: IO[bytes] | None, target: Path, wanted: str, most_bytes: int) -> int:
    """The file's size, which is `most_bytes` at most."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found, size = hashlib.sha256(), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o600), "wb") as writing:
        while file is not None and (chunk := file.read(CHUNK_BYTES)):
            size += len(chunk)
            if size > most_bytes:
                raise GatewayError(
                    f"{path}: more comes out of it than is allowed; if it is yours, --most-gib N allows N GiB"
                )
            found.update(chunk)
            writing.write(chunk)
    if found.hexdigest() != wanted:
        raise GatewayError(f"{path}: {target.name} is not as it was kept: the file is damaged, or was changed")
    return size
