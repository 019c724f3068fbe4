"""Steps of calls that wait because the calls plane could not take them."""

from __future__ import annotations

from collections import deque
from typing import Final

from common.core.events import Send, answer
from common.wire.calls import Beat, body_of
from common.wire.messages import Message, Plane, Reply, Request

CALLS_HELD: Final = 64
"""Steps that may wait for a broker that takes none now; when full, the oldest is dropped and its caller times out."""


class HeldCalls:
    """Requests and replies that wait for the socket."""

    def __init__(self) -> None:
        self._held: deque[tuple[Request | Reply, float]] = deque(maxlen=CALLS_HELD)
        """Each with when it was held."""

    def hold(self, message: Message, now_s: float) -> None:
        """Keeps a step of a call; anything else is sent again anyway."""
        if isinstance(message, Reply | Request):
            self._held.append((message, now_s))

    def release(self, now_s: float) -> tuple[list[Send], list[Request]]:
        """(what can be sent now, requests whose time ran out). The time that a request waited here is taken from the
        time that it has left."""
        sends: list[Send] = []
        expired: list[Request] = []
        for message, since_s in self._held:
            if isinstance(message, Reply):
                sends.append(answer(message))
            elif (left_s := message.time_left_s - (now_s - since_s)) > 0:
                sends.append(Send(Plane.CALLS, message.replace(time_left_s=left_s)))
            elif not body_of(message, Beat):
                # Nobody but this process waits for the answer to a beat that it has asked for.
                expired.append(message)
        self._held.clear()
        return sends, expired
