"""`serialgw identify PORT`: which of the known devices is there.

It listens at the settings of all profiles whose devices talk by themselves, and names those whose checksums are right
again and again. With `--ask` it also asks the questions of the others, none of which changes anything in a device.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from common.config.ports import is_usb
from common.config.usb_ports import EXPECTED, find_port, read_selector
from common.core.errors import LinkError
from common.io.exits import EXIT_UNAVAILABLE
from services.cli.arguments import Subparsers, add_data_dir, utf8_path, utf8_text
from services.cli.identifying.candidates import ENOUGH, Candidate, best, candidates, line_of
from services.cli.identifying.port import Port, holder_of
from services.cli.text import compact, counted
from services.cli.usage import UsageError

EXIT_NOTHING: Final = 1
LISTEN_S: Final = 3.0
"""Most devices that talk by themselves do so each second or two."""
MOST_LISTEN_S: Final = 60.0
PATIENCE: Final = 4
"""A setting at which one good frame came is listened to so many times as long, for the second one."""
TIMES_ASKED: Final = 2


def add_parser(subparsers: Subparsers) -> None:
    """Adds `identify` and its options."""
    parser = subparsers.add_parser(
        "identify",
        help="find out which known device is at a port",
        description="Listens at the settings of all profiles whose devices talk by themselves, and names those whose "
        f"frames come with a right checksum, {ENOUGH} times. With --ask it also asks those that must be asked; the "
        "questions only read.",
        epilog="examples:\n"
        "  serialgw identify /dev/ttyUSB0\n"
        "  serialgw identify /dev/ttyUSB0 --ask\n"
        "  serialgw identify /dev/ttyUSB0 --seconds 12 --json\n\n"
        f"exit codes: 0 a profile fits, {EXIT_NOTHING} none does, 2 wrong usage,"
        f" {EXIT_UNAVAILABLE} the port can't be opened, or somebody has it",
    )
    parser.add_argument("port", type=utf8_text, metavar="PORT", help="a path such as /dev/ttyUSB0")
    parser.add_argument("--ask", action="store_true", help="also ask, with questions that change nothing")
    parser.add_argument(
        "--seconds",
        type=seconds_to_listen,
        default=LISTEN_S,
        metavar="S",
        help="how long to listen at each setting, and to wait for an answer (default: %(default)g); a DSMR 4 meter "
        "talks every 10",
    )
    parser.add_argument(
        "--dir", type=utf8_path, default=Path(), metavar="DIR", help="the folder of your own profiles (default: here)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    add_data_dir(parser)


def seconds_to_listen(text: str) -> float:
    """A time to listen from the command line."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.05 <= value <= MOST_LISTEN_S:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected seconds from 0.05 to {MOST_LISTEN_S:g}")
    return value


def run(args: argparse.Namespace) -> int:
    """Listens, asks, and says what was found. Raises LinkError, UsageError, ConfigError."""
    path = port_path(args.port)
    if holder := holder_of(args.port, args.data_dir):
        raise LinkError(
            f"{args.port}: the running gateway reads it, as device {holder}: `serialgw watch` shows what it says, "
            "or stop the gateway first"
        )
    heard: dict[str, int] = {}
    with Port(path) as port:
        found = _listen(port, args.seconds, args.dir, heard)
        if not found and args.ask:
            found = _ask(port, args.seconds, args.dir, heard)
    if args.json:
        print(compact({"port": args.port, "heard": heard, "found": [_as_json(one) for one in found]}))
    else:
        print(_as_text(args.port, found, heard, has_asked=args.ask))
    return 0 if found else EXIT_NOTHING


def _tell(text: str) -> None:
    """Progress goes where results don't."""
    print(text, file=sys.stderr, flush=True)


def port_path(port: str) -> str:
    """The device file of a port that was named. Raises UsageError, LinkError."""
    path = _path_of(port) if is_usb(port) else port
    if "://" in path:
        raise UsageError(f"found {port}, expected a serial port of this host: a network port has its settings there")
    return path


def _path_of(selector: str) -> str:
    """The device file of the USB adapter that is selected. Raises UsageError, LinkError."""
    read = read_selector(selector)
    if read is None:
        raise UsageError(f"found {selector}, expected {EXPECTED}")
    try:
        return find_port(read)
    except LookupError as error:
        raise LinkError(str(error)) from None


