"""`serialgw probe`: what an unknown device seems to say, by listening alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.core.errors import LinkError
from services.cli.arguments import Subparsers, add_data_dir, utf8_path, utf8_text
from services.cli.commands.identify import port_path, seconds_to_listen
from services.cli.identifying.port import Port, holder_of
from services.cli.probing.guessing import Guess, best
from services.cli.probing.listening import listen
from services.cli.text import compact, counted, escape

EXIT_NOTHING = 1
LISTEN_S = 3.0


def add_parser(subparsers: Subparsers) -> None:
    """Adds `probe` and its options."""
    parser = subparsers.add_parser(
        "probe",
        help="listen to an unknown device, and guess its settings",
        description="Listens at one setting after the other and shows the likeliest with samples: you will know which "
        "one is your device. It never writes to the line. Opening a port resets some boards (Arduino, ESP32).",
        epilog="examples:\n"
        "  serialgw probe /dev/ttyUSB0\n"
        "  serialgw probe /dev/ttyUSB0 --json\n\n"
        "exit codes: 0 something was heard, 1 nothing was, 2 wrong usage, 69 the port can't be had",
    )
    parser.add_argument("port", type=utf8_text, metavar="PORT", help="a path such as /dev/ttyUSB0, or usb://VID:PID")
    parser.add_argument(
        "--seconds",
        type=seconds_to_listen,
        default=LISTEN_S,
        metavar="S",
        help="at each setting (default: %(default)g)",
    )
    parser.add_argument(
        "--dir", type=utf8_path, default=Path(), metavar="DIR", help="the folder of your own profiles (default: here)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Listens, and says what was heard. Raises LinkError, UsageError, ConfigError."""
    path = port_path(args.port)
    if holder := holder_of(args.port, args.data_dir):
        raise LinkError(f"{args.port}: the running gateway reads it, as device {holder}: `serialgw watch` shows it")
    with Port(path) as port:
        found = best(listen(port, args.seconds, _tell, args.dir))
    print(compact(as_json(args.port, found)) if args.json else as_text(args.port, found))
    return 0 if found else EXIT_NOTHING


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def as_json(port: str, guesses: Sequence[Guess]) -> dict[str, Any]:
    """For a program; bytes in hexadecimal, and of each guess a device section to begin with."""
    return {
        "port": port,
        "guesses": [
            {
                "setting": one.setting,
                "score": one.score,
                "reason": one.reason,
                "delimiter": one.delimiter.hex(),
                "profiles": list(one.profiles),
                "frames": [frame.hex() for frame in one.frames],
                "sample": one.sample.hex(),
                "section": one.section(port, "new", one.profiles[0] if one.profiles else ""),
            }
            for one in guesses
        ],
    }


def as_text(port: str, guesses: Sequence[Guess]) -> str:
    """For a person."""
    if not guesses:
        return (
            f"{port}: nothing came, at any setting. Is the device on, are its wires crossed (TX to RX), does it talk "
            f"unasked? A device that must be asked: serialgw identify {port} --ask"
        )
    lines = []
    for number, one in enumerate(guesses, start=1):
        lines.append(f"{number}. {one.setting}: {one.reason}")
        shown = one.frames or (one.sample,)
        lines += [f"     {frame_as_text(frame)}" for frame in shown[-3:]]
    profile = next((one.profiles[0] for one in guesses if one.profiles), "")
    more = f"serialgw init {port} --profile {profile}" if profile else f"serialgw add {port}"
    return "\n".join([*lines, "", f"{counted(len(guesses), 'guess')}. Next: {more}"])


def frame_as_text(frame: bytes) -> str:
    """Text as text, anything else in hexadecimal."""
    is_text = sum(32 <= byte < 127 or byte in b"\r\n\t" for byte in frame) * 4 >= len(frame) * 3
    return f'"{escape(frame)}"' if is_text else frame[:48].hex(" ") + (" …" if len(frame) > 48 else "")
