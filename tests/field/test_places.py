"""Values that stand elsewhere than behind a delimiter: what people's devices say, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.conversion.joint import compile_section
from common.conversion.outcomes import BatchResult
from common.core.errors import ConfigError
from tests.devices.families import SECTIONS, values_of
from tests.field.reading import read_device


def read(folder: Path, frames: list[bytes], **section: Any) -> BatchResult:
    """What becomes of frames under a section that says nothing wrong."""
    device, warnings = read_device(folder, **section)
    assert not warnings
    return compile_section(device).convert_batch(frames)


def values(folder: Path, *frames: bytes, **section: Any) -> list[dict[str, Any]]:
    result = read(folder, list(frames), **section)
    return [values_of(result, index) for index in range(len(frames))]


def one(**point: Any) -> list[dict[str, Any]]:
    return [{"key": "v", **point}]


# --- bytes from 0x80 up, and texts in other encodings (kind 3) ---


def test_bytes_behind_a_delimiter_of_high_bytes_are_a_number(tmp_path: Path) -> None:
    """An event of a display: code, page, component, and three FF behind it."""
    points = [{"key": "event", "at": 0, "length": 4}, {"key": "page", "at": 1, "type": "uint8"}]
    found = values(tmp_path, b"\x65\x00\x02\x01\xff\xff\xff", delimiter="hex:FF FF FF", telemetry=points)
    assert found == [{"event": "65000201", "page": 0}]


@pytest.mark.parametrize(
    ("frame", "encoding", "text"),
    [
        (b"Temp 23\xb0C\r\n", "latin-1", "Temp 23°C"),
        (b"T\x81r\r\n", "cp437", "Tür"),
        ("температура".encode("koi8-r") + b"\r\n", "koi8-r", "температура"),
        ("重量".encode("shift_jis") + b"\r\n", "Shift_JIS", "重量"),
    ],
)
def test_text_in_another_encoding_is_read_where_it_is_named(
    frame: bytes, encoding: str, text: str, tmp_path: Path
) -> None:
    """Of one point, or of all of a device."""
    assert values(tmp_path, frame, telemetry=one(type="string", encoding=encoding)) == [{"v": text}]
    assert values(tmp_path, frame, encoding=encoding, telemetry=one(type="string")) == [{"v": text}]


def test_a_separator_may_be_any_byte(tmp_path: Path) -> None:
    """Fields between bytes that are no character, and marks for no value in them."""
    points = [{"key": "a", "field": 0, "type": "int"}, {"key": "b", "field": 1, "type": "int", "invalid": "hex:FF"}]
    assert values(tmp_path, b"12\xfe34\n", b"12\xfe\xff\n", fields="hex:FE", telemetry=points) == [
        {"a": 12, "b": 34},
        {"a": 12},
    ]


# --- words for true and false (kind 5) ---


@pytest.mark.parametrize(
    ("said", "words", "value"),
    [
        (b"ON", {}, True),
        (b"AUS", {"falseText": "AUS"}, False),
        (b"1", {"trueText": "0", "falseText": "1"}, False),
        (b"OPEN", {"trueText": ["OPEN", "AUF"]}, True),
    ],
)
def test_words_for_true_and_false_are_said(said: bytes, words: dict[str, Any], value: bool, tmp_path: Path) -> None:
    """The known ones, and the device's own, in a place as in a frame."""
    section = {"pattern": "VALVE {s}", "telemetry": one(name="s", type="bool", **words)}
    assert values(tmp_path, b"VALVE " + said + b"\r\n", **section) == [{"v": value}]


def test_a_word_that_is_neither_is_an_error_with_its_reason(tmp_path: Path) -> None:
    """It is not false in silence."""
    result = read(tmp_path, [b"VALVE half\n"], pattern="VALVE {s}", telemetry=one(name="s", type="bool"))
    assert "found 'half', expected a number, or a word for true" in result.dead[0]


# --- numbers as instruments print them (kind 6) ---


