"""A Modbus line: pymodbus as its server, on a pseudo-terminal, behind one that the gateway opens."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import termios
import threading
import tty
from collections.abc import Mapping, Sequence
from pathlib import Path

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.support.waiting import wait_until

COILS = 16
REGISTERS = 60


class ModbusLine:
    """Two pseudo-terminals and what passes between them: on the one end pymodbus answers for its units."""

    def __init__(
        self, path: Path, units: Mapping[int, Sequence[int]], *, is_ascii: bool = False, holds_them: bool = False
    ) -> None:
        """`units`: unit → the first of its input registers, and with `holds_them` of its holding registers, which are 0
        otherwise; every second coil is on. `path`: the port's name for the gateway."""
        self.path = path
        self.silent: set[int] = set()
        """Units that do not answer now."""
        self.requests: list[bytes] = []
        """What was asked, in order."""
        self.answers = 0
        """Pieces of answers that were carried to the gateway."""
        (near, self._slave), (far, port) = _open_pair(), _open_pair()
        self._masters, self._port = [near, far], port
        path.symlink_to(os.ttyname(self._slave))
        self._wake_in, self._wake_out = os.pipe()
        self._start_bridge()
        self._loop = asyncio.new_event_loop()
        self._is_ascii = is_ascii
        self._holds_them = holds_them
        self._server: ModbusSerialServer | None = None
        self._thread = threading.Thread(target=self._serve, args=(units, os.ttyname(port)), daemon=True)
        self._thread.start()
        wait_until(lambda: self._server is not None and self._server.is_active(), "pymodbus serves")

    def asked(self, unit: int) -> int:
        """How often a unit was asked."""
        return sum(request[:1] == bytes((unit,)) for request in self.requests)

    def unplug(self) -> None:
        """The adapter is pulled out, whatever is on its way: its name goes and its reader gets an error."""
        self.path.unlink()
        self._stop_bridge()
        os.close(self._masters[0])
        os.close(self._slave)

    def plug_in(self) -> None:
        """It comes back under the same name. What its devices said meanwhile is lost."""
        self._masters[0], self._slave = _open_pair()
        termios.tcflush(self._masters[1], termios.TCIOFLUSH)
        self.path.symlink_to(os.ttyname(self._slave))
        self._start_bridge()

    def _start_bridge(self) -> None:
        self._bridge = threading.Thread(target=self._carry, daemon=True)
        self._bridge.start()

    def _stop_bridge(self) -> None:
        os.write(self._wake_out, b"x")
        self._bridge.join(10)
        os.read(self._wake_in, 1)

    def _carry(self) -> None:
        one, other = self._masters
        while True:
            ready, _, _ = select.select([one, other, self._wake_in], [], [])
            if self._wake_in in ready:
                return
            for source in ready:
                try:
                    data = os.read(source, 4096)
                    if source == other or self._is_heard(data):
                        os.write(other if source == one else one, data)
                        self.answers += source == other
                except OSError:
                    return

    def _is_heard(self, request: bytes) -> bool:
        """Keeps a request; False for one to a unit that is silent. One write of the gateway's is one read here."""
        self.requests.append(request)
        return (int(request[1:3], 16) if self._is_ascii else request[0]) not in self.silent

    def _serve(self, units: Mapping[int, Sequence[int]], port: str) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._run(units, port))

    async def _run(self, units: Mapping[int, Sequence[int]], port: str) -> None:
        self._server = ModbusSerialServer(
            [_unit(number, values, holds_them=self._holds_them) for number, values in units.items()],
            framer=FramerType.ASCII if self._is_ascii else FramerType.RTU,
            port=port,
            baudrate=115_200,
        )
        try:
            await self._server.serve_forever()
        except asyncio.CancelledError:
            pass

    def close(self) -> None:
        if self._server is not None:
            asyncio.run_coroutine_threadsafe(self._server.shutdown(), self._loop).result(10)
        self._thread.join(10)
        self._stop_bridge()
        self.path.unlink(missing_ok=True)
        for descriptor in (*self._masters, self._slave, self._port, self._wake_in, self._wake_out):
            os.close(descriptor)


def _open_pair() -> tuple[int, int]:
    """A pseudo-terminal that changes no byte: its two ends."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    return master, slave


def _unit(number: int, values: Sequence[int], *, holds_them: bool) -> SimDevice:
    inputs = [*values, *[0] * (REGISTERS - len(values))]
    coils = [place % 2 == 0 for place in range(COILS)]
    return SimDevice(
        number,
        (
            [SimData(0, values=coils, datatype=DataType.BITS)],
            [SimData(0, values=coils, datatype=DataType.BITS)],
            [SimData(0, values=list(inputs) if holds_them else [0] * REGISTERS, datatype=DataType.REGISTERS)],
            [SimData(0, values=inputs, datatype=DataType.REGISTERS)],
        ),
    )
