"""The reader's core: the window, reports, resends, the journal's limits and failures, poison."""

from __future__ import annotations

import pytest

from common.config.models import Device, section_of
from common.core.events import Arrived, Blocked, Drain, Junk, Tick, Writable
from common.stream.events import Append, FetchFailed, RaiseGeneration, Trim
from common.stream.items import Item
from common.stream.keeping.upkeep import MARK_S, TRIM_S
from common.stream.limits import Limits
from common.stream.sending.company import JOIN_S
from common.stream.sending.peer import ASK_S
from common.wire import codec
from common.wire.messages import Entry, Heartbeat, Plane
from services.port_reader.core.events import Chunk, Rest
from services.port_reader.core.resting import SLOW_BACKLOG, SLOW_REPORTS_S
from tests.support.journals import told_numbers
from tests.support.port_reader_rig import FakeJournal, Rig, frames_of


def _numbers(batches):
    return [number for batch in batches for number in range(batch.first, batch.first + batch.length)]


def test_nothing_is_sent_before_the_publishers_first_heartbeat():
    """Batches name the epoch they are meant for, so there must be one."""
    rig = Rig()
    rig.read(b"a\n")
    rig.wait(5, heartbeats=False)
    assert rig.batches == []
    rig.beat()
    assert _numbers(rig.batches) == [1, 2]
    assert {batch.epoch for batch in rig.batches} == {"e1"}


def test_settled_entries_leave_the_journal():
    """A report trims the journal: with the next append, or soon; the next batch carries the new base."""
    rig = Rig()
    rig.beat()
    rig.read(b"a\n")
    rig.report(2)
    rig.read(b"b\n")
    assert sorted(rig.journal.rows) == [2, 3]
    rig.report(4)
    rig.wait(TRIM_S)
    assert rig.journal.rows == {}
    rig.read(b"c\n")
    assert (rig.batches[-1].first, rig.batches[-1].base) == (4, 4)


def test_a_report_of_another_generation_epoch_or_the_future_is_counted_and_ignored():
    """Only a report on what this process sent to this publisher may trim."""
    rig = Rig()
    rig.beat()
    rig.read(b"a\n")
    for wrong in ({"generation": 0}, {"epoch": "e0"}, {"journal": "x"}, {"received": 9, "settled": 9, "epoch": "e0"}):
        rig.report(**{"received": 2, "settled": 2, **wrong})
    assert len(rig.journal.rows) == 2
    assert rig.count("reports_stale") == 4


def test_a_large_gap_takes_no_more_memory_than_a_window():
    """50,000 numbers that the journal has lost come out window by window, each told once."""

    class Forgetful(FakeJournal):
        """Some of what it has lost it finds out only when it is asked."""

        def open(self):
            return super().open()._replace(gaps=((1, 49_000),))

    journal = Forgetful()
    journal.state = journal.state._replace(next_number=50_001)
    rig = Rig(journal=journal, limits=Limits(window_frames=512, window_bytes=20_000))
    rig.beat()
    most = 0
    while rig.uplink.backlog:
        most = max(most, rig.uplink._window.ready.queue.bytes)
        last = rig.batches[-1]
        dead = [(number, "the journal has lost it") for number in range(last.first, last.first + last.length)]
        rig.report(last.first + last.length, dead=dead)
        rig.wait(0.1)
    assert most < 40_000
    assert {batch.kind for batch in rig.batches} == {Entry.DEAD, Entry.OPENED}
    assert told_numbers(rig.notes) == set(range(1, 50_001))
    assert rig.count("frames_lost") == 50_000


@pytest.mark.parametrize("wrong", [{"generation": 7}, {"received": 9, "settled": 9}])
def test_a_publisher_that_knows_more_of_the_journal_than_it_does(wrong):
    """It was replaced by an older copy: what it has goes out under a generation that the publisher takes."""
    rig = Rig()
    rig.beat()
    rig.read(b"a\n")
    rig.batches.clear()
    rig.report(**{"received": 2, "settled": 2, **wrong})
    known = wrong.get("generation", 1)
    assert {batch.generation for batch in rig.batches} == {known + 1}
    assert _numbers(rig.batches) == [1, 2]
    assert RaiseGeneration(known + 1) in rig.performed
    assert [note.event for note in rig.notes if note.level == "error"] == ["journal.outdated"]
    assert (rig.exit, len(rig.journal.rows)) == (None, 2)
    rig.report(3, generation=known + 1)
    rig.wait(TRIM_S)
    assert rig.journal.rows == {}


