"""Rules for udev: the adapters that a configuration names have a link each, a group, and no modem manager. Pure.

What stands in one rule must be true of one device above the port (udev(7), ATTRS): vendor, product, serial number and
place are those of the adapter; interface and port are told by what the host's own rules, 60-serial.rules, have found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from common.config.usb_ports import UsbPort, UsbSelector, read_selector
from services.cli.deploying.deployment import Deployment, Line

LINKS: Final = "serialgw"
"""The folder of the links in /dev."""
_HEAD: Final = """\
# /etc/udev/rules.d/60-serialgw.rules: the adapters that the configuration names. After a change:
#   sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=usb --subsystem-match=tty
# ModemManager leaves them alone; /dev/serialgw/NAME is the port of a device, whichever number it has.
"""
_IN_SOCKET: Final = "# Known by no serial number: the name belongs to the socket that the adapter is plugged into.\n"
_ANY: Final = "# Any adapter of this kind: with a second one plugged in nobody knows which of them has the name.\n"
_NO_LINK: Final = re.compile(r"[^A-Za-z0-9._-]+")
_PATTERN: Final = re.compile(r"""[^A-Za-z0-9 .,:;_+=@%/#(){}~^&!<>-]""")
"""What means something else in a value that is matched, or would end it."""


def udev_rules(deployment: Deployment, ports: Sequence[UsbPort]) -> str:
    """The text of the file. `ports`: the adapters that are plugged in now."""
    parts = [_HEAD]
    names: set[str] = set()
    for line in deployment.lines:
        if line.is_remote:
            continue
        name = _link_name(line.name, names)
        names.add(name)
        parts.append(
            f"\n# {_comment(line.name)}: {_comment(line.port)}\n" + _rules(line, name, deployment.group, ports)
        )
    return "".join(parts)


def _rules(line: Line, name: str, group: str, ports: Sequence[UsbPort]) -> str:
    found = _adapter(line, ports)
    if found is None:
        return "# It is not plugged in, or no USB adapter: print these rules again when it is.\n"
    hint = "" if found.serial else _IN_SOCKET if found.place else _ANY
    ids = [("idVendor", f"{found.vendor:04x}"), ("idProduct", f"{found.product:04x}")]
    ids += [("serial", _PATTERN.sub("?", found.serial))] if found.serial else []
    place = [f'KERNEL{{s}}=="{found.place}"'] if found.place and not found.serial else []
    adapter = [f'ATTR{{s}}{{{key}}}=="{value}"' for key, value in ids] + place
    part = [f'ENV{{ID_USB_INTERFACE_NUM}}=="{found.interface:02x}"'] if found.interface is not None else []
    part += [f'ENV{{.ID_PORT}}=="{found.port}"'] if found.port is not None else []
    above, itself = (", ".join(adapter).replace("{s}", letter) for letter in ("S", ""))
    return (
        f'{hint}SUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_device", {itself}, ENV{{ID_MM_DEVICE_IGNORE}}="1"\n'
        + ", ".join(['SUBSYSTEM=="tty"', 'SUBSYSTEMS=="usb"', above, *part])
        + f', GROUP="{group}", MODE="0660", ENV{{ID_MM_PORT_IGNORE}}="1", SYMLINK+="{LINKS}/{name}"\n'
    )


def _adapter(line: Line, ports: Sequence[UsbPort]) -> UsbSelector | None:
    """What the adapter of a line is known by; None if nobody can say."""
    plugged = [port for port in ports if line.kernel_name and port.path.rpartition("/")[2] == line.kernel_name]
    if selector := read_selector(line.port):
        # What is said is meant; a place is added where nothing else tells it from its like.
        return selector if selector.serial or selector.place or not plugged else _known(plugged[0], selector)
    return _known(plugged[0], None) if plugged else None


def _known(port: UsbPort, selector: UsbSelector | None) -> UsbSelector:
    interface = port.interface if selector is None else selector.interface
    number = port.port if selector is None else selector.port
    return UsbSelector(port.vendor, port.product, port.serial or None, port.place, interface, number or None)


def _link_name(device: str, taken: Iterable[str]) -> str:
    plain = _NO_LINK.sub("_", device).strip(".") or "_"
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name


def _comment(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
