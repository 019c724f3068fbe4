"""Modbus against pymodbus: the same requests, the same values of answers, and no answer is taken for another's."""

from __future__ import annotations

import random
import re
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerAscii, FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse
from pymodbus.pdu import bit_message as bits
from pymodbus.pdu import register_message as registers

from common.config.asking import Asking, Register
from common.config.models import DataPoint, Device, Message
from common.config.point_models import Meaning, Place
from common.conversion.grammar.registers import RegisterConverter, request_of, value_of
from common.core import modbus
from common.core.errors import ConversionError
from common.core.modbus import Protocol, Span

SERVER, CLIENT = DecodePDU(True), DecodePDU(False)
PROTOCOLS = st.sampled_from(["modbus-rtu", "modbus-ascii"])
UNITS = st.integers(1, 247)
WORDS = st.integers(0, 0xFFFF)
REQUESTS: dict[str, Any] = {
    "coil": bits.ReadCoilsRequest,
    "discrete": bits.ReadDiscreteInputsRequest,
    "holding": registers.ReadHoldingRegistersRequest,
    "input": registers.ReadInputRegistersRequest,
}
ANSWERS: dict[str, Any] = {
    "coil": bits.ReadCoilsResponse,
    "discrete": bits.ReadDiscreteInputsResponse,
    "holding": registers.ReadHoldingRegistersResponse,
    "input": registers.ReadInputRegistersResponse,
}


def theirs(protocol: Protocol, message: Any) -> bytes:
    """A message as pymodbus writes it."""
    framer = FramerRTU(SERVER) if protocol == "modbus-rtu" else FramerAscii(SERVER)
    return bytes(framer.buildFrame(message))


@st.composite
def spans(draw: st.DrawFn) -> Span:
    table = draw(st.sampled_from(modbus.TABLES))
    size = draw(st.integers(1, modbus.MOST_BITS if table in modbus.BIT_TABLES else modbus.MOST_REGISTERS))
    return Span(table, draw(st.integers(0, 65_536 - size)), size)


def answer_to(protocol: Protocol, unit: int, span: Span, draw: Any) -> tuple[bytes, list[int]]:
    """(an answer as pymodbus writes it, the values in it)."""
    kind, die = ANSWERS[span.table], random.Random(draw(st.integers(0, 10**6)))
    if span.table in modbus.BIT_TABLES:
        values = [die.randrange(2) for _ in range(span.size)]
        return theirs(protocol, kind(dev_id=unit, bits=[bool(one) for one in values])), values
    values = [die.randrange(0x10000) for _ in range(span.size)]
    return theirs(protocol, kind(dev_id=unit, registers=values)), values


@settings(deadline=None)
@given(PROTOCOLS, UNITS, spans())
def test_reads_are_asked_as_pymodbus_asks(protocol: Protocol, unit: int, span: Span) -> None:
    """Byte for byte, the checksum with them."""
    request = REQUESTS[span.table](address=span.first, count=span.size, dev_id=unit)
    assert modbus.frame_of(protocol, unit, modbus.read_pdu(span)) == theirs(protocol, request)


@settings(deadline=None)
@given(PROTOCOLS, UNITS, st.integers(0, 65_000), st.lists(WORDS, min_size=1, max_size=123), st.booleans())
def test_registers_are_written_as_pymodbus_writes(
    protocol: Protocol, unit: int, at: int, values: list[int], as_many: bool
) -> None:
    """Function 6 for one, 16 for several, or where that is wanted."""
    data = struct.pack(f">{len(values)}H", *values)
    ours = modbus.frame_of(protocol, unit, modbus.write_registers(at, data, as_many=as_many))
    single = len(values) == 1 and not as_many
    kind = registers.WriteSingleRegisterRequest if single else registers.WriteMultipleRegistersRequest
    assert ours == theirs(protocol, kind(address=at, registers=values, dev_id=unit))


@settings(deadline=None)
@given(PROTOCOLS, UNITS, st.integers(0, 60_000), st.lists(st.booleans(), min_size=1, max_size=100), st.booleans())
def test_coils_are_switched_as_pymodbus_switches(
    protocol: Protocol, unit: int, at: int, values: list[bool], as_many: bool
) -> None:
    """Function 5 for one, 15 for several, or where that is wanted."""
    ours = modbus.frame_of(protocol, unit, modbus.write_coils(at, values, as_many=as_many))
    single = len(values) == 1 and not as_many
    kind = bits.WriteSingleCoilRequest if single else bits.WriteMultipleCoilsRequest
    assert ours == theirs(protocol, kind(address=at, bits=values, dev_id=unit))


