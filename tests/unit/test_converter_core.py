"""The converter's core: batches, sections, users' code, brokers that change, drain."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import astuple

from common.config.models import section_of
from common.core.events import Blocked, Drain, Exit, Note, Start, Writable
from common.core.version import RELEASE
from common.wire import codec
from common.wire.messages import (
    Entry,
    Heartbeat,
    Plane,
    ReadingBatch,
    Register,
    Reply,
    Request,
    UserReading,
)
from services.converter.core.batches import READINGS_BYTES
from services.converter.core.events import (
    ConvertWithUserCode,
    Death,
    ForgetDeath,
    PullFrom,
    UserFrame,
)
from services.converter.core.held import BATCHES_HELD
from tests.support.converting import IDENTITY, PRESS, USER, World, body_of, call, frame_batch, hash_of

DEATH = Death("note-dead1", "user", "journal", 3, [7])


@pytest.fixture
def world() -> World:
    return World().start()


def beat_of(instance: str) -> Heartbeat:
    return Heartbeat("broker", "0", instance, 1, "here", 1.0, {}, {})


def test_it_registers_and_pulls_from_where_the_broker_says(world: World) -> None:
    """One `PullFrom` per endpoint, after the registration was accepted."""
    assert [type(message) for message in world.take(Register)] == [Register]
    assert world.take(PullFrom) == [PullFrom("ipc:///broker-1/frames.0")]
    world.register("broker-1")
    assert world.take(PullFrom) == []


def test_a_batch_of_an_unknown_section_waits_for_the_answer(world: World) -> None:
    """One question to the device's reader for two batches; its answer lets both out, in order, under their numbers."""
    world.say(frame_batch(PRESS, [b"1\n", b"x\n"], first=5))
    world.say(frame_batch(PRESS, [b"3\n"], first=7))
    assert world.take(ReadingBatch) == []
    world.teach(PRESS)
    first, second = world.take(ReadingBatch)
    assert astuple(first)[:10] == ("press", "journal", 3, 5, 2, 1, "epoch", Entry.FRAMES, "0", "c0ffee")
    assert (second.first, second.length) == (7, 1)
    body = body_of(first)
    assert body.ts_ms == [1005, 1006]
    assert body.telemetry == [b'{"n":1}', b""]
    assert json.loads(body.attributes) == {"len": "x"}


def test_a_known_section_is_converted_at_once(world: World) -> None:
    """No second question."""
    world.know(PRESS)
    world.say(frame_batch(PRESS, [b"5"], first=2))
    assert body_of(world.take(ReadingBatch)[0]).telemetry == [b'{"n":5}']
    assert world.take_requests("section") == []


def test_the_question_is_repeated_and_the_credit_given_back(world: World) -> None:
    """Asked each second under one id; after 5 s a batch of length 0, and no more questions."""
    world.say(frame_batch(PRESS, [b"1"], first=9))
    world.run_for(4.5)
    questions = world.take_requests("section")
    assert len(questions) == 5
    assert len({question.id for question in questions}) == 1
    assert questions[0].target == "port_reader:press"
    world.run_for(1.0)
    [empty] = world.take(ReadingBatch)
    assert (empty.first, empty.length, empty.converter) == (9, 0, "0")
    world.take_requests("section")
    world.run_for(5.0)
    assert world.take_requests("section") == []


def test_an_error_or_nonsense_for_a_section_is_no_answer(world: World) -> None:
    """The batch keeps waiting, and a good answer under the same id still lets it out."""
    world.say(frame_batch(PRESS, [b"1"]))
    [question] = world.take_requests("section")
    world.say(Reply(question.id, IDENTITY.address, "device press is not connected", b""))
    for nonsense in (b"", b"\xc1", codec.pack(5), codec.pack(b"{"), codec.pack(b'{"name": 5}')):
        world.say(Reply(question.id, IDENTITY.address, "", nonsense))
    assert world.take(ReadingBatch) == []
    assert all(note.event == "section.unreadable" for note in world.take(Note) if note.level == "error")
    world.say(Reply(question.id, IDENTITY.address, "", codec.pack(section_of(PRESS))))
    assert len(world.take(ReadingBatch)) == 1


