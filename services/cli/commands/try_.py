"""`serialgw try`: what a configuration makes of frames, calls and answers, without a device.

Exit codes: 0 all well; 1 a frame, params or an answer could not be converted; 2 usage; 78 configuration error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TextIO

from common.config.models import Connector, Device, Gateway
from common.config.reading import read_gateway
from common.io.exits import EXIT_CONFIG
from services.cli.arguments import Subparsers, add_device, one_device, utf8_text
from services.cli.text import counted
from services.cli.trial.calls import called_as_json, called_as_text, try_call
from services.cli.trial.frames import Outcome, converter_of, failure_of
from services.cli.trial.inputs import bytes_of_answer, bytes_of_hex, bytes_of_text, params_of
from services.cli.trial.pieces import Piece, pieces_of, whole_frame
from services.cli.trial.showing import as_json, as_text
from services.cli.usage import UsageError

_WHAT: Final = ("text", "hex", "file", "rpc")
"""Options that say what is tried."""
EXIT_CONVERSION: Final = 1
"""The code if any frame, params or answer could not be converted."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds the command to the `serialgw` parser; its `run` default is `run`.

    Exactly one of frame, file and call can be tried at a time.
    """
    parser = subparsers.add_parser(
        "try",
        help="what the configuration makes of a frame, a capture or a call, without a device",
        description="Shows what a configuration makes of a frame, a capture, or a call and its answer: frames and dead "
        "bytes, messages, and of each data point the bytes that it took, with its value.",
        epilog="examples:\n"
        "  serialgw try tb_gateway.json press1 --text '48\\r2430947595\\n'\n"
        "  serialgw try tb_gateway.json press1 --hex '34 38 0d 0a'\n"
        "  serialgw try tb_gateway.json press1 --file press1.txt --json\n"
        "  serialgw try tb_gateway.json press1 --rpc set --params 25 --answer 'OK\\n'\n"
        "  serialgw try --profile sds011 --hex 'aa c0 06 00 06 00 58 d9 3d ab'\n"
        "  serialgw try --profile victron-ve-direct capture.txt\n"
        "  serialgw capture /dev/ttyUSB0 | serialgw try tb_gateway.json press1 --file -\n\n"
        "exit codes: 0 all well, 1 something could not be converted, 2 wrong usage,"
        f" {EXIT_CONFIG} problems in the configuration",
    )
    parser.add_argument(
        "config",
        metavar="FILE",
        nargs="?",
        help="tb_gateway.json or a serial connector file; with --profile, and no frame, a capture",
    )
    parser.add_argument("--profile", type=utf8_text, metavar="NAME", help="in place of a configuration")
    add_device(parser, "of which device; may be left out if there is only one")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--text", metavar="T", help=r"one frame as text; \r \n \t \xNN and \\ work")
    what.add_argument("--hex", metavar="H", help="one frame as hexadecimal bytes: '54 3a', 54:3a, 0x54 0x3a")
    what.add_argument(
        "--file",
        metavar="F",
        help="a capture, or a file of raw bytes, cut into frames as on the line; - is standard input",
    )
    what.add_argument("--rpc", metavar="METHOD", help="a call from the platform")
    parser.add_argument("--params", metavar="JSON", help="the call's params")
    parser.add_argument("--answer", metavar="T", help="what the device would answer, as --text, or as bytes: hex:06 0D")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command and returns its exit code. Raises ConfigError for a configuration that can't be used,
    UsageError for arguments that make no sense."""
    # Taken before it is redirected.
    out = sys.stdout
    gateway, device = _of_profile(args) if args.profile is not None else _of_configuration(args)
    # What users' converters print must not get between the results, which may be piped on.
    with contextlib.redirect_stdout(sys.stderr):
        if args.rpc is not None:
            return _try_call(gateway, device, args, out)
        if args.params is not None or args.answer is not None:
            raise UsageError("--params and --answer go with --rpc")
        return _try_frames(gateway, device, args, out)


