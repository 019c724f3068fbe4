"""Selectors of USB adapters, and the ports of this host that they fit.

A selector is `usb://VID:PID[:SERIAL][@PLACE][?interface=N&port=N]`. What is plugged in is read from sysfs:
`/sys/class/tty/NAME/device` is a link to the interface of the USB device that has the port (Linux,
Documentation/ABI/testing/sysfs-bus-usb). It is looked at anew each time, so an adapter may be unplugged, and come back
under another name, at any time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

SCHEME: Final = "usb://"
SYS = "/sys"
DEV = "/dev"
"""Where a host has sysfs and the files of its devices."""
EXPECTED: Final = "usb://VID:PID[:SERIAL][@PLACE][?interface=N]"
"""What would be right, for messages."""
_SELECTOR: Final = re.compile(
    r"usb://(?P<vendor>[0-9a-f]{4}):(?P<product>[0-9a-f]{4})"
    r"(?::(?P<serial>[^@?]+))?(?:@(?P<place>\d+-\d+(?:\.\d+)*))?"
    r"(?:\?(?P<query>(?:interface|port)=\d{1,3}(?:&(?:interface|port)=\d{1,3})?))?",
    re.IGNORECASE,
)
_PLAIN: Final = "!$'()*+,;:[]~ "
"""Characters of a serial number that are written as they are; `@`, `?`, `%` and others as `%` and two digits."""
_ATTRIBUTE_BYTES: Final = 512
"""A text of a USB device has at most 126 characters."""


class UsbSelector(NamedTuple):
    """What an adapter must be to be meant; None: whatever it is."""

    vendor: int
    product: int
    serial: str | None = None
    place: str | None = None
    """Where it is plugged in, as the kernel names that: `1-1.4` is bus 1, socket 1, socket 4 of the hub there."""
    interface: int | None = None
    """Which of an adapter's interfaces, from 0; adapters with several lines have one for each."""
    port: int | None = None
    """Which of the ports of one interface, from 0, where one interface has several."""

    def __str__(self) -> str:
        serial = "" if self.serial is None else f":{quote(self.serial, safe=_PLAIN)}"
        place = "" if self.place is None else f"@{self.place}"
        queries = [f"{name}={one}" for name in ("interface", "port") if (one := getattr(self, name)) is not None]
        query = f"?{'&'.join(queries)}" if queries else ""
        return f"{SCHEME}{self.vendor:04x}:{self.product:04x}{serial}{place}{query}"


class UsbPort(NamedTuple):
    """One serial port of a USB adapter that is plugged in."""

    path: str
    """Its device file, such as /dev/ttyUSB0."""
    vendor: int
    product: int
    serial: str
    """"" for the many adapters that have none."""
    place: str
    interface: int
    port: int

    def fits(self, selector: UsbSelector) -> bool:
        """True if the selector may mean this one."""
        return (self.vendor, self.product) == (selector.vendor, selector.product) and all(
            wanted is None or wanted == getattr(self, name)
            for name, wanted in zip(_OPTIONAL, selector[2:], strict=True)
        )


_OPTIONAL: Final = ("serial", "place", "interface", "port")


def read_selector(text: str) -> UsbSelector | None:
    """The selector that a text says; None if it says none."""
    found = _SELECTOR.fullmatch(text)
    if found is None:
        return None
    numbers: dict[str, int] = {}
    for part in (found["query"] or "").lower().split("&"):
        name, _, number = part.partition("=")
        if name in numbers:
            return None
        if name:
            numbers[name] = int(number)
    serial = found["serial"]
    if serial is not None:
        try:
            serial = unquote(serial, errors="strict")
        except UnicodeDecodeError:
            return None
    return UsbSelector(int(found["vendor"], 16), int(found["product"], 16), serial, found["place"], **numbers)


def usb_ports(sys: str | None = None, dev: str | None = None) -> list[UsbPort]:
    """The serial ports of all USB adapters that are plugged in, in the order of their paths. `sys`, `dev`: where sysfs
    and the device files are, if not in SYS and DEV. [] where there is no sysfs; what vanishes meanwhile is left out.
    Raises nothing."""
    folder, dev = os.path.join(sys or SYS, "class", "tty"), dev or DEV
    try:
        names = sorted(os.listdir(folder), key=_natural)
    except OSError:
        return []
    found = (_usb_port(os.path.join(folder, name, "device"), os.path.join(dev, name)) for name in names)
    return [port for port in found if port is not None]


def find_port(selector: UsbSelector, sys: str | None = None, dev: str | None = None) -> str:
    """The device file of the one adapter that is meant. Raises LookupError, with the reason for a person, if there is
    none, or more than one."""
    ports = usb_ports(sys, dev)
    fitting = [port for port in ports if port.fits(selector)]
    if len(fitting) == 1:
        return fitting[0].path
    if fitting:
        ways = [f"{selector_of(port, ports, selector)} ({port.path} at @{port.place})" for port in fitting]
        raise LookupError(f"{len(fitting)} ports fit {selector}; say which: {' or '.join(ways)}")
    alike = [port for port in ports if (port.vendor, port.product) == (selector.vendor, selector.product)]
    others = ", ".join(f"{selector_of(port, ports)} ({port.path})" for port in alike)
    raise LookupError(
        f"no adapter {selector} is plugged in; "
        + (f"there is {others}" if others else "`serialgw ports` lists those that are there")
    )


def selector_of(port: UsbPort, ports: Sequence[UsbPort], begun: UsbSelector | None = None) -> UsbSelector:
    """The shortest selector that fits this one of `ports` alone, its serial number always in it where it has one.
    `begun`: what must be in it too.

    A place is said only where nothing else tells two adapters apart, since it changes with the socket.
    """
    selector = begun or UsbSelector(port.vendor, port.product)
    if selector.serial is None and port.serial and read_selector(str(selector._replace(serial=port.serial))):
        selector = selector._replace(serial=port.serial)
    # A place tells adapters apart; interfaces and ports tell apart the lines of one.
    for name in ("place", "interface", "port"):
        others = [other for other in ports if other is not port and other.fits(selector)]
        if name == "place":
            others = [other for other in others if other.place != port.place]
        if any(getattr(other, name) != getattr(port, name) for other in others):
            selector = selector._replace(**{name: getattr(port, name)})
    return selector


def _usb_port(device: str, path: str) -> UsbPort | None:
    """The port whose `device` link this is; None for one that no USB adapter has."""
    if not os.path.lexists(device):
        return None
    place = os.path.realpath(device)
    interface, port = 0, _number(place, "port_number", 10)
    while len(place) > 1:
        if (number := _number(place, "bInterfaceNumber", 16)) is not None:
            interface = number
        vendor, product = _number(place, "idVendor", 16), _number(place, "idProduct", 16)
        if vendor is not None and product is not None:
            serial = _attribute(place, "serial")
            return UsbPort(path, vendor, product, serial, os.path.basename(place), interface, port or 0)
        place = os.path.dirname(place)
    return None


def _attribute(folder: str, name: str) -> str:
    """What a file of sysfs says; "" where there is none."""
    try:
        with open(os.path.join(folder, name), "rb") as file:
            return file.read(_ATTRIBUTE_BYTES).decode(errors="replace").strip()
    except OSError:
        return ""


def _number(folder: str, name: str, base: int) -> int | None:
    """A number that a file of sysfs says; None where there is none."""
    try:
        return int(_attribute(folder, name), base)
    except ValueError:
        return None


def _natural(name: str) -> tuple[str, int]:
    """ttyUSB2 before ttyUSB10."""
    letters = name.rstrip("0123456789")
    return letters, int(name[len(letters) :] or 0)
