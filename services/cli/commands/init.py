"""`serialgw init`: writes a starter configuration for ports that are there.

It works at once: each frame is sent as one text, so that something is seen before anybody has written a data point.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common.config.platform_reading import TOKEN_PLACE
from common.config.ports import identity_of, port_fault, port_hint
from common.core.errors import GatewayError
from common.core.shown import is_steering
from common.io.private import write_private
from services.cli.arguments import Subparsers, utf8_path, utf8_text, whole_number
from services.cli.commands.ports import BY_ID, by_id_links, kind_of_file, list_ports
from services.cli.parser import WARNING
from services.cli.text import counted, table
from services.cli.usage import UsageError

if TYPE_CHECKING:
    from common.config.profiles import Profile

MQTT_PORT: Final = 1883
"""The platform's port where none is named; without TLS, as the reference's files have it."""
BAUDRATE: Final = 9600
"""Of a port about which nothing is known."""
FASTEST_BAUD: Final = 2**31 - 1
"""The highest baud rate that a configuration takes; what the adapter can do shows when the port is opened."""
_PLATFORM: Final = re.compile(r"(?:\[([^\]\s/]+)\]|([^:\s/]+|[0-9A-Fa-f:.]+))(?::(\d+))?")
"""HOST or HOST:PORT; an IPv6 address in brackets, or bare without a port."""
LISTS: Final = "`serialgw ports` lists those that are there"
MAIN_FILE: Final = "tb_gateway.json"
"""The reference's name for the main file."""
CONNECTOR_FILE: Final = "custom_serial.json"
"""The reference's name for a serial connector's file."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds `init` and its options. It never overwrites anything unless it is told to."""
    parser = subparsers.add_parser(
        "init",
        help="write a starter configuration for ports that are there",
        description=f"Writes {MAIN_FILE} and {CONNECTOR_FILE}: one device for each port, whose frames are sent as one "
        "text each. Without PORT it does so for every serial port that is found.",
        epilog="examples:\n"
        "  serialgw init\n"
        "  serialgw init --host thingsboard.example.org\n"
        "  serialgw init /dev/ttyUSB0 --name press1 --baudrate 19200\n"
        "  serialgw init socket://192.0.2.7:4001 --dir /etc/serialgw\n"
        "  serialgw init /dev/ttyUSB0 --profile victron-ve-direct\n"
        "  serialgw init /dev/ttyUSB0 --anyway\n\n"
        "exit codes: 0 both files are written, 1 nothing is, 2 wrong usage",
    )
    parser.add_argument(
        "ports",
        type=utf8_text,
        nargs="*",
        metavar="PORT",
        help="a path such as /dev/ttyUSB0, usb://VID:PID, rfc2217://HOST:PORT or socket://HOST:PORT",
    )
    parser.add_argument("--dir", type=utf8_path, default=Path(), metavar="DIR", help="where to write (default: here)")
    parser.add_argument(
        "--host",
        type=_platform,
        default=("localhost", MQTT_PORT),
        metavar="HOST[:PORT]",
        help=f"the platform (default: localhost:{MQTT_PORT})",
    )
    parser.add_argument(
        "--baudrate",
        type=whole_number(1, FASTEST_BAUD),
        metavar="N",
        help=f"of all ports (default: what the profile says, else {BAUDRATE})",
    )
    parser.add_argument(
        "--profile",
        type=utf8_text,
        metavar="NAME",
        help="what is connected, of `serialgw profiles`; without it each frame is sent as one text",
    )
    parser.add_argument(
        "--name",
        type=_name,
        action="append",
        default=[],
        metavar="NAME",
        help="what the device is called; may be given once for each port (default: SerialDevice1, …)",
    )
    parser.add_argument(
        "--anyway", action="store_true", help="take ports that are not there: the files are for another machine"
    )
    parser.add_argument("--force", action="store_true", help="replace files that are there")


def _platform(text: str) -> tuple[str, int]:
    """HOST or HOST:PORT from the command line: (host, port). An IPv6 address stands in brackets if a port follows."""
    found = _PLATFORM.fullmatch(utf8_text(text))
    host = (found[1] or found[2]) if found else ""
    if found is None or (":" in host and not _is_ipv6(host)):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected HOST or HOST:PORT")
    return host, whole_number(1, 65_535)(found[3] or str(MQTT_PORT))


def _is_ipv6(host: str) -> bool:
    """True for an IPv6 address."""
    try:
        socket.inet_pton(socket.AF_INET6, host)
    except OSError:
        return False
    return True


