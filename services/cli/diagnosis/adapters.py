"""USB adapters as sysfs and udev's database show them: those with a port, and those that should have one."""

from __future__ import annotations

import os
import re
from typing import Final, NamedTuple

from services.cli.diagnosis.host import Host, folders_up, names_in, text_of

DRIVERS: Final = {
    ("0403", "6001"): "ftdi_sio",
    ("0403", "6010"): "ftdi_sio",
    ("0403", "6011"): "ftdi_sio",
    ("0403", "6014"): "ftdi_sio",
    ("0403", "6015"): "ftdi_sio",
    ("10c4", "ea60"): "cp210x",
    ("10c4", "ea70"): "cp210x",
    ("10c4", "ea71"): "cp210x",
    ("1a86", "5523"): "ch341",
    ("1a86", "7522"): "ch341",
    ("1a86", "7523"): "ch341",
    ("067b", "2303"): "pl2303",
    ("067b", "23a3"): "pl2303",
    ("067b", "23c3"): "pl2303",
}
"""The chips that nearly all adapters have: (VID, PID) → the kernel module that serves them."""
BRAILLE: Final = frozenset({("1a86", "7523"), ("10c4", "ea60"), ("0403", "6001")})
"""Chips that are in Braille displays too: brltty has taken them for such."""
_MODEM: Final = ("02", "02")
"""Class and subclass of an interface that `cdc_acm` serves (USB CDC 1.2, 4.2)."""
_INTERFACE: Final = re.compile(r"\d+-[\d.]+:\d+\.\d+")
_IGNORED: Final = re.compile(r"^E:ID_MM_(?:DEVICE|PORT)_IGNORE=1$", re.MULTILINE)
"""What a udev rule sets for ModemManager, in udev's database."""


class Adapter(NamedTuple):
    """A USB device."""

    vendor: str
    product: str
    place: str
    """Where it is plugged in, such as `1-1.4`."""
    drivers: tuple[str, ...]
    """What has its interfaces: kernel drivers, or `usbfs` for a program."""
    module: str
    """The kernel module that would give it a port; "" where that is not known."""
    has_port: bool

    @property
    def ids(self) -> tuple[str, str]:
        return self.vendor, self.product

    def __str__(self) -> str:
        return f"USB adapter {self.vendor}:{self.product} at {self.place}"


def adapters(host: Host) -> list[Adapter]:
    """The USB devices that have a serial port, or should have one. [] where there is no sysfs. Raises nothing."""
    root = os.path.join(host.sys, "bus", "usb", "devices")
    found = []
    for name in names_in(root):
        folder = os.path.realpath(os.path.join(root, name))
        vendor, product = _attribute(folder, "idVendor"), _attribute(folder, "idProduct")
        if not vendor or not product:
            continue
        parts = [os.path.join(folder, part) for part in names_in(folder) if _INTERFACE.fullmatch(part)]
        drivers = tuple(
            os.path.basename(os.path.realpath(driver)) for part in parts if _is_there(driver := part + "/driver")
        )
        has_port = any(_has_port(part) for part in parts)
        module = DRIVERS.get((vendor, product), "")
        if any(
            (_attribute(part, "bInterfaceClass"), _attribute(part, "bInterfaceSubClass")) == _MODEM for part in parts
        ):
            module = module or "cdc_acm"
        if module or has_port:
            found.append(Adapter(vendor, product, name, drivers, module, has_port))
    return found


def adapter_of(host: Host, path: str) -> Adapter | None:
    """The adapter that has a port; None for a port on the board, and for what is no port."""
    for folder in folders_up(os.path.join(host.sys, "class", "tty", kernel_name(path), "device")):
        vendor, product = _attribute(folder, "idVendor"), _attribute(folder, "idProduct")
        if vendor and product:
            return Adapter(vendor, product, os.path.basename(folder), (), DRIVERS.get((vendor, product), ""), True)
    return None


def is_known(host: Host, path: str) -> bool:
    """True if the kernel has a port of this name, whether its file is seen here or not."""
    return os.path.exists(os.path.join(host.sys, "class", "tty", kernel_name(path), "device"))


def is_hollow(host: Host, path: str) -> bool:
    """True for a name that the kernel keeps for a chip on the board that is not there (type 0, PORT_UNKNOWN in Linux,
    Documentation/ABI/testing/sysfs-tty)."""
    return _attribute(os.path.join(host.sys, "class", "tty", kernel_name(path)), "type") == "0"


def is_left_to_us(host: Host, path: str) -> bool:
    """True if a udev rule tells ModemManager to leave the port, or its whole adapter, alone."""
    node = os.path.join(host.sys, "class", "tty", kernel_name(path))
    names = [f"c{_attribute(node, 'dev')}"]
    for folder in folders_up(os.path.join(node, "device")):
        if (number := _attribute(folder, "dev")) and _attribute(folder, "idVendor"):
            names.append(f"c{number}")
        names.append(f"+usb:{os.path.basename(folder)}")
    data = os.path.join(host.run, "udev", "data")
    return any(_IGNORED.search(text_of(os.path.join(data, name))) for name in names)


def kernel_name(path: str) -> str:
    """`ttyUSB0` for that, and for all links that lead there."""
    name = os.path.basename(path)
    target = os.path.basename(os.path.realpath(path))
    return target if target.startswith("tty") else name


def _has_port(folder: str) -> bool:
    """True if an interface has a terminal: below itself, or below a port of the USB serial drivers."""
    names = names_in(folder)
    return "tty" in names or any(name.startswith("tty") and "tty" in names_in(f"{folder}/{name}") for name in names)


def _is_there(path: str) -> bool:
    return os.path.lexists(path)


def _attribute(folder: str, name: str) -> str:
    return text_of(os.path.join(folder, name)).strip()