@settings(deadline=None)
@given(st.data(), PROTOCOLS, UNITS, spans())
def test_answers_say_what_pymodbus_put_in(data: Any, protocol: Protocol, unit: int, span: Span) -> None:
    """Registers as two bytes each, coils as one; the request's answer fits, and nobody else's does."""
    frame, values = answer_to(protocol, unit, span, data.draw)
    found_unit, pdu = modbus.pdu_of(protocol, frame)
    assert found_unit == unit
    got = modbus.bytes_of_answer(span, pdu)
    expected = bytes(values) if span.table in modbus.BIT_TABLES else struct.pack(f">{span.size}H", *values)
    assert got == expected
    regex = re.compile(modbus.answer_regex(protocol, unit, modbus.read_pdu(span)).encode())
    assert regex.search(frame)
    other = re.compile(modbus.answer_regex(protocol, unit % 247 + 1, modbus.read_pdu(span)).encode())
    assert not other.search(frame)
    another = span._replace(size=span.size - 9 if span.size > 9 else span.size + 9, first=0)
    assert not re.search(modbus.answer_regex(protocol, unit, modbus.read_pdu(another)).encode(), frame)


@settings(deadline=None)
@given(PROTOCOLS, UNITS, spans(), st.sampled_from(sorted(modbus.WORDS)))
def test_refusals_are_told_and_said_in_words(protocol: Protocol, unit: int, span: Span, code: int) -> None:
    """By the function with its highest bit set; the code stands where it is looked for."""
    request = modbus.read_pdu(span)
    frame = theirs(protocol, ExceptionResponse(request[0], code, device_id=unit))
    assert re.search(modbus.refusal_regex(protocol, unit, request).encode(), frame)
    assert not re.search(modbus.answer_regex(protocol, unit, request).encode(), frame)
    assert modbus.exception_of(modbus.pdu_of(protocol, frame)[1]) == f"exception {code}: {modbus.WORDS[code]}"
    at, said = modbus.code_place(protocol), modbus.code_bytes(protocol, code)
    assert frame[at : at + len(said)] == said


@settings(deadline=None)
@given(PROTOCOLS, UNITS, st.integers(0, 60_000), WORDS)
def test_writes_are_answered_by_what_repeats_them(protocol: Protocol, unit: int, at: int, value: int) -> None:
    """The answer to a write of one register is the request itself; to another address it is none."""
    request = modbus.write_registers(at, value.to_bytes(2, "big"))
    frame = theirs(protocol, registers.WriteSingleRegisterResponse(dev_id=unit, address=at, registers=[value]))
    regex = modbus.answer_regex(protocol, unit, request).encode()
    assert re.search(regex, frame)
    elsewhere = theirs(protocol, registers.WriteSingleRegisterResponse(dev_id=unit, address=at + 1, registers=[value]))
    assert not re.search(regex, elsewhere)


@settings(deadline=None)
@given(st.lists(spans(), max_size=30), st.booleans())
def test_merged_reads_hold_all_that_is_wanted_and_are_never_too_long(wanted: list[Span], merges: bool) -> None:
    """Every span lies in one read, whole; holes are small, and reads of different tables stay apart."""
    reads = modbus.merged(wanted, merges=merges)
    found = {part for _, parts in reads for part in parts}
    assert found == set(wanted)
    for whole, parts in reads:
        limit = modbus.MOST_BITS if whole.table in modbus.BIT_TABLES else modbus.MOST_REGISTERS
        assert whole.size <= limit
        hole = modbus.HOLE_BITS if whole.table in modbus.BIT_TABLES else modbus.HOLE
        end = whole.first
        for part in parts:
            assert part.table == whole.table
            assert whole.first <= part.first
            assert part.end <= whole.end
            assert part.first - end <= (hole if merges else -1) or part.first == whole.first
            end = max(end, part.end)
        assert end == whole.end


def test_small_holes_are_read_along_and_larger_ones_are_not() -> None:
    """Four registers cost less than another exchange."""
    near = [Span("input", 0, 2), Span("input", 6, 2), Span("input", 13, 1)]
    assert [whole.name for whole, _ in modbus.merged(near)] == ["input:0+8", "input:13+1"]
    assert [whole.name for whole, _ in modbus.merged(near, merges=False)] == ["input:0+2", "input:6+2", "input:13+1"]


