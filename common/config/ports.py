"""Names of serial ports: which ones are served, and when two of them are one line."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from common.config.file_names import can_name_a_file

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
"""The beginning of an URL; what has none is a path."""
_WINDOWS = re.compile(r"(\\\\\.\\)?COM\d+", re.IGNORECASE)
"""A port's name on Windows: somebody has copied a configuration from there."""
_REFUSED = ("spy", "hwgrep", "loop", "alt", "cp2110")
"""Schemes that pyserial knows and that are not served yet."""
_KERNEL = re.compile(r"(?:tty)?(USB|ACM|AMA|S|XRUSB|UL|MXUSB)(\d{1,3})", re.IGNORECASE)
"""The kernel's names of serial ports, whatever their case, with `tty` before them or without it."""
_KERNEL_WORDS = {word.upper(): word for word in ("USB", "ACM", "AMA", "S", "XRUSB", "UL", "MXUSB")}
_BY_ID = re.compile(r"(usb-[^/]+-(?:if\d\d|port\d)[^/]*)", re.IGNORECASE)
"""What udev calls an adapter in /dev/serial/by-id."""
_BY_PATH = re.compile(r"((?:pci|platform)-[^/]+-usb[^/]*)", re.IGNORECASE)
"""What udev calls a socket of the machine in /dev/serial/by-path."""
_MACOS = re.compile(r"(?:/dev/)?(?:tty|cu)\.[^/]+")
EXPECTED = "a path such as /dev/ttyUSB0, usb://VID:PID, rfc2217://host:port, socket://host:port or tcp-listen://:port"
"""What would be right, for messages."""


def port_fault(port: str) -> str | None:
    """Why `port` can't be served, as what follows its name in a message; None if it can."""
    scheme = _SCHEME.match(port)
    if scheme is not None:
        name = scheme.group(1).lower()
        if name in ("socket", "rfc2217"):
            return None if _is_socket_address(port) else ", which names no host and port"
        if name == "tcp-listen":
            return None if _is_socket_address(port, needs_host=False) else ", which names no port to listen at"
        if name == "usb":
            return _usb_fault(port)
        return f", and {name}:// is not served yet" if name in _REFUSED else ", a scheme that serial ports don't have"
    if _WINDOWS.fullmatch(port):
        return ", a port of Windows"
    return None if can_name_a_file(port) else ", a name that no file can have"


def _usb_fault(port: str) -> str | None:
    """Why `port` selects no USB adapter; None if it does."""
    # Here, as below: who has no such port needs none of it.
    from common.config.usb_ports import EXPECTED as FORM
    from common.config.usb_ports import read_selector

    return None if read_selector(port) is not None else f", which is not of the form {FORM} (VID, PID: 4 hex digits)"


def one_spelling(port: str) -> str:
    """`port`; a USB adapter in the one of all spellings of its selector by which it is known everywhere."""
    if not is_usb(port):
        return port
    from common.config.usb_ports import read_selector

    selector = read_selector(port)
    return port if selector is None else str(selector)


def is_usb(port: str) -> bool:
    """True for what is to select a USB adapter."""
    return port[:6].lower() == "usb://"


def port_hint(port: str) -> str | None:
    """What was probably meant by a name that no port of Linux has, for `did you mean`; None for all others.

    Told by the name alone: a configuration may be written on a machine that has none of the ports.
    """
    if _SCHEME.match(port):
        return None
    name = port.strip().rstrip("/")
    folder, _, last = name.rpartition("/")
    meant = None
    if (found := _KERNEL.fullmatch(last)) and folder.lower() in (
        "",
        "/dev",
        "dev",
        ".",
        "/dev/tty",
        "/dev/serial",
        "/",
    ):
        meant = f"/dev/tty{_KERNEL_WORDS[found[1].upper()]}{int(found[2])}"
    elif (found := _BY_ID.fullmatch(last)) and folder.lower() in _UDEV_FOLDERS:
        meant = f"/dev/serial/by-id/{last}"
    elif (found := _BY_PATH.fullmatch(last)) and folder.lower() in _UDEV_FOLDERS:
        meant = f"/dev/serial/by-path/{last}"
    elif _MACOS.fullmatch(name):
        meant = "/dev/ttyUSB0"
    elif name.startswith("dev/") or name != port:
        meant = name if name.startswith("/") else f"/{name}" if name.startswith("dev/") else None
    return None if meant == port else meant


_UDEV_FOLDERS = (
    "",
    "/dev",
    "/dev/serial",
    "serial/by-id",
    "by-id",
    "dev/serial/by-id",
    "/dev/by-id",
    "/dev/serial/by-id",
)
"""Where people believe udev's links to be."""


def _is_socket_address(port: str, *, needs_host: bool = True) -> bool:
    """True for `socket://host:port` with both of them, or the port at least."""
    try:
        parts = urlsplit(port)
        return (bool(parts.hostname) or not needs_host) and parts.port is not None and parts.port > 0
    except ValueError:
        return False


def is_relative(port: str) -> bool:
    """True for a path that depends on the working directory."""
    return _SCHEME.match(port) is None and not os.path.isabs(port)


def identity_of(port: str) -> str:
    """What two names of one line have in common: the path behind all links, and of the USB adapter that is selected,
    where it is plugged in; another URL as it is written."""
    if is_usb(port):
        from common.config.usb_ports import find_port, read_selector

        selector = read_selector(port)
        try:
            port = find_port(selector) if selector is not None else port
        except LookupError:
            return port
    return port if _SCHEME.match(port) or not can_name_a_file(port) else os.path.realpath(port)
