"""The converter's shell: sockets, hosts of users' code, the log. It decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import assert_never

import zmq

from common.core.errors import LinkError
from common.core.events import Blocked, Exit, Note, Send, Writable
from common.io.endpoints import Endpoints
from common.io.logs import log_note
from common.io.sockets import Channel, TapWatch, connect, connect_events
from common.io.sources import Sources
from common.wire.messages import Message, Plane, ReadingBatch
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

TOPICS = (b"beat.broker.",)
"""What a converter hears of the events plane: the broker's beats, by which it knows that there is a new one."""
CLOSE_LINGER_MS = 200
"""How long the last readings get to leave, at the end."""


class ConverterShell:
    """Performs the core's effects.

    One socket for each plane; frames come by a PULL socket to the one endpoint that the broker has named, so that the
    broker alone says who gets what.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        hosts: Hosts,
        poison: PoisonFile | None,
        sources: Sources[Event],
        logger: logging.Logger,
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._endpoints = endpoints
        self._hosts = hosts
        self._poison = poison
        self._logger = logger
        self._calls = connect(self._context, zmq.DEALER, Plane.CALLS, endpoints.calls)
        self._readings = connect(self._context, zmq.PUSH, Plane.READINGS, endpoints.readings_in)
        self._events, self._heard = connect_events(self._context, endpoints, TOPICS)
        self._watch = TapWatch(self._events)
        """Knows who watches: taps are only made of readings that somebody wants to see."""
        self._frames: Channel | None = None
        """None until the broker has named its endpoint."""
        self._senders = {channel.plane: channel for channel in (self._calls, self._readings, self._events)}
        self._sources = sources
        # Calls come before frames: a section that has arrived is known before it is needed.
        sources.add_reader(self._calls.socket, self._calls.receive_ready)
        sources.add_reader(self._heard.socket, self._heard.receive)
        sources.add_reader(self._events.socket, self._watch.receive)

    def perform(self, effect: Effect) -> Iterable[Event]:
        """Carries out one effect; returns what follows from it at once."""
        match effect:
            case Send(plane=plane, message=message):
                return self._send(plane, message)
            case ConvertWithUserCode() | EncodeWithUserCode() | DecodeWithUserCode():
                return self._hosts.ask(effect)
            case EndHost(host=host, why=why):
                return self._hosts.end(host, why)
            case Note():
                log_note(self._logger, effect)
            case PullFrom(endpoint=endpoint):
                self._pull_from(endpoint)
            case ForgetDeath(id=death_id):
                if self._poison is not None:
                    self._poison.forget(death_id)
            case Exit():
                # The loop has left.
                pass
            case _:
                assert_never(effect)
        return ()

    def close(self) -> None:
        """Ends the hosts and closes the sockets, letting what was sent leave."""
        self._hosts.close()
        self._context.destroy(linger=CLOSE_LINGER_MS)

    def _send(self, plane: Plane, message: Message) -> Iterable[Blocked]:
        """Sends without waiting; a message that the socket did not take goes back to the core as `Blocked`."""
        channel = self._senders[plane]
        if not channel.send(message):
            self._sources.add_writer(channel.socket, lambda: self._writable(channel))
            return (Blocked(plane, message),)
        if isinstance(message, ReadingBatch) and message.length and message.device in self._watch:
            for tap in taps_of_readings(message.device, message.body, message.length):
                self._events.send(tap)
        return ()

    def _writable(self, channel: Channel) -> Iterable[Writable]:
        """The socket takes messages again; the core is told once."""
        self._sources.remove_writer(channel.socket)
        return (Writable(channel.plane),)

    def _pull_from(self, endpoint: str) -> None:
        """Takes frames from this endpoint from now on. What the socket before it still held is sent again by its
        reader."""
        try:
            address = self._endpoints.at(endpoint)
        except LinkError as error:
            log_note(self._logger, Note("error", "endpoint.unusable", {"reason": str(error)}))
            return
        if self._frames is not None:
            self._sources.remove_reader(self._frames.socket)
            self._frames.socket.close()
        self._frames = connect(self._context, zmq.PULL, Plane.FRAMES, address)
        self._sources.add_reader(self._frames.socket, self._frames.receive_ready)
