"""The half that all shells share: the sockets that join a process to the broker, and the effects of every core.

A shell adds the planes that it needs, in the order in which they are to be heard where several have something at once.
What it has beside them (a line, a journal, a connection to the platform) is its own business. The broker's shell is
the other end of all planes, and shares `add_beats` only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, Protocol, TypeVar, assert_never

import zmq

from common.core.events import Arrived, Blocked, CommonEffect, Exit, Junk, Note, Send, Writable
from common.io.endpoints import Endpoints
from common.io.logs import log_note
from common.io.sockets import (
    EVENTS_HIGH_WATER,
    SOURCE_HIGH_WATER,
    Channel,
    TapWatch,
    connect,
    connect_events,
    open_socket,
)
from common.io.sources import Pollable
from common.wire.messages import Message, Plane, Reply, Request

ASKS_TO_BEAT: Final = "beat"
"""What everyone asks everyone when it starts: no call of anybody's. Its ids begin with it."""
Event_contra = TypeVar("Event_contra", contravariant=True)


class Polled(Protocol[Event_contra]):
    """The part of `Sources` to which sockets are added. A process that hears more kinds of events than its sockets say
    has a `Sources` of all of them, and that is one of these."""

    def add_reader(self, source: Pollable, on_readable: Callable[[], Iterable[Event_contra]]) -> None: ...

    def add_lazy_reader(self, on_due: Callable[[], Iterable[Event_contra]]) -> None: ...

    def add_writer(self, source: Pollable, on_writable: Callable[[], Iterable[Event_contra]]) -> None: ...

    def remove_reader(self, source: Pollable) -> None: ...

    def remove_writer(self, source: Pollable) -> None: ...


class Planes:
    """The sockets of one process that connects to the broker, and what is sent on them. Nothing here ever waits."""

    def __init__(
        self, endpoints: Endpoints, sources: Polled[Arrived | Junk | Writable], logger: logging.Logger
    ) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.channels: dict[Plane, Channel] = {}
        """The sending side of each plane that was joined."""
        self._endpoints = endpoints
        self._sources = sources
        self._logger = logger

    def add_calls(self, on_readable: Callable[[], Iterable[Arrived | Junk]] | None = None) -> Channel:
        """Joins the calls plane, in both directions. `on_readable` takes the place of receiving only what is there."""
        channel = connect(self.context, zmq.DEALER, Plane.CALLS, self._endpoints.calls)
        self.channels[Plane.CALLS] = channel
        self._sources.add_reader(channel.socket, on_readable or channel.receive_ready)
        return channel

    def add_events(
        self, topics: Iterable[bytes], high_water: int = SOURCE_HIGH_WATER, *, is_lazy: bool = False
    ) -> tuple[Channel, TapWatch]:
        """Joins the events plane: (what is heard, whose taps are wanted). Of all events those arrive that begin with
        one of the `topics`; `high_water` bounds what waits on its way out. `is_lazy`: what arrives wakes nobody, and
        is read before the next timer."""
        publish, heard = connect_events(self.context, self._endpoints, topics, high_water)
        self.channels[Plane.EVENTS] = publish
        taps = TapWatch(publish)
        if is_lazy:
            self._sources.add_lazy_reader(heard.receive)
        else:
            self._sources.add_reader(heard.socket, heard.receive)
        self._sources.add_reader(publish.socket, taps.receive)
        return heard, taps

    def add_beats(self) -> None:
        """Joins the events plane as who hears the heartbeats of all and has no taps."""
        publish, _ = add_beats(self.context, self._endpoints, self._sources)
        self.channels[Plane.EVENTS] = publish

    def add_push(self, plane: Plane, endpoint: str) -> Channel:
        """Sends batches on this plane to an endpoint of the broker."""
        channel = self.channels[plane] = connect(self.context, zmq.PUSH, plane, endpoint)
        return channel

    def add_pull(
        self, plane: Plane, endpoint: str, on_readable: Callable[[Channel], Iterable[Any]] | None = None
    ) -> Channel:
        """Takes batches of this plane from an endpoint of the broker, until `drop`. `on_readable` takes the place of
        receiving only what is there."""
        channel = connect(self.context, zmq.PULL, plane, endpoint)
        hear = channel.receive_ready if on_readable is None else partial(on_readable, channel)
        self._sources.add_reader(channel.socket, hear)
        return channel

    def drop(self, channel: Channel) -> None:
        """Leaves an endpoint: what still waits there is the broker's to hand to another."""
        self._sources.remove_reader(channel.socket)
        channel.socket.close()

    def perform(self, effect: CommonEffect) -> Iterable[Blocked]:
        """Carries out an effect that every core may order."""
        match effect:
            case Send(plane=plane, message=message):
                return self.send(plane, message)
            case Note():
                log_note(self._logger, effect)
            case Exit():
                pass  # The loop has left by then, and takes the code itself.
            case _:
                assert_never(effect)
        return ()

    def send(self, plane: Plane, message: Message) -> Iterable[Blocked]:
        """Sends now, or answers `Blocked`. The process must have joined the plane."""
        channel = self.channels[plane]
        if plane is Plane.CALLS:
            self.tell_step(message)
        return () if channel.send(message) else self.block(channel, message)

    def tell_step(self, message: Message) -> None:
        """Logs what is handed on of a call, at DEBUG: by its id one finds it in the log of each process that it passes.
        For shells that send by the channel itself."""
        if not self._logger.isEnabledFor(logging.DEBUG):
            return
        match message:
            case Request(id=id, verb=verb, device=device, target=target) if verb != ASKS_TO_BEAT:
                note = Note("debug", "call.asked", {"id": id, "verb": verb, "device": device, "to": target})
            case Reply(id=id, target=target, error=error) if not id.startswith(ASKS_TO_BEAT):
                note = Note("debug", "call.answered", {"id": id, "to": target, "error": error})
            case _:
                return
        log_note(self._logger, note)

    def block(self, channel: Channel, message: Message) -> tuple[Blocked]:
        """What follows when a channel has not taken a message: the core hears `Blocked` with it, and `Writable` as soon
        as there is room. For shells that send by the channel itself; it keeps nothing of the message."""
        self._sources.add_writer(channel.socket, lambda: self._writable(channel))
        return (Blocked(channel.plane, message),)

    def _writable(self, channel: Channel) -> tuple[Writable]:
        # Said once: a socket that has room is always writable, and would wake us again and again.
        self._sources.remove_writer(channel.socket)
        return (Writable(channel.plane),)

    def close(self, linger_ms: int) -> None:
        """Closes all sockets; what was sent has so many milliseconds to leave."""
        self.context.destroy(linger=linger_ms)


def add_beats(
    context: zmq.Context[zmq.Socket[bytes]], endpoints: Endpoints, sources: Polled[Arrived | Junk]
) -> tuple[Channel, Channel]:
    """(sending, receiving) sides of the events plane for who hears everyone's heartbeats. These wake nobody, for there
    are many a second even on an idle gateway: they are read before the next timer."""
    publish = open_socket(context, zmq.PUB, EVENTS_HIGH_WATER)
    publish.connect(endpoints.events_in)
    subscribe = open_socket(context, zmq.SUB, EVENTS_HIGH_WATER)
    subscribe.setsockopt(zmq.SUBSCRIBE, b"beat.")
    subscribe.connect(endpoints.events_out)
    beats = Channel(Plane.EVENTS, subscribe)
    sources.add_lazy_reader(beats.receive)
    return Channel(Plane.EVENTS, publish), beats
