"""The broker's core: which batch goes to which converter, and when."""

from __future__ import annotations

import pytest

from common.core.events import Drain, Exit, Note, Send, Tick
from services.broker.core.credit import CREDIT, PINNED_CREDIT
from services.broker.core.dispatch import DEVICE_QUEUE_BYTES
from services.broker.core.events import (
    CloseFrames,
    ForwardReadings,
    FramesArrived,
    FramesBlocked,
    FramesWritable,
    OpenFrames,
    SendFrames,
    Unreachable,
)
from tests.support.brokering import World, frames, request


@pytest.fixture
def world() -> World:
    return World()


def test_a_converter_gets_two_batches_and_then_one_for_each_it_gives_back(world: World) -> None:
    """Credit bounds what a converter holds; a length of 0 gives credit back like any other."""
    world.register("converter")
    first = world.feed(frames(first=1)) + world.feed(frames(first=11))
    assert [sent.batch.first for sent in first] == [1, 11]
    assert world.feed(frames(first=21)) == world.feed(frames(first=31)) == []
    assert [sent.batch.first for sent in world.convert(first[0])] == [21]
    assert [sent.batch.first for sent in world.convert(first[1], length=0)] == [31]


def test_the_raw_parts_of_a_batch_go_through_as_they_came(world: World) -> None:
    """Forwarding encodes nothing."""
    world.register("converter")
    parts = [b"header", b"body"]
    (sent,) = world.say(FramesArrived(frames(), parts))
    assert sent.parts is parts


def test_frames_wait_for_the_first_converter(world: World) -> None:
    """A broker that has no converter yet keeps what readers send."""
    assert world.feed(frames()) == []
    world.take(SendFrames)
    world.register("converter")
    assert [sent.batch for sent in world.take(SendFrames)] == [frames()]


def test_devices_take_turns(world: World) -> None:
    """A device with a long queue doesn't delay another one's single batch."""
    for number in range(5):
        world.feed(frames("loud", first=1 + 10 * number))
    world.feed(frames("quiet"))
    world.register("converter")
    sent = world.take(SendFrames)
    assert [effect.batch.device for effect in sent] == ["loud", "quiet"]
    assert world.convert(sent[0])[0].batch.first == 11


def test_idle_converters_share_the_work(world: World) -> None:
    """A batch goes to the converter with the most credit, among equals to the one that is idle longest."""
    for name in "012":
        world.register("converter", name)
    used = [world.feed(frames(first=1 + 10 * n))[0].converter for n in range(6)]
    assert sorted(used[:3]) == sorted(used[3:]) == ["0", "1", "2"]


