"""A Modbus line: pymodbus as its server, on a pseudo-terminal, behind one that the gateway opens."""

from __future__ import annotations

import asyncio
import os
import pty
import select
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

    def __init__(self, path: Path, units: Mapping[int, Sequence[int]], *, is_ascii: bool = False) -> None:
        """`units`: unit → the first of its input registers; holding registers are 0, every second coil is on.
        `path`: the port's name for the gateway."""
        self.path = path
        self.silent: set[int] = set()
        """Units that do not answer now."""
        self.requests: list[bytes] = []
        """What was asked, in order."""
        self._masters: list[int] = []
        slaves = []
        for _ in range(2):
            master, slave = pty.openpty()
            tty.setraw(slave)
            self._masters.append(master)
            slaves.append(slave)
        self._slaves = slaves
        path.symlink_to(os.ttyname(slaves[0]))
        self._wake_in, self._wake_out = os.pipe()
        self._bridge = threading.Thread(target=self._carry, daemon=True)
        self._bridge.start()
        self._loop = asyncio.new_event_loop()
        self._is_ascii = is_ascii
        self._server: ModbusSerialServer | None = None
        self._thread = threading.Thread(target=self._serve, args=(units, os.ttyname(slaves[1])), daemon=True)
        self._thread.start()
        wait_until(lambda: self._server is not None and self._server.is_active(), "pymodbus serves")

    def asked(self, unit: int) -> int:
        """How often a unit was asked."""
        return sum(request[:1] == bytes((unit,)) for request in self.requests)

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
            [_unit(number, values) for number, values in units.items()],
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
        os.write(self._wake_out, b"x")
        self._thread.join(10)
        self._bridge.join(10)
        self.path.unlink(missing_ok=True)
        for descriptor in (*self._masters, *self._slaves, self._wake_in, self._wake_out):
            os.close(descriptor)


def _unit(number: int, values: Sequence[int]) -> SimDevice:
    inputs = [*values, *[0] * (REGISTERS - len(values))]
    coils = [place % 2 == 0 for place in range(COILS)]
    return SimDevice(
        number,
        (
            [SimData(0, values=coils, datatype=DataType.BITS)],
            [SimData(0, values=coils, datatype=DataType.BITS)],
            [SimData(0, values=[0] * REGISTERS, datatype=DataType.REGISTERS)],
            [SimData(0, values=inputs, datatype=DataType.REGISTERS)],
        ),
    )
