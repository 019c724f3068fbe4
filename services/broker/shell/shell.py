"""The broker's sockets: binds all planes, turns what arrives into events, carries out the core's effects.

It decides nothing. It passes messages on as the parts in which they came: a body is opened by nobody on the way.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, assert_never

import zmq

from common.core.errors import WireError
from common.core.events import Exit, Junk, Note, Send
from common.io.endpoints import Endpoints
from common.io.logs import log_note
from common.io.sockets import EVENTS_HIGH_WATER, Channel, decode_call, encode_call, open_socket, received, send_parts
from common.io.sources import Sources
from common.wire import codec
from common.wire.messages import FrameBatch, Message, Plane, ReadingBatch
from services.broker.core.events import (
    CallArrived,
    CloseFrames,
    Effect,
    Event,
    ForwardReadings,
    FramesArrived,
    FramesBlocked,
    FramesWritable,
    OpenFrames,
    ReadingsArrived,
    ReadingsBlocked,
    ReadingsWritable,
    SendFrames,
    SendTo,
    Unreachable,
)
from services.broker.shell.forwarder import EventsForwarder

CALLS_HIGH_WATER: Final = 1024
"""Calls waiting for one process that doesn't take them; the next is answered with "queue full"."""
LINGER_MS: Final = 500
"""How long what was sent and not yet taken by the peer may take, at the end."""
_FRAMES_FILE: Final = re.compile(r"frames\.[0-9a-f]{8}")


def remove_leftovers(directory: Path) -> None:
    """Removes the converters' sockets of a broker that was killed: each has another name, so nobody else would.

    Only for who holds the broker's lock.
    """
    for path in directory.iterdir():
        if _FRAMES_FILE.fullmatch(path.name):
            path.unlink(missing_ok=True)