@pytest.mark.parametrize(
    ("frame", "point", "value"),
    [
        (b"-   0.123kg\r\n", {"type": "float", "unit": "kg"}, -0.123),
        (b"23,5\r\n", {"type": "float", "decimal": ",", "min": 0}, 23.5),
        (b"+ 0012,50 kg \r\n", {"type": "float", "decimal": ",", "unit": "kg"}, 12.5),
        (b"0x1F\r\n", {"type": "hexint", "max": 255}, 31),
        (b"  ff \r\n", {"type": "hexint", "signBit": 7}, -127),
        (b"00001010\r\n", {"type": "bits", "bits": [3, 1]}, 5),
        (b"2302\r\n", {"type": "int", "scale": 0.1}, 230.2),
        (b"1.5E-3\r\n", {"type": "float", "scale": 1000, "decimals": 3}, 1.5),
    ],
)
def test_numbers_are_read_as_they_are_printed(
    frame: bytes, point: dict[str, Any], value: object, tmp_path: Path
) -> None:
    """Sign and blanks, comma, unit, hexadecimal and binary digits, and what they are multiplied by."""
    assert values(tmp_path, frame, telemetry=one(**point)) == [{"v": value}]


def test_a_number_in_another_unit_is_an_error(tmp_path: Path) -> None:
    """12.5 g are not 12.5 kg."""
    result = read(tmp_path, [b"12.5 g\r\n"], telemetry=one(type="float", unit="kg"))
    assert list(result.dead) == [0]


# --- places (kind 7) ---


def test_values_stand_between_commas(tmp_path: Path) -> None:
    """The first, the second, and the last one; a line with fewer lacks those that it does not have."""
    points = [{"key": key, "field": at, "type": "float"} for key, at in (("a", 0), ("b", 1), ("c", 2))]
    points.append({"key": "last", "field": -1, "type": "float"})
    assert values(tmp_path, b"23.5,45.2,1013\r\n", b"23.5\r\n", b"1,,2\r\n", fields=",", telemetry=points) == [
        {"a": 23.5, "b": 45.2, "c": 1013.0, "last": 1013.0},
        {"a": 23.5, "last": 23.5},
        {"a": 1.0, "c": 2.0, "last": 2.0},
    ]


def test_values_stand_between_runs_of_blanks(tmp_path: Path) -> None:
    """However many there are."""
    points = [{"key": "a", "field": 0}, {"key": "b", "field": 1, "type": "int"}]
    assert values(tmp_path, b"  one   2\t\r\n", fields=" ", telemetry=points) == [{"a": "one", "b": 2}]


def test_values_have_names(tmp_path: Path) -> None:
    """In any order; blanks around a name are none of it."""
    points = [{"key": "t", "name": "T", "type": "float"}, {"key": "h", "name": "H", "type": "float"}]
    frames = (b"T=21.4 H=48\r\n", b"H=48 T=21.4\r\n", b"X=1\r\n")
    assert values(tmp_path, *frames, pairs=[" ", "="], telemetry=points) == [
        {"t": 21.4, "h": 48.0},
        {"t": 21.4, "h": 48.0},
        {},
    ]


def test_a_pattern_names_what_is_wanted(tmp_path: Path) -> None:
    """A delimiter and bytes together: what is between fixed words, whatever its length."""
    points = [{"key": "flow", "name": "flow", "type": "float"}, {"key": "unit", "name": "unit"}]
    section = {"pattern": "FLOW: {flow} {unit} ({})", "telemetry": points}
    assert values(tmp_path, b"FLOW:   12.5  l/min (ok)\r\n", **section) == [{"flow": 12.5, "unit": "l/min"}]
    result = read(tmp_path, [b"FLOW: 12.5\r\n"], **section)
    assert result.dead == {0: "no message fits"}
    assert result.unfit == 1


# --- JSON (kind 8) ---


def test_members_of_json_are_values_of_their_own(tmp_path: Path) -> None:
    """The chosen ones, also within others."""
    points = [{"key": "temp", "path": "temp"}, {"key": "hum", "path": "hum"}, {"key": "x", "path": "pos.x"}]
    frame = b'{"temp":23.5,"hum":40,"pos":{"x":1}}\r\n'
    assert values(tmp_path, frame, telemetry=points) == [{"temp": 23.5, "hum": 40, "x": 1}]


def test_one_bad_member_takes_no_other_with_it(tmp_path: Path) -> None:
    """A member that is null is no value, one of another kind an error, one that is missing absent."""
    points = [{"key": key, "path": key, "type": "float"} for key in ("a", "b", "c", "d")]
    result = read(tmp_path, [b'{"a":1,"b":null,"c":"off"}\n'], telemetry=points)
    assert values_of(result) == {"a": 1.0}
    assert (result.nothing, result.errors, result.absent, result.dead) == (1, 1, 1, {})
    assert result.error_sample.startswith("c: found 'off', expected a finite decimal number")


