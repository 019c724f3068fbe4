"""Words for true and false: known, or a device's own, or refused by name; and written as the device wants them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.config.models import device_of, section_of
from common.conversion.calls import convert_answer, rpc_writes, update_writes
from common.conversion.joint import compile_section
from common.core.errors import ConfigError, ConversionError
from services.port_reader.core.framers import framer_of
from tests.field.reading import convert, read_device, telemetry

RUN: dict[str, Any] = {"key": "run", "type": "bool"}


def _values(folder: Path, line: bytes, **point: Any) -> list[Any]:
    device, warnings = read_device(folder, telemetry=[{**RUN, **point}])
    assert warnings == []
    assert device_of(section_of(device)) == device
    result = convert(device, line)
    assert result.dead == {}
    return [reading["run"] for reading in telemetry(result)]


def test_words_that_everybody_knows(tmp_path: Path) -> None:
    """In any case, with blanks around them."""
    line = b"ON\r\nOFF\r\nyes\r\n no \r\nTrue\r\nfalse\r\n1\r\n0\r\nY\r\nn\r\nenabled\r\nDISABLED\r\n-1\r\n"
    assert _values(tmp_path, line) == [True, False] * 6 + [True]


def test_numbers_of_every_form(tmp_path: Path) -> None:
    """Not 0 is true, with a fraction as well."""
    assert _values(tmp_path, b"1.0\r\n0.0\r\n0.5\r\n- 1\r\n\x001\x00\r\n") == [True, False, True, True, True]


@pytest.mark.parametrize("word", ["open", "closed", "maybe", "high", "RUN", "o n", "nan", "1x"])
def test_a_word_that_is_neither_is_refused_by_name(word: str, tmp_path: Path) -> None:
    """It used to be false."""
    device, _ = read_device(tmp_path, telemetry=[RUN])
    result = convert(device, word.encode() + b"\r\n")
    assert result.telemetry == [b""]
    assert result.dead[0].startswith(f"run: found '{word}\\r\\n', expected a number, or a word for true (true, yes, on")
    assert result.dead[0].endswith('; other words are named by "trueText" and "falseText"')


def test_words_of_the_device(tmp_path: Path) -> None:
    """One or a list, in any case; the known ones stay known."""
    own = {"trueText": ["open", "running fast"], "falseText": "closed"}
    assert _values(tmp_path, b"OPEN\r\nclosed\r\nRunning Fast\r\non\r\n0\r\n", **own) == [
        True,
        False,
        True,
        True,
        False,
    ]


def test_words_of_the_device_come_first(tmp_path: Path) -> None:
    """A contact that says 0 where it is closed."""
    assert _values(tmp_path, b"0\r\n1\r\noff\r\n", trueText=["0", "off"], falseText="1") == [True, False, True]


def test_codes_of_the_device(tmp_path: Path) -> None:
    """Any byte, and several."""
    own = {"trueText": "hex:06", "falseText": ["hex:15", "hex:80 81"]}
    assert _values(tmp_path, b"\x06\r\n\x15\r\n\x80\x81\r\n", **own) == [True, False, False]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"trueText": 1}, "trueText: found 1, expected a text that is not empty, or a list of such texts"),
        ({"falseText": ["a", ""]}, 'falseText: found "", expected a text that is not empty, or a list of such texts'),
        ({"trueText": "hex:F"}, 'trueText: found "hex:F", expected pairs of hexadecimal digits'),
        ({"trueText": "x", "falseText": "X"}, 'falseText: found "X", expected a word that "trueText" does not have'),
        ({"trueText": "ON", "falseText": "hex:4F 4E"}, 'falseText: found "hex:4F 4E", expected a word that'),
        ({"trueText": "hex:6f 6e", "falseText": ["OFF", " ON "]}, 'falseText: found " ON ", expected a word that'),
        ({"trueText": "hex:4f4e", "falseText": "hex:4F 4E"}, 'falseText: found "hex:4F 4E", expected a word that'),
        ({"trueText": "Straße", "falseText": "STRASSE"}, 'falseText: found "STRASSE", expected a word that'),
        ({"trueText": "ÄN", "falseText": "hex:C3 A4 6E"}, 'falseText: found "hex:C3 A4 6E", expected a word that'),
    ],
)
def test_words_that_can_not_be(keys: dict[str, Any], problem: str, tmp_path: Path) -> None:
    """Place, what was found, what would be right."""
    with pytest.raises(ConfigError, match="devices") as caught:
        read_device(tmp_path, telemetry=[{**RUN, **keys}])
    assert problem in caught.value.problems[0]


def test_codes_that_differ_in_case_are_two_words(tmp_path: Path) -> None:
    """A code is these bytes and no others."""
    own = {"trueText": "hex:4F", "falseText": ["hex:6F", "hex:FF"]}
    assert _values(tmp_path, b"O\r\no\r\n\xff\r\n", **own) == [True, False, False]


def test_a_word_in_another_notation_is_worth_a_word(tmp_path: Path) -> None:
    """As wherever text stands for bytes."""
    _, warnings = read_device(tmp_path, telemetry=[{**RUN, "trueText": "0x06", "falseText": ["OFF", "<NAK>"]}])
    assert warnings == [
        'telemetry[0].trueText: "0x06" is taken letter by letter; for the byte 06 write "hex:06"',
        'telemetry[0].falseText: "<NAK>" is taken letter by letter; for the byte 15 write "hex:15"',
    ]


def test_words_at_a_type_that_reads_none(tmp_path: Path) -> None:
    """They have no effect, and that is said."""
    _, warnings = read_device(tmp_path, telemetry=[{"key": "a", "type": "int", "trueText": "x"}])
    assert warnings == ['telemetry[0].trueText: has no effect: only "bool" reads words for true and false']


def test_a_switch_writes_the_words_of_the_device(tmp_path: Path) -> None:
    """A call and an attribute update; values that are neither true nor false stay as they are."""
    words = {"trueText": "ON", "falseText": "OFF"}
    device, warnings = read_device(
        tmp_path,
        downlink_converter="SerialDownlinkConverter",
        serverSideRpc=[
            {"method": "led", "template": "LED ${params}\r\n", **words},
            {"method": "member", "template": "${params.n}=${params.on};", **words},
            {"method": "bare", **words},
            {"method": "relay", "template": "hex:A0 ${params}", "trueText": "hex:01 A2", "falseText": "hex:00 A1"},
        ],
        attributeUpdates=[{"attributeOnPlatform": "fan", "stringToDevice": "FAN ${fan}\n", **words}],
    )
    assert warnings == []
    led, member, bare, relay = device.rpcs
    for params, written in ((True, b"LED ON\r\n"), (False, b"LED OFF\r\n"), ("x", b"LED x\r\n"), (1, b"LED 1\r\n")):
        assert rpc_writes(device, led, json.dumps(params).encode()) == [written]
    assert rpc_writes(device, member, b'{"n": 2, "on": false}') == [b"2=OFF;"]
    assert rpc_writes(device, bare, b"true") == [b"ON"]
    assert rpc_writes(device, relay, b"true") == [b"\xa0\x01\xa2"]
    assert rpc_writes(device, relay, b"false") == [b"\xa0\x00\xa1"]
    assert update_writes(device, b'{"fan": true}')[0] == [b"FAN ON\n"]


def test_an_answer_in_the_words_of_the_device(tmp_path: Path) -> None:
    """What is written for true is true in an answer."""
    rpc = {"method": "m", "template": "V?", "withResponse": True, "responseType": "bool", "trueText": "open"}
    device, _ = read_device(tmp_path, serverSideRpc=[{**rpc, "falseText": "closed"}])
    assert convert_answer(device.rpcs[0], b"OPEN\r\n") is True
    assert convert_answer(device.rpcs[0], b"closed\r\n") is False
    with pytest.raises(ConversionError, match="answer: found 'ajar"):
        convert_answer(device.rpcs[0], b"ajar\r\n")


def test_one_word_alone_is_worth_a_word(tmp_path: Path) -> None:
    """Where values are written the other one stays JSON's."""
    _, warnings = read_device(tmp_path, serverSideRpc=[{"method": "m", "template": "${params}", "trueText": "ON"}])
    assert warnings == ['serverSideRpc[0].trueText: has no "falseText" beside it: false is written as the word false']