def _name(text: str) -> str:
    """A device's name from the command line."""
    if not text or is_steering(text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a name without control characters")
    return utf8_text(text)


def run(args: argparse.Namespace) -> int:
    """Writes both files, or none, and says what comes next. Raises GatewayError, UsageError, OSError."""
    profile = None
    if args.profile is not None:
        # Here: loading the readers of device sections takes time.
        from common.config.profile_devices import find_profile

        profile = find_profile(args.profile, args.dir)
    ports = choose_ports(args.ports, anyway=args.anyway)
    names = choose_names(args.name, len(ports))
    main_file, connector_file = args.dir / MAIN_FILE, args.dir / CONNECTOR_FILE
    if not args.force:
        for path in (main_file, connector_file):
            if os.path.lexists(path):
                raise GatewayError(f"{path} is there already; --force replaces it, --dir DIR writes elsewhere")
    # Both were looked at before either is written.
    args.dir.mkdir(parents=True, exist_ok=True)
    # The main file is where the access token will stand.
    write_private(main_file, _as_text(main_configuration(*args.host)))
    content = (
        connector_configuration(ports, args.baudrate or BAUDRATE, names)
        if profile is None
        else profiled_configuration(ports, names, profile, args.baudrate)
    )
    connector_file.write_text(_as_text(content), "utf-8")
    print(f"Wrote {main_file} and {connector_file} for:")
    print("\n".join(f"  {line}" for line in table(list(zip(names, ports, strict=True)))))
    print(_next_steps(main_file, connector_file, names[0], profile))
    return 0


def choose_names(given: Sequence[str], count: int) -> list[str]:
    """A name for each port: those that were given, then numbered ones. Raises UsageError for more names than ports,
    and for one that is given twice."""
    if len(given) > count:
        raise UsageError(f"found {counted(len(given), 'name')} for {counted(count, 'port')}")
    names = [*given, *(f"SerialDevice{number}" for number in range(len(given) + 1, count + 1))]
    if len(set(names)) < len(names):
        raise UsageError(f"found a name that two devices would have: {', '.join(names)}")
    return names


def choose_ports(given: Sequence[str], *, anyway: bool = False) -> list[str]:
    """The ports to write down, by their by-id links where they have one. Raises GatewayError if there is none, and for
    what is no port; `anyway` takes those that are not there.

    A by-id link names the adapter and not the order in which adapters were found, so the configuration is still right
    after a reboot. A port that is named twice, also by two names, is written once.
    """
    if not given:
        found = [port.by_id or port.path for port in list_ports()]
        if not found:
            raise GatewayError(
                "no serial port was found; plug one in, or name the one that there will be: "
                "serialgw init /dev/ttyUSB0 --anyway"
            )
        return found
    links = by_id_links(BY_ID)
    chosen: dict[str, str] = {}
    for port in given:
        if fault := _fault_of(port, anyway):
            raise GatewayError(fault)
        identity = identity_of(port)
        if identity in chosen:
            # Two devices on one port would be a problem in the configuration.
            print(f"{WARNING}{port} is the same port as {chosen[identity]}", file=sys.stderr)
            continue
        chosen[identity] = links.get(identity) or (port if "://" in port else os.path.abspath(port))
    return list(chosen.values())


def _fault_of(port: str, anyway: bool) -> str:
    """Why a port can't be written down, as a sentence; "" if it can."""
    if fault := port_fault(port):
        return f"{port}{fault}"
    if "://" in port:
        return ""
    if os.path.exists(port):
        kind = kind_of_file(port)
        return f"{port} is {kind}, and no serial port; {LISTS}" if kind else ""
    if (meant := port_hint(port)) is not None:
        return f'{port}: there is no such port; did you mean "{meant}"?'
    if anyway:
        return ""
    return f"{port}: there is no such port; {LISTS}, and --anyway takes it for another machine, or for later"


def main_configuration(host: str, port: int) -> dict[str, object]:
    """The main file's content: the platform, with a placeholder that `serialgw check` warns of, and one connector."""
    return {
        "thingsboard": {
            "host": host,
            "port": port,
            "security": {"type": "accessToken", "accessToken": TOKEN_PLACE},
        },
        "storage": {"type": "sqlite"},
        "connectors": [{"name": "Serial", "type": "serial", "configuration": CONNECTOR_FILE}],
    }


def connector_configuration(ports: Sequence[str], baudrate: int, names: Sequence[str]) -> dict[str, object]:
    """The connector file's content: each frame becomes one text, so that something is seen at once."""
    return {
        "name": "Serial",
        "devices": [
            {
                "name": name,
                "type": "default",
                "port": port,
                "baudrate": baudrate,
                "bytesize": 8,
                "parity": "N",
                "stopbits": 1,
                "delimiter": "\n",
                "telemetry": [{"type": "string", "key": "frame"}],
                "attributes": [],
                "attributeUpdates": [],
                "serverSideRpc": [],
            }
            for name, port in zip(names, ports, strict=True)
        ],
    }


def profiled_configuration(
    ports: Sequence[str], names: Sequence[str], profile: Profile, baudrate: int | None
) -> dict[str, object]:
    """The connector file's content for devices of a known kind. What the profile lets one say is written out, so that
    it is seen."""
    more: dict[str, object] = {"profile": profile.name}
    if baudrate is not None:
        more["baudrate"] = baudrate
    if profile.parameters:
        more["parameters"] = {one.name: one.default for one in profile.parameters}
    devices = [{"name": name, "port": port, **more} for name, port in zip(names, ports, strict=True)]
    return {"name": "Serial", "devices": devices}


def _as_text(content: dict[str, object]) -> str:
    """JSON as people edit it."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _next_steps(main_file: Path, connector_file: Path, name: str, profile: Profile | None) -> str:
    """What to do with the files, in the order in which it makes sense: the same that the README says."""
    file, device = shlex.quote(str(main_file)), shlex.quote(name)
    run = "serialgw run" if main_file == Path(MAIN_FILE) else f"serialgw run {file}"
    last = f"""Say in {connector_file} what the frames mean, and try it with one of yours:
     serialgw try {file} {device} --text '48\\r2430947595\\n'"""
    if profile is not None:
        last = f"""What it reads: serialgw profiles show {profile.name}
     Whatever you say in {connector_file} beside "profile" lies over it."""
    return f"""
Next:
  1. Put the gateway's access token into {main_file}, in place of {TOKEN_PLACE};
     or set TB_GW_ACCESS_TOKEN.
     In ThingsBoard: Entities, Devices, +, tick "Is gateway", then "Copy access token".
  2. serialgw check {file}
  3. {run}
  4. In another terminal: serialgw watch, and serialgw status
  5. {last}"""
