"""What every process's `__main__` needs first: its arguments, its directories, its identity."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse

    from common.wire.messages import Identity

EXIT_CONFIG: Final = 78
"""sysexits' EX_CONFIG: a restart would not help."""
EXIT_UNAVAILABLE: Final = 69
"""sysexits' EX_UNAVAILABLE: something else holds what we need; a restart may help."""
DATA_DIR_VARIABLE: Final = "SERIALGW_DATA_DIR"


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Where journals and sockets live when nothing is said: SERIALGW_DATA_DIR, /var/lib/serialgw for root, else the
    user's own data folder."""
    if named := environ.get(DATA_DIR_VARIABLE):
        return Path(named)
    if os.getuid() == 0:
        return Path("/var/lib/serialgw")
    home = environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return Path(home) / "serialgw"


def keep_private() -> None:
    """Files and sockets that this process makes are for its user alone, whatever umask it was started with."""
    os.umask(0o077)


def service_parser(name: str, purpose: str) -> argparse.ArgumentParser:
    """An argument parser with what all services take: --config, --data-dir, --log-level."""
    import argparse  # Here: a process that has its task needs it no more.

    parser = argparse.ArgumentParser(prog=f"python -m services.{name}", description=purpose)
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="main or connector configuration")
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=default_data_dir(os.environ),
        metavar="DIR",
        help=f"journals and sockets (default: ${DATA_DIR_VARIABLE}, else %(default)s)",
    )
    parser.add_argument("--active", type=Path, metavar="FILE", help="what `serialgw run` has read, checked and kept")
    parser.add_argument("--log-level", default="INFO", metavar="LEVEL", help="TRACE, DEBUG, INFO, WARNING or ERROR")
    return parser


def make_identity(kind: str, name: str = "0", lock: Path | None = None) -> Identity:
    """The identity of this process at this start."""
    from common.wire.messages import (
        Identity,
    )  # Here: the command line takes its exit codes from this file, and no more.

    host = os.uname().nodename
    return Identity(kind, name, os.urandom(6).hex(), os.getpid(), host, str(lock.resolve()) if lock else "")
