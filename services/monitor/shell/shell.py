"""The monitor's sockets: one for calls, by which it is asked, and two for events. It decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import assert_never

import zmq

from common.core.events import Blocked, CommonEffect, CommonEvent, Exit, Note, Send
from common.io.endpoints import Endpoints
from common.io.logs import log_note
from common.io.sockets import EVENTS_HIGH_WATER, Channel, connect, open_socket
from common.io.sources import Sources
from common.wire.messages import Plane


class MonitorShell:
    """Performs the effects of `MonitorCore`.

    Heartbeats are read once a second and before the core's own timers, not each as it comes: on an idle gateway they
    would be most of what wakes the machine up.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: Endpoints,
        sources: Sources[CommonEvent],
        logger: logging.Logger,
    ) -> None:
        self._context = context
        self._logger = logger
        self._calls = connect(context, zmq.DEALER, Plane.CALLS, endpoints.calls)
        publish = open_socket(context, zmq.PUB, EVENTS_HIGH_WATER)
        publish.connect(endpoints.events_in)
        self._publish = Channel(Plane.EVENTS, publish)
        subscribe = open_socket(context, zmq.SUB, EVENTS_HIGH_WATER)
        subscribe.setsockopt(zmq.SUBSCRIBE, b"beat.")
        subscribe.connect(endpoints.events_out)
        self._beats = Channel(Plane.EVENTS, subscribe)
        sources.add_lazy_reader(self._beats.receive)
        sources.add_reader(self._calls.socket, self._calls.receive)

    def perform(self, effect: CommonEffect) -> Iterable[CommonEvent]:
        """Carries out one effect. A reply that can't be sent is not kept: the asker asks again."""
        match effect:
            case Send(plane=plane, message=message):
                channel = self._publish if plane is Plane.EVENTS else self._calls
                if not channel.send(message):
                    return (Blocked(plane, message),)
            case Note():
                log_note(self._logger, effect)
            case Exit():
                # Nothing to do: the loop leaves.
                pass
            case _:
                assert_never(effect)
        return ()

    def close(self) -> None:
        """Closes all sockets and terminates the context."""
        self._context.destroy(linger=0)
