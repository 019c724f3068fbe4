"""What is written to a device stands on the line as its frames do: start, checksum, escapes, end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from common.config.models import Device
from common.conversion.calls import rpc_of, rpc_writes, update_writes
from common.core.errors import ConfigError
from common.core.frame_shape import Checksum, Escape
from common.core.sending import encode_cobs, escaped_in, escapes_of, framed
from services.cli.__main__ import main
from services.cli.described import describe_device
from services.port_reader.core.framers import framer_of
from tests.field.reading import read_device, write_config

KAMSTRUP: dict[str, Any] = {
    "framing": {
        "start": "hex:40",
        "end": "\r",
        "escape": {"byte": "hex:1B", "xor": "0xFF"},
        "strip": [1, 1],
        "skip": "<ACK>",
    },
    "checksum": {"type": "crc16-xmodem", "from": 1, "to": -1, "result": 0},
    "send": {"start": "hex:80", "checksum": True, "escape": True, "end": "\r"},
}
"""A Multical: what it is asked begins with 80, what it answers with 40."""
ASKED: dict[str, Any] = {"messages": [{"name": "flow", "ask": "hex:3F 10 01 00 80", "every": 60}]}
CALLED: dict[str, Any] = {
    "serverSideRpc": [
        {"method": "register", "type": "int", "ask": "hex:3F 10 01 ${params}", "bytesLength": 2},
        {"method": "raw", "type": "hex", "ask": "${params}"},
    ],
    "attributeUpdates": [{"attributeOnThingsBoard": "name", "stringToDevice": "N${name}"}],
}


def sent_by(device: Device) -> list[str]:
    """All that is sent to it by itself, in hexadecimal."""
    assert device.asking is not None
    steps = [*device.asking.init, *(step for ask in device.asking.asks for step in ask.steps)]
    return [step.data.hex(" ").upper() for step in steps if step.kind == "send"]


def called(device: Device, method: str, params: str) -> str:
    rpc = rpc_of(device, method)
    assert rpc is not None
    return b"".join(rpc_writes(device, rpc, params.encode())).hex(" ").upper()


def test_a_question_to_a_multical_is_escaped_with_its_checksum(tmp_path: Path) -> None:
    """The example of the maker's document: the register 80 is what begins a question, so it is sent as 1B 7F."""
    device, warnings = read_device(tmp_path, **KAMSTRUP, **ASKED)
    assert sent_by(device) == ["80 3F 10 01 00 1B 7F D4 08 0D"]
    assert not warnings


def test_what_is_told_after_an_opening_is_escaped_too(tmp_path: Path) -> None:
    """Each step by itself; in the first one a byte of its checksum, too."""
    device, _ = read_device(tmp_path, **KAMSTRUP, init=[{"send": "hex:3F 0D"}, {"wait": 0.1}, {"send": "hex:3F 01"}])
    assert sent_by(device) == ["80 3F 1B F2 C4 1B F9 0D", "80 3F 01 05 8A 0D"]


def test_params_that_hold_the_start_and_the_end_go_out_escaped(tmp_path: Path) -> None:
    """A call and an attribute update, byte for byte; the device that unescapes them gets what was meant."""
    device, _ = read_device(tmp_path, **KAMSTRUP, **CALLED)
    assert called(device, "raw", '"3F 10 01 00 80"') == "80 3F 10 01 00 1B 7F D4 08 0D"
    written = called(device, "raw", '"80 40 0D 06 1B"')
    assert written.startswith("80 1B 7F 1B BF 1B F2 1B F9 1B E4 ")
    assert written.endswith(" 0D")
    framing = {**KAMSTRUP["framing"], "start": "hex:80"}
    meter, _ = read_device(tmp_path, **{**KAMSTRUP, "framing": framing})
    updated, _ = update_writes(device, b'{"name": "\\r@"}')
    (content, another) = framer_of(meter.framing).feed(bytes.fromhex(written) + b"".join(updated))
    assert content[:-2] == bytes.fromhex("80400D061B")
    assert another[:-2] == b"N\r@"


