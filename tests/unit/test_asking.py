"""What a line is asked by itself: turns, answers and what is none, retries, steps, replies."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from common.config.asking import Ask, Bus, Step
from common.config.models import Rpc
from common.stream.events import Append, Bury
from common.stream.numbers import LINE_STATE_BYTES
from common.wire.messages import NOBODY, Entry
from services.port_reader.core.events import AdjustLine, PortLost, WritePort
from services.port_reader.core.framers.base import DeadPiece
from tests.support.asked_rig import AskedRig, Behaviour, ask, asked, heard
from tests.support.port_reader_rig import Rig

WEIGHT = ask("weight", b"SI\r\n")
GET = Rpc(method="get", template="GET\n", with_response=True, response_type="string")


def says(frame: bytes, after_s: float = 0.01) -> Behaviour:
    """A device that answers everything alike."""
    return lambda _: [(after_s, frame)]


def talks(**answers: bytes) -> Behaviour:
    """A device that answers each question by its first word, and nothing else."""
    return lambda data: [(0.01, answers[data.decode().split()[0]])] if data.decode().split()[0] in answers else []


def test_a_question_is_asked_in_its_turns_and_its_answer_has_its_name():
    """From the beginning of one turn to that of the next, however long the answer takes."""
    rig = AskedRig(asked("scale", WEIGHT), says(b"S S 1.0 g\n", after_s=0.3))
    rig.run(3.5)
    assert rig.lines == [b"SI\r\n"] * 4
    starts = [at for at, _ in rig.asked]
    assert [round(later - sooner, 3) for sooner, later in pairwise(starts)] == [1.0, 1.0, 1.0]
    assert rig.entries("scale") == [("weight", b"S S 1.0 g\n")] * 4
    assert (rig.count("asks"), rig.count("asks_answered"), rig.count("asks_missed")) == (4, 4, 0)


def test_one_thing_at_a_time():
    """The second question waits for the answer to the first."""
    both = asked("d", ask("a", b"A\n"), ask("b", b"B\n"))
    rig = AskedRig(both, talks(A=b"a 1\n", B=b"b 2\n"))
    rig.run(0.03)
    assert rig.lines == [b"A\n"]
    rig.run(0.1)
    assert rig.lines == [b"A\n", b"B\n"]
    assert rig.entries("d") == [("a", b"a 1\n"), ("b", b"b 2\n")]


def test_answers_of_several_questions_may_be_numbers_alone():
    """A message that takes any frame claims no other question's answer, nor a refusal, whatever their order."""
    kinds = (heard("a", ""), heard("b", ""), heard("c", "^C"), heard("no", "^ERR", is_error=True))
    questions = [ask(name, name.upper().encode() + b"\n") for name in ("a", "b", "c", "d")]
    device = asked("meter", *questions, heard=kinds)
    rig = AskedRig(device, talks(A=b"1\n", B=b"2\n", C=b"C 3\n", D=b"ERR\n"))
    rig.run(0.5)
    assert rig.entries("meter") == [("a", b"1\n"), ("b", b"2\n"), ("c", b"C 3\n"), ("d", b"ERR\n")]
    assert (rig.count("asks_answered"), rig.count("asks_refused")) == (3, 1)


def test_the_question_that_has_waited_longest_is_next_so_that_none_starves():
    """A line that is asked for more than it can say gives everybody the same."""
    fast = [ask(name, name.encode() + b"\n", every_s=0.1) for name in ("a", "b", "c")]
    rig = AskedRig(asked("d", *fast, ask("slow", b"slow\n", every_s=2.0)), lambda data: [(0.1, data.upper() + b"!\n")])
    rig.run(10)
    counts = {name: rig.lines.count(name.encode() + b"\n") for name in ("a", "b", "c", "slow")}
    assert counts["slow"] == 5
    assert max(counts["a"], counts["b"], counts["c"]) - min(counts["a"], counts["b"], counts["c"]) <= 1


