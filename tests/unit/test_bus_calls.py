"""Calls beside devices that say nothing, on a line that several share: whom they wait for, and for how long."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from common.config.asking import Asking, Bus, Register
from common.config.models import Device, Rpc
from common.wire import codec
from common.wire.messages import Request
from services.port_reader.core.events import WriteDrained
from tests.support.asked_rig import AskedRig
from tests.support.port_reader_rig import SECTION
from tests.unit.test_asking_buses import SETTLES_S, VALUES, answers, turns, unit

TIMEOUT_S = 0.2
RARE_S = 5.0
"""Questions are rare, so that what a call waits for is what the test is about."""


def called(number: int, every_s: float = RARE_S, **options: Any) -> Device:
    """A unit whose register 5 is read by calls of `get5`, 7 by `get7`, 9 by `get9`."""
    rpcs = tuple(
        Rpc(
            method=f"get{at}", register=Register(table="input", first=at), with_response=True, response_timeout_s=time_s
        )
        for at, time_s in ((5, TIMEOUT_S), (7, TIMEOUT_S), (9, 1.0))
    )
    return replace(unit(number, every_s, **options), rpcs=rpcs)


def call(rig: AskedRig, number: int, call_id: str, first: int = 5) -> None:
    """Somebody wants to know a register of a unit."""
    body = codec.pack({"method": f"get{first}", "params": b""})
    target = f"port_reader:u{number}"
    rig.give_call(Request(call_id, "publisher:0", target, "encode", f"u{number}", SECTION, 10.0, body))


def reply(rig: AskedRig, call_id: str) -> str | None:
    """What came of a call: its error, or the value; None while it has not ended."""
    found = [message for message in rig.calls if message.id == call_id]
    assert len(found) <= 1
    return None if not found else found[0].error or json.loads(codec.unpack(found[0].body))["result"]


def took_s(rig: AskedRig, call_id: str, most_s: float = 5.0) -> float:
    """Lets time pass until a call has ended; how long that was."""
    begun_s = rig.now_s
    while reply(rig, call_id) is None and rig.now_s < begun_s + most_s:
        rig.run(0.001)
    return rig.now_s - begun_s


def until_probe(rig: AskedRig, number: int) -> None:
    """Lets time pass until a unit that is gone is tried once more."""
    before = len(turns(rig, number))
    while len(turns(rig, number)) == before:
        rig.run(0.001)


def gone(*silent: int) -> AskedRig:
    """Three units, of which these have been silent for so long that they count as gone."""
    first = called(1, bus=Bus(max_backoff_s=4.0))
    rig = AskedRig(first, answers(set(silent)), more=[called(2), called(3, 0.3)])
    rig.run(SETTLES_S + 3)
    assert rig.noted.count("device.silent") == len(silent)
    return rig


def test_a_call_that_times_out_holds_no_call_to_another_unit():
    """Its late answer says whose it is, and can't be taken for another's; a second call to the same unit waits, since
    no answer says which register it holds."""
    rig = gone(3)
    rig.run(0.5)
    call(rig, 3, "dead")
    call(rig, 2, "well")
    call(rig, 3, "same")
    assert took_s(rig, "dead") == pytest.approx(TIMEOUT_S, abs=0.05)
    assert took_s(rig, "well") <= 0.02
    assert reply(rig, "well") == VALUES[2] + 5
    written = [request[0] for request in rig.lines]
    assert written[-2:] == [3, 2]
    assert took_s(rig, "same") == pytest.approx(2 * TIMEOUT_S, abs=0.05)


def test_a_call_that_waits_for_a_late_answer_is_refused_in_its_time():
    """Whoever asked hears why, and not when something else happens on the line."""
    slow = Rpc(
        method="slow",
        register=Register(table="input", first=5),
        with_response=True,
        response_timeout_s=30.0,
    )
    silent = called(3, 1_000.0)
    rig = AskedRig(called(1, 1_000.0), answers({3}), more=[replace(silent, rpcs=(*silent.rpcs, slow))])
    rig.run(SETTLES_S + 2)
    body = codec.pack({"method": "slow", "params": b""})
    rig.give_call(Request("slow", "publisher:0", "port_reader:u3", "encode", "u3", SECTION, 100.0, body))
    rig.run(31)
    assert "no answer" in str(reply(rig, "slow"))
    call(rig, 3, "held")
    assert took_s(rig, "held", 20.0) == pytest.approx(9.75, abs=0.3)
    assert "not written" in str(reply(rig, "held"))


def test_the_late_answer_to_a_call_is_its_own_while_another_unit_is_called():
    """It ends the wait for it, goes to its own device's stream, and to no call."""
    rig = gone(3)
    rig.behaviour = lambda request: [(0.3 if request[0] == 3 else 0.15, frame) for _, frame in answers(set())(request)]
    call(rig, 3, "late", first=7)
    rig.run(TIMEOUT_S + 0.05)
    call(rig, 2, "well", first=9)
    rig.run(0.3)
    assert "no answer" in str(reply(rig, "late"))
    assert reply(rig, "well") == VALUES[2] + 9
    assert rig.count("answers_stray") == 0