@pytest.mark.parametrize(
    ("framing", "send", "data", "written"),
    [
        ("slip", {"escape": True, "end": "hex:C0"}, "01 C0 DB 02", "01 DB DC DB DD 02 C0"),
        ("slip", {"start": "hex:C0", "escape": True, "end": "hex:C0"}, "C0", "C0 DB DC C0"),
        ("cobs", {"escape": True, "end": "hex:00"}, "01 00 02", "02 01 02 02 00"),
        (
            {"start": "hex:7E", "end": "hex:7E", "escape": {"byte": "hex:7D", "xor": "0x20"}},
            {"start": "hex:7E", "checksum": {"type": "sum8", "from": 1}, "escape": True, "end": "hex:7E"},
            "7E 7D 83",
            # The sum is 7E itself.
            "7E 7D 5E 7D 5D 83 7D 5E 7E",
        ),
        (
            {"start": "<DLE><STX>", "end": "<DLE><ETX>", "escape": {"byte": "<DLE>", "double": True}},
            {"start": "<DLE><STX>", "escape": True, "end": "<DLE><ETX>"},
            "02 10 03",
            "10 02 02 10 10 03 10 03",
        ),
        (
            {"start": "hex:7E", "length": {"at": 2, "plus": 4}, "escape": {"byte": "hex:7D", "xor": "0x20"}},
            {
                "start": "hex:7E",
                "checksum": {"type": "not8", "from": 3},
                "escape": {"byte": "hex:7D", "xor": "0x20", "also": "hex:11 13"},
            },
            "00 02 13 7E",
            "7E 00 02 7D 33 7D 5E 6E",
        ),
        (
            {"end": "\n"},
            {"escape": {"byte": "/", "map": {"n": "\n", "/": "/"}}, "end": "\n"},
            "61 0A 2F",
            "61 2F 6E 2F 2F 0A",
        ),
    ],
    ids=["slip", "slip, begun", "cobs", "hdlc in the async way", "doubled", "xbee", "of its own"],
)
def test_each_kind_of_escape_is_written(
    framing: Any, send: dict[str, Any], data: str, written: str, tmp_path: Path
) -> None:
    """By the framing's own escape, or by one that `send` has for itself."""
    device, warnings = read_device(
        tmp_path, framing=framing, send=send, messages=[{"name": "a", "ask": f"hex:{data}", "every": 5}]
    )
    assert sent_by(device) == [written]
    assert not [text for text in warnings if "send" in text]


@pytest.mark.parametrize(
    ("framing", "send", "problem"),
    [
        ("lines", {"escape": True, "end": "\n"}, "send.escape: found true, and the frames have no escape"),
        ("hdlc", {"escape": True}, "send.escape: found true, and the frames have no escape"),
        ("slip", {"escape": 1}, "send.escape: found 1"),
        ("slip", {"start": "hex:AA", "escape": True, "end": "hex:C0"}, "send.escape: found no way to write AA inside"),
        ("slip", {"escape": {"byte": "hex:DB"}}, "send.escape: found nothing that says what is meant"),
        ("slip", {"escape": {"byte": "hex:DB", "map": {"hex:DC": "hex:C0"}}}, "no way to write DB inside"),
        ("cobs", {"start": "hex:AA", "escape": True}, 'send.start: found "start" before COBS'),
        ("cobs", {"escape": True, "end": "hex:0D"}, "send.end: found CR (0D)"),
        ("cobs", {"escape": True}, "send.end: found nothing"),
    ],
)
def test_what_cannot_be_sent_is_refused(framing: Any, send: dict[str, Any], problem: str, tmp_path: Path) -> None:
    """With the place, and what was found there."""
    with pytest.raises(ConfigError) as caught:
        read_device(tmp_path, framing=framing, send=send, messages=[{"name": "a", "ask": "A", "every": 5}])
    assert problem in str(caught.value)


def test_check_advises_an_escape_where_the_frames_have_one(tmp_path: Path) -> None:
    """Whoever lets `send` make messages, and forgets it, is told; whoever says that there is none is not."""
    told = {"end": "hex:C0"}
    _, warnings = read_device(tmp_path, framing="slip", send=told, ask="A", every=5)
    assert any("send" in text and '"escape": true' in text for text in warnings), warnings
    _, warnings = read_device(tmp_path, framing="slip", send={**told, "escape": False}, ask="A", every=5)
    assert not any("send" in text for text in warnings)


