"""The reader's core: the line, what is a frame, what is a dead letter."""

from __future__ import annotations

import pytest

from common.config.framing import Framing
from common.config.models import Device
from common.core.events import Drain
from common.core.liveness import CALM_BEAT_S
from common.stream.events import Append, Listen, SetLineState
from common.stream.numbers import LINE_STATE_BYTES
from common.wire.messages import Entry
from services.port_reader.core.events import (
    Chunk,
    ClosePort,
    OpenFailed,
    OpenPort,
    PortLost,
    Rest,
)
from services.port_reader.core.incoming.joining import LineState, read_line_state
from services.port_reader.core.port import UNFRAMED_QUIET_S
from tests.support.port_reader_rig import FakeJournal, Rig, frames_of, stamps_of


def _lines(rig):
    return [frame for row in rig.journal.rows.values() if row.kind == Entry.FRAMES for frame in frames_of(row)]


def test_opened_and_lost_are_entries_in_their_place():
    """Opening, frames, loss and opening again are numbered in the order in which they happened."""
    rig = Rig()
    rig.read(b"a\n")
    rig.give(PortLost("EIO", rig.wall_ms))
    rig.wait(0.2)
    rig.read(b"b\n")
    kinds = [row.kind for row in rig.journal.rows.values()]
    assert kinds == [Entry.OPENED, Entry.FRAMES, Entry.LOST, Entry.OPENED, Entry.FRAMES]
    assert sorted(rig.journal.rows) == [1, 2, 3, 4, 5]
    assert frames_of(rig.journal.rows[1]) == [b"t"]
    assert frames_of(rig.journal.rows[3]) == [b"EIO"]


def test_a_frame_is_committed_before_it_is_sent():
    """The append of a block stands before its send."""
    rig = Rig()
    rig.beat()
    rig.performed.clear()
    rig.read(b"a\nb\n")
    kinds = [type(effect).__name__ for effect in rig.performed]
    assert kinds.index("Append") < kinds.index("Send")
    assert rig.sent() == [b"a\n", b"b\n"]
    assert len([effect for effect in rig.performed if isinstance(effect, Append)]) == 1


def test_frames_of_one_read_have_their_own_milliseconds():
    """Timestamps start at the arrival and never share a millisecond."""
    rig = Rig()
    rig.read(b"a\nb\nc\n")
    row = rig.journal.rows[2]
    assert stamps_of(row) == [rig.wall_ms, rig.wall_ms + 1, rig.wall_ms + 2]


@pytest.mark.parametrize(
    ("first_frame", "after_s", "dead", "frames"),
    [
        ("discard", 0.01, [b"il\n"], [b"a\n"]),
        ("keep", 0.01, [], [b"il\n", b"a\n"]),
        ("discard", 0.05, [], [b"il\n", b"a\n"]),
    ],
)
def test_difference_19_joining_a_talking_line(first_frame, after_s, dead, frames):
    """Bytes within 20 ms of opening are the tail of a frame, unless the configuration keeps them."""
    rig = Rig(Device(name="d", framing=Framing(first_frame=first_frame)))
    rig.read(b"il\na\n", after_s)
    assert [letter.data for letter in rig.journal.dead] == dead
    assert [letter.reason for letter in rig.journal.dead] == ["started listening in the middle of a frame"] * len(dead)
    assert _lines(rig) == frames


def test_joining_a_talking_line_while_the_disk_is_slow():
    """Found by the simulation: nobody watches the line while the entry of its opening is written, so what has come by
    then has not been seen to begin, however long ago the line was opened."""
    rig = Rig()
    rig.give(PortLost("EIO", rig.wall_ms))
    rig.commit_s = 0.125
    rig.waiting = [Chunk(b"il\na\n", rig.wall_ms)]
    rig.wait(1)
    rig.commit_s, rig.waiting = 0.0, []
    rig.read(b"b\n")
    assert [(letter.reason, letter.data) for letter in rig.journal.dead] == [
        ("started listening in the middle of a frame", b"il\n")
    ]
    assert _lines(rig) == [b"a\n", b"b\n"]


def test_difference_19_after_a_death_in_mid_frame():
    """A process killed in mid-frame leaves word; the next one does not take the tail for a frame."""
    rig = Rig()
    rig.read(b"one\nhal")
    assert read_line_state(rig.journal.line_state, b"\n") == (True, "delimiter")
    again = Rig(journal=rig.journal)
    again.read(b"f\ntwo\n", after_s=5)
    assert _lines(again) == [b"one\n", b"two\n"]
    assert [letter.data for letter in again.journal.dead] == [b"f\n"]