def test_a_call_cuts_the_probe_of_a_silent_unit_short():
    """It waits for the moment in which a unit that is back begins to answer, not for all of the probe's time."""
    rig = gone(3)
    until_probe(rig, 3)
    call(rig, 2, "c")
    assert took_s(rig, "c") <= 0.05
    assert reply(rig, "c") == VALUES[2] + 5
    assert rig.count("asks_cut") == 1


def test_a_probe_whose_answer_has_begun_is_not_cut():
    """The unit is back: what it says is heard to its end, and the call waits for that."""
    rig = gone(3)
    whole = answers(set())

    def in_halves(request: bytes) -> list[tuple[float, bytes]]:
        [(after_s, frame)] = whole(request)
        return [(after_s, frame[:4]), (after_s + 0.08, frame[4:])] if request[0] == 3 else [(after_s, frame)]

    rig.behaviour = in_halves
    until_probe(rig, 3)
    call(rig, 2, "c")
    assert took_s(rig, "c") >= 0.09
    assert reply(rig, "c") == VALUES[2] + 5
    assert rig.count("asks_cut") == 0
    assert "device.answers" in rig.noted


def test_a_call_to_the_silent_unit_itself_cuts_nothing():
    """An answer to the probe could be taken for its own: it waits for both times of the probe."""
    rig = gone(3)
    until_probe(rig, 3)
    call(rig, 3, "c")
    call(rig, 2, "other")
    assert took_s(rig, "other") <= 0.05
    assert took_s(rig, "c") >= 2 * TIMEOUT_S
    written = [(request[0], request[3]) for request in rig.lines[-3:]]
    assert written == [(3, 0), (2, 5), (3, 5)]


def test_the_answer_to_a_probe_that_was_cut_still_counts():
    """The unit is back with it, and the value is that of the probe's register."""
    rig = gone(3)
    rig.behaviour = lambda request: [(0.1 if request[0] == 3 else 0.01, f) for _, f in answers(set())(request)]
    until_probe(rig, 3)
    call(rig, 2, "c")
    rig.run(0.15)
    assert reply(rig, "c") == VALUES[2] + 5
    assert rig.count("asks_cut") == 1
    assert "device.answers" in rig.noted
    origin, frame = rig.entries("u3")[-1]
    assert (origin, frame[3:5]) == ("input:0+2", VALUES[3].to_bytes(2, "big"))


def test_a_unit_that_is_back_is_found_however_many_calls_there_are():
    """One probe in a few is waited out: a unit whose answers take longer than a cut allows is not kept away by calls
    that never end. Here each probe that is cut has its answer spoilt."""
    rig = gone(3)
    plain = answers(set())

    def behave(request: bytes) -> list[tuple[float, bytes]]:
        [(_, frame)] = plain(request)
        if request[0] != 3:
            return [(0.01, frame)]
        rig.said.clear()
        return [(0.15, frame)]

    rig.behaviour = behave
    end_s, count = rig.now_s + 20, 0
    while "device.answers" not in rig.noted and rig.now_s < end_s:
        count += 1
        # Whatever unit 3 was about to say is lost in the collision.
        cut = rig.count("asks_cut")
        call(rig, 2, f"c{count}")
        took_s(rig, f"c{count}")
        if rig.count("asks_cut") > cut:
            rig.said.clear()
    assert "device.answers" in rig.noted
    assert rig.count("asks_cut") >= 1


def test_on_a_line_with_an_echo_the_probe_has_its_echo_first():
    """What comes back of it would be taken for a collision with what the call writes."""
    rig = AskedRig(
        called(1, bus=Bus(max_backoff_s=4.0, echo=True)),
        lambda request: [(0.004, request), *answers({3})(request)],
        more=[called(2), called(3, 0.3)],
    )
    rig.run(SETTLES_S + 3)
    until_probe(rig, 3)
    call(rig, 2, "c")
    assert took_s(rig, "c") <= 0.05
    assert (rig.count("asks_cut"), rig.count("collisions")) == (1, 0)


def test_the_echo_of_a_call_that_follows_another_is_no_frame():
    """The first is over when it is out, and the next is written in the same moment."""
    echoing = Device(name="d", asking=Asking(bus=Bus(echo=True)))
    rig = AskedRig(echoing, lambda data: [(0.004, data)])
    rig.run(1)
    rig.drains = False
    rig.exchange("c1", writes=[b"ON\n"], with_response=False)
    rig.exchange("c2", writes=[b"OFF\n"], with_response=False)
    for _ in range(2):
        rig.run(0.01)
        rig.give(WriteDrained())
    rig.run(0.1)
    assert rig.lines == [b"ON\n", b"OFF\n"]
    assert rig.entries("d") == []