def test_a_full_queue_drops_the_new_batch_and_counts_it(world: World) -> None:
    """What is over the bound is dropped, with one warning; what was queued stays, in order."""
    body = bytes(DEVICE_QUEUE_BYTES // 4)
    for number in range(6):
        world.feed(frames(first=1 + 10 * number, body=body))
    assert world.core.counters["batches_dropped"] == 3
    assert world.core.counters["frames_dropped"] == 30
    assert [note.event for note in world.take(Note)] == ["frames.dropped"]
    world.register("converter")
    assert [sent.batch.first for sent in world.take(SendFrames)] == [1, 11]


def test_an_empty_queue_takes_a_batch_of_any_size(world: World) -> None:
    """A frame that is larger than the bound must get through."""
    world.feed(frames(body=bytes(DEVICE_QUEUE_BYTES + 1)))
    world.register("converter")
    assert len(world.take(SendFrames)) == 1


def test_a_resend_of_a_batch_that_is_still_queued_is_dropped_unharmed(world: World) -> None:
    """Impatient readers don't make the work grow; the same numbers of a new epoch are another batch."""
    world.feed(frames())
    world.feed(frames(base=5))
    world.feed(frames(epoch="e2"))
    assert world.core.counters["batches_repeated"] == 1
    assert world.core.counters["frames_dropped"] == 0
    world.register("converter")
    assert [sent.batch.epoch for sent in world.take(SendFrames)] == ["e1", "e2"]


def test_what_was_already_handed_out_may_come_again(world: World) -> None:
    """Only queued batches count as repeats: what a dead converter held is resent and converted."""
    world.register("converter")
    assert len(world.feed(frames())) == len(world.feed(frames())) == 1


def test_pinned_devices_stay_and_spread(world: World) -> None:
    """A pinned device sticks to one converter even if others are idle; the next one goes where fewer are pinned."""
    world.register("converter", "0")
    world.register("converter", "1")
    (first,) = world.feed(frames("a", pinned=True))
    (other,) = world.feed(frames("b", pinned=True))
    assert first.converter != other.converter
    (second,) = world.feed(frames("a", first=11, pinned=True))
    assert second.converter == first.converter
    assert world.feed(frames("a", first=21, pinned=True)) == []
    assert [sent.batch.first for sent in world.convert(first)] == [21]


def test_a_waiting_pinned_device_holds_nobody_up_and_keeps_its_turn(world: World) -> None:
    """It has a credit of its own: others pass while its converter is at its batches, and that keeps all of its own."""
    world.register("converter", "0")
    world.register("converter", "1")
    held = [world.feed(frames("a", first=1 + 10 * n, pinned=True)) for n in range(3)]
    (first,), (_,), waiting = held
    assert waiting == []
    others = [world.feed(frames("b", first=1 + 10 * n)) for n in range(3)]
    assert [len(sent) for sent in others] == [1, 1, 1]
    (next_of_a,) = world.convert(first)
    assert (next_of_a.batch.device, next_of_a.batch.first) == ("a", 21)


def test_pinned_devices_of_a_lost_converter_go_to_another(world: World) -> None:
    """20 s after it was lost what waits for it is handed to a living one, in order: until then it may be the device's
    own code that stopped it, and would stop the next one too."""
    world.register("converter", "0")
    (first,) = world.feed(frames("a", pinned=True))
    world.feed(frames("a", first=11, pinned=True))
    world.feed(frames("a", first=21, pinned=True))
    world.register("converter", "1")
    world.take(SendFrames)
    world.pass_time(24.5, "converter:1")
    assert world.take(SendFrames) == []
    world.pass_time(1.75, "converter:1")
    assert [(sent.converter, sent.batch.first) for sent in world.take(SendFrames)] == [("1", 21)]
    assert first.converter == "0"


def test_pinned_devices_of_a_converter_that_is_replaced_go_on_at_once(world: World) -> None:
    """A new instance has its code anew."""
    for number, name in enumerate("01"):
        world.register("converter", name, instance=f"c{number}", lock=f"/{name}")
        world.feed(frames(name, pinned=True))
    world.take(SendFrames)
    world.pass_time(6, "converter:1")
    world.register("converter", "0", instance="c2", lock="/0")
    assert [sent.instance for sent in world.feed(frames("0", first=11, pinned=True))] == ["c2"]


def test_pinned_devices_of_a_converter_that_ended_wait_until_it_is_lost(world: World) -> None:
    """Their code may have ended it, and would end the next one: whoever started it has 3 s to start it again. Then
    they move, for a process that nobody listens for is no more."""
    for number, name in enumerate("01"):
        world.register("converter", name, instance=f"c{number}", lock=f"/{name}")
        world.feed(frames(name, pinned=True))
    (sent,) = world.feed(frames("0", first=11, pinned=True))
    world.say(FramesBlocked(*sent))
    world.say(Unreachable(b"c0", request(), "gone"))
    world.take(SendFrames)
    world.pass_time(0.5, "converter:1")
    assert world.take(SendFrames) == []
    world.pass_time(5, "converter:1")
    assert [(again.converter, again.batch.first) for again in world.take(SendFrames)] == [("1", 11)]


def test_late_converters_get_nothing_while_there_are_others(world: World) -> None:
    """Three seconds of silence are enough to prefer another one, but one that is late is better than none."""
    world.register("converter", "0")
    world.register("converter", "1")
    world.pass_time(4, "converter:1")
    assert [world.feed(frames(first=1 + 10 * n))[0].converter for n in range(2)] == ["1", "1"]
    assert world.feed(frames(first=21)) == []
    world.beat("converter:0")
    assert [sent.converter for sent in world.take(SendFrames)][-1] == "0"


def test_all_late_is_not_none(world: World) -> None:
    """If every converter is late the work goes on."""
    world.register("converter")
    world.pass_time(4)
    assert len(world.feed(frames())) == 1


def test_a_draining_converter_gets_nothing_new(world: World) -> None:
    """Its pinned devices move on as soon as there is another one."""
    world.register("converter", "0")
    world.feed(frames("a", pinned=True))
    world.beat("converter:0", draining=True)
    assert world.feed(frames("a", first=11, pinned=True)) == []
    world.take(SendFrames)
    world.register("converter", "1")
    assert [sent.converter for sent in world.take(SendFrames)] == ["1"]


def test_a_new_instance_of_a_converter_starts_with_full_credit(world: World) -> None:
    """Credit of the dead one is gone, what it had is handed out anew, what it still says gives no credit back, and it
    has an endpoint of its own."""
    old = world.register("converter", lock="/l")
    held = world.feed(frames(first=1)) + world.feed(frames(first=11))
    for number in range(2, 6):
        world.feed(frames(first=1 + 10 * number))
    world.take(OpenFrames)
    new = world.register("converter", instance="second", lock="/l")
    assert new.accepted
    assert new.frames_endpoint != old.frames_endpoint
    steps = [e for e in world.effects if isinstance(e, OpenFrames | CloseFrames | SendFrames)]
    assert steps[:2] == [CloseFrames("0"), OpenFrames("0", new.frames_endpoint)]
    assert [(s.instance, s.batch.first) for s in world.take(SendFrames)] == [("second", 1), ("second", 11)]
    assert world.convert(held[0]) == []


def test_registering_again_changes_no_account(world: World) -> None:
    """The same instance asks twice when the answer is slow; it still holds its batches."""
    first = world.register("converter")
    world.feed(frames(first=1))
    world.feed(frames(first=11))
    world.take(OpenFrames)
    assert world.register("converter") == first
    assert world.take(OpenFrames) == []
    assert world.feed(frames(first=21)) == []


def test_credit_never_rises_above_two(world: World) -> None:
    """A converter that says too much, as after a restart of the broker, isn't flooded."""
    world.register("converter")
    (sent,) = world.feed(frames())
    for _ in range(5):
        world.convert(sent)
    assert [len(world.feed(frames(first=11 + 10 * n))) for n in range(3)] == [1, 1, 0]


def test_credit_of_a_lost_batch_comes_back_after_three_beats(world: World) -> None:
    """What went missing on a broken connection: the converter says that it holds less than it was sent. It gets the
    older one again: which one it was can't be known."""
    world.register("converter")
    world.feed(frames(first=1))
    world.feed(frames(first=11))
    world.feed(frames(first=21))
    world.take(SendFrames)
    for expected in ([], [], [1]):
        world.now_s += 1
        world.beat("converter:0", held=1)
        assert [sent.batch.first for sent in world.take(SendFrames)] == expected


def test_beats_that_come_at_once_restore_no_credit(world: World) -> None:
    """A broker that stood still hears many beats before the batches that were given back between them."""
    world.register("converter")
    world.feed(frames(first=1))
    world.feed(frames(first=11))
    world.feed(frames(first=21))
    world.take(SendFrames)
    world.now_s += 8
    for _ in range(8):
        world.beat("converter:0", held=0)
    assert world.take(SendFrames) == []


def test_a_blocked_batch_is_back_in_its_place(world: World) -> None:
    """Not sent means queued again, in order, credit kept; nothing goes there until it is writable."""
    world.register("converter")
    sent = [world.feed(frames(first=first, pinned=True))[0] for first in (1, 11)]
    world.feed(frames(first=21, pinned=True))
    for effect in sent:
        world.say(FramesBlocked(*effect))
    world.take(SendFrames)
    assert world.feed(frames(first=31, pinned=True)) == []
    world.say(FramesWritable("0"))
    again = world.take(SendFrames)
    assert [effect.batch.first for effect in again] == [1, 11]
    assert [effect.batch.first for effect in world.convert(again[0])] == [21]
    assert world.core.counters["batches_out"] == 3


def test_a_blocked_batch_goes_to_another_converter(world: World) -> None:
    """One that is not connected yet holds up nobody."""
    world.register("converter", "0")
    (sent,) = world.feed(frames())
    world.register("converter", "1")
    world.take(SendFrames)
    world.say(FramesBlocked(*sent))
    assert [effect.converter for effect in world.take(SendFrames)] == ["1"]


def test_after_a_long_stop_nobody_is_lost_before_the_sockets_are_drained(world: World) -> None:
    """Time alone concludes nothing: the broker was stopped, and the heartbeat is still to be read."""
    world.register("converter", "0")
    world.feed(frames("a", pinned=True))
    world.register("converter", "1")
    world.now_s += 60
    (sent,) = world.feed(frames("a", first=11, pinned=True))
    assert sent.converter == "0"
    world.beat("converter:0")
    world.beat("converter:1")
    world.say(Tick())
    assert not [note for note in world.take(Note) if note.event == "process.lost"]


def test_a_lost_converter_that_returns_works_again(world: World) -> None:
    """Stopped and continued: the same instance goes on with the account it had."""
    world.register("converter")
    (held,) = world.feed(frames())
    world.pass_time(6)
    assert world.feed(frames(first=11)) == []
    world.effects.clear()
    world.beat("converter:0")
    assert [sent.batch.first for sent in world.take(SendFrames)] == [11]
    assert world.feed(frames(first=21)) == []
    assert [sent.batch.first for sent in world.convert(held)] == [21]


def test_drain_hands_out_what_is_queued_and_exits(world: World) -> None:
    """At once when nothing waits; after a second when nobody takes it."""
    assert Exit(0) in World().say(Drain())
    world.feed(frames())
    assert Exit(0) not in world.say(Drain())
    assert world.core.next_deadline_s is not None
    assert world.core.next_deadline_s <= world.now_s + 1
    world.now_s += 0.5
    world.register("converter")
    assert len(world.effects) >= 2
    assert isinstance(world.effects[-1], Exit)

    stuck = World()
    stuck.feed(frames())
    stuck.say(Drain())
    stuck.now_s += 1
    assert Exit(0) in stuck.say(Tick())


def test_the_heartbeat_shows_credit_and_counters(world: World) -> None:
    """What `status` shows of the broker."""
    world.register("converter")
    world.feed(frames())
    world.take(Send)
    world.say(Tick())
    (send,) = world.take(Send)
    beat = send.message
    assert (beat.kind, beat.name, beat.instance) == ("broker", "0", "b1")
    assert beat.state["converters"]["0"]["credit"] == 1
    assert beat.counters["frames_in"] == 10
    assert beat.counters["batches_out"] == 1


def test_frames_for_a_publisher_that_is_gone_are_not_converted(world: World) -> None:
    """Queued ones are dropped and counted when a new publisher beats, later ones at once; the others stay."""
    world.register("publisher")
    world.beat("publisher:0", epoch="old")
    world.feed(frames(first=1, epoch="old"))
    world.feed(frames(first=11, epoch="new"))
    world.feed(frames("quiet", first=1, epoch="new"))
    world.beat("publisher:0", epoch="new")
    assert world.feed(frames(first=21, epoch="old")) == []
    world.effects.clear()
    world.register("converter")
    sent = world.take(SendFrames)
    assert [(effect.batch.device, effect.batch.first) for effect in sent] == [("quiet", 1), ("press", 11)]
    assert world.core.counters["frames_stale"] == 20


def test_frames_for_a_publisher_that_was_not_heard_yet_are_converted(world: World) -> None:
    """A reader may hear a new publisher before the broker does."""
    world.register("publisher")
    world.beat("publisher:0", epoch="old")
    world.register("converter")
    assert world.feed(frames(epoch="newer than known")) != []


def test_what_is_not_answered_in_time_goes_to_another(world: World) -> None:
    """A converter that beats and never answers, or stands still: others get what it has, and it gets nothing more."""
    world.register("converter", "0")
    (sent,) = world.feed(frames())
    world.pass_time(3, "converter:0")
    assert world.core.counters["batches_taken_back"] == 0  # nobody else is there
    world.take(SendFrames)
    world.register("converter", "1")
    world.pass_time(1.25, "converter:0", "converter:1")
    assert [(again.converter, again.batch) for again in world.take(SendFrames)] == [("1", sent.batch)]
    assert [again.converter for again in world.feed(frames(first=11)) + world.feed(frames(first=21))] == ["1"]
    world.pass_time(8, "converter:0", "converter:1")
    assert world.core.counters["batches_taken_back"] == 1  # nobody is left who answers


def test_a_late_answer_is_taken_and_gives_credit_back_once(world: World) -> None:
    """The publisher puts readings in order and drops what it has: both answers go on."""
    world.register("converter", "0")
    world.register("converter", "1")
    (sent,) = world.feed(frames())
    world.take(SendFrames)
    world.pass_time(3.5, "converter:0", "converter:1")
    (again,) = world.take(SendFrames)
    world.convert(again)
    world.convert(sent)
    world.convert(sent)
    assert [readings.batch.first for readings in world.take(ForwardReadings)] == [1, 1, 1]
    state = world.core._facts()["converters"]
    assert [account["credit"] for account in state.values()] == [CREDIT, CREDIT]


def test_what_users_code_has_is_not_taken_back(world: World) -> None:
    """It may be what its process died of: the reader, who is told of deaths, sends it again."""
    world.register("converter", "0")
    world.register("converter", "1")
    world.feed(frames("a", pinned=True))
    world.take(SendFrames)
    world.pass_time(10, "converter:1")
    assert world.take(SendFrames) == []


def test_users_code_takes_no_credit_of_others(world: World) -> None:
    """Devices whose users' code is stuck, more of them than there are converters: what is built in goes on."""
    world.register("converter", "0")
    for number in range(5):
        for first in (1, 11, 21):
            world.feed(frames(f"stuck{number}", first=first, pinned=True))
    assert len(world.take(SendFrames)) == 5 * PINNED_CREDIT
    (sent,) = world.feed(frames("plain"))
    assert world.convert(sent) == []
    assert [sent.batch.device for sent in world.feed(frames("plain", first=11))] == ["plain"]