@pytest.mark.parametrize(
    ("kept", "state"),
    [
        (b"", LineState(is_mid_frame=False, form="unknown")),
        (b"\0\0", LineState(is_mid_frame=False, form="unknown")),
        (b"\0\1", LineState(is_mid_frame=False, form="delimiter")),
        (b"\1\0", LineState(is_mid_frame=True, form="unknown")),
        (b"\1\1", LineState(is_mid_frame=True, form="delimiter")),
        (b"\0\1\n", LineState(is_mid_frame=False, form="delimiter")),
        (b"\0\2\n", LineState(is_mid_frame=False, form="silence")),
        (b"\0\1\r\n", LineState(is_mid_frame=False, form="unknown")),
        (b"\0\2\r", LineState(is_mid_frame=False, form="unknown")),
        (b"\1\1\r", LineState(is_mid_frame=True, form="unknown")),
        (b"more than we know", LineState(is_mid_frame=True, form="unknown")),
        (b"\0\3\n", LineState(is_mid_frame=True, form="unknown")),
    ],
)
def test_what_a_journal_keeps_of_the_line(kept, state):
    """Only the line reads it; older releases kept no delimiter. Where nothing is known nothing is doubted; where it
    can't be read the frame that comes first is. What was seen with another delimiter says nothing."""
    assert read_line_state(kept, b"\n") == state
    journal = FakeJournal()
    journal.line_state = kept
    rig = Rig(journal=journal)
    rig.read(b"f\ntwo\n", after_s=5)
    assert _lines(rig) == ([b"two\n"] if state.is_mid_frame else [b"f\n", b"two\n"])
    assert len(journal.line_state) <= LINE_STATE_BYTES


def test_a_death_between_frames_costs_nothing():
    """A process killed on a silent line keeps the next frame whole."""
    rig = Rig()
    rig.read(b"hal")
    rig.read(b"f\n")
    assert read_line_state(rig.journal.line_state, b"\n") == (False, "delimiter")
    again = Rig(journal=rig.journal)
    again.read(b"two\n", after_s=5)
    assert _lines(again) == [b"half\n", b"two\n"]


def test_frames_in_pieces_at_speed_do_not_cost_two_commits_each():
    """On a busy line that comes in pieces the mid-frame flag stays up; silence takes it down."""
    rig = Rig()
    rig.journal.commits = 0
    for _ in range(100):
        rig.read(b"4", 0.002)
        rig.read(b"8\n", 0.002)
    assert rig.journal.commits < 115
    rig.wait(0.2)
    assert read_line_state(rig.journal.line_state, b"\n").is_mid_frame is False
    assert isinstance([e for e in rig.performed if isinstance(e, SetLineState)][-1], SetLineState)


def test_difference_11_a_line_that_has_sent_its_delimiter_is_held_to_it():
    """A partial frame waits for its end; after 30 s it is a dead letter."""
    rig = Rig()
    rig.read(b"a\nhal")
    rig.wait(29)
    rig.read(b"f", 0)
    rig.wait(29)
    assert rig.journal.dead == []
    rig.read(b"!\nmo", 0)
    assert _lines(rig) == [b"a\n", b"half!\n"]
    rig.wait(31)
    assert [(letter.reason, letter.data) for letter in rig.journal.dead] == [("no delimiter within 30 s", b"mo")]
    rig.read(b"b\n")
    assert _lines(rig)[-1] == b"b\n"


def test_difference_11_a_line_that_never_sent_it_ends_frames_by_silence():
    """`timeout` seconds of silence end a frame; the first delimiter ever ends that, also for later processes."""
    rig = Rig(Device(name="d", framing=Framing(timeout_s=1.0)))
    rig.read(b"abc")
    rig.wait(0.9)
    assert _lines(rig) == []
    rig.wait(0.2)
    rig.read(b"def")
    rig.wait(1.1)
    assert _lines(rig) == [b"abc", b"def"]
    rig.read(b"g\n")
    again = Rig(Device(name="d", framing=Framing(timeout_s=1.0)), journal=rig.journal)
    again.read(b"h")
    again.wait(5)
    assert _lines(again) == [b"abc", b"def", b"g\n"]


def test_a_timeout_without_end_waits_for_ever():
    """`timeout: null` never ends a frame by silence."""
    rig = Rig(Device(name="d", framing=Framing(timeout_s=float("inf"))))
    rig.read(b"abc")
    rig.wait(100)
    assert _lines(rig) == []


def test_difference_15_a_run_without_delimiter_is_bounded():
    """Every maxFrameBytes without delimiter is one dead letter, and no number is taken."""
    rig = Rig(Device(name="d", framing=Framing(max_frame_bytes=10)))
    rig.read(b"x" * 35)
    assert [len(letter.data) for letter in rig.journal.dead] == [10, 10, 10]
    assert list(rig.journal.rows) == [1]


