"""`framing` and `checksum` in a device section: what is understood, and what is refused with a sentence."""

from __future__ import annotations

import json

import pytest

from common.config.device.named_framings import NAMED
from common.config.framing import Framing
from common.config.models import Device, device_of, section_of
from common.core.control_names import no_names_in, protocol_bytes
from common.core.frame_shape import FRAMING_NAMES, Checksum, Crc, Escape, Field, Length, Shape
from tests.support.framing import FRAMINGS, framing_of, read


def problems(section) -> list[str]:
    framing, findings = read(section)
    assert not findings.problems or framing.kind == "delimiter" or framing.shapes
    return findings.problems


def test_all_keys_of_a_shape():
    """Each in its field."""
    framing = framing_of(
        {
            "maxFrameBytes": 500,
            "firstFrame": "keep",
            "framing": {
                "start": ["hex:7E", "<SOH>"],
                "end": "<ETX>",
                "length": {
                    "at": 1,
                    "type": "uint16",
                    "byteorder": "little",
                    "mask": "0x7FF",
                    "times": 2,
                    "plus": 4,
                    "add": {"at": 3},
                    "headerChecksum": {"type": "crc8", "from": 1, "to": 4, "at": 4},
                },
                "escape": {"byte": "hex:7D", "xor": "0x20"},
                "restart": False,
                "strip": [1, 2],
                "skip": "\r\n",
                "partialMs": 700,
                "mask": 127,
            },
            "checksum": [
                {"width": 16, "poly": "0x8005", "init": 65535, "refin": True, "refout": True, "as": "little", "at": -3},
                {
                    "type": "sum8",
                    "from": 1,
                    "toAfter": "=",
                    "after": "*",
                    "unit": "hexPairs",
                    "mask": "0x3F",
                    "plus": 32,
                },
            ],
        }
    )
    assert framing == Framing(
        kind="shapes",
        max_frame_bytes=500,
        first_frame="keep",
        skip=b"\r\n",
        partial_ms=700,
        mask=0x7F,
        shapes=(
            Shape(
                starts=(b"\x7e", b"\x01"),
                ends=(b"\x03",),
                length=Length(
                    fields=(Field(at=1, type="uint16", byteorder="little", mask=0x7FF, times=2), Field(at=3)),
                    plus=4,
                    header_checksum=Checksum(type="crc8", from_byte=1, to_byte=4, at_byte=4),
                ),
                escape=Escape(byte=0x7D, xor=0x20),
                strip=(1, 2),
                checksums=(
                    Checksum(
                        crc=Crc(width=16, poly=0x8005, init=0xFFFF, refin=True, refout=True),
                        spelling="little",
                        at_byte=-3,
                    ),
                    Checksum(type="sum8", from_byte=1, to_after=b"=", after=b"*", hex_pairs=True, mask=0x3F, plus=32),
                ),
            ),
        ),
    )


def test_a_section_with_shapes_comes_back():
    """What is journaled with frames, and what converters ask for."""
    for section in FRAMINGS.values():
        device = Device(framing=framing_of(section))
        assert device_of(section_of(device)) == device
        assert json.loads(section_of(device))["framing"]["kind"] == "shapes"


def test_every_name_stands_for_shapes():
    """And there is no other."""
    assert tuple(NAMED) == FRAMING_NAMES
    for name in NAMED:
        framing, findings = read({"framing": name})
        assert (framing.named, findings.problems, findings.warnings) == (name, [], [])
        assert framing.shapes == NAMED[name].shapes
    framing = framing_of({"framing": "slip", "checksum": {"type": "crc16-modbus", "as": "little", "at": -3}})
    assert framing.shapes[0].checksums == (Checksum(type="crc16-modbus", spelling="little", at_byte=-3),)


def test_a_checksum_of_the_device_is_that_of_shapes_without_one():
    """As in a list of which one shape has another."""
    framing = framing_of(
        {
            "framing": [
                {"start": "a", "length": 3},
                {"start": "b", "length": 3, "checksum": {"type": "xor8"}},
                {"start": "c", "length": 3, "checksum": []},
            ],
            "checksum": {"type": "sum8"},
        }
    )
    assert [[one.type for one in shape.checksums] for shape in framing.shapes] == [["sum8"], ["xor8"], []]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("AB\r\n", b"AB\r\n"),
        ("<STX>A<ETX>", b"\x02A\x03"),
        ("<DLE><STX>", b"\x10\x02"),
        ("<Idle|>", b"<Idle|>"),
        ("<stx>", b"<stx>"),
        ("<CRLF>", b"<CRLF>"),
        ("hex:AA C0", b"\xaa\xc0"),
        ("hex:0d0a", b"\r\n"),
        ("<DEL><XON>", b"\x7f\x11"),
    ],
)
def test_a_text_stands_for_bytes(text, data):
    """ASCII, control characters by their names, digits; what is no name is the text itself."""
    assert protocol_bytes(text) == data


