"""The built-in uplink converter: every rule of a data point, by the page's examples and numbered differences."""

from __future__ import annotations

from typing import Any

import pytest

from common.config.models import DataPoint, Device, Rpc
from common.conversion.calls import convert_answer
from common.conversion.outcomes import BatchResult, PointResult
from common.conversion.slices import columns
from common.conversion.slices.rows import compile_device, merge_attributes
from common.core.errors import ConversionError

EXAMPLE = Device(
    telemetry=(DataPoint(key="humidity", type="float", until_delimiter="\r"),),
    attributes=(DataPoint(key="SerialNumber", type="string", from_byte=3, to_byte=-1),),
)


def explain(frame: bytes, **point: Any) -> PointResult:
    return compile_device(Device(telemetry=(DataPoint(key="k", **point),))).explain(frame)[0]


def convert(frame: bytes, *points: DataPoint) -> BatchResult:
    return compile_device(Device(telemetry=points)).convert_batch([frame])


def test_the_pages_example() -> None:
    """Humidity and serial number of the reference page's frame."""
    result = compile_device(EXAMPLE).convert_batch([b"48\r2430947595\n"])
    assert result == BatchResult([b'{"humidity":48.0}'], [b'{"SerialNumber":"2430947595"}'], {}, 0, 0, "")


def test_from_byte_counts_from_zero() -> None:
    """The page's misprint: fromByte 4 starts at the fifth byte, and explain shows the slice."""
    result = explain(b"48\r2430947595\n", type="string", from_byte=4, to_byte=-1)
    assert (result.value, result.span, result.field) == ("430947595", (4, 13), b"430947595")


@pytest.mark.parametrize(
    ("type_name", "field", "value"),
    [
        ("string", b" caf\xc3\xa9 \r\n", "café"),
        ("int", b" -12 \n", -12),
        ("int", b"9223372036854775807", 2**63 - 1),
        ("int", b"-9223372036854775808", -(2**63)),
        ("int", b"18446744073709551615", 2**64 - 1),
        ("float", b" 1e3\n", 1000.0),
        ("double", b"-0.5", -0.5),
        ("bool", b"2\n", True),
        ("bool", b"0", False),
        ("bool", b" TRUE\n", True),
        ("bool", b"yes", True),
        ("bool", b"Off\r\n", False),
        ("bool", b"99999999999999999999999", True),
        ("json", b'{"a":[1,null,"x"]}\n', {"a": [1, None, "x"]}),
        ("json", b"{}", {}),
        ("json", b'"null 1234567890123456789012"', "null 1234567890123456789012"),
        ("", b"\x00\xff", "00ff"),
        ("Float", b"1", "31"),
        ("", b"", ""),
    ],
)
def test_a_type_gives_its_value(type_name: str, field: bytes, value: object) -> None:
    """Bytes that are what the type says; falsy values are values (difference 1)."""
    result = explain(field, type=type_name)
    assert (result.status, result.value, type(result.value)) == ("value", value, type(value))


@pytest.mark.parametrize(
    ("type_name", "field", "expected"),
    [
        ("string", b"\xff", "found '\\xff', expected UTF-8 text"),
        ("int", b"4.5", "found '4.5', expected a decimal whole number of at most 64 bits"),
        ("int", b"18446744073709551616", "expected a decimal whole number of at most 64 bits"),
        ("int", b"-9223372036854775809", "expected a decimal whole number of at most 64 bits"),
        ("int", b"9" * 5000, "(5000 bytes)"),
        ("int", b"x", "found 'x'"),
        ("float", b"abc", "found 'abc', expected a finite decimal number"),
        ("float", b"NaN", "expected a finite decimal number"),
        ("float", b"-inf", "expected a finite decimal number"),
        ("double", b"1e999", "expected a finite decimal number"),
        ("bool", b"\xff", "expected a number, or a word for true (true, yes, "),
        ("json", b"{", "expected JSON (Expecting property name"),
        ("json", b"NaN", "expected JSON"),
        ("json", b"[1e999]", "inf, which JSON can't carry"),
        ("json", b'{"a":18446744073709551616}', "an integer of more than 64 bits"),
        ("json", b'"\\ud800"', "surrogates not allowed"),
        ("json", b'{"\\ud800":1}', "surrogates not allowed"),
        ("json", b"\xff", "invalid start byte"),
        ("json", b"[" * 300 + b"]" * 300, "nested deeper than 200"),
        ("json", b"[" * 60000 + b"]" * 60000, "nested deeper than 200"),
    ],
)
def test_a_field_that_is_not_its_type(type_name: str, field: bytes, expected: str) -> None:
    """An error says what was found, shortened, and what would be right (difference 7 for NaN and infinity)."""
    result = explain(field, type=type_name)
    assert result.status == "error"
    assert expected in result.why
    assert len(result.why) < 250