def test_turns_that_pass_while_a_question_waits_are_missed_and_counted_not_queued():
    """Ten a second were wanted, four can be: six are missed each second, and the line is never behind."""
    rig = AskedRig(asked("d", ask("a", b"A\n", every_s=0.1, timeout_s=2.0)), says(b"a\n", after_s=0.25))
    rig.run(10)
    assert rig.count("asks") + rig.count("asks_missed") == pytest.approx(100, abs=3)
    assert 30 <= rig.count("asks") <= 40


def test_turns_on_the_clock():
    """`aligned`: at whole multiples of the period, whenever the port was opened. The rig's clock began at one."""
    rig = AskedRig(asked("d", ask("a", b"A\n", every_s=10, aligned=True)), says(b"a\n"))
    rig.run(3.3)
    rig.give(PortLost("EIO", rig.wall_ms))
    rig.run(24)
    assert [at for at, _ in rig.asked] == pytest.approx([10.0, 20.0], abs=0.01)


def test_once_after_each_opening():
    """`on: connect`, and never again until the port is opened anew."""
    rig = AskedRig(asked("d", ask("id", b"ID?\n", every_s=None, on_connect=True)), says(b"X 1\n"))
    rig.run(30)
    assert rig.lines == [b"ID?\n"]
    rig.give(PortLost("EIO", rig.wall_ms))
    rig.run(5)
    assert rig.lines == [b"ID?\n"] * 2


def test_no_answer_is_waited_out_and_asked_once_more():
    """A late answer would be taken for that of the next question: as long again nothing is asked."""
    rig = AskedRig(asked("d", ask("a", b"A\n", every_s=60)), lambda _: [])
    rig.run(10)
    starts = [at for at, _ in rig.asked]
    assert len(starts) == 2
    assert starts[1] - starts[0] == pytest.approx(2.0, abs=0.01)
    assert rig.count("asks_unanswered") == 2


def test_a_late_answer_is_that_of_its_own_question():
    """It comes while nothing else was asked: right name, no second try, and the next question gets its own."""
    slow = iter([1.5, 0.01, 0.01, 0.01])
    device = asked("d", ask("a", b"A\n", every_s=3), ask("b", b"B\n", every_s=3))
    rig = AskedRig(device, lambda data: [(next(slow), data.lower())])
    rig.run(2.9)
    assert rig.entries("d") == [("a", b"a\n"), ("b", b"b\n")]
    assert rig.lines == [b"A\n", b"B\n"]
    assert rig.count("asks_late") == 1


def test_what_a_device_says_by_itself_is_no_answer():
    """A message of another name is telemetry as ever, and the question waits on."""
    device = asked("d", ask("status", b"S?\n"), heard=(heard("alarm", "^ALARM"), heard("status", "^ST")))
    rig = AskedRig(device, lambda _: [(0.01, b"ALARM 7\n"), (0.02, b"ST 1\n")])
    rig.run(0.5)
    assert rig.entries("d") == [("", b"ALARM 7\n"), ("status", b"ST 1\n")]
    assert rig.count("asks_answered") == 1


def test_a_message_without_a_name_is_another_one_too():
    """A question that does not know what its answer looks like waits on for it."""
    device = asked("d", ask("read", b"R\n"), heard=(heard("read", ""), heard("", "^ALARM")))
    rig = AskedRig(device, lambda _: [(0.01, b"ALARM 7\n"), (0.02, b"23.5\n")])
    rig.run(0.5)
    assert rig.entries("d") == [("", b"ALARM 7\n"), ("read", b"23.5\n")]


def test_an_echo_and_blank_lines_are_no_answers():
    """A device that repeats what it is sent says nothing by that; the repetition is nobody's."""
    rig = AskedRig(asked("d", ask("a", b"A?\r\n")), lambda _: [(0.01, b"A?\r\n"), (0.02, b"\r\n"), (0.03, b"17\r\n")])
    rig.run(0.5)
    assert rig.entries("d", Entry.ANSWER) == [("", b"A?\r\n")]
    [batch] = [batch for batch in rig.batches if batch.kind == Entry.ANSWER]
    assert rig.entries("d") == [("", b"\r\n"), ("a", b"17\r\n")]
    assert NOBODY == ""
    assert batch.origin == ""


