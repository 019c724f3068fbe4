"""`serialgw add`: one more device in a configuration that is there, step by step.

It listens, shows what it heard, asks which of it is the device, and writes one object into the connector's file; every
other byte of that stays. Nothing is written before the whole configuration is found good with it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import simplejson

from common.config.json_edit import append_item
from common.config.models import Connector, Gateway
from common.config.reading import read_gateway
from common.core.errors import ConfigError, GatewayError
from common.core.shown import is_steering
from common.io.exits import EXIT_CONFIG
from services.cli.arguments import Subparsers, add_data_dir, utf8_path, utf8_text
from services.cli.commands.identify import port_path
from services.cli.commands.init import MAIN_FILE
from services.cli.commands.ports import list_ports
from services.cli.commands.probe import LISTEN_S, frame_as_text
from services.cli.edited import edit_file
from services.cli.identifying.port import Port, holder_of
from services.cli.probing.guessing import Guess, best
from services.cli.probing.listening import listen
from services.cli.usage import UsageError

MOST_SECTION_BYTES: Final = 1024 * 1024
"""A device has some KiB."""
NEXT: Final = "`serialgw reload` makes a gateway that runs take it; `serialgw try` shows what its frames become"


def add_parser(subparsers: Subparsers) -> None:
    """Adds `add` and its options."""
    parser = subparsers.add_parser(
        "add",
        help="add a device to the configuration, step by step",
        description="Listens to a port, shows what it heard, and adds a device to a connector's file: a known one by "
        "its profile, another one with each frame as one text, to be described further. It writes nothing to the line.",
        epilog="examples:\n"
        "  serialgw add /dev/ttyUSB0\n"
        "  serialgw add /dev/ttyUSB0 --name press1 --yes\n"
        "  serialgw add /dev/ttyUSB0 --profile sds011 --name air\n\n"
        f"exit codes: 0 added, 1 nothing is changed, 2 wrong usage, {EXIT_CONFIG} problems in the configuration",
    )
    parser.add_argument("port", type=utf8_text, nargs="?", metavar="PORT", help="which one (default: it asks)")
    parser.add_argument(
        "--config", type=utf8_path, default=Path(MAIN_FILE), metavar="FILE", help="main file (default: %(default)s)"
    )
    parser.add_argument("--connector", type=utf8_text, metavar="NAME", help="in whose file (default: the first one's)")
    parser.add_argument("--name", type=utf8_text, metavar="NAME", help="what the device is called (default: it asks)")
    parser.add_argument("--profile", type=utf8_text, metavar="NAME", help="a known device; then nothing is listened to")
    parser.add_argument(
        "--section",
        type=utf8_text,
        metavar="FILE",
        help="the device as it is to stand in the connector's file: a file with that JSON object, or - for standard "
        "input; nothing is asked",
    )
    parser.add_argument("--yes", action="store_true", help="ask nothing: take the likeliest guess")
    add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Adds one device. Raises GatewayError, UsageError, ConfigError, OSError."""
    ask = _refuse_to_ask if args.yes or args.section is not None else _ask
    given = None if args.section is None else _given(_text_of(args.section))
    if given is not None:
        args.port = args.port or given["port"]
        args.name = given["name"] if args.name is None else args.name
    if not args.config.exists():
        start = f"`serialgw init {args.port or 'PORT'}` writes one to start from, with the device in it"
        raise ConfigError([f"{args.config} is not there; {start}"])
    gateway = read_gateway(args.config, os.environ).gateway
    connector = _connector(gateway, args.connector)
    port = args.port or _choose_port(ask)
    taken = next((one.name for one in gateway.devices if one.line.port == port), None)
    if taken is not None:
        raise GatewayError(f"{port} is device {taken}'s already")
    section = {**given, "port": port} if given is not None else _section(args, port, ask)
    if args.name is None:
        args.name = ask("What is the device called?", f"device{len(gateway.devices) + 1}")
    section["name"] = _name(args.name, gateway)
    edit_file(args.config, Path(connector.file), lambda text: _changed(text, section, connector))
    print(f"Added {section['name']} to {connector.file}. {NEXT}.")
    return 0


