"""ThingsBoard's MQTT gateway API: topics and payloads.

Source: ThingsBoard documentation "MQTT Gateway API" and "Gateway API: RPC", and the server's `MqttTopics.java`.
One message holds many devices and many readings of each: `{"device":[{"ts":…,"values":{…}},…],…}`. Readings are already
JSON when they come here (converters make it); payloads are joined from those fragments, never parsed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import simplejson

from common.core.rate_text import Pairs, read_rates
from services.publisher.core.dialects import (
    AttributesAnswer,
    Counted,
    DeviceAttributes,
    DeviceDeleted,
    DeviceDropped,
    DeviceRenamed,
    DeviceRpc,
    Downlink,
    ForgetCredentials,
    GatewayAttributes,
    GatewayFacts,
    GatewayRestart,
    GatewayRpc,
    Ignored,
    Outgoing,
    Refusal,
    RpcRefused,
    SessionLimits,
    SessionRates,
    Shape,
    Split,
    Unusable,
)
from services.publisher.core.dialects.thingsboard_gateway import (
    answer_forgotten,
    answer_gateway,
    forgets_credentials,
    restart_after_s,
)

# The gateway API: one topic for all devices, whose names stand in the payload.
CONNECT: Final = "v1/gateway/connect"
DISCONNECT: Final = "v1/gateway/disconnect"
TELEMETRY: Final = "v1/gateway/telemetry"
ATTRIBUTES: Final = "v1/gateway/attributes"
ATTRIBUTES_REQUEST: Final = "v1/gateway/attributes/request"
ATTRIBUTES_RESPONSE: Final = "v1/gateway/attributes/response"
RPC: Final = "v1/gateway/rpc"
# The device API, for the gateway is a device of its own to the server.
OWN_ATTRIBUTES: Final = "v1/devices/me/attributes"
OWN_ATTRIBUTES_REQUEST: Final = "v1/devices/me/attributes/request/"
OWN_ATTRIBUTES_RESPONSE: Final = "v1/devices/me/attributes/response/"
OWN_TELEMETRY: Final = "v1/devices/me/telemetry"
OWN: Final = "v1/devices/me/"
OWN_REQUEST: Final = "v1/devices/me/rpc/request/"
OWN_RESPONSE: Final = "v1/devices/me/rpc/response/"
LIMITS_ID: Final = "1"
"""The last level of the topic on which we ask; the answer comes on a topic with the same."""
LIMITS_METHOD: Final = "getSessionLimits"
LIMITS_QUESTION: Final = b'{"method":"%b","params":{"timeout":5000}}' % LIMITS_METHOD.encode()
RENAMED_METHOD: Final = "gateway_device_renamed"
DELETED_METHOD: Final = "gateway_device_deleted"
"""The server calls these when somebody renames or deletes a device, and keeps them for a gateway that is away."""
PAYLOAD_SHARE: Final = 0.8
"""A payload may fill this share of the server's limit, which counts more than the payload; the reference does the
same."""

REFUSALS: Final[dict[int, Refusal]] = {151: "rate", 128: "unclear", 153: "bad"}
"""MQTT 5 reason codes of a PUBACK. The server sends 151 (quota exceeded) for its rate limits, but also for a device
that it can't create; 128 (unspecified) for faults of its own and for devices; 153 (payload format) for what it can't
read."""
DROPPED_FOR_RATE: Final = (150, 151)
"""Reasons of a disconnect notice that mean that the device has said too much."""

DOWNLINK_BYTES: Final = 1024 * 1024
"""Far above what the server sends (65,536 by default), and far below what a call may weigh between our processes."""

TIMED_OUT: Final = 408
FAILED: Final = 500
"""Codes in answers to calls to the gateway, as the reference has them; they are HTTP's."""

LONGEST_NAME: Final = 1_024
"""Characters of a device's or a method's name in a call; the server's own have 255."""
LONGEST_ID: Final = 64
"""Characters of a call's id, where it is a text."""

HEAD_BYTES: Final = 4096
"""The beginning of a call that is too large, in which we look for whose it is."""
_RPC_HEAD: Final = re.compile(
    rb'\s*{\s*"device"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"data"\s*:\s*{\s*"id"\s*:\s*(\d{1,18})\s*,'
)

_JsonObject = dict[str, msgspec.Raw]


class _Item(msgspec.Struct):
    """A telemetry item, its values unread."""

    ts: int
    values: _JsonObject


NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for bytes that are none."""
_items: Final = msgspec.json.Decoder(_Item)
_objects: Final = msgspec.json.Decoder(_JsonObject)


class ThingsBoard:
    """`services.publisher.core.dialects.Dialect` for ThingsBoard and for MQTT brokers that stand in for it.

    What each method is for stands at the protocol; here stands only what is ThingsBoard's.
    """

    # {"press1":[{…},{…}],"press2":[{…}]}
    shape = Shape(around_bytes=len("{}"), device_bytes=len(":[],"))
    # A plain MQTT broker sends our own replies back on these; `request/+` we want back: see `parse`.
    subscriptions: Sequence[tuple[str, bool]] = (
        (ATTRIBUTES, True),
        (ATTRIBUTES_RESPONSE, True),
        (RPC, True),
        (OWN_REQUEST + "+", False),
        (OWN_RESPONSE + "+", False),
        (OWN_ATTRIBUTES, True),
        (OWN_ATTRIBUTES_RESPONSE + "+", True),
    )
    # The server knows from its own sessions which gateway is connected; nobody else is to be told.
    will: Outgoing | None = None
    greeting: Sequence[Outgoing] = (Outgoing(OWN_REQUEST + LIMITS_ID, LIMITS_QUESTION),)
    asks_limits = True
    # The server's default; it can be set for each call, but a call does not say how.
    call_time_s = 10.0

    def refusal(self, code: int) -> Refusal:
        return REFUSALS.get(code, "wait")

    def label(self, name: str) -> bytes:
        """The name as a JSON string, quotes included: so it stands in every payload."""
        return msgspec.json.encode(name)

    def entries(self, ts_ms: Sequence[int], telemetry: Sequence[bytes]) -> list[bytes]:
        """`{"ts":milliseconds,"values":{…}}` each."""
        return [b'{"ts":%d,"values":%b}' % pair if pair[1] else b"" for pair in zip(ts_ms, telemetry, strict=True)]

    def split(self, entry: bytes, limit_bytes: int, most_points: int | None = None) -> Split:
        """Cuts between keys, in their order; each piece has the item's time, so the platform joins them again."""
        try:
            item = _items.decode(entry)
        except NOT_JSON:
            return Split([], ["(no JSON object)"])
        split = Split([], [])
        overhead = len(b'{"ts":%d,"values":{}}' % item.ts)
        group: list[bytes] = []
        size = overhead
        for key, value in item.values.items():
            pair = self.label(key) + b":" + bytes(value)
            if overhead + len(pair) > limit_bytes:
                split.too_large.append(key)
                continue
            if group and (size + len(pair) + 1 > limit_bytes or len(group) == most_points):
                split.entries.append(_item(item.ts, group))
                group, size = [], overhead
            group.append(pair)
            size += len(pair) + 1
        if group:
            split.entries.append(_item(item.ts, group))
        return split

    def points(self, entry: bytes) -> int:
        """The server counts each key as one, whatever its value."""
        try:
            return len(_items.decode(entry).values)
        except NOT_JSON:
            return 1

    def counted(self, message: Outgoing) -> Counted:
        """The server counts attributes as it counts telemetry, and all else as messages."""
        is_own = message.topic.startswith(OWN)
        if message.topic not in (OWN_TELEMETRY, OWN_ATTRIBUTES):
            return Counted(is_own, messages=1)
        return Counted(is_own, data=1, points=_count_points(message.payload))

    def keys(self, attributes: bytes) -> Mapping[str, bytes] | None:
        try:
            return {key: bytes(value) for key, value in _objects.decode(attributes).items()}
        except NOT_JSON:
            return None

    def attribute_bytes(self, key: str, value: bytes) -> int:
        return len(self.label(key)) + len(value) + len(":,")

    def telemetry(self, parts: Sequence[tuple[bytes, Sequence[bytes]]]) -> Outgoing:
        # To be joined is all that a reading costs here.
        joined = b",".join([b"%b:[%b]" % (name, b",".join(entries)) for name, entries in parts])
        return Outgoing(TELEMETRY, b"{" + joined + b"}")

    def attributes(self, parts: Sequence[tuple[bytes, Mapping[str, bytes]]]) -> Outgoing:
        joined = b",".join(
            [
                b"%b:{%b}" % (name, b",".join([self.label(key) + b":" + value for key, value in values.items()]))
                for name, values in parts
            ]
        )
        return Outgoing(ATTRIBUTES, b"{" + joined + b"}")

    def announce(self, label: bytes, device_type: str) -> Outgoing | None:
        """The server creates a device that it does not know, of this type (its "device profile")."""
        return Outgoing(CONNECT, b'{"device":%b,"type":%b}' % (label, self.label(device_type)))

    def introduction(self, connector: str, kind: str) -> Mapping[str, bytes]:
        """ThingsBoard's gateway dashboard finds a connector's devices by these."""
        return {"connectorType": self.label(kind), "connectorName": self.label(connector)}

    def withdraw(self, label: bytes) -> Outgoing | None:
        return Outgoing(DISCONNECT, b'{"device":%b}' % label)

    def ask_attributes(
        self, request: int, device: str, keys: Sequence[str], *, is_client: bool = False
    ) -> Outgoing | None:
        """Shared attributes, which the server calls `client: false`, or the client's."""
        scope, names = (b"true" if is_client else b"false"), msgspec.json.encode(keys)
        payload = b'{"id":%d,"device":%b,"client":%b,"keys":%b}' % (request, self.label(device), scope, names)
        return Outgoing(ATTRIBUTES_REQUEST, payload)

    def rpc_reply(self, device: str, request: int | str, data: bytes) -> Outgoing:
        payload = b'{"device":%b,"id":%b,"data":%b}' % (self.label(device), msgspec.json.encode(request), data)
        return Outgoing(RPC, payload)

    def rpc_error(self, device: str, request: int | str, error: str) -> Outgoing:
        """The reference's way of saying that a call has failed; the server itself knows none."""
        return self.rpc_reply(device, request, msgspec.json.encode({"error": error, "success": False}))

    def gateway_reply(self, call: GatewayRpc, facts: GatewayFacts) -> Outgoing:
        return Outgoing(OWN_RESPONSE + call.request, msgspec.json.encode(answer_gateway(call.method, facts)))

    def gateway_done(self, request: str, error: str = "") -> Outgoing:
        said = {"success": False, "error": error} if error else {"success": True}
        return Outgoing(OWN_RESPONSE + request, msgspec.json.encode(said))

    def credentials_forgotten(self, request: str, found: bool, error: str) -> Outgoing:
        return Outgoing(OWN_RESPONSE + request, msgspec.json.encode(answer_forgotten(found, error)))

    def ask_own_attributes(self, request: int, keys: Sequence[str]) -> Outgoing | None:
        """Shared attributes, as `ask_attributes`; the names in one text, so one with a comma can't be asked for."""
        names = ",".join(key for key in keys if "," not in key)
        return Outgoing(f"{OWN_ATTRIBUTES_REQUEST}{request}", msgspec.json.encode({"sharedKeys": names}))

    def own_attributes(self, values: Mapping[str, bytes]) -> Outgoing | None:
        return Outgoing(OWN_ATTRIBUTES, _object(values))

    def own_telemetry(self, items: Sequence[tuple[int | None, Mapping[str, bytes]]]) -> Outgoing | None:
        """An item without a time is a plain object: the server takes its own time."""
        said = [_telemetry(ts_ms, values) for ts_ms, values in items]
        is_plain = len(items) == 1 and items[0][0] is None
        return Outgoing(OWN_TELEMETRY, said[0] if is_plain else b"[%b]" % b",".join(said))

    def connector_reply(self, request: str, data: bytes) -> Outgoing:
        return Outgoing(OWN_RESPONSE + request, data or b'{"success":false}')

    def connector_error(self, request: str, error: str, is_late: bool) -> Outgoing:
        code = TIMED_OUT if is_late else FAILED
        return Outgoing(OWN_RESPONSE + request, msgspec.json.encode({"error": error, "code": code}))

    def parse(self, topic: str, payload: bytes, size_bytes: int = 0) -> Downlink:
        """Goes by topic. A plain MQTT broker sends our own messages back on some of them, so the payload is looked at
        for whose it is."""
        size_bytes = max(size_bytes, len(payload))
        if size_bytes > DOWNLINK_BYTES:
            return _too_large(topic, payload, size_bytes)
        try:
            value = simplejson.loads(payload)
        except (ValueError, RecursionError) as error:
            return Unusable(f"not JSON: {error}")
        if not isinstance(value, dict):
            return Unusable(f"found {type(value).__name__}, expected an object")
        if topic == RPC:
            return _device_rpc(value)
        if topic == ATTRIBUTES:
            return _device_attributes(value)
        if topic == ATTRIBUTES_RESPONSE:
            return _attributes_answer(value)
        if topic == DISCONNECT:
            return _device_dropped(value)
        if topic == OWN_ATTRIBUTES:
            return _own_attributes(value)
        if topic.startswith(OWN_ATTRIBUTES_RESPONSE):
            return _own_attributes_answer(value)
        if topic.startswith(OWN_REQUEST):
            return _gateway_rpc(topic.removeprefix(OWN_REQUEST), value)
        if topic.startswith(OWN_RESPONSE):
            return _session_limits(topic.removeprefix(OWN_RESPONSE), value)
        return Ignored(topic)


