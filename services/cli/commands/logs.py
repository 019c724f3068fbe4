"""`serialgw logs`: what the processes of a gateway have logged, of one device, from a level up.

`serialgw run` keeps the lines in two files of the data directory. So they are there also when the gateway is not.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO

from common.config.active import ACTIVE_NAME, read_active
from common.core.errors import GatewayError, LinkError
from common.core.log_lines import LEVELS, plain_line, read_line
from common.core.shown import harmless
from common.io.kept_log import FOLDER, NAME, OLDER
from services.cli.arguments import Subparsers, add_data_dir, add_device, log_level, one_device, whole_number
from services.cli.known import no_device
from services.cli.text import compact

DEFAULT_LAST: Final = 100
MOST_LAST: Final = 1_000_000
"""More than both files hold."""
LOOK_S: Final = 0.25
"""`--follow` looks for new lines after this."""
NOT_KEPT: Final = (
    "no log is kept there: `serialgw run` keeps one. Processes that are started one by one log to standard error: "
    "`docker-compose logs SERVICE` shows that, or `journalctl -u UNIT`"
)


def add_parser(subparsers: Subparsers) -> None:
    """Adds `logs` and its options."""
    parser = subparsers.add_parser(
        "logs",
        help="show what the processes of a gateway have logged",
        description="Shows the newest log lines of all processes that `serialgw run` has started, oldest first: those "
        "about one device, or from a level up. Up to 8 MiB of them are kept in the data directory, also while no "
        "gateway runs.",
        epilog="examples:\n"
        "  serialgw logs\n"
        "  serialgw logs press1 --follow\n"
        "  serialgw logs --level WARNING -n 20\n"
        "  serialgw logs --json | jq .\n\n"
        "exit codes: 0 shown, or ended by Ctrl-C, 1 there is no such device, 69 no log is kept there",
    )
    add_device(parser, "lines about this device only, by whichever process")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a line, also of lines that were logged as text"
    )
    parser.add_argument("--follow", "-f", action="store_true", help="go on with what is logged from now on")
    parser.add_argument(
        "--level", type=log_level, default="TRACE", metavar="LEVEL", help="from this level up: INFO, WARNING, ERROR"
    )
    parser.add_argument(
        "-n",
        "--last",
        type=whole_number(0, MOST_LAST),
        default=DEFAULT_LAST,
        metavar="N",
        help="so many (default: %(default)s)",
    )
    add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Prints lines, and with `--follow` goes on until Ctrl-C, which is 0. Raises LinkError where none are kept,
    GatewayError for a device that is neither configured nor mentioned."""
    folder = args.data_dir.expanduser() / FOLDER
    wanted = Wanted(one_device(args), args.level)
    try:
        kept = Tail(folder / NAME)
    except FileNotFoundError:
        raise LinkError(f"{folder / NAME}: {NOT_KEPT}") from None
    except OSError as error:
        raise LinkError(f"{folder / NAME}: {error.strerror}; is the gateway another user's?") from None
    older = _lines_of(folder / OLDER)
    found = deque(wanted.choose([*older, *kept.read()]), args.last)
    if not found and args.last and wanted.device is not None:
        _check_device(args.data_dir, wanted.device)
    show = objects_of if args.json else partial(map, plain_line)
    try:
        _print(show(found))
        while args.follow:
            time.sleep(LOOK_S)
            _print(show(wanted.choose(kept.read())))
    except KeyboardInterrupt:
        pass
    return 0


def objects_of(lines: Iterable[str]) -> Iterator[str]:
    """Each line as an object: one that was logged so as it is; of one that was logged as text, what is behind its head
    is the message, and lines without a head, such as a traceback, are of the one before."""
    found: dict[str, str] = {}
    for line in lines:
        head, logged = read_line(line), _object_in(line)
        if head is None and logged is None and found:
            found["message"] += f"\n{line}"
            continue
        if found:
            yield harmless(compact(found))
        found = {}
        if logged is not None:
            yield harmless(compact(logged))
        elif head is not None:
            who = {"process": head.process, "device": head.device}
            found = {
                "time": head.time,
                "level": head.level,
                **{k: v for k, v in who.items() if v},
                "message": head.said,
            }
    if found:
        yield harmless(compact(found))


def _object_in(line: str) -> dict[str, Any] | None:
    """The object of a line that was logged as one; None for every other line, also for one that only begins so."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


class Wanted:
    """Which lines are to be shown. What has no head of its own belongs to the line before."""

    def __init__(self, device: str | None, level: str) -> None:
        self.device = device
        self._least = LEVELS[level]
        self._is_shown = False

    def choose(self, lines: Iterable[str]) -> Iterator[str]:
        """Those of the lines that are wanted, in their order."""
        for line in lines:
            if (found := read_line(line)) is not None:
                is_about = self.device in (None, found.device)
                self._is_shown = is_about and LEVELS.get(found.level, LEVELS["INFO"]) >= self._least
            if self._is_shown:
                yield line


class Tail:
    """The end of a file that grows, and is exchanged for a new one when it is full."""

    def __init__(self, path: Path) -> None:
        """Raises OSError if there is none."""
        self._path = path
        self._file = _open(path)
        self._partial = ""

    def read(self) -> list[str]:
        """Whole lines that have come since this was called last."""
        text = self._partial + self._file.read()
        if self._is_exchanged():
            # What was written between that read and the exchange comes first.
            text += self._file.read()
            self._file.close()
            self._file = _open(self._path)
            text += self._file.read()
        *lines, self._partial = text.split("\n")
        return lines

    def _is_exchanged(self) -> bool:
        try:
            return os.stat(self._path).st_ino != os.fstat(self._file.fileno()).st_ino
        except OSError:
            return False


def _open(path: Path) -> TextIO:
    return path.open(encoding="utf-8", errors="backslashreplace", newline="\n")


def _lines_of(path: Path) -> list[str]:
    try:
        with _open(path) as file:
            return file.read().removesuffix("\n").split("\n")
    except OSError:
        return []


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _check_device(data_dir: Path, device: str) -> None:
    """Raises GatewayError for a device that the gateway was not started with; nothing is said where nobody knows."""
    active = read_active(data_dir.expanduser() / ACTIVE_NAME)
    if active is not None and device not in active.gateway.streams:
        raise GatewayError(no_device(device, active.gateway.streams))
