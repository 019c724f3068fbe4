"""A device that is asked and does not answer: what its heartbeat says, and when."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from common.config.asking import Bus, Step
from common.config.models import Line
from services.port_reader.core.asking.unanswered import Unanswered, why_unanswered
from tests.support.asked_rig import AskedRig, ask, asked, heard
from tests.unit.test_asking_buses import answers, bus, unit


def said(rig: AskedRig, device: str) -> str:
    """What the last heartbeat of a device says of its answers."""
    rig.run(1)
    return next(beat.state["unanswered"] for beat in reversed(rig.beats) if beat.state["device"] == device)


def test_a_device_that_says_nothing_is_told_with_what_was_asked():
    """And with what the line is set to; not before it is sure, and not after it has answered."""
    dead = [True]
    rig = AskedRig(asked("d", ask("weight", b"SI\r\n")), lambda _: [] if dead[0] else [(0.01, b"S S 1 g\r\n")])
    rig.run(1)
    assert said(rig, "d") == ""
    rig.run(20)
    found = said(rig, "d")
    assert found.startswith("asked, no answer: 'SI\\r\\n' (weight) was not answered within 1 s; nothing came")
    assert "9600 baud 8N1" in found
    assert rig.beats[-1].state["probe_s"] is None or 0 <= rig.beats[-1].state["probe_s"] <= 30
    dead[0] = False
    rig.run(31)
    assert said(rig, "d") == ""


def test_a_device_that_is_seldom_asked_is_told_before_it_counts_as_gone():
    """Three turns of a quarter of an hour are too long to say nothing."""
    rig = AskedRig(asked("d", ask("q", b"Q\n", every_s=900.0)), lambda _: [])
    rig.run(30)
    assert said(rig, "d").startswith("asked, no answer: ")
    assert rig.beats[-1].state["connected"] is True


def test_another_frame_than_the_answer_is_shown():
    """Its message does not fit what came."""
    told = heard("weight", "^W")
    rig = AskedRig(asked("d", ask("weight", b"SI\n"), heard=(told,)), lambda _: [(0.01, b"S S 1 g\n")])
    rig.run(20)
    assert "another frame came instead: 'S S 1 g\\n'" in said(rig, "d")


def test_one_question_of_several_that_is_not_answered_is_told():
    """The device is there, and answers the others."""
    asks = (ask("a", b"A\n"), ask("b", b"B\n"))
    rig = AskedRig(asked("d", *asks, heard=(heard("a", "^a"), heard("b", "^b"))), lambda data: [(0.01, data.lower())])
    rig.run(20)
    assert said(rig, "d") == ""
    rig.behaviour = lambda data: [(0.01, b"a\n")] if data == b"A\n" else []
    rig.run(20)
    assert said(rig, "d").startswith("asked, no answer: 'B\\n' (b)")
    assert (rig.beats[-1].state["answers_some"], rig.beats[-1].state["connected"]) == (True, True)


def test_a_line_that_repeats_what_is_written_is_no_device_that_answers():
    """A dead device behind an adapter with an echo counts as gone, and the cure is named."""
    rig = AskedRig(asked("d", ask("q", b"SI\n")), lambda data: [(0.01, data)])
    rig.run(20)
    assert 'what was asked came back instead: set "bus": {"echo": true}' in said(rig, "d")
    assert rig.beats[-1].state["connected"] is False


def test_a_silent_member_of_a_bus_says_its_address_and_its_next_try():
    """The others on the line have nothing of it."""
    rig = bus(answers({2}), unit(1), unit(2, bus=Bus(max_backoff_s=8.0)))
    rig.run(40)
    assert "nothing came: is the device on, is its cable right, is its address 2" in said(rig, "u2")
    assert said(rig, "u1") == ""
    probes = [beat.state["probe_s"] for beat in rig.beats if beat.state["device"] == "u2"]
    assert all(probe is None or 0 <= probe <= 8 for probe in probes)
    assert any(probe for probe in probes[-8:])


def test_another_units_answers_are_told_and_counted():
    """A device at another address than the file says answers for the one that is asked."""
    behave = answers(set())
    rig = bus(lambda request: behave(b"\x03" + request[1:]), unit(1), unit(2))
    rig.run(20)
    assert "an answer of unit 3 while unit 1 was asked came instead" in said(rig, "u1")
    assert rig.count("answers_stray") >= 3


@pytest.mark.parametrize(
    ("newest", "words"),
    [(b"\x00\xfe\x7f", 'bytes came instead that are no frame: 00 FE 7F; do "framing", "checksum" and 2400 baud 7E1')],
)
def test_bytes_that_are_no_frame_are_shown(newest: bytes, words: str):
    """With the settings of the line, of which one is wrong most likely."""
    found = Unanswered(ask("q", b"Q\n"), 20.0, None, b"")
    assert words in why_unanswered(found, Line(baudrate=2400, bytesize=7, parity="E"), None, "", newest)


def test_a_question_whose_answers_always_come_too_late_names_the_time_out_that_is_right():
    """They count, and the device is there; one answer in time and all is well."""
    late = [1.4]
    weight = ask("weight", b"SI\n", every_s=5.0)
    rig = AskedRig(asked("d", weight, heard=(heard("weight", "^S"),)), lambda _: [(late[0], b"S S 1 g\n")])
    rig.run(8)
    assert rig.beats[-1].state["late_answers"] == ""
    rig.run(20)
    found = rig.beats[-1].state["late_answers"]
    assert "answers to 'SI\\n' (weight) came too late, after up to 1.4 s" in found
    assert 'set "timeoutMs": 2200 (it is 1000)' in found
    assert rig.beats[-1].state["connected"] is True
    late[0] = 0.1
    rig.run(6)
    assert rig.beats[-1].state["late_answers"] == ""


def test_a_frame_that_comes_when_nobody_waits_for_it_any_more_is_told():
    """After twice the time-out it is no answer; but it came, and it is said when."""
    rig = AskedRig(asked("d", ask("q", b"Q\n", every_s=10.0, retries=0)), lambda _: [(2.6, b"1 g\n")])
    rig.run(35)
    assert "something came 2.6 s after it was asked, when nobody waited for it any more" in said(rig, "d")
    assert 'a longer "timeoutMs" is right, such as 3900' in said(rig, "d")


def test_a_unit_that_answers_after_twice_its_time_is_told_so():
    """Its answers say nothing to us by then, but they are there: its cable is no suspect."""
    rig = bus(answers(set(), after_s=0.7), unit(1, 3.0), unit(2, 7.0))
    rig.run(60)
    assert "something came 0.7 s after it was asked" in said(rig, "u1")


def test_how_often_a_device_is_asked_of_what_is_wanted():
    """A line with no time for all of its turns says how many it takes; one that has the time takes all."""
    rig = AskedRig(asked("d", ask("q", b"Q\n", every_s=0.1)), lambda _: [(0.15, b"1\n")])
    rig.run(40)
    state = rig.beats[-1].state
    assert (state["wanted_hz"], state["asked_hz"]) == (pytest.approx(10), pytest.approx(6.67, abs=0.2))
    rig.behaviour = lambda _: [(0.01, b"1\n")]
    rig.run(40)
    assert rig.beats[-1].state["asked_hz"] == pytest.approx(10)


def test_turns_that_pass_while_one_is_tried_again_are_missed():
    """A question that is answered at its second try only takes the time of two turns and a time-out."""
    tries = [0]

    def behave(_: bytes) -> list[tuple[float, bytes]]:
        tries[0] += 1
        return [] if tries[0] % 2 else [(0.01, b"1\n")]

    rig = AskedRig(asked("d", ask("q", b"Q\n", every_s=0.2, timeout_s=0.3), heard=(heard("q", "^1"),)), behave)
    rig.run(60)
    # A time-out, as long again for a late answer, and the answer: four of its turns, of which one was taken.
    assert rig.beats[-1].state["asked_hz"] == pytest.approx(5 / 4, abs=0.15)


def test_a_device_that_does_not_take_its_init_is_not_ready():
    """It is told what was sent and what did not come, also while the port is closed until the next try; and nothing
    once it has taken it."""
    init = (Step(kind="send", data=b"*RST\n"), Step(kind="expect", message="ready"))
    device = asked("d", ask("q", b"Q\n"), init=init, heard=(heard("ready", "^OK"), heard("q", "^1")))
    rig = AskedRig(device, lambda _: [])
    for _ in range(30):
        rig.run(0.5)
        state = rig.beats[-1].state
        if rig.now_s > 107:
            assert "its \"init\" was not taken: no ready came after '*RST\\n'; nothing came" in state["unready"]
            assert state["connected"] is False
    rig.behaviour = lambda data: [(0.01, b"OK\n" if data == b"*RST\n" else b"1\n")]
    rig.run(8)
    assert (rig.beats[-1].state["unready"], rig.beats[-1].state["connected"]) == ("", True)


def test_a_member_of_a_bus_that_does_not_take_its_init_is_told():
    """It is asked all the same, as others on its line are."""
    init = (Step(kind="send", data=b"\x02RST"), Step(kind="expect", message="ready"))
    first = unit(1)
    assert first.asking is not None
    rig = bus(answers(set()), replace(first, asking=replace(first.asking, init=init)), unit(2))
    rig.run(10)
    states = {beat.state["device"]: beat.state for beat in rig.beats}
    assert 'its "init" was not taken' in states["u1"]["unready"]
    assert (states["u1"]["connected"], states["u2"]["unready"]) == (True, "")
