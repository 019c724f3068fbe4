"""What holds for every device with messages, whatever it says."""

from __future__ import annotations

import copy
import json
import struct
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config.device.messages_reading import TAKING_APART
from common.config.device.places_reading import BESIDE, MEANINGS, PLACES
from common.config.models import DataPoint, Device, Message, device_of, section_of
from common.config.point_models import FLOATS, INTEGERS, Meaning, Order, Place
from common.conversion.grammar.binary import arranged, number_reader
from common.conversion.grammar.mbus import records_of
from common.conversion.grammar.messages import MessageConverter
from common.conversion.grammar.obis import entries_of
from common.conversion.grammar.sml import values_of as sml_values
from common.conversion.joint import compile_section
from common.conversion.values import MAX_INT, MIN_INT
from common.core.errors import ConfigError
from tests.devices.families import SECTIONS, VECTORS, frames_of, origin_of, values_of
from tests.field.reading import read_device

ORDERS: tuple[Order, ...] = ("big", "little", "CDAB", "BADC")


@cache
def device_for(family: str) -> Device:
    with tempfile.TemporaryDirectory() as folder:
        return read_device(Path(folder), **SECTIONS[family])[0]


def one_point(kind: str, place: Place) -> MessageConverter:
    """A device that reads one value under the key "v"."""
    return MessageConverter(Device(messages=(Message(telemetry=(DataPoint(key="v", type=kind, place=place),)),)))


def no_constants(text: str) -> Any:
    """What a strict reader of JSON would not take."""
    raise AssertionError(text)


@st.composite
def hurt(draw: st.DrawFn, family: str) -> bytes:
    """A frame of the family with some bytes changed, cut off or put in."""
    frame = bytearray(draw(st.sampled_from(frames_of(family))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(frame)))
        frame[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(frame[: draw(st.integers(0, len(frame)))] if draw(st.booleans()) else frame)


@pytest.mark.parametrize("family", VECTORS)
def test_no_frame_makes_trouble(family: str) -> None:
    """Damaged frames and junk give values, nothing, or a dead letter with a reason; what goes out is strict JSON."""
    converter, origin = compile_section(device_for(family)), origin_of(device_for(family))

    @settings(max_examples=20, deadline=None)
    @given(st.lists(hurt(family) | st.binary(max_size=80), max_size=4))
    def check(frames: list[bytes]) -> None:
        result = converter.convert_batch(frames, [0] * len(frames), origin)
        assert len(result.telemetry) == len(result.attributes) == len(frames)
        for index in range(len(frames)):
            written = [result.telemetry[index], result.attributes[index]]
            written += [text for one in result.user.get(index, []) for _, text in one.telemetry]
            for text in filter(None, written):
                values = json.loads(text, parse_constant=no_constants)
                assert None not in values.values()
                assert all(type(v) is not int or MIN_INT <= v <= MAX_INT for v in values.values())
            assert index not in result.dead or (result.dead[index] and not values_of(result, index))
        for index, frame in enumerate(frames if isinstance(converter, MessageConverter) else []):
            assert isinstance(converter, MessageConverter)
            explained = converter.explain(frame, 0)
            assert bool(explained.dead) == (index in result.dead)
            found = {point.key: point.value for point in explained.points if point.status == "value"}
            if not explained.dead:
                assert found == values_of(result, index)

    check()


JUNK: list[Any] = [
    *(None, True, 0, -1, 1, 7, 64, 2**40, 1e300, -0.5),
    *(
        "",
        " ",
        "x",
        "hex:",
        "hex:FF",
        "hex:F",
        "\x00",
        "\ud800",
        "${",
        "${x}",
        "(",
        "{a}{",
        "é",
        "<STX>",
        "1.8.0",
        "energy",
    ),
    *("é", "<STX>", "1.8.0", "energy", "a[", "uint16", [], [1], [1, 2], ["a", "b"], [[]], {}, {"at": 1}, {"a": {}}),
]


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places of a JSON value at which something stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places_in(item, (*path, key)))]


