"""A device that is asked and does not answer: what its heartbeat says, and when."""

from __future__ import annotations

import pytest

from common.config.asking import Bus
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
