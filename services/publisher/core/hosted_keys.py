"""Which shared attributes hosted connectors want of their devices: each is asked when the device was announced. Pure.

A connector that does not say so in its heartbeat is never asked. One that has just been opened is asked of all of its
devices that the platform knows already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from common.core.errors import WireError
from common.core.events import Send
from common.wire import codec
from common.wire.calls import SharedKeys, host_of, hosted_connector, hosted_stream, pack_body, verb_of
from common.wire.messages import PUBLISHER, Plane, Reply, Request
from common.wire.states import ConnectorHostState
from services.publisher.core.outlet import Outlet

ASKED_AT_ONCE: Final = 16
"""Questions to all connectors on their way: a connector takes 64 calls at a time."""
ANSWER_S: Final = 10.0
"""So long a connector has for its answer, as for any call."""
AGAIN_S: Final = 5.0
"""A device whose connector has not answered is asked for again after this."""
_names: Final = msgspec.json.Decoder(list[str])


class _Asked(NamedTuple):
    """A question on its way."""

    device: str
    stream: str
    deadline_s: float


class HostedKeys:
    """The devices for which somebody is still to be asked. Bounded by the lanes there are."""

    def __init__(self, out: Outlet, prefix: str, is_announced: Callable[[str, str], bool]) -> None:
        """`prefix` begins the ids that are made here; `is_announced(device, stream)`: true if the device of that
        connector's was announced on this connection."""
        self._out = out
        self._prefix = prefix
        self._is_announced = is_announced
        self._count = 0
        self._instances: dict[str, str] = {}
        """Stream → the process of a connector that wants to be asked."""
        self._waiting: dict[str, str] = {}
        """Device → its stream, in the order in which they are asked for."""
        self._again: dict[str, str] = {}
        self._again_s: float | None = None
        self._asked: dict[str, _Asked] = {}
        self.due_s: float | None = None
        """When `work` has to be called, beside after each of the others. No property: it is asked for at each turn, and
        mostly None."""

    def hear_host(
        self, connector: str, instance: str, state: ConnectorHostState, devices: Callable[[str], Sequence[str]]
    ) -> bool:
        """A connector's heartbeat. True if it is now to be asked of its `devices(stream)`, as it has just come."""
        stream = hosted_stream(connector)
        if not state.opened or not state.wants_shared:
            self._instances.pop(stream, None)
            return False
        if self._instances.get(stream) == instance:
            return False
        self._instances[stream] = instance
        for device in devices(stream):
            self._waiting[device] = stream
        return True

    def announced(self, device: str, stream: str) -> None:
        """The platform has taken a device for connected."""
        if stream in self._instances:
            self._waiting[device] = stream

    def work(self, now_s: float) -> None:
        """Asks, as far as there is room."""
        for call_id in [call_id for call_id, asked in self._asked.items() if now_s >= asked.deadline_s]:
            self._try_again(self._asked.pop(call_id), now_s)
        if self._again_s is not None and now_s >= self._again_s:
            self._waiting = {**self._waiting, **self._again}
            self._again, self._again_s = {}, None
        while self._waiting and len(self._asked) < ASKED_AT_ONCE:
            device = next(iter(self._waiting))
            stream = self._waiting.pop(device)
            # One that is gone meanwhile is asked for when it is announced again.
            if stream in self._instances and self._is_announced(device, stream):
                self._ask(device, stream, now_s)
        self._look()

    def reply(self, reply: Reply, now_s: float) -> tuple[str, list[str]] | None:
        """(device, the attributes that its connector wants); None for a reply to nobody here, or that says nothing."""
        asked = self._asked.pop(reply.id, None)
        if asked is None:
            return None
        if reply.error:
            self._try_again(asked, now_s)
        elif self._is_announced(asked.device, asked.stream):
            return asked.device, _keys_in(reply.body)
        return None

    def _look(self) -> None:
        times = [asked.deadline_s for asked in self._asked.values()]
        if self._again_s is not None:
            times.append(self._again_s)
        self.due_s = min(times, default=None)

    def _ask(self, device: str, stream: str, now_s: float) -> None:
        self._count += 1
        call_id = f"{self._prefix}-k{self._count}"
        self._asked[call_id] = _Asked(device, stream, now_s + ANSWER_S)
        target = host_of(hosted_connector(stream) or "")
        body = pack_body(SharedKeys(device))
        request = Request(call_id, PUBLISHER, target, verb_of(SharedKeys), stream, "", ANSWER_S, body)
        self._out.order(Send(Plane.CALLS, request))

    def _try_again(self, asked: _Asked, now_s: float) -> None:
        if asked.stream in self._instances:
            self._again[asked.device] = asked.stream
            if self._again_s is None:
                self._again_s = now_s + AGAIN_S


def _keys_in(body: bytes) -> list[str]:
    """The names in a reply; none where it says something else."""
    try:
        data = codec.unpack(body)
        return _names.decode(data) if isinstance(data, bytes) and data else []
    except (WireError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