def test_only_missing_ranges_are_sent_again():
    """Holes go again after 250 ms; what was received and what is only waiting does not."""
    rig = Rig()
    rig.beat()
    rig.report(2, 1)
    rig.wait(0.1)
    for text in (b"a\n", b"b\n", b"c\n", b"d\n"):
        rig.read(text, 0)
    rig.report(2, 1, missing=[(2, 2), (4, 4)])
    rig.batches.clear()
    rig.wait(0.2)
    assert rig.batches == []
    rig.wait(0.1)
    assert _numbers(rig.batches) == [2, 4]
    rig.report(6, 1)
    rig.batches.clear()
    rig.wait(60)
    assert rig.batches == []


def test_what_was_never_reported_is_tried_with_doubling_waits():
    """Without any progress: after 0.25, 0.5, 1 … 5 s, first one batch."""
    rig = Rig()
    rig.beat()
    rig.wait(0.01)
    start_s, sent_s = rig.now_s, []
    rig.batches.clear()
    while rig.now_s < start_s + 30:
        rig.wait(0.05)
        if rig.batches:
            sent_s.append(rig.now_s - start_s)
            rig.batches.clear()
    waits = [later - earlier for earlier, later in zip([0, *sent_s], sent_s, strict=False)]
    assert [round(wait, 1) for wait in waits[1:6]] == [0.5, 1.0, 2.0, 4.0, 5.0]
    assert waits[-1] > 4.8


def test_a_slow_publisher_teaches_patience():
    """After round trips of a second nothing is sent again for four."""
    rig = Rig()
    rig.beat()
    rig.wait(1.0)
    rig.report(2)
    rig.read(b"a\n")
    rig.batches.clear()
    rig.wait(3.5)
    assert rig.batches == []
    rig.wait(1)
    assert _numbers(rig.batches) == [2]


def test_a_new_epoch_is_sent_everything_unsettled():
    """A new publisher knows nothing: all from `settled` on goes again, in order, under its epoch."""
    rig = Rig()
    rig.beat()
    rig.read(b"a\nb\n")
    rig.report(4, 3)
    rig.batches.clear()
    rig.beat("e2")
    assert _numbers(rig.batches) == [3]
    assert (rig.batches[0].epoch, rig.batches[0].base, frames_of(rig.batches[0])) == ("e2", 3, [b"b\n"])


def test_a_silent_publisher_gets_probes_only():
    """After 3 s without a heartbeat one batch at a time, with backoff; all goes on with the next heartbeat."""
    rig = Rig()
    rig.beat()
    rig.wait(2.9, heartbeats=False)
    rig.batches.clear()
    rig.wait(0.2, heartbeats=False)
    assert _numbers(rig.batches) == [1]
    for _ in range(10):
        rig.read(b"x\n")
    rig.wait(20, heartbeats=False)
    assert 4 <= len(rig.batches) <= 9
    assert set(_numbers(rig.batches)) == {1}
    rig.beat()
    assert set(_numbers(rig.batches)) == set(range(1, 12))


def test_the_window_is_kept_and_the_backlog_follows_in_order():
    """No more than the window is unsettled in flight; the rest comes from memory and journal as it settles."""
    rig = Rig(limits=Limits(window_frames=10, window_bytes=1000))
    rig.beat()
    rig.wait(0.1)
    for at in range(200):
        rig.read(b"%03d\n" % at, 0.001)
    assert rig.batches[-1].first + rig.batches[-1].length - 1 == 10
    while (settled := rig.batches[-1].first + rig.batches[-1].length) < 202:
        rig.report(settled)
    rig.report(202)
    assert rig.sent() == [b"%03d\n" % at for at in range(200)]
    assert _numbers(rig.batches) == list(range(1, 202))
    rig.wait(TRIM_S)
    assert rig.journal.rows == {}