def test_an_echo_of_the_line_is_taken_out_before_frames_are_cut():
    """`echo`: what we have written comes back, in pieces, and is no part of anything."""
    device = asked("d", ask("a", b"A?\n"), bus=Bus(echo=True))
    rig = AskedRig(device, lambda _: [(0.001, b"A"), (0.002, b"?\n1"), (0.003, b"7\n")])
    rig.run(0.5)
    assert rig.entries("d") == [("a", b"17\n")]
    assert rig.count("collisions") == 0


def test_an_echo_that_is_another_is_a_collision_and_asked_again():
    """Somebody else wrote at the same time."""
    echoes = iter([b"X?\n", b"A?\n"])
    device = asked("d", ask("a", b"A?\n", every_s=60), bus=Bus(echo=True))
    rig = AskedRig(device, lambda _: [(0.001, next(echoes)), (0.01, b"17\n")])
    rig.run(5)
    assert rig.count("collisions") == 1
    assert rig.lines == [b"A?\n"] * 2
    assert ("a", b"17\n") in rig.entries("d")


def test_a_refusal_is_an_answer_and_no_reason_to_ask_again():
    """It is told by messages that are errors; its frame says what was refused."""
    device = asked("d", ask("a", b"A?\n", every_s=60), heard=(heard("no", "^NAK", is_error=True), heard("a", "^A")))
    rig = AskedRig(device, says(b"NAK\n"))
    rig.run(10)
    assert rig.lines == [b"A?\n"]
    assert rig.entries("d") == [("a", b"NAK\n")]
    assert (rig.count("asks_refused"), rig.count("asks_unanswered")) == (1, 0)


def test_calls_go_before_questions_and_never_into_one():
    """A call that comes while an answer is awaited is next, before all that has been due for longer."""
    device = asked("d", ask("a", b"A\n"), ask("b", b"B\n"), heard=(heard("a", "^a"), heard("b", "^b")))
    device = replace(device, rpcs=(GET,))
    rig = AskedRig(device, talks(A=b"a\n", B=b"b\n", GET=b"g 1\n"))
    rig.run(0.03)
    assert rig.lines == [b"A\n"]
    rig.exchange("c1", pattern="^g")
    assert rig.lines == [b"A\n"]
    rig.run(0.1)
    assert rig.lines == [b"A\n", b"GET\n", b"B\n"]
    assert rig.ended("c1") == "ok"
    assert rig.entries("d") == [("a", b"a\n"), ("b", b"b\n")]


def test_a_call_is_never_repeated():
    """Whoever called decides; the question before and after it is none of its business."""
    device = asked("d", ask("a", b"A\n", every_s=5), heard=(heard("a", "^a"),))
    rig = AskedRig(device, talks(A=b"a\n"))
    rig.run(0.5)
    rig.exchange("c1", pattern="^g", timeout_s=1.0)
    rig.run(30)
    assert rig.lines.count(b"GET\n") == 1
    assert "no answer" in (rig.ended("c1") or "")


def test_a_dialogue_goes_step_by_step_and_changes_the_line():
    """As IEC 62056-21 mode C: the speed changes between two questions, after a pause, once the write is out."""
    steps = (
        Step(kind="baudrate", value=300),
        Step(kind="send", data=b"/?!\r\n"),
        Step(kind="expect", message="identification"),
        Step(kind="wait", value=0.3),
        Step(kind="send", data=b"\x06050\r\n"),
        Step(kind="baudrate", value=9600),
    )
    readout = Ask(name="readout", steps=steps, every_s=900, timeout_s=15)
    told = (heard("identification", "^/"), heard("readout", "^\\x02"))
    rig = AskedRig(
        asked("meter", readout, heard=told),
        lambda data: [(0.2, b"/ABC5\r\n")] if data.startswith(b"/") else [(1.0, b"\x021.8.0(1*kWh)\n")],
    )
    rig.run(5)
    assert rig.lines == [b"/?!\r\n", b"\x06050\r\n"]
    assert rig.asked[1][0] - rig.asked[0][0] == pytest.approx(0.5, abs=0.01)
    assert rig.adjusted == [AdjustLine(baudrate=300), AdjustLine(baudrate=9600)]
    assert rig.entries("meter") == [("identification", b"/ABC5\r\n"), ("readout", b"\x021.8.0(1*kWh)\n")]


