"""One attempt to reach the platform, as the publisher makes it, for `serialgw check --connect`. Nothing is subscribed
to, and nothing is published."""

from __future__ import annotations

import select
import time
from typing import Final

from common.core.events import Note
from services.publisher.core.events import (
    ConnectPlatform,
    DisconnectPlatform,
    LinkDown,
    LinkRefused,
    LinkUp,
    Probe,
)
from services.publisher.core.outlet import Outlet
from services.publisher.core.session.faults import Place
from services.publisher.core.session.link import Link
from services.publisher.shell.mqtt import Connection
from services.publisher.shell.platform_link import Access
from services.publisher.shell.probe import probe

POLL_S: Final = 0.1
"""Between two looks at the clock."""


def try_platform(access: Access) -> str:
    """Connects once, by the rules that the publisher has (`Link`), and hangs up; "" or the sentence that it would log.
    Blocks for half a minute at most, if names resolve. Raises nothing."""
    attempt = _Attempt(access)
    try:
        return attempt.run()
    finally:
        attempt.hang_up()


class _Attempt:
    """The link, and the connection that it has ordered last."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._out = Outlet()
        self._link = Link(Place.of(access.config), lambda: 0.5, self._out)
        self._connection: Connection | None = None

    def run(self) -> str:
        """Follows the link until it is up, or has something to say."""
        self._link.start(time.monotonic())
        while True:
            self._link.tick(time.monotonic())
            self._out.end_turn()
            for effect in self._out.take():
                match effect:
                    case ConnectPlatform():
                        self._connect(effect)
                    case DisconnectPlatform():
                        self.hang_up()
                    case Probe(connection=number):
                        config, with_tls = self._access.config, self._access.tls is not None
                        found = probe(number, config.host, config.port, with_tls=with_tls)
                        self._link.probed(found, time.monotonic())
                    case Note(level="warning" | "error"):
                        return self._link.fault
            if self._link.state == "up":
                return ""
            self._read()

    def hang_up(self) -> None:
        """Ends the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self, order: ConnectPlatform) -> None:
        access = self._access
        self._connection = Connection(
            order.connection, order.protocol, access.config, access.client_id, context=access.tls, subscriptions=()
        )
        fault = self._connection.open()
        if fault is None:
            self._link.opened(time.monotonic())
        else:
            self._connection = None
            self._link.down(fault, time.monotonic())

    def _read(self) -> None:
        """Waits a moment for the other side, and tells the link what it has said."""
        connection = self._connection
        if connection is None or connection.descriptor < 0:
            time.sleep(POLL_S)
            return
        if select.select([connection.descriptor], [], [], POLL_S)[0]:
            connection.read()
        for event in connection.take_events():
            match event:
                case LinkUp():
                    self._link.up(event, time.monotonic(), asks_limits=False)
                case LinkRefused() if self._link.state == "connecting":
                    self._link.refused(event, time.monotonic())
                case LinkDown() if self._link.state != "down":
                    self._link.down(event, time.monotonic())