def test_an_escaped_byte_that_is_special_itself_is_warned_of(tmp_path: Path) -> None:
    """0D XOR 20 is 2D, which ends a frame here."""
    framing = {"start": "\r", "end": "-", "escape": {"byte": "hex:7D", "xor": "0x20"}}
    send = {"start": "\r", "escape": True, "end": "-"}
    _, warnings = read_device(tmp_path, framing=framing, send=send, ask="A", every=5)
    assert any("0D is sent as 7D 2D" in text for text in warnings), warnings


def test_check_says_what_is_escaped_and_what_is_put_around_it(tmp_path: Path) -> None:
    """Of questions the bytes as they go out, of calls and updates what is added, and once how it is escaped."""
    device, _ = read_device(tmp_path, **KAMSTRUP, **ASKED, **CALLED)
    text = "\n".join(describe_device(device))
    assert "sends 80 3F 10 01 00 1B 7F D4 08 0D" in text
    assert "inside all that is sent stands 06 as 1B F9, 0D as 1B F2, 1B as 1B E4, 40 as 1B BF, 80 as 1B 7F" in text
    assert 'writes 80, then "${params}" with params as hex, then its checksum and CR (0D), escaped' in text
    assert 'writes 80, then "N${name}", then its checksum and CR (0D), escaped' in text


def test_try_says_what_of_a_call_is_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the bytes, which are those on the line."""
    path = write_config(tmp_path, {"name": "meter", **KAMSTRUP, **CALLED})
    call = ["try", str(path), "meter", "--rpc", "raw", "--params", '"3F 10 01 00 80"']
    assert main(call) == 0
    said = capsys.readouterr().out
    assert "written to meter, 10 bytes: " in said
    assert "(hex 803f1001001b7fd4080d)\nescaped: 80 as 1B 7F\n" in said
    assert main([*call, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"bytes_hex": "803f1001001b7fd4080d", "escaped": {"80": "1B7F"}}


def test_cobs_is_told_by_its_name(tmp_path: Path) -> None:
    """Its bytes are in no table."""
    device, _ = read_device(tmp_path, framing="cobs", send={"escape": True, "end": "hex:00"}, ask="A", every=5)
    assert "all that is sent is COBS" in "\n".join(describe_device(device))


def test_what_is_escaped_in_a_message_can_be_named() -> None:
    """Each kind once, in the order in which they stand; an escape byte's own escape is no other's beginning."""
    escapes = escapes_of(Escape(byte=0x1B, xor=0xFF), (0x80, 0x0D))
    written = framed(b"\x1b\x80\x0d\x80", start=b"\x80", escapes=escapes, end=b"\r")
    assert escaped_in(written, b"\x80", escapes, b"\r") == [
        (0x1B, b"\x1b\xe4"),
        (0x80, b"\x1b\x7f"),
        (0x0D, b"\x1b\xf2"),
    ]


@given(data=st.binary(max_size=600))
def test_cobs_is_the_one_of_others(data: bytes) -> None:
    """An implementation of somebody else's is the oracle."""
    assert encode_cobs(data) == cobs.encode(data)


@pytest.mark.parametrize("size", [253, 254, 255, 508, 509])
def test_cobs_of_long_runs(size: int) -> None:
    """Where a block is full, at the end and before a zero."""
    for data in (b"x" * size, b"x" * size + b"\0", b"\0" + b"x" * size + b"\0y"):
        assert encode_cobs(data) == cobs.encode(data)


@given(
    data=st.binary(min_size=1, max_size=40),
    checksum=st.sampled_from([Checksum(type="crc16-xmodem", from_byte=1, to_byte=-1, result=0), None]),
)
def test_what_is_written_is_read_back(data: bytes, checksum: Checksum | None) -> None:
    """No start, end or escape byte is left inside, whatever the data and its checksum are."""
    special = (0x80, 0x40, 0x0D, 0x06)
    escapes = escapes_of(Escape(byte=0x1B, xor=0xFF), special)
    written = framed(data, start=b"\x80", checksum=checksum, escapes=escapes, end=b"\r")
    assert not {0x80, 0x40, 0x0D, 0x06} & set(written[1:-1])
    undone = bytearray()
    following = iter(written[1:-1])
    for byte in following:
        undone.append(next(following) ^ 0xFF if byte == 0x1B else byte)
    assert bytes(undone[: len(data)]) == data
