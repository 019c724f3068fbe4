"""Calls to the connector's handlers: what they get, and which of the things that they do is the answer. Pure.

Handlers run one after the other, in threads of their own. A call has one answer: the first that comes by
`send_rpc_reply`, or an object with "error" in it that the handler has returned, or why it raised. Of a call to the
connector itself the returned value is the answer too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from common.core.events import Note, Send, answer
from common.wire.calls import QUEUE_FULL, CallConnector, Encode, EncodeUpdate, SharedKeys, refuse, reply
from common.wire.messages import Request
from services.connector_host.core.counters import ConnectorHostCounts
from services.connector_host.core.events import CallConnectorCode, CallKind, Replied, Returned

MOST_WAITING: Final = 64
"""Calls that wait for one of the two threads; the next one is refused at once."""
IDS_REMEMBERED: Final = 4 * MOST_WAITING
"""Calls that are known when they come again: more than the threads can work off within the time of one."""
STUCK_AFTER: Final = 3
"""So many calls in a row whose time was over before the handler came back, and it is taken to hang."""
MOST_NAMED: Final = 100
"""Methods that are remembered for having been named in the log."""
Asked = Encode | EncodeUpdate | CallConnector | SharedKeys
"""What a host is asked beside what every source is asked."""
_Thread = Literal["rpc", "attributes"]
HANDLERS: Final[dict[CallKind, str]] = {
    "rpc": "server_side_rpc_handler",
    "connector": "server_side_rpc_handler",
    "attributes": "on_attributes_update",
    "keys": "get_device_shared_attributes_keys",
}
"""What of the connector each kind of call calls."""


@dataclass(slots=True)
class _Call:
    """A call without an answer."""

    request: Request
    number: int
    kind: CallKind
    device: str
    method: str
    deadline_s: float
    returned: str | None = None
    """What its handler returned, which was no answer; None while it has not come back."""

    @property
    def thread(self) -> _Thread:
        return thread_of(self.kind)


def thread_of(kind: CallKind) -> _Thread:
    """The thread in which calls of a kind are made, one after the other."""
    return "attributes" if kind in ("attributes", "keys") else "rpc"


class UserCalls:
    """All open calls of one connector."""

    def __init__(self, connector: str, counters: ConnectorHostCounts) -> None:
        self._connector = connector
        self._counters = counters
        self._count = 0
        self._open: dict[int, _Call] = {}
        self._taken: deque[str] = deque(maxlen=IDS_REMEMBERED)
        """The ids of the last calls."""
        self._at: dict[_Thread, int] = {"rpc": 0, "attributes": 0}
        """Calls that were handed to a thread and have not come back, answered or not."""
        self._missed: dict[_Thread, int] = {"rpc": 0, "attributes": 0}
        """Calls in a row that were over before their handler came back."""
        self._noted: set[str] = set()
        """Methods of which was said that their handler returns what is no answer. Forgotten where they are many."""
        self._noted_replies: set[str] = set()
        """Kinds of replies to no call of which was said that they come."""

    def begin(self, request: Request, asked: Asked, now_s: float) -> list[Send | CallConnectorCode]:
        """Hands a call to its thread, or refuses it. A call that comes twice is handed on once."""
        if request.id in self._taken:
            return []
        self._taken.append(request.id)
        kind: CallKind = "rpc"
        match asked:
            case Encode(method=method, called=device):
                pass
            case EncodeUpdate(called=device):
                kind, method = "attributes", "attributes"
            case CallConnector(method=method):
                kind, device = "connector", ""
            case SharedKeys(device=device):
                kind, method = "keys", "attributes"
        self._count += 1
        call = _Call(request, self._count, kind, device, method, now_s + request.time_left_s)
        if self._at[call.thread] >= MOST_WAITING:
            return [answer(refuse(request, QUEUE_FULL))]
        try:
            content = _content_of(asked, self._count)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [answer(refuse(request, "the params are no JSON"))]
        self._at[call.thread] += 1
        self._open[call.number] = call
        self._counters["calls_handled"] += 1
        return [CallConnectorCode(call.number, kind, content, call.deadline_s)]

    def returned(self, event: Returned) -> list[Send | Note]:
        """A handler has come back. What it returned is the answer, or is none."""
        kind = event.kind
        thread = thread_of(kind)
        self._at[thread] -= 1
        if event.is_skipped:
            return []
        self._missed[thread] = 0
        call = self._open.get(event.number)
        if call is None:
            return []
        if event.error:
            facts = {"connector": self._connector, "method": call.method, "reason": event.error}
            note = Note("error", "handler.raised", facts)
            if kind == "keys":
                # Then it wants none: nobody waits for this sentence.
                return [note, self._end(call, b"")]
            return [note, self._end(call, msgspec.json.encode({"error": event.error}))]
        if kind == "attributes":
            return [self._end(call, b"{}")]
        if kind in ("connector", "keys"):
            return [self._end(call, event.data)]
        if event.is_error:
            return [self._end(call, event.data)]
        call.returned = event.shown
        return []

    def replied(self, event: Replied) -> list[Send | Note]:
        """`send_rpc_reply`: the answer to an open call, or to none."""
        number = int(event.request) if event.request.isdecimal() and len(event.request) < 19 else 0
        call = self._open.get(number)
        if call is not None and call.thread != "attributes" and (call.kind != "rpc" or event.device == call.device):
            return [self._end(call, event.data)]
        self._counters["replies_unasked"] += 1
        if call is not None and call.kind == "rpc":
            return self._say_unasked("device", event, f"the call with this id is of the device {call.device}")
        if not 0 < number <= self._count:
            return self._say_unasked("id", event, "no call has had this id")
        # A second answer, or a late one: the first was good enough, or whoever called has heard that it was late.
        return []

    def _say_unasked(self, kind: str, event: Replied, reason: str) -> list[Send | Note]:
        if kind in self._noted_replies:
            return []
        self._noted_replies.add(kind)
        facts = {"connector": self._connector, "device": event.device, "id": event.request, "reason": reason}
        return [Note("warning", "reply.unasked", facts)]

    def expire(self, now_s: float) -> tuple[list[Note], str]:
        """(notes, why the connector is taken to hang or ""). Whoever called has heard of it from the publisher, whose
        clock is the same."""
        notes: list[Note] = []
        stuck = ""
        for call in [call for call in self._open.values() if now_s >= call.deadline_s]:
            del self._open[call.number]
            self._counters["calls_unanswered"] += 1
            if call.returned is not None:
                notes += self._complain(call)
                continue
            self._missed[call.thread] += 1
            if self._missed[call.thread] >= STUCK_AFTER:
                stuck = f"its {HANDLERS[call.kind]} has not come back for {self._missed[call.thread]} calls in a row"
        return notes, stuck

    def refuse_all(self, error: str) -> list[Send]:
        """Ends every open call with this error."""
        calls, self._open = list(self._open.values()), {}
        return [answer(refuse(call.request, error)) for call in calls]

    @property
    def next_deadline_s(self) -> float | None:
        """When `expire` has to be called."""
        return min((call.deadline_s for call in self._open.values()), default=None)

    def _end(self, call: _Call, data: bytes) -> Send:
        del self._open[call.number]
        return answer(reply(call.request, data))

    def _complain(self, call: _Call) -> Sequence[Note]:
        """Most often a connector was written by somebody who thought that returning is answering. Said once a
        method."""
        if call.method in self._noted:
            return []
        if len(self._noted) >= MOST_NAMED:
            self._noted.clear()
        self._noted.add(call.method)
        facts = {
            "connector": self._connector,
            "device": call.device,
            "method": call.method,
            "returned": call.returned,
            "then": "send_rpc_reply was not called for it, so whoever called got no answer",
        }
        return [Note("warning", "rpc.unanswered", facts)]


def _content_of(asked: Asked, number: int) -> bytes:
    """What the handler gets, as the reference has it. Raises msgspec.DecodeError for params that are no JSON."""
    match asked:
        case Encode(method=method, params=params, called=device):
            data = {"id": number, "method": method, "params": _value(params)}
            content: dict[str, object] = {"device": device, "data": data, "id": number}
        case EncodeUpdate(data=attributes, called=device):
            content = {"device": device, "data": _value(attributes)}
        case CallConnector(method=method, params=params):
            content = {"method": method, "params": _value(params), "id": number}
        case SharedKeys(device=device):
            content = {"device": device}
    return msgspec.json.encode(content)


def _value(data: bytes) -> object:
    return msgspec.json.decode(data) if data else None
