"""The commands' way to a running gateway: registers under a random name, asks, waits for the answer.

A command is a process like all others, so it needs no door of its own: whoever can open the sockets may ask.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, assert_never

import zmq

from common.core.errors import GatewayError, LinkError
from common.core.events import Arrived, CommonEffect, Exit, Junk, Note, Send, Start
from common.core.membership import Membership
from common.io.endpoints import Endpoints, find_socket_dir
from common.io.process import make_identity
from common.io.sockets import Channel, connect, connect_events
from common.wire import codec
from common.wire.calls import Body, pack_body, verb_of
from common.wire.messages import Plane, Reply, Request

FIND_S: Final = 2.0
"""A broker that is there answers a registration, or beats, within this."""
MOST_BODY_BYTES: Final = 1024 * 1024
"""What the publisher takes; the broker cuts off who sends far more."""
GRACE_S: Final = 1.0
"""A call that timed out is still answered by the publisher: we wait this much longer for its words."""
NO_ANSWER: Final = "one has run there, and none of its processes answers"
"""The sockets are there, and nobody behind them."""
ADVICE: Final = "`serialgw run` starts one; --data-dir or SERIALGW_DATA_DIR say where to look"


def find_gateway(data_dir: Path) -> Endpoints:
    """Where the gateway of a data directory listens. Raises LinkError if none has ever run there."""
    missing = LinkError(f"no gateway is running at {data_dir}; {ADVICE}")
    try:
        place = find_socket_dir(data_dir)
        if not (place / "calls").exists():
            raise missing
    except (FileNotFoundError, NotADirectoryError):
        raise missing from None
    except OSError as error:
        raise LinkError(f"{error.filename}: {error.strerror}; is the gateway another user's?") from None
    return Endpoints(place)


class Client:
    """A short-lived process among the others. Use as a context manager."""

    def __init__(self, data_dir: Path) -> None:
        """Raises LinkError if no broker answers within FIND_S."""
        endpoints = find_gateway(data_dir)
        self._membership = Membership(make_identity("client", uuid.uuid4().hex[:8]), {})
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._calls = connect(self._context, zmq.DEALER, Plane.CALLS, endpoints.calls)
        self._publish, self._events = connect_events(self._context, endpoints, [b"beat.broker."])
        self._replies: dict[str, Reply] = {}
        """Replies that came and nobody has taken yet, by the id of their call."""
        # A DEALER takes messages only when it is connected.
        self._calls.socket.poll(int(FIND_S * 1000), zmq.POLLOUT)
        self._perform(self._membership.handle(Start(), time.monotonic()))
        if not self._pump(FIND_S, lambda: bool(self._membership.broker)):
            self.close()
            raise LinkError(f"no gateway is running at {data_dir}: {NO_ANSWER}; {ADVICE}")

    def call(self, target: str, device: str, asked: Body, timeout_s: float) -> Reply:
        """Asks and waits for the reply, which may be an error. Raises LinkError if not even that came back in time,
        GatewayError if the call is too large to be taken."""
        body = pack_body(asked)
        if len(body) > MOST_BODY_BYTES:
            raise GatewayError(f"the call is too large: found {len(body)} bytes, expected at most {MOST_BODY_BYTES}")
        call_id = uuid.uuid4().hex
        identity = self._membership.identity
        request = Request(call_id, identity.address, target, verb_of(type(asked)), device, "", timeout_s, body)
        if not self._calls.send(request):
            raise LinkError("the broker takes no calls at the moment")
        if not self._pump(timeout_s + GRACE_S, lambda: call_id in self._replies):
            raise LinkError(f"no answer from {target} in {timeout_s:g} s")
        return self._replies.pop(call_id)

    def close(self) -> None:
        """Closes all sockets."""
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pump(self, timeout_s: float, is_done: Callable[[], bool]) -> bool:
        """Receives and beats until `is_done` (True) or the time is over (False)."""
        poller = zmq.Poller()
        channels = {channel.socket: channel for channel in (self._calls, self._events)}
        for socket in channels:
            poller.register(socket, zmq.POLLIN)
        deadline_s = time.monotonic() + timeout_s
        while not is_done():
            now_s = time.monotonic()
            if now_s >= deadline_s:
                return False
            wake_s = min(deadline_s, self._membership.next_deadline_s)
            for socket, _ in poller.poll(max(0, int((wake_s - now_s) * 1000) + 1)):
                self._receive(channels[socket])
            self._beat()
        return True

    def _receive(self, channel: Channel) -> None:
        """Takes what has come on a channel."""
        for event in channel.receive():
            match event:
                case Arrived(message=Reply() as reply):
                    self._replies[reply.id] = reply
                case Arrived() | Junk():
                    # Only the membership is concerned.
                    pass
                case _:
                    assert_never(event)
            self._perform(self._membership.handle(event, time.monotonic()))

    def _beat(self) -> None:
        """Beats when it is time: whoever does not is taken for lost, and gets no answers any more."""
        now_s = time.monotonic()
        self._perform(self._membership.handle(None, now_s))
        if self._membership.is_due(now_s):
            self._perform(self._membership.beat(now_s, {}, {}))

    def _perform(self, effects: Iterable[CommonEffect]) -> None:
        """Sends what the membership orders; that it could not be sent shows in the answer that does not come."""
        for effect in effects:
            match effect:
                case Send(plane=Plane.CALLS, message=message):
                    self._calls.send(message)
                case Send(plane=Plane.EVENTS, message=message):
                    self._publish.send(message)
                case Send() | Note() | Exit():
                    # A client has no other planes and no log, and ends when its command does.
                    pass
                case _:
                    assert_never(effect)


def json_of(reply: Reply) -> bytes:
    """The JSON bytes in a reply's body. Raises LinkError, WireError for anything else."""
    value = codec.unpack(reply.body)
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes):
        raise LinkError(f"the answer is {type(value).__name__}, expected JSON")
    return value
