"""A machine as it shows itself to who only looks: folders like /proc, /sys, /dev and /run, prepared for a test."""

from __future__ import annotations

import os
from pathlib import Path

from services.cli.diagnosis.host import Host
from tests.support.usb_tree import UsbTree


class Machine:
    """Nothing runs on it and nothing is plugged in, until a test says so."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pid = 400
        self.usb = UsbTree(root)
        for name in ("proc", "run/lock", "run/udev/data", "etc/udev/rules.d", "lib/udev/rules.d", "modules"):
            (root / name).mkdir(parents=True)
        (root / "modules" / os.uname().release).mkdir()
        places = {name: str(root / name) for name in ("proc", "sys", "dev", "run", "etc", "lib", "modules")}
        self.host = Host(**places, root=str(root))

    def write(self, name: str, text: str) -> Path:
        """A file anywhere on it."""
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *command: str, port: str | Path | None = None, environ: str = "") -> int:
        """A process that runs, with a port open; its pid."""
        self._pid += 1
        folder = f"proc/{self._pid}"
        self.write(f"{folder}/comm", f"{os.path.basename(command[0])[:15]}\n")
        self.write(f"{folder}/cmdline", "".join(f"{word}\0" for word in command))
        self.write(f"{folder}/environ", f"{environ}\0")
        (self._root / folder / "fd").mkdir()
        if port is not None:
            (self._root / folder / "fd" / "5").symlink_to(port)
        return self._pid

    def see_usb(self, place: str = "1-1.4", ids: tuple[str, str] = ("0403", "6001"), driver: str = "") -> None:
        """A USB device with one interface as sysfs lists them all, with a port if one is plugged in there."""
        device = Path("sys/devices/pci0000:00/0000:00:14.0/usb1/1-1") / place
        for name, text in (("idVendor", ids[0]), ("idProduct", ids[1]), ("dev", "189:7")):
            self.write(str(device / name), f"{text}\n")
        interface = self._root / device / f"{place}:1.0"
        interface.mkdir(parents=True, exist_ok=True)
        self.write(str(device / f"{place}:1.0" / "bInterfaceClass"), "ff\n")
        if driver:
            target = self._root / "sys/bus/usb/drivers" / driver
            target.mkdir(parents=True)
            (interface / "driver").symlink_to(target)
        listed = self._root / "sys/bus/usb/devices"
        listed.mkdir(parents=True, exist_ok=True)
        (listed / place).symlink_to(self._root / device)