@pytest.mark.parametrize(
    ("frame", "point", "field"),
    [
        (b"abcdef", {"from_byte": 1, "to_byte": 3}, b"bc"),  # difference 2
        (b"abcdef", {"from_byte": 0, "to_byte": 0}, b""),  # difference 2: 0 is a position
        (b"abcdef", {"to_byte": 0}, b""),
        (b"abcdef", {"to_byte": 99}, b"abcdef"),
        (b"abcdef", {"to_byte": -99}, b""),
        (b"abcdef", {"from_byte": -2}, b"ef"),
        (b"abcdef", {"from_byte": -3, "to_byte": -1}, b"de"),
        (b"abcdef", {"from_byte": 3, "to_byte": 1}, b""),
        (b"abcdef", {"from_byte": 5}, b"f"),
        (b"abcdef", {"from_byte": 6}, None),  # difference 3
        (b"abcdef", {"from_byte": -7}, None),
        (b"ab", {"from_byte": 2, "to_byte": -1}, None),
        (b"T=1;H=2;", {"from_delimiter": "H="}, b"2;"),  # difference 4
        (b"T=1;H=2;", {"from_delimiter": "H=", "keep_delimiter": True}, b"H=2;"),
        (b"T=1;H=2;", {"from_delimiter": "H=", "until_delimiter": ";"}, b"2"),  # difference 6
        (b"T=1;H=2;", {"from_delimiter": "H=", "until_delimiter": ";", "keep_delimiter": True}, b"H=2"),
        (b"T=1;H=2;", {"from_delimiter": "X="}, None),  # difference 5
        (b"T=1;H=2;", {"from_delimiter": "X=", "until_delimiter": ";"}, None),
        (b"T=1;H=2;", {"until_delimiter": "zz"}, b"T=1;H=2;"),
        (b"T=1;H=2;", {"from_delimiter": "H=", "until_delimiter": "zz"}, b"2;"),
        (b";H=2;", {"until_delimiter": ";"}, b""),  # difference 21
        (b"a;;b", {"from_delimiter": ";", "until_delimiter": ";"}, b""),  # difference 21
        (b"T=1;H=2;", {"until_delimiter": ";", "from_byte": 99}, b"T=1"),  # bytes are ignored
        (b"\xc2\xb0C\n", {"from_delimiter": "°"}, b"C\n"),
        (b"abc\n", {}, b"abc\n"),
        (b"", {}, b""),
        (b"", {"from_byte": 0}, None),
    ],
)
def test_what_a_data_point_takes(frame: bytes, point: dict[str, Any], field: bytes | None) -> None:
    """Slices and delimiters; None is absent. The span always cuts exactly the field out of the frame."""
    result = explain(frame, **point)
    if field is None:
        assert (result.status, result.span) == ("absent", None)
        assert result.why
    else:
        assert result.field == field
        assert result.span is not None
        assert frame[slice(*result.span)] == field


def test_a_failing_data_point_does_not_hold_back_the_others() -> None:
    """One bad value among good ones is counted and named; the frame is no dead letter."""
    result = convert(b"48\rx\n", DataPoint(key="a", type="int", until_delimiter="\r"), DataPoint(key="b", type="int"))
    assert result.telemetry == [b'{"a":48}']
    assert (result.dead, result.errors) == ({}, 1)
    assert result.error_sample == (
        "b: found '48\\rx\\n', expected a decimal whole number of at most 64 bits:"
        " behind the number stands '\\rx', which untilDelimiter can cut off"
    )


def test_a_frame_of_errors_only_is_a_dead_letter() -> None:
    """No value and at least one error: the reason names every key that failed."""
    points = (DataPoint(key="a", type="int"), DataPoint(key="b", type="float"), DataPoint(key="c", from_byte=99))
    result = convert(b"x\n", *points)
    assert (result.telemetry, result.errors, result.absent, result.error_sample) == ([b""], 2, 1, "")
    assert result.dead == {
        0: "a: found 'x\\n', expected a decimal whole number of at most 64 bits; "
        "b: found 'x\\n', expected a finite decimal number"
    }


def test_a_frame_without_any_place_is_an_empty_reading() -> None:
    """Absent data points are counted and make no dead letter; nor do devices without data points."""
    assert convert(b"x\n", DataPoint(key="a", from_byte=9)) == BatchResult([b""], [b""], {}, 0, 1, "", 0, ["a"])
    assert convert(b"x\n") == BatchResult([b""], [b""], {}, 0, 0, "")


