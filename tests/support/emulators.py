"""Devices with firmware, emulated: an Arduino under simavr, and U-Boot, a boot loader with a console, under QEMU."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, Protocol

import pytest

from tests.support.avr_board import FREQUENCY_HZ, LIBRARY
from tests.support.waiting import wait_until

ROOT: Final = Path(__file__).resolve().parents[2]
SKETCHES: Final = Path(__file__).parent / "firmware"
ARDUINO: Final = Path("/usr/share/arduino/hardware/arduino/avr")
QEMU: Final = shutil.which("qemu-system-arm")
U_BOOT: Final = Path("/usr/lib/u-boot/qemu_arm/u-boot.bin")
needs_simavr = pytest.mark.skipif(
    LIBRARY is None or shutil.which("avr-g++") is None or not ARDUINO.exists(),
    reason="simavr or the Arduino core is not installed (apt-get install libsimavr2 arduino-core-avr)",
)
needs_u_boot = pytest.mark.skipif(
    QEMU is None or not U_BOOT.exists(),
    reason="QEMU or U-Boot is not installed (apt-get install qemu-system-arm u-boot-qemu)",
)


class Emulator(Protocol):
    """A device that can lose its power."""

    def start(self) -> None:
        """Power on; its line has the old name."""

    def kill(self) -> None:
        """kill -9: its line is gone."""

    def close(self) -> None: ...


def build_sketch(name: str, folder: Path) -> Path:
    """Compiles a sketch of ours with the parts of the Arduino core that it needs; the ELF file."""
    core = ARDUINO / "cores/arduino"
    options = ["-mmcu=atmega328p", f"-DF_CPU={FREQUENCY_HZ}L", "-Os", "-ffunction-sections", "-fdata-sections"]
    options += ["-Wl,--gc-sections", f"-I{core}", f"-I{ARDUINO}/variants/standard"]
    clocks = [str(core / "wiring.c"), str(core / "hooks.c")]
    serial = [str(core / f"{part}.cpp") for part in ("main", "Print", "HardwareSerial", "HardwareSerial0")]
    subprocess.run(["avr-gcc", *options, "-c", *clocks], cwd=folder, check=True)
    objects = [f"{Path(source).stem}.o" for source in clocks]
    elf = folder / f"{name}.elf"
    sketch = str(SKETCHES / f"{name}.cpp")
    subprocess.run(
        ["avr-g++", *options, "-std=gnu++11", "-o", str(elf), sketch, *serial, *objects], cwd=folder, check=True
    )
    return elf


class Arduino:
    """An Arduino Uno that runs a sketch; `path` is the name of its line."""

    def __init__(self, sketch: str, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.path = folder / "tty"
        self._folder = folder
        self._elf = build_sketch(sketch, folder)
        self.start()

    def start(self) -> None:
        """A new process; it has begun once the name is there."""
        self.path.unlink(missing_ok=True)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.avr_board", str(self._elf), str(self.path)],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        wait_until(self.path.exists, f"the emulator's line; its log is {self._folder}/log")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def close(self) -> None:
        self.kill()


class UBoot:
    """A board without anything to boot from, whose boot loader stays at its console; `path` is the name of its line."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.path = folder / "tty"
        self._log = folder / "log"
        self.start()

    def start(self) -> None:
        """A new process, on a terminal that QEMU makes and names."""
        machine = ["-machine", "virt", "-nic", "none", "-display", "none", "-monitor", "none", "-serial", "pty"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([QEMU or "", *machine, "-bios", str(U_BOOT)], stdout=log, stderr=log)
        named = wait_until(lambda: re.search(r"/dev/pts/\d+", self._log.read_text()), "the emulator's line")
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(named[0])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def close(self) -> None:
        self.kill()