def _of_configuration(args: argparse.Namespace) -> tuple[Gateway, Device]:
    """The gateway of the file that was named, and the device. Raises UsageError, ConfigError."""
    if args.config is None:
        raise UsageError("found no configuration: name its file, or --profile NAME")
    if all(getattr(args, name) is None for name in _WHAT):
        raise UsageError("found nothing to try, expected --text, --hex, --file or --rpc")
    gateway = read_gateway(args.config, os.environ).gateway
    return gateway, _pick_device(gateway, one_device(args))


def _of_profile(args: argparse.Namespace) -> tuple[Gateway, Device]:
    """A gateway of one device, which is as a profile says; a file that was named is a capture, or bytes of it.
    Raises UsageError, ConfigError."""
    from common.config.profile_devices import device_of_profile, find_profile

    if args.device is not None or args.device_option is not None:
        raise UsageError("a profile has one device: leave the device out")
    is_given = any(getattr(args, name) is not None for name in _WHAT)
    if is_given == (args.config is not None):
        found = "bytes given twice" if is_given else "nothing to try"
        raise UsageError(f"found {found}, expected --hex, --text, --rpc, or a file of raw bytes behind --profile NAME")
    if args.config is not None:
        args.file = args.config
    device = device_of_profile(find_profile(args.profile, Path()), Path())
    return Gateway(connectors=(Connector(name="Serial", devices=(device,)),)), device


def _pick_device(gateway: Gateway, name: str | None) -> Device:
    """The device of this name; without one the only device. Raises UsageError that names them all."""
    devices = gateway.devices
    if name is None and len(devices) == 1:
        return devices[0]
    found = next((device for device in devices if device.name == name), None)
    if found is None:
        names = ", ".join(device.name for device in devices)
        if name is None:
            raise UsageError(f"there are several devices, choose one with --device: {names}")
        raise UsageError(f'there is no device "{name}" in {gateway.file}; there is: {names}')
    return found


def _try_frames(gateway: Gateway, device: Device, args: argparse.Namespace, out: TextIO) -> int:
    """Prints the outcomes of each frame as it is converted: a long file shows its first lines at once."""
    convert = converter_of(gateway, device)
    failed = False
    counts = {"frame": 0, "dead": 0, "told": 0}
    sizes = dict(counts)
    for piece in _pieces(device, args):
        kind = "told" if piece.is_written else "dead" if piece.dead else "frame"
        counts[kind] += 1
        sizes[kind] += len(piece.frame)
        outcomes: list[Outcome | None] = [None]
        if piece.dead:
            outcomes = [failure_of(device, piece.dead)]
        elif not piece.is_written and not piece.is_foreign:
            outcomes = [*convert(piece.frame, piece.origin)]
        for outcome in outcomes:
            failed = failed or (outcome is not None and outcome.failed)
            print(as_json(outcome, piece) if args.json else as_text(outcome, piece, counts[kind]), file=out)
    if not counts["frame"] and not counts["dead"]:
        print("no frame: the input is empty", file=sys.stderr)
    elif args.file is not None and not args.json:
        dead = (
            f"; {counted(sizes['dead'], 'byte')} in {counted(counts['dead'], 'dead piece')}" if counts["dead"] else ""
        )
        print(f"{counted(sizes['frame'], 'byte')} in {counted(counts['frame'], 'frame')}{dead}", file=sys.stderr)
    return EXIT_CONVERSION if failed else 0


def _pieces(device: Device, args: argparse.Namespace) -> Iterable[Piece]:
    """What --text, --hex or --file name."""
    if args.file is not None:
        return pieces_of(Path(args.file), device)
    frame = bytes_of_text("--text", args.text) if args.text is not None else bytes_of_hex(args.hex)
    return [whole_frame(frame, device)]


def _try_call(gateway: Gateway, device: Device, args: argparse.Namespace, out: TextIO) -> int:
    """Prints what is written for a call, and the value of its answer."""
    params = params_of(args.params)
    answer = bytes_of_answer(args.answer) if args.answer is not None else None
    called = try_call(gateway, device, args.rpc, params, answer)
    print(called_as_json(called) if args.json else called_as_text(device, called), file=out)
    return EXIT_CONVERSION if "error" in called else 0
