"""`serialgw reload`: takes what stands in the configuration's files now, while the gateway runs."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Final

from common.config.taken import read_taken
from common.core.errors import ConfigError, GatewayError
from common.core.events import Note
from common.core.shown import harmless
from common.io.exits import EXIT_CONFIG
from common.io.variables import ASKED_BY_VARIABLE
from services.cli.arguments import Subparsers, add_data_dir, utf8_path
from services.cli.parser import ERROR, WARNING
from services.cli.supervise.by_hand import reload_by_hand
from services.cli.supervise.reloading import (
    COMMAND_LINE,
    Reloaded,
    Reloading,
    become_owner,
    find_plan,
    hold_lock,
)
from services.cli.supervise.stillness import HOLD_STILL_S, LOOK_S, Stillness, stamps_of
from services.cli.text import compact
from services.cli.usage import UsageError

LONGEST_NAME: Final = 40
NOTHING: Final = "nothing to do: the gateway runs with what stands in the files"


def add_parser(subparsers: Subparsers) -> None:
    """Adds `reload` and its options."""
    parser = subparsers.add_parser(
        "reload",
        help="take a changed configuration without a restart",
        description="Reads the files of a running gateway anew, says what has changed, and applies it: only what is "
        "concerned is touched, and nothing is lost. Data points, calls, framing and a line's settings reach a port "
        "reader at work. What can't be used is refused as a whole, and what does not come up is taken back. SIGHUP to "
        "`serialgw run` does the same.",
        epilog="examples:\n"
        "  serialgw reload --dry-run\n"
        "  serialgw reload\n"
        "  serialgw reload --watch\n"
        "  serialgw reload /config/tb_gateway.json    processes that compose or a person has started\n\n"
        "exit codes: 0 all go by the files, or would (--dry-run), 1 it was taken back, 69 no gateway is running there, "
        f"{EXIT_CONFIG} problems in the configuration: nothing was changed",
    )
    parser.add_argument(
        "file",
        type=utf8_path,
        nargs="?",
        metavar="FILE",
        help="main configuration, where no `serialgw run` looks after the processes; it knows its own",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument(
        "--restart", action="store_true", help="stop and start all processes, if a change can't be had without that"
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="stay, and do it each time the files have changed and then held still for "
        f"{HOLD_STILL_S:g} s; what can't be used is said, and waited for until it is mended",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, once all is done")
    add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Says the plan, applies it and says so; 0. Raises ConfigError, GatewayError and LinkError as `Reloading` does, and
    UsageError."""
    data_dir = args.data_dir.expanduser().absolute()
    become_owner(data_dir)
    if args.watch:
        if args.dry_run:
            raise UsageError("--watch applies what has changed, --dry-run nothing: expected one of them")
        return _watch(args, data_dir)
    return _reload(args, data_dir, os.environ.get(ASKED_BY_VARIABLE, COMMAND_LINE)[:LONGEST_NAME])


def _reload(args: argparse.Namespace, data_dir: Path, by: str) -> int:
    told: list[str] = []

    def show(planned: Reloaded) -> None:
        for warning in planned.warnings:
            print(f"{WARNING}{warning}", file=sys.stderr)
        if not args.json:
            print("\n".join(harmless(str(step)) for step in planned.steps) or NOTHING, flush=True)

    def note(found: Note) -> None:
        if found.event == "section.not_taken":
            told.append(f"{found.facts['device']}: {found.facts['reason']}; its port reader starts anew")
            print(harmless(told[-1]), file=sys.stderr)

    if find_plan(data_dir) is None:
        return reload_by_hand(args, data_dir, show, by)
    lock = hold_lock(data_dir)
    try:
        done = Reloading(data_dir, note, by=by).run(dry_run=args.dry_run, may_restart=args.restart, show=show)
    finally:
        lock.release()
    if args.json:
        print(compact(as_json(done)), flush=True)
    elif done.applied:
        print("applied", flush=True)
    return 0


def _watch(args: argparse.Namespace, data_dir: Path) -> int:
    """Until it is ended. What a reload refuses is said, and tried again when the files have changed again."""
    if find_plan(data_dir) is None:
        raise UsageError("--watch: no `serialgw run` is at work there; it takes changes of a gateway that runs")
    still = Stillness(stamps_of(data_dir), is_due=read_taken(data_dir).is_pending)
    while True:
        if still.look(stamps_of(data_dir), time.monotonic()):
            try:
                _reload(args, data_dir, "watch")
            except ConfigError as error:
                print("\n".join(f"{ERROR}{problem}" for problem in error.problems), file=sys.stderr, flush=True)
            except (GatewayError, OSError) as error:
                print(f"{ERROR}{error}", file=sys.stderr, flush=True)
        time.sleep(LOOK_S)


def as_json(done: Reloaded) -> dict[str, object]:
    """What `--json` prints."""
    steps = [step._asdict() for step in done.steps]
    return {"applied": done.applied, "steps": steps, "warnings": done.warnings}