def test_with_much_in_flight_batches_are_filled():
    """Who has 1,024 frames on the way waits up to JOIN_S for a full batch; with less, each read goes at once."""
    rig = Rig()
    rig.wait(0.1)
    for _ in range(8):
        rig.read(b"x\n" * 128, 0.001)
    assert [batch.length for batch in rig.batches] == [1, *[128] * 8]
    rig.read(b"x\n" * 128, 0.001)
    assert len(rig.batches) == 9
    rig.wait(JOIN_S)
    assert [batch.length for batch in rig.batches[9:]] == [128]
    for _ in range(4):
        rig.read(b"x\n" * 128, 0.001)
    assert [batch.length for batch in rig.batches[10:]] == [512]


def test_a_backlog_travels_in_large_batches():
    """Small adjacent blocks of a backlog are joined, up to 512 frames."""
    rig = Rig()
    rig.wait(0.1, heartbeats=False)
    for at in range(1000):
        rig.read(b"%03d\n" % at, 0.001)
    rig.beat()
    assert [batch.length for batch in rig.batches] == [1, 512, 488]
    assert rig.sent() == [b"%03d\n" % at for at in range(1000)]


def test_a_frame_larger_than_the_window_is_admitted():
    """A window always admits one frame."""
    rig = Rig(limits=Limits(window_bytes=100))
    rig.beat()
    rig.report(2)
    rig.read(b"x" * 500 + b"\nnext\n")
    assert _numbers(rig.batches) == [1, 2]
    rig.report(3)
    assert _numbers(rig.batches) == [1, 2, 3]


def test_byte_credit_of_the_publisher_slices_batches():
    """A small credit is kept to: a block that does not fit travels in parts."""
    rig = Rig()
    rig.beat()
    rig.report(2, credit_bytes=100)
    rig.read(b"".join(b"%03d\n" % at for at in range(50)))
    assert 1 < rig.batches[-1].length < 20
    assert len(rig.batches[-1].body) <= 100


def test_what_the_socket_did_not_take_is_sent_when_it_does():
    """EAGAIN is "not sent": it goes first when the socket is writable, and nothing before."""
    rig = Rig()
    rig.before_send = lambda batch: Blocked(Plane.FRAMES, batch)
    rig.beat()
    rig.read(b"a\n")
    rig.wait(10)
    assert rig.batches == []
    rig.before_send = lambda batch: None
    rig.give(Writable(Plane.FRAMES))
    assert _numbers(rig.batches) == [1, 2]


def test_a_new_broker_gets_all_that_was_in_flight():
    """What was in the old broker's queues is lost: all of it goes again, not one batch at a time."""
    rig = Rig()
    rig.give(Arrived(Plane.EVENTS, Heartbeat("broker", "0", "b1", 1, "h", 1.0, {}, {})))
    rig.wait(0.1)
    for _ in range(20):
        rig.read(b"x\n", 0.01)
    rig.batches.clear()
    rig.give(Arrived(Plane.EVENTS, Heartbeat("broker", "0", "b2", 1, "h", 1.0, {}, {})))
    rig.wait(0.3)
    assert _numbers(rig.batches) == list(range(1, 22))


def test_reported_dead_letters_move_with_their_bytes():
    """The trim that settles a dead letter keeps its bytes and its reason."""
    rig = Rig()
    rig.beat()
    rig.read(b"a\nbad\nc\n")
    rig.report(5, dead=[(3, "no number")])
    assert [(letter.number, letter.reason, letter.data) for letter in rig.journal.dead] == [(3, "no number", b"bad\n")]
    rig.report(5, dead=[(3, "no number")])
    assert len(rig.journal.dead) == 1


def test_the_record_limit_sheds_the_oldest_to_the_frame():
    """Above the limit the oldest go, counted, with one warning; base rises so that the publisher follows."""
    rig = Rig(limits=Limits(max_records=10))
    rig.read(b"".join(b"%02d\n" % at for at in range(25)))
    assert rig.count("frames_shed") == 16
    assert rig.uplink.backlog == 10
    rig.read(b"x\n")
    assert [note.event for note in rig.notes].count("journal.full") == 1
    rig.beat()
    assert rig.sent() == [b"%02d\n" % at for at in range(16, 25)] + [b"x\n"]
    assert rig.batches[0].base == rig.batches[0].first == 18
    rig.report(28)
    assert rig.notes[-1].event == "journal.has_room"


