"""Everything from outside is bounded before it is taken (attacks.md 15 to 19, 21)."""

from __future__ import annotations

import gc
import json
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from common.config.models import Platform as PlatformConfig
from common.core.events import Arrived, Note
from common.io import logs
from common.io.logs import BURST_LINES, LINES_HZ, log_note, start_logs
from common.wire import codec
from common.wire.messages import Entry, FrameBody, Plane, ReadingBody, Reply, Request, UserReading
from common.wire.taps import TAP_BYTES, taps_of_frames, taps_of_readings
from services.cli.commands.watch import lines_of
from services.publisher.core import names
from services.publisher.core.calls import MOST_CALLS, MOST_CALLS_BYTES
from services.publisher.core.dialects import DeviceRpc, Unusable
from services.publisher.core.dialects.thingsboard import LONGEST_ID, LONGEST_NAME, ThingsBoard
from services.publisher.core.events import LinkDown, LinkUp, PacketRefused, PlatformMessage
from services.publisher.core.ordering import MOST_STREAMS
from services.publisher.core.outbox import named as named_devices
from services.publisher.shell.mqtt import Connection
from tests.attacks.conftest import FULL
from tests.attacks.rig import gateway, share_late, wait_arrived
from tests.e2e.feeding import Feeder
from tests.e2e.harness import closing, needs_mosquitto
from tests.support.publisher_driving import Driver, batch, calls_sent, is_data
from tests.support.waiting import wait_until

MIB = 1 << 20


def peak_bytes(pid: int) -> int:
    """The most memory that a process ever had."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10


# Who listens and does not take.


@needs_mosquitto
def test_a_stopped_watcher_costs_the_broker_little(tmp_path: Path) -> None:
    """Ctrl-Z under full load: what waits for it is bounded in bytes; it goes on where it is continued."""
    with gateway(tmp_path, 1) as (rig, lines, platform, _):
        rig.start()
        platform.wait_connected("press0", deadline_s=40)
        watch = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "watch", "--data-dir", str(rig.data_dir)],
            stdout=subprocess.DEVNULL,
            env=rig.environ,
        )
        try:
            lines[0].write(b"1\n")
            platform.wait_telemetry("press0", 1)
            watch.send_signal(signal.SIGSTOP)
            broker = rig.wait_for("broker")["broker"]
            before = peak_bytes(broker)
            chunk = b"".join(b"%d\n" % number for number in range(2, 4_000))
            end_s = time.monotonic() + (30 if FULL else 6)
            while time.monotonic() < end_s:
                lines[0].write(chunk)
            assert peak_bytes(broker) - before < 40 * MIB
        finally:
            watch.kill()
            watch.wait(10)
        assert rig.stop() == 0


def test_a_tap_is_of_bounded_size_and_says_what_it_leaves_out() -> None:
    """Frames and readings, one large entry too; what a person sees is what fits, and how much more there was."""
    frames = FrameBody(list(range(512)), [b"x" * 200] * 512)
    shown = list(taps_of_frames("press", codec.pack_frames(frames), 512))
    assert all(len(tap.body) <= TAP_BYTES for tap in shown)
    lines = [line for tap in shown for line in lines_of(tap, form="text")]
    assert lines[-1].strip() == f"press … {512 - (len(lines) - 1)} more, too much to show"
    assert len(lines) > 10
    huge = FrameBody([1], [b"x" * 1_000_000])
    [empty, left_out] = taps_of_frames("press", codec.pack_frames(huge), 1)
    assert len(empty.body) < 100
    assert next(iter(lines_of(left_out, form="text"))).endswith("1 more, too much to show")
    users = {number: [UserReading("d", "t", [(None, b"1" * 300)], b"")] for number in range(100)}
    body = codec.pack_readings(ReadingBody([1] * 100, [b""] * 100, user=users))
    assert all(len(tap.body) <= TAP_BYTES for tap in taps_of_readings("press", body, 100))
    attributes = {number: [UserReading("d" * 50, "t", [], b"1" * 60_000)] for number in range(130)}
    body = codec.pack_readings(ReadingBody([1] * 130, [b""] * 130, user=attributes))
    assert all(len(tap.body) <= TAP_BYTES for tap in taps_of_readings("press", body, 130))
    small = codec.pack_readings(ReadingBody([1], [b'{"n":1}']))
    assert [tap.body for tap in taps_of_readings("press", small, 1)] == [small]


# Packets.


@needs_mosquitto
@pytest.mark.parametrize("size_mib", [40, 90] if FULL else [40])
def test_a_huge_message_is_read_past_and_its_call_answered(size_mib: int, tmp_path: Path) -> None:
    """Memory stays flat, data goes on, and the caller hears why; one that is kept by the MQTT broker does no harm."""
    with gateway(tmp_path, 1) as (rig, lines, platform, _):
        rig.start()
        platform.wait_connected("press0", deadline_s=40)
        publisher = rig.wait_for("publisher")["publisher"]
        before = peak_bytes(publisher)
        payload = b'{"device":"press0","data":{"id":7,"method":"m","params":"%b"}}' % (b"x" * (size_mib * MIB))
        feeder = Feeder(lines[0], 100, 50)
        with closing(feeder):
            platform.publish("v1/gateway/rpc", payload)
            platform.publish("v1/gateway/attributes", payload)
            assert f"too large: found {len(payload)} bytes" in platform.reply("press0", 7, 60)["error"]
            wait_arrived(platform, "press0", feeder)
        assert peak_bytes(publisher) - before < 8 * MIB
        assert rig.wait_for("publisher")["publisher"] == publisher
        assert rig.stop() == 0


@pytest.mark.parametrize("protocol", [4, 5])
def test_messages_that_must_be_kept_until_they_are_released_end_the_connection(protocol: int) -> None:
    """Quality of service 2, which nobody subscribed with: paho would keep each, 65,535 at a time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        platform = PlatformConfig(host="127.0.0.1", port=server.getsockname()[1])
        connection = Connection(1, protocol, platform, "id", context=None, subscriptions=(("t", True),))
        assert connection.open() is None
        peer = server.accept()[0]
        with peer:
            peer.sendall(b"\x20\x03\x00\x00\x00" if protocol == 5 else b"\x20\x02\x00\x00")
            connection.read()
            events = connection.take_events()
            assert [type(event) for event in events] == [LinkUp], events
            message = b"\x00\x01t" + b"%b" + b"\x00" * (protocol == 5) + b"x" * 80
            for mid in range(1, 50):
                body = message.replace(b"%b", mid.to_bytes(2, "big"))
                peer.sendall(b"\x34" + bytes([len(body)]) + body)
            connection.read()
            refused, down = connection.take_events()
            assert isinstance(refused, PacketRefused)
            assert isinstance(down, LinkDown)
            assert "quality of service 2" in down.reason
            assert len(connection._client._in_messages) <= 1


