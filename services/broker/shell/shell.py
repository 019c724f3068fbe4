"""What the broker does to the world: it binds all planes, makes events of what arrives, sends what its core orders."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, assert_never

import zmq

from common.core.errors import WireError
from common.core.events import Exit, Junk, Note, Send
from common.io.endpoints import Endpoints
from common.io.logs import log_note
from common.io.shell import add_beats
from common.io.sockets import RECEIVE_LIMIT, decode_call, encode_call, open_socket, received, send_parts
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
    OpenFrames,
    ReadingsArrived,
    RestFrames,
    SendFrames,
    SendTo,
    Unreachable,
)
from services.broker.shell.forwarder import EventsForwarder
from services.broker.shell.outgoing import FramesOut, ReadingsOut

CALLS_HIGH_WATER: Final = 1024
"""Calls waiting for one process that doesn't take them; the next is answered with "queue full"."""
LINGER_MS: Final = 500
"""At the end, what was sent and not yet taken by the peer may take this long."""
# As `common.io.endpoints.frames_name` makes them.
_FRAMES_FILE: Final = re.compile(r"frames\.[0-9a-f]{8}")


def remove_leftovers(directory: Path) -> None:
    """Removes the converters' sockets of a broker that was killed: each has another name, so nobody else would.

    Only for the process that holds the broker's lock.
    """
    for path in directory.iterdir():
        if _FRAMES_FILE.fullmatch(path.name):
            path.unlink(missing_ok=True)


class BrokerShell:
    """Performs the effects of `BrokerCore`. Sends never wait.

    Headers are read, bodies are not: what comes in on a plane goes out with the very parts that came. Whoever connects
    may say anything, so what is no message of its plane becomes a `Junk`, and no exception.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: Endpoints,
        sources: Sources[Event],
        logger: logging.Logger,
    ) -> None:
        """Binds at once; the `context` is this shell's from now on, and ends with it."""
        self._context = context
        self._logger = logger
        self._sources = sources
        self._frames_until_s = 0.0
        """Until when frames are to rest; 0 while they are not."""
        EventsForwarder(context, endpoints).start()
        self._frames_in = _bind(context, zmq.PULL, endpoints.frames_in)
        self._readings_in = _bind(context, zmq.PULL, endpoints.readings_in)
        self._frames_out = FramesOut(context, endpoints, sources)
        self._readings_out = ReadingsOut(_bind(context, zmq.PUSH, endpoints.readings_out), sources)
        self._calls = open_socket(context, zmq.ROUTER, CALLS_HIGH_WATER)
        # Without this a reply to a connection that is gone vanishes silently.
        self._calls.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._calls.bind(endpoints.calls)
        # Heartbeats come by the forwarder, as for everyone else.
        self._publish, self._beats = add_beats(context, endpoints, sources)
        # In this order they are read where several have something: calls are few, and somebody waits for them;
        # readings make room for frames.
        sources.add_reader(self._calls, self._receive_calls)
        sources.add_reader(self._readings_in, self._receive_readings)
        sources.add_reader(self._frames_in, self._receive_frames)

    def perform(self, effect: Effect) -> Iterable[Event]:
        """Carries out one effect; returns what follows from it at once, so that the core hears of a full socket before
        anything else is sent."""
        match effect:
            case SendFrames():
                return self._frames_out.send(effect)
            case ForwardReadings():
                return self._readings_out.send(effect)
            case RestFrames(until_s=until_s):
                # When all that is there has been taken, see `_receive_frames`.
                self._frames_until_s = until_s
            case SendTo():
                return self._send_to(effect)
            case Send(message=message):
                # Its own heartbeat: sent or lost, another follows.
                self._publish.send(message)
            case Note():
                log_note(self._logger, effect)
            case OpenFrames(converter=name, endpoint=endpoint):
                self._frames_out.open(name, endpoint)
            case CloseFrames(converter=name):
                self._frames_out.close(name)
            case Exit():
                # Nothing to do: the loop leaves.
                pass
            case _:
                assert_never(effect)
        return ()

    def close(self) -> None:
        """Closes everything; what was sent has LINGER_MS to go out. Terminates the context."""
        for socket in (self._readings_out.socket, self._calls, self._publish.socket, *self._frames_out.sockets):
            socket.close(linger=LINGER_MS)
        for socket in (self._frames_in, self._readings_in, self._beats.socket):
            socket.close(linger=0)
        # The forwarder's sockets are its thread's, which closes them when it hears of this.
        self._context.term()

    # Each message keeps the parts in which it came, so that passing it on takes no encoding.

    def _receive_frames(self) -> Iterable[FramesArrived | Junk]:
        """What port readers have sent; anything else on this plane is junk. While there is more than is taken at a
        time nothing rests: what is left would wait for moment after moment."""
        count = 0
        for parts, message in _messages(self._frames_in, Plane.FRAMES):
            count += 1
            if type(message) is FrameBatch:
                yield FramesArrived(message, parts)
            else:
                yield _as_junk(Plane.FRAMES, message)
        if self._frames_until_s and count < RECEIVE_LIMIT:
            until_s, self._frames_until_s = self._frames_until_s, 0.0
            self._sources.rest(self._frames_in, until_s)

    def _receive_readings(self) -> Iterable[ReadingsArrived | Junk]:
        """What converters have made of frames; anything else on this plane is junk."""
        for parts, message in _messages(self._readings_in, Plane.READINGS):
            if type(message) is ReadingBatch:
                yield ReadingsArrived(message, parts)
            else:
                yield _as_junk(Plane.READINGS, message)

    def _receive_calls(self) -> Iterable[CallArrived | Junk]:
        # The ROUTER puts in front of each message by which connection it came: there its answer goes.
        for route, *parts in received(self._calls, is_ready=True):
            try:
                yield CallArrived(route, decode_call(parts))
            except WireError as error:
                yield Junk(Plane.CALLS, str(error))

    def _send_to(self, effect: SendTo) -> Iterable[Unreachable]:
        """Sends a call's message to one connection, or says why that can't be: then the core answers the caller."""
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
    """Makes junk of a good message of the wrong type: its sender is no process of ours, or of another version."""
    return message if type(message) is Junk else Junk(plane, f"found {type(message).__name__}")


def _bind(context: zmq.Context[zmq.Socket[bytes]], kind: int, endpoint: str) -> zmq.Socket[bytes]:
    """A socket with our limits at an endpoint of ours. Raises zmq.ZMQError where the folder does not allow it."""
    socket = open_socket(context, kind)
    socket.bind(endpoint)
    return socket
