"""Several devices on one line that are asked: whose an answer is, and what a dead one costs the others."""

from __future__ import annotations

from itertools import pairwise

import pytest
from msgspec.structs import replace

from common.config.asking import Asking, Bus
from common.config.device.modbus_reading import Reads
from common.config.device.named_framings import NAMED
from common.config.framing import Framing
from common.config.models import DataPoint, Device, Message
from common.config.point_models import Place
from common.core import modbus
from common.core.modbus import Span
from common.stream.events import Bury
from common.wire.messages import Entry, Heartbeat
from tests.support.asked_rig import AskedRig, Behaviour

FRAMING = Framing(kind="shapes", named="modbus-rtu", shapes=NAMED["modbus-rtu"].shapes)
SETTLES_S = 0.4
"""Nothing is asked before what was asked before the opening can't be answered any more: twice the time of an answer."""
VALUES = {1: 100, 2: 200, 3: 300}
"""Unit → its register 0; each register is one more than the one before it."""


def unit(
    number: int,
    every_s: float = 0.1,
    spans: tuple[Span, ...] = (Span("input", 0, 2),),
    bus: Bus | None = None,
    **more: float,
) -> Device:
    """A Modbus device at an address, with one read for each of these spans."""
    options = {"timeout_s": 0.2, "retries": 0, **more}
    reads = Reads("modbus-rtu", number, merges=True, timeout_s=options["timeout_s"], retries=int(options["retries"]))
    points = tuple(
        DataPoint(key=f"k{span.first}", place=Place(by="register", text=f"{span.table}:{span.first}")) for span in spans
    )
    asking = Asking(
        asks=tuple(reads.asks({every_s: list(spans)})), address=number, protocol="modbus-rtu", bus=bus, timeout_s=0.2
    )
    return Device(name=f"u{number}", framing=FRAMING, messages=(Message(telemetry=points),), asking=asking)


def answers(silent: set[int], after_s: float = 0.01, missing: range = range(0)) -> Behaviour:
    """Units that say their registers, but for those that are silent; registers in `missing` are none."""

    def behave(request: bytes) -> list[tuple[float, bytes]]:
        number, function = request[0], request[1]
        first, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        if number in silent:
            return []
        if any(first <= place < first + count for place in missing):
            return [(after_s, modbus.frame_of("modbus-rtu", number, bytes((function | 0x80, 2))))]
        data = b"".join((VALUES[number] + first + at).to_bytes(2, "big") for at in range(count))
        return [(after_s, modbus.frame_of("modbus-rtu", number, bytes((function, len(data))) + data))]

    return behave


def bus(behaviour: Behaviour, *devices: Device) -> AskedRig:
    first, *more = devices
    return AskedRig(first, behaviour, more=more)


def turns(rig: AskedRig, number: int) -> list[float]:
    """When a unit was asked."""
    return [at for at, request in rig.asked if request[0] == number]


def test_each_answer_goes_to_the_stream_of_the_device_that_was_asked():
    """Under the name of its read."""
    rig = bus(answers(set()), unit(1), unit(2))
    rig.run(SETTLES_S + 1)
    for number in (1, 2):
        said = rig.entries(f"u{number}")
        assert len(said) == pytest.approx(10, abs=1)
        assert {origin for origin, _ in said} == {"input:0+2"}
        assert {frame[0] for _, frame in said} == {number}


def test_a_silent_member_costs_one_probe_for_each_step_and_no_other_one_its_turns():
    """Ten a second each, one of three dead at a time-out of 200 ms: the others keep 95 of 100 turns, once it is known
    to be gone."""
    rig = bus(answers({3}), unit(1), unit(2), unit(3))
    rig.run(5)
    before = {number: len(turns(rig, number)) for number in (1, 2)}
    rig.run(100)
    for number in (1, 2):
        assert len(turns(rig, number)) - before[number] >= 950
    probes = [at for at in turns(rig, 3) if at > 5]
    assert len(probes) <= 8
    assert all(later - sooner <= 31 for sooner, later in pairwise(probes))
    assert len(rig.entries("u3", Entry.LOST)) == 1
    assert rig.entries("u1", Entry.LOST) == rig.entries("u2", Entry.LOST) == []


