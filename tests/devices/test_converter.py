"""A section with messages in the converter's core, in `serialgw try` and in `serialgw check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.config.models import Device
from common.conversion.calls import rpc_writes, update_writes
from common.core.errors import ConversionError
from common.wire.messages import Entry, ReadingBatch
from services.cli.__main__ import main
from services.converter.core.batches import READINGS_BYTES
from tests.devices.families import SECTIONS, frames_of
from tests.field.reading import read_device, write_config
from tests.support.converting import World, body_of, frame_batch

SENSORS = {
    "fields": ";",
    "device": {"name": "sensor ${id}", "type": "radio"},
    "timestamp": {"field": 2, "format": "epochMs", "within": 60},
    "telemetry": [{"key": "t", "field": 1, "type": "float", "min": -50}],
    "attributes": [{"key": "id", "field": 0}],
}


@pytest.fixture
def world() -> World:
    return World().start()


def convert(world: World, device: Device, frames: list[bytes], **fields: Any) -> Any:
    """The readings of a batch. What the core counted before is forgotten."""
    world.know(device)
    for name in world.core.counters:
        world.core.counters[name] = 0  # type: ignore[literal-required]
    world.say(frame_batch(device, frames, **fields))
    (batch,) = world.take(ReadingBatch)
    return body_of(batch)


def test_every_number_that_goes_in_comes_out(world: World, tmp_path: Path) -> None:
    """With values, with another device's name and time, as a dead letter, or as nothing."""
    device, _ = read_device(tmp_path, **SENSORS)
    frames = [b"a1;21.5;2500\n", b"a1;21.5;9999999\n", b"a1;-99;2500\n", b";1;2500\n", b"\r\n"]
    body = convert(world, device, frames)
    assert body.telemetry == [b""] * 5
    named = [(one.device, one.device_type, one.telemetry, one.attributes) for (one,) in body.user.values()]
    assert named == [
        ("sensor a1", "radio", [(2500, b'{"t":21.5}')], b'{"id":"a1"}'),
        ("sensor a1", "radio", [(None, b'{"t":21.5}')], b'{"id":"a1"}'),
        ("sensor a1", "radio", [], b'{"id":"a1"}'),
    ]
    assert body.dead.keys() == {3}
    assert "has no id, which names the device" in body.dead[3]
    counts = world.core.counters
    assert (counts["frames_blank"], counts["times_refused"], counts["readings_made"]) == (1, 1, 3)
    assert counts["points_without_value"] >= 2


def test_a_batch_of_one_question_is_read_as_its_message(world: World, tmp_path: Path) -> None:
    """Two messages that look alike are told apart by what was asked."""
    messages = [
        {"name": one, "pattern": "{v}", "regex": f"(?P<{one}>.+)\n", "telemetry": [{"key": one, "name": one}]}
        for one in ("speed", "power")
    ]
    for message in messages:
        del message["pattern"]
    device, _ = read_device(tmp_path, messages=messages)
    assert convert(world, device, [b"7\n"], origin="power").telemetry == [b'{"power":"7"}']
    assert convert(world, device, [b"7\n"], origin="speed").telemetry == [b'{"speed":"7"}']


def test_a_refusal_is_the_error_of_the_call(world: World, tmp_path: Path) -> None:
    """And no dead letter, nor is an answer that fits no message; unasked both are, counted apart."""
    device, _ = read_device(
        tmp_path,
        messages=[{"name": "no", "when": "^NAK", "error": "refused by the device"}, {"when": "^V", "telemetry": []}],
        serverSideRpc=[{"method": "get", "template": "G\n", "withResponse": True, "responsePattern": "."}],
    )
    asked = convert(world, device, [b"NAK\n"], kind=Entry.ANSWER, extra=["call-7", "get"])
    assert json.loads(asked.answer[1]) == {"error": "refused by the device", "success": False}
    assert asked.dead == {}
    other = convert(world, device, [b"OK\n"], kind=Entry.ANSWER, extra=["call-8", "get"])
    assert (other.dead, json.loads(other.answer[1])) == ({}, {"result": "4f4b0a"})
    unasked = convert(world, device, [b"NAK\n", b"?\n"], first=2)
    assert unasked.dead == {0: "refused by the device", 1: "no message fits"}
    assert world.core.counters["frames_unfit"] == 1
    assert (unasked.faults.errors, unasked.faults.error) == (2, "refused by the device")


