"""The table of calls: RPCs from the platform and from clients, attribute updates; one reply each. Pure.

An RPC from the platform gets a new id; one from a client keeps the client's. The first reply wins, and at the deadline
the table answers itself.

What a device answers comes twice: as a reply over the calls plane, for it is fast, and as a journaled reading, for it
is never lost. So the ids of answered calls are remembered for a while, to tell a reading that was said already from one
that comes too late to be an answer, which is telemetry then: see `take_answer`.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Final, Literal, NamedTuple

import msgspec

from common.core.errors import WireError
from common.wire import codec
from common.wire.calls import (
    CALLER_TIME,
    EXPIRED,
    METHOD_NOT_FOUND,
    NO_CONVERTER,
    NO_DATA,
    PLATFORM_TIME,
    QUEUE_FULL,
    Encode,
    EncodeUpdate,
    converter_of,
    named_error,
    no_answer,
    not_connected,
    pack_body,
    unknown_device,
    verb_of,
)
from common.wire.messages import NOBODY, PUBLISHER, Reply, Request
from services.publisher.core.dialects import Outgoing

MOST_CALLS: Final = 1_000
"""Open calls at a time; the next one is refused at once."""
MOST_CALLS_BYTES: Final = 16 * 1024 * 1024
"""The params of all open calls together: so much memory they may take in each process between here and the devices."""
REMEMBERED: Final = 4_096
"""Answered calls whose journaled answers are still recognised; also calls of the platform that are known if they come
again."""
_NEVER_WRITTEN: Final = frozenset({QUEUE_FULL, EXPIRED, METHOD_NOT_FOUND, NO_DATA, NO_CONVERTER})
"""Ends of calls that have not reached a device: there is nothing that must not be done twice."""


class Origin(NamedTuple):
    """The caller. `platform`: (device as the platform knows it, its request id); `client`: an address."""

    kind: Literal["platform", "client", "update"]
    device: str
    request: int | str
    address: str = ""


class OpenCall(NamedTuple):
    """An open call."""

    id: str
    origin: Origin
    device: str
    """The configured device that serves the one that was called, mostly itself."""
    method: str
    began_s: float
    deadline_s: float
    size_bytes: int = 0
    """How large its params are."""
    content: int = 0
    """A hash of method and params, of a call from the platform: another call may have the same id."""
    data: bytes = b""
    """What an attribute update says: a JSON object."""
    longer_s: float = 0.0
    """What was written by `deadline_s` may be answered so much later."""

    @property
    def ends_s(self) -> float:
        """When nobody waits for an answer any more."""
        return self.deadline_s + self.longer_s


class _Past(NamedTuple):
    """A call of the platform that has ended and may have been carried out."""

    content: int
    deadline_s: float
    """Until then it is the same call if it comes again."""
    reply: Outgoing | None = None


class Ended(NamedTuple):
    """A call and how it ended: `error` "" and JSON, or an error text."""

    call: OpenCall
    error: str
    data: bytes

    @property
    def payload(self) -> bytes:
        """JSON that a client gets: what the device said, or why it did not."""
        return error_json(self.error) if self.error else self.data


class CallTable:
    """Open calls by id, and the ids that were answered.

    Every call that `begin` opens is ended once: by `reply`, `take_answer`, `expire` or `end_all`, which say so by an
    `Ended`. What comes for it later is ignored.
    """

    def __init__(self, prefix: str) -> None:
        """`prefix` begins each id that is made here; it is another one in each life of the publisher."""
        self._prefix = prefix
        self._count = 0
        self._open: dict[str, OpenCall] = {}
        self._open_bytes = 0
        self._origins: set[Origin] = set()
        self._deadlines: list[tuple[float, str]] = []
        self._answered: OrderedDict[str, Outgoing | None] = OrderedDict()
        """Id → the reply that went to the platform; None where a client asked."""
        self._past: OrderedDict[Origin, _Past] = OrderedDict()
        """The platform's calls that have ended, the oldest first."""

    def new_id(self) -> str:
        """A correlation id that no other call has."""
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def is_known(self, origin: Origin) -> bool:
        """True if this very call is open: the platform has repeated its message."""
        return origin in self._origins

    def is_past(self, origin: Origin, content: int, now_s: float) -> bool:
        """True if this very call has ended, and its time has not: it was repeated on its way here, and must not be
        carried out twice. With another method or other params it is another call, whatever its id."""
        past = self._past.get(origin)
        return past is not None and past.content == content and now_s < past.deadline_s

    def past_reply(self, origin: Origin) -> Outgoing | None:
        """What the platform was told of a call that `is_past`."""
        past = self._past.get(origin)
        return past.reply if past else None

    def is_open(self, call_id: str) -> bool:
        """True while nobody has answered this call."""
        return call_id in self._open

    def renew(self, request: Request, now_s: float) -> Request | None:
        """A first step that could not be sent before, with the time that is left; None if its call has ended."""
        call = self._open.get(request.id)
        return request.replace(time_left_s=call.deadline_s - now_s) if call else None

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, call: OpenCall, step: Encode | EncodeUpdate) -> Request | Ended:
        """Opens a call: its first step, or its end if there are too many."""
        if len(self._open) >= MOST_CALLS or self._open_bytes + call.size_bytes > MOST_CALLS_BYTES:
            return Ended(call, QUEUE_FULL, b"")
        self._open[call.id] = call
        self._open_bytes += call.size_bytes
        self._origins.add(call.origin)
        heapq.heappush(self._deadlines, (call.ends_s, call.id))
        time_left_s = call.deadline_s - call.began_s
        target, verb, body = converter_of(call.device), verb_of(type(step)), pack_body(step)
        return Request(call.id, PUBLISHER, target, verb, call.device, "", time_left_s, body)

    def reply(self, reply: Reply) -> Ended | None:
        """A reply from the calls plane; None if the call has ended or was never ours."""
        if reply.error:
            return self._end(reply.id, reply.error, b"")
        data = _json_of(reply.body)
        if data is None:
            return self._end(reply.id, "the reply is no JSON", b"")
        return self._end(reply.id, "", data)

    def take_answer(self, call_id: str, data: bytes) -> tuple[Ended | None, bool]:
        """A journaled answer has come as a reading: (the call that it ends, True if it is to be published as
        telemetry).

        An open call is ended by it; that of an answered call is dropped, and so is nobody's; else it is telemetry as
        any frame.
        """
        if call_id == NOBODY or call_id in self._answered:
            return None, False
        ended = self._end(call_id, "", data) if data else None
        return ended, ended is None

    def keep_reply(self, call: OpenCall, reply: Outgoing) -> None:
        """What the platform is told of a call that has ended."""
        if call.id in self._answered:
            self._answered[call.id] = reply
        if past := self._past.get(call.origin):
            self._past[call.origin] = past._replace(reply=reply)

    def forget_reply(self, reply: Outgoing) -> None:
        """Forgets that a call was answered, whose reply never went out: the journaled answer is telemetry then."""
        for call_id in [call_id for call_id, kept in self._answered.items() if kept is reply]:
            del self._answered[call_id]

    def reply_of(self, call_id: str) -> Outgoing | None:
        """The reply that was kept; None for calls without an answer, and after a while."""
        return self._answered.get(call_id)

    def expire(self, now_s: float) -> list[Ended]:
        """The calls whose time is over."""
        ended = []
        while self._deadlines and self._deadlines[0][0] <= now_s:
            _, call_id = heapq.heappop(self._deadlines)
            if call := self._open.get(call_id):
                allowed_s = call.ends_s - call.began_s
                bound = CALLER_TIME if call.origin.kind == "client" else PLATFORM_TIME
                # Rounded: a client's call lost a moment on its way here.
                end = self._end(call_id, no_answer(round(allowed_s, 1), bound), b"")
                ended += [end] if end else []
        return ended

    def end_all(self, error: str) -> list[Ended]:
        """Ends every open call with this error."""
        ended = [self._end(call_id, error, b"") for call_id in list(self._open)]
        return [end for end in ended if end]

    def _end(self, call_id: str, error: str, data: bytes) -> Ended | None:
        call = self._open.pop(call_id, None)
        if call is None:
            return None
        self._open_bytes -= call.size_bytes
        self._origins.discard(call.origin)
        if call.origin.kind == "platform" and not _is_never_written(call, error):
            self._past.pop(call.origin, None)
            self._past[call.origin] = _Past(call.content, call.deadline_s)
            if len(self._past) > REMEMBERED:
                self._past.popitem(last=False)
        if not error:
            self._answered[call_id] = None
            if len(self._answered) > REMEMBERED:
                self._answered.popitem(last=False)
        if error and call.device != call.origin.device:
            error = named_error(error, call.origin.device, call.device)
        return Ended(call, error, data)

    @property
    def next_deadline_s(self) -> float | None:
        """When `expire` has to be called."""
        while self._deadlines and self._deadlines[0][1] not in self._open:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None


def _is_never_written(call: OpenCall, error: str) -> bool:
    return error in _NEVER_WRITTEN or error in (not_connected(call.device), unknown_device(call.device))


def error_json(error: str) -> bytes:
    """What a client is told instead of a device's answer."""
    return msgspec.json.encode({"error": error, "success": False})


def _json_of(body: bytes) -> bytes | None:
    """The JSON bytes in a reply's body; None if there are none."""
    try:
        data = codec.unpack(body)
        if isinstance(data, bytes):
            msgspec.json.decode(data)
            return data
    except (WireError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return None