def test_credit_that_a_broker_lost_count_of_is_bounded(world: World) -> None:
    """Batches past the bound are given back at once."""
    for number in range(BATCHES_HELD + 3):
        world.say(frame_batch(PRESS, [b"1"], first=number + 1))
    assert [batch.length for batch in world.take(ReadingBatch)] == [0, 0, 0]


def test_entries_without_frames_need_no_section(world: World) -> None:
    """OPENED comes out with the device type, LOST as it is, DEAD with its reason."""
    world.say(frame_batch(PRESS, [b"thermometer"], kind=Entry.OPENED))
    world.say(frame_batch(PRESS, [b"EIO"], first=2, kind=Entry.LOST))
    world.say(frame_batch(PRESS, [b"joined mid-frame"], first=3, kind=Entry.DEAD))
    opened, lost, dead = world.take(ReadingBatch)
    assert body_of(opened).device_type == "thermometer"
    assert (lost.kind, body_of(lost).telemetry) == (Entry.LOST, [b""])
    assert body_of(dead).dead == {0: "joined mid-frame"}
    assert world.take_requests("section") == []


@pytest.mark.parametrize(
    ("method", "frame", "reply"),
    [
        ("get", b"17\n", {"result": 17}),
        ("gone", b"17\n", {"error": "Method not found", "success": False}),
        ("get", b"many\n", {"error": "answer: found 'many\\n', expected a decimal whole number", "success": False}),
    ],
)
def test_an_answer_comes_out_as_telemetry_and_as_a_reply(
    world: World, method: str, frame: bytes, reply: dict[str, object]
) -> None:
    """ANSWER entries carry both, under the correlation id."""
    world.know(PRESS)
    world.say(frame_batch(PRESS, [frame], first=4, kind=Entry.ANSWER, extra=["call-9", method]))
    body = body_of(world.take(ReadingBatch)[0])
    assert body.telemetry == ([b'{"n":17}'] if frame == b"17\n" else [b""])
    assert body.answer is not None
    assert body.answer[0] == "call-9"
    found = json.loads(body.answer[1])
    assert found.keys() == reply.keys()
    assert str(found.get("error", "")).startswith(str(reply.get("error", "")))
    assert found.get("result") == reply.get("result")


def test_a_batch_that_can_not_be_read_is_given_back(world: World) -> None:
    """Broken bodies and unknown kinds cost a warning, not the process, and not a frame."""
    good = frame_batch(PRESS, [b"1"])
    wrong_shapes = [[[1], ["text"], []], [["x"], [b"1"], []]]
    for bad in (
        good.replace(body=b"\xc1"),
        good.replace(length=2),
        good.replace(length=0),
        good.replace(kind=9),
        good.replace(kind=-1),
        good.replace(kind=Entry.ANSWER),
        *(good.replace(body=codec.pack(shape)) for shape in wrong_shapes),
    ):
        world.say(bad)
        assert [batch.length for batch in world.take(ReadingBatch)] == [0], bad
    assert len([note for note in world.take(Note) if note.event == "batch.unreadable"]) == 1


def test_users_code_makes_readings_and_dead_letters(world: World) -> None:
    """A frame for which users' code raised is a dead letter with its reason; the others are readings."""
    world.know(USER)
    fine = UserFrame([UserReading("other", "t", [(5, b'{"a":1}')], b"")])
    world.users.convert = lambda frame: UserFrame([], "UserUp: \ud800") if frame == b"bad" else fine
    world.say(frame_batch(USER, [b"a", b"bad", b"c"], first=2))
    [batch] = world.take(ReadingBatch)
    body = body_of(batch)
    assert batch.length == 3
    assert body.telemetry == [b"", b"", b""]
    assert body.dead == {1: "UserUp: \\ud800"}
    assert body.user[0] == [UserReading("other", "t", [(5, b'{"a":1}')], b"")]
    assert set(body.user) == {0, 2}
    world.run_for(1.0)
    said = {"slot": "0", "draining": False, "held": 0, "user_devices": ["user"], "hosts": ["user"]}
    assert world.take(Heartbeat)[-1].state == {**said, "release": RELEASE, "registered": True}