@pytest.mark.parametrize("type_name", ["string", "int", "float", "double", "hex", "bool"])
@pytest.mark.parametrize("template", [{"template": "LED ${params}"}, {}])
def test_words_come_before_the_type(type_name: str, template: dict[str, str], tmp_path: Path) -> None:
    """Whatever else the type makes of params, with a template and without."""
    rpc = {"method": "led", "type": type_name, "trueText": "ON", "falseText": "hex:00", **template}
    device, _ = read_device(tmp_path, downlink_converter="SerialDownlinkConverter", serverSideRpc=[rpc])
    start = b"LED " if template else b""
    assert rpc_writes(device, device.rpcs[0], b"true") == [start + b"ON"]
    assert rpc_writes(device, device.rpcs[0], b"false") == [start + b"\0"]


def test_words_for_a_member(tmp_path: Path) -> None:
    """Beside a number, under a type that is one."""
    rpc = {"method": "m", "type": "int", "template": "${params.n}=${params.on}", "trueText": "ON", "falseText": "OFF"}
    device, _ = read_device(tmp_path, serverSideRpc=[rpc])
    assert rpc_writes(device, device.rpcs[0], b'{"n": 1, "on": true}') == [b"1=ON"]


GERMAN = {"trueText": "größer", "falseText": "kleiner"}
RUSSIAN = {"trueText": "включено", "falseText": "выключено"}


