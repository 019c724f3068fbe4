"""The registry of dialects, each with its platform: the other end, that reads what we publish and says what we take.

Another dialect gets a class here and a place in `PLATFORMS`; the cases of `test_dialects` then hold for it.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote, unquote

from services.publisher.core.dialects import Dialect, Refusal
from services.publisher.core.dialects.thingsboard import ThingsBoard
from services.publisher.core.events import Publish
from tests.support.topic_dialect import TopicDialect


class Said(NamedTuple):
    """What a publish of data says of one device: (milliseconds, values) in order, and attributes."""

    device: str
    readings: list[tuple[int, dict[str, Any]]]
    attributes: dict[str, Any]


class Told(NamedTuple):
    """A message from the platform."""

    topic: str
    payload: Any


class Platform(Protocol):
    """What a test has to know of a kind of platform. `data`, `announcement` and `answer` read what was published, and
    are empty, or None, for what is none of that."""

    name: str
    dialect: Dialect
    codes: dict[Refusal, int]
    """A reason code for each refusal that the platform has."""
    limits: Told | None
    """The answer to the dialect's question for limits."""

    def data(self, order: Publish) -> list[Said]: ...

    def announcement(self, order: Publish) -> tuple[str, bool] | None:
        """(device, True for an announcement and False for a goodbye)."""
        ...

    def answer(self, order: Publish) -> tuple[Any, Any, bool] | None:
        """(call's id, what was said, True if it has failed)."""
        ...

    def call(self, device: str, request: int, method: str, params: Any) -> Told: ...

    def ask_gateway(self, request: str) -> Told:
        """A call to the gateway itself that it understands."""
        ...

    def update(self, device: str, values: dict[str, Any]) -> Told: ...


class ThingsBoardPlatform:
    """One topic for all devices, many readings in a message, devices announced."""

    name = "thingsboard"
    codes: dict[Refusal, int] = {"rate": 151, "unclear": 128, "bad": 153, "wait": 131}
    limits: Told | None = Told("v1/devices/me/rpc/response/1", {})

    def __init__(self) -> None:
        self.dialect: Dialect = ThingsBoard()

    def data(self, order: Publish) -> list[Said]:
        if order.topic == "v1/gateway/telemetry":
            said = json.loads(order.payload)
            return [Said(name, [(item["ts"], item["values"]) for item in items], {}) for name, items in said.items()]
        if order.topic == "v1/gateway/attributes":
            return [Said(name, [], values) for name, values in json.loads(order.payload).items()]
        return []

    def announcement(self, order: Publish) -> tuple[str, bool] | None:
        if order.topic in ("v1/gateway/connect", "v1/gateway/disconnect"):
            return json.loads(order.payload)["device"], order.topic.endswith("/connect")
        return None

    def answer(self, order: Publish) -> tuple[Any, Any, bool] | None:
        said = json.loads(order.payload)
        if order.topic == "v1/gateway/rpc":
            return said["id"], said["data"], said["data"].get("success") is False
        if order.topic.startswith("v1/devices/me/rpc/response/"):
            return order.topic.rpartition("/")[2], said, "error" in said
        return None

    def call(self, device: str, request: int, method: str, params: Any) -> Told:
        data = {"id": request, "method": method, "params": params}
        return Told("v1/gateway/rpc", {"device": device, "data": data})

    def ask_gateway(self, request: str) -> Told:
        return Told(f"v1/devices/me/rpc/request/{request}", {"method": "gateway_devices", "params": {}})

    def update(self, device: str, values: dict[str, Any]) -> Told:
        return Told("v1/gateway/attributes", {"device": device, "data": values})


class TopicPlatform:
    """A topic for each device, one reading a message, nobody announced."""

    name = "topics"
    codes: dict[Refusal, int] = {"rate": 0x97, "unclear": 0x83, "bad": 0x99, "wait": 0x87}
    limits: Told | None = None

    def __init__(self) -> None:
        self.dialect: Dialect = TopicDialect()

    def data(self, order: Publish) -> list[Said]:
        match order.topic.split("/"):
            case ["site", device, "reading"]:
                said = json.loads(order.payload)
                return [Said(unquote(device), [(said["at"], said["values"])], {})]
            case ["site", device, "state"]:
                return [Said(unquote(device), [], json.loads(order.payload))]
        return []

    def announcement(self, order: Publish) -> tuple[str, bool] | None:
        return None

    def answer(self, order: Publish) -> tuple[Any, Any, bool] | None:
        match order.topic.split("/"):
            case [*_, "answer", request]:
                said = json.loads(order.payload)
                return int(request) if request.isdigit() else request, said.get("ok"), "failed" in said
        return None

    def call(self, device: str, request: int, method: str, params: Any) -> Told:
        return Told(f"site/{quote(device, safe='')}/call/{request}", {"do": method, "with": params})

    def ask_gateway(self, request: str) -> Told:
        return Told(f"gateway/call/{request}", {"do": "devices"})

    def update(self, device: str, values: dict[str, Any]) -> Told:
        return Told(f"site/{quote(device, safe='')}/set", values)


PLATFORMS: Final[tuple[type[Platform], ...]] = (ThingsBoardPlatform, TopicPlatform)