def test_a_batch_too_large_for_one_message_is_halved_with_its_own_times(world: World, tmp_path: Path) -> None:
    """Each half has its frames' readings."""
    device, _ = read_device(tmp_path, **SENSORS | {"telemetry": [{"key": "t", "field": 1, "type": "string"}]})
    frames = [b"%d;%b;2500\n" % (number, b"x" * (READINGS_BYTES // 3)) for number in range(4)]
    world.know(device)
    world.say(frame_batch(device, frames))
    batches = world.take(ReadingBatch)
    assert len(batches) > 1
    names = [one.device for batch in batches for index in range(batch.length) for one in body_of(batch).user[index]]
    assert names == ["sensor 0", "sensor 1", "sensor 2", "sensor 3"]


def test_try_says_which_message_took_a_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And what became of each point; a frame that fits none is an error."""
    path = write_config(tmp_path, SECTIONS["jbd-bms"])
    assert main(["try", str(path), "--hex", frames_of("jbd-bms")[1].hex()]) == 0
    said = capsys.readouterr().out
    assert "message    cells" in said
    assert "cell_1  uint16  [4:6]" in said
    assert "= 3.909" in said
    assert main(["try", str(path), "--hex", "dd 09 00 00 00 00 77", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["errors"] == [{"key": "", "error": "no message fits"}]


def test_try_shows_no_value_as_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is no error."""
    path = write_config(tmp_path, {"name": "d", "telemetry": [{"key": "v", "type": "float", "invalid": [9.9e37]}]})
    assert main(["try", str(path), "--text", "9.9E37\\n"]) == 0
    assert "no value: the device says that it has no value" in capsys.readouterr().out


def test_check_says_in_words_what_it_understood(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each message, and each point with what becomes of its bytes."""
    path = write_config(
        tmp_path,
        *(SECTIONS[name] | {"name": name, "port": f"/dev/{name}"} for name in ("jbd-bms", "rflink", "kamstrup-kmp")),
    )
    assert main(["check", str(path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for clause in (
        "message basic takes frames with 03 at byte 1",
        "temperature_1 uint16 bytes 27 to 28, minus 2731, divided by 10",
        'takes all frames; names and values with "=" between them, ";" between pairs; values of device "sensor ${id}"',
        'temperature hexint the value named "TEMP", bit 15 is its sign, divided by 10, in °C',
        'humidity int the value named "HUM", no value below 0, no value above 100, in %',
        "bytes 7 to 10, times ten to the power of byte 6, bit 6 its sign, bit 7 the sign of the number",
    ):
        assert clause in said
    assert main(["check", str(path), "--json"]) == 0
    (_, messages, _) = (device["messages"] for device in json.loads(capsys.readouterr().out)["devices"])
    assert messages[0]["telemetry"][0] == {"key": "id", "type": "string", "slice": 'the value named "ID"'}


@pytest.mark.parametrize("family", SECTIONS)
def test_check_has_words_for_each_family(family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """None of them is refused, and every point has its row."""
    path = write_config(tmp_path, SECTIONS[family])
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    points = [
        point
        for message in SECTIONS[family].get("messages", [SECTIONS[family]])
        for point in message.get("telemetry", [])
    ]
    assert all(f"  {point['key']} " in said for point in points)


@pytest.mark.parametrize("params", ["A", "", "zz"])
def test_params_that_no_checksum_can_be_added_to_are_the_error_of_the_call(params: str, tmp_path: Path) -> None:
    """What the platform says never ends the process that writes it: the checksum is over more than these bytes."""
    section = SECTIONS["jbd-bms"] | {
        "serverSideRpc": [{"method": "raw", "template": "${params}"}],
        "attributeUpdates": [{"attributeOnPlatform": "raw", "stringToDevice": "${raw}"}],
    }
    device, _ = read_device(tmp_path, **section)
    with pytest.raises(ConversionError, match=r"params can't be converted|No data"):
        rpc_writes(device, device.rpcs[0], json.dumps(params).encode())
    with pytest.raises(ConversionError):
        update_writes(device, json.dumps({"raw": params}).encode())
