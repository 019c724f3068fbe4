"""The converter's steps of a call: params to bytes (`encode`, `encode_update`), an answer to a value (`decode`).

Calls of devices with users' converters come here; a port reader does the same itself where all are built in.
A call whose section is not known waits for it; it never waits past its own time. Steps go on as `exchange` requests to
the port reader under the same id and `reply_to`, or end in a `Reply` to `reply_to`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any, Final, NamedTuple

from common.config.models import Rpc
from common.conversion.calls import (
    METHOD_NOT_FOUND,
    VERBS,
    arguments_of,
    convert_answer,
    exchange_arguments,
    no_entry,
    read_json,
    refusal,
    rpc_writes,
    success,
    update_writes,
)
from common.conversion.downlink import NO_DATA
from common.core.errors import ConversionError, WireError, printable
from common.core.events import Note, Send
from common.wire import codec
from common.wire.messages import Plane, Reply, Request
from services.converter.core.counters import Counters
from services.converter.core.events import DecodeWithUserCode, EncodeWithUserCode, UserAnswered
from services.converter.core.lanes import Lanes
from services.converter.core.sections import Compiled, Sections

CALLS_HELD: Final = 64
EXPIRED: Final = "expired while waiting"
QUEUE_FULL: Final = "queue full"
SHUTTING_DOWN: Final = "shutting down"


class _Call(NamedTuple):
    request: Request
    arguments: dict[str, Any]
    deadline_s: float


class Calls:
    """Calls on their way through this process."""

    def __init__(self, sections: Sections, lanes: Lanes, counters: Counters, jobs: count[int]) -> None:
        self._sections = sections
        self._lanes = lanes
        self._counters = counters
        self._jobs = jobs
        self._held: list[_Call] = []
        self._with_user_code: dict[int, tuple[_Call, Rpc]] = {}
        self._unsent: list[tuple[Request | Reply, float]] = []

    def take(self, request: Request, now_s: float) -> Sequence[Send | Note]:
        """Effects of a request that came in."""
        self._counters.calls_in += 1
        if request.verb not in VERBS:
            return self._fail(request, f"unknown verb {request.verb}")
        if request.time_left_s <= 0:
            return self._expire(request)
        try:
            call = _Call(request, arguments_of(request), now_s + request.time_left_s)
        except WireError as error:
            return self._fail(request, f"malformed request: {error}")
        compiled = self._sections.find(request.section)
        if compiled is not None:
            return self._go_on(call, compiled, now_s)
        if not request.section:
            return self._fail(request, f"device {request.device} is not connected")
        if len(self._held) >= CALLS_HELD:
            return self._fail(request, QUEUE_FULL)
        self._held.append(call)
        return self._sections.ask(request.section, request.device, now_s)

    def resume(self, section: str, compiled: Compiled, now_s: float) -> list[Send | Note]:
        """Effects of the calls that waited for this section."""
        waiting = [call for call in self._held if call.request.section == section]
        self._held = [call for call in self._held if call.request.section != section]
        return [effect for call in waiting for effect in self._go_on(call, compiled, now_s)]

    def user_answered(self, event: UserAnswered, now_s: float) -> list[Send]:
        """Effects of what users' code made of a call."""
        if event.job not in self._with_user_code:
            return []
        call, rpc = self._with_user_code.pop(event.job)
        self._counters.user_errors += bool(event.error and event.error != NO_DATA)
        if call.request.verb == "decode":
            if event.error:
                return self._fail(call.request, event.error)
            return [_reply(call.request, success(event.value))]
        if event.error:
            return self._fail(call.request, refusal(event.error))
        return self._exchange(call, [event.value], rpc, now_s)

    def keep_unsent(self, message: Request | Reply, now_s: float) -> None:
        """Takes a step of a call that could not be sent, for `send_again`."""
        if len(self._unsent) < CALLS_HELD:
            self._unsent.append((message, now_s))

    def send_again(self, now_s: float) -> list[Send]:
        """The steps that could not be sent, the time that they waited taken from what is left of them."""
        unsent, self._unsent = self._unsent, []
        effects: list[Send] = []
        for message, since_s in unsent:
            if isinstance(message, Reply):
                effects.append(Send(Plane.CALLS, message))
                continue
            left_s = message.time_left_s - (now_s - since_s)
            request = message.replace(time_left_s=left_s)
            effects.extend([Send(Plane.CALLS, request)] if left_s > 0 else self._expire(request))
        return effects

    def expire(self, now_s: float) -> list[Send]:
        """Replies to held calls whose time is over."""
        late = [call for call in self._held if now_s >= call.deadline_s]
        if late:
            self._held = [call for call in self._held if now_s < call.deadline_s]
        for job, (call, _) in list(self._with_user_code.items()):
            if now_s >= call.deadline_s:
                del self._with_user_code[job]
                self._lanes.drop_call(job, call.request.device)
                late.append(call)
        return [effect for call in late for effect in self._expire(call.request)]

    def refuse_all(self) -> list[Send]:
        """Replies to all held calls: this process ends."""
        held = [*self._held, *(call for call, _ in self._with_user_code.values())]
        self._held.clear()
        self._with_user_code.clear()
        return [effect for call in held for effect in self._fail(call.request, SHUTTING_DOWN)]

    def forget(self) -> int:
        """Drops everything, as the broker that knew of it is gone; how many that were."""
        dropped = len(self._held) + len(self._with_user_code) + len(self._unsent)
        self._held, self._unsent = [], []
        self._with_user_code.clear()
        return dropped

    @property
    def is_idle(self) -> bool:
        return not (self._held or self._unsent or self._with_user_code)

    @property
    def wanted_sections(self) -> Iterable[str]:
        return (call.request.section for call in self._held)

    @property
    def next_deadline_s(self) -> float | None:
        with_users = (call.deadline_s for call, _ in self._with_user_code.values())
        return min((*(call.deadline_s for call in self._held), *with_users), default=None)

    def _go_on(self, call: _Call, compiled: Compiled, now_s: float) -> Sequence[Send | Note]:
        if call.request.verb == "encode_update":
            return self._encode_update(call, compiled, now_s)
        rpc = compiled.rpc(call.arguments["method"])
        if rpc is None:
            return self._fail(call.request, METHOD_NOT_FOUND)
        if call.request.verb == "decode":
            return self._decode(call, compiled, rpc)
        return self._encode(call, compiled, rpc, now_s)

    def _encode(self, call: _Call, compiled: Compiled, rpc: Rpc, now_s: float) -> list[Send]:
        device, params = compiled.device, call.arguments["params"]
        try:
            if compiled.has_user_downlink and rpc.template is None:
                value = read_json(params)
                order = EncodeWithUserCode(next(self._jobs), device, call.request.section, rpc, value)
                return self._with_users(order, call, rpc)
            return self._exchange(call, rpc_writes(device, rpc, params), rpc, now_s)
        except ConversionError as error:
            return self._fail(call.request, str(error))

    def _encode_update(self, call: _Call, compiled: Compiled, now_s: float) -> Sequence[Send | Note]:
        request = call.request
        try:
            writes, unknown = update_writes(compiled.device, call.arguments["data"])
        except ConversionError as error:
            return self._fail(request, str(error))
        facts = {"device": request.device, "attributes": unknown, "id": request.id}
        notes = [Note("warning", "update.no_entry", facts)] if unknown else []
        if not writes:
            return [*notes, *self._fail(request, no_entry(unknown))]
        return [*notes, *self._exchange(call, writes, None, now_s)]

    def _decode(self, call: _Call, compiled: Compiled, rpc: Rpc) -> list[Send]:
        frame = call.arguments["frame"]
        if compiled.has_user_uplink:
            order = DecodeWithUserCode(next(self._jobs), compiled.device, call.request.section, rpc, frame)
            return self._with_users(order, call, rpc)
        try:
            return [_reply(call.request, success(convert_answer(rpc, frame)))]
        except ConversionError as error:
            return self._fail(call.request, str(error))

    def _with_users(self, order: EncodeWithUserCode | DecodeWithUserCode, call: _Call, rpc: Rpc) -> list[Send]:
        """The step waits for its turn in the device's lane."""
        if not self._lanes.put_call(order):
            return self._fail(call.request, QUEUE_FULL)
        self._with_user_code[order.job] = call, rpc
        return []

    def _exchange(self, call: _Call, writes: list[bytes], rpc: Rpc | None, now_s: float) -> list[Send]:
        """The next step, at the device's port reader; without `rpc` it is an attribute update."""
        request = call.request
        left_s = call.deadline_s - now_s
        if left_s <= 0:
            return self._expire(request)
        target = f"port_reader:{request.device}"
        body = codec.pack(exchange_arguments(writes, rpc))
        return [Send(Plane.CALLS, request.replace(target=target, verb="exchange", time_left_s=left_s, body=body))]

    def _expire(self, request: Request) -> list[Send]:
        self._counters.calls_expired += 1
        return self._fail(request, EXPIRED)

    def _fail(self, request: Request, text: str) -> list[Send]:
        self._counters.calls_failed += 1
        return [Send(Plane.CALLS, Reply(request.id, request.reply_to, printable(text), b""))]


def _reply(request: Request, json: bytes) -> Send:
    return Send(Plane.CALLS, Reply(request.id, request.reply_to, "", codec.pack(json)))
