"""ZeroMQ sockets as channels of messages. Only the broker binds; everyone else connects.

A channel never waits and never raises for what others say. Everything that waits in a socket is bounded, by numbers of
messages and by the size of each, because a peer may stand still or mean harm.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

import zmq
import zmq.backend

from common.core.errors import WireError
from common.core.events import Arrived, Junk, Reconnected
from common.io.clock import machine_id, monotonic_s
from common.io.endpoints import Endpoints
from common.io.logs import log_counters
from common.io.usage import usage_counters
from common.wire import codec
from common.wire.messages import (
    FrameBatch,
    Heartbeat,
    Message,
    Plane,
    ReadingBatch,
    Register,
    Registered,
    Reply,
    Request,
    StreamReport,
    Tap,
    topic_of,
)

HIGH_WATER: Final = 64
"""Batches that may wait in one ZeroMQ pipe; the windows and credits of the cores bound the rest."""
EVENTS_HIGH_WATER: Final = 1_000
"""Events are repeated, or for people, and may be lost; this bounds what waits for a subscriber that was stopped: with
taps of 16 KiB at most, 16 MiB."""
REPORTS_HIGH_WATER: Final = 10_000
"""The publisher's bound is higher: it has one small report for each of many streams at a time, and no taps."""
SOURCE_HIGH_WATER: Final = 64
"""All others' bound for events on their way to the broker is lower: there are as many of these sockets as ports."""
MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024
"""A peer that sends more in one part is cut off by libzmq; our largest is a frame of `maxFrameBytes` in a batch."""
RECEIVE_LIMIT: Final = 256
"""Messages taken from one socket in one go, so that one busy plane does not starve the others."""
CARRIES: Final[dict[Plane, frozenset[type]]] = {
    Plane.FRAMES: frozenset({FrameBatch}),
    Plane.READINGS: frozenset({ReadingBatch}),
    Plane.CALLS: frozenset({Register, Registered, Request, Reply}),
    Plane.EVENTS: frozenset({StreamReport, Heartbeat, Tap}),
}
"""What each plane carries; a good message on another plane is junk there."""
_POLLIN: Final = int(zmq.POLLIN)
_DONTWAIT: Final = int(zmq.DONTWAIT)
_SNDMORE: Final = int(zmq.SNDMORE) | _DONTWAIT
_RCVMORE: Final = int(zmq.RCVMORE)
_STAMP: Final = struct.Struct("<d")
"""Seconds of the monotonic clock, in front of the machine that the clock belongs to."""
# What `send_multipart` and `recv_multipart` do as well, looking at each part and each option anew, takes as long again.
_send_part: Final = zmq.backend.Socket.send
_receive_part: Final = zmq.backend.Socket.recv
_get: Final = zmq.backend.Socket.get


def encode_call(message: Message) -> tuple[bytes, ...]:
    """The parts of a message on the calls plane. A request has a third: when it was sent, by the clock of which
    machine; so the time that it lies in the socket of a process that stands still counts as well."""
    parts = codec.encode(message)
    return (*parts, _STAMP.pack(monotonic_s()) + machine_id()) if isinstance(message, Request) else parts


def decode_call(parts: Sequence[bytes]) -> Message:
    """The message of `encode_call`, its time left less what it took to get here from this same machine. Raises
    WireError."""
    message = codec.decode(parts)
    machine = machine_id()
    if isinstance(message, Request) and len(parts) == 3 and machine and parts[2][_STAMP.size :] == machine:
        waited_s = monotonic_s() - _STAMP.unpack_from(parts[2])[0]
        if waited_s > 0:
            return message.replace(time_left_s=message.time_left_s - waited_s)
    return message


class Channel:
    """One socket of one plane: `send` never waits, `receive` yields events and never raises for junk.

    On the events plane each message follows a topic, by which ZeroMQ finds its subscribers; on the others it is alone.
    """

    def __init__(self, plane: Plane, socket: zmq.Socket[bytes]) -> None:
        self.plane = plane
        self.socket = socket

    def send(self, message: Message) -> bool:
        """True if it was sent; False at the high-water mark or with nobody connected."""
        if type(message) is Heartbeat:
            # Every process logs, and takes processor time and memory, and no core knows of it: that is added here.
            message = message.replace(counters={**message.counters, **log_counters(), **usage_counters()})
        parts: tuple[bytes, ...] = encode_call(message) if self.plane is Plane.CALLS else codec.encode(message)
        if isinstance(message, StreamReport | Heartbeat | Tap):
            parts = (topic_of(message), *parts)
        try:
            send_parts(self.socket, parts)
        except zmq.Again:
            return False
        return True

    def receive_ready(self) -> Iterable[Arrived | Junk]:
        """Receives as `receive` does, without asking first: a poll has said that there is something."""
        return self.receive(is_ready=True)

    def receive(self, is_ready: bool = False) -> Iterable[Arrived | Junk]:
        """`Arrived` and `Junk` events for up to RECEIVE_LIMIT messages that are there."""
        plane, carried = self.plane, CARRIES[self.plane]
        for parts in received(self.socket, is_ready):
            try:
                if plane is Plane.CALLS:
                    message = decode_call(parts)
                else:
                    message = codec.decode(parts[1:] if plane is Plane.EVENTS else parts)
            except WireError as error:
                yield Junk(plane, str(error))
                continue
            if type(message) in carried:
                yield Arrived(plane, message)
            else:
                yield Junk(plane, f"found {type(message).__name__}, which does not travel here")


