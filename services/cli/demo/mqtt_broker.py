"""The demo's MQTT broker in a process of its own: `python -m services.cli.demo.mqtt_broker PORT`, until SIGTERM.

amqtt is pure Python and speaks MQTT 3.1.1 only; the gateway first offers 5 and then falls back, as with any old broker.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Final

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.errors import AMQTTError, MQTTError, NoDataError

HOST: Final = "127.0.0.1"
"""Nobody outside this machine is to see the demo."""
MQTT_311: Final = 4
"""The protocol level of MQTT 3.1.1."""
REFUSAL: Final = bytes((0x20, 2, 0, 1))
"""CONNACK "unacceptable protocol version" (MQTT 3.1.1, 3.2.2.3)."""


class Replay(StreamReaderAdapter):  # type: ignore[misc]
    """A reader that begins with bytes that were already taken."""

    def __init__(self, reader: asyncio.StreamReader, taken: bytes) -> None:
        super().__init__(reader)
        self._taken = taken

    async def read(self, n: int = -1) -> bytes:
        """`n` bytes, or all up to the end."""
        size = len(self._taken) if n < 0 else n
        head, self._taken = self._taken[:size], self._taken[size:]
        if n < 0 or len(head) < n:
            head += await super().read(n if n < 0 else n - len(head))
        return head


class PoliteBroker(Broker):  # type: ignore[misc]
    """amqtt, except that it refuses MQTT 5: alone it misreads the properties and waits for bytes that never come."""

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Looks at the version that CONNECT names before amqtt does."""
        try:
            taken, level = await _read_version(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        if level > MQTT_311:
            writer.write(REFUSAL)
            writer.close()
            return
        try:
            await self._client_connected(listener_name, Replay(reader, taken), StreamWriterAdapter(writer))
        except (AMQTTError, MQTTError, NoDataError, OSError) as error:
            logging.getLogger(__name__).warning("a client was lost: %s", error)


async def _read_version(reader: asyncio.StreamReader) -> tuple[bytes, int]:
    """(the bytes taken, protocol level) of a CONNECT: fixed header, remaining length, protocol name, level.

    Raises asyncio.IncompleteReadError for a client that hangs up before.
    """
    taken = await reader.readexactly(2)
    while taken[-1] & 0x80 and len(taken) < 5:
        taken += await reader.readexactly(1)
    taken += await reader.readexactly(2)
    taken += await reader.readexactly(int.from_bytes(taken[-2:], "big") + 1)
    return taken, taken[-1]


async def serve(port: int) -> None:
    """Serves anonymous clients on the loopback address until SIGTERM or SIGINT."""
    broker = PoliteBroker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await broker.start()
    await ended.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(serve(int(sys.argv[1])))