def test_a_step_whose_message_does_not_come_fails_the_question():
    """The rest of the steps is not gone through."""
    steps = (Step(kind="send", data=b"HI\n"), Step(kind="expect", message="hello"), Step(kind="send", data=b"GO\n"))
    device = asked("d", Ask(name="a", steps=steps, every_s=60, retries=0), heard=(heard("hello", "^hello"),))
    rig = AskedRig(device, lambda _: [])
    rig.run(10)
    assert rig.lines == [b"HI\n"]
    assert rig.count("asks_unanswered") == 1


def test_a_message_that_takes_any_frame_is_expected_though_another_one_stands_before_it():
    """The step says which is meant; a frame that some other message takes, a blank one, and what the device only
    repeats are none of them."""
    steps = (Step(kind="send", data=b"HI\n"), Step(kind="expect", message="name"), Step(kind="send", data=b"GO\n"))
    kinds = (heard("value", ""), heard("name", ""), heard("alarm", "^!"))
    device = asked("d", Ask(name="value", steps=steps, every_s=60, retries=0), heard=kinds)
    said = {b"HI\n": [(0.1, b"! hot\n"), (0.2, b"\n"), (0.3, b"HI\n"), (0.4, b"ABC5\n")], b"GO\n": [(0.1, b"7\n")]}
    rig = AskedRig(device, lambda data: said[data])
    rig.run(5)
    assert rig.lines == [b"HI\n", b"GO\n"]
    assert rig.entries("d") == [("", b"! hot\n"), ("", b"\n"), ("name", b"ABC5\n"), ("value", b"7\n")]
    assert (rig.count("asks_answered"), rig.count("asks_unanswered")) == (1, 0)


def test_init_comes_first_and_then_the_device_is_there():
    """Before questions and calls; the platform hears that the device is connected when it has taken it."""
    init = (Step(kind="dtr", value=1), Step(kind="send", data=b"*RST\n"), Step(kind="expect", message="ready"))
    device = asked("d", ask("a", b"A\n"), init=init, heard=(heard("ready", "^READY"), heard("a", "^a")))
    rig = AskedRig(device, talks(**{"*RST": b"READY\n", "A": b"a\n"}))
    rig.exchange("c1", with_response=False)
    assert rig.entries("d", Entry.OPENED) == []
    rig.run(0.5)
    assert rig.lines == [b"*RST\n", b"GET\n", b"A\n"]
    assert rig.adjusted == [AdjustLine(dtr=True)]
    numbers = [(batch.kind, batch.origin) for batch in rig.batches]
    assert numbers[:2] == [(Entry.FRAMES, "ready"), (Entry.OPENED, "")]


def test_an_init_that_fails_closes_the_port_which_is_opened_anew():
    """The port counts as not ready: nothing is asked, and the platform never hears of the device."""
    init = (Step(kind="send", data=b"*RST\n"), Step(kind="expect", message="ready"))
    rig = AskedRig(asked("d", ask("a", b"A\n"), init=init, heard=(heard("ready", "^READY"),)), lambda _: [])
    rig.run(20)
    assert set(rig.lines) == {b"*RST\n"}
    assert 3 <= len(rig.lines) <= 4
    assert rig.count("ports_lost") >= 3
    assert rig.entries("d", Entry.OPENED) == rig.entries("d", Entry.LOST) == []
    assert any(note.facts.get("reason") == "init: no ready" for note in rig.notes)