def _too_large(topic: str, payload: bytes, size_bytes: int) -> Downlink:
    """Nothing of it is read but the beginning. A call that says there whose it is, as ThingsBoard's do, is answered all
    the same."""
    reason = f"found {size_bytes} bytes, expected at most {DOWNLINK_BYTES}"
    head = _RPC_HEAD.match(payload[:HEAD_BYTES]) if topic == RPC else None
    try:
        device = simplejson.loads(head[1]) if head else ""
    except ValueError:
        device = ""
    return RpcRefused(device, int(head[2]), f"the call is too large: {reason}") if head and device else Unusable(reason)


# JSON out of fragments, and back.


def _item(ts_ms: int, pairs: list[bytes]) -> bytes:
    return b'{"ts":%d,"values":{%b}}' % (ts_ms, b",".join(pairs))


def _count_points(payload: bytes) -> int:
    """Values in what the gateway says of itself: plain, `{"ts","values"}`, or a list of these."""
    try:
        said = msgspec.json.decode(payload)
    except NOT_JSON:
        return 1
    items = said if isinstance(said, list) else [said]
    values = [item.get("values", item) for item in items if isinstance(item, dict)]
    return max(1, sum(len(one) for one in values if isinstance(one, dict)))


def _telemetry(ts_ms: int | None, values: Mapping[str, bytes]) -> bytes:
    said = _object(values)
    return said if ts_ms is None else b'{"ts":%d,"values":%b}' % (ts_ms, said)


