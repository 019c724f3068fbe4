"""The arguments that all processes of a gateway take, and where its data lies when nobody says it.

A port reader that has its task in a file does not import this module: `argparse` is memory in each of many processes.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

DATA_DIR_VARIABLE: Final = "SERIALGW_DATA_DIR"
"""Names the data directory for processes and commands that are not told it by an argument."""


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Where journals and sockets live when nothing is said: SERIALGW_DATA_DIR, /var/lib/serialgw for root, else the
    user's own data folder."""
    if named := environ.get(DATA_DIR_VARIABLE):
        return Path(named)
    if os.getuid() == 0:
        return Path("/var/lib/serialgw")
    home = environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return Path(home) / "serialgw"


def service_parser(name: str, purpose: str, *, needs_config: bool = True) -> argparse.ArgumentParser:
    """An argument parser with what all services take: --config, --data-dir, --active, --log-level.

    `name` is the service's package below `services`. A service adds its own options to the parser; what does not fit is
    said by argparse, with exit code 2. `needs_config` False: whoever starts all services alike may name one.
    """
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}", description=purpose)
    parser.add_argument(
        "--config", required=needs_config, type=Path, metavar="FILE", help="main or connector configuration"
    )
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