def test_a_missing_port_is_tried_twice_a_second_and_warned_of_once():
    """One warning per reason, retries within half a second, for ever."""
    rig = Rig()
    rig.opens = False
    rig.give(PortLost("EIO", rig.wall_ms))
    for _ in range(20):
        before_s = rig.now_s
        tries = rig.performed.count(OpenPort())
        while rig.performed.count(OpenPort()) == tries:
            rig.wait(0.05)
        assert rig.now_s - before_s <= 0.5
        rig.give(OpenFailed("no such port"))
    assert [note.event for note in rig.notes if note.level == "warning"] == ["port.lost", "port.unavailable"]
    assert rig.core.handle(PortLost("EIO", 0), rig.now_s) == []


def test_a_port_that_does_not_answer_is_given_up():
    """A connection that never comes about is closed after a while and tried anew."""
    rig = Rig()
    rig.opens = False
    rig.give(PortLost("EIO", rig.wall_ms))
    rig.wait(7)
    assert rig.performed.count(OpenPort()) >= 2
    assert ClosePort() in rig.performed
    assert rig.notes[-1].facts["reason"] == "timed out"


def test_a_step_back_of_the_clock():
    """Up to 2 h back timestamps go on from the last; further back the clock is followed, with a warning."""
    rig = Rig()
    rig.read(b"a\n")
    last_ms = stamps_of(rig.journal.rows[2])[0]
    rig.wall_offset_ms = -3_600_000
    rig.read(b"b\n")
    assert stamps_of(rig.journal.rows[3]) == [last_ms + 1]
    rig.wall_offset_ms = -3 * 3_600_000
    rig.read(b"c\n")
    assert stamps_of(rig.journal.rows[4]) == [rig.wall_ms]
    assert rig.notes[-1].event == "clock.set_back"


def test_drain_closes_the_port_and_waits_for_the_platform():
    """SIGTERM: LOST "shut down" is journaled, what is unsettled may settle while the link is up, then exit 0."""
    rig = Rig()
    rig.beat()
    rig.read(b"a\nhal")
    rig.give(Drain())
    assert ClosePort() in rig.performed
    assert rig.exit is None
    assert frames_of(rig.journal.rows[3]) == [b"shut down"]
    assert read_line_state(rig.journal.line_state, b"\n") == (True, "delimiter")
    assert [letter.reason for letter in rig.journal.dead] == ["shut down in mid-frame"]
    rig.report(4)
    assert rig.exit == 0


@pytest.mark.parametrize(("link", "least_s", "most_s"), [("up", 2.9, 3.1), ("down", 0, 0.01), (None, 0, 0.01)])
def test_drain_waits_only_for_a_publisher_that_is_there(link, least_s, most_s):
    """3 s at most with the link up, not at all with it down or unknown."""
    rig = Rig()
    rig.read(b"a\n")
    if link:
        rig.beat(link=link)
    start_s = rig.now_s
    rig.give(Drain())
    while rig.exit is None:
        rig.wait(0.02, heartbeats=False)
        if link == "up":
            rig.beat()
    assert least_s <= rig.now_s - start_s <= most_s
    assert rig.exit == 0


def test_a_journal_without_a_port_is_drained():
    """A reader without a port opens nothing, sends what there is, and exits when it is settled."""
    rig = Rig()
    rig.read(b"a\n")
    last = Rig(journal=rig.journal, has_port=False)
    assert OpenPort() not in last.performed
    last.beat()
    assert last.sent() == [b"a\n"]
    assert last.sent(Entry.LOST) == [b"no longer configured"]
    last.report(3)
    assert last.exit is None
    last.report(4)
    assert last.exit == 0


def test_the_heartbeat_tells_the_state():
    """Each second: connected, backlog in frames and bytes, and every counter."""
    rig = Rig()
    rig.read(b"a\nb\n")
    rig.wait(1.1)
    beat = rig.beats[-1]
    assert (beat.state["connected"], beat.state["backlog"], beat.state["port"]) == (True, 3, "/dev/ttyUSB0")
    assert beat.state["backlog_bytes"] == sum(len(row.body) for row in rig.journal.rows.values())
    assert (beat.counters["bytes_read"], beat.counters["frames_read"]) == (4, 2)


def test_a_reader_that_starts_on_a_full_disk_trusts_no_first_frame():
    """Its predecessor may have died within a frame and could not write that down: a part is never taken for a whole."""
    journal = FakeJournal()
    journal.is_full = True
    rig = Rig(journal=journal)
    rig.beat()
    rig.read(b"\n1234\n", 0.2)
    assert rig.sent() == [b"1234\n"]