def test_what_is_in_flight_is_not_replaced_when_it_is_shed():
    """A flood that sheds faster than the platform accepts: what was sent stays sent, so that the window keeps its
    meaning, and what comes next goes out when that is settled, from the lowest number that is left."""
    rig = Rig(limits=Limits(max_records=10, window_frames=4))
    rig.beat()
    for at in range(40):
        rig.read(b"%02d\n" % at, 0.001)
    assert (rig.uplink.backlog, rig.count("frames_shed")) == (10, 30)
    assert _numbers(rig.batches) == [1, 2, 3, 4]
    rig.report(5, 3)
    assert _numbers(rig.batches) == [1, 2, 3, 4]
    rig.report(5, 5, dead=[(4, "no number")])
    assert _numbers(rig.batches[-1:]) == [31, 32, 33, 34]
    assert rig.batches[-1].base == 31
    assert (rig.journal.dead[-1].number, rig.journal.dead[-1].data) == (4, b"03\n")
    assert min(rig.journal.rows) == 31


def test_what_is_in_flight_and_shed_is_still_sent_again_when_it_is_missing():
    """The stream has no gap before the shed frames are settled; a new publisher begins with what is left."""
    rig = Rig(limits=Limits(max_records=10, window_frames=4))
    rig.beat()
    for at in range(20):
        rig.read(b"%02d\n" % at, 0.001)
    rig.report(1, missing=[(1, 2)])
    rig.batches.clear()
    rig.wait(0.8)
    assert set(_numbers(rig.batches)) == {1, 2}
    assert {batch.base for batch in rig.batches} == {1}
    rig.batches.clear()
    rig.beat("e2")
    assert rig.count("frames_shed") == 10
    assert (_numbers(rig.batches), rig.batches[0].base) == ([11, 12, 13, 14], 11)


def test_the_byte_limit_sheds_the_oldest():
    """The byte limit is kept to within a span."""
    rig = Rig(limits=Limits(max_bytes=200_000))
    for _ in range(100):
        rig.read(b"x" * 4000 + b"\n")
    kept = sum(len(row.body) for row in rig.journal.rows.values())
    assert 120_000 < kept <= 200_000 + 5_000
    assert rig.count("frames_shed") > 40


def test_a_full_disk_the_line_is_read_and_sent_unjournaled():
    """Frames go out unjournaled, what fits neither disk nor memory is counted, the disk's return is noticed."""
    rig = Rig(limits=Limits(window_bytes=10_000))
    rig.beat()
    rig.journal.is_full = True
    rig.read(b"a\n")
    assert rig.sent() == [b"a\n"]
    rig.report(3)
    for _ in range(30):
        rig.read(b"x" * 1000 + b"\n", 0.01)
    assert rig.count("frames_dropped") > 10
    assert rig.count("frames_unjournaled") > 8
    assert [note.event for note in rig.notes].count("journal.failed") == 1
    rig.journal.is_full = False
    rig.wait(1.1)
    assert rig.notes[-1].event == "journal.recovered"
    held = sorted(rig.journal.rows)
    assert held == list(range(held[0], held[-1] + 1))
    assert rig.journal.state.next_number == held[-1] + 1
    rig.read(b"b\n")
    while rig.sent()[-1] != b"b\n":
        rig.report(rig.batches[-1].first + rig.batches[-1].length)
    numbers = sorted(set(_numbers(rig.batches)))
    assert numbers == list(range(1, numbers[-1] + 1))


def test_numbers_settled_while_the_disk_is_full_are_not_given_out_again():
    """A frame that was accepted unjournaled has a number that the next process must not give to another frame."""
    rig = Rig()
    rig.beat()
    rig.journal.is_full = True
    rig.read(b"a\n")
    rig.journal.is_full = False
    rig.report(3)
    assert rig.journal.state.settled <= rig.journal.state.next_number
    rig.wait(1.1)
    assert rig.journal.state.settled == rig.journal.state.next_number == 3


