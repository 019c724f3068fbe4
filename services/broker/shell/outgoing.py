"""Where the broker sends: a socket to each converter, one to the publisher. Each may take nothing for a while.

    open -> blocked    a send was not taken; the core hears that, and of each further one until there is room
    blocked -> open    the socket has room again, and the core hears that first

Nothing is kept here: what was not taken goes back to the core with its answer, and the core knows its place among all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import zmq

from common.io.endpoints import Endpoints
from common.io.sockets import open_socket, send_parts
from common.io.sources import Sources
from common.wire import codec
from services.broker.core.events import (
    Event,
    ForwardReadings,
    FramesBlocked,
    FramesWritable,
    ReadingsBlocked,
    ReadingsWritable,
    SendFrames,
)


class FramesOut:
    """Frames to converters, each of which pulls from an endpoint of its own: so the core decides who gets what."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoints: Endpoints, sources: Sources[Event]) -> None:
        self._context = context
        self._endpoints = endpoints
        self._sources = sources
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        """By the converter's name, as the core says it."""
        self._blocked: set[str] = set()

    @property
    def sockets(self) -> Iterable[zmq.Socket[bytes]]:
        """The sockets of all converters that are there."""
        return self._sockets.values()

    def open(self, name: str, endpoint: str) -> None:
        """Binds the endpoint of this converter, which is not open yet. Raises LinkError for what is no such name."""
        socket = open_socket(self._context, zmq.PUSH)
        socket.bind(self._endpoints.at(endpoint))
        self._sockets[name] = socket

    def close(self, name: str) -> None:
        """Closes the endpoint of this converter; what it has not pulled yet is lost, and its credit is the core's."""
        socket = self._sockets.pop(name)
        self._blocked.discard(name)
        self._sources.remove_writer(socket)
        socket.close(linger=0)

    def send(self, effect: SendFrames) -> Iterable[FramesBlocked]:
        """Sends a batch on, or answers `FramesBlocked` with the same fields."""
        name = effect.converter
        # Once blocked, nothing is tried before the core has heard of it: order would be lost.
        if name not in self._blocked and _send(self._sockets[name], effect.parts or codec.encode(effect.batch)):
            return ()
        if name not in self._blocked:
            self._blocked.add(name)
            self._sources.add_writer(self._sockets[name], lambda: self._writable(name))
        return (FramesBlocked(*effect),)

    def _writable(self, name: str) -> Iterable[FramesWritable]:
        self._blocked.discard(name)
        self._sources.remove_writer(self._sockets[name])
        return (FramesWritable(name),)


class ReadingsOut:
    """Readings to the publisher."""

    def __init__(self, socket: zmq.Socket[bytes], sources: Sources[Event]) -> None:
        self.socket = socket
        self._sources = sources
        self._is_blocked = False

    def send(self, effect: ForwardReadings) -> Iterable[ReadingsBlocked]:
        """Sends a batch on, or answers `ReadingsBlocked` with the same fields. Blocked as frames are, for order."""
        if not self._is_blocked and _send(self.socket, effect.parts or codec.encode(effect.batch)):
            return ()
        if not self._is_blocked:
            self._is_blocked = True
            self._sources.add_writer(self.socket, self._writable)
        return (ReadingsBlocked(effect.batch, effect.parts),)

    def _writable(self) -> Iterable[ReadingsWritable]:
        self._is_blocked = False
        self._sources.remove_writer(self.socket)
        return (ReadingsWritable(),)


def _send(socket: zmq.Socket[bytes], parts: Sequence[bytes]) -> bool:
    """True if all parts were sent; False if none was."""
    try:
        send_parts(socket, parts)
    except zmq.Again:
        return False
    return True
