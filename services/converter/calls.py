"""The converter's steps of a call: params to bytes (`encode`, `encode_update`), an answer to a value (`decode`).

A call whose section is not known waits for it; it never waits past its own time. Steps go on as `exchange` requests to
the port reader under the same id and `reply_to`, or end in a `Reply` to `reply_to`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any, Final, NamedTuple

import simplejson

from common import codec
from common.config.models import Rpc
from common.errors import ConversionError, WireError
from common.events import Note, Send
from common.messages import Plane, Reply, Request
from services.converter.batches import METHOD_NOT_FOUND, printable, success
from services.converter.counters import Counters
from services.converter.downlink import NO_DATA, NOT_DEFINED, encode_attribute_update, encode_rpc
from services.converter.events import DecodeWithUserCode, EncodeWithUserCode, UserAnswered
from services.converter.fields import convert_answer
from services.converter.sections import Compiled, Sections

CALLS_HELD: Final = 64
EXPIRED: Final = "expired while waiting"
QUEUE_FULL: Final = "queue full"
SHUTTING_DOWN: Final = "shutting down"
_VERBS: Final = frozenset({"encode", "encode_update", "decode"})


class _Call(NamedTuple):
    request: Request
    arguments: dict[str, Any]
    deadline_s: float


class Calls:
    """Calls on their way through this process."""

    def __init__(self, sections: Sections, counters: Counters, jobs: count[int]) -> None:
        self._sections = sections
        self._counters = counters
        self._jobs = jobs
        self._held: list[_Call] = []
        self._with_user_code: dict[int, tuple[_Call, Rpc]] = {}
        self._unsent: list[tuple[Request | Reply, float]] = []

    def take(self, request: Request, now_s: float) -> list[Any]:
        """Effects of a request that came in."""
        self._counters.calls_in += 1
        if request.verb not in _VERBS:
            return self._fail(request, f"unknown verb {request.verb}")
        if request.time_left_s <= 0:
            return self._expire(request)
        try:
            call = _Call(request, _arguments(request), now_s + request.time_left_s)
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

    def resume(self, section: str, compiled: Compiled, now_s: float) -> list[Any]:
        """Effects of the calls that waited for this section."""
        waiting = [call for call in self._held if call.request.section == section]
        self._held = [call for call in self._held if call.request.section != section]
        return [effect for call in waiting for effect in self._go_on(call, compiled, now_s)]

    def user_answered(self, event: UserAnswered, now_s: float) -> list[Any]:
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
            return self._fail(call.request, _refusal(event.error))
        return self._exchange(call, [event.value], rpc, now_s)

    def keep_unsent(self, message: Request | Reply, now_s: float) -> None:
        """Takes a step of a call that could not be sent, for `send_again`."""
        if len(self._unsent) < CALLS_HELD:
            self._unsent.append((message, now_s))

    def send_again(self, now_s: float) -> list[Any]:
        """The steps that could not be sent, the time that they waited taken from what is left of them."""
        unsent, self._unsent = self._unsent, []
        effects: list[Any] = []
        for message, since_s in unsent:
            if isinstance(message, Reply):
                effects.append(Send(Plane.CALLS, message))
                continue
            left_s = message.time_left_s - (now_s - since_s)
            request = message._replace(time_left_s=left_s)
            effects.extend([Send(Plane.CALLS, request)] if left_s > 0 else self._expire(request))
        return effects

    def expire(self, now_s: float) -> list[Any]:
        """Replies to held calls whose time is over."""
        late = [call for call in self._held if now_s >= call.deadline_s]
        if late:
            self._held = [call for call in self._held if now_s < call.deadline_s]
        return [effect for call in late for effect in self._expire(call.request)]

    def refuse_all(self) -> list[Any]:
        """Replies to all held calls: this process ends."""
        held, self._held = self._held, []
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
        return min((call.deadline_s for call in self._held), default=None)

    def _go_on(self, call: _Call, compiled: Compiled, now_s: float) -> list[Any]:
        if call.request.verb == "encode_update":
            return self._encode_update(call, compiled, now_s)
        rpc = compiled.rpc(call.arguments["method"])
        if rpc is None:
            return self._fail(call.request, METHOD_NOT_FOUND)
        if call.request.verb == "decode":
            return self._decode(call, compiled, rpc)
        return self._encode(call, compiled, rpc, now_s)

    def _encode(self, call: _Call, compiled: Compiled, rpc: Rpc, now_s: float) -> list[Any]:
        device = compiled.device
        try:
            params = _read_json(call.arguments["params"])
            if compiled.has_user_downlink and rpc.template is None:
                job = next(self._jobs)
                self._with_user_code[job] = call, rpc
                return [EncodeWithUserCode(job, device, call.request.section, rpc, params)]
            return self._exchange(call, [encode_rpc(device, rpc, params)], rpc, now_s)
        except ConversionError as error:
            return self._fail(call.request, _refusal(str(error)))

    def _encode_update(self, call: _Call, compiled: Compiled, now_s: float) -> list[Any]:
        device, request = compiled.device, call.request
        try:
            data = _read_json(call.arguments["data"])
            if not isinstance(data, dict):
                raise ConversionError("an attribute update is no object")
            entries = [update for key in data for update in device.attribute_updates if update.attribute == key]
            writes = [encode_attribute_update(device, update, data) for update in entries]
        except ConversionError as error:
            return self._fail(request, str(error))
        known = {update.attribute for update in entries}
        unknown = ",".join(key for key in data if key not in known)
        facts = {"device": request.device, "attributes": unknown, "id": request.id}
        notes = [Note("warning", "update.no_entry", facts)] if unknown else []
        if not writes:
            return [*notes, *self._fail(request, f"no attribute update is configured for {unknown or 'nothing'}")]
        return [*notes, *self._exchange(call, writes, None, now_s)]

    def _decode(self, call: _Call, compiled: Compiled, rpc: Rpc) -> list[Any]:
        frame = call.arguments["frame"]
        if compiled.has_user_uplink:
            job = next(self._jobs)
            self._with_user_code[job] = call, rpc
            return [DecodeWithUserCode(job, compiled.device, call.request.section, rpc, frame)]
        try:
            return [_reply(call.request, success(convert_answer(rpc, frame)))]
        except ConversionError as error:
            return self._fail(call.request, str(error))

    def _exchange(self, call: _Call, writes: list[bytes], rpc: Rpc | None, now_s: float) -> list[Any]:
        """The next step, at the device's port reader; without `rpc` it is an attribute update."""
        request = call.request
        left_s = call.deadline_s - now_s
        if left_s <= 0:
            return self._expire(request)
        body: dict[str, Any] = {"writes": writes, "method": "", "with_response": False, "timeout_s": 0.0}
        body |= {"pattern": "", "until": b""}
        if rpc is not None:
            body |= {"method": rpc.method, "with_response": rpc.with_response, "timeout_s": rpc.response_timeout_s}
            body |= {"pattern": rpc.response_pattern or "", "until": (rpc.response_until_delimiter or "").encode()}
        target = f"port_reader:{request.device}"
        step = request._replace(target=target, verb="exchange", time_left_s=left_s, body=codec.pack(body))
        return [Send(Plane.CALLS, step)]

    def _expire(self, request: Request) -> list[Any]:
        self._counters.calls_expired += 1
        return self._fail(request, EXPIRED)

    def _fail(self, request: Request, text: str) -> list[Any]:
        self._counters.calls_failed += 1
        return [Send(Plane.CALLS, Reply(request.id, request.reply_to, printable(text), b""))]


def _reply(request: Request, json: bytes) -> Send:
    return Send(Plane.CALLS, Reply(request.id, request.reply_to, "", codec.pack(json)))


def _arguments(request: Request) -> dict[str, Any]:
    """The request's body, each argument that its verb needs of the right type. Raises WireError."""
    arguments = codec.unpack_map(request.body)
    shapes: dict[str, dict[str, type]] = {
        "encode": {"method": str, "params": bytes},
        "encode_update": {"data": bytes},
        "decode": {"method": str, "frame": bytes},
    }
    for name, expected in shapes[request.verb].items():
        found = arguments.get(name)
        if type(found) is not expected:
            raise WireError(f"{name}: found {type(found).__name__}, expected {expected.__name__}")
    return arguments


def _read_json(text: bytes) -> Any:
    """Raises ConversionError. Nothing at all is null: a call without params."""
    try:
        return simplejson.loads(text) if text else None
    except (ValueError, RecursionError) as error:
        raise ConversionError(f"not JSON: {error}") from None


def _refusal(text: str) -> str:
    """The reply to params from which no bytes can be made."""
    return text if text in (NO_DATA, NOT_DEFINED) else f"params can't be converted: {text}"