def test_members_of_lists_and_members_with_dots(tmp_path: Path) -> None:
    """`ch[1].v`, `ch[-1].v`, `["a.b"]`; a number in quotes where a number is wanted."""
    points = [
        {"key": "one", "path": "ch[1].v", "type": "int"},
        {"key": "last", "path": "ch[-1].v"},
        {"key": "dot", "path": '["a.b"]', "map": {"3": "three"}},
    ]
    frame = b'{"ch":[{"v":1},{"v":"2"},{"v":3}],"a.b":3}\n'
    assert values(tmp_path, frame, telemetry=points) == [{"one": 2, "last": 3, "dot": "three"}]


def test_what_is_no_json_is_a_dead_letter_with_one_reason(tmp_path: Path) -> None:
    """However many points wanted something of it."""
    points = [{"key": key, "path": key} for key in "abc"]
    result = read(tmp_path, [b"OK\r\n"], telemetry=points)
    assert result.dead[0].startswith("a, b, c: found 'OK', expected JSON")


# --- binary and arithmetic (kind 9) ---


def test_digits_that_end_a_frame_are_tenths(tmp_path: Path) -> None:
    """A meter's frame whose first digits say which quantity it is."""
    section = {"delimiter": "\r", "telemetry": one(regex=r"^\x024201.*(\d{5})\r$", type="int", scale=0.1)}
    assert values(tmp_path, b"\x0242010100000194\r", **section) == [{"v": 19.4}]


@pytest.mark.parametrize(
    ("frame", "point", "value"),
    [
        (b"\x00\xe6\n", {"at": 0, "type": "uint16", "scale": 0.1}, 23.0),
        (b"\x80\x14\n", {"at": 0, "type": "uint16", "signBit": 15, "scale": 0.1}, -2.0),
        (b"\x12\x34\x56\n", {"at": 0, "type": "bcd", "length": 3}, 123_456),
        (b"\x34\x12\n", {"at": 0, "type": "bcd", "length": 2, "byteorder": "little"}, 1234),
        (b"\x0b\x98\n", {"at": 0, "type": "uint16", "offset": -2731, "scale": 0.1, "decimals": 1}, 23.7),
        (b"\x05\n", {"at": 0, "bit": 2}, True),
        (b"\x02\n", {"at": 0, "type": "uint8", "map": {"2": "running"}}, "running"),
        (b"\xff\xfe\x70\n", {"at": 0, "type": "int24"}, -400),
    ],
)
def test_bytes_become_numbers(frame: bytes, point: dict[str, Any], value: object, tmp_path: Path) -> None:
    """Width, order, sign, digits, factor, bits and names."""
    assert values(tmp_path, frame, telemetry=one(**point)) == [{"v": value}]


def test_no_value_is_neither_zero_nor_a_dead_letter(tmp_path: Path) -> None:
    """Overload, a disconnected sensor, an empty field, a mark: each is counted, and nothing is sent."""
    section = {
        "fields": ",",
        "telemetry": [{"key": "v", "field": 0, "type": "float", "invalid": [9.9e37, "#"], "max": 100}],
    }
    frames = [b"9.9E37,\n", b",\n", b"#,\n", b"100.5,\n", b"0,\n"]
    result = read(tmp_path, frames, **section)
    assert [values_of(result, index) for index in range(5)] == [{}, {}, {}, {}, {"v": 0.0}]
    assert (result.nothing, result.absent, result.errors, result.dead) == (4, 0, 0, {})


def test_a_value_that_a_map_does_not_name_is_an_error(tmp_path: Path) -> None:
    """A new state of a device is not lost in silence."""
    result = read(tmp_path, [b"\x07\n"], telemetry=one(at=0, type="uint8", map={"0": "off"}))
    assert result.dead == {0: "v: found 7, which is one that \"map\" has no name for: '7'"}


# --- messages ---


