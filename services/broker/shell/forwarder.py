"""The events plane: libzmq's own XSUB/XPUB proxy in a thread, the one thread of the broker beside its loop.

Events are many, and the broker decides nothing about them: so they pass without waking the interpreter. Subscriptions
go the other way through the same two sockets, which is how a process knows that somebody watches it.
"""

from __future__ import annotations

import threading

import zmq

from common.io.endpoints import Endpoints
from common.io.sockets import EVENTS_HIGH_WATER, open_socket


class EventsForwarder:
    """Forwards every event to its subscribers, without the interpreter's lock, until the context is terminated.

    Acks and heartbeats of 64 readers are many small messages; in a thread of libzmq's own they cost the broker's loop
    nothing, and nobody waits for it.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoints: Endpoints) -> None:
        self._from_publishers = open_socket(context, zmq.XSUB, EVENTS_HIGH_WATER)
        self._from_publishers.bind(endpoints.events_in)
        self._to_subscribers = open_socket(context, zmq.XPUB, EVENTS_HIGH_WATER)
        self._to_subscribers.bind(endpoints.events_out)
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        """From here on the sockets belong to the thread, which closes them when the context is terminated."""
        self._thread.start()

    def _run(self) -> None:
        # Sockets may be used by one thread only, and closing is use: so this thread closes them itself.
        try:
            zmq.proxy(self._from_publishers, self._to_subscribers)
        except zmq.ContextTerminated:
            pass
        finally:
            self._from_publishers.close()
            self._to_subscribers.close()
