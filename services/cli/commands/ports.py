"""`serialgw ports`: the serial ports of this host, and whether this user may open them.

Permission is the first thing that goes wrong with a new adapter, so each port says what to do about it.
"""

from __future__ import annotations

import argparse
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from common.config.usb_ports import selector_of, usb_ports
from common.io.port_access import access_to
from services.cli.arguments import Subparsers
from services.cli.text import compact

if TYPE_CHECKING:
    from serial.tools.list_ports_common import ListPortInfo

BY_ID: Final = Path("/dev/serial/by-id")
"""udev's links, named after the adapters."""


class PortInfo(NamedTuple):
    """One serial port. `advice` is what to do where this user may not open it, else ""."""

    path: str
    by_id: str
    """The link that stays the same when other adapters are plugged in; "" if there is none."""
    usb: str
    """The selector of its USB adapter, which does the same where udev makes no links; "" for other ports."""
    vendor: str
    product: str
    serial_number: str
    may_open: bool
    group: str
    advice: str


def add_parser(subparsers: Subparsers) -> None:
    """Adds `ports` and its options."""
    parser = subparsers.add_parser(
        "ports",
        help="list the serial ports of this host",
        description="Lists serial ports: path, by-id link (the name that stays when other adapters are plugged in), "
        "the selector that names the adapter in a configuration, vendor, product, "
        "serial number, and whether this user may open it.",
        epilog="examples:\n  serialgw ports\n  serialgw ports --json",
    )
    parser.add_argument("--json", action="store_true", help="one JSON list, for programs")


def run(args: argparse.Namespace) -> int:
    """Prints the ports; 0 also where there is none."""
    ports = list_ports()
    if args.json:
        print(compact([port._asdict() for port in ports]))
    elif not ports:
        print("No serial port was found on this host.")
        print("Plug an adapter in and look again; `dmesg` says what the kernel makes of it. No hardware: serialgw demo")
    else:
        print("\n\n".join(describe(port) for port in ports))
    return 0


def list_ports() -> list[PortInfo]:
    """The ports that the kernel knows and that have hardware behind them, in the order of their paths.

    Others, such as the 32 that many kernels make for chips that are not there, would only hide them.
    """
    from serial.tools import list_ports as pyserial

    links = by_id_links(BY_ID)
    adapters = usb_ports()
    selectors = {port.path: str(selector_of(port, adapters)) for port in adapters}
    return [_info(port, links, selectors) for port in sorted(pyserial.comports(), key=lambda port: str(port.device))]


def by_id_links(directory: Path) -> dict[str, str]:
    """Device path → its link in `directory`; {} if there is no such directory."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return {}
    return {os.path.realpath(directory / name): str(directory / name) for name in names}


PTS_MAJORS: Final = range(136, 144)
"""Pseudo-terminals, which sysfs does not know: programs that play a device have them."""
_NO_LINES: Final = ((5, 0), (5, 1), (5, 2))
"""/dev/tty, /dev/console and /dev/ptmx: terminals, and no lines."""


def kind_of_file(path: str) -> str:
    """What a path is if it is no serial port, such as `a folder`; "" for a port, and for what can't be told without
    opening it, which could reset what is connected. Raises OSError."""
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        return "a folder"
    if not stat.S_ISCHR(found.st_mode):
        return "a plain file" if stat.S_ISREG(found.st_mode) else "a file of another kind"
    number = os.major(found.st_rdev), os.minor(found.st_rdev)
    if number[0] in PTS_MAJORS:
        return ""
    subsystem = os.path.realpath(f"/sys/dev/char/{number[0]}:{number[1]}/subsystem")
    is_known = os.path.exists(subsystem)
    if number in _NO_LINES or number[0] == 1 or (is_known and os.path.basename(subsystem) != "tty"):
        return "a device of another kind"
    return ""


def _info(port: ListPortInfo, links: dict[str, str], selectors: dict[str, str]) -> PortInfo:
    """What pyserial knows of a port, with what it does not."""
    may_open, group, advice = access_to(port.device)
    return PortInfo(
        path=port.device,
        by_id=links.get(os.path.realpath(port.device), ""),
        usb=selectors.get(port.device, ""),
        vendor=_named(port.manufacturer, port.vid),
        product=_named(port.product, port.pid),
        serial_number=port.serial_number or "",
        may_open=may_open,
        group=group,
        advice=advice,
    )


def _named(name: str | None, number: int | None) -> str:
    """`NAME (1a86)`, or the one of both that is known."""
    code = "" if number is None else f"{number:04x}"
    return f"{name} ({code})" if name and code else name or code


def describe(port: PortInfo) -> str:
    """One port for a person: its path, and a line for each fact that is known."""
    access = "you may open it" if port.may_open else f"you may NOT open it: {port.advice}"
    facts = (
        ("by-id", port.by_id),
        ("selector", port.usb),
        ("vendor", port.vendor),
        ("product", port.product),
        ("serial number", port.serial_number),
        ("access", f"{access} (group {port.group})" if port.group and port.may_open else access),
    )
    return "\n".join([port.path, *(f"  {name + ':':15}{value}" for name, value in facts if value)])
