"""Whatever comes in, a running gateway goes on: junk at every ZeroMQ socket, absurd messages, huge calls, noise."""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import pytest
import zmq

from common.core.errors import GatewayError
from common.core.events import Send
from common.io.client import Client
from common.io.endpoints import Endpoints, socket_dir
from common.wire import codec
from common.wire.calls import CallDevice, pack_body
from common.wire.messages import (
    PUBLISHER,
    FrameBatch,
    FrameBody,
    Heartbeat,
    Plane,
    ReadingBatch,
    ReadingBody,
    Register,
    Registered,
    Reply,
    Request,
    StreamReport,
    Tap,
)
from tests.e2e.harness import Gateway, Line, Mosquitto, Platform, closing, needs_mosquitto, write_config
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto

MESSAGES = (FrameBatch, ReadingBatch, StreamReport, Heartbeat, Tap, Register, Registered, Request, Reply)
DEVICE = "press1"
INTS = (0, 1, -1, 3, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**63))
FLOATS = (0.0, 1.0, 10.0, -1.0, 1e308, float("inf"), float("nan"))
TEXTS = ("", "x", DEVICE, "publisher", "broker", "converter", "port_reader", "0", "\0", "ü" * 40_000, "a/b:c@d")
TARGETS = (
    f"port_reader:{DEVICE}",
    f"converter@{DEVICE}",
    "converter:0",
    "publisher:0",
    "monitor:0",
    "broker:0",
    "nobody",
)
VERBS = ("encode", "encode_update", "decode", "exchange", "section", "note", "rpc", "attributes", "status", "retry")
SEEDS = int(os.environ.get("JUNK_SEEDS", "4"))
RSS_MIB = 200
"""Far more than a process of ours takes, far less than junk that is kept would."""


