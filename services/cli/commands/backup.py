"""`serialgw backup`: keeps a gateway in one file, also while it runs."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final

from common.config.active import ACTIVE_NAME, LAST_GOOD, read_active
from common.config.models import Gateway, Storage
from common.config.reading import read_gateway
from common.core.errors import ConfigError
from common.io.clock import iso_time, wall_ms
from common.io.journal.copying import copy_journal
from common.io.journal.places import SUFFIX, journal_dir
from common.io.private import keep_private
from services.cli.arguments import Subparsers, add_data_dir, utf8_path
from services.cli.backing.archive import KeptJournal, Manifest, sum_of, write_archive
from services.cli.backing.contents import config_files, data_files
from services.cli.ending import ending_in_order
from services.cli.parser import WARNING
from services.cli.text import counted
from services.cli.usage import UsageError

KINDS: Final = ("monitor", "publisher", "port_reader")
"""Whose last good configuration says which one it is, where processes are started one by one."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds `backup` and its options."""
    parser = subparsers.add_parser(
        "backup",
        help="keep a gateway in one file, also while it runs",
        description="Keeps the configuration, the gateway's identity and keys, the tokens of its page, and the "
        "journals with all that waits for the platform and all dead letters. The gateway may run: each journal is kept "
        "as it was at one moment. Whoever has the file has the gateway's secrets.",
        epilog="examples:\n"
        "  sudo -u serialgw serialgw backup /tmp/gateway.tar.gz --data-dir /var/lib/serialgw\n"
        "  serialgw backup\n\n"
        "A secret that a variable or a file outside the configuration's folder brings is not in it.\n\n"
        "exit codes: 0 kept, 1 it can't be, 2 wrong usage",
    )
    parser.add_argument(
        "file", type=utf8_path, nargs="?", metavar="FILE", help="where to (default: here, named by host and time)"
    )
    parser.add_argument(
        "--config",
        type=utf8_path,
        metavar="FILE",
        help="the configuration (default: the one that has run last on this data directory)",
    )
    add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the backup. Raises UsageError, GatewayError, OSError."""
    keep_private()
    data_dir = args.data_dir.expanduser().absolute()
    gateway = _find_gateway(args.config, data_dir)
    host = os.uname().nodename
    target = args.file or Path(f"serialgw-{host}-{datetime.now():%Y-%m-%dT%H%M%S}.tar.gz")
    # Beside the backup, where there has to be room for it anyway.
    near, prefix = target.absolute().parent, f".{target.name}."
    with ending_in_order(), tempfile.TemporaryDirectory(dir=near, prefix=prefix) as place:
        folder = Path(place)
        files, elsewhere = config_files(gateway)
        main = Path(gateway.file)
        for path in files:
            _keep(path, folder / "config" / path.relative_to(main.parent))
        for path in data_files(data_dir):
            _keep(path, folder / "data" / path.relative_to(data_dir))
        journals, faults = _keep_journals(gateway.storage, data_dir, folder / "journals")
        sums = {str(path.relative_to(folder)): sum_of(path) for path in sorted(folder.rglob("*")) if path.is_file()}
        manifest = Manifest(at=iso_time(wall_ms()), host=host, main=main.name, journals=tuple(journals), sums=sums)
        write_archive(target, manifest, folder)
    warnings = [f"{path} is not below {main.parent}: it is not kept" for path in elsewhere]
    for warning in [*warnings, *faults]:
        print(f"{WARNING}{warning}", file=sys.stderr)
    waiting, letters = sum(one.waiting for one in journals), sum(one.letters for one in journals)
    print(
        f"{target}: {counted(len(files), 'file')} of the configuration, {counted(len(journals), 'journal')} "
        f"with {counted(waiting, 'frame')} that wait and {counted(letters, 'dead letter')}"
    )
    print("Keep it as you keep a password: the gateway's secrets are in it.")
    return 0


def _find_gateway(config: Path | None, data_dir: Path) -> Gateway:
    """The configuration that is kept; one that can't be used now as it was last. Raises UsageError, ConfigError."""
    places = [data_dir / ACTIVE_NAME, *(data_dir / LAST_GOOD / f"{kind}.json" for kind in KINDS)]
    last = next((active.gateway for place in places if (active := read_active(place)) is not None), None)
    if config is None and last is None:
        raise UsageError(f"nothing has run on {data_dir} that says which configuration it has; --config FILE names it")
    file = Path(config if config is not None else last.file if last is not None else "")
    try:
        # Secrets may come from where this command has none of them.
        return read_gateway(file, {"TB_GW_ACCESS_TOKEN": "-", "TB_GW_PASSWORD": "-"}).gateway
    except ConfigError:
        if last is None or last.file != os.path.abspath(file):
            raise
        return last


def _keep(path: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _keep_journals(storage: Storage, data_dir: Path, folder: Path) -> tuple[list[KeptJournal], list[str]]:
    """(what was kept, a sentence for each journal that is not sound)."""
    folder.mkdir(mode=0o700)
    place = journal_dir(storage, data_dir)
    if not place.is_dir():
        return [], []
    kept, faults = [], []
    for path in sorted(place.glob(f"*{SUFFIX}")):
        try:
            found = copy_journal(path, folder)
        except FileNotFoundError:
            continue  # It was drained, and removed meanwhile.
        kept.append(KeptJournal(path.name, found.device, found.waiting, found.letters))
        if found.fault:
            faults.append(f"{path.name}: kept as it is, for its port reader to mend: {found.fault}")
    return kept, faults
