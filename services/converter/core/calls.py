"""The converter's steps of a call: params to bytes (`Encode`, `EncodeUpdate`), an answer to a value (`Decode`).

CallConverter of devices with users' converters come here; a port reader does the same itself where all are built in.
A call whose section is not known waits for it; it never waits past its own time. Steps go on as `Exchange` to the port
reader under the same id and `reply_to`, or end in a `Reply` to `reply_to`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Final, NamedTuple

from common.config.models import Rpc
from common.conversion.calls import (
    called_as,
    convert_answer,
    exchange_for,
    no_entry,
    read_json,
    refusal,
    rpc_writes,
    success,
    update_writes,
)
from common.core.errors import ConversionError, WireError
from common.core.events import Note, Send
from common.wire.calls import (
    EXPIRED,
    METHOD_NOT_FOUND,
    NO_DATA,
    QUEUE_FULL,
    SHUTTING_DOWN,
    Decode,
    Encode,
    EncodeUpdate,
    Exchange,
    body_of,
    not_connected,
    pack_body,
    reader_of,
    refuse,
    reply,
    unknown_verb,
    verb_of,
)
from common.wire.messages import Plane, Reply, Request
from services.converter.core.counters import ConverterCounts
from services.converter.core.events import DecodeWithUserCode, EncodeWithUserCode, UserAnswered
from services.converter.core.lanes import Lanes
from services.converter.core.sections import Compiled, Sections

CALLS_HELD: Final = 64
"""Calls that wait for a section, and steps that wait for the socket; the next one is refused."""


class _Call(NamedTuple):
    """A step that was asked of this process, its body already looked at, and the moment at which its caller gives
    up."""

    request: Request
    body: Encode | EncodeUpdate | Decode
    deadline_s: float


class CallConverter:
    """Calls on their way through this process: each is a step that ends in a message, or waits for one of three things.

    It waits for the section of its device, for users' code, or for the socket. Each wait has a bound, and none outlasts
    the caller's patience.
    """

    def __init__(self, sections: Sections, lanes: Lanes, counters: ConverterCounts, jobs: count[int]) -> None:
        self._sections = sections
        self._lanes = lanes
        self._counters = counters
        self._jobs = jobs
        self._held: list[_Call] = []
        """Steps whose device's section was asked for."""
        self._with_user_code: dict[int, tuple[_Call, Rpc]] = {}
        """Number of the order → the step that it belongs to. One that is missing has expired, and its result is
        dropped."""
        self._unsent: list[tuple[Request | Reply, float]] = []
        """Messages that the socket did not take, each with the moment at which it was to go."""

    def take(self, request: Request, now_s: float) -> Sequence[Send | Note]:
        """Begins with a request that came in, or refuses it: what it asks for may be no step of ours."""
        self._counters["calls_in"] += 1
        if request.time_left_s <= 0:
            return self._expire(request)
        try:
            body = body_of(request, Encode, EncodeUpdate, Decode)
        except WireError as error:
            return self._fail(request, str(error))
        match body:
            case Encode() | EncodeUpdate() | Decode():
                return self._begin(_Call(request, body, now_s + request.time_left_s), now_s)
            case _:
                return self._fail(request, unknown_verb(request.verb))

    def _begin(self, call: _Call, now_s: float) -> Sequence[Send | Note]:
        """Goes on with a step if its section is known, else asks for that. A request without one says that its device
        is not there."""
        request = call.request
        compiled = self._sections.find(request.section)
        if compiled is not None:
            return self._go_on(call, compiled, now_s)
        if not request.section:
            return self._fail(request, not_connected(request.device))
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
        """Goes on with what users' code made of a step. A result that nobody waits for any more leads to nothing."""
        if event.job not in self._with_user_code:
            return []
        call, rpc = self._with_user_code.pop(event.job)
        self._counters["user_errors"] += bool(event.error and event.error != NO_DATA)
        if isinstance(call.body, Decode):
            if event.error:
                return self._fail(call.request, event.error)
            return [Send(Plane.CALLS, reply(call.request, success(event.value)))]
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
        """True if no caller waits for something that is to happen here."""
        return not (self._held or self._unsent or self._with_user_code)

    @property
    def wanted_sections(self) -> Iterable[str]:
        """The sections whose question must stay open."""
        return (call.request.section for call in self._held)

    @property
    def next_deadline_s(self) -> float | None:
        with_users = (call.deadline_s for call, _ in self._with_user_code.values())
        return min((*(call.deadline_s for call in self._held), *with_users), default=None)

    def _go_on(self, call: _Call, compiled: Compiled, now_s: float) -> Sequence[Send | Note]:
        """The step itself, now that the device is known."""
        body = call.body
        if isinstance(body, EncodeUpdate):
            return self._encode_update(call, body, compiled, now_s)
        rpc = compiled.rpc(body.method)
        if rpc is None:
            return self._fail(call.request, METHOD_NOT_FOUND)
        if isinstance(body, Decode):
            return self._decode(call, body.frame, compiled, rpc)
        return self._encode(call, body, compiled, rpc, now_s)

    def _encode(self, call: _Call, body: Encode, compiled: Compiled, rpc: Rpc, now_s: float) -> list[Send]:
        """Params to bytes, by the built-in rules or in the lane of the device's users' code. A template needs no
        converter."""
        device = compiled.device
        try:
            if device.has_user_downlink and rpc.template is None:
                value, names = read_json(body.params), (body.called, body.called_type)
                order = EncodeWithUserCode(next(self._jobs), device, call.request.section, rpc, value, called=names)
                return self._with_users(order, call, rpc)
            called = called_as(device, body.called, body.called_type)
            return self._exchange(call, rpc_writes(called, rpc, body.params), rpc, now_s)
        except ConversionError as error:
            return self._fail(call.request, str(error))

    def _encode_update(
        self, call: _Call, body: EncodeUpdate, compiled: Compiled, now_s: float
    ) -> Sequence[Send | Note]:
        """Data of attribute updates to bytes. Attributes that nobody configured are logged, and the others written."""
        request = call.request
        device = called_as(compiled.device, body.called, body.called_type)
        try:
            writes, unknown = update_writes(device, body.data)
        except ConversionError as error:
            return self._fail(request, str(error))
        facts = {"device": device.name, "attributes": unknown, "id": request.id}
        notes = [Note("warning", "update.no_entry", facts)] if unknown else []
        if not writes:
            return [*notes, *self._fail(request, no_entry(unknown))]
        return [*notes, *self._exchange(call, writes, None, now_s)]

    def _decode(self, call: _Call, frame: bytes, compiled: Compiled, rpc: Rpc) -> list[Send]:
        """A device's answer to the value that the platform gets."""
        if compiled.device.has_user_uplink:
            order = DecodeWithUserCode(next(self._jobs), compiled.device, call.request.section, rpc, frame)
            return self._with_users(order, call, rpc)
        if compiled.converter is not None and (meant := compiled.converter.refusal_of(frame)):
            return self._fail(call.request, meant)
        try:
            return [Send(Plane.CALLS, reply(call.request, success(convert_answer(rpc, frame))))]
        except ConversionError as error:
            return self._fail(call.request, str(error))

    def _with_users(self, order: EncodeWithUserCode | DecodeWithUserCode, call: _Call, rpc: Rpc) -> list[Send]:
        """Queues the step in the device's lane; one too many is refused."""
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
        target, verb, body = reader_of(request.device), verb_of(Exchange), pack_body(exchange_for(writes, rpc))
        return [Send(Plane.CALLS, request.replace(target=target, verb=verb, time_left_s=left_s, body=body))]

    def _expire(self, request: Request) -> list[Send]:
        """Refuses a step whose time is over: its caller has been told so already, or will be in a moment."""
        self._counters["calls_expired"] += 1
        return self._fail(request, EXPIRED)

    def _fail(self, request: Request, text: str) -> list[Send]:
        """Ends a step with an error text for its caller."""
        self._counters["calls_failed"] += 1
        return [Send(Plane.CALLS, refuse(request, text))]
