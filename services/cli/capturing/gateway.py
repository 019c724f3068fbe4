"""A line that a running gateway reads: what passes on it, in both directions, as its port reader shows it.

Nobody waits for who records: what is too much for the network, or for us, is missing, and counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import zmq

from common.core.errors import GatewayError, LinkError, WireError
from common.core.events import Arrived
from common.io.client import ADVICE, NO_ANSWER, Client, find_gateway
from common.io.sockets import Channel, connect_events
from common.wire.messages import LINE_STAGE, Heartbeat, Message, Tap
from common.wire.taps import passed_in
from services.cli.captures.form import Chunk
from services.cli.commands.watch import LineNews, Presence
from services.cli.known import no_device, running_devices

TICK_S: Final = 0.25
"""So often whoever records may look whether it is over."""
JUMP_S: Final = 1.0
"""A step of the gateway's clock that is no delay on the way."""
HOSTED: Final = "connector:"
"""What the names of hosted connectors begin with, which have no line."""


class DeviceSource:
    """The line of one device of a running gateway, with all devices on it."""

    def __init__(self, device: str, data_dir: Path, tell: Callable[[str], None]) -> None:
        """`tell` is given what a person should know meanwhile. Raises LinkError, GatewayError: no gateway is running,
        or it has no such device."""
        self.name = f"device {device}"
        self.missed = 0
        """Reads and writes that have passed and not come here."""
        self._device = device
        self._data_dir = data_dir
        self._tell = tell
        self._number = 0
        self._first: tuple[int, float] | None = None
        """(time of the first bytes by the gateway's clock, by ours since the beginning)."""
        self._last_s = 0.0
        self._check()

    def _check(self) -> None:
        with Client(self._data_dir) as client:
            try:
                known = running_devices(client)
            except GatewayError:
                # Nobody knows who there is: then we listen.
                return
        if self._device not in known:
            raise GatewayError(no_device(self._device, known))
        if self._device.startswith(HOSTED):
            raise GatewayError(f"{self._device} is a connector of yours, and has no line")

    def hear(self) -> Iterator[Chunk | None]:
        """What passes, with seconds since this was called; None now and then while nothing does. Raises LinkError."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        topics = [f"line.{self._device}.", "beat.broker.", f"beat.port_reader.{self._device}."]
        try:
            _, events = connect_events(context, find_gateway(self._data_dir), [topic.encode() for topic in topics])
            yield from self._hear(events)
        finally:
            context.destroy(linger=0)

    def _hear(self, events: Channel) -> Iterator[Chunk | None]:
        begun_s = time.monotonic()
        presence, news = Presence(begun_s), LineNews()
        yield None
        while True:
            events.socket.poll(int(TICK_S * 1000))
            now_s = time.monotonic()
            for message in _messages(events):
                match message:
                    case Heartbeat(kind="broker"):
                        presence.hear(now_s)
                    case Heartbeat(name=self._device) as beat if said := news.tell(beat, now_s):
                        self._tell(f"{self._device}: {said}")
                    case Tap(stage=stage, device=self._device) if stage == LINE_STAGE:
                        presence.hear(now_s)
                        yield self._chunk_of(message, now_s - begun_s)
            if presence.is_missing(now_s):
                raise LinkError(f"no gateway is running at {self._data_dir}: {NO_ANSWER}; {ADVICE}")
            if changed := presence.change(now_s):
                self._tell(changed)
            yield None

    def _chunk_of(self, tap: Tap, now_s: float) -> Chunk | None:
        try:
            passed = passed_in(tap)
        except WireError as error:
            self._tell(f"not understood: {error}")
            self.missed += 1
            return None
        if self._number and passed.number > self._number + 1:
            self.missed += passed.number - self._number - 1
        self._number = passed.number
        return Chunk(self._time_of(passed.ts_ms, now_s), passed.is_written, passed.data)

    def _time_of(self, ts_ms: int, now_s: float) -> float:
        """Seconds since the beginning. The gateway's own times are the exact ones; its clock may be another machine's,
        and may jump: then we begin to count anew."""
        began_ms, began_s = self._first or (ts_ms, now_s)
        at_s = began_s + (ts_ms - began_ms) / 1000
        if self._first is None or not self._last_s - JUMP_S <= at_s <= now_s + JUMP_S:
            self._first, at_s = (ts_ms, now_s), now_s
        self._last_s = at_s
        return at_s


def _messages(events: Channel) -> Iterator[Message]:
    for event in events.receive():
        if isinstance(event, Arrived):
            yield event.message
