"""What holds for every frame and every data point."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from common.config.framing import Framing
from common.config.models import DataPoint, Device
from common.conversion.slices.columns import columns_of
from common.conversion.slices.rows import compile_device, merge_attributes
from common.conversion.values import encode_json

TYPES = ["string", "int", "float", "double", "bool", "json", "hex", ""]
DELIMITERS = st.none() | st.sampled_from([";", "\r", "=", "a", "aa", "\n", "hex:0D", "hex:3B 00"])
POSITIONS = st.none() | st.integers(-12, 12)
FRAMES = (
    st.binary(max_size=12)
    | st.text('a=;1.5-eE\r\n{}[]"', max_size=12).map(str.encode)
    | st.text("on1,+- \0\r\n", max_size=6).map(str.encode)
)
ENDS = [b"\n", b"\n", b";", b"\x00\x00", b"\x03", b"1;", b"\xef\xbb\xbf;", b"a" * 17, b"\r\n \x1e\n"]
QUIET = st.builds(
    lambda blanks, end: blanks.encode() + end,
    st.text(" \t\0\r\n\x1e", max_size=4),
    st.sampled_from([*ENDS, b""]),
)
"""Frames that say nothing, or the end of another line."""

points = st.builds(
    DataPoint,
    key=st.sampled_from(["a", "b", "c"]),
    type=st.sampled_from(TYPES),
    from_delimiter=DELIMITERS,
    until_delimiter=DELIMITERS,
    keep_delimiter=st.booleans(),
    from_byte=POSITIONS,
    to_byte=POSITIONS,
    decimal=st.sampled_from(["", "", ","]),
    true_text=st.sampled_from([(), (), ("a", "hex:31"), ("hex:00",), (";", "hex:20 3B")]),
)
framings = st.builds(Framing, delimiter=st.sampled_from(ENDS))
devices = st.builds(
    Device, framing=framings, telemetry=st.lists(points, max_size=3), attributes=st.lists(points, max_size=2)
)


@given(devices, st.lists(FRAMES, max_size=4))
def test_a_batch_is_what_explain_says_of_each_frame(device: Device, frames: list[bytes]) -> None:
    """Frame by frame, conversion and explanation never disagree, and every output is strict JSON without NaN."""
    converter = compile_device(device)
    result = converter.convert_each(frames)
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


GOOD = st.from_regex(rb"-?[0-9]{1,21}(\.[0-9]{1,3})?[;\r=a][ ]?[0-9]{1,4}[;=]?[a-z%,\"]{0,3}\n", fullmatch=True)


@given(devices, st.lists(GOOD, min_size=1, max_size=5) | st.lists(GOOD | FRAMES, max_size=5))
def test_columns_give_what_frame_by_frame_gives(device: Device, frames: list[bytes]) -> None:
    """The fast way through a batch changes no byte and no count; of the attributes the last value of each key stays."""
    converter = compile_device(device)
    fast, slow = converter.convert_batch(frames), converter.convert_each(frames)
    assert fast._replace(attributes=[]) == slow._replace(attributes=[])
    assert merge_attributes(fast.attributes) == merge_attributes(slow.attributes)
    assert len(fast.attributes) == len(frames)


@given(devices, st.lists(QUIET | QUIET | FRAMES | GOOD, min_size=1, max_size=4))
@example(
    Device(framing=Framing(delimiter=b"a" * 17), telemetry=(DataPoint(key="a", type="string", to_byte=0),)),
    [b"", b"\x01"],
)
def test_columns_see_every_frame_that_says_nothing(device: Device, frames: list[bytes]) -> None:
    """Whatever the delimiter is made of, and wherever a data point cuts."""
    converter = compile_device(device)
    fast, slow = converter.convert_batch(frames), converter.convert_each(frames)
    assert fast._replace(attributes=[]) == slow._replace(attributes=[])
    assert merge_attributes(fast.attributes) == merge_attributes(slow.attributes)


@given(devices, QUIET)
def test_a_frame_that_says_nothing_gives_a_text_nothing(device: Device, frame: bytes) -> None:
    """The other data points are judged each by itself."""
    for explained in compile_device(device).explain(frame.strip(b"1;a\xef\xbb\xbf\x03") + device.framing.delimiter):
        if explained.type in ("string", "int", "float", "double", "json"):
            assert explained.status == "blank"


@given(points, st.lists(GOOD, min_size=1, max_size=5))
def test_columns_are_taken_where_every_frame_has_its_value(point: DataPoint, frames: list[bytes]) -> None:
    """Neither way is always taken: the fast one exactly where nothing is absent or wrong."""
    result = compile_device(Device(telemetry=(point,))).convert_each(frames)
    columns = columns_of([point], [])
    assert columns is not None
    assert (columns.convert(frames) is not None) == (not result.errors and not result.absent)


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