def test_readings_that_are_too_large_for_one_message_travel_in_parts(world: World) -> None:
    """The broker cuts off who sends too much, and the frames would come again for ever: so a batch is split, and what
    is too large by itself is a dead letter."""
    world.know(USER)
    sizes = {b"small": 10, b"large": READINGS_BYTES // 2, b"huge": READINGS_BYTES + 1}
    world.users.convert = lambda frame: UserFrame(
        [UserReading("user", "t", [(None, b'{"a":"%s"}' % (b"x" * sizes[frame]))], b"")]
    )
    world.say(frame_batch(USER, [b"small", b"large", b"huge", b"large", b"small"], first=5))
    batches = world.take(ReadingBatch)
    assert all(len(batch.body) <= READINGS_BYTES for batch in batches)
    assert [number for batch in batches for number in range(batch.first, batch.first + batch.length)] == [5, 6, 7, 8, 9]
    assert [batch.first + index for batch in batches for index in body_of(batch).dead] == [7]
    assert [batch.first + index for batch in batches for index in body_of(batch).user] == [5, 6, 8, 9]


def test_users_code_runs_in_slices_and_one_batch_at_a_time(world: World) -> None:
    """Other devices do not wait for it; frames of a device stay in order."""
    world.know(USER)
    world.know(PRESS)
    world.users.slice_frames, world.users.is_slow = 2, True
    world.take(ConvertWithUserCode)
    world.say(frame_batch(USER, [b"1", b"2", b"3", b"4", b"5"], first=10))
    world.say(frame_batch(USER, [b"6", b"7", b"8"], first=15))
    world.say(frame_batch(PRESS, [b"1"], first=2))
    assert [batch.device for batch in world.take(ReadingBatch)] == ["press"]
    for _ in range(5):
        world.let_users_go_on()
    assert [(batch.first, batch.length) for batch in world.take(ReadingBatch)] == [(10, 5), (15, 3)]
    assert world.users.seen == [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8"]
    assert [order.first for order in world.take(ConvertWithUserCode)] == [10, 12, 14, 15, 17]


def test_users_code_answers_calls_from_journaled_answers(world: World) -> None:
    """An ANSWER entry goes through users' code for telemetry and for the value; an unknown method is an error."""
    world.know(USER)
    for method in ("get", "gone"):
        world.say(frame_batch(USER, [b"abc"], first=3, kind=Entry.ANSWER, extra=["call-9", method]))
    known, unknown = (body_of(batch) for batch in world.take(ReadingBatch))
    assert known.answer == ("call-9", b'{"result":3}')
    assert 0 in known.user
    assert unknown.answer == ("call-9", b'{"error":"Method not found","success":false}')


def test_blocked_readings_go_out_when_the_plane_is_writable(world: World) -> None:
    """Nothing is lost while the broker takes nothing; later batches queue behind the blocked one."""
    world.know(PRESS)
    world.say(frame_batch(PRESS, [b"1"], first=2))
    [blocked] = world.take(ReadingBatch)
    world.hear(Blocked(Plane.READINGS, blocked))
    world.say(frame_batch(PRESS, [b"2"], first=3))
    assert world.take(ReadingBatch) == []
    world.hear(Writable(Plane.READINGS))
    assert [batch.first for batch in world.take(ReadingBatch)] == [2, 3]


def test_a_new_broker_is_told_nothing_of_the_old_ones_batches(world: World) -> None:
    """Held, running and blocked batches are dropped; the process registers and pulls anew, and works on."""
    world.know(USER)
    world.users.slice_frames = 1
    world.say(frame_batch(PRESS, [b"1"], first=2))
    world.say(frame_batch(USER, [b"1", b"2"], first=2))
    world.hear(Blocked(Plane.READINGS, ReadingBatch("press", "j", 1, 1, 1, 1, "e", 0, "0", "c0ffee", b"")))
    world.effects.clear()
    world.say(beat_of("broker-2"))
    assert len(world.take(Register)) == 1
    world.register("broker-2")
    assert world.take(PullFrom) == [PullFrom("ipc:///broker-2/frames.0")]
    world.hear(Writable(Plane.READINGS))
    world.run_for(6.0)
    assert world.take(ReadingBatch) == []
    world.users.slice_frames = 5
    world.say(frame_batch(USER, [b"1", b"2"], first=2))
    assert [batch.length for batch in world.take(ReadingBatch)] == [2]


def test_a_death_is_reported_until_a_reader_answers() -> None:
    """Each second under one id, from registration on; errors are no answer; then it is struck from the file."""
    world = World(deaths=(DEATH,))
    world.hear(Start())
    world.run_for(2.0)
    assert world.take_requests("note") == []
    world.register("broker-1")
    [report] = world.take_requests("note")
    assert (report.id, report.target, report.reply_to) == ("note-dead1", "port_reader:user", IDENTITY.address)
    assert codec.unpack_map(report.body) == {"journal": "journal", "generation": 3, "numbers": [7]}
    world.say(Reply(report.id, IDENTITY.address, "unknown device user", b""))
    world.run_for(2.5)
    assert [again.id for again in world.take_requests("note")] == ["note-dead1"] * 2
    assert world.take(ForgetDeath) == []
    world.say(Reply(report.id, IDENTITY.address, "", codec.pack(None)))
    assert world.take(ForgetDeath) == [ForgetDeath("note-dead1")]
    world.run_for(3.0)
    assert world.take_requests("note") == []


def test_a_frame_under_an_unanswered_death_is_not_touched() -> None:
    """It is given back until its reader knows, alone too; others are converted."""
    world = World(deaths=(DEATH,)).start()
    world.say(frame_batch(USER, [b"0"]))
    world.teach(USER)
    world.take(ReadingBatch)
    world.say(frame_batch(USER, [b"a", b"b", b"c"], first=6))
    assert [batch.length for batch in world.take(ReadingBatch)] == [0]
    world.say(frame_batch(USER, [b"b"], first=7, alone=True))
    world.say(frame_batch(USER, [b"c"], first=8))
    assert [batch.length for batch in world.take(ReadingBatch)] == [0, 1]
    [report, *_] = world.take_requests("note")
    world.say(Reply(report.id, IDENTITY.address, "", codec.pack(None)))
    world.say(frame_batch(USER, [b"b"], first=7, alone=True))
    assert [batch.length for batch in world.take(ReadingBatch)] == [1]


def test_drain_finishes_what_is_held_and_exits(world: World) -> None:
    """A beat that says so at once; batches under way come out; exit 0 when it is quiet."""
    world.know(USER)
    world.users.slice_frames = 1
    world.say(frame_batch(USER, [b"1", b"2", b"3"], first=2))
    world.take(Heartbeat)
    world.hear(Drain())
    assert world.take(Heartbeat)[0].state["draining"] is True
    assert world.take(Exit) == []
    world.run_for(0.05)
    assert [batch.length for batch in world.take(ReadingBatch)] == [3]
    world.say(frame_batch(USER, [b"4"], first=5))
    assert [batch.length for batch in world.take(ReadingBatch)] == [1]
    world.now_s += 0.2
    world.hear(Writable(Plane.READINGS))
    assert world.take(Exit) == [Exit(0)]


def test_drain_does_not_wait_longer_than_two_seconds(world: World) -> None:
    """What can't be finished is left to the journal; a held call is refused."""
    world.say(frame_batch(PRESS, [b"1"]))
    world.say(call(PRESS, "encode", {"method": "set", "params": b"1"}, time_left_s=30.0))
    world.hear(Drain())
    world.now_s += 1.9
    world.hear(Drain())
    assert world.take(Exit) == []
    world.now_s += 0.2
    world.hear(Drain())
    assert world.take(Exit) == [Exit(0)]
    assert [reply.error for reply in world.take(Reply)] == ["shutting down"]


def test_conversion_faults_are_counted_and_warned_of_once_a_minute(world: World) -> None:
    """A bad line does not fill the log."""
    world.know(PRESS)
    for first in range(2, 12):
        world.say(frame_batch(PRESS, [b"\xff\n", b"8;\xff"], first=first))
    assert len([note for note in world.take(Note) if note.event == "conversion.failed"]) == 1
    counters = world.core.counters
    assert counters["dead_letters"] == 10
    assert counters["conversion_errors"] > 10
    assert counters["frames_converted"] == 21
    assert counters["batches_in"] == 11


def test_it_asks_again_for_a_section_that_was_evicted(world: World) -> None:
    """The cache is bounded; what falls out is asked for again."""
    devices = [type(PRESS)(name=f"d{number}") for number in range(258)]
    for device in devices:
        world.know(device)
    world.say(frame_batch(devices[-1], [b"1"]))
    assert world.take_requests("section") == []
    world.say(frame_batch(devices[0], [b"1"]))
    [question] = world.take(Request)
    assert question.section == hash_of(devices[0])