def test_the_first_message_that_fits_takes_the_frame(tmp_path: Path) -> None:
    """A refusal is told by its own words, a blank line is no dead letter."""
    messages = [
        {"name": "refused", "when": "^ERR", "error": "the device does not know it"},
        {"name": "hot", "when": "^T9", "telemetry": [{"key": "alarm", "value": True}]},
        {"name": "all", "when": "^T", "telemetry": [{"key": "t", "regex": "^T(\\d+)", "type": "int"}]},
    ]
    result = read(tmp_path, [b"T95\n", b"T20\n", b"ERR 7\n", b"\r\n", b"?\n"], messages=messages)
    assert [values_of(result, index) for index in range(5)] == [{"alarm": True}, {"t": 20}, {}, {}, {}]
    assert result.dead == {2: "the device does not know it", 4: "no message fits"}
    assert (result.blank, result.unfit) == (1, 1)


def test_what_was_asked_says_which_message_an_answer_is(tmp_path: Path) -> None:
    """Two questions whose answers look alike; a refusal is one whatever was asked."""
    messages = [
        {"name": "refused", "when": "^E", "error": "refused"},
        {"name": "speed", "pattern": "{v}", "telemetry": [{"key": "speed", "name": "v", "type": "int"}]},
        {"name": "power", "regex": "^(?P<v>.*)\n", "telemetry": [{"key": "power", "name": "v", "type": "int"}]},
    ]
    converter = compile_section(read_device(tmp_path, messages=messages)[0])
    assert json.loads(converter.convert_batch([b"7\n"], (), "power").telemetry[0]) == {"power": 7}
    assert json.loads(converter.convert_batch([b"7\n"], (), "speed").telemetry[0]) == {"speed": 7}
    asked = converter.convert_batch([b"E\n"], (), "power")
    assert (asked.dead, asked.errors, asked.error_sample) == ({}, 1, "power: refused")
    assert converter.convert_batch([b"E\n"]).dead == {0: "refused"}
    assert converter.refusal_of(b"E\n") == "refused"


# --- what a configuration can't mean ---


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"telemetry": one(at=0, field=1)}, "telemetry[0].field: found field beside at"),
        ({"telemetry": one(at=0, fromByte=1)}, "telemetry[0].fromByte: found fromByte beside at"),
        ({"telemetry": one(at=0, type="uin16")}, 'telemetry[0].type: found "uin16"'),
        ({"telemetry": one(field=0)}, "telemetry[0].field: found field where nothing separates fields"),
        ({"telemetry": one(name="x"), "pattern": "{a}"}, 'telemetry[0].name: found "x", expected one of "a"'),
        ({"telemetry": one(regex="(")}, 'telemetry[0].regex: found "(" (missing )'),
        ({"telemetry": one(obis="1.8.0", type="uint16")}, 'telemetry[0].type: found "uint16", a number in binary'),
        ({"telemetry": one(obis="8")}, 'telemetry[0].obis: found "8" (no OBIS code)'),
        ({"telemetry": one(mbus="enery")}, 'telemetry[0].mbus: found "enery" (no record of that name'),
        ({"telemetry": one(mbus="energy", unit="bar")}, 'telemetry[0].unit: found "bar" of energy'),
        ({"telemetry": one(path="a..b")}, 'telemetry[0].path: found "a..b"'),
        ({"telemetry": one(value=None)}, "telemetry[0].value: found null"),
        ({"telemetry": one(at=0, type="uint8", bit=8)}, "telemetry[0].type: found bit 8 of uint8"),
        ({"telemetry": one(at=0, type="int8", signBit=7)}, "telemetry[0].signBit: found signBit of int8"),
        ({"telemetry": one(at=0, type="uint24", byteorder="CDAB")}, "telemetry[0].byteorder: found CDAB of uint24"),
        ({"telemetry": one(at=0, type="uint8", scale=0)}, "telemetry[0].scale: found 0"),
        ({"telemetry": one(at=0, type="uint8", scale=2, map={"1": "x"})}, "telemetry[0].scale: found scale beside map"),
        ({"telemetry": one(at=0, type="string", scale=2)}, 'telemetry[0].scale: found scale of "string"'),
        ({"telemetry": one(at=0, type="uint8", min=2, max=1)}, "telemetry[0].min: found 2"),
        ({"telemetry": one(at=0, type="uint16", length=3)}, "telemetry[0].length: found 3"),
        ({"telemetry": one(regex=".", type="time", zone="Mars")}, 'telemetry[0].zone: found "Mars"'),
        ({"telemetry": one(regex=".", type="time", format="dmy")}, 'telemetry[0].format: found "dmy"'),
        ({"telemetry": one(type="string", encoding="utf-99")}, 'telemetry[0].encoding: found "utf-99"'),
        ({"messages": []}, "messages: found an empty list"),
        ({"messages": [{"telemetry": []}], "fields": ","}, 'fields: found fields beside "messages"'),
        ({"messages": [{"telemetry": []}, {"when": "x"}]}, "messages[1].when: found a message behind"),
        ({"messages": [{"name": "a", "when": "x"}, {"name": "a"}]}, 'messages[1].name: found "a", as in'),
        ({"when": {"at": 1}}, "when.is: found nothing"),
        (
            {
                "framing": {"start": "hex:DD", "length": {"at": 3, "plus": 7}, "end": "hex:77"},
                "checksum": {"type": "neg16", "from": 2, "at": -3},
                "send": {"checksum": True, "end": "hex:77"},
                "messages": [{"name": "a", "ask": "hex:DD", "every": 5}],
            },
            'messages[0].ask: found bytes without what the checksum of "send" is over',
        ),
        ({"messages": [{"name": "a", "when": "hex:F", "reply": "<ACK>"}]}, 'messages[0].when: found "hex:F"'),
        ({"messages": [{"name": "a", "regex": "(", "reply": "<ACK>"}]}, 'messages[0].regex: found "("'),
        ({"messages": [{"name": "a", "ask": "A", "every": 1, "when": "("}]}, 'messages[0].when: found "("'),
        ({"pattern": "{a}{b}"}, 'pattern: found "{a}{b}" (two names with no text between them)'),
        ({"pairs": [";", ";"]}, 'pairs: found ";" twice'),
        ({"decode": {"minus": 0}}, "decode: found nothing to be done"),
        ({"timestamp": {"format": "iso"}}, "timestamp: found no place"),
        ({"device": {"name": "${id}"}, "telemetry": one(at=0)}, 'device.name: found "${id}"'),
        (
            {"framing": {"start": "hex:AA", "length": 4}, "telemetry": one(at=3, type="uint16")},
            'telemetry[0].at: found "v" up to byte 4 of a frame of 4 bytes',
        ),
        (
            {"framing": {"start": "hex:AA", "length": 4}, "when": {"at": 0, "is": "hex:AB"}},
            "when: found AB at byte 0, where no frame has it",
        ),
    ],
)  # fmt: skip
def test_what_can_not_work_is_refused(section: dict[str, Any], problem: str, tmp_path: Path) -> None:
    """With its place, what was found, and what would be right."""
    with pytest.raises(ConfigError) as refused:
        read_device(tmp_path, **section)
    assert any(f"devices[0].{problem}" in text and ", expected " in text for text in refused.value.problems), (
        refused.value.problems
    )