def test_what_is_settled_is_marked_while_the_disk_is_full_unless_a_dead_letter_waits():
    """The next process must not begin with what the platform has; a dead letter's bytes are in the journal alone."""
    rig = Rig()
    rig.beat()
    rig.read(b"a\n")
    rig.journal.is_full = True
    rig.read(b"b\n")
    rig.report(3)
    rig.wait(0.6)
    assert rig.journal.marked == 3
    rig.report(4, dead=[(3, "why")])
    rig.read(b"c\n")
    rig.report(5)
    rig.wait(0.6)
    assert rig.journal.marked == 3


def test_a_mark_does_not_wait_for_the_time_of_a_trim():
    """Something is settled, and leaves the journal soon; then that can't be used: what is settled from now on is marked
    sooner than that."""
    rig = Rig()
    rig.beat()
    rig.read(b"a\nb\n")
    rig.report(2)
    rig.journal.is_full = True
    rig.give(FetchFailed("EIO"))
    rig.report(3)
    rig.wait(MARK_S)
    assert rig.journal.marked == 3


def test_what_comes_while_the_journal_is_tried_again_is_written_too():
    """The retry holds what was held when it was ordered; a frame that came after it is not taken for written."""
    rig = Rig()
    rig.beat()
    rig.journal.is_full = True
    rig.read(b"a\n")
    rig.journal.is_full = False
    rig.now_s += 1.5
    (retry,) = [effect for effect in rig.core.handle(Tick(), rig.now_s) if isinstance(effect, Append)]
    (back,) = rig.journal.perform(retry)
    rig.give(Chunk(b"b\n", rig.wall_ms))
    rig.give(back)
    assert sorted(rig.journal.rows) == [1, 2, 3]
    rig.read(b"c\n")
    assert sorted(rig.journal.rows) == [1, 2, 3, 4]


def test_a_later_process_goes_on_with_the_backlog():
    """What was unsettled at the end of a process is sent by the next one under a higher generation."""
    rig = Rig()
    for at in range(10):
        rig.read(b"%d\n" % at)
    again = Rig(journal=rig.journal)
    again.beat()
    assert again.sent() == [b"%d\n" % at for at in range(10)]
    assert {batch.generation for batch in again.batches} == {2}
    assert [batch.first for batch in again.batches if batch.kind == Entry.OPENED] == [1, 12]


def test_numbers_that_the_journal_lost_come_out_dead():
    """A hole in the journal does not stop the stream: its numbers travel as dead letters."""
    rig = Rig()
    for at in range(5):
        rig.read(b"%d\n" % at)
    del rig.journal.rows[3], rig.journal.rows[4]
    again = Rig(journal=rig.journal)
    again.beat()
    assert _numbers(again.batches) == list(range(1, 8))
    dead = [batch for batch in again.batches if batch.kind == Entry.DEAD]
    assert [(batch.first, batch.length) for batch in dead] == [(3, 2)]


def _strike(rig, numbers, note_id):
    rig.call("note", {"journal": "j", "generation": 1, "numbers": numbers}, note_id)
    assert rig.ended(note_id) == "ok"


def test_frames_that_were_in_a_dead_converter_travel_alone():
    """A note makes its numbers travel in batches of their own; the strike is journaled before the answer."""
    rig = Rig()
    rig.beat()
    rig.read(b"a\nb\nc\nd\n")
    rig.batches.clear()
    _strike(rig, [3, 4], "n1")
    assert rig.journal.state.strikes == {3: 0, 4: 0}
    rig.wait(0.3)
    rig.beat("e2")
    batches = [(batch.first, batch.length, batch.alone) for batch in rig.batches if batch.epoch == "e2"]
    assert batches == [(1, 1, False), (2, 1, False), (3, 1, True), (4, 1, True), (5, 1, False)]