def _text_of(place: str) -> str:
    """What stands in the file, or comes by standard input. Raises UsageError."""
    if place.lstrip().startswith("{"):
        raise UsageError(
            "--section: found the device itself, which everybody on this machine sees among the processes, with what "
            "is secret in it; expected a file's name, or - for standard input"
        )
    try:
        if place == "-":
            content = sys.stdin.buffer.read(MOST_SECTION_BYTES + 1)
        else:
            with Path(place).open("rb") as file:
                content = file.read(MOST_SECTION_BYTES + 1)
        if len(content) > MOST_SECTION_BYTES:
            raise UsageError(f"--section: {place}: more than {MOST_SECTION_BYTES} bytes, expected one device")
        return content.decode()
    except OSError as error:
        raise UsageError(f"--section: {place}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--section: {place}: found no UTF-8 text, expected a JSON object") from None


def _given(text: str) -> dict[str, Any]:
    """The section that was given whole. Raises UsageError."""
    try:
        found = simplejson.loads(text, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--section: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in ("name", "port")):
        raise UsageError('--section: expected an object with "name" and "port", each a text')
    return found


def _connector(gateway: Gateway, name: str | None) -> Connector:
    """In whose file the device will be. Raises GatewayError."""
    found = next((one for one in gateway.connectors if name in (None, one.name)), None)
    if found is None:
        known = ", ".join(one.name for one in gateway.connectors)
        raise GatewayError(f'there is no connector "{name}"; there is: {known}')
    return found


def _choose_port(ask: Callable[[str, str], str]) -> str:
    """The path of a port that is there, by its link where it has one. Raises GatewayError."""
    ports = list_ports()
    if not ports:
        raise GatewayError("no serial port was found on this host: plug the adapter in, or name the port")
    names = [port.by_id or port.path for port in ports]
    for number, (port, name) in enumerate(zip(ports, names, strict=True), start=1):
        about = ", ".join(part for part in (port.vendor, port.product, port.advice) if part)
        print(f"{number}. {name}  {about}")
    return names[_number(ask("Which port?", "1"), len(names))]


def _section(args: argparse.Namespace, port: str, ask: Callable[[str, str], str]) -> dict[str, Any]:
    """The device's section: of the profile that was named, or as a person chooses of what was heard."""
    if args.profile is not None:
        return {"name": "", "port": port, "profile": args.profile}
    if holder := holder_of(port, args.data_dir):
        raise GatewayError(f"{port}: the running gateway reads it, as device {holder}")
    with Port(port_path(port)) as line:
        guesses = best(listen(line, LISTEN_S, _tell, args.config.parent))
    if not guesses:
        raise GatewayError(
            f"{port}: nothing came, at any setting. Is the device on, are its wires crossed, does it talk unasked? "
            "A known device that must be asked: `serialgw identify PORT --ask`, then --profile NAME"
        )
    _show(guesses)
    chosen = guesses[_number(ask("Which one is your device?", "1"), len(guesses))]
    return chosen.section(port, "", chosen.profiles[0] if chosen.profiles else "")


def _show(guesses: Sequence[Guess]) -> None:
    for number, one in enumerate(guesses, start=1):
        print(f"{number}. {one.setting}: {one.reason}")
        for frame in (one.frames or (one.sample,))[-3:]:
            print(f"     {frame_as_text(frame)}")


def _name(name: str, gateway: Gateway) -> str:
    """A name that no device has. Raises UsageError."""
    if not name or is_steering(name):
        raise UsageError(f"found {name!r}, expected a name without control characters")
    if any(one.name == name for one in gateway.devices):
        raise UsageError(f'there is a device "{name}" already')
    return name


def _changed(text: str, section: dict[str, Any], connector: Connector) -> str:
    plain = text.removeprefix("\ufeff")
    try:
        return text[: len(text) - len(plain)] + append_item(plain, ("devices",), section)
    except (KeyError, ValueError):
        raise GatewayError(f'{connector.file}: found no list "devices" to add to') from None


def _number(text: str, most: int) -> int:
    """The place that a person has chosen, from 0. Raises UsageError."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise UsageError(f"found {text!r}, expected a number from 1 to {most}")
    return int(text) - 1


def _ask(question: str, default: str) -> str:
    """A person's answer; the default for an empty one. Raises GatewayError where nobody is there."""
    print(f"{question} [{default}] ", end="", flush=True)
    line = sys.stdin.readline()
    if not line:
        raise GatewayError("nobody answers: --yes takes the likeliest")
    return line.strip() or default


def _refuse_to_ask(question: str, default: str) -> str:
    return default


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