def send_parts(socket: zmq.Socket[bytes], parts: Sequence[bytes]) -> None:
    """Sends one message, or raises zmq.Again and has sent nothing of it."""
    # ZeroMQ takes a message's first part or refuses all: a later part never raises for want of room.
    for part in parts[:-1]:
        _send_part(socket, part, _SNDMORE)
    _send_part(socket, parts[-1], _DONTWAIT)


def received(socket: zmq.Socket[bytes], is_ready: bool = False) -> Iterable[list[bytes]]:
    """The parts of up to RECEIVE_LIMIT messages that are there; `is_ready` where a poll has said that one is."""
    for _ in range(RECEIVE_LIMIT):
        # Asking first is cheaper than the exception that says that there is nothing.
        if not is_ready and not int(_get(socket, zmq.EVENTS)) & _POLLIN:
            return
        is_ready = False
        try:
            parts = [_receive_part(socket, _DONTWAIT)]
        except zmq.Again:
            return
        while _get(socket, _RCVMORE):
            parts.append(_receive_part(socket, _DONTWAIT))
        yield parts


def open_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int, high_water: int = HIGH_WATER) -> zmq.Socket[bytes]:
    """A socket with our limits: no lingering, messages only for connected peers, bounded queues and message sizes."""
    socket: zmq.Socket[bytes] = context.socket(kind)
    # Whoever closes a socket says how long it may take; a crash must not wait for a peer.
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, high_water)
    socket.setsockopt(zmq.RCVHWM, high_water)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    # Milliseconds: a broker that was started again is found at once, one that is away costs little.
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
    if kind in (zmq.PUSH, zmq.DEALER):
        # "Not sent" must be true: without this a message waits in a pipe to a peer that is not there.
        socket.setsockopt(zmq.IMMEDIATE, 1)
    return socket


def connect(context: zmq.Context[zmq.Socket[bytes]], kind: int, plane: Plane, endpoint: str) -> Channel:
    """A channel connected to one of the broker's endpoints; for PUB and SUB use `connect_events`."""
    socket = open_socket(context, kind)
    socket.connect(endpoint)
    return Channel(plane, socket)


def connect_events(
    context: zmq.Context[zmq.Socket[bytes]],
    endpoints: Endpoints,
    topics: Iterable[bytes],
    high_water: int = SOURCE_HIGH_WATER,
) -> tuple[Channel, Channel]:
    """(sending, receiving) sides of the events plane. The sending one is an XPUB, so that a shell can see whether
    anybody listens to its taps (`TapWatch`). Of what others say those events arrive that begin with one of the
    `topics`."""
    publish = open_socket(context, zmq.XPUB, high_water)
    publish.connect(endpoints.events_in)
    subscribe = open_socket(context, zmq.SUB, EVENTS_HIGH_WATER)
    for topic in topics:
        subscribe.setsockopt(zmq.SUBSCRIBE, topic)
    subscribe.connect(endpoints.events_out)
    return Channel(Plane.EVENTS, publish), Channel(Plane.EVENTS, subscribe)


class ConnectionWatch:
    """Tells when a channel's socket has found its broker again, for who hears no heartbeats by which it would know."""

    def __init__(self, channel: Channel) -> None:
        self.socket: zmq.Socket[bytes] = channel.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)

    def receive(self) -> Iterable[Reconnected]:
        """Source for the loop: one `Reconnected` for whatever connections were made."""
        for _ in received(self.socket):
            pass
        return (Reconnected(),)


class TapWatch:
    """Who subscribes to our taps, read from the XPUB side of `connect_events`.

    `device in watch` is True while somebody watches that device's frames, or those of all; `has_line` says the same of
    the bytes on its line.
    """

    def __init__(self, publish: Channel) -> None:
        self._socket = publish.socket
        self._topics: set[bytes] = set()

    def receive(self) -> tuple[()]:
        """Source for the loop: takes subscription changes; yields no events."""
        for _ in range(RECEIVE_LIMIT):
            try:
                change = self._socket.recv(flags=zmq.DONTWAIT)
            except zmq.Again:
                return ()
            if change[:1] == b"\x01":
                self._topics.add(change[1:])
            elif change[:1] == b"\x00":
                self._topics.discard(change[1:])
        return ()

    @property
    def has_any(self) -> bool:
        """True while somebody watches anything."""
        return bool(self._topics)

    def __contains__(self, device: str) -> bool:
        return bool(self._topics) and self._wants(b"tap", device)

    def has_line(self, device: str) -> bool:
        """True while somebody records what passes on the line of this device."""
        return self._wants(b"line", device)

    @property
    def has_peeks(self) -> bool:
        """True while somebody looks at samples of any device."""
        return any(wanted.startswith(b"peek") for wanted in self._topics)

    def wants_peek(self, device: str) -> bool:
        """True while somebody looks at samples of this device."""
        return self._wants(b"peek", device)

    def _wants(self, kind: bytes, device: str) -> bool:
        topic = b"%s.%s." % (kind, device.encode())
        return any(topic.startswith(wanted) for wanted in self._topics if wanted.startswith(kind))
