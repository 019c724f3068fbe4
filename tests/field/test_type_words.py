"""Words for types that serialgw does not know: warned of, and listed as what they do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.cli.__main__ import main
from tests.field.reading import convert, read_device, telemetry, write_config


def _point_advice(folder: Path, word: str) -> str:
    _, warnings = read_device(folder, telemetry=[{"key": "a", "type": word}])
    [warning] = warnings
    start = f"telemetry[0].type: {json.dumps(word)} is no type of ours and means hexadecimal text"
    assert warning.startswith(start)
    return warning.removeprefix(start)


BINARY = 'a number in binary is read with "at", its first byte, and a type such as "uint16" or "float32"'


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("number", '; write "float" for a number in decimal digits, "int" for a whole one'),
        ("decimal", '; write "float" for a number in decimal digits, "int" for a whole one'),
        ("long", '; write "int" for a whole number in decimal digits'),
        ("integer", '; write "int" for a whole number in decimal digits'),
        (
            "uint16",
            f'; "int" reads decimal digits: {BINARY}',
        ),
        (
            "int32_le",
            f'; "int" reads decimal digits: {BINARY}',
        ),
        (
            "float32",
            f'; "float" reads decimal digits: {BINARY}',
        ),
        ("boolean", '; write "bool"'),
        ("str", '; write "string"'),
        ("text", '; write "string"'),
        ("object", '; write "json"'),
        ("Int", ', did you mean "int"?'),
        ("flaot", ', did you mean "float"?'),
        (
            "temperature",
            '; the types are string, int, float, double, bool, json, and "hex" says hexadecimal text on purpose',
        ),
    ],
)
def test_an_unknown_type_is_named_with_the_right_word(word: str, advice: str, tmp_path: Path) -> None:
    """What it means stays what the reference makes of it."""
    assert _point_advice(tmp_path, word) == advice


@pytest.mark.parametrize("word", ["bits", "time", "bcd"])
def test_a_type_that_needs_a_place_says_so(word: str, tmp_path: Path) -> None:
    """It is one of ours, and without a place it means what all words mean that the reference does not know."""
    _, [warning] = read_device(tmp_path, telemetry=[{"key": "a", "type": word}])
    assert warning.endswith('is read only at a place, as "field", "regex" or "at", and means hexadecimal text here')


def test_the_value_stays_the_references(tmp_path: Path) -> None:
    """Hexadecimal text, the line's end included."""
    device, _ = read_device(tmp_path, telemetry=[{"key": "a", "type": "number"}])
    assert telemetry(convert(device, b"23\r\n")) == [{"a": "32330d0a"}]


@pytest.mark.parametrize("word", ["string", "int", "double", "json", "bytes", "byte", "hex", "raw", "hexadecimal"])
def test_known_words_and_hexadecimal_on_purpose_are_no_slips(word: str, tmp_path: Path) -> None:
    """Nothing is said of them."""
    assert read_device(tmp_path, telemetry=[{"key": "a", "type": word}])[1] == []


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("bytes", '; write "hex" for bytes that params give in hexadecimal digits'),
        ("uint16", '; write "int" with a "length" for so many bytes of a whole number'),
        ("number", '; write "float" or "int" for the bytes of a number'),
        ("integer", '; write "int" for the bytes of a whole number'),
        ("bool", ', in which true and false are written as "trueText" and "falseText" say'),
        ("json", ", in which objects and lists are written as JSON"),
        ("Float", ', did you mean "float"?'),
        ("foo", "; the types are string, int, float, double, hex"),
    ],
)
def test_the_same_of_params(word: str, advice: str, tmp_path: Path) -> None:
    """There an unknown word means text."""
    _, warnings = read_device(tmp_path, serverSideRpc=[{"method": "m", "type": word, "template": "x"}])
    assert warnings == [f"serverSideRpc[0].type: {json.dumps(word)} is no type of ours and means text{advice}"]


def test_the_same_of_answers(tmp_path: Path) -> None:
    """`responseType` is the type of a data point."""
    rpc = {"method": "m", "template": "x", "withResponse": True, "responseType": "long"}
    _, warnings = read_device(tmp_path, serverSideRpc=[rpc])
    assert warnings == [
        (
            'serverSideRpc[0].responseType: "long" is no type of ours and means hexadecimal text;'
            ' write "int" for a whole number in decimal digits'
        )
    ]


def test_check_lists_what_an_unknown_word_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The listing does not repeat the mistake."""
    device = {
        "name": "d",
        "telemetry": [{"key": "a", "type": "number"}, {"key": "b", "type": "long"}, {"key": "c", "type": "bytes"}],
        "downlink_converter": "SerialDownlinkConverter",
        "serverSideRpc": [{"method": "m", "type": "number", "withResponse": True, "responseType": "long"}],
    }
    path = write_config(tmp_path, device)
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    for key in "abc":
        assert f"  telemetry  {key}  hexadecimal  frame\n" in said
    assert "writes params as text, answer within 5 s: hexadecimal answer\n" in said
    main(["check", str(path), "--json"])
    points = json.loads(capsys.readouterr().out)["devices"][0]["telemetry"]
    assert [point["type"] for point in points] == ["hexadecimal"] * 3


def test_users_converters_may_have_types_of_their_own(tmp_path: Path) -> None:
    """Only what looks like a slip is worth a word there."""
    folder = tmp_path / "extensions" / "serial"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text("class Mine:\n    def convert(self, config, data):\n        return None\n")
    rpc = {"method": "m", "type": "register", "withResponse": True, "responseType": "block"}
    _, warnings = read_device(tmp_path, converter="Mine", downlink_converter="Mine", serverSideRpc=[rpc])
    assert [warning for warning in warnings if "no type of ours" in warning] == []