# Names, ids, tables.


def named(number: int, name: str) -> Any:
    """A reading in which a user's converter names a device."""
    user = {0: [UserReading(name, "t", [(None, b'{"n":%d}' % number)], b"")]}
    made = batch(number, [None])
    return made.replace(body=codec.pack_readings(ReadingBody([number], [b""], user=user)))


@pytest.fixture
def few_lanes(monkeypatch: pytest.MonkeyPatch) -> int:
    """The bounds of devices, and of the names that are kept over a restart, made small."""
    monkeypatch.setattr(names, "MOST_NAMES", 800)
    monkeypatch.setattr(named_devices, "MOST_LANES", 1_000)
    monkeypatch.setattr(named_devices, "SPARE_LANES", 200)
    return 1_000


def test_ever_new_device_names_leave_memory_flat(few_lanes: int) -> None:
    """A converter that names its device anew each frame: those that were silent longest are said goodbye and forgotten;
    every reading arrives."""
    driver = Driver()
    driver.up(limits={})
    driver.take(batch(1, [None], kind=Entry.OPENED, device_type="t"))
    driver.ack_all()
    lanes = driver.core._outbox.table.lanes
    count, sizes = 6 * few_lanes, []
    tracemalloc.start()
    for number in range(2, count):
        driver.take(named(number, f"name {number}"))
        driver.ack_all()
        driver.published.clear()
        driver.notes.clear()
        driver.kept.clear()
        if number in (3 * few_lanes, count - 1):
            gc.collect()
            # A lane: between one goodbye and the next there are some more and some fewer.
            sizes.append(tracemalloc.get_traced_memory()[0] / len(lanes))
    tracemalloc.stop()
    assert len(lanes) <= few_lanes
    assert driver.report().settled == count
    counters = driver.core._counters
    assert counters["devices_refused"] == counters["dead_letters"] == 0
    assert counters["devices_forgotten"] >= count - few_lanes - 200
    assert sizes[1] < sizes[0] * 1.1
    assert "press1" in lanes


