"""Converters' results of nearly the right form: understood where it is plain what they mean, else refused by place."""

from __future__ import annotations

from typing import Any

import pytest

from common.config.models import Device
from common.converters import ConvertedData, TelemetryEntry
from common.core.errors import ConversionError
from common.wire.messages import UserReading
from services.converter.core.user_readings import normalise_result

HUB = Device(name="hub", type="gate")
MS = 1719400000000
Items = list[tuple[int | None, bytes]]


def telemetry_of(telemetry: Any) -> Items:
    """What goes out for a result with this telemetry."""
    return [item for reading in normalise_result({"telemetry": telemetry}, HUB) for item in reading.telemetry]


def refusal_of(result: Any) -> str:
    """Why a result is refused."""
    with pytest.raises(ConversionError) as caught:
        normalise_result(result, HUB)
    return str(caught.value)


def telemetry_refusal(telemetry: Any) -> str:
    """Why telemetry is refused."""
    return refusal_of({"telemetry": telemetry})


@pytest.mark.parametrize(
    ("telemetry", "items"),
    [
        ([{"ts": MS, "values": {"level": 64}}], [(MS, b'{"level":64}')]),
        ({"ts": MS, "values": {"level": 64}}, [(MS, b'{"level":64}')]),
        ([{"ts": MS, "level": 64}], [(MS, b'{"level":64}')]),
        ({"ts": MS, "level": 64, "flow": 2}, [(MS, b'{"level":64,"flow":2}')]),
        ([{"flow": 7, "ts": MS, "values": {"level": 64}}], [(MS, b'{"flow":7,"level":64}')]),
        ([{"level": None, "ts": MS, "values": {"level": 64}}], [(MS, b'{"level":64}')]),
        ([{"ts": MS, "values": {"level": 64}, "metadata": {"a": 1}}], [(MS, b'{"level":64}')]),
        ([{"values": {"level": 64}}], [(None, b'{"level":64}')]),
        ([{"ts": None, "level": 64}], [(None, b'{"level":64}')]),
        ([{"ts": MS, "values": None}], []),
        ([{"ts": MS}], []),
        ([{"ts": MS, "values": {}}], []),
        ({"level": 64}, [(None, b'{"level":64}')]),
        (None, []),
        ({}, []),
        ((), []),
    ],
)
def test_what_is_plainly_meant_is_understood(telemetry: Any, items: Items):
    """`ts` and `values` are never keys of telemetry."""
    assert telemetry_of(telemetry) == items


def test_one_key_twice_is_refused_by_place():
    """Nobody can tell which of the two values is meant."""
    assert telemetry_refusal([{"ok": 1}, {"level": 7, "ts": MS, "values": {"level": 64}}]) == (
        "telemetry[1]: found keys level, ts, values (level stands beside values and in it), "
        'expected {"ts", "values"} or plain keys'
    )


@pytest.mark.parametrize(
    ("telemetry", "reason"),
    [
        ([{"ts": MS, "values": [1, 2]}], "telemetry[0]: found list as values, expected values to be a dict"),
        ([{"ts": MS, "values": 64}], "telemetry[0]: found int as values"),
        ([{"values": 64}], "telemetry[0]: found int as values"),
        ({"ts": MS, "values": "64"}, "telemetry: found str as values"),
        ([{"timestamp": MS, "values": {"a": 1}}], "telemetry[0]: found keys timestamp, values, expected"),
        ([{"a": 1}, [{"b": 2}]], "telemetry[1]: found [{'b': 2}], expected"),
        ([[]], "telemetry[0]: found [], expected"),
        ([("a", 1)], "telemetry[0]: found ('a', 1), expected"),
        ([None], "telemetry[0]: found None, expected"),
        ("abc", "telemetry: found 'abc', expected a list or a dict"),
        (0, "telemetry: found 0, expected a list or a dict"),
        (False, "telemetry: found False, expected a list or a dict"),
        ("", "telemetry: found '', expected a list or a dict"),
        ([{"ts": MS, "values": {"a": b"\xff"}}], "telemetry[0]: a: found b'\\xff', expected bytes that are UTF-8 text"),
    ],
)
def test_other_shapes_of_telemetry_are_refused_by_place(telemetry: Any, reason: str):
    """The item and what stands there."""
    assert telemetry_refusal(telemetry).startswith(reason)


@pytest.mark.parametrize("ts", [str(MS), f" {MS}\n", float(MS), MS + 0.75])
def test_a_time_in_another_type_is_understood(ts: Any):
    """Digits as text, and `time.time() * 1000`."""
    assert telemetry_of([{"ts": ts, "values": {"a": 1}}]) == [(MS, b'{"a":1}')]


@pytest.mark.parametrize(
    ("ts", "found"),
    [
        (1719400000, "found 1719400000, which looks like seconds"),
        (1719400000.25, "found 1719400000.25, which looks like seconds"),
        ("1719400000", "found 1719400000, which looks like seconds"),
        (MS * 1000, f"found {MS}000, which looks like microseconds"),
        (MS * 10**6, f"found {MS}000000, which looks like nanoseconds"),
    ],
)
def test_a_time_in_another_unit_says_so(ts: Any, found: str):
    """And what it would be in milliseconds."""
    for item in ({"ts": ts, "values": {"a": 1}}, {"ts": ts, "a": 1}):
        reason = telemetry_refusal([item])
        assert reason.startswith(f"telemetry[0]: ts: {found}, expected milliseconds since 1970, such as {str(MS)[:10]}")


