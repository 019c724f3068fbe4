"""ThingsBoard's payloads byte for byte, and what is made of what comes down."""

from __future__ import annotations

import json

import pytest

from services.publisher.core.dialects import (
    DeviceAttributes,
    DeviceDropped,
    DeviceRpc,
    GatewayRpc,
    Ignored,
    RpcRefused,
    SessionLimits,
    SessionRates,
    Unusable,
)
from services.publisher.core.dialects.thingsboard import DOWNLINK_BYTES, ThingsBoard

BOARD = ThingsBoard()


def test_telemetry_is_joined_from_fragments():
    """Converters' JSON stands in the payload as it is, with time and device around it."""
    entries = BOARD.entries([1, 2, 3], [b'{"a":1.50}', b"", b'{"b":[]}'])
    assert entries == [b'{"ts":1,"values":{"a":1.50}}', b"", b'{"ts":3,"values":{"b":[]}}']
    message = BOARD.telemetry([(b'"A"', [entries[0]]), (b'"B"', [entries[0], entries[2]])])
    assert message.topic == "v1/gateway/telemetry"
    assert message.payload == (
        b'{"A":[{"ts":1,"values":{"a":1.50}}],"B":[{"ts":1,"values":{"a":1.50}},{"ts":3,"values":{"b":[]}}]}'
    )


def test_names_are_escaped():
    """A device name with quotes, backslashes and letters beyond ASCII is one JSON string everywhere."""
    name = 'a "b" \\ ü\n'
    quoted = BOARD.label(name)
    assert json.loads(BOARD.announce(quoted, 'x"y').payload) == {"device": name, "type": 'x"y'}
    assert json.loads(BOARD.withdraw(quoted).payload) == {"device": name}
    assert json.loads(BOARD.attributes([(quoted, {'k"': b"1"})]).payload) == {name: {'k"': 1}}
    assert json.loads(BOARD.rpc_reply(name, 7, b'{"result":1}').payload) == {
        "device": name,
        "id": 7,
        "data": {"result": 1},
    }


def test_split_keeps_the_time_and_every_key():
    """An item is cut by key into items of the same time; what is too large by itself is named."""
    values = {f"k{index}": "x" * 20 for index in range(10)} | {"huge": "y" * 300}
    (entry,) = BOARD.entries([5], [json.dumps(values).encode()])
    split = BOARD.split(entry, 100)
    assert split.too_large == ["huge"]
    assert all(len(piece) <= 100 for piece in split.entries)
    merged = {}
    for piece in map(json.loads, split.entries):
        assert piece["ts"] == 5
        merged |= piece["values"]
    assert merged == {key: value for key, value in values.items() if key != "huge"}


