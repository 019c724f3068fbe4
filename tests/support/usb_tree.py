"""A tree of sysfs as Linux lays it out, with adapters in it that are plugged in and out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from common.config import usb_ports


class UsbTree:
    """Folders in the places of /sys and /dev; each port's device file is a link to a terminal that is really there."""

    def __init__(self, root: Path) -> None:
        self.sys, self.dev = root / "sys", root / "dev"
        (self.sys / "class/tty").mkdir(parents=True)
        self.dev.mkdir()

    def stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Takes the places of the host's own."""
        monkeypatch.setattr(usb_ports, "SYS", str(self.sys))
        monkeypatch.setattr(usb_ports, "DEV", str(self.dev))

    def plug(
        self,
        name: str,
        terminal: str | Path,
        *,
        place: str = "1-1.4",
        ids: tuple[str, str] = ("0403", "6001"),
        serial: str | None = None,
        interface: int = 0,
        port: int | None = 0,
    ) -> None:
        """Plugs an adapter in, or adds a port to the one in that place. `port`: None for a driver like cdc_acm, whose
        ports are the interfaces themselves."""
        device = self.sys / "devices/pci0000:00/0000:00:14.0/usb1/1-1" / place
        folder = device / f"{place}:1.{interface}"
        folder.mkdir(parents=True, exist_ok=True)
        (device / "idVendor").write_text(ids[0] + "\n")
        (device / "idProduct").write_text(ids[1] + "\n")
        if serial is not None:
            (device / "serial").write_text(serial + "\n")
        (folder / "bInterfaceNumber").write_text(f"{interface:02x}\n")
        target = folder
        if port is not None:
            target = folder / name
            target.mkdir()
            (target / "port_number").write_text(f"{port}\n")
        node = target / "tty" / name
        node.mkdir(parents=True)
        (node / "device").symlink_to(os.path.relpath(target, node))
        (self.sys / "class/tty" / name).symlink_to(os.path.relpath(node, self.sys / "class/tty"))
        (self.dev / name).symlink_to(terminal)

    def pull(self, name: str, place: str) -> None:
        """Pulls the adapter in that place out, whose only port has that name."""
        (self.sys / "class/tty" / name).unlink()
        (self.dev / name).unlink()
        shutil.rmtree(self.sys / "devices/pci0000:00/0000:00:14.0/usb1/1-1" / place)

    def add_other_terminals(self) -> None:
        """What each host has beside: consoles without a device, and a chip on the board."""
        for name in ("tty", "tty0", "console", "ptmx"):
            folder = self.sys / "devices/virtual/tty" / name
            folder.mkdir(parents=True)
            (self.sys / "class/tty" / name).symlink_to(folder)
        board = self.sys / "devices/platform/serial8250/tty/ttyS0"
        board.mkdir(parents=True)
        (board / "device").symlink_to("../..")
        (self.sys / "class/tty/ttyS0").symlink_to(board)