def test_a_member_that_is_back_is_found_within_its_back_off_and_asked_as_ever():
    """Connected, and its turns are its own again."""
    silent = {3}
    rig = bus(answers(silent), unit(1), unit(3, bus=Bus(max_backoff_s=4.0)))
    rig.run(20)
    silent.clear()
    rig.run(5)
    assert len(rig.entries("u3", Entry.OPENED)) == 2
    asked = len(turns(rig, 3))
    rig.run(5)
    assert len(turns(rig, 3)) - asked >= 48


def test_what_others_are_told_of_a_gone_member():
    """It is not connected, and why; the others are, on the same line."""
    rig = bus(answers({2}), unit(1), unit(2))
    rig.run(5)
    beats: dict[str, Heartbeat] = {beat.state["device"]: beat for beat in rig.beats}
    assert beats["u1"].state["connected"] is True
    assert (beats["u2"].state["connected"], beats["u2"].state["fault"]) == (False, "no answer to input:0+2")


def test_a_late_answer_of_one_is_its_own_while_another_is_asked():
    """Others are asked meanwhile; nothing is attributed to another unit or read."""
    delays = {1: 0.35, 2: 0.01}
    plain = answers(set())
    rig = bus(
        lambda request: [(delays[request[0]], frame) for _, frame in plain(request)],
        unit(1, 1.0, (Span("input", 0, 2), Span("input", 20, 2))),
        unit(2, 0.1),
    )
    rig.run(5)
    assert len(turns(rig, 2)) >= 35
    said = rig.entries("u1")
    assert said
    for origin, frame in said:
        span = modbus.span_of(origin)
        assert span is not None
        assert modbus.bytes_of_answer(span, frame[1:-2]) == b"".join(
            (100 + span.first + at).to_bytes(2, "big") for at in range(span.size)
        )
    assert rig.count("asks_late") >= 3


def test_an_answer_that_nobody_waits_for_is_a_dead_letter_with_its_reason():
    """A Modbus answer does not say which registers it holds: it is kept, and taken for nothing."""
    rig = bus(lambda _: [(0.01, modbus.frame_of("modbus-rtu", 7, b"\x04\x04\x00\x01\x00\x02"))], unit(3), unit(2))
    rig.run(SETTLES_S + 0.1)
    letters = [letter for effect in rig.performed if isinstance(effect, Bury) for letter in effect.dead]
    assert letters[0].reason == "an answer of unit 7 while unit 3 was asked"


def test_a_merged_read_that_is_refused_is_split_from_then_on():
    """Exception 2: one of its registers is none. The others are read, each part by its own name; the missing one alone
    is refused in its turn."""
    spans = Span("input", 0, 1), Span("input", 2, 1), Span("input", 4, 1)
    rig = bus(answers(set(), missing=range(2, 3)), unit(1, 0.5, spans), unit(2))
    rig.run(2)
    reads = [request[2:6] for _, request in rig.asked if request[0] == 1]
    assert reads.count(b"\0\0\0\x05") == 1
    assert {origin for origin, _ in rig.entries("u1")} >= {"input:0+5", "input:0+1", "input:2+1", "input:4+1"}
    assert rig.noted.count("ask.split") == 1


def test_a_pause_between_exchanges_is_kept():
    """`pauseMs`: slow adapters and devices lose what comes at once."""
    rig = bus(answers(set()), unit(1, bus=Bus(pause_s=0.03)), unit(2))
    rig.run(2)
    starts = [at for at, _ in rig.asked]
    assert min(later - sooner for sooner, later in pairwise(starts)) >= 0.04 - 1e-6


def test_members_without_questions_are_there_when_the_port_is():
    """A device on a bus may only be called."""
    quiet = replace(unit(2), asking=Asking(address=2, protocol="modbus-rtu"))
    rig = bus(answers(set()), unit(1), quiet)
    rig.run(1)
    assert len(rig.entries("u2", Entry.OPENED)) == 1
    assert turns(rig, 2) == []


def test_nothing_is_asked_while_an_earlier_opening_may_still_be_answered():
    """What comes then is nobody's: it does not say which registers it holds."""
    rig = bus(answers(set()), unit(1), unit(2))
    rig.say(0.15, modbus.frame_of("modbus-rtu", 1, b"\x04\x04\x00\x01\x00\x02"))
    rig.run(SETTLES_S - 0.01)
    assert rig.asked == []
    assert rig.entries("u1") == []
    rig.run(0.1)
    assert len(rig.asked) >= 1