def test_a_frame_is_acknowledged_once_it_is_in_the_journal():
    """The write stands behind the commit, and does not come where the journal has failed."""
    device = asked("d", heard=(heard("result", "^R", reply=b"\x06"),))
    rig = AskedRig(device, lambda _: [])
    rig.run(0.1)
    rig.performed.clear()
    rig.read(b"R 1\n")
    kinds = [type(effect) for effect in rig.performed if isinstance(effect, Append | WritePort)]
    assert kinds == [Append, WritePort]
    assert rig.lines == [b"\x06"]
    rig.journal.is_full = True
    rig.read(b"R 2\n")
    assert rig.lines == [b"\x06"]
    assert rig.count("replies_sent") == 1


def test_a_repeated_frame_is_acknowledged_and_dropped():
    """`dropRepeats`: also by the reader that comes after one that died between commit and acknowledgement."""
    device = asked("d", heard=(heard("result", "^R", reply=b"\x06"),), drops_repeats=True)
    rig = AskedRig(device, lambda _: [])
    rig.run(0.1)
    rig.read(b"R 1\n")
    rig.read(b"R 1\n")
    rig.read(b"R 2\n")
    assert rig.entries("d") == [("", b"R 1\n"), ("", b"R 2\n")]
    assert rig.lines == [b"\x06"] * 3
    again = AskedRig(device, lambda _: [], journal=rig.journal)
    again.run(0.1)
    again.read(b"R 2\n")
    again.read(b"R 3\n")
    said = [frame for _, frame in again.entries("d")]
    assert said == [b"R 1\n", b"R 2\n", b"R 3\n"]
    assert again.lines == [b"\x06"] * 2


def _analyser(journal: Any = None) -> AskedRig:
    """A line whose device opens a message by `Q`, says results, and ends it by `E`, which nobody acknowledges."""
    told = (heard("open", "^Q", reply=b"\x06"), heard("result", "^R", reply=b"\x06"), heard("end", "^E"))
    options = {} if journal is None else {"journal": journal}
    rig = AskedRig(asked("d", heard=told, drops_repeats=True), lambda _: [], **options)
    rig.run(0.1)
    return rig


@pytest.mark.parametrize("cut", ["reader", "port"])
def test_a_message_that_starts_over_is_kept_once(cut: str):
    """A device that has waited in vain says its whole message again, acknowledged results and all."""
    rig = _analyser()
    for line in (b"Q\n", b"R 1\n", b"R 2\n"):
        rig.read(line)
    if cut == "reader":
        rig = _analyser(rig.journal)
    else:
        rig.give(PortLost("EIO", rig.wall_ms))
        rig.run(3)
    for line in (b"E\n", b"Q\n", b"R 1\n", b"R 2\n", b"R 3\n", b"E\n"):
        rig.read(line)
    results = [frame for _, frame in rig.entries("d") if frame.startswith(b"R")]
    assert results == [b"R 1\n", b"R 2\n", b"R 3\n"]
    # Another cut, in a message that is said a second time.
    rig = _analyser(rig.journal)
    for line in (b"Q\n", b"R 4\n"):
        rig.read(line)
    rig = _analyser(rig.journal)
    for line in (b"Q\n", b"R 4\n"):
        rig.read(line)
    rig = _analyser(rig.journal)
    for line in (b"Q\n", b"R 4\n", b"R 5\n"):
        rig.read(line)
    results = [frame for _, frame in rig.entries("d") if frame.startswith(b"R")]
    assert results == [b"R 1\n", b"R 2\n", b"R 3\n", b"R 4\n", b"R 5\n"]


def test_what_is_remembered_of_a_message_fits_into_the_journal():
    """However long a message is, and however often it was cut."""
    rig = _analyser()
    for turn in range(3):
        for number in range(200):
            rig.read(b"R %d %d\n" % (turn, number))
        state = rig.journal.line_state
        assert 64 * 16 < len(state) <= LINE_STATE_BYTES
        rig = _analyser(rig.journal)
    rig.read(b"E\n")
    rig.read(b"R 2 199\n")
    assert rig.count("repeats_dropped") == 1


