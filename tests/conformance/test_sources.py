"""What everybody does who journals and sends a stream, whatever comes in: a port reader, a connector host, and a talker
that is neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from common.core.events import Arrived, Blocked, Drain, Send, Tick, Writable
from common.core.liveness import BEAT_S, CALM_BEAT_S
from common.stream.ending import SETTLE_S
from common.stream.events import Append, DeadLetter, Listen, Trim
from common.stream.items import items_of
from common.stream.keeping.outage import RETRY_S
from common.stream.keeping.upkeep import TRIM_S
from common.stream.limits import Limits
from common.stream.poison import DEATHS
from common.stream.sending.peer import SILENT_S
from common.wire import codec
from common.wire.messages import Entry, FrameBatch, Heartbeat, Plane, Reply
from tests.support.fake_journal import FakeJournal
from tests.support.hosted import PlainHostRig
from tests.support.port_reader_rig import Rig, frames_of, stamps_of
from tests.support.talker import TalkerRig

SOURCES: dict[str, Callable[..., Rig]] = {"port reader": Rig, "talker": TalkerRig, "connector host": PlainHostRig}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest) -> Callable[..., Rig]:
    """What makes one, started, without a publisher."""
    return SOURCES[request.param]


def said(rig: Rig) -> list[bytes]:
    """All entries that were sent, without what ends a frame on a line; repeats included."""
    return [frame.rstrip(b"\n") for frame in rig.sent()]


def first_of(rig: Rig, entry: bytes) -> int:
    """The number of an entry. A port reader has numbered that its port is open before the first."""
    return next(
        batch.first + [frame.rstrip(b"\n") for frame in frames_of(batch)].index(entry)
        for batch in rig.batches
        if batch.kind == Entry.FRAMES and entry in [frame.rstrip(b"\n") for frame in frames_of(batch)]
    )


def settle_all(rig: Rig) -> None:
    rig.report(rig.uplink.stream.next_number)


def test_what_is_said_is_committed_before_it_is_sent(source):
    """Whoever dies in between sends it again; nobody has seen what no disk has."""
    rig = source()
    rig.beat()
    rig.performed.clear()
    rig.say(b"a", b"b")
    kinds = [type(effect) for effect in rig.performed if isinstance(effect, Append | Send)]
    assert kinds.index(Append) < kinds.index(Send)
    assert said(rig) == [b"a", b"b"]


def test_nothing_is_sent_before_a_publisher_is_heard(source):
    """Batches name the epoch that they are meant for."""
    rig = source()
    rig.say(b"a")
    rig.wait(2, heartbeats=False)
    assert rig.batches == []
    rig.beat()
    assert said(rig) == [b"a"]
    assert {batch.epoch for batch in rig.batches} == {"e1"}


def test_what_is_settled_leaves_the_journal(source):
    """With the next commit, or soon."""
    rig = source()
    rig.beat()
    rig.say(b"a")
    settle_all(rig)
    rig.wait(TRIM_S)
    assert rig.journal.rows == {}
    assert any(isinstance(effect, Trim) for effect in rig.performed)


def test_what_is_missing_comes_again_and_only_that(source):
    """And what was received only waits."""
    rig = source()
    rig.beat()
    for entry in (b"a", b"b", b"c"):
        rig.say(entry)
    middle = first_of(rig, b"b")
    rig.batches.clear()
    rig.report(middle, settled=middle, missing=[(middle, middle)])
    rig.wait(2)
    assert set(said(rig)) == {b"b"}


def test_a_new_publisher_gets_all_that_is_unsettled(source):
    """From the journal's lowest number on."""
    rig = source()
    rig.beat()
    rig.say(b"a")
    rig.say(b"b")
    settled = first_of(rig, b"b")
    rig.report(settled)
    rig.batches.clear()
    rig.beat("e2")
    assert said(rig) == [b"b"]
    assert {batch.epoch for batch in rig.batches} == {"e2"}


def test_what_a_socket_did_not_take_goes_when_it_does(source):
    """Nothing else before it."""
    rig = source()
    rig.beat()
    rig.before_send = lambda batch: Blocked(Plane.FRAMES, batch)
    rig.say(b"a")
    rig.say(b"b")
    assert said(rig) == []
    rig.before_send = lambda _: None
    rig.give(Writable(Plane.FRAMES))
    assert said(rig) == [b"a", b"b"]


