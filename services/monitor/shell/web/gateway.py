"""The web's way to the other processes: what the command line asks, asked for a page.

Each request is a short-lived client of its own in a thread of its own, a few at a time: calls take as long as devices
take, and the page goes on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from common.config.active import ACTIVE_NAME, LAST_GOOD, read_active
from common.config.models import Device
from common.core.errors import GatewayError
from common.io.client import Client, json_of
from common.io.dead_letters import Page, Retried, fetch_letters, retry_letters
from common.wire.calls import CallDevice, UpdateAttributes
from common.wire.messages import PUBLISHER, Reply
from services.monitor.shell.web.aside import aside

MOST_AT_ONCE: Final = 4
"""Clients at a time; more wait."""
LONGEST_CALL_S: Final = 60.0
"""What a page may wait for an answer. `serialgw rpc` waits longer."""
Result = TypeVar("Result")


class Gateway:
    """The running gateway of one data directory. All methods raise LinkError where it does not answer."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._room = asyncio.Semaphore(MOST_AT_ONCE)

    async def call(self, device: str, method: str, params: bytes, timeout_s: float) -> bytes:
        """A method of a device; the JSON that the platform would get."""
        timeout_s = min(timeout_s, LONGEST_CALL_S)
        return await self._ask(
            lambda client: client.call(PUBLISHER, device, CallDevice(device, method, params), timeout_s)
        )

    async def update(self, device: str, values: bytes) -> bytes:
        """A JSON object of attributes, as if the platform had changed them."""
        return await self._ask(
            lambda client: client.call(PUBLISHER, device, UpdateAttributes(device, values), LONGEST_CALL_S)
        )

    async def letters(self, device: str, most: int) -> Page:
        """The newest dead letters of a device."""
        return await self._with_client(lambda client: fetch_letters(client, device, most))

    async def retry(self, device: str) -> Retried:
        """Sends its dead letters through again."""
        return await self._with_client(lambda client: retry_letters(client, device))

    async def marks(self, name: str, frame: bytes, keys: list[str]) -> dict[str, Any]:
        """Which data point of a device takes which bytes of a frame. Raises ConversionError."""
        device = await self.device(name)
        if device is None:
            raise GatewayError("its configuration is not known here")

        def found() -> dict[str, Any]:
            # Here: what conversion needs is loaded when somebody asks for it.
            from services.monitor.core.marks import marks_of

            return marks_of(device, frame, keys).show()

        async with self._room:
            return await aside(found)

    async def device(self, name: str) -> Device | None:
        """The device as the gateway was started with it; None where that is not known."""
        devices = await asyncio.to_thread(self._devices)
        return next((device for device in devices if device.name == name), None)

    def _devices(self) -> tuple[Device, ...]:
        """As `serialgw run` has started them, or as this process has read them."""
        for path in (self._data_dir / ACTIVE_NAME, self._data_dir / LAST_GOOD / "monitor.json"):
            active = read_active(path)
            if active is not None:
                return active.gateway.devices
        return ()

    async def _ask(self, ask: Callable[[Client], Reply]) -> bytes:
        def answer(client: Client) -> bytes:
            reply = ask(client)
            return msgspec.json.encode({"error": reply.error}) if reply.error else json_of(reply)

        return await self._with_client(answer)

    async def _with_client(self, work: Callable[[Client], Result]) -> Result:
        def run() -> Any:
            with Client(self._data_dir) as client:
                return work(client)

        async with self._room:
            found: Result = await aside(run)
            return found
