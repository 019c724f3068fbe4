"""`serialgw replay FILE`: plays a capture on a pseudo-terminal, which any program opens as a serial port."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Final

from services.cli.arguments import Subparsers, utf8_path
from services.cli.captures.files import read_capture
from services.cli.captures.form import End
from services.cli.captures.recorder import LIMIT_BYTES
from services.cli.captures.score import Parts, Player, parts_of
from services.cli.captures.stage import Stage, make_link
from services.cli.captures.stop import StopWish
from services.cli.text import compact, counted
from services.cli.usage import UsageError

SLOWEST: Final = 0.001
FASTEST: Final = 1_000_000.0
"""Faster than that is --at-once."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds `replay` and its options."""
    parser = subparsers.add_parser(
        "replay",
        help="play a recorded line on a pseudo-terminal",
        description="Plays a file of `serialgw capture` on a pseudo-terminal and prints its path: whoever opens it "
        "hears the device from the beginning. Where the file has requests, a request is answered as it was when it was "
        "recorded. It ends when all was said and the port was closed, else by Ctrl-C.",
        epilog="examples:\n"
        "  serialgw replay meter.txt\n"
        "  serialgw replay meter.txt --loop --link /tmp/meter\n"
        "  serialgw replay meter.txt --speed 20 --loop\n\n"
        "exit codes: 0 done, 1 no pseudo-terminal or no link can be made, 2 wrong usage, or FILE is no capture",
    )
    parser.add_argument("file", type=utf8_path, metavar="FILE", help="a capture")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument(
        "--speed", type=_speed, default=1.0, metavar="N", help="so many times as fast as it was (default: %(default)g)"
    )
    pace.add_argument("--at-once", action="store_true", help="without pauses, as fast as it is read")
    parser.add_argument("--loop", action="store_true", help="again and again, until Ctrl-C")
    parser.add_argument(
        "--link", type=utf8_path, metavar="PATH", help="a symbolic link to the port, taken away at the end"
    )
    parser.add_argument("--json", action="store_true", help="the path as a JSON object")


def _speed(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not SLOWEST <= value <= FASTEST:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from {SLOWEST:g} to {FASTEST:g}")
    return value


def run(args: argparse.Namespace) -> int:
    """Plays. Raises UsageError, OSError."""
    entries = read_capture(args.file, LIMIT_BYTES)
    if all(isinstance(entry, End) for entry in entries):
        raise UsageError(f"{args.file}: found no bytes in it, expected some to play")
    parts = parts_of(entries)
    player = Player(parts, speed=args.speed, at_once=args.at_once, loops=args.loop)
    stage = Stage()
    link: Path | None = args.link
    try:
        if link is not None:
            make_link(link, stage.path)
        with StopWish() as wish:
            _say(args, stage.path, parts)
            said_bytes = stage.play(player, lambda: wish.is_set)
    finally:
        if link is not None and link.is_symlink() and str(link.readlink()) == stage.path:
            link.unlink()
        stage.close()
    unknown = f"; {counted(player.unknown_bytes, 'byte')} of requests were not recorded" if player.unknown_bytes else ""
    if player.unanswered:
        unknown += f"; {counted(player.unanswered, 'request')} not answered: nobody read the answers before"
    print(f"said {counted(said_bytes, 'byte')}{unknown}", file=sys.stderr)
    return 0


def _say(args: argparse.Namespace, path: str, parts: Parts) -> None:
    """The path, alone on standard output; and what it is, for a person."""
    link = {} if args.link is None else {"link": str(args.link)}
    print(compact({"port": path, **link}) if args.json else path, flush=True)
    what = "a device that talks by itself"
    if parts.answers:
        what = f"a device that answers {counted(len(parts.answers), 'request')}"
    also = f" (also {args.link})" if link else ""
    until = "Ctrl-C" if parts.answers or args.loop else "all is said and heard"
    print(f"{what} is at {path}{also} until {until}: open it as a serial port", file=sys.stderr, flush=True)