def test_names_that_find_no_room_are_dead_letters(few_lanes: int) -> None:
    """With the platform away nothing can be forgotten: the reading is kept as a dead letter, and the stream goes on."""
    driver = Driver()
    for number in range(1, few_lanes + 50):
        driver.take(named(number, f"name {number}"))
    assert len(driver.core._outbox.table.lanes) <= few_lanes
    assert driver.core._counters["devices_refused"] > 0
    assert driver.core._counters["dead_letters"] == driver.core._counters["devices_refused"]


def test_ever_new_streams_are_bounded() -> None:
    """Whoever sends them: the settled ones that were silent longest are forgotten."""
    driver = Driver()
    driver.up(limits={})
    for number in range(MOST_STREAMS + 100):
        driver.take(batch(1, [{"n": 1}]).replace(journal=f"j{number}"))
        driver.ack_all()
    assert len(driver.core._ordering._streams) <= MOST_STREAMS


def test_open_calls_are_bounded_in_number_and_bytes() -> None:
    """The next is refused at once, and counted; when some have ended there is room again."""
    driver = Driver()
    driver.up(limits={})

    def call(number: int, size: int) -> list[Any]:
        data = {"id": number, "method": "m", "params": "x" * size}
        return calls_sent(driver.say("v1/gateway/rpc", {"device": "press1", "data": data}))

    large = MIB - 1_000
    taken = sum(bool(call(number, large)) for number in range(40))
    assert taken == MOST_CALLS_BYTES // (large + 2)
    assert driver.core._counters["calls_refused"] == 40 - taken
    driver.wait(11)
    driver.ack_all()
    taken = sum(bool(call(100 + number, 1)) for number in range(MOST_CALLS + 50))
    assert taken == MOST_CALLS
    assert driver.core._counters["calls_refused"] == 40 - MOST_CALLS_BYTES // (large + 2) + 50


@pytest.mark.parametrize(
    "data",
    [
        {"id": "i" * (LONGEST_ID + 1), "method": "m"},
        {"id": 1, "method": "m" * (LONGEST_NAME + 1)},
        {"id": 2**70, "method": "m"},
    ],
)
def test_ids_and_names_without_end_are_not_taken(data: dict[str, Any]) -> None:
    """They would be kept, logged and sent back."""
    board = ThingsBoard()
    said = json.dumps({"device": "d", "data": data}).encode()
    assert isinstance(board.parse("v1/gateway/rpc", said), Unusable)
    said = json.dumps({"device": "d" * (LONGEST_NAME + 1), "data": {"id": 1, "method": "m"}}).encode()
    assert isinstance(board.parse("v1/gateway/rpc", said), Unusable)
    said = json.dumps({"device": "d", "data": {"id": "i" * LONGEST_ID, "method": "m" * LONGEST_NAME}}).encode()
    assert isinstance(board.parse("v1/gateway/rpc", said), DeviceRpc)


# Calls beside data.


def test_calls_and_data_have_each_their_share_of_the_slots() -> None:
    """However many replies wait, data goes out at once, and however much data, replies do; with one slot in turns."""
    for maximum in (1, 2, 10):
        driver = Driver()
        driver.up(limits={}, receive_maximum=maximum)
        driver.take(batch(1, [None], kind=Entry.OPENED, device_type="t"))
        driver.ack_all()
        for number in range(200):
            driver.say("v1/gateway/rpc", {"device": "press1", "data": {"id": number, "method": "m", "params": 1}})
        open_calls = list(driver.core._downlink.calls._open)
        driver.hear(
            *(Arrived(Plane.CALLS, Reply(call, "publisher:0", "", codec.pack(b'{"a":1}'))) for call in open_calls)
        )
        start = len(driver.published)
        for number in range(2, 22):
            driver.take(batch(number, [{"n": number}]))
        for _ in range(60):
            if driver.unacked:
                driver.ack(driver.unacked[0])
        kinds = [is_data(order) for order in driver.published[start:]]
        assert any(kinds[: 2 * maximum + 2])
        assert not all(kinds)


