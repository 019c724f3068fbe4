"""The connection to the platform as the loop polls it: made in a thread, driven by the loop, at most one at a time.

    no connection -> opening    ConnectPlatform: a thread makes the transport, which may block for seconds
          opening -> open       the thread has handed it over, and its descriptor is polled
          opening -> no connection    it could not be made: LinkDown; Probe then looks what is there instead
             open -> no connection    DisconnectPlatform, or whatever is next ordered in its place

Connections are numbered by the core. What it orders for an earlier one than this is left undone, for by then the core
has been told that it ended.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable
from typing import NamedTuple

from common.config.models import Platform
from common.io.inbox import Inbox
from common.io.sources import Sources
from services.publisher.core.dialects import Outgoing
from services.publisher.core.events import (
    CheckLink,
    ConnectPlatform,
    Event,
    LinkDown,
    LinkEvent,
    LinkOpened,
    Probe,
    Probed,
    Publish,
)
from services.publisher.shell.mqtt import Connection, Subscriptions
from services.publisher.shell.probe import probe


class Access(NamedTuple):
    """How the platform is reached, the same for each connection."""

    config: Platform
    client_id: str
    tls: ssl.SSLContext | None
    """None for a connection that is not encrypted."""
    subscriptions: Subscriptions
    """(topic filter, True if our own messages on it are not wanted back) for all that is subscribed to."""
    will: Outgoing | None = None
    """What the platform says in our place once it has lost us; None for nothing."""


class PlatformLink:
    """Carries out what the core orders of its connection, and polls what that needs polled."""

    def __init__(self, access: Access, sources: Sources[Event]) -> None:
        self._access = access
        self._sources = sources
        self._opened: Inbox[tuple[Connection, LinkDown | None]] = Inbox()
        """Connections whose thread has ended, and why it failed; None where it did not."""
        self._probed: Inbox[Probed] = Inbox()
        """What threads have found that looked at the other side."""
        self._connection: Connection | None = None
        self._polled = -1
        """The descriptor that is polled for reading; -1 for none."""
        self._is_writing = False
        """True while that is polled for writing too."""

    def listen(self) -> None:
        """Hears from now on of connections that were opened."""
        self._sources.add_reader(self._opened.descriptor, self._take_opened)
        self._sources.add_reader(self._probed.descriptor, self._probed.take)

    def use(self, access: Access) -> None:
        """Reaches the platform in this way from the next connection on."""
        self._access = access

    def connect(self, order: ConnectPlatform) -> None:
        """Begins to open a connection, in place of any other. `LinkOpened` or `LinkDown` follows."""
        self.disconnect()
        connection = Connection(
            order.connection,
            order.protocol,
            self._access.config,
            self._access.client_id,
            context=self._access.tls,
            subscriptions=self._access.subscriptions,
            will=self._access.will,
        )
        self._connection = connection
        threading.Thread(target=self._open, args=(connection,), name="mqtt-open", daemon=True).start()

    def probe(self, order: Probe) -> None:
        """Begins to look at what listens at the platform's address; `Probed` follows."""
        threading.Thread(target=self._look, args=(order.connection,), name="mqtt-probe", daemon=True).start()

    def _look(self, connection: int) -> None:
        """Runs in a thread of its own, which ends with what was found."""
        config = self._access.config
        self._probed.put(probe(connection, config.host, config.port, with_tls=self._access.tls is not None))

    def publish(self, order: Publish) -> Iterable[LinkEvent]:
        """Hands a message to the connection; whether the platform took it is said later, by `PubAck`."""
        connection = self._connection
        if connection is None or connection.number != order.connection:
            return ()
        connection.publish(order)
        return self._follow(connection)

    def check(self, order: CheckLink) -> Iterable[LinkEvent]:
        """Lets the connection keep itself alive, or find that the platform is silent for too long."""
        connection = self._connection
        if connection is None or connection.number != order.connection:
            return ()
        connection.check()
        return self._follow(connection)

    def disconnect(self) -> None:
        """Ends the connection, if there is one. Nothing is heard of it any more."""
        self._unpoll()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self, connection: Connection) -> None:
        """Runs in a thread of its own, which ends with the transport made or refused."""
        self._opened.put((connection, connection.open()))

    def _take_opened(self) -> Iterable[LinkEvent]:
        for connection, fault in self._opened.take():
            if connection is not self._connection:
                # Another was ordered while this one was being made.
                connection.close()
                continue
            if fault is not None:
                self._connection = None
                yield fault
                continue
            yield LinkOpened(connection.number)
            yield from self._follow(connection)

    def _readable(self) -> Iterable[LinkEvent]:
        connection = self._connection
        if connection is None:
            return
        connection.read()
        yield from self._follow(connection)
        # Calls are acknowledged when they are on their way: the core has handled them by now, and may have hung up.
        if connection is self._connection and connection.acknowledge():
            yield from self._follow(connection)

    def _writable(self) -> Iterable[LinkEvent]:
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
                self._sources.add_writer(descriptor, self._writable)
            else:
                self._sources.remove_writer(descriptor)
        return connection.take_events()

    def _unpoll(self) -> None:
        if self._polled >= 0:
            self._sources.remove_reader(self._polled)
            self._sources.remove_writer(self._polled)
        self._polled, self._is_writing = -1, False