@settings(deadline=None)
@given(spans())
def test_a_read_is_known_by_its_name(span: Span) -> None:
    """The name is the origin of its answer, and all that says which registers that holds."""
    assert modbus.span_of(span.name) == span


@pytest.mark.parametrize("name", ["", "status", "input:1", "input:1+2+3", "inputs:1+2", "input:-1+2", "input:1+2\n"])
def test_other_names_are_no_reads(name: str) -> None:
    """Messages of other devices have names of any kind."""
    assert modbus.span_of(name) is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("input:12", ("input", 12)),
        ("holding:0x1C", ("holding", 28)),
        ("coil:0", ("coil", 0)),
        ("discrete:65535", ("discrete", 65_535)),
        ("40001", ("holding", 0)),
        ("300013", ("input", 12)),
        ("10001", ("discrete", 0)),
        ("00001", ("coil", 0)),
    ],
)
def test_places_are_written_as_people_write_them(text: str, place: tuple[str, int]) -> None:
    """With the table's name from 0, or with the digits of manuals from 1."""
    assert modbus.place_of(text) == place


@pytest.mark.parametrize(
    "text", ["12", "input", "input:", "input:65536", "40000", "input:0x10000", "register:1", "500001"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    """Rather than read something else."""
    with pytest.raises(ValueError, match=r"addresses|no table"):
        modbus.place_of(text)


def converter(*points: DataPoint, protocol: Protocol = "modbus-rtu", attributes: tuple[DataPoint, ...] = ()) -> Any:
    device = Device(
        name="m",
        messages=(Message(telemetry=points, attributes=attributes),),
        asking=Asking(address=1, protocol=protocol),
    )
    assert device.asking is not None
    return RegisterConverter(device, device.asking)


def point(key: str, register: str, kind: str = "", length: int | None = None, **meaning: Any) -> DataPoint:
    return DataPoint(
        key=key, type=kind, place=Place(by="register", text=register, length=length, meaning=Meaning(**meaning))
    )


def test_points_find_their_registers_in_the_answer_to_their_read() -> None:
    """The frame is that of the PZEM-016's documents: words in turn, the low one first."""
    frame = bytes.fromhex("010414095702040000038500001229000001F3004900008D3C")
    head = frame[:-2]
    frame = modbus.frame_of("modbus-rtu", 1, head[1:])
    found = converter(
        point("voltage", "input:0", "uint16", scale=0.1),
        point("current", "input:1", "uint32", scale=0.001, byteorder="CDAB"),
        point("power", "input:3", "uint32", scale=0.1, byteorder="CDAB"),
        point("energy_Wh", "input:5", "uint32", byteorder="CDAB"),
        point("frequency", "input:7", "uint16", scale=0.1),
        point("factor", "input:8", scale=0.01),
        point("other", "holding:0"),
    ).convert_batch([frame], [], "input:0+10")
    assert found.telemetry == [
        b'{"voltage":239.1,"current":0.516,"power":90.1,"energy_Wh":4649,"frequency":49.9,"factor":0.73}'
    ]
    assert found.dead == {}


def test_a_part_of_a_read_gives_the_points_that_lie_in_it_whole() -> None:
    """What a split read says is no other register's."""
    frame = modbus.frame_of("modbus-rtu", 1, bytes.fromhex("0304000A0014"))
    points = point("a", "holding:10"), point("b", "holding:11"), point("c", "holding:11", "uint32"), point("d", "40013")
    assert converter(*points).convert_batch([frame], [], "holding:10+2").telemetry == [b'{"a":10,"b":20}']
    assert converter(*points).convert_batch([frame], [], "holding:100+2").telemetry == [b""]


def test_a_refused_read_is_a_dead_letter_in_words() -> None:
    """A person sees which registers the device does not have."""
    frame = modbus.frame_of("modbus-rtu", 1, bytes((0x84, 2)))
    found = converter(point("a", "input:0")).convert_batch([frame], [], "input:0+1")
    assert found.dead == {0: "input:0+1: exception 2: illegal data address"}


def test_coils_are_true_or_false_and_bits_of_registers_too() -> None:
    """Also with names of their own."""
    frame = modbus.frame_of("modbus-ascii", 7, bytes((1, 2, 0b101, 0b1)))
    points = point("a", "coil:20"), point("b", "coil:21", "bool"), point("c", "coil:28", map={"1": "on", "0": "off"})
    found = converter(*points, protocol="modbus-ascii").convert_batch([frame], [], "coil:20+9")
    assert found.telemetry == [b'{"a":true,"b":false,"c":"on"}']
    frame = modbus.frame_of("modbus-rtu", 1, bytes.fromhex("0304800141420000"))[:-2]
    frame = modbus.frame_of("modbus-rtu", 1, bytes.fromhex("030480014142"))
    points = point("ready", "holding:0", "uint16", bit=15), point("text", "holding:1", "string", 2)
    assert converter(*points).convert_batch([frame], [], "holding:0+2").telemetry == [b'{"ready":true,"text":"AB"}']


def test_an_answer_to_a_call_gives_no_values() -> None:
    """Whoever called has got it; a frame without the name of its read says nothing."""
    frame = modbus.frame_of("modbus-rtu", 1, bytes.fromhex("0302000A"))
    found = converter(point("a", "holding:0")).convert_batch([frame], [], "")
    assert (found.telemetry, found.dead) == ([b""], {})


NUMBERS = {"int16": (-(2**15), 2**15 - 1), "uint16": (0, 2**16 - 1), "int32": (-(2**31), 2**31 - 1)}
NUMBERS |= {"uint32": (0, 2**32 - 1), "int64": (-(2**53), 2**53), "uint64": (0, 2**53)}


@settings(deadline=None)
@given(st.data(), st.sampled_from(sorted(NUMBERS)), st.sampled_from(["big", "little", "CDAB", "BADC"]))
def test_what_is_written_is_what_is_read_back(data: Any, kind: str, order: Any) -> None:
    """Every type in every order: the registers of a write, read again, are the same number."""
    number = data.draw(st.integers(*NUMBERS[kind]))
    count = {"16": 1, "32": 2, "64": 4}[kind[-2:]]
    register = Register(table="holding", first=3, count=count, type=kind, byteorder=order)
    pdu = request_of(register, number)
    written = pdu[3:] if pdu[0] == 6 else pdu[6:]
    answer = bytes((3, len(written))) + written
    assert value_of(register, answer) == number


@pytest.mark.parametrize(
    ("register", "value", "pdu"),
    [
        (Register(table="holding", first=28, count=2, type="float32"), 5, "10001C00020440A00000"),
        (Register(table="holding", first=1, scale=0.1), 23.5, "06000100EB"),
        (Register(table="holding", first=1, function=16), 7, "1000010001020007"),
        (Register(table="coil", first=2), True, "050002FF00"),
        (Register(table="coil", first=2), "off", "0500020000"),
        (Register(table="coil", first=2, count=3, function=15), [True, False, True], "0F000200030105"),
        (Register(table="holding", first=0, count=2, type="string"), "AB", "10000000020441420000"),
        (Register(table="input", first=9), None, "0400090001"),
        (Register(table="holding", first=9, function=3), 5, "0300090001"),
    ],
)
def test_values_of_calls_become_requests(register: Register, value: object, pdu: str) -> None:
    """A read without params, else the write that fits; with a function code just that one."""
    assert request_of(register, value).hex().upper() == pdu


@pytest.mark.parametrize(
    ("register", "value", "error"),
    [
        (Register(table="holding", first=1), 70_000, "uint16 can't hold"),
        (Register(table="holding", first=1), -1, "uint16 can't hold"),
        (Register(table="holding", first=1), 1.5, "expected a whole number"),
        (Register(table="holding", first=1), "much", "expected a number"),
        (Register(table="holding", first=1), float("nan"), "expected a number"),
        (Register(table="coil", first=1), "maybe", "expected true or false"),
        (Register(table="holding", first=1, type="string"), "ABC", "at most 2"),
        (Register(table="holding", first=1, type="hex"), "0Z", "hexadecimal"),
    ],
)
def test_params_that_can_t_be_written_are_refused(register: Register, value: object, error: str) -> None:
    """Before anything is on the line."""
    with pytest.raises(ConversionError, match=error):
        request_of(register, value)


def test_a_refusal_of_a_call_is_told_in_words() -> None:
    """The platform's user reads it."""
    with pytest.raises(ConversionError, match="exception 3: illegal data value"):
        value_of(Register(table="holding", first=1), bytes((0x86, 3)))
