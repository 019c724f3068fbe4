"""`serialgw restore`: brings back what `serialgw backup` has kept, on this machine or on another."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from common.config.models import Storage
from common.config.reading import read_gateway
from common.core.errors import ConfigError, GatewayError, LinkError
from common.io.journal.places import SUFFIX, journal_dir
from common.io.locks import FileLock
from common.io.private import is_private, keep_private, make_private
from services.cli.arguments import Subparsers, add_data_dir, utf8_path, whole_number
from services.cli.backing.archive import MOST_BYTES, Manifest, sum_of, unpack_archive
from services.cli.commands.run import LOCK_NAME
from services.cli.ending import ending_in_order
from services.cli.parser import WARNING
from services.cli.text import counted
from services.cli.usage import UsageError

CARE: Final = """\
What waits is sent at the next start, with its old times. Do not start the gateway that this was kept of on its own
data again: both would send it. What that gateway has sent since the backup was made is sent once more by this one."""


class Placed(NamedTuple):
    """A file of the backup, and where it goes."""

    source: Path
    target: Path


def add_parser(subparsers: Subparsers) -> None:
    """Adds `restore` and its options."""
    parser = subparsers.add_parser(
        "restore",
        help="bring back what `serialgw backup` has kept",
        description="Brings a backup's configuration and data back, on a machine that has neither, or over a "
        "configuration that is to be replaced. To be run as the gateway's user, whose all of it will be. No journal is "
        "ever replaced, for what waits in it would be lost. Where something is wrong nothing is changed.",
        epilog="examples:\n"
        "  sudo -u serialgw serialgw restore gateway.tar.gz --dir /etc/serialgw --data-dir /var/lib/serialgw\n"
        "  serialgw restore gateway.tar.gz --dir . --data-dir data\n"
        "  serialgw restore gateway.tar.gz --list\n\n"
        "exit codes: 0 brought back, 1 nothing was, 2 wrong usage, 69 a gateway runs there",
    )
    parser.add_argument("file", type=utf8_path, metavar="FILE", help="what `serialgw backup` has written")
    parser.add_argument(
        "--dir", type=utf8_path, metavar="DIR", help="where the configuration goes; needed but for --list"
    )
    parser.add_argument(
        "--most-gib",
        type=whole_number(1, 1_048_576),
        default=MOST_BYTES // 1024**3,
        metavar="N",
        help="refuse a file of which more GiB come out (default: %(default)s)",
    )
    parser.add_argument("--anyway", action="store_true", help="replace files that are there, but for journals")
    parser.add_argument("--list", action="store_true", help="only say what is in it")
    add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Restores. Raises UsageError; GatewayError, with nothing changed; LinkError where a gateway runs; OSError."""
    if args.dir is None and not args.list:
        raise UsageError(
            "--dir says where the configuration goes, such as /etc/serialgw; --list only shows what is in it"
        )
    keep_private()
    config_dir, data_dir = (args.dir or Path()).expanduser().absolute(), args.data_dir.expanduser().absolute()
    # Where it goes there has to be room for it; a container's /tmp has little.
    near = data_dir if is_private(data_dir) else None
    with ending_in_order(), tempfile.TemporaryDirectory(prefix="restoring-", dir=near) as place:
        folder = Path(place)
        manifest = unpack_archive(args.file, folder, args.most_gib * 1024**3)
        print("\n".join(_shown(manifest)))
        if args.list:
            return 0
        make_private(data_dir)
        lock = _take_lock(data_dir)
        try:
            config_dir.mkdir(parents=True, exist_ok=True)
            # Before the configuration is in its place nobody can say where its journals belong.
            plain = [*_placed(folder / "config", config_dir), *_placed(folder / "data", data_dir)]
            _refuse_replacing(plain, anyway=args.anyway)
            journals = _journals_of(folder, manifest, config_dir, data_dir)
            _put([*plain, *journals])
        finally:
            lock.release()
    print(f"\nconfiguration in {config_dir}, data in {data_dir}")
    print(CARE)
    print(f"next: serialgw check {config_dir / manifest.main}")
    return 0


def _shown(manifest: Manifest) -> Iterable[str]:
    """What is in it, for a person."""
    yield f"kept at {manifest.at} on {manifest.host}, by serialgw {manifest.release}"
    files = [name for name in manifest.sums if name.startswith("config/")]
    yield f"{counted(len(files), 'file')} of the configuration, {counted(len(manifest.journals), 'journal')}"
    for one in manifest.journals:
        name = one.device or one.file
        yield f"  {name}: {counted(one.waiting, 'frame')} waiting, {counted(one.letters, 'dead letter')}"


def _take_lock(data_dir: Path) -> FileLock:
    try:
        return FileLock(data_dir / LOCK_NAME)
    except LinkError as error:
        raise LinkError(f"a gateway is running on this data directory: {error}; stop it first") from None


def _placed(source: Path, target: Path) -> list[Placed]:
    return [Placed(path, target / path.relative_to(source)) for path in sorted(source.rglob("*")) if path.is_file()]


def _refuse_replacing(placed: Iterable[Placed], *, anyway: bool) -> None:
    """Raises GatewayError for a file that is there and says something else."""
    for source, target in placed:
        if os.path.lexists(target) and (target.is_symlink() or not target.is_file()):
            raise GatewayError(f"{target}: found something that is no file, expected nothing; move it away")
        if target.exists() and not anyway and sum_of(target) != sum_of(source):
            raise GatewayError(f"{target} is there and says something else; --anyway replaces it")


def _journals_of(folder: Path, manifest: Manifest, config_dir: Path, data_dir: Path) -> list[Placed]:
    """Where the journals go: as the configuration says. Raises GatewayError where there are some already."""
    try:
        storage = read_gateway(folder / "config" / manifest.main, {"TB_GW_ACCESS_TOKEN": "-", "TB_GW_PASSWORD": "-"})
        found = _moved(storage.gateway.storage, folder / "config", config_dir)
    except ConfigError as error:
        print(f"{WARNING}the configuration can't be used: {error.problems[0]}", file=sys.stderr)
        found = Storage()
    place = journal_dir(found, data_dir)
    make_private(place)
    placed = _placed(folder / "journals", place)
    taken = [target for _, target in placed if os.path.lexists(target)]
    taken += place.glob(f"*{SUFFIX}") if placed else []
    if taken:
        raise GatewayError(
            f"{taken[0]} is there: what waits in it would be lost, or mixed with what is brought back; "
            "name an empty --data-dir, or move the journals away"
        )
    return placed


def _moved(storage: Storage, before: Path, after: Path) -> Storage:
    """A place of journals that was named relative to the configuration, relative to where that is going to be."""
    if storage.data_dir is None or not Path(storage.data_dir).is_relative_to(before):
        return storage
    import msgspec

    return msgspec.structs.replace(storage, data_dir=str(after / Path(storage.data_dir).relative_to(before)))


def _put(placed: Iterable[Placed]) -> None:
    """All of them under other names first: a full disk leaves everything as it was. Raises OSError."""
    drafts: list[tuple[Path, Path]] = []
    try:
        for source, target in placed:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = target.with_name(f"{target.name}.{os.getpid()}.new")
            drafts.append((draft, target))
            shutil.copyfile(source, draft)
        for draft, target in drafts:
            draft.replace(target)
    except BaseException:
        for draft, _ in drafts:
            draft.unlink(missing_ok=True)
        raise