def test_three_deaths_alone_make_a_dead_letter():
    """Each note sends it again at once, the third as an entry that comes out dead; the bytes go to the dead letters."""
    rig = Rig()
    rig.beat()
    rig.read(b"poison\n")
    for at in range(3):
        rig.batches.clear()
        _strike(rig, [2], f"n{at}")
        _strike(rig, [2], f"n{at}")
        assert [(batch.first, batch.alone) for batch in rig.batches] == [(2, True)]
    assert rig.batches[-1].kind == Entry.DEAD
    assert rig.journal.state.strikes == {2: 3}
    rig.beat("e2")
    batch = rig.batches[-1]
    assert (batch.kind, batch.first, batch.alone) == (Entry.DEAD, 2, True)
    reason = frames_of(batch)[0].decode()
    rig.report(3, epoch="e2", dead=[(2, reason)])
    assert [(letter.reason, letter.data) for letter in rig.journal.dead] == [(reason, b"poison\n")]
    assert "3 times" in reason


def test_a_note_of_another_journal_or_of_settled_numbers_is_only_answered():
    """Old notes change nothing."""
    rig = Rig()
    rig.beat()
    rig.read(b"a\n")
    rig.report(3)
    _strike(rig, [2], "n1")
    rig.call("note", {"journal": "other", "generation": 1, "numbers": [3]}, "n2")
    assert rig.ended("n2") == "ok"
    assert rig.journal.state.strikes == {}


def test_a_note_of_frames_that_were_never_journaled_strikes_no_other_frame():
    """The number of a frame that was lost with its reader belongs to another frame in the next generation."""
    rig = Rig()
    rig.beat()
    rig.read(b"a\n")
    again = Rig(journal=rig.journal)
    again.beat()
    again.read(b"b\n")
    again.call("note", {"journal": "j", "generation": 1, "numbers": [2, 4]}, "n1")
    assert again.ended("n1") == "ok"
    assert set(again.journal.state.strikes) == {2}


def test_the_section_is_answered_from_here():
    """A converter that does not know a section's hash gets its JSON."""
    rig = Rig(Device(name="d"))
    rig.call("section", {"section": "s1"}, "s")
    assert codec.unpack(rig.calls[-1].body) == section_of(rig.device)
    rig.call("section", {"section": "gone"}, "t")
    assert rig.ended("t") == "unknown section"
    rig.call("section", {}, "u")
    assert rig.ended("u").startswith("malformed request")
    rig.call("nonsense", {}, "v")
    assert rig.ended("v") == "unknown verb nonsense"


def test_junk_is_counted():
    """Junk on a socket changes nothing but a counter."""
    rig = Rig()
    rig.give(Junk(Plane.CALLS, "not msgpack"))
    rig.wait(1.1)
    assert rig.beats[-1].counters["junk_messages"] == 1


def test_a_report_trims_once():
    """A repeated report costs no commit."""
    rig = Rig()
    rig.beat()
    rig.report(2)
    rig.report(2)
    rig.wait(2 * TRIM_S)
    rig.report(2)
    rig.wait(2 * TRIM_S)
    assert len([effect for effect in rig.performed if isinstance(effect, Trim)]) == 1
    assert len([effect for effect in rig.performed if isinstance(effect, Append)]) == 1


def test_the_age_limit_sheds_what_is_too_old_while_nothing_comes_in():
    """Older than ttl_s goes, to within a minute, counted, with one warning; what is younger stays."""
    rig = Rig(limits=Limits(ttl_s=3600.0))
    rig.read(b"old\n")
    rig.wait(1800)
    rig.read(b"young\n")
    rig.wait(2000)
    assert [frames_of(block) for block in rig.journal.rows.values()] == [[b"young\n"]]
    assert rig.count("frames_shed") == 2
    rig.wait(7200)
    assert rig.journal.rows == {}
    assert rig.count("frames_shed") == 3
    assert [note.facts["limit"] for note in rig.notes if note.event == "journal.full"] == ["age"]


def test_a_journal_is_aged_before_its_port_opens():
    """The wall clock at the start is enough: what an unplugged or forgotten device left ages too."""
    rig = Rig()
    rig.read(b"old\n")
    start_ms = rig.wall_ms + 2 * 3600 * 1000
    later = Rig(
        journal=rig.journal, has_port=False, limits=Limits(ttl_s=3600.0), wall_offset_ms=start_ms - 100.0 * 1000
    )
    assert (later.exit, later.count("frames_shed"), later.journal.rows) == (0, 2, {})