class World(NamedTuple):
    line: Line
    mosquitto: Mosquitto
    platform: Platform
    gateway: Gateway
    endpoints: Endpoints
    context: zmq.Context[Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("bad")
    line, mosquitto = Line(folder / "tty"), Mosquitto(folder / "mosquitto", "message_size_limit 0")
    platform = Platform(mosquitto.port)
    device = {
        "name": DEVICE,
        "port": str(line.path),
        "firstFrame": "keep",
        "telemetry": [{"type": "int", "key": "n"}],
        "serverSideRpc": [{"method": "set", "type": "string"}],
        "downlink_converter": "SerialDownlinkConverter",
    }
    gateway = Gateway(folder, write_config(folder / "config", mosquitto.port, [device]))
    context: zmq.Context[Any] = zmq.Context()
    with closing(mosquitto, platform, line, gateway):
        gateway.start_all([DEVICE])
        platform.wait_for(lambda _: platform.on("v1/gateway/connect", DEVICE), "connect")
        yield World(line, mosquitto, platform, gateway, Endpoints(socket_dir(gateway.data_dir)), context)
        context.destroy(linger=0)


def _rss_mib(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 20


def _peak_mib(pid: int) -> int:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) >> 10


def _assert_well(world: World, number: int) -> None:
    """Nobody has died or grown, nobody crashed, and a frame goes all the way."""
    world.line.write(b"%d\n" % number)
    world.platform.wait_for(
        lambda _: any(item["values"]["n"] == number for item in world.platform.telemetry(DEVICE)), "a frame", 30
    )
    for name, process in world.gateway.processes.items():
        assert process.poll() is None, f"{name}: {world.gateway.log(name)[-3000:]}"
        assert _rss_mib(process.pid) < RSS_MIB, name
        assert "Traceback" not in world.gateway.log(name), world.gateway.log(name)[-3000:]


def _junk_value(draw: random.Random, depth: int = 0) -> Any:
    """Anything that msgpack can carry."""
    kind = draw.randrange(8 if depth < 3 else 6)
    match kind:
        case 0:
            return draw.choice(INTS)
        case 1:
            return draw.choice(FLOATS)
        case 2:
            return draw.choice(TEXTS)
        case 3:
            return draw.randbytes(draw.randrange(50))
        case 4:
            return draw.choice([None, True, False])
        case 5:
            return DEVICE
        case 6:
            return [_junk_value(draw, depth + 1) for _ in range(draw.randrange(4))]
    return {draw.choice(["a", 1, "connected", "held", "epoch", "n"]): _junk_value(draw, depth + 1) for _ in range(3)}


def _body(draw: random.Random) -> bytes:
    choice = draw.randrange(6)
    if choice == 0:
        return draw.randbytes(draw.randrange(100))
    if choice == 1:
        ts_ms = [draw.choice(INTS) for _ in range(3)]
        return codec.pack_frames(FrameBody(ts_ms, [b"1\n", b"", draw.randbytes(9)]))
    if choice == 2:
        body = ReadingBody([1, 2, 3], [b"{}", b"junk", b'{"n":1}'], b"junk", {1: "dead", 99: "none"}, {})
        return codec.pack_readings(body)
    if choice == 3:
        fields = {"writes": [b"x"], "method": "set", "params": b"1", "numbers": [draw.choice(INTS)], "journal": "j"}
        fields |= {"with_response": True, "timeout_s": draw.choice(FLOATS), "pattern": "(", "until": b"", "data": b"{}"}
        fields |= {"frame": b"1", "section": "x", "device": DEVICE, "before": draw.choice(INTS), "most": 1, "after": 0}
        for name in draw.sample(sorted(fields), draw.randrange(4)):
            fields[name] = _junk_value(draw)
        return codec.pack(fields)
    return codec.pack(_junk_value(draw))


def _field(draw: random.Random, name: str, kind: Any, epoch: str) -> Any:
    """A value of the right type, and often absurd."""
    if name == "epoch" and draw.random() < 0.7:
        return epoch
    if name == "target" or name == "reply_to":
        return draw.choice(TARGETS)
    if name == "verb":
        return draw.choice(VERBS)
    if name == "body":
        return _body(draw)
    if name == "length" and draw.random() < 0.5:
        return 3
    if name == "kind" and kind is int:
        return draw.choice((0, 1, 2, 3, 4, 5, -1, 2**63))
    kind = getattr(kind, "__origin__", kind)
    if kind is dict:
        value = _junk_value(draw)
        return value if isinstance(value, dict) else {"connected": True, "epoch": draw.choice(TEXTS), "held": 2**63}
    if kind is list:
        return [(1, 5), (2**63, 0)] if name == "missing" else [(draw.choice(INTS), "why")]
    choices: dict[type, Any] = {int: INTS, float: FLOATS, str: TEXTS, bool: (True, False)}
    return draw.choice(choices[kind])


def _absurd(draw: random.Random, epoch: str) -> list[bytes]:
    """A message of the right shape."""
    cls = draw.choice(MESSAGES)
    hints = get_type_hints(cls)
    return list(codec.encode(cls(*(_field(draw, name, hints[name], epoch) for name in cls.__struct_fields__))))


def _shapeless(draw: random.Random) -> list[bytes]:
    """No message: wrong counts of parts, wrong types, wrong codes, no msgpack."""
    header = draw.choice(
        [
            b"",
            draw.randbytes(40),
            codec.pack(_junk_value(draw)),
            codec.pack([draw.choice(INTS[:-1])]),
            codec.pack([draw.randrange(9), *(_junk_value(draw) for _ in range(draw.randrange(14)))]),
        ]
    )
    return [header, *(draw.randbytes(5) for _ in range(draw.choice((0, 1, 1, 1, 2, 7))))]


def _throw(world: World, make: Any, count: int, seed: int) -> None:
    """Junk at all endpoints that take something, in turn."""
    draw = random.Random(seed)
    ends = world.endpoints
    sockets = []
    for kind, endpoint in (
        (zmq.PUSH, ends.frames_in),
        (zmq.PUSH, ends.readings_in),
        (zmq.DEALER, ends.calls),
        (zmq.PUB, ends.events_in),
        (zmq.XSUB, ends.events_out),
    ):
        socket = world.context.socket(kind)
        socket.setsockopt(zmq.SNDTIMEO, 20_000)
        socket.setsockopt(zmq.LINGER, 5_000)
        socket.connect(endpoint)
        sockets.append(socket)
    topics = (
        b"beat.broker.0.",
        b"beat.publisher.0.",
        b"beat.port_reader.x.",
        b"beat.converter.0.",
        b"ack.",
        b"tap.",
        b"",
    )
    for _ in range(count):
        for socket in sockets:
            parts = make(draw)
            if socket.type == zmq.PUB:
                parts.insert(0, draw.choice(topics))
            if socket.type == zmq.XSUB:
                parts = [draw.choice((b"\x01", b"\x00", b"\x07")) + draw.randbytes(9)]
            socket.send_multipart(parts)
    for socket in sockets:
        socket.close()


def test_what_is_no_message_is_counted_and_said_once(world: World) -> None:
    """At every socket: one log line per plane at each process, and everything goes on."""
    _throw(world, _shapeless, 300, seed=1)
    _assert_well(world, 1)
    for name in world.gateway.processes:
        assert world.gateway.log(name).count("wire.junk") <= 4, name
    assert "wire.junk" in world.gateway.log("broker")


def test_messages_of_absurd_content_stop_nothing(world: World) -> None:
    """Right types, wrong everything: numbers of 2^63, negative counts, journals and processes that do not exist."""
    epoch = world.gateway.status()["link"]["epoch"]
    for seed in range(SEEDS):
        _throw(world, lambda draw: _absurd(draw, epoch), 150, seed=seed)
        _assert_well(world, 10 + seed)
    assert world.platform.call(DEVICE, "set", "x", 77, 30) == {"success": True}


def test_huge_parts_are_cut_off(world: World) -> None:
    """More than any message of ours: the peer is disconnected, nobody grows."""
    huge = bytes(40 << 20)
    for kind, endpoint in ((zmq.PUSH, world.endpoints.frames_in), (zmq.DEALER, world.endpoints.calls)):
        with world.context.socket(kind) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(endpoint)
            socket.send_multipart([codec.pack([0]), huge])
            socket.send_multipart([huge, b""])
            _assert_well(world, 20 + kind)


def test_64_megabytes_of_params_are_refused_with_an_error(world: World) -> None:
    """Over MQTT the caller hears why; over the calls plane too; the command refuses before it sends. Nobody parses it,
    nobody keeps it."""
    params = b"[" + b"1," * (32 << 20) + b"1]"
    payload = b'{"device":"%b","data":{"id":640,"method":"set","params":%b}}' % (DEVICE.encode(), params)
    world.platform.publish("v1/gateway/rpc", payload)
    answer = world.platform.reply(DEVICE, 640, 60)
    assert "too large: found 671" in answer["error"]
    assert world.gateway.log("publisher").count("call.refused") == 1
    with Client(world.gateway.data_dir) as client:
        asked = CallDevice(DEVICE, "set", b"1" * (2 << 20))
        with pytest.raises(GatewayError, match="too large: found 2097"):
            client.call(PUBLISHER, DEVICE, asked, 5.0)
        # Around the command's own limit.
        address = client._membership.identity.address
        client._perform(
            [Send(Plane.CALLS, Request("big", address, PUBLISHER, "rpc", DEVICE, "", 5.0, pack_body(asked)))]
        )
        assert client._pump(10.0, lambda: "big" in client._replies)
        assert "too large: found 2097" in client._replies["big"].error
    # The message itself, whole, and a copy of it.
    assert _peak_mib(world.gateway.processes["publisher"].pid) < 300
    _assert_well(world, 30)


def test_noise_at_full_speed_costs_counters_and_few_lines(world: World) -> None:
    """Random bytes with delimiters, and a run without one: frames and dead letters; memory and log stay small."""
    draw = random.Random(5)
    before = len(world.gateway.log(DEVICE).splitlines())
    noise = draw.randbytes(1 << 20)
    world.line.write(noise)
    world.line.write(bytes(byte for byte in noise if byte != 10) + b"\n")
    world.line.write(b"\n" * 1000)
    _assert_well(world, 40)
    counters = wait_until(
        lambda: found if (found := world.gateway.counters("port_reader")).get("bytes_read", 0) > 2_090_000 else None,
        "all read",
    )
    assert counters["frames_read"] > 4000
    assert counters["dead_letters"] >= 16
    assert len(world.gateway.log(DEVICE).splitlines()) - before < 10
    assert sum("conversion.failed" in line for line in world.gateway.log("converter0").splitlines()) < 5
    assert len(world.gateway.log("publisher").splitlines()) < 200