@pytest.mark.parametrize("cut", ["never", "between messages"])
def test_the_same_result_of_another_measurement_is_kept(cut: str):
    """Two messages that are alike are two messages, where the first one was ended."""
    rig = _analyser()
    for line in (b"Q\n", b"R 5.4\n", b"E\n"):
        rig.read(line)
    if cut == "between messages":
        rig = _analyser(rig.journal)
    for line in (b"Q\n", b"R 5.4\n", b"E\n"):
        rig.read(line)
    assert [frame for _, frame in rig.entries("d") if frame.startswith(b"R")] == [b"R 5.4\n"] * 2


def test_a_message_that_starts_over_much_later_is_another():
    """After 30 s a device has given up for good: what comes is new."""
    rig = _analyser()
    rig.read(b"Q\n")
    rig.read(b"R 1\n")
    rig.give(PortLost("EIO", rig.wall_ms))
    rig.run(40)
    rig.read(b"Q\n")
    rig.read(b"R 1\n")
    assert [frame for _, frame in rig.entries("d") if frame.startswith(b"R")] == [b"R 1\n"] * 2


def test_a_port_that_is_lost_in_mid_exchange_ends_it():
    """What comes after the next opening answers nothing that was asked before."""
    rig = AskedRig(asked("d", ask("a", b"A\n", every_s=60)), lambda _: [])
    rig.run(0.1)
    rig.give(PortLost("EIO", rig.wall_ms))
    rig.opens = False
    rig.run(0.2)
    rig.opens = True
    rig.behaviour = says(b"a\n")
    rig.run(3)
    assert rig.lines == [b"A\n", b"A\n"]
    assert rig.entries("d") == [("a", b"a\n")]


def test_a_device_that_does_not_answer_is_gone_and_probed_until_it_is_back():
    """After three turns: disconnected, one probe at 1, 2, 4 … 30 s, then all its questions again."""
    device = asked("d", ask("a", b"A\n", every_s=0.5, timeout_s=0.1, retries=0), ask("b", b"B\n", every_s=0.5))
    rig = AskedRig(device, lambda _: [])
    rig.run(100)
    assert len(rig.entries("d", Entry.LOST)) == 1
    gone = [at for at, data in rig.asked if data == b"A\n"][-8:]
    pauses = [round(later - sooner, 1) for sooner, later in pairwise(gone)]
    assert pauses == [2.1, 4.1, 8.1, 16.1, 30.1] or pauses[-2:] == [30.1, 30.1]
    rig.behaviour = talks(A=b"a\n", B=b"b\n")
    rig.run(32)
    assert len(rig.entries("d", Entry.OPENED)) == 2
    assert len(rig.entries("d")) > 2


def test_a_device_without_questions_has_none_of_it():
    """The port is the plain one, and loads nothing of asking."""
    assert type(Rig().core._port).__name__ == "Port"


def test_an_rpc_of_a_gone_device_is_tried_at_once():
    """Whoever calls shall not wait for a probe."""
    device = asked("d", ask("a", b"A\n", every_s=0.5, timeout_s=0.1, retries=0))
    device = replace(device, rpcs=(GET,))
    rig = AskedRig(device, lambda data: [(0.01, b"g\n")] if data == b"GET\n" else [])
    rig.run(3)
    assert len(rig.entries("d", Entry.LOST)) == 1
    rig.run(0.5)
    rig.exchange("c1", pattern="^g")
    rig.run(0.5)
    assert rig.ended("c1") == "ok"
    assert len(rig.entries("d", Entry.OPENED)) == 2


def test_bad_frames_are_answered_where_the_device_waits_for_that():
    """`onBadFrame`: the dead piece is kept, and the device says its frame again."""
    device = asked("d", heard=(heard("r", "^R", reply=b"\x06"),), on_bad_frame=b"\x15")
    rig = AskedRig(device, lambda _: [])
    rig.run(0.1)
    rig.core._port._line._add_dead(DeadPiece("checksum: the frame says 3D, its bytes give 3F", b"R 1\n"))
    rig.read(b"R 2\n")
    assert sorted(rig.lines) == [b"\x06", b"\x15"]
    assert any(isinstance(effect, Bury) for effect in rig.performed)