def test_a_stream_that_the_publisher_has_forgotten_is_sent_again():
    """Silent for long, with its last report lost: the same publisher begins the stream anew from the reader's base."""
    rig = Rig()
    rig.beat()
    for number in range(3):
        rig.read(b"%d\n" % number)
    rig.report(5, 1)
    rig.wait(3)
    rig.batches.clear()
    rig.read(b"3\n")
    rig.report(1, 1, missing=[(1, 4)])
    rig.wait(1)
    assert set(_numbers(rig.batches)) == {1, 2, 3, 4, 5}


def test_what_was_sent_for_nothing_is_not_remembered():
    """A publisher that beats and receives nothing, a journal at its limit: memory stays flat."""
    rig = Rig(limits=Limits(max_records=100, window_frames=10))
    rig.wait(1)
    for _ in range(500):
        rig.read(b"x\n")
        rig.wait(0.2)
    assert rig.count("frames_shed") > 300
    assert len(rig.uplink._window.flights.timer._sent) <= 11


def test_a_reader_that_hears_nothing_of_what_it_sent_asks():
    """Everything is received, the publisher beats, and its word on acceptance was lost: one entry again is answered."""
    rig = Rig()
    rig.beat()
    rig.read(b"a\n")
    rig.report(3, 1)
    rig.batches.clear()
    rig.wait(ASK_S - 0.5)
    assert rig.batches == []
    rig.wait(1)
    assert _numbers(rig.batches) == [1]
    rig.report(3)
    rig.batches.clear()
    rig.wait(3 * ASK_S)
    assert rig.batches == []


def test_a_slow_line_hears_reports_with_its_next_frame():
    """For at most 0.2 s after a frame nothing that the publisher says wakes the reader; one that is told to end
    listens."""
    rig = Rig()
    rig.wait(1)
    rig.report(2)
    rig.performed.clear()
    rig.read(b"one\n", 1.0)
    [rest] = [effect for effect in rig.performed if isinstance(effect, Rest) and effect.line_until_s is None]
    assert rest.reports_until_s == pytest.approx(rig.now_s + SLOW_REPORTS_S)
    rig.performed.clear()
    rig.give(Drain())
    [rest] = [effect for effect in rig.performed if isinstance(effect, Rest) and effect.line_until_s is None]
    assert rest.reports_until_s == rig.now_s


def test_a_line_with_much_under_way_listens():
    """Its window has to move."""
    rig = Rig()
    rig.wait(1)
    rig.report(2)
    rig.read(b"one\n" * (SLOW_BACKLOG + 1), 1.0)
    assert not any(isinstance(effect, Rest) and effect.line_until_s is None for effect in rig.performed)


def test_what_is_heard_late_on_purpose_is_no_round_trip():
    """A frame a second, each reported at once and heard 0.2 s later: what is lost is sent again after 250 ms."""
    rig = Rig()
    rig.wait(1)
    rig.report(2)
    for number in range(3, 43):
        rig.read(b"frame\n", 1.0)
        rig.now_s += SLOW_REPORTS_S
        rig.report(number)
    rig.batches.clear()
    rig.read(b"lost\n", 1.0)
    sent_s = rig.now_s
    while len(rig.batches) < 2:
        rig.wait(0.01)
    assert rig.now_s - sent_s == pytest.approx(0.25, abs=0.03)


def test_the_origin_of_entries_travels_with_their_batch_also_out_of_the_journal():
    """What was asked for is known to whoever converts, at the first sending and when the journal is read again."""
    rig = Rig()
    rig.beat()
    source = rig.core._source
    for effect in source.put([Item(Entry.FRAMES, [b"21\n"], origin="temperature")], rig.wall_ms, b"", rig.now_s):
        rig._perform(effect)
    rig.read(b"22\n")
    assert [(batch.first, batch.origin) for batch in rig.batches[-2:]] == [(2, "temperature"), (3, "")]
    again = Rig(journal=rig.journal)
    again.beat()
    said = [batch for batch in again.batches if batch.kind == Entry.FRAMES]
    assert [(batch.first, batch.origin) for batch in said] == [(2, "temperature"), (3, "")]
