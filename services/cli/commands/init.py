"""`serialgw init`: writes a starter configuration for ports that are there.

It works at once: each frame is sent as one text, so that something is seen before anybody has written a data point.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from common.config.platform_reading import TOKEN_PLACE
from common.config.ports import identity_of, port_fault
from common.core.errors import GatewayError
from common.io.private import write_private
from services.cli.arguments import Subparsers, utf8_path, utf8_text, whole_number
from services.cli.commands.ports import BY_ID, by_id_links, list_ports

MQTT_PORT: Final = 1883
"""The platform's port where none is named; without TLS, as the reference's files have it."""
FASTEST_BAUD: Final = 2**31 - 1
"""The highest baud rate that a configuration takes; what the adapter can do shows when the port is opened."""
_PLATFORM: Final = re.compile(r"(?:\[([^\]\s/]+)\]|([^:\s/]+|[0-9A-Fa-f:.]+))(?::(\d+))?")
"""HOST or HOST:PORT; an IPv6 address in brackets, or bare without a port."""
MAIN_FILE: Final = "tb_gateway.json"
"""The reference's name for the main file."""
CONNECTOR_FILE: Final = "custom_serial.json"
"""The reference's name for a serial connector's file."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds `init` and its options. It never overwrites anything unless it is told to."""
    parser = subparsers.add_parser(
        "init",
        help="write a starter configuration for ports that are there",
        description=f"Writes {MAIN_FILE} and {CONNECTOR_FILE}: one device per port, each frame sent as one text. "
        "Without PORT, for every serial port that is found.",
        epilog="examples:\n"
        "  serialgw init\n"
        "  serialgw init /dev/ttyUSB0 /dev/ttyUSB1 --baudrate 19200 --host thingsboard.example.org\n"
        "  serialgw init socket://192.0.2.7:4001 --dir /etc/serialgw",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "ports", type=utf8_text, nargs="*", metavar="PORT", help="a path such as /dev/ttyUSB0, or socket://HOST:PORT"
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
        default=9600,
        metavar="N",
        help="of all ports (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace files that are there")


def _platform(text: str) -> tuple[str, int]:
    """HOST or HOST:PORT from the command line: (host, port). An IPv6 address stands in brackets if a port follows."""
    found = _PLATFORM.fullmatch(utf8_text(text))
    if found is None:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected HOST or HOST:PORT")
    return found[1] or found[2], whole_number(1, 65_535)(found[3] or str(MQTT_PORT))


def run(args: argparse.Namespace) -> int:
    """Writes both files, or none, and says what comes next. Raises GatewayError, OSError."""
    ports = choose_ports(args.ports)
    main_file, connector_file = args.dir / MAIN_FILE, args.dir / CONNECTOR_FILE
    if not args.force:
        for path in (main_file, connector_file):
            if os.path.lexists(path):
                raise GatewayError(f"{path} is there already; --force replaces it, --dir DIR writes elsewhere")
    # Both were looked at before either is written.
    args.dir.mkdir(parents=True, exist_ok=True)
    # The main file is where the access token will stand.
    write_private(main_file, _as_text(main_configuration(*args.host)))
    connector_file.write_text(_as_text(connector_configuration(ports, args.baudrate)), "utf-8")
    print(f"Wrote {main_file} and {connector_file} for:")
    for number, port in enumerate(ports, start=1):
        print(f"  SerialDevice{number}  {port}")
    print(_next_steps(main_file, connector_file))
    return 0


def choose_ports(given: Sequence[str]) -> list[str]:
    """The ports to write down, by their by-id links where they have one. Raises GatewayError if there is none.

    A by-id link names the adapter and not the order in which adapters were found, so the configuration is still right
    after a reboot. A port that is named twice, also by two names, is written once.
    """
    if not given:
        found = [port.by_id or port.path for port in list_ports()]
        if not found:
            raise GatewayError("no serial port was found; plug one in, or name it: serialgw init /dev/ttyUSB0")
        return found
    links = by_id_links(BY_ID)
    chosen: dict[str, str] = {}
    for port in given:
        if fault := port_fault(port):
            raise GatewayError(f"{port}{fault}")
        if "://" not in port and not os.path.exists(port):
            raise GatewayError(f"{port}: there is no such port; `serialgw ports` lists those that are there")
        identity = identity_of(port)
        if identity in chosen:
            # Two devices on one port would be a problem in the configuration.
            print(f"warning: {port} is the same port as {chosen[identity]}", file=sys.stderr)
            continue
        chosen[identity] = links.get(identity) or (port if "://" in port else os.path.abspath(port))
    return list(chosen.values())


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


def connector_configuration(ports: Sequence[str], baudrate: int) -> dict[str, object]:
    """The connector file's content: each frame becomes one text, so that something is seen at once."""
    return {
        "name": "Serial",
        "devices": [
            {
                "name": f"SerialDevice{number}",
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
            for number, port in enumerate(ports, start=1)
        ],
    }


def _as_text(content: dict[str, object]) -> str:
    """JSON as people edit it."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _next_steps(main_file: Path, connector_file: Path) -> str:
    """What to do with the files, in the order in which it makes sense."""
    return f"""
Next:
  1. In {main_file}, replace {TOKEN_PLACE} by the gateway's access token (or set TB_GW_ACCESS_TOKEN).
  2. serialgw run --config {shlex.quote(str(main_file))}
  3. In another terminal: serialgw watch
  4. Say in {connector_file} what the frames mean, and try it:
     serialgw try {shlex.quote(str(main_file))} --device SerialDevice1 --text '…'"""