@pytest.mark.parametrize(
    ("encoding", "words", "said"),
    [
        ("latin-1", GERMAN, ["GRÖßER", "kleiner", "1"]),
        ("cp1251", RUSSIAN, ["ВКЛЮЧЕНО", "выключено", "on"]),
        ("koi8-r", RUSSIAN, ["включено", "Выключено", "yes"]),
    ],
)
@pytest.mark.parametrize("is_the_points", [True, False])
def test_words_in_the_encoding_of_the_device(
    is_the_points: bool, encoding: str, words: dict[str, Any], said: list[str], tmp_path: Path
) -> None:
    """Of the device or of the data point; the words that everybody knows stay."""
    point = {**RUN, **words, **({"encoding": encoding} if is_the_points else {})}
    device, warnings = read_device(tmp_path, telemetry=[point], **({} if is_the_points else {"encoding": encoding}))
    assert warnings == []
    found = compile_section(device).convert_batch(
        framer_of(device.framing).feed(b"".join(word.encode(encoding) + b"\r\n" for word in said))
    )
    assert [reading["run"] for reading in telemetry(found)] == [True, False, True]


@pytest.mark.parametrize(
    ("section", "place", "line"),
    [
        ({"fields": ","}, {"field": 1}, b"7,%s\n"),
        ({"pairs": [" ", ":"]}, {"name": "P1"}, b"P1:%s P2:OFF\n"),
        ({"pattern": "VALVE {s}"}, {"name": "s"}, b"VALVE %s\r\n"),
        ({}, {"regex": "ALARM: (\\w+)!"}, b"ALARM: %s!\n"),
        ({}, {"path": "a[0].run"}, b'{"a":[{"run":"%s"}]}\n'),
        ({"framing": "stx-etx"}, {}, b"\x02%s\x03"),
    ],
)
def test_words_wherever_they_stand(section: dict[str, Any], place: dict[str, Any], line: bytes, tmp_path: Path) -> None:
    """The same words everywhere, and the same refusal of others."""
    device, warnings = read_device(tmp_path, telemetry=[{**RUN, **place}], **section)
    assert warnings == []
    frames = framer_of(device.framing).feed(b"".join(line % word for word in (b"ON", b"off", b"maybe")))
    result = compile_section(device).convert_batch(frames)
    assert [reading["run"] for reading in telemetry(result)] == [True, False]
    assert list(result.dead) == [2]
    assert "found 'maybe" in result.dead[2]


def test_a_code_that_looks_blank_in_a_place(tmp_path: Path) -> None:
    """A byte of NUL is false where the device says so, and no value where it does not."""
    point = {**RUN, "at": 1, "length": 1}
    own, _ = read_device(tmp_path, telemetry=[{**point, "trueText": "hex:01", "falseText": "hex:00"}])
    assert telemetry(compile_section(own).convert_batch([b"A\x00\n", b"A\x01\n", b"A\x20\n"])) == [
        {"run": False},
        {"run": True},
    ]
    plain, _ = read_device(tmp_path, telemetry=[point])
    assert compile_section(plain).convert_batch([b"A\x00\n"]).nothing == 1
