"""`serialgw ports`: the serial ports of this host, and whether this user may open them.

Permission is the first thing that goes wrong with a new adapter, so each port says what to do about it.
"""

from __future__ import annotations

import argparse
import grp
import json
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from services.cli.arguments import Subparsers

if TYPE_CHECKING:
    from serial.tools.list_ports_common import ListPortInfo

BY_ID: Final = Path("/dev/serial/by-id")
"""udev's links, named after the adapters."""


class PortInfo(NamedTuple):
    """One serial port. `advice` is what to do where this user may not open it, else ""."""

    path: str
    by_id: str
    """The link that stays the same when other adapters are plugged in; "" if there is none."""
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
        "vendor, product, serial number, and whether this user may open it.",
        epilog="examples:\n  serialgw ports\n  serialgw ports --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON list, for programs")


def run(args: argparse.Namespace) -> int:
    """Prints the ports; 0 also where there is none."""
    ports = list_ports()
    if args.json:
        print(json.dumps([port._asdict() for port in ports], indent=2))
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
    return [_info(port, links) for port in sorted(pyserial.comports(), key=lambda port: str(port.device))]


def by_id_links(directory: Path) -> dict[str, str]:
    """Device path → its link in `directory`; {} if there is no such directory."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return {}
    return {os.path.realpath(directory / name): str(directory / name) for name in names}


def _info(port: ListPortInfo, links: dict[str, str]) -> PortInfo:
    """What pyserial knows of a port, with what it does not."""
    may_open, group, advice = access_to(port.device)
    return PortInfo(
        path=port.device,
        by_id=links.get(os.path.realpath(port.device), ""),
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


def access_to(path: str) -> tuple[bool, str, str]:
    """(may this user open it, the group it belongs to, what to do if not). Raises nothing.

    The advice depends on why: no group at all, a group to join, or one that this login does not know of yet.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        return False, "", f"it can't be looked at: {error.strerror}"
    group = _group_name(found.st_gid)
    if os.access(path, os.R_OK | os.W_OK):
        return True, group, ""
    needed = stat.S_IRGRP | stat.S_IWGRP
    if found.st_mode & needed != needed or found.st_gid == 0:
        return False, group, "no group may open it; a udev rule has to give it one, such as dialout"
    user = _user_name()
    if user in _members(found.st_gid):
        return False, group, f"you are in group {group} since a moment; log out and in again"
    return False, group, f"join its group, then log out and in again: sudo usermod -aG {group} {user}"


def _members(group_id: int) -> Iterable[str]:
    """The users of a group; none where the group has no name."""
    try:
        return grp.getgrgid(group_id).gr_mem
    except KeyError:
        return ()


def _group_name(group_id: int) -> str:
    """A group's name, or its number where it has none, as in containers."""
    try:
        return grp.getgrgid(group_id).gr_name
    except KeyError:
        return str(group_id)


def _user_name() -> str:
    """This user's name, or its number where it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def describe(port: PortInfo) -> str:
    """One port for a person: its path, and a line for each fact that is known."""
    access = "you may open it" if port.may_open else f"you may NOT open it: {port.advice}"
    facts = (
        ("by-id", port.by_id),
        ("vendor", port.vendor),
        ("product", port.product),
        ("serial number", port.serial_number),
        ("access", f"{access} (group {port.group})" if port.group and port.may_open else access),
    )
    return "\n".join([port.path, *(f"  {name + ':':15}{value}" for name, value in facts if value)])
