"""What the converter does to the world: its sockets, the hosts of users' code, its notes. It decides nothing.

Which frames come is the broker's to say: the core is told an endpoint when it is registered, and another by another
broker. Conversion by built-in converters needs nothing of the world, so it has no effect here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final, assert_never

from common.core.errors import LinkError
from common.core.events import Arrived, Blocked, Exit, Note, Send
from common.io.clock import monotonic_s
from common.io.endpoints import Endpoints
from common.io.shell import Planes
from common.io.sockets import Channel
from common.io.sources import Sources
from common.wire.messages import FrameBatch, Message, Plane, ReadingBatch
from common.wire.peeks import Peeks
from common.wire.taps import taps_of_readings
from services.converter.core.events import (
    ConvertWithUserCode,
    DecodeWithUserCode,
    Effect,
    EncodeWithUserCode,
    EndHost,
    Event,
    ForgetDeath,
    PullFrom,
)
from services.converter.shell.hosts import Hosts
from services.converter.shell.poison_file import PoisonFile

TOPICS: Final = (b"beat.broker.",)
"""A new broker wants to be registered with; nobody else's news change what a converter does."""
CLOSE_LINGER_MS: Final = 200
"""At the end the last readings get this long to leave."""


class ConverterShell:
    """Performs the effects of `ConverterCore`."""

    def __init__(
        self,
        endpoints: Endpoints,
        hosts: Hosts,
        poison: PoisonFile | None,
        sources: Sources[Event],
        logger: logging.Logger,
    ) -> None:
        """`poison`: None where no such file could be made; then deaths in users' code are counted by the reader
        alone."""
        self._endpoints = endpoints
        self._hosts = hosts
        self._poison = poison
        self._planes = Planes(endpoints, sources, logger)
        # Calls come before frames: a section that has arrived is known before it is needed.
        self._planes.add_calls()
        self._planes.add_push(Plane.READINGS, endpoints.readings_in)
        _, self._taps = self._planes.add_events(TOPICS)
        self._peeks = Peeks()
        self._is_peeked = False
        """True while somebody has looked at samples lately."""
        self._frames: Channel | None = None
        """Where frames come from; None until a broker has said it."""

    def perform(self, effect: Effect) -> Iterable[Event]:
        """Carries out one effect; returns what follows from it at once."""
        match effect:
            case Send(plane=plane, message=message):
                return self._send(plane, message)
            case ConvertWithUserCode() | EncodeWithUserCode() | DecodeWithUserCode():
                return self._hosts.ask(effect)
            case EndHost(host=host, why=why):
                return self._hosts.end(host, why)
            case Note() | Exit():
                return self._planes.perform(effect)
            case PullFrom(endpoint=endpoint):
                return self._pull_from(endpoint)
            case ForgetDeath(id=death_id):
                if self._poison is not None:
                    self._poison.forget(death_id)
            case _:
                assert_never(effect)
        return ()

    def close(self) -> None:
        """Ends the hosts and closes the sockets, letting what was sent leave."""
        self._hosts.close()
        self._planes.close(CLOSE_LINGER_MS)

    def _send(self, plane: Plane, message: Message) -> Iterable[Blocked]:
        """Sends as all processes do, and shows readings to whoever watches their device."""
        channel = self._planes.channels[plane]
        if plane is Plane.CALLS:
            self._planes.tell_step(message)
        if not channel.send(message):
            return self._planes.block(channel, message)
        if isinstance(message, ReadingBatch) and message.length and message.device in self._taps:
            # Only what was sent is shown: what was blocked comes again.
            for tap in taps_of_readings(message.device, message.body, message.length):
                self._planes.send(Plane.EVENTS, tap)
        if self._is_peeked and isinstance(message, ReadingBatch) and message.length:
            sample = self._peeks.made(message, monotonic_s())
            if sample is not None:
                self._planes.send(Plane.EVENTS, sample)
        return ()

    def _receive(self, channel: Channel) -> Iterable[Event]:
        """What comes from the broker; frames at which somebody looks are remembered until their readings are made."""
        if not self._taps.has_peeks:
            if self._is_peeked:
                self._is_peeked = False
                self._peeks.forget()
            return channel.receive_ready()
        self._is_peeked = True
        events = list(channel.receive_ready())
        for event in events:
            batch = event.message if isinstance(event, Arrived) else None
            if isinstance(batch, FrameBatch) and self._taps.wants_peek(batch.device):
                self._peeks.take(batch)
        return events

    def _pull_from(self, endpoint: str) -> Iterable[Blocked]:
        """Takes frames from this endpoint of the broker, and from no other any more."""
        try:
            address = self._endpoints.at(endpoint)
        except LinkError as error:
            return self._planes.perform(Note("error", "endpoint.unusable", {"reason": str(error)}))
        if self._frames is not None:
            self._planes.drop(self._frames)
        self._frames = self._planes.add_pull(Plane.FRAMES, address, self._receive)
        return ()
