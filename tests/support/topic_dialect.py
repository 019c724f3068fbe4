"""A second dialect, as unlike ThingsBoard's as a platform can be: it proves that the core knows nothing of the first.

Each device has topics of its own; a message holds one reading or the attributes of one device. Nobody is announced: the
gateway says that it is there by a retained message, and its will says when it is not.

| topic                       | payload                               | from     |
|-----------------------------|---------------------------------------|----------|
| `site/DEVICE/reading`       | `{"at":milliseconds,"values":{…}}`    | gateway  |
| `site/DEVICE/state`         | `{…}`, retained                       | gateway  |
| `site/DEVICE/call/ID`       | `{"do":method,"with":params}`         | platform |
| `site/DEVICE/answer/ID`     | `{"ok":…}` or `{"failed":"why"}`      | gateway  |
| `site/DEVICE/set`           | `{…}`                                 | platform |
| `gateway/online`            | `true` or `false`, retained           | gateway  |
| `gateway/call/ID`           | `{"do":"name"}`                       | platform |
| `gateway/answer/ID`         | as above                              | gateway  |

DEVICE is the name, percent-encoded where a topic would not take it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from services.publisher.core.dialects import (
    Counted,
    DeviceAttributes,
    DeviceRpc,
    Downlink,
    GatewayFacts,
    GatewayRestart,
    GatewayRpc,
    Ignored,
    Outgoing,
    Refusal,
    Shape,
    Split,
    Unusable,
)


def _dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class TopicDialect:
    """`services.publisher.core.dialects.Dialect` with a topic for each device."""

    shape = Shape(around_bytes=0, device_bytes=0, most_devices=1, most_readings=1)
    subscriptions: Sequence[tuple[str, bool]] = (
        ("site/+/call/+", True),
        ("site/+/set", True),
        ("gateway/call/+", True),
    )
    will: Outgoing | None = Outgoing("gateway/online", b"false", retain=True)
    greeting: Sequence[Outgoing] = (Outgoing("gateway/online", b"true", retain=True),)
    asks_limits = False
    call_time_s = 4.0

    def refusal(self, code: int) -> Refusal:
        refusals: dict[int, Refusal] = {0x97: "rate", 0x99: "bad", 0x83: "unclear"}
        return refusals.get(code, "wait")

    def label(self, name: str) -> bytes:
        return quote(name, safe="").encode()

    def entries(self, ts_ms: Sequence[int], telemetry: Sequence[bytes]) -> list[bytes]:
        return [_entry(ts, values) if values else b"" for ts, values in zip(ts_ms, telemetry, strict=True)]

    def split(self, entry: bytes, limit_bytes: int, most_points: int | None = None) -> Split:
        item = _object(entry)
        if item is None:
            return Split([], ["(no JSON object)"])
        found = Split([], [])
        group: dict[str, Any] = {}
        for key, value in item["values"].items():
            if len(_entry(item["at"], _dumps({key: value}))) > limit_bytes:
                found.too_large.append(key)
                continue
            is_full = len(_entry(item["at"], _dumps({**group, key: value}))) > limit_bytes
            if is_full or (group and len(group) == most_points):
                found.entries.append(_entry(item["at"], _dumps(group)))
                group = {}
            group[key] = value
        if group:
            found.entries.append(_entry(item["at"], _dumps(group)))
        return found

    def points(self, entry: bytes) -> int:
        item = _object(entry)
        return 1 if item is None else len(item["values"])

    def counted(self, message: Outgoing) -> Counted:
        return Counted(message.topic.startswith("gateway/"), messages=1)

    def keys(self, attributes: bytes) -> Mapping[str, bytes] | None:
        values = _object(attributes)
        return None if values is None else {key: _dumps(value) for key, value in values.items()}

    def attribute_bytes(self, key: str, value: bytes) -> int:
        return len(_dumps(key)) + len(value) + 4

    def telemetry(self, parts: Sequence[tuple[bytes, Sequence[bytes]]]) -> Outgoing:
        ((label, (entry,)),) = parts
        return Outgoing(f"site/{label.decode()}/reading", entry)

    def attributes(self, parts: Sequence[tuple[bytes, Mapping[str, bytes]]]) -> Outgoing:
        ((label, values),) = parts
        joined = b",".join(_dumps(key) + b":" + value for key, value in values.items())
        return Outgoing(f"site/{label.decode()}/state", b"{" + joined + b"}", retain=True)

    def announce(self, label: bytes, device_type: str) -> Outgoing | None:
        return None

    def introduction(self, connector: str, kind: str) -> Mapping[str, bytes]:
        return {}

    def withdraw(self, label: bytes) -> Outgoing | None:
        return None

    def ask_attributes(
        self, request: int, device: str, keys: Sequence[str], *, is_client: bool = False
    ) -> Outgoing | None:
        return None

    def rpc_reply(self, device: str, request: int | str, data: bytes) -> Outgoing:
        return Outgoing(f"site/{quote(device, safe='')}/answer/{request}", b'{"ok":' + data + b"}")

    def rpc_error(self, device: str, request: int | str, error: str) -> Outgoing:
        return Outgoing(f"site/{quote(device, safe='')}/answer/{request}", _dumps({"failed": error}))

    def connector_reply(self, request: str, data: bytes) -> Outgoing:
        return Outgoing(f"gateway/answer/{request}", data or b"null")

    def connector_error(self, request: str, error: str, is_late: bool) -> Outgoing:
        return Outgoing(f"gateway/answer/{request}", _dumps({"failed": error, "late": is_late}))

    def gateway_reply(self, call: GatewayRpc, facts: GatewayFacts) -> Outgoing:
        known = {"count": facts.received, "devices": sorted(facts.devices()), "version": facts.version}
        said = {"ok": known[call.method]} if call.method in known else {"failed": "no such method"}
        return Outgoing(f"gateway/answer/{call.request}", _dumps(said))

    def gateway_done(self, request: str, error: str = "") -> Outgoing:
        said = {"failed": error} if error else {"ok": True}
        return Outgoing(f"gateway/answer/{request}", _dumps(said))

    def credentials_forgotten(self, request: str, found: bool, error: str) -> Outgoing:
        return self.gateway_done(request, error)

    def ask_own_attributes(self, request: int, keys: Sequence[str]) -> Outgoing | None:
        return None

    def own_attributes(self, values: Mapping[str, bytes]) -> Outgoing | None:
        return None

    def own_telemetry(self, items: Sequence[tuple[int | None, Mapping[str, bytes]]]) -> Outgoing | None:
        """How the gateway is now; there is no place for what was at a time, which log lines are."""
        now = {key: json.loads(value) for ts_ms, values in items if ts_ms is None for key, value in values.items()}
        return Outgoing("gateway/state", _dumps(now)) if now else None

    def parse(self, topic: str, payload: bytes, size_bytes: int = 0) -> Downlink:
        value = _object(payload) if size_bytes <= 1024 * 1024 else None
        if value is None:
            return Unusable("no JSON object, or too large")
        method = value.get("do")
        match topic.split("/"):
            case ["site", device, "set"]:
                return DeviceAttributes(unquote(device), _dumps(value))
            case ["site", device, "call", request] if isinstance(method, str) and method:
                return DeviceRpc(unquote(device), request, method, _dumps(value.get("with")))
            case ["gateway", "call", request] if isinstance(method, str):
                return GatewayRestart(request, 1.0) if method == "restart" else GatewayRpc(request, method)
            case [_, *_, "call", _]:
                return Unusable("a call without a method")
        return Ignored(topic)


def _entry(ts_ms: int, values: bytes) -> bytes:
    return b'{"at":%d,"values":%b}' % (ts_ms, values)