def _listen(port: Port, seconds: float, folder: Path, heard: dict[str, int]) -> list[Candidate]:
    """Those that talk by themselves, and fit. It ends at the first setting at which a checksum was right often
    enough."""
    tried: list[Candidate] = []
    settings = candidates(asks=False, folder=folder)
    for number, (setting, some) in enumerate(settings.items(), start=1):
        _tell(f"{number}/{len(settings)}: listening at {setting}, {seconds:g} s, {counted(len(some), 'profile')} ...")
        try:
            port.set(setting)
        except LinkError as error:
            _tell(str(error))
            continue
        _hear(port, seconds, some, setting, heard)
        if any(one.frames and not one.is_found for one in some) and not any(one.is_found for one in some):
            _tell("  something came that fits; listening on ...")
            _hear(port, seconds * PATIENCE, some, setting, heard)
        tried += some
        if any(one.is_found and one.is_checked for one in some):
            break
    return best(tried)


def _hear(port: Port, seconds: float, some: Sequence[Candidate], setting: str, heard: dict[str, int]) -> None:
    for chunk in port.hear(seconds):
        heard[setting] = heard.get(setting, 0) + len(chunk)
        for one in some:
            # The line that fell silent has ended what it was at.
            one.listen(chunk) if chunk else one.fall_silent()
        if any(one.is_found and one.is_checked for one in some):
            return


def _ask(port: Port, seconds: float, folder: Path, heard: dict[str, int]) -> list[Candidate]:
    """Those that answer as their profile says."""
    tried: list[Candidate] = []
    settings = candidates(asks=True, folder=folder)
    for number, (setting, some) in enumerate(settings.items(), start=1):
        _tell(f"{number}/{len(settings)}: asking at {setting}: {', '.join(one.profile.name for one in some)} ...")
        try:
            port.set(setting)
        except LinkError as error:
            _tell(str(error))
            continue
        for one in some:
            _try(port, one, seconds, heard)
        tried += some
        if any(one.is_found and one.is_checked for one in some):
            break
    return best(tried)


def _try(port: Port, one: Candidate, seconds: float, heard: dict[str, int]) -> None:
    """Asks one profile's questions until it is sure, or nothing comes."""
    for question in one.questions():
        for _ in range(TIMES_ASKED):
            port.say(question.data)
            answered = 0
            for chunk in port.hear(min(question.timeout_s, seconds)):
                heard[one.setting] = heard.get(one.setting, 0) + len(chunk)
                origin = question.ask.name
                answered += one.listen(chunk, origin) if chunk else one.fall_silent(origin)
                if answered:
                    break
            if not answered:
                break
        if one.is_found:
            return
        if not one.frames:
            # Who does not answer the first question is no such device, or is not there.
            return


def _as_json(one: Candidate) -> dict[str, Any]:
    """A device that was found, for a program."""
    return {
        "profile": one.profile.name,
        "title": one.profile.title,
        "setting": one.setting,
        "frames": one.frames,
        "checked": one.is_checked,
        "values": one.values,
    }


def _as_text(port: str, found: Sequence[Candidate], heard: dict[str, int], *, has_asked: bool) -> str:
    """What was found, for a person, and what to do next."""
    if not found:
        return _nothing(port, heard, has_asked=has_asked)
    lines = []
    for one in found:
        sure = "with a right checksum" if one.is_checked else "by their form alone: they have no checksum"
        lines.append(f"{one.profile.name}: {one.profile.title}, {one.setting}, {counted(one.frames, 'frame')} {sure}")
        lines += [f"  {key} = {compact(value)}" for key, value in one.values.items()]
    if len(found) > 1:
        lines += ["", "Several fit: choose the one whose name, and values, are those of your device."]
    return "\n".join([*lines, "", "Next:", *_next_steps(port, found[0])])


def _next_steps(port: str, one: Candidate) -> list[str]:
    line, usual = line_of(one.setting), line_of(one.profile.formats[0])
    other = {key: value for key, value in line.items() if value != usual[key]}
    baudrate = f" --baudrate {other.pop('baudrate')}" if "baudrate" in other else ""
    steps = [f"  serialgw init {shlex.quote(port)} --profile {one.profile.name}{baudrate}"]
    if other:
        steps.append(f'  and in the file, beside "profile": {compact(other)[1:-1]}')
    return [*steps, f"  serialgw profiles show {one.profile.name}"]


def _nothing(port: str, heard: dict[str, int], *, has_asked: bool) -> str:
    total = sum(heard.values())
    if not total:
        what = f"{port}: nothing came, at any setting."
        more = "Is the device on, and are its wires crossed (TX to RX)?"
    else:
        what = f"{port}: {counted(total, 'byte')} came, and no profile fits them."
        more = "`serialgw profiles` lists what is known; what is not can be described in the configuration."
    ask = [] if has_asked else [f"A device that must be asked: serialgw identify {shlex.quote(port)} --ask"]
    return "\n".join([what, more, *ask])