class BrokerShell:
    """Performs the effects of `BrokerCore`. Sends never wait: what a socket does not take comes back as an event.

    Of calls and events the order of the planes counts: calls are asked for first, frames last, so that a busy line
    holds up nobody's call. Heartbeats are read lazily, once a second, because nothing waits for them.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: Endpoints,
        sources: Sources[Event],
        logger: logging.Logger,
    ) -> None:
        self._context = context
        self._endpoints = endpoints
        self._logger = logger
        self._sources = sources
        self._forwarder = EventsForwarder(context, endpoints)
        self._forwarder.start()
        self._frames_in = self._bind(zmq.PULL, endpoints.frames_in)
        self._readings_in = self._bind(zmq.PULL, endpoints.readings_in)
        self._readings_out = self._bind(zmq.PUSH, endpoints.readings_out)
        self._calls = open_socket(context, zmq.ROUTER, CALLS_HIGH_WATER)
        # Without this a reply to a connection that is gone vanishes silently.
        self._calls.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._calls.bind(endpoints.calls)
        publish = open_socket(context, zmq.PUB, EVENTS_HIGH_WATER)
        publish.connect(endpoints.events_in)
        self._publish = Channel(Plane.EVENTS, publish)
        subscribe = open_socket(context, zmq.SUB, EVENTS_HIGH_WATER)
        subscribe.setsockopt(zmq.SUBSCRIBE, b"beat.")
        subscribe.connect(endpoints.events_out)
        self._beats = Channel(Plane.EVENTS, subscribe)
        self._converters: dict[str, zmq.Socket[bytes]] = {}
        """One PUSH socket for each converter, by its name: the core alone chooses who gets what."""
        self._blocked: set[str] = set()
        """Converters whose socket takes nothing at the moment, and of which the core knows it."""
        self._readings_blocked = False
        sources.add_lazy_reader(self._beats.receive)
        sources.add_reader(self._calls, self._receive_calls)
        sources.add_reader(self._readings_in, self._receive_readings)
        sources.add_reader(self._frames_in, self._receive_frames)

    def perform(self, effect: Effect) -> Iterable[Event]:
        """Carries out one effect; returns what follows from it at once, so that the core hears of a full socket before
        anything else is sent."""
        match effect:
            case SendFrames():
                return self._send_frames(effect)
            case ForwardReadings():
                return self._forward_readings(effect)
            case SendTo():
                return self._send_to(effect)
            case Send(message=message):
                self._publish.send(message)
            case Note():
                log_note(self._logger, effect)
            case OpenFrames(converter=name, endpoint=endpoint):
                self._converters[name] = self._bind(zmq.PUSH, self._endpoints.at(endpoint))
            case CloseFrames(converter=name):
                self._close_frames(name)
            case Exit():
                # Nothing to do: the loop leaves.
                pass
            case _:
                assert_never(effect)
        return ()

    def close(self) -> None:
        """Closes everything; what was sent has LINGER_MS to go out. Terminates the context."""
        ends = [self._readings_out, self._calls, self._publish.socket, *self._converters.values()]
        for socket in ends:
            socket.close(linger=LINGER_MS)
        for socket in (self._frames_in, self._readings_in, self._beats.socket):
            socket.close(linger=0)
        self._context.term()

    def _bind(self, kind: int, endpoint: str) -> zmq.Socket[bytes]:
        """A new socket, bound. Only the broker binds; so all others may come and go in any order."""
        socket = open_socket(self._context, kind)
        socket.bind(endpoint)
        return socket

    def _receive_frames(self) -> Iterable[FramesArrived | Junk]:
        """What port readers have sent; anything else on this plane is junk."""
        for parts, message in _messages(self._frames_in, Plane.FRAMES):
            if type(message) is FrameBatch:
                yield FramesArrived(message, parts)
            else:
                yield _as_junk(Plane.FRAMES, message)

    def _receive_readings(self) -> Iterable[ReadingsArrived | Junk]:
        """What converters have made of frames; anything else on this plane is junk."""
        for parts, message in _messages(self._readings_in, Plane.READINGS):
            if type(message) is ReadingBatch:
                yield ReadingsArrived(message, parts)
            else:
                yield _as_junk(Plane.READINGS, message)

    def _receive_calls(self) -> Iterable[CallArrived | Junk]:
        """Requests, replies and registrations, each with the route by which an answer finds back."""
        for route, *parts in received(self._calls, is_ready=True):
            try:
                yield CallArrived(route, decode_call(parts))
            except WireError as error:
                yield Junk(Plane.CALLS, str(error))

    def _send_frames(self, effect: SendFrames) -> Iterable[FramesBlocked]:
        """Hands a batch to a converter, or hands it back to the core if the socket is full."""
        name = effect.converter
        # Once blocked, nothing is tried before the core has heard of it: order would be lost.
        if name not in self._blocked and _send(self._converters[name], effect.parts or codec.encode(effect.batch)):
            return ()
        if name not in self._blocked:
            self._blocked.add(name)
            self._sources.add_writer(self._converters[name], lambda: self._frames_writable(name))
        return (FramesBlocked(*effect),)

    def _frames_writable(self, name: str) -> Iterable[FramesWritable]:
        """The socket takes batches again; the core is told once."""
        self._blocked.discard(name)
        self._sources.remove_writer(self._converters[name])
        return (FramesWritable(name),)

    def _close_frames(self, name: str) -> None:
        """A converter that was replaced gets nothing more, and what waits in its socket is dropped: its reader sends it
        again."""
        socket = self._converters.pop(name)
        self._blocked.discard(name)
        self._sources.remove_writer(socket)
        socket.close(linger=0)

    def _forward_readings(self, effect: ForwardReadings) -> Iterable[ReadingsBlocked]:
        """Hands readings to the publisher, or back to the core if it takes none at the moment."""
        if not self._readings_blocked and _send(self._readings_out, effect.parts or codec.encode(effect.batch)):
            return ()
        if not self._readings_blocked:
            self._readings_blocked = True
            self._sources.add_writer(self._readings_out, self._readings_writable)
        return (ReadingsBlocked(effect.batch, effect.parts),)

    def _readings_writable(self) -> Iterable[ReadingsWritable]:
        """The publisher takes readings again; the core is told once."""
        self._readings_blocked = False
        self._sources.remove_writer(self._readings_out)
        return (ReadingsWritable(),)

    def _send_to(self, effect: SendTo) -> Iterable[Unreachable]:
        """Sends a call to one connection. "full": it takes no more; "gone": nobody is at its other end."""
        try:
            send_parts(self._calls, (effect.route, *encode_call(effect.message)))
        except zmq.Again:
            return (Unreachable(effect.route, effect.message, "full"),)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return (Unreachable(effect.route, effect.message, "gone"),)
        return ()


def _messages(socket: zmq.Socket[bytes], plane: Plane) -> Iterable[tuple[list[bytes], Message | Junk]]:
    """(parts, message) for up to RECEIVE_LIMIT messages; a `Junk` stands for what is none."""
    for parts in received(socket, is_ready=True):
        try:
            yield parts, codec.decode(parts)
        except WireError as error:
            yield parts, Junk(plane, str(error))


def _as_junk(plane: Plane, message: Message | Junk) -> Junk:
    """A good message of the wrong type is junk here."""
    return message if type(message) is Junk else Junk(plane, f"found {type(message).__name__}")


def _send(socket: zmq.Socket[bytes], parts: Sequence[bytes]) -> bool:
    """Sends without waiting; False if the socket takes nothing at the moment."""
    try:
        send_parts(socket, parts)
    except zmq.Again:
        return False
    return True