@pytest.mark.parametrize(
    ("topic", "payload", "expected"),
    [
        (
            "v1/gateway/rpc",
            {"device": "A", "data": {"id": 1, "method": "m", "params": {"x": [1]}}},
            DeviceRpc("A", 1, "m", b'{"x":[1]}'),
        ),
        ("v1/gateway/rpc", {"device": "A", "data": {"id": 0, "method": "m"}}, DeviceRpc("A", 0, "m", b"null")),
        ("v1/gateway/rpc", {"device": "A", "id": 1, "data": {"success": True}}, Ignored("our own reply")),
        ("v1/gateway/attributes", {"device": "A", "data": {"k": 2}}, DeviceAttributes("A", b'{"k":2}')),
        ("v1/gateway/attributes", {"A": {"k": "v"}, "B": {}}, Ignored("our own attributes")),
        (
            "v1/devices/me/rpc/request/12",
            {"method": "gateway_ping", "params": {}},
            GatewayRpc("12", "gateway_ping", b"{}"),
        ),
        ("v1/devices/me/rpc/request/1", {"method": "getSessionLimits"}, SessionLimits(None, None)),
        ("v1/devices/me/rpc/response/1", {"error": "no"}, SessionLimits(None, None)),
        (
            "v1/devices/me/rpc/response/1",
            {"maxPayloadSize": 1000, "maxInflightMessages": 7, "rateLimits": {}},
            SessionLimits(800, 7, SessionRates()),
        ),
        (
            "v1/devices/me/rpc/response/1",
            {
                "rateLimits": {"messages": "200:1,6000:60", "telemetryMessages": None, "telemetryDataPoints": ""},
                "gatewayRateLimits": {"messages": "x", "telemetryMessages": "10:1", "telemetryDataPoints": "0:0,"},
            },
            SessionLimits(None, None, SessionRates(messages=((200, 1), (6000, 60)), device_data=((10, 1),))),
        ),
        ("v1/devices/me/rpc/response/9", {}, Ignored("our own reply")),
        ("v1/gateway/disconnect", {"device": "A", "reason": 150}, DeviceDropped("A", 150, True)),
        ("v1/devices/me/attributes", {"deleted": ["k"]}, Ignored("deleted attributes")),
    ],
)
def test_downlinks_are_understood(topic, payload, expected):
    """Each message becomes the downlink that it is; our own, sent back by a plain MQTT broker, none."""
    assert BOARD.parse(topic, json.dumps(payload).encode()) == expected


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("v1/gateway/rpc", b""),
        ("v1/gateway/rpc", b"\xff\xfe"),
        ("v1/gateway/rpc", b"[" * 100_000),
        ("v1/gateway/rpc", b"[]"),
        ("v1/gateway/rpc", b'{"device":5,"data":{"id":1,"method":"m"}}'),
        ("v1/gateway/rpc", b'{"device":"","data":{"id":1,"method":"m"}}'),
        ("v1/gateway/rpc", b'{"device":"\\ud800","data":{"id":1,"method":"m"}}'),
        ("v1/gateway/rpc", b'{"device":"A","data":{"id":1.5,"method":"m"}}'),
        ("v1/gateway/rpc", b'{"device":"A","data":{"id":99999999999999999999,"method":"m"}}'),
        ("v1/gateway/rpc", b'{"device":"A","data":{"id":1}}'),
        ("v1/gateway/attributes", b'{"device":"A","data":5}'),
        ("v1/gateway/attributes", b"{}"),
        ("v1/gateway/disconnect", b"{}"),
        ("v1/devices/me/rpc/request/1", b'{"params":1}'),
        ("v1/devices/me/rpc/request/1", b"nonsense"),
    ],
)
def test_junk_is_unusable(topic, payload):
    """What can't be understood is said so with a reason; nothing is raised."""
    answer = BOARD.parse(topic, payload)
    assert isinstance(answer, Unusable)
    assert answer.reason


def test_params_beyond_64_bits_go_on():
    """Numbers that msgspec can't write, and lone surrogates, reach the converter."""
    answer = BOARD.parse("v1/gateway/rpc", b'{"device":"A","data":{"id":1,"method":"m","params":%d}}' % 2**70)
    assert answer == DeviceRpc("A", 1, "m", str(2**70).encode())
    answer = BOARD.parse("v1/gateway/rpc", b'{"device":"A","data":{"id":1,"method":"m","params":"\\ud800"}}')
    assert answer == DeviceRpc("A", 1, "m", b'"\\ud800"')


HUGE = b'"' + b"x" * DOWNLINK_BYTES + b'"'


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"device":"a\\"b","data":{"id":5,"method":"m","params":%b}}', ('a"b', 5)),
        (b' { "device" : "d", "data" : { "id" : 77 , "params" : %b } } ', ("d", 77)),
        (b'{"device":"d","data":{"params":%b,"id":5}}', None),
        (b'{"data":{"id":5,"params":%b},"device":"d"}', None),
        (b'{"device":"d\\q","data":{"id":5,"params":%b}}', None),
        (b'{"device":"","data":{"id":5,"params":%b}}', None),
        (b"%b", None),
    ],
)
def test_a_call_that_is_too_large_is_refused_unread(payload, expected):
    """With an error where its beginning says whose it is; else it is junk. Megabytes of JSON are never parsed."""
    found = BOARD.parse("v1/gateway/rpc", payload % HUGE)
    if expected is None:
        assert isinstance(found, Unusable)
    else:
        assert isinstance(found, RpcRefused)
        assert (found.device, found.request) == expected
        assert "expected at most 1048576" in found.reason
    assert isinstance(BOARD.parse("v1/gateway/attributes", payload % HUGE), Unusable)


@pytest.mark.parametrize("junk", [b"", b"{", b'"\xce"', b"re\xceult", b"[" * 100_000])
def test_bytes_that_are_no_json_are_no_error(junk: bytes) -> None:
    """Whatever a converter says: halves of characters, and nests without end."""
    platform = ThingsBoard()
    assert platform.split(junk, 1000).too_large == ["(no JSON object)"]
    assert platform.keys(junk) is None