def _object(values: Mapping[str, bytes]) -> bytes:
    return b"{%b}" % b",".join(msgspec.json.encode(key) + b":" + value for key, value in values.items())


def _write(value: object) -> bytes:
    """JSON of a parsed value; simplejson where msgspec can't: integers beyond 64 bits, lone surrogates."""
    try:
        return msgspec.json.encode(value)
    except (OverflowError, UnicodeEncodeError):
        return simplejson.dumps(value).encode()


def _is_text(value: object) -> bool:
    """True for a string that can go on: not empty, not endless, no lone surrogates."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


# What the server says, by its topic.


def _device_rpc(value: dict[str, object]) -> Downlink:
    """`{"device":name,"data":{"id":number,"method":name,"params":anything}}`; our replies have their `id` outside."""
    match value:
        case {"device": str(device), "data": {"id": int() | str() as request, "method": str(method), **rest}}:
            if _is_text(device) and _is_text(method) and (isinstance(request, int) or _is_text(request)):
                if isinstance(request, int) and abs(request) >= 1 << 63:
                    return Unusable("the id of the RPC is beyond 64 bits")
                if isinstance(request, str) and len(request) > LONGEST_ID:
                    return Unusable(f"the id of the RPC has {len(request)} characters, at most {LONGEST_ID} are taken")
                return DeviceRpc(device, request, method, _write(rest.get("params")))
        case {"device": str(), "id": _, "data": _}:
            return Ignored("our own reply")
    return Unusable('found no RPC, expected {"device","data":{"id","method","params"}}')


def _device_attributes(value: dict[str, object]) -> Downlink:
    """`{"device":name,"data":{…}}`; our own are `{name:{…},…}`."""
    match value:
        case {"device": str(device), "data": dict(data)}:
            if _is_text(device):
                return DeviceAttributes(device, _write(data))
        case {"device": str(), "deleted": list()}:
            return Ignored("deleted attributes")
    if value and all(isinstance(attributes, dict) for attributes in value.values()):
        return Ignored("our own attributes")
    return Unusable('found no attribute update, expected {"device","data":{…}}')


def _attributes_answer(value: dict[str, object]) -> Downlink:
    """`{"id":number,"device":name,"values":{…}}`, or `"value":…` for one attribute. A server that knows only one of
    several says `value` too, and not of which: that can't be used, and is left out where the question is known."""
    match value:
        case {"device": str(device), "id": int(request)} if _is_text(device):
            values = value.get("values")
            known = _write(values) if isinstance(values, dict) else b""
            return AttributesAnswer(device, request, known, _write(value["value"]) if "value" in value else b"")
    return Unusable('found no attributes, expected {"device","id","values":{…}}')


