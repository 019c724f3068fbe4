"""From the platform and from clients to devices, and the replies back. Pure.

A call goes out as a request to the device's converter or port reader, over the calls plane, and is a row in the table
of `calls` meanwhile. Every call that was begun here ends here, once: by the first reply, at its deadline, or at the end
of the process. The caller then gets one answer: the platform over MQTT, in its dialect; a client over the calls plane.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from msgspec.structs import astuple, replace

from common.core.deadlines import earliest
from common.core.errors import WireError
from common.core.events import Level, Send
from common.wire import codec
from common.wire.calls import (
    ANSWER_ROOM_S,
    EXPIRED,
    QUEUE_FULL,
    SHUTTING_DOWN,
    AskAttributes,
    CallDevice,
    Encode,
    EncodeUpdate,
    UpdateAttributes,
    body_of,
    not_connected,
    refuse,
    unknown_verb,
)
from common.wire.messages import Plane, Reply, Request
from services.publisher.core.calls import CallTable, Ended, OpenCall, Origin, error_json
from services.publisher.core.connector_calls import ConnectorAnswer, ConnectorCalls
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.dialects import (
    AttributesAnswer,
    DeviceAttributes,
    DeviceRpc,
    Dialect,
    GatewayRpc,
    RpcRefused,
)
from services.publisher.core.gateway import GatewayCalls
from services.publisher.core.outlet import Outlet
from services.publisher.core.questions import Questions
from services.publisher.core.replies import Replies
from services.publisher.core.shared_attributes import SharedAttributes, names_of
from services.publisher.core.tallies import CallTally

CLIENT_BYTES: Final = 1024 * 1024
"""A call from a client may have as many bytes as one from the platform."""
MOST_BLOCKED: Final = 2_000
"""Requests and replies that wait for the calls plane; when full, the oldest are dropped."""
RETAINED_NOTED: Final = 16
"""How many topics with an old message on them are logged."""
WRITTEN_LATER: Final = (
    "the platform is asked for it once the device is connected; where that is a plain MQTT broker, send it again then"
)
Calling = DeviceRpc | DeviceAttributes | AttributesAnswer | GatewayRpc | RpcRefused
"""What the platform says that is a call, or would have been one."""


class Downlink:
    """Takes calls from the platform and from clients, sends their first step, and answers the callers.

    The platform may send a call again when it has had no answer (it is the same call), and the MQTT broker may keep one
    for ever (then it is no call). A call that is late already is refused: to carry it out would do what nobody expects.
    """

    def __init__(
        self,
        dialect: Dialect,
        *,
        replies: Replies,
        gateway: GatewayCalls,
        shared: SharedAttributes,
        questions: Questions,
        counters: PublisherCounts,
        out: Outlet,
        prefix: str,
        answer_times: Mapping[tuple[str, str], float],
        hosts: Mapping[str, Sequence[str]],
    ) -> None:
        """`replies` takes what the platform is to be told; `prefix` begins the ids of its calls. `answer_times`: how
        long the answer may take, by configured device and method. `hosts`: the hosted connectors of each type."""
        self._dialect = dialect
        self._replies = replies
        self._gateway = gateway
        self._shared = shared
        self.questions = questions
        self._counters = counters
        self._out = out
        self._answer_times = answer_times
        self.tally = CallTally()
        self.calls = CallTable(prefix)
        self.connectors = ConnectorCalls(hosts, prefix)
        self._blocked: deque[Request | Reply] = deque(maxlen=MOST_BLOCKED)
        """What the calls plane did not take."""
        self.retained: set[str] = set()
        """Topics for which an old message was logged."""

    # Calls come.

    def hear_platform(self, message: Calling, now_s: float, waited_s: float) -> None:
        """A call from the platform; `waited_s`: how long it may have lain in our socket."""
        match message:
            case DeviceRpc() as rpc:
                self._begin_rpc(rpc, now_s, waited_s)
            case DeviceAttributes(device=device, data=data):
                self._shared.changed(device, data)
                self._begin_update(device, data, now_s)
            case AttributesAnswer() if self.questions.answered(message):
                pass  # Its connector has it.
            case AttributesAnswer(device=device):
                if new := self._shared.answered(message):
                    self._begin_update(device, new, now_s)
            case GatewayRpc(method=method) if self.connectors.split(method):
                self._call_connectors(message, now_s, waited_s)
            case GatewayRpc():
                self._replies.add(self._dialect.gateway_reply(message, self._gateway), now_s)
            case RpcRefused(device=device, request=request, reason=reason):
                self._counters["downlink_junk"] += 1
                self._refuse_rpc(device, request, reason, now_s)
                self._out.note("warning", "call.refused", device=device, request=request, reason=reason)
            case _:
                assert_never(message)

    def _call_connectors(self, rpc: GatewayRpc, now_s: float, waited_s: float) -> None:
        """A call to the hosted connectors of one type; it ends when one of them has answered, or all have failed."""
        self._counters["rpc_calls"] += 1
        deadline_s = now_s + self._dialect.call_time_s - waited_s
        steps = self.connectors.begin(rpc.request, rpc.method, rpc.params, deadline_s, now_s)
        if not steps:
            self._counters["calls_refused"] += 1
            self._end_connector_call(ConnectorAnswer(rpc.request, b"", QUEUE_FULL, began_s=now_s), now_s)
            return
        self._out.note("info", "call.begun", id=steps[0].id, device="", method=rpc.method, **{"from": "platform"})
        for step in steps:
            self._out.order(Send(Plane.CALLS, step))

    def _end_connector_call(self, answer: ConnectorAnswer, now_s: float) -> None:
        """The platform gets the answer of a hosted connector."""
        self._counters["rpc_errors"] += bool(answer.error)
        self.tally.ended(answer.error, now_s - answer.began_s)
        if answer.error:
            self._out.note("info", "call.ended", request=answer.request, error=answer.error)
            reply = self._dialect.connector_error(answer.request, answer.error, answer.is_late)
        else:
            reply = self._dialect.connector_reply(answer.request, answer.data)
        self._replies.add(reply, now_s)

    def ignore_retained(self, topic: str) -> None:
        """A call that the MQTT broker has kept was carried out, or answered, when it first came; each new connection
        brings it again."""
        self._counters["retained_ignored"] += 1
        if topic not in self.retained and len(self.retained) < RETAINED_NOTED:
            self.retained.add(topic)
            advice = "an empty retained message on this topic removes it"
            self._out.note("warning", "downlink.retained", topic=topic, then="ignored", advice=advice)

    def _begin_update(self, device: str, data: bytes, now_s: float) -> None:
        origin, time_s = Origin("update", device, 0), self._dialect.call_time_s
        self._begin(origin, "attributes", EncodeUpdate(data), time_s=time_s, now_s=now_s)

    def _begin_rpc(self, rpc: DeviceRpc, now_s: float, waited_s: float) -> None:
        """An RPC begins if its time has not run out in our socket, and if it has not come before."""
        origin = Origin("platform", rpc.device, rpc.request)
        if self.calls.is_known(origin):
            return
        content = hash((rpc.method, rpc.params))
        if self.calls.is_past(origin, content, now_s):
            self._counters["calls_repeated"] += 1
            if reply := self.calls.past_reply(origin):
                self._replies.add(reply, now_s)
            self._out.note("info", "call.repeated", device=rpc.device, request=rpc.request, then="answered as before")
            return
        time_s = self._dialect.call_time_s - waited_s
        if time_s > 0:
            first = Encode(rpc.method, rpc.params)
            self._begin(origin, rpc.method, first, time_s=time_s, now_s=now_s, content=content)
            return
        self._refuse_rpc(rpc.device, rpc.request, EXPIRED, now_s)
        self._out.note("info", "call.refused", device=rpc.device, request=rpc.request, reason=EXPIRED)

    def _refuse_rpc(self, device: str, request: int | str, error: str, now_s: float) -> None:
        self.tally.ended(error)
        self._replies.add(self._dialect.rpc_error(self._gateway.shown(device), request, error), now_s)

    def hear_client(self, request: Request, now_s: float, is_draining: bool) -> None:
        """A request over the calls plane. `is_draining`: this process ends, and begins nothing new."""
        if is_draining:
            self._refuse(request, SHUTTING_DOWN)
        elif request.time_left_s <= 0:
            self._refuse(request, EXPIRED)
        elif self.calls.is_open(request.id):
            pass  # The same request once more.
        elif len(request.body) > CLIENT_BYTES:
            size = len(request.body)
            self._refuse(request, f"the call is too large: found {size} bytes, expected at most {CLIENT_BYTES}")
        else:
            self._begin_for_client(request, now_s)

    def _begin_for_client(self, request: Request, now_s: float) -> None:
        try:
            asked = body_of(request, CallDevice, UpdateAttributes, AskAttributes)
        except WireError as error:
            self._refuse(request, str(error))
            return
        time_s = request.time_left_s
        match asked:
            case CallDevice(device=device, method=method, params=params):
                origin = Origin("client", device, request.id, request.reply_to)
                self._begin(origin, method, Encode(method, params), time_s=time_s, now_s=now_s)
            case UpdateAttributes(device=device, data=data):
                origin = Origin("client", device, request.id, request.reply_to)
                self._begin(origin, "attributes", EncodeUpdate(data), time_s=time_s, now_s=now_s)
            case AskAttributes():
                self.questions.begin(request, asked, now_s)
            case _:
                self._refuse(request, unknown_verb(request.verb))

    def _refuse(self, request: Request, error: str) -> None:
        """A client is told at once that there will be no call."""
        self.tally.ended(error)
        self._out.order(Send(Plane.CALLS, refuse(request, error).replace(body=codec.pack(error_json(error)))))

    def _begin(
        self,
        origin: Origin,
        method: str,
        first: Encode | EncodeUpdate,
        *,
        time_s: float,
        now_s: float,
        content: int = 0,
    ) -> None:
        """Opens a call; `first` is its first step. Where there are too many it ends at once."""
        self._counters["attribute_updates" if isinstance(first, EncodeUpdate) else "rpc_calls"] += 1
        call_id = str(origin.request) if origin.kind == "client" else self.calls.new_id()
        source = origin.device
        if named := self._gateway.named(origin.device):
            source = named.source
            first = replace(first, called=origin.device, called_type=named.device_type)
        size = sum(map(len, astuple(first)))
        data = first.data if isinstance(first, EncodeUpdate) else b""
        longer_s = self._longer_s(source, method, time_s) if origin.kind == "platform" else 0.0
        call = OpenCall(call_id, origin, source, method, now_s, now_s + time_s, size, content, data, longer_s)
        step = self.calls.begin(call, first)
        if isinstance(step, Ended):
            self._counters["calls_refused"] += 1
            self._end(step, now_s)
            return
        begun: dict[str, str] = {"id": call_id, "device": origin.device, "method": method, "from": origin.kind}
        self._out.note("info", "call.begun", **begun)
        self._out.order(Send(Plane.CALLS, step))

    def _longer_s(self, device: str, method: str, time_s: float) -> float:
        """How much longer than the platform's usual time a call may take, since its answer may: whoever configures that
        has the platform wait for it."""
        return max(0.0, self._answer_times.get((device, method), 0.0) + ANSWER_ROOM_S - time_s)

    # Calls end.

    def hear_reply(self, reply: Reply, now_s: float) -> None:
        """A step of a call has ended it."""
        if answer := self.connectors.reply(reply):
            self._end_connector_call(answer, now_s)
        if ended := self.calls.reply(reply):
            self._end(ended, now_s)

    def take_answer(self, call_id: str, data: bytes, *, can_reply: bool, now_s: float) -> bool:
        """A journaled answer has come as a reading: True if it is to be published as telemetry.

        Also where it is a reply that can't go out now (`can_reply` False) and may be too old when it can: a reply is
        dropped then, and what a device said is not to be lost with it.
        """
        ended, is_telemetry = self.calls.take_answer(call_id, data)
        if ended:
            self._end(ended, now_s)
        reply = self.calls.reply_of(call_id)
        is_waiting = reply is not None and self._replies.holds(reply)
        return is_telemetry or (is_waiting and not can_reply)

    def drop_stale_replies(self, now_s: float) -> None:
        """Nobody waits any more for a reply that is older than the platform's time-out. What the device said is still
        to be told: its journaled answer is telemetry then, if it has not come yet."""
        for reply in self._replies.drop_stale(now_s, self._dialect.call_time_s):
            self.calls.forget_reply(reply)

    def expire(self, now_s: float) -> None:
        """Answers the calls whose time is over."""
        for ended in self.calls.expire(now_s):
            self._end(ended, now_s)
        for answer in self.connectors.expire(now_s):
            self._end_connector_call(answer, now_s)
        if self.questions.due_s is not None:
            self.questions.expire(now_s)

    @property
    def next_deadline_s(self) -> float | None:
        """When `expire` has to be called."""
        return earliest(self.calls.next_deadline_s, self.connectors.next_deadline_s, self.questions.due_s)

    def end_all(self, now_s: float) -> None:
        """Answers every open call, because this process ends."""
        for ended in self.calls.end_all(SHUTTING_DOWN):
            self._end(ended, now_s)
        for answer in self.connectors.end_all(SHUTTING_DOWN):
            self._end_connector_call(answer, now_s)
        self.questions.end_all(SHUTTING_DOWN)

    def _end(self, ended: Ended, now_s: float) -> None:
        """Answers the caller; nobody waits for the end of an attribute update from the platform."""
        call, origin = ended.call, ended.call.origin
        facts: dict[str, str] = {"error": ended.error} if ended.error else {}
        if call.data and not ended.error:
            self._shared.written(origin.device, call.data)
        elif call.data and origin.kind == "update":
            facts["attributes"] = ", ".join(names_of(call.data))
            if ended.error == not_connected(call.device):
                facts["then"] = WRITTEN_LATER
        self._counters["rpc_errors"] += bool(ended.error)
        level: Level = "warning" if ended.error and origin.kind == "update" else "info"
        took_s = now_s - call.began_s
        self.tally.ended(ended.error, took_s)
        self._out.note(
            level, "call.ended", id=call.id, device=origin.device, method=call.method, took_s=took_s, **facts
        )
        if origin.kind == "platform":
            self._reply_to_platform(ended, now_s)
        elif origin.kind == "client":
            body = codec.pack(ended.payload)
            self._out.order(Send(Plane.CALLS, Reply(call.id, origin.address, ended.error, body)))

    def _reply_to_platform(self, ended: Ended, now_s: float) -> None:
        """Keeps the reply beside the call's id, to know whether it still waits when the journaled answer comes."""
        dialect, origin = self._dialect, ended.call.origin
        device = self._gateway.shown(origin.device)
        if ended.error:
            reply = dialect.rpc_error(device, origin.request, ended.error)
        else:
            reply = dialect.rpc_reply(device, origin.request, ended.data)
        self._replies.add(reply, now_s)
        self.calls.keep_reply(ended.call, reply)

    # The calls plane.

    def hold(self, message: Request | Reply) -> None:
        """The calls plane did not take this; it goes out when there is room."""
        self._blocked.append(message)

    def send_held(self, now_s: float) -> None:
        """Sends what the calls plane did not take before. A request has the time that is left to its call; one whose
        call has ended meanwhile is not sent."""
        while self._blocked:
            message: Request | Reply | None = self._blocked.popleft()
            if isinstance(message, Request) and not self.connectors.is_open(message.id):
                message = self.calls.renew(message, now_s)
            if message:
                self._out.order(Send(Plane.CALLS, message))