def test_each_frame_is_judged_alone() -> None:
    """Values, dead letters and attributes stand at their frame's index."""
    result = compile_device(EXAMPLE).convert_batch([b"1\r\n\n", b"\xff\n", b"x\r\n\n", b"2\r\n\n"])
    assert result.telemetry == [b'{"humidity":1.0}', b"", b"", b'{"humidity":2.0}']
    assert result.attributes == [b'{"SerialNumber":""}', b"", b'{"SerialNumber":""}', b'{"SerialNumber":""}']
    assert list(result.dead) == [1]


def test_json_null_is_no_value() -> None:
    """The platform takes no null: as in the reference, nothing is sent for it."""
    result = convert(b"null\n", DataPoint(key="a", type="json"))
    assert (result.telemetry, result.errors, result.absent, result.dead) == ([b""], 0, 1, {})


def test_the_last_of_two_data_points_with_one_key_wins() -> None:
    """JSON objects never get one key twice."""
    result = convert(b"1\r2\n", DataPoint(key="a", type="int", until_delimiter="\r"), DataPoint(key="a"))
    assert result.telemetry == [b'{"a":"310d320a"}']


def test_keys_are_written_as_json() -> None:
    """Quotes and other characters in a key are escaped."""
    assert convert(b"1", DataPoint(key='"°\n', type="int")).telemetry == ['{"\\"°\\n":1}'.encode()]


def test_a_key_that_is_no_text_is_refused_when_compiling() -> None:
    """A lone surrogate in a key can't become a crash on the hot path."""
    with pytest.raises(ConversionError, match="lone surrogate"):
        compile_device(Device(telemetry=(DataPoint(key="\ud800"),)))


@pytest.mark.parametrize(
    ("fragments", "merged"),
    [
        ([], b""),
        ([b"", b""], b""),
        ([b"", b'{"a":1}', b'{"a":1}'], b'{"a":1}'),
        ([b'{"a":1}', b'{"a":2,"b":3}'], b'{"a":2,"b":3}'),
        ([b'{"a":1}', b'{"a":2}', b'{"a":1}'], b'{"a":1}'),
        ([b'{"a":1,"b":1e22}', b"", b'{"a":18446744073709551615}'], b'{"a":18446744073709551615,"b":1e22}'),
    ],
)
def test_merged_attributes_hold_the_last_value_of_each_key(fragments: list[bytes], merged: bytes) -> None:
    """A, B, A ends with A; values keep their bytes."""
    result = merge_attributes(fragments)
    assert sorted(result.strip(b"{}").split(b",")) == sorted(merged.strip(b"{}").split(b","))


@pytest.mark.parametrize(
    ("rpc", "frame", "value"),
    [
        ({"response_type": "float", "response_until_delimiter": ";"}, b"4.5;x\n", 4.5),  # difference 8
        ({"response_type": "int", "response_from_byte": 0, "response_to_byte": 2}, b"123\n", 12),  # difference 8
        ({"response_type": "int", "response_to_byte": -1}, b"123\n", 123),
        ({"response_type": "json"}, b'{"a":1}\n', {"a": 1}),
        ({"response_type": "json"}, b"null", None),
        ({"response_type": "int"}, b"0", 0),
        ({}, b"ok\n", "6f6b0a"),
    ],
)
def test_an_answer_becomes_a_value_as_a_data_point(rpc: dict[str, Any], frame: bytes, value: object) -> None:
    """Types and places of an answer follow the data point's rules, falsy values and JSON null included."""
    assert convert_answer(Rpc(method="m", **rpc), frame) == value


@pytest.mark.parametrize(
    ("rpc", "reason"),
    [
        ({"response_type": "int"}, "answer: found 'abc', expected a decimal whole number"),
        ({"response_from_byte": 3}, "answer: a frame of 3 bytes is too short for fromByte 3"),
    ],
)
def test_an_answer_without_a_value_says_why(rpc: dict[str, Any], reason: str) -> None:
    """The sentence is what the platform gets as the call's error."""
    with pytest.raises(ConversionError) as caught:
        convert_answer(Rpc(method="m", **rpc), b"abc")
    assert reason in str(caught.value)


def test_a_data_point_that_says_more_than_columns_know_is_read_frame_by_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that is added to data points, and not to the fast way, costs speed and never a wrong value."""
    points = (DataPoint(key="k", until_delimiter="\r"),)
    assert columns.columns_of(points, ()) is not None
    monkeypatch.setattr(columns, "_OTHERS", ("until_delimiter",))
    assert columns.columns_of(points, ()) is None