def test_a_full_journal_sheds_the_oldest_and_says_so_once(source):
    """Without a publisher; each is counted."""
    rig = source(limits=Limits(max_records=5))
    for number in range(20):
        rig.say(b"%d" % number)
    assert rig.uplink.backlog == 5
    assert rig.count("frames_shed") == rig.uplink.stream.next_number - 1 - 5
    assert [note.event for note in rig.notes].count("journal.full") == 1


def test_a_journal_that_can_not_be_written_holds_nothing_up(source):
    """Entries go on from memory, and are written once it can be."""
    rig = source()
    rig.beat()
    rig.journal.is_full = True
    rig.say(b"a")
    assert said(rig) == [b"a"]
    assert rig.count("frames_unjournaled") == 1
    rig.journal.is_full = False
    rig.wait(2 * RETRY_S)
    assert [frame.rstrip(b"\n") for block in rig.journal.rows.values() for frame in frames_of(block)][-1:] == [b"a"]
    assert {note.event for note in rig.notes} >= {"journal.failed", "journal.recovered"}


def test_who_comes_after_a_death_goes_on_from_the_journal(source):
    """Under a higher generation, with the same numbers and times."""
    journal = FakeJournal()
    rig = source(journal=journal)
    rig.beat()
    rig.say(b"a")
    [before] = [batch for batch in rig.batches if batch.kind == Entry.FRAMES]
    after_rig = source(journal=journal)
    after_rig.beat()
    after = next(batch for batch in after_rig.batches if batch.kind == Entry.FRAMES)
    assert (after.first, after.body) == (before.first, before.body)
    assert stamps_of(after) == stamps_of(before)
    assert after.generation == before.generation + 1


def test_an_entry_in_which_converters_die_travels_alone_and_is_dead_after_three(source):
    """A death is told with a note, which counts once however often it is repeated."""
    rig = source()
    rig.beat()
    rig.say(b"a", b"b", b"c")
    number = first_of(rig, b"b")
    generation = rig.journal.state.generation
    for death in range(DEATHS):
        rig.batches.clear()
        for _ in range(2):
            body = {"journal": "j", "generation": generation, "numbers": [number]}
            rig.call("note", body, f"death {death}")
    [last] = [batch for batch in rig.batches if batch.first == number]
    assert (last.alone, last.kind) == (True, Entry.DEAD)
    assert rig.journal.state.strikes == {number: DEATHS}


def test_dead_letters_are_kept_listed_and_sent_through_again(source):
    """Their bytes are the entry's; a retry gives them new numbers and their old time."""
    rig = source()
    rig.beat()
    rig.say(b"a")
    number = first_of(rig, b"a")
    stamp = stamps_of(next(batch for batch in rig.batches if batch.first == number))[0]
    rig.report(number + 1, dead=[(number, "no good")])
    [letter] = rig.journal.dead
    assert letter[:3] == DeadLetter(number, stamp, "no good", b"")[:3]
    rig.call("dead_letters", {"before": 0, "most": 10}, "list")
    assert rig.ended("list") == "ok"
    rig.batches.clear()
    rig.call("retry", {"after": 0, "until": 100}, "retry")
    assert rig.ended("retry") == "ok"
    assert said(rig) == [b"a"]
    assert stamps_of(rig.batches[-1]) == [stamp]
    assert rig.journal.dead == []


def test_its_section_is_told_and_an_older_one_looked_up(source):
    """A converter asks for what a batch names."""
    rig = source()
    rig.journal.put_section("older", b'{"older":1}')
    rig.call("section", {"section": "s1"}, "current")
    rig.call("section", {"section": "older"}, "older")
    rig.call("section", {"section": "nobody's"}, "unknown")
    assert (rig.ended("current"), rig.ended("older")) == ("ok", "ok")
    assert rig.ended("unknown") == "unknown section"


def test_a_verb_that_nobody_knows_is_refused(source):
    """By name, so that a newer process knows what is missing here."""
    rig = source()
    rig.call("dance", {}, "c1")
    assert rig.ended("c1") == "unknown verb dance"


