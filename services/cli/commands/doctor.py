"""`serialgw doctor`: why no data comes, looked for from the port to the platform, each fault with what mends it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from common.config.names import CONFIG_DIR_VARIABLE
from common.core.shown import harmless
from services.cli.arguments import Subparsers, add_data_dir, utf8_path, utf8_text
from services.cli.diagnosis.finding import LEVELS, Finding
from services.cli.diagnosis.host import Host
from services.cli.diagnosis.whole import Asked, look
from services.cli.text import compact, counted

DEFAULT_FILE: Final = "tb_gateway.json"
LEAST_WIDTH: Final = 40
"""Text is no narrower, however narrow the terminal is."""
_INDENT: Final = " " * 9
"""As wide as the longest level, and a blank."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds `doctor` and its options."""
    parser = subparsers.add_parser(
        "doctor",
        help="find out why no data comes, and what mends it",
        description="Looks at what keeps data from coming: is the port there, may this user open it, which program has "
        "it or may take it (a login, a console, ModemManager, brltty), is its kernel module loaded, is there room on "
        "the disk, can the clock be right, does the platform let the gateway in. Says of each fault what mends it. "
        "Opens no serial port and changes nothing. The platform is connected to once, if no gateway runs.",
        epilog="examples:\n"
        "  serialgw doctor\n"
        "  serialgw doctor /dev/ttyUSB0\n"
        "  serialgw doctor press1 --config tb_gateway.json\n"
        "  sudo serialgw doctor              sees the programs of all users\n\n"
        "exit codes: 0 nothing keeps data from coming, 1 something does",
    )
    parser.add_argument(
        "port",
        type=utf8_text,
        nargs="?",
        metavar="PORT",
        help="this port, or the port of this device, and nothing else",
    )
    parser.add_argument(
        "--config",
        type=utf8_path,
        metavar="FILE",
        help=f"main or connector configuration (default: {DEFAULT_FILE} in ${CONFIG_DIR_VARIABLE}, else here, if it is "
        "there; else what the gateway of the data directory was started with)",
    )
    parser.add_argument("--offline", action="store_true", help="connect to nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the findings, the worst ones first: 0, or 1 if there is a fault."""
    asked = Asked(args.port, args.config or default_file(), args.data_dir.expanduser().absolute(), not args.offline)
    findings = look(asked, Host.own())
    found = sorted(findings, key=lambda finding: LEVELS.index(finding.level))
    is_well = not any(finding.level == "fault" for finding in found)
    if args.json:
        print(compact({"ok": is_well, "findings": [finding._asdict() for finding in found]}))
    else:
        has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
        print(as_text(found, shutil.get_terminal_size().columns if has_width else None))
    return 0 if is_well else 1


def default_file() -> Path | None:
    """The configuration that `serialgw run` would take here; None if there is none."""
    file = Path(os.environ.get(CONFIG_DIR_VARIABLE) or "") / DEFAULT_FILE
    return file if file.exists() else None


def as_text(findings: Sequence[Finding], width: int | None = None) -> str:
    """The findings for a person: each on its line, or on as many as `width` takes; what mends it below, commands on
    lines of their own that are never broken; how many there are at the end."""
    lines = []
    for one in findings:
        said = harmless(f"{one.level:8} {one.subject}: {one.found}")
        lines += textwrap.wrap(said, max(LEAST_WIDTH, width), subsequent_indent=_INDENT) if width else [said]
        lines += [f"{_INDENT}{line}" for line in one.cure.splitlines()]
    counts = [counted(sum(one.level == level for one in findings), level) for level in ("fault", "warning")]
    return "\n".join([*lines, "", ", ".join(counts)])