@pytest.mark.parametrize(
    "ts", [-1, True, float("nan"), float("inf"), -float("inf"), "now", "", "2024-06-26", "-5", "1" * 20, [MS], {}, "٣"]
)
def test_what_is_no_time_is_refused_by_place(ts: Any):
    """It is never now by itself."""
    reason = telemetry_refusal([{"ts": ts, "a": 1}])
    assert reason.startswith("telemetry[0]: ts: found ")
    assert reason.endswith(", expected milliseconds since 1970")


@pytest.mark.parametrize("bits", [64, 100_000])
def test_a_time_of_very_many_digits_is_refused(bits: int):
    """Python itself refuses to write some of them."""
    assert "telemetry[0]: ts: found an integer of" in telemetry_refusal([{"ts": 1 << bits, "a": 1}])


def test_times_between_the_units_are_milliseconds():
    """From 1973 to 5138; and what a device without a clock says stays as it is."""
    for ts in (0, 5, 10**8 - 1, 10**11, 10**14 - 1):
        assert telemetry_of([{"ts": ts, "a": 1}]) == [(ts, b'{"a":1}')]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"level": 64}, 'found keys level, expected "telemetry" or "attributes" with these in it'),
        ({"ts": MS, "values": {"level": 64}}, "found keys ts, values, expected"),
        ({"result": 5}, "found keys result, expected"),
        ([{"telemetry": []}, {"level": 64}], "result[1]: found keys level, expected"),
        ([{"telemetry": [{}, {"ts": -1, "a": 1}]}], "result[0]: telemetry[1]: ts: found -1"),
        ([[]], "result[0]: convert returned [], expected ConvertedData or a dict"),
        ({"deviceName": 5, "telemetry": [{"a": 1}]}, "deviceName: found 5, expected text"),
        ([{"deviceName": ["x"]}], "result[0]: deviceName: found ['x'], expected text"),
        ({"attributes": [{"a": 1}, [1]]}, "attributes[1]: found [1], expected"),
        ({"attributes": [{"ts": MS, "values": {"a": 1}}]}, "attributes[0]: found keys ts, values"),
        ({"attributes": {1: 2}}, "attributes: found the key 1, expected text"),
        ({"attributes": "x"}, "attributes: found 'x', expected a list or a dict"),
    ],
)
def test_other_shapes_of_a_result_are_refused_by_place(result: Any, reason: str):
    """A result from which nothing would go out is a mistake, unless it says that there is nothing."""
    assert refusal_of(result).startswith(reason)


@pytest.mark.parametrize("name", [None, ""])
def test_a_name_that_is_missing_is_the_devices_own(name: str | None):
    """Missing, None, or empty."""
    wanted = [UserReading("hub", "gate", [(None, b'{"a":1}')], b"")]
    assert normalise_result({"deviceName": name, "deviceType": name, "telemetry": {"a": 1}}, HUB) == wanted
    assert normalise_result({"telemetry": {"a": 1}}, HUB) == wanted


def test_results_as_older_converters_give_them_are_understood():
    """Attributes as a list of dicts, telemetry as a dict, and `timeseries` in its place."""
    result = {"deviceName": "a", "deviceType": "t", "attributes": [{"x": 1}, {"y": 2}], "telemetry": {"n": 1}}
    assert normalise_result(result, HUB) == [UserReading("a", "t", [(None, b'{"n":1}')], b'{"x":1,"y":2}')]
    assert normalise_result({"timeseries": [{"n": 1}]}, HUB) == [UserReading("hub", "gate", [(None, b'{"n":1}')], b"")]


def test_more_keys_beside_telemetry_are_left_out():
    """Whatever a converter keeps there for itself."""
    assert normalise_result({"telemetry": {"n": 1}, "self": object()}, HUB)[0].telemetry == [(None, b'{"n":1}')]


def test_lists_of_converted_data_are_understood():
    """One reading for each that says something."""
    first, empty = ConvertedData("a"), ConvertedData("b")
    first.add_to_telemetry({"ts": MS, "level": 64})
    readings = normalise_result([first, empty, None], HUB)
    assert readings == [UserReading("a", "default", [(MS, b'{"level":64}')], b"")]


def test_entries_know_the_same_forms():
    """`TelemetryEntry` and `add_to_telemetry`, with `ts` among the keys or beside `values`."""
    assert TelemetryEntry({"ts": MS, "level": 64}).to_dict() == {"ts": MS, "values": {"level": 64}}
    assert TelemetryEntry({"flow": 7, "ts": MS, "values": {"level": 64}}).values == {"flow": 7, "level": 64}
    assert TelemetryEntry({"level": 64}, MS).ts == MS
    data = ConvertedData("a")
    data.add_to_telemetry([{"ts": MS, "values": {"level": 64}}, {"ts": MS + 1, "level": 65}])
    assert [entry.ts for entry in data.telemetry] == [MS, MS + 1]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"level": 7, "ts": MS, "values": {"level": 64}}, "found keys level, ts, values"),
        ({"ts": MS, "values": [1]}, "found list as values"),
        ("level", "found str, expected a TelemetryEntry, a dict, or a list of these"),
        (5, "found int, expected a TelemetryEntry"),
        (["level"], "found str, expected a TelemetryEntry"),
    ],
)
def test_entries_refuse_what_is_none_where_it_is_added(entry: Any, reason: str):
    """The traceback then names the user's own line."""
    with pytest.raises((ValueError, TypeError), match=reason):
        ConvertedData("a").add_to_telemetry(entry)


def test_a_time_of_an_entry_is_looked_at_by_place():
    """As one in a dict."""
    data = ConvertedData("a")
    data.add_to_telemetry([TelemetryEntry({"a": 1}), TelemetryEntry({"a": 1}, ts=1719400000)])
    assert refusal_of(data).startswith("telemetry[1]: ts: found 1719400000, which looks like seconds")
