"""The publisher's shell: sockets, the MQTT connection, the log. It decides nothing."""

from __future__ import annotations

import logging
import os
import ssl
import threading
from collections.abc import Iterable, Sequence
from queue import SimpleQueue
from typing import Final, assert_never

import zmq

from common.config.models import Platform
from common.core.events import Blocked, Exit, Note, Send, Writable
from common.io.endpoints import Endpoints
from common.io.logs import log_note
from common.io.sockets import REPORTS_HIGH_WATER, Channel, TapWatch, connect, connect_events
from common.io.sources import Sources
from common.wire.messages import Message, Plane
from services.publisher.core.dialects import Outgoing
from services.publisher.core.events import (
    CheckLink,
    ConnectPlatform,
    DisconnectPlatform,
    Effect,
    Event,
    LinkDown,
    LinkEvent,
    LinkOpened,
    Publish,
    RoundOver,
)
from services.publisher.shell.mqtt import Connection

TOPICS: Final = (b"beat.broker.", b"beat.port_reader.")
CLOSE_LINGER_MS: Final = 200
"""At the end the last reports and replies get this long to leave."""


class PublisherShell:
    """Performs the core's effects."""

    def __init__(
        self,
        endpoints: Endpoints,
        config: Platform,
        client_id: str,
        *,
        context: ssl.SSLContext | None,
        subscriptions: Sequence[tuple[str, bool]],
        will: Outgoing | None,
        sources: Sources[Event],
        logger: logging.Logger,
    ) -> None:
        self._config = config
        self._client_id = client_id
        self._tls = context
        self._subscriptions = tuple(subscriptions)
        self._will = will
        self._logger = logger
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._calls = connect(self._context, zmq.DEALER, Plane.CALLS, endpoints.calls)
        self._readings = connect(self._context, zmq.PULL, Plane.READINGS, endpoints.readings_out)
        self._events, self._heard = connect_events(self._context, endpoints, TOPICS, REPORTS_HIGH_WATER)
        self._watch = TapWatch(self._events)
        self._senders = {channel.plane: channel for channel in (self._calls, self._events)}
        self._opened: SimpleQueue[tuple[Connection, str]] = SimpleQueue()
        self._opened_in, self._opened_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._connection: Connection | None = None
        self._polled = -1
        self._is_writing = False
        self._sources = sources
        sources.add_reader(self._calls.socket, self._calls.receive_ready)
        sources.add_lazy_reader(self._heard.receive)
        sources.add_reader(self._events.socket, self._watch.receive)
        sources.add_reader(self._readings.socket, self._readings.receive_ready)
        sources.add_reader(self._opened_in, self._take_opened)
        sources.round_end = lambda: (RoundOver(),)

    def perform(self, effect: Effect) -> Iterable[Event]:
        """Carries out one effect; returns what follows from it at once."""
        match effect:
            case Send(plane=plane, message=message):
                return self._send(plane, message)
            case Publish() if (connection := self._current(effect.connection)) is not None:
                connection.publish(effect)
                return self._follow(connection)
            case Note():
                log_note(self._logger, effect)
            case CheckLink() if (connection := self._current(effect.connection)) is not None:
                connection.check()
                return self._follow(connection)
            case ConnectPlatform():
                self._connect(effect)
            case DisconnectPlatform():
                self._disconnect()
            case Publish() | CheckLink():
                pass  # For a connection that has ended.
            case Exit():
                pass  # The loop's.
            case _:
                assert_never(effect)
        return ()

    def close(self) -> None:
        """Closes everything, letting what was sent leave."""
        self._disconnect()
        self._context.destroy(linger=CLOSE_LINGER_MS)

    def _send(self, plane: Plane, message: Message) -> Iterable[Blocked]:
        channel = self._senders[plane]
        if channel.send(message):
            return ()
        if plane is Plane.CALLS:
            self._sources.add_writer(channel.socket, lambda: self._writable(channel))
        return (Blocked(plane, message),)

    def _writable(self, channel: Channel) -> Iterable[Writable]:
        self._sources.remove_writer(channel.socket)
        return (Writable(channel.plane),)

    # The MQTT connection.

    def _current(self, number: int) -> Connection | None:
        return self._connection if self._connection is not None and self._connection.number == number else None

    def _connect(self, order: ConnectPlatform) -> None:
        self._disconnect()
        connection = Connection(
            order.connection,
            order.protocol,
            self._config,
            self._client_id,
            context=self._tls,
            subscriptions=self._subscriptions,
            will=self._will,
        )
        self._connection = connection
        threading.Thread(target=self._open, args=(connection,), name="mqtt-open", daemon=True).start()

    def _open(self, connection: Connection) -> None:
        """In a thread of its own, which ends with the transport made or refused."""
        self._opened.put((connection, connection.open()))
        try:
            os.write(self._opened_out, b"\0")
        except BlockingIOError:
            pass  # The pipe is full of wake-ups already.

    def _take_opened(self) -> Iterable[LinkEvent]:
        os.read(self._opened_in, 4096)
        while not self._opened.empty():
            connection, fault = self._opened.get()
            if connection is not self._connection:
                connection.close()
                continue
            if fault:
                self._connection = None
                yield LinkDown(connection.number, fault, reached=False)
                continue
            yield LinkOpened(connection.number)
            yield from self._follow(connection)

    def _readable(self) -> Iterable[LinkEvent]:
        connection = self._connection
        if connection is None:
            return
        connection.read()
        yield from self._follow(connection)
        if connection is self._connection and connection.acknowledge():
            yield from self._follow(connection)

    def _writable_mqtt(self) -> Iterable[LinkEvent]:
        if self._connection is None:
            return ()
        self._connection.write()
        return self._follow(self._connection)

    def _follow(self, connection: Connection) -> Iterable[LinkEvent]:
        """Polls what the connection needs polled now; returns what has happened on it."""
        descriptor = connection.descriptor
        if descriptor != self._polled:
            self._unpoll()
            if descriptor >= 0:
                self._sources.add_reader(descriptor, self._readable)
                self._polled = descriptor
        wants_write = descriptor >= 0 and connection.wants_write
        if wants_write != self._is_writing:
            self._is_writing = wants_write
            if wants_write:
                self._sources.add_writer(descriptor, self._writable_mqtt)
            else:
                self._sources.remove_writer(descriptor)
        return connection.take_events()

    def _unpoll(self) -> None:
        if self._polled >= 0:
            self._sources.remove_reader(self._polled)
            self._sources.remove_writer(self._polled)
        self._polled, self._is_writing = -1, False

    def _disconnect(self) -> None:
        self._unpoll()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