@needs_mosquitto
def test_a_flood_of_calls_delays_no_data_and_fills_no_log(tmp_path: Path) -> None:
    """Thousands at full speed to one device: others' frames come in time, each call is answered once, the log is
    small."""
    count = 20_000 if FULL else 4_000
    calls = {
        "serverSideRpc": [{"method": "set", "type": "string"}],
        "downlink_converter": "SerialDownlinkConverter",
    }
    with gateway(tmp_path, 2, sections=[calls]) as (rig, lines, platform, _):
        rig.start()
        platform.wait_connected("press0", "press1", deadline_s=40)
        feeder = Feeder(lines[1], 600, 50)
        with closing(feeder):
            feeder.wait_written(20)
            for number in range(count):
                data = {"id": number, "method": "set", "params": "x"}
                platform.say("v1/gateway/rpc", {"device": "press0", "data": data})
            wait_arrived(platform, "press1", feeder, 90)
            assert share_late(platform, "press1", feeder) == 0
        answered = [reply["id"] for reply in platform.on("v1/gateway/rpc", "press0") if "id" in reply]
        assert len(answered) == len(set(answered))
        assert rig.log.stat().st_size < MIB
        # How much was left out is said when there is room for lines of that kind again.
        wait_until(lambda: "log.limited kind=call" in rig.log.read_text(), "what was left out", 40, 0.5)
        assert rig.stop() == 0


# What the MQTT broker has kept.


@needs_mosquitto
def test_kept_commands_are_not_carried_out_again(tmp_path: Path) -> None:
    """A call and an attribute that the MQTT broker retains, at each new connection: never written to the device."""
    section = {
        "serverSideRpc": [{"method": "set", "type": "string"}],
        "attributeUpdates": [{"attributeOnPlatform": "level", "stringToDevice": "LEVEL ${level}\n"}],
        "downlink_converter": "SerialDownlinkConverter",
    }
    with gateway(tmp_path, 1, sections=[section]) as (rig, lines, platform, _):
        client = platform._client
        data = {"id": 5, "method": "set", "params": "RUN\n"}
        client.publish("v1/gateway/rpc", json.dumps({"device": "press0", "data": data}), qos=1, retain=True)
        client.publish(
            "v1/gateway/attributes", json.dumps({"device": "press0", "data": {"level": 3}}), qos=1, retain=True
        )
        rig.start()
        platform.wait_connected("press0", deadline_s=40)
        for _ in range(2):
            pid = rig.kill("publisher")
            wait_until(lambda pid=pid: rig.pids.get("publisher", pid) != pid, "a new publisher", 20)
            before = len(platform.on("v1/gateway/connect", "press0"))
            platform.wait_for(lambda _, n=before: len(platform.on("v1/gateway/connect", "press0")) > n, "connect", 30)
        platform.say("v1/gateway/rpc", {"device": "press0", "data": {**data, "id": 6, "params": "NEW\n"}})
        assert lines[0].read_until(b"NEW\n") == b"NEW\n"
        assert rig.stop() == 0


def test_kept_messages_are_told_from_new_ones_by_their_flag() -> None:
    """On MQTT 3.1.1 they can't be declined: ignored, counted, said once a topic with the way to be rid of them."""
    driver = Driver()
    driver.up(limits={})
    said = json.dumps({"device": "press1", "data": {"id": 1, "method": "m", "params": 1}}).encode()
    for _ in range(3):
        effects = driver.hear(PlatformMessage(driver.connection, "v1/gateway/rpc", said, True))
        assert calls_sent(effects) == []
    assert driver.core._counters["retained_ignored"] == 3
    assert [note.event for note in driver.notes if note.event == "downlink.retained"] == ["downlink.retained"]
    for number in range(100):
        driver.hear(PlatformMessage(driver.connection, f"v1/{number}", said, True))
    assert len(driver.core._downlink.retained) <= 16
    effects = driver.hear(PlatformMessage(driver.connection, "v1/gateway/rpc", said))
    assert isinstance(calls_sent(effects)[0], Request)


# The log.


def test_lines_of_a_kind_are_bounded_and_what_is_hidden_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A flood shows its beginning, others of another kind are shown, and the number of the rest follows."""
    now_s = 100.0
    monkeypatch.setattr(logs, "monotonic_s", lambda: now_s)
    logger = start_logs("x")
    handler = logs.handler_of(logger)
    assert handler is not None
    for number in range(10_000):
        log_note(logger, Note("info", "call.begun", {"id": number}))
    log_note(logger, Note("warning", "port.lost", {}))
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == BURST_LINES + 1
    assert "port.lost" in shown[-1]
    assert handler.is_behind
    now_s += BURST_LINES / LINES_HZ
    handler.catch_up()
    assert capsys.readouterr().err.rstrip().endswith(f"log.limited kind=call.begun lines={10_000 - BURST_LINES}")
    assert not handler.is_behind
    for number in range(5_000):
        log_note(logger, Note("info", f"kind{number}", {}))
    assert len(handler._kinds) <= logs.KINDS_KEPT + 1
    logger.handlers.clear()
