"""An Arduino Uno under simavr: runs firmware in real time, its serial port on a pseudo-terminal.

`python -m tests.support.avr_board FIRMWARE.elf LINK` makes LINK the name of the terminal, and runs until it is killed.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.e2e.harness import Line

LIBRARY: Final = ctypes.util.find_library("simavr")
"""None where simavr is not installed."""
FREQUENCY_HZ: Final = 16_000_000
LOOK_CYCLES: Final = FREQUENCY_HZ // 1000
"""What comes on the line is looked for each millisecond: at 115,200 baud the port's buffer of 64 bytes lasts for 5."""
UART: Final = b"0"
BYTE_IN, BYTE_OUT, ROOM, NO_ROOM = range(4)
"""The signals of the serial port, as simavr numbers them."""
ENDED: Final = (6, 7)
"""The states of a program that has stopped, or crashed."""

_Notice = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)
_Timer = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p)


class _Firmware(ctypes.Structure):
    """What simavr reads of an ELF file; nothing is wanted of it but the frequency, which such a file does not say."""

    _fields_ = [("mmcu", ctypes.c_char * 64), ("frequency_hz", ctypes.c_uint32), ("rest", ctypes.c_uint8 * 4096)]


class Board:
    """The microcontroller, and what its serial port says and hears."""

    def __init__(self, elf: Path, line: Line) -> None:
        self._line = line
        os.set_blocking(line.master, False)
        self._heard = bytearray()
        self._has_room = True
        self._simavr = ctypes.CDLL(LIBRARY or "libsimavr.so")
        self._simavr.avr_make_mcu_by_name.restype = ctypes.c_void_p
        self._simavr.avr_io_getirq.restype = ctypes.c_void_p
        firmware = _Firmware()
        if self._simavr.elf_read_firmware(os.fsencode(elf), ctypes.byref(firmware)) != 0:
            raise SystemExit(f"{elf}: simavr can't read it")
        firmware.frequency_hz = FREQUENCY_HZ
        self._avr = ctypes.c_void_p(self._simavr.avr_make_mcu_by_name(b"atmega328p"))
        self._simavr.avr_init(self._avr)
        self._simavr.avr_load_firmware(self._avr, ctypes.byref(firmware))
        # Neither printed for people to see, nor slowed down where a program looks for a byte again and again.
        self._simavr.avr_ioctl(self._avr, _request(b"uas"), ctypes.byref(ctypes.c_uint32(0)))
        self._kept: list[Any] = []
        """What simavr calls must not be garbage to Python."""
        self._notice(BYTE_OUT, self._say)
        self._notice(ROOM, lambda _: self._set_room(True))
        self._notice(NO_ROOM, lambda _: self._set_room(False))
        look = _Timer(self._look)
        self._kept.append(look)
        self._simavr.avr_cycle_timer_register(self._avr, ctypes.c_uint64(LOOK_CYCLES), look, None)

    def run(self) -> None:
        """Until the program ends, which firmware never does."""
        while self._simavr.avr_run(self._avr) not in ENDED:
            pass

    def _signal(self, number: int) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._simavr.avr_io_getirq(self._avr, _request(b"uar"), number))

    def _notice(self, signal: int, call: Callable[[int], None]) -> None:
        notice = _Notice(lambda _irq, value, _parameter: call(value))
        self._kept.append(notice)
        self._simavr.avr_irq_register_notify(self._signal(signal), notice, None)

    def _say(self, byte: int) -> None:
        try:
            os.write(self._line.master, bytes((byte & 0xFF,)))
        except OSError:
            # Nobody listens, and the terminal is full: a wire would not keep it either.
            pass

    def _set_room(self, has_room: bool) -> None:
        self._has_room = has_room

    def _look(self, _avr: int, now_cycles: int, _parameter: int) -> int:
        try:
            self._heard += os.read(self._line.master, 256)
        except OSError:
            # Nothing was written, or nobody has the line open.
            pass
        while self._heard and self._has_room:
            self._simavr.avr_raise_irq(self._signal(BYTE_IN), self._heard.pop(0))
        return now_cycles + LOOK_CYCLES


def _request(letters: bytes) -> int:
    """A request to the serial port, as simavr writes it: three letters and the port's."""
    return int.from_bytes(letters + UART, "big")


if __name__ == "__main__":
    Board(Path(sys.argv[1]), Line(Path(sys.argv[2]))).run()