def test_what_looks_like_a_name_and_is_none_is_said():
    """As the text itself is meant, which nobody meant."""
    assert no_names_in("<STX><CRLF><Idle>") == ["CRLF"]
    _, findings = read({"framing": {"end": "<CRLF>"}})
    assert findings.warnings == [
        "serial.json: devices[0].framing.end: no control character is called CRLF: the text <CRLF> itself is meant"
    ]


@pytest.mark.parametrize(
    ("section", "place", "found"),
    [
        ({"framing": {"length": 10}}, "framing.length", "a fixed length with nothing to find its beginning by"),
        ({"framing": {"length": {"at": 1}}}, "framing.length", "a length with nothing to find its beginning by"),
        ({"framing": {}}, "framing", "nothing that ends a frame"),
        ({"framing": {"start": "a"}}, "framing", "a start, and nothing that ends a frame"),
        ({"framing": 7}, "framing", "7, expected an object"),
        ({"framing": []}, "framing", "an empty list"),
        ({"framing": "nmae"}, "framing", '"nmae", expected "nmea"?'),
        ({"framing": "nmea", "checksum": {"type": "sum8"}}, "checksum", '"checksum" beside the framing nmea'),
        ({"framing": {"end": "é"}}, "framing.end", '"é", expected ASCII text'),
        ({"framing": {"end": "hex:0"}}, "framing.end", '"hex:0", expected pairs'),
        ({"framing": {"end": ["a", ""]}}, "framing.end", "a list, expected a text"),
        ({"framing": {"start": "a", "endPlus": 1, "length": 4}}, "framing.endPlus", '"endPlus" without "end"'),
        ({"framing": {"end": "a", "endUntil": "b"}}, "framing.endUntil", '"endUntil" without "start"'),
        ({"framing": {"start": "a", "end": "b", "silenceMs": 5}}, "framing.silenceMs", '"silenceMs" beside'),
        ({"framing": {"end": "b", "restart": True}}, "framing.restart", '"restart" without "start"'),
        ({"framing": {"start": "b", "end": "b", "restart": True}}, "framing.restart", "a start that stands in the end"),
        ({"framing": {"start": "abc", "length": 2}}, "framing.length", "2, expected at least 3"),
        ({"framing": {"start": "a", "length": 70_000}}, "framing.length", "70000, expected a whole number from 1"),
        ({"framing": {"start": "a", "length": {}}}, "framing.length.at", "nothing, expected the byte"),
        ({"framing": {"start": "a", "length": {"at": 1, "type": "uint64"}}}, "framing.length.type", '"uint64"'),
        ({"framing": {"start": "a", "end": "b", "escape": {"byte": "d"}}}, "framing.escape", "nothing that says"),
        ({"framing": {"start": "a", "end": "b", "escape": {"xor": 32}}}, "framing.escape.byte", "nothing"),
        ({"framing": {"start": "a", "end": "b", "escape": {"byte": "de", "xor": 32}}}, "framing.escape.byte", '"de"'),
        ({"framing": {"end": "b", "escape": {"byte": "d", "xor": 1}, "decode": "cobs"}}, "framing.decode", '"decode"'),
        ({"framing": {"start": "a", "decode": "cobs"}}, "framing.decode", '"cobs" beside'),
        ({"framing": {"start": "a", "length": 3, "strip": 1}}, "framing.strip", "1, expected two numbers"),
        ({"framing": [{"start": "a", "length": 3}, {"end": "b"}]}, "framing[1]", "a shape without a start"),
        ({"framing": [{"start": "a", "length": 3}, {"start": "a", "length": 4}]}, "framing[1].start", '"a", expected'),
        (
            {"framing": [{"start": "a", "length": 3, "mask": 127}, {"start": "b", "length": 3, "mask": 63}]},
            "framing[1].mask",
            "63, expected what the other shape says",
        ),
        (
            {"framing": [{"start": "a", "length": 3, "strip": [1, 0]}, {"start": "b", "length": 3}]},
            "framing[0].strip",
            "",
        ),
        ({"framing": {"end": "\n"}, "checksum": "sum8"}, "checksum", '"sum8", expected an object'),
        (
            {"framing": {"end": "\n"}, "checksum": {"type": "crc-modbus"}},
            "checksum.type",
            '"crc-modbus", expected "crc16-modbus"?',
        ),
        ({"framing": {"end": "\n"}, "checksum": {}}, "checksum.type", "nothing"),
        ({"framing": {"end": "\n"}, "checksum": {"width": 16}}, "checksum.poly", "nothing"),
        ({"framing": {"end": "\n"}, "checksum": {"width": 8, "poly": "0x107"}}, "checksum.poly", '"0x107"'),
        (
            {"framing": {"end": "\n"}, "checksum": {"type": "sum8"}},
            "checksum",
            'a checksum without "at", expected "at": -2',
        ),
        ({"framing": {"end": "\n"}, "checksum": {"type": "sum8", "at": -2, "after": "*"}}, "checksum.after", ""),
        (
            {"framing": {"end": "\n"}, "checksum": {"type": "sum8", "at": -2, "to": 3, "toAfter": "*"}},
            "checksum.toAfter",
            "",
        ),
        ({"framing": {"end": "\n"}, "checksum": {"type": "sum8", "result": 0, "at": 3}}, "checksum.result", ""),
        (
            {"framing": {"end": "\n"}, "checksum": {"type": "sum8", "from": 4, "to": 4, "at": 8}},
            "checksum.to",
            "4, expected",
        ),
        ({"framing": {"end": "\n"}, "checksum": {"type": "sum16", "at": -1}}, "checksum.at", "-1, expected -2 or less"),
        ({"framing": {"end": "\n"}, "checksum": {"type": "sum8", "from": 2, "at": 2}}, "checksum.at", "2, expected"),
        (
            {"framing": {"end": "\n"}, "checksum": {"type": "sum8", "from": 1, "to": 9, "at": 8}},
            "checksum.to",
            "9, expected at most 8",
        ),
        (
            {"framing": {"start": "a", "length": 8}, "checksum": {"type": "sum8", "at": 8}},
            "checksum",
            "a checksum of 1 bytes at byte 8",
        ),
        (
            {"framing": {"start": "a", "length": 8}, "checksum": {"type": "sum8", "from": 9, "at": -1}},
            "checksum",
            "a range from byte 9",
        ),
        (
            {"framing": {"start": "a", "length": 8}, "checksum": {"type": "sum8", "to": -1, "at": 5}},
            "checksum",
            "a range up to byte 6",
        ),
        ({"framing": {"start": "a", "end": "z"}, "checksum": {"type": "sum8", "each": "\n"}}, "checksum.each", '"\\n"'),
        (
            {"framing": {"start": "a", "end": "z"}, "checksum": {"type": "sum8", "each": ["b", "c"]}},
            "checksum",
            'a checksum of each part without "at"',
        ),
        (
            {"framing": {"start": "a", "end": "!", "endUntil": "\n"}, "checksum": {"type": "sum8"}},
            "checksum",
            'a checksum without "at"',
        ),
        ({"framing": {"end": "\n"}, "checksum": {"type": "sum8", "as": "sdi12", "at": -5}}, "checksum.as", '"sdi12"'),
    ],
)
def test_what_can_not_work_is_refused(section, place, found):
    """With its place, what was found, and what would be right."""
    said = problems(section)
    assert any(f"devices[0].{place}: found {found}" in one and ", expected " in one for one in said), said