def test_who_is_told_to_end_waits_for_acceptance_and_no_longer_than_it_may(source):
    """All settled: at once. A platform that takes nothing: SETTLE_S. No publisher: not at all."""
    for is_accepting, is_there, limit_s in ((True, True, 0.5), (False, True, SETTLE_S), (False, False, 0.5)):
        rig = source()
        if is_there:
            rig.beat()
        rig.say(b"a")
        began_s = rig.now_s
        rig.give(Drain())
        if is_accepting:
            settle_all(rig)
        while rig.exit is None and rig.now_s < began_s + 10:
            rig.wait(0.1, heartbeats=False)
            if is_there and rig.exit is None:
                rig.beat()
        assert rig.exit == 0
        assert rig.now_s - began_s <= limit_s + 0.5


def test_who_is_told_twice_ends_at_once(source):
    """Somebody is in a hurry."""
    rig = source()
    rig.beat()
    rig.say(b"a")
    rig.give(Drain())
    assert rig.exit is None
    rig.give(Drain())
    assert rig.exit == 0


def test_a_source_whose_device_is_gone_sends_what_is_left_and_ends(source):
    """And says last that the device is disconnected."""
    journal = FakeJournal()
    source(journal=journal).say(b"a")
    rig = source(journal=journal, has_port=False)
    rig.beat()
    rig.wait(0.5)
    assert said(rig)[:1] == [b"a"]
    assert max(rig.batches, key=lambda batch: batch.first).kind == Entry.LOST
    settle_all(rig)
    assert rig.exit == 0


def test_it_beats_each_second_and_less_once_nothing_happens(source):
    """A calm source hears nobody's beats; the first news wakes it."""
    rig = source()
    rig.beat()
    settle_all(rig)
    rig.wait(2 * BEAT_S)
    assert {beat.every_s for beat in rig.beats} == {BEAT_S}
    rig.wait(4 * BEAT_S + CALM_BEAT_S)
    assert rig.beats[-1].every_s == CALM_BEAT_S
    assert {effect.beats for effect in rig.performed if isinstance(effect, Listen)} == {False}
    rig.say(b"a")
    assert [effect.beats for effect in rig.performed if isinstance(effect, Listen)][-1:] == [True]


def test_a_new_broker_is_sent_again_what_was_under_way(source):
    """The old one took it with it."""
    rig = source()
    rig.beat()
    rig.give(Arrived(Plane.EVENTS, Heartbeat("broker", "0", "b1", 1, "h", 1.0, {}, {})))
    rig.say(b"a")
    rig.batches.clear()
    rig.give(Arrived(Plane.EVENTS, Heartbeat("broker", "0", "b2", 1, "h", 1.0, {}, {})))
    rig.wait(1)
    assert b"a" in said(rig)


def test_a_publisher_that_fell_silent_is_looked_for_with_one_batch(source):
    """Not with all that waits."""
    rig = source()
    rig.beat()
    settle_all(rig)
    rig.wait(SILENT_S + 1, heartbeats=False)
    rig.batches.clear()
    for entry in (b"a", b"b", b"c"):
        rig.say(entry)
    assert len([batch for batch in rig.batches if isinstance(batch, FrameBatch)]) <= 1
    rig.give(Tick())
    assert 1 <= len(rig.batches) <= 2


def test_a_step_of_a_call_that_was_not_taken_goes_later_with_the_time_that_is_left(source):
    """An answer does not grow old."""
    rig = source()
    held: list[Any] = []
    rig.call("dance", {}, "c1")
    [reply] = rig.calls
    assert isinstance(reply, Reply)
    rig.calls.clear()
    rig.give(Blocked(Plane.CALLS, reply))
    rig.give(Writable(Plane.CALLS))
    held += rig.calls
    assert held == [reply]
    assert codec.encode(reply)


def test_a_calm_source_hears_a_new_publisher_once_something_waits(source):
    """Also where nothing but time has made the entry: else it would be sent to a publisher that is gone, for ever."""
    rig = source()
    rig.beat()
    settle_all(rig)
    rig.wait(4 * BEAT_S + CALM_BEAT_S)
    assert rig.core._source.listening.hears_beats is False
    rig.performed.clear()
    entry = items_of([b"made by time"])
    for effect in rig.core._source.put(entry, rig.wall_ms, b"", rig.now_s):
        rig.performed.append(effect)
    assert [effect.beats for effect in rig.performed if isinstance(effect, Listen)] == [True]
