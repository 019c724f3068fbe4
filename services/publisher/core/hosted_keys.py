"""Which shared attributes hosted connectors want of their devices: each is asked when the device was announced. Pure.

A connector that does not say so in its heartbeat is never asked. One that has just been opened is asked of all of its
devices that the platform knows already.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from common.core.errors import WireError
from common.core.events import Send
from common.wire import codec
from common.wire.calls import SharedKeys, host_of, hosted_connector, hosted_stream, pack_body, verb_of
from common.wire.messages import PUBLISHER, Plane, Reply, Request
from common.wire.states import ConnectorHostState
from services.publisher.core.outbox.table import LaneTable
from services.publisher.core.outlet import Outlet
from services.publisher.core.shared_attributes import SharedAttributes

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

    def __init__(self, shared: SharedAttributes, table: LaneTable, out: Outlet, prefix: str) -> None:
        """`shared` asks the platform for what a connector wants; `table` knows which devices were announced on this
        connection; `prefix` begins the ids that are made here."""
        self._shared = shared
        self._table = table
        self._out = out
        self._prefix = prefix
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

    def hear_host(self, connector: str, instance: str, state: ConnectorHostState, now_s: float) -> None:
        """A connector's heartbeat. One that has just come is asked of all of its devices that were announced."""
        stream = hosted_stream(connector)
        if not state.opened or not state.wants_shared:
            self._instances.pop(stream, None)
        elif self._instances.get(stream) != instance:
            self._instances[stream] = instance
            self._waiting |= dict.fromkeys(self._table.announced_by(stream), stream)
            self.work(now_s)

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
            if stream in self._instances and self._table.is_announced(device, stream):
                self._ask(device, stream, now_s)
        self._look()

    def reply(self, reply: Reply, now_s: float) -> None:
        """A connector has answered, or the broker has for it; or it is a reply to somebody else."""
        asked = self._asked.pop(reply.id, None)
        if asked is None:
            return
        if reply.error:
            self._try_again(asked, now_s)
        elif self._table.is_announced(asked.device, asked.stream):
            process = self._instances.get(asked.stream, "")
            self._shared.wanted(asked.device, process, _keys_in(reply.body), now_s)
        self.work(now_s)

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