def _device_dropped(value: dict[str, object]) -> Downlink:
    """`{"device":name,"reason":number}`; it comes without a subscription, on the topic of our own goodbyes."""
    match value:
        case {"device": str(device)}:
            said = value.get("reason")
            reason = said if isinstance(said, int) else 0
            return DeviceDropped(device, reason, reason in DROPPED_FOR_RATE)
    return Unusable('found no disconnect notice, expected {"device","reason"}')


def _gateway_rpc(request: str, value: dict[str, object]) -> Downlink:
    """`{"method":name,"params":…}`, on a topic that ends with the call's id; our reply has the same end."""
    method = value.get("method")
    if not isinstance(method, str) or not _is_text(request) or any(letter in request for letter in "/+#"):
        return Unusable('found no RPC, expected {"method","params"}')
    if method == LIMITS_METHOD and request == LIMITS_ID:
        # Our own question came back: this is a plain MQTT broker, and nobody will answer it.
        return SessionLimits(None, None)
    if method == RENAMED_METHOD:
        return _device_renamed(request, value.get("params"))
    if method == DELETED_METHOD:
        device = value.get("params")
        if isinstance(device, str) and _is_text(device):
            return DeviceDeleted(request, device)
        return Unusable(f"found no name in {DELETED_METHOD}, expected the device's")
    if forgets_credentials(method):
        return ForgetCredentials(request)
    after_s = restart_after_s(method, value.get("params"))
    if after_s is not None:
        return GatewayRestart(request, after_s)
    return GatewayRpc(request, method, _write(value.get("params")))


def _own_attributes(value: dict[str, object]) -> Downlink:
    """`{key:value,…}`; `{"deleted":[…]}` takes attributes away, which changes nothing here."""
    if value.keys() == {"deleted"}:
        return Ignored("deleted attributes")
    return GatewayAttributes(_write(value))


def _own_attributes_answer(value: dict[str, object]) -> Downlink:
    """`{"shared":{…}}`, without what the server does not know; our own attributes, `client`, are not asked for."""
    shared = value.get("shared")
    return GatewayAttributes(_write(shared)) if isinstance(shared, dict) else Ignored("no shared attributes")


def _device_renamed(request: str, params: object) -> Downlink:
    """`{"old name":"new name"}`."""
    match list(params.items()) if isinstance(params, dict) else []:
        case [(str(old), str(new))] if _is_text(old) and _is_text(new):
            return DeviceRenamed(request, old, new)
    return Unusable(f'found no names in {RENAMED_METHOD}, expected {{"old name":"new name"}}')


def _session_limits(request: str, value: dict[str, object]) -> Downlink:
    """The answer to our only question. A server that does not know it says an error, which names no limits."""
    if request != LIMITS_ID:
        return Ignored("our own reply")
    payload = _positive(value.get("maxPayloadSize"))
    in_flight = _positive(value.get("maxInflightMessages"))
    own, devices = value.get("rateLimits"), value.get("gatewayRateLimits")
    rates = None
    if isinstance(own, dict) or isinstance(devices, dict):
        rates = SessionRates(*_session_rates(own), *_session_rates(devices))
    return SessionLimits(int(payload * PAYLOAD_SHARE) if payload else None, in_flight, rates)


def _session_rates(value: object) -> tuple[Pairs, Pairs, Pairs]:
    """The limits of messages, of messages with data, of values; a limit that can't be read is none, and the platform
    refuses what is too much."""
    found = []
    for key in ("messages", "telemetryMessages", "telemetryDataPoints"):
        text = value.get(key) if isinstance(value, dict) else None
        try:
            found.append(read_rates(text) if isinstance(text, str) else ())
        except ValueError:
            found.append(())
    return found[0], found[1], found[2]


def _positive(value: object) -> int | None:
    """A limit; None for 0 and for anything else, which is none."""
    return value if type(value) is int and value > 0 else None