NEW_KEYS = (*PLACES, *MEANINGS, *BESIDE, *TAKING_APART, "type", "key", "messages", "telemetry", "attributes", "decimal")


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(SECTIONS)), st.data())
def test_no_configuration_makes_trouble(family: str, data: st.DataObject) -> None:
    """One that can't work is refused with a sentence; one that is read can be compiled, journaled and used."""
    section = copy.deepcopy(SECTIONS[family])
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from([place for place in places_in(section) if place]))
        holder: Any = section
        for step in path:
            holder = holder[step]
        if isinstance(holder, dict) and data.draw(st.booleans()):
            last = data.draw(st.sampled_from(NEW_KEYS))
        holder[last] = copy.deepcopy(data.draw(st.sampled_from(JUNK)))
    section["name"], section["port"] = "d", "/dev/ttyUSB0"
    with tempfile.TemporaryDirectory() as folder:
        try:
            device, _ = read_device(Path(folder), **section)
        except ConfigError as error:
            refused = error.problems
        else:
            refused = []
    assert all(", expected " in problem for problem in refused)
    if refused:
        return
    if device.messages:
        assert device_of(section_of(device)) == device
        result = compile_section(device).convert_batch(frames_of(family), [0] * len(frames_of(family)))
        assert len(result.telemetry) == len(frames_of(family))


@given(st.sampled_from(sorted(INTEGERS)), st.sampled_from(ORDERS), st.data())
def test_whole_numbers_come_back(kind: str, order: Order, data: st.DataObject) -> None:
    """Each type, in each order, from its lowest number to its highest."""
    size, signed = INTEGERS[kind]
    if order in ("CDAB", "BADC") and size == 3:
        order = "big"
    low, high = (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if signed else (0, (1 << 8 * size) - 1)
    number = data.draw(st.integers(low, high))
    # Each order undoes itself.
    frame = b"xx" + arranged(order)(number.to_bytes(size, "big", signed=signed))
    place = Place(by="at", at=2, meaning=Meaning(byteorder=order))
    assert values_of(one_point(kind, place).convert_batch([frame])) == {"v": number}
    assert values_of(one_point(kind, Place(by="at", at=-size, meaning=place.meaning)).convert_batch([frame])) == {
        "v": number
    }


@given(st.sampled_from(sorted(FLOATS)), st.sampled_from(ORDERS), st.floats(width=32))
def test_numbers_in_ieee_754_come_back(kind: str, order: Order, number: float) -> None:
    """And what is no number, or infinite, is no value."""
    form = {"float32": ">f", "float64": ">d"}[kind]
    frame = arranged(order)(struct.pack(form, number))
    result = one_point(kind, Place(by="at", meaning=Meaning(byteorder=order))).convert_batch([frame])
    if number - number == 0:
        assert values_of(result) == {"v": number}
    else:
        assert (values_of(result), result.nothing, result.dead) == ({}, 1, {})


def test_the_orders_are_those_that_people_name() -> None:
    """0x41424344 stands as its name says."""
    reads = {order: number_reader("uint32", order)[1] for order in ORDERS}
    written = {"big": b"ABCD", "little": b"DCBA", "CDAB": b"CDAB", "BADC": b"BADC"}
    assert {reads[order](written[order]) for order in ORDERS} == {0x41424344}


@given(st.integers(-(2**31), 2**31), st.integers(1, 6))
def test_a_decimal_scale_divides(number: int, digits: int) -> None:
    """A reading of hundredths has two digits behind its point, never 230.20000000000002."""
    scaled = one_point("int64", Place(by="at", meaning=Meaning(scale=float(f"1e-{digits}"))))
    value = values_of(scaled.convert_batch([number.to_bytes(8, "big", signed=True)]))["v"]
    assert value == float(f"{number}e-{digits}")


@given(st.integers(0, 2**64 - 1), st.integers(0, 63), st.integers(0, 63))
def test_bits_are_cut_out(number: int, one: int, other: int) -> None:
    """The highest and the lowest, both included."""
    high, low = max(one, other), min(one, other)
    frame = number.to_bytes(8, "big")
    place = Place(by="at", meaning=Meaning(bits=(high, low)))
    found = values_of(one_point("uint64", place).convert_batch([frame]))["v"]
    assert found == int(f"{number:064b}"[63 - high : 64 - low], 2)
    flag = values_of(one_point("uint64", Place(by="at", meaning=Meaning(bit=low))).convert_batch([frame]))["v"]
    assert flag is bool(number >> low & 1)


@given(st.binary(max_size=120))
def test_decoders_refuse_junk_by_value_error_only(data: bytes) -> None:
    """SML, M-Bus and OBIS; also behind a good beginning."""
    assert isinstance(entries_of(data), list)
    for read, start in (
        (sml_values, b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01"),
        (records_of, bytes([0x68, len(data) + 15 & 255, len(data) + 15 & 255, 0x68, 8, 5, 0x72]) + bytes(12)),
    ):
        for frame in (data, start + data):
            with suppress(ValueError):
                assert isinstance(read(frame), list)
