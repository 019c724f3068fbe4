"""What holds for every frame and every data point."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from common.config.models import DataPoint, Device
from services.converter.fields import compile_device, merge_attributes
from services.converter.values import encode_json

TYPES = ["string", "int", "float", "double", "bool", "json", "hex", ""]
DELIMITERS = st.none() | st.sampled_from([";", "\r", "=", "a", "aa", "\n"])
POSITIONS = st.none() | st.integers(-12, 12)
FRAMES = st.binary(max_size=12) | st.text('a=;1.5-eE\r\n{}[]"', max_size=12).map(str.encode)

points = st.builds(
    DataPoint,
    key=st.sampled_from(["a", "b", "c"]),
    type=st.sampled_from(TYPES),
    from_delimiter=DELIMITERS,
    until_delimiter=DELIMITERS,
    keep_delimiter=st.booleans(),
    from_byte=POSITIONS,
    to_byte=POSITIONS,
)
devices = st.builds(Device, telemetry=st.lists(points, max_size=3), attributes=st.lists(points, max_size=2))


@given(devices, st.lists(FRAMES, max_size=4))
def test_a_batch_is_what_explain_says_of_each_frame(device: Device, frames: list[bytes]) -> None:
    """The hot path and the explanation never disagree, and every output is strict JSON without NaN."""
    converter = compile_device(device)
    result = converter.convert_batch(frames)
    errors = absent = 0
    for index, frame in enumerate(frames):
        explained = converter.explain(frame)
        for kind, written in (("telemetry", result.telemetry[index]), ("attribute", result.attributes[index])):
            values = {p.key: p.value for p in explained if p.status == "value" and p.kind == kind}
            assert written == (encode_json(values) if values else b"")
            assert (json.loads(written, parse_constant=lambda _: 1 / 0) if written else {}) == values
        statuses = [p.status for p in explained]
        errors += statuses.count("error")
        absent += statuses.count("absent")
        assert (index in result.dead) == ("error" in statuses and "value" not in statuses)
    assert (result.errors, result.absent) == (errors, absent)


@given(points, FRAMES)
def test_a_span_cuts_its_field_out_of_the_frame(point: DataPoint, frame: bytes) -> None:
    """Whatever was taken stands in the frame where the span says; positions agree with Python's slices."""
    found = compile_device(Device(telemetry=(point,))).explain(frame)[0]
    if found.span is not None:
        start, end = found.span
        assert 0 <= start <= end <= len(frame)
        assert frame[start:end] == found.field
        if point.from_delimiter is None and point.until_delimiter is None:
            assert found.field == frame[point.from_byte : point.to_byte]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_survives(number: float) -> None:
    """A decimal number reads back as the same number, byte for byte as the JSON writer writes it."""
    point = DataPoint(key="k", type="float")
    written = compile_device(Device(telemetry=(point,))).convert_batch([repr(number).encode()]).telemetry[0]
    assert written == b'{"k":' + encode_json(number) + b"}"
    assert json.loads(written)["k"] == number


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)).map(lambda d: encode_json(d) if d else b"")))
def test_merging_attributes_is_merging_dicts(fragments: list[bytes]) -> None:
    """The merged object holds exactly the last value of every key that occurs."""
    expected: dict[str, int] = {}
    for fragment in fragments:
        expected.update(json.loads(fragment or b"{}"))
    assert json.loads(merge_attributes(fragments) or b"{}") == expected
