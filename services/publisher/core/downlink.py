"""From the platform and from clients to devices, and the replies back: pure.

Every call that was begun here ends here, once: by the first reply, at its deadline, or at the end of the process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, assert_never

import msgspec
from msgspec.structs import astuple

from common.core.errors import WireError
from common.core.events import Level, Note, Send
from common.wire import codec
from common.wire.calls import (
    EXPIRED,
    METHOD_NOT_FOUND,
    SHUTTING_DOWN,
    CallDevice,
    Encode,
    EncodeUpdate,
    UpdateAttributes,
    body_of,
    refuse,
    unknown_verb,
)
from common.wire.messages import Plane, Reply, Request
from services.publisher.core.calls import PLATFORM_DEADLINE_S, Call, Calls, Ended, Origin
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.dialects import (
    DeviceAttributes,
    DeviceDropped,
    DeviceRpc,
    Dialect,
    GatewayRpc,
    Ignored,
    Outgoing,
    RpcRefused,
    SessionLimits,
    Unusable,
)
from services.publisher.core.dialects import Downlink as Message
from services.publisher.core.outbox.batching import Batching
from services.publisher.core.session.acceptance import QUOTA, Acceptance

RATE_REASONS: Final = (150, QUOTA)
CLIENT_BYTES: Final = 1024 * 1024
"""Of a call from a client, as of one from the platform."""
MOST_REPLIES: Final = 1_000
"""Replies that wait for the link; the oldest give way."""


class Downlink:
    """Requests in, first steps out; replies in, answers out. `replies` are due at the platform, with their times.
    `note` takes what is to be logged once the calls are on their way."""

    def __init__(
        self,
        dialect: Dialect,
        batching: Batching,
        acceptance: Acceptance,
        counters: PublisherCounts,
        note: Callable[[Note], None],
        *,
        prefix: str,
        connectors: Mapping[str, str],
        version: str,
    ) -> None:
        self._dialect = dialect
        self._batching = batching
        self._acceptance = acceptance
        self._counters = counters
        self._note = note
        self._connectors = connectors
        self._version = version
        self.calls = Calls(prefix)
        self.replies: deque[tuple[float, Outgoing]] = deque(maxlen=MOST_REPLIES)

    def hear_platform(self, message: Message, topic: str, now_s: float, waited_s: float) -> Sequence[Send | Note]:
        """What a message from the platform said; `waited_s`: how long it may have lain in our socket."""
        match message:
            case DeviceRpc() as rpc:
                return self._begin_rpc(rpc, now_s, waited_s)
            case DeviceAttributes(device=device, data=data):
                origin = Origin("update", device, 0)
                return self._begin(origin, "attributes", EncodeUpdate(data), time_s=PLATFORM_DEADLINE_S, now_s=now_s)
            case GatewayRpc(request=request, method=method):
                data = msgspec.json.encode(self._answer_gateway(method))
                self._reply((now_s, self._dialect.gateway_reply(request, data)))
            case DeviceDropped(device=device, reason=reason):
                lane = self._batching.lanes.get(device)
                is_news = lane is None or not lane.standing.dropped
                if lane:
                    self._acceptance.drop(lane, now_s, reason in RATE_REASONS)
                level: Level = "warning" if is_news else "debug"
                return [Note(level, "device.dropped", {"device": device, "reason": reason})]
            case RpcRefused(device=device, request=request, reason=reason):
                self._counters["downlink_junk"] += 1
                data = msgspec.json.encode({"error": reason, "success": False})
                self._reply((now_s, self._dialect.rpc_reply(device, request, data)))
                return [Note("warning", "call.refused", {"device": device, "request": request, "reason": reason})]
            case Unusable(reason=reason):
                self._counters["downlink_junk"] += 1
                return [Note("warning", "downlink.junk", {"topic": topic, "reason": reason})]
            case SessionLimits() | Ignored():
                pass  # No call: the core takes the limits.
            case _:
                assert_never(message)
        return []

    def _reply(self, due: tuple[float, Outgoing]) -> None:
        self._counters["replies_dropped"] += len(self.replies) == MOST_REPLIES
        self.replies.append(due)

    def _begin_rpc(self, rpc: DeviceRpc, now_s: float, waited_s: float) -> Sequence[Send | Note]:
        origin = Origin("platform", rpc.device, rpc.request)
        if self.calls.is_known(origin):
            return []
        time_s = PLATFORM_DEADLINE_S - waited_s
        if time_s <= 0:
            data = msgspec.json.encode({"error": EXPIRED, "success": False})
            self._reply((now_s, self._dialect.rpc_reply(rpc.device, rpc.request, data)))
            return [Note("info", "call.refused", {"device": rpc.device, "request": rpc.request, "reason": EXPIRED})]
        return self._begin(origin, rpc.method, Encode(rpc.method, rpc.params), time_s=time_s, now_s=now_s)

    def hear_client(self, request: Request, now_s: float, is_draining: bool) -> list[Send]:
        """A request over the calls plane."""
        if is_draining:
            return _refuse(request, SHUTTING_DOWN)
        if request.time_left_s <= 0:
            return _refuse(request, EXPIRED)
        if self.calls.is_open(request.id):
            return []
        if len(request.body) > CLIENT_BYTES:
            return _refuse(
                request, f"the call is too large: found {len(request.body)} bytes, expected at most {CLIENT_BYTES}"
            )
        try:
            asked = body_of(request, CallDevice, UpdateAttributes)
        except WireError as error:
            return _refuse(request, str(error))
        time_s = request.time_left_s
        match asked:
            case CallDevice(device=device, method=method, params=params):
                origin = Origin("client", device, request.id, request.reply_to)
                return self._begin(origin, method, Encode(method, params), time_s=time_s, now_s=now_s)
            case UpdateAttributes(device=device, data=data):
                origin = Origin("client", device, request.id, request.reply_to)
                return self._begin(origin, "attributes", EncodeUpdate(data), time_s=time_s, now_s=now_s)
            case _:
                return _refuse(request, unknown_verb(request.verb))

    def _begin(
        self, origin: Origin, method: str, first: Encode | EncodeUpdate, *, time_s: float, now_s: float
    ) -> list[Send]:
        self._counters["attribute_updates" if isinstance(first, EncodeUpdate) else "rpc_calls"] += 1
        call_id = str(origin.request) if origin.kind == "client" else self.calls.new_id()
        size = sum(map(len, astuple(first)))
        call = Call(call_id, origin, self._source_of(origin.device), method, now_s, now_s + time_s, size)
        step = self.calls.begin(call, first)
        if isinstance(step, Ended):
            self._counters["calls_refused"] += 1
            return self.end(step, now_s)
        self._note(
            Note("info", "call.begun", {"id": call_id, "device": origin.device, "method": method, "from": origin.kind})
        )
        return [Send(Plane.CALLS, step)]

    def _source_of(self, device: str) -> str:
        """The configured device that serves this one: another only where a user's converter has named it."""
        if device in self._connectors:
            return device
        lane = self._batching.lanes.get(device)
        return lane.source if lane else device

    def hear_reply(self, reply: Reply, now_s: float) -> list[Send]:
        """A step of a call has ended it."""
        ended = self.calls.reply(reply)
        return self.end(ended, now_s) if ended else []

    def take_answer(self, call_id: str, data: bytes, *, can_reply: bool, now_s: float) -> tuple[list[Send], bool]:
        """A journaled answer: (effects, True if it is to be published as telemetry).

        Also where it is a reply that can't go out now (`can_reply` False) and may be too old when it can: a reply is
        dropped then, and what a device said is not to be lost with it.
        """
        ended, is_telemetry = self.calls.take_answer(call_id, data)
        effects = self.end(ended, now_s) if ended else []
        reply = self.calls.reply_of(call_id)
        is_waiting = reply is not None and any(reply is waiting for _, waiting in self.replies)
        return effects, is_telemetry or (is_waiting and not can_reply)

    def drop_stale_replies(self, now_s: float) -> None:
        """Nobody waits any more for a reply that is older than the platform's time-out. What the device said is still
        to be told: its journaled answer is telemetry then, if it has not come yet."""
        stale = [reply for since_s, reply in self.replies if now_s - since_s >= PLATFORM_DEADLINE_S]
        for reply in stale:
            self.calls.forget_reply(reply)
        fresh = [entry for entry in self.replies if now_s - entry[0] < PLATFORM_DEADLINE_S]
        self.replies.clear()
        self.replies.extend(fresh)

    def expire(self, now_s: float) -> list[Send]:
        """Answers the calls whose time is over."""
        return [effect for ended in self.calls.expire(now_s) for effect in self.end(ended, now_s)]

    def end_all(self, now_s: float) -> list[Send]:
        """Answers every open call, because this process ends."""
        return [effect for ended in self.calls.end_all(SHUTTING_DOWN) for effect in self.end(ended, now_s)]

    def end(self, ended: Ended, now_s: float) -> list[Send]:
        """Tells whoever wanted to know."""
        call, origin = ended.call, ended.call.origin
        facts = {"id": call.id, "device": origin.device, "method": call.method, "took_s": now_s - call.began_s}
        if ended.error:
            self._counters["rpc_errors"] += 1
            facts["error"] = ended.error
        level: Level = "warning" if ended.error and origin.kind == "update" else "info"
        self._note(Note(level, "call.ended", facts))
        if origin.kind == "platform":
            reply = self._dialect.rpc_reply(origin.device, origin.request, ended.payload)
            self._reply((now_s, reply))
            self.calls.keep_reply(call.id, reply)
        elif origin.kind == "client":
            return [Send(Plane.CALLS, Reply(call.id, origin.address, ended.error, codec.pack(ended.payload)))]
        return []

    def _answer_gateway(self, method: str) -> dict[str, Any]:
        match method:
            case "gateway_ping":
                return {"code": 200, "resp": "pong"}
            case "gateway_version":
                return {"code": 200, "resp": self._version}
            case "gateway_devices":
                lanes = self._batching.lanes.values()
                devices = {lane.name: self._connectors.get(lane.source, "serial") for lane in lanes if lane.open}
                return {"code": 200, "resp": devices}
            case "gateway_stats":
                produced, sent = self._counters["readings_received"], self._counters["readings_accepted"]
                return {"code": 200, "resp": {"eventsProduced": produced, "eventsSent": sent}}
        return {"error": METHOD_NOT_FOUND, "code": 404}


def _refuse(request: Request, error: str) -> list[Send]:
    """Clients get what the platform would get as well."""
    body = codec.pack(msgspec.json.encode({"error": error, "success": False}))
    return [Send(Plane.CALLS, refuse(request, error).replace(body=body))]