def test_a_device_without_new_keys_is_read_as_ever(tmp_path: Path) -> None:
    """It has no messages, and its points no place."""
    device, _ = read_device(tmp_path, telemetry=[{"key": "t", "type": "float", "fromDelimiter": "T="}])
    assert not device.messages
    assert [point.place for point in device.telemetry] == [None]


def test_another_message_than_the_one_asked_for_is_known(tmp_path: Path) -> None:
    """A scale that is busy, or overloaded, when its weight is asked."""
    section = dict(SECTIONS["mt-sics"])
    converter = compile_section(read_device(tmp_path, **section)[0])
    result = converter.convert_batch([b"S I\r\n", b"S +\r\n", b"S S  1.0 g\r\n"], (), "weight")
    assert (result.dead, result.errors, result.error_sample) == ({}, 1, "weight: not executable now")
    assert [values_of(result, index) for index in (1, 2)] == [
        {"overload": True},
        {"weight": 1.0, "unit": "g", "stable": True},
    ]


def test_a_message_that_cannot_take_a_frame_apart_leaves_it_to_others(tmp_path: Path) -> None:
    """Unless it has said that such frames are its own."""
    points = [{"key": "n", "at": 0, "type": "uint8"}]
    text = {"name": "text", "regex": "^(?P<t>.*)\n", "telemetry": [{"key": "t", "name": "t"}]}
    digits = {"name": "digits", "decode": {"as": "hex"}, "pattern": "{}", "telemetry": points}
    assert values(tmp_path, b"0A\n", b"OK\n", messages=[digits, text]) == [{"n": 10}, {"t": "OK"}]
    result = read(tmp_path, [b"OK\n"], messages=[digits | {"when": "^."}, text])
    assert result.dead == {0: "decode: found 'OK', expected pairs of hexadecimal digits"}