def test_bytes_that_end_no_frame_are_told_while_they_come():
    """Not a burst of noise; and what was told ends with the line's silence, with a frame, and with the port."""
    rig = Rig(Device(name="d", type="t", framing=Framing(timeout_s=86_400)))

    def unframed():
        rig.wait(1.1)
        return rig.beats[-1].state["unframed"]

    rig.read(b"a\n")
    rig.read(b"\x00\xf8\x13")
    rig.wait(60)
    assert unframed() == ""
    rig.read(b"1\r")
    assert 'set "delimiter": "\\r"' in unframed()
    rig.wait(UNFRAMED_QUIET_S)
    assert unframed() == ""
    for _ in range(20):
        rig.read(b"1\r", 1.0)
    assert unframed() != ""
    rig.read(b"\n")
    assert unframed() == ""
    for _ in range(20):
        rig.read(b"1\r", 1.0)
    assert unframed() != ""
    rig.give(PortLost("EIO", rig.wall_ms))
    assert unframed() == ""


def test_a_reader_with_nothing_to_tell_beats_slowly():
    """After some beats without news, until there is news; never while something waits for the platform."""
    rig = Rig()
    rig.wait(3)
    assert {beat.every_s for beat in rig.beats} == {1.0}
    rig.report(2)
    rig.wait(20)
    assert rig.beats[-1].every_s == CALM_BEAT_S
    rig.beats.clear()
    rig.wait(30)
    assert len(rig.beats) == 3
    rig.read(b"x\n")
    rig.wait(1.0)
    assert rig.beats[-1].counters["frames_read"] == 1
    assert rig.beats[-1].every_s == 1.0
    rig.beats.clear()
    rig.call("beat", {})
    assert rig.ended("c1") == "ok"


def test_what_has_come_is_read_before_the_end():
    """SIGTERM loses nothing that was on the line, however long it had rested."""
    rig = Rig()
    rig.beat()
    rig.waiting = [Chunk(b"last\n", rig.wall_ms + 200)]
    rig.now_s += 0.2
    rig.give(Drain())
    assert rig.sent() == [b"last\n"]
    assert rig.batches[-1].kind == Entry.LOST
    assert rig.exit is None
    rig.report(rig.batches[-1].first + 1)
    assert rig.exit == 0


def test_a_calm_reader_says_that_it_goes():
    """It has not listened to the publisher's beats, and gives it a moment to show that it is there."""
    rig = Rig()
    rig.beat()
    rig.report(2)
    rig.wait(30, heartbeats=False)
    rig.batches.clear()
    rig.give(Drain())
    rig.wait(0.5)
    assert {batch.kind for batch in rig.batches} == {Entry.LOST}
    assert rig.exit is None
    rig.report(rig.batches[-1].first + 1)
    assert rig.exit == 0


def test_a_line_whose_frames_end_by_silence_never_rests():
    """A rest would swallow the pause between two of them."""
    rig = Rig(Device(name="d", framing=Framing(timeout_s=0.05)))
    rig.beat()
    for _ in range(10):
        rig.read(b"no delimiter", 0.004)
    assert not any(isinstance(effect, Rest) and effect.line_until_s is not None for effect in rig.performed)


def test_a_calm_reader_hears_of_a_new_publisher_when_silence_ends_a_frame():
    """Nothing has come for long when the frame is made; the publisher may be another one by then."""
    rig = Rig(Device(name="d", framing=Framing(timeout_s=20.0)))
    rig.beat()
    rig.report(2)
    rig.read(b"hello", 5.0)
    rig.wait(30, heartbeats=False)
    listened = [effect.beats for effect in rig.performed if isinstance(effect, Listen)]
    assert (listened[-1], rig.uplink.backlog) == (True, 1)
    rig.beat("e2")
    assert rig.batches[-1].epoch == "e2"


def test_what_happens_at_a_loss_has_the_time_of_the_loss():
    """The rest of a frame, and the entry of the loss itself: not that of the last byte, an hour before."""
    rig = Rig()
    rig.read(b"half a fra")
    rig.now_s += 10.0
    lost_ms = rig.wall_ms
    rig.give(PortLost("EIO", lost_ms))
    [piece] = [letter for letter in rig.journal.dead if letter.data == b"half a fra"]
    [entry] = [block for block in rig.journal.rows.values() if block.kind == Entry.LOST]
    assert (piece.ts_ms, stamps_of(entry)) == (lost_ms, [lost_ms])


def test_a_frame_that_silence_has_ended_does_not_set_the_clock_back():
    """It has the time of its last byte; what comes after it has its own."""
    rig = Rig(Device(name="d", framing=Framing(timeout_s=10.0)))
    rig.beat()
    rig.read(b"hello")
    came_ms = rig.wall_ms
    rig.wait(11)
    rig.report(rig.uplink.stream.next_number)
    rig.give(Drain())
    frames = next(block for block in rig.batches if block.kind == Entry.FRAMES)
    lost = next(block for block in rig.batches if block.kind == Entry.LOST)
    assert (stamps_of(frames), stamps_of(lost)) == ([came_ms], [rig.wall_ms])