def test_keys_of_the_delimiter_have_no_effect_beside_shapes():
    """They are warned of: one of both was meant."""
    _, findings = read({"framing": {"end": "\n"}, "delimiter": "\r", "timeout": 2})
    assert findings.warnings == [
        'serial.json: devices[0].delimiter: it has no effect beside "framing"',
        'serial.json: devices[0].timeout: it has no effect beside "framing"',
    ]


def test_a_slip_in_a_key_is_warned_of():
    """With the nearest key, in each of the objects."""
    _, findings = read(
        {
            "framing": {
                "start": "a",
                "lenght": 3,
                "end": "b",
                "restart": True,
                "escape": {"byte": "d", "xor": 1, "Map": 1},
            },
            "checksum": {"type": "sum8", "at": -2, "form": 1},
        }
    )
    assert [warning.split(": ", 1)[1] for warning in findings.warnings] == [
        'devices[0].checksum.form: unknown key, did you mean "from"?',
        'devices[0].framing.escape.Map: unknown key, did you mean "map"?',
        'devices[0].framing.lenght: unknown key, did you mean "length"?',
    ]


@pytest.mark.parametrize(
    ("checksum", "why"),
    [
        (None, "there is no checksum"),
        ({"type": "crc16-xmodem", "at": -3}, "this checksum also fits two frames in a row"),
    ],
)
def test_restart_is_advised_where_two_frames_may_pass_for_one(checksum, why):
    """Unless the configuration says either."""
    section = {"framing": {"start": "(", "end": "\r"}, **({"checksum": checksum} if checksum else {})}
    [warning] = read(section)[1].warnings
    assert why in warning
    assert read({**section, "framing": {**section["framing"], "restart": False}})[1].warnings == []
    assert read({**section, "checksum": {"type": "crc16-modbus", "at": -3}})[1].warnings == []
