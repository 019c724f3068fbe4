"""Whether a line ends its frames with the delimiter or with silence: found out, found again, never decided for ever."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config.framing import Framing
from common.config.models import Device
from common.core.events import Drain
from common.wire.messages import Entry
from services.port_reader.core.events import PortLost
from services.port_reader.core.incoming.form import DECIDE_S, ENDS_TO_BE_SURE, PAUSES_TO_CHANGE, STALE_S
from services.port_reader.core.incoming.joining import read_line_state
from tests.support.port_reader_rig import Rig, frames_of, stamps_of

CODE = b"4012345678900"


def _rig(journal=None, **framing):
    # A user's converter, so that answers are questions to a converter.
    rig = Rig(Device(name="d", downlink_converter="Mine", framing=Framing(**framing)), journal=journal)
    rig.wait(1)
    return rig


def _frames(rig):
    return [frame for row in rig.journal.rows.values() if row.kind == Entry.FRAMES for frame in frames_of(row)]


def _dead(rig):
    return [letter.data for letter in rig.journal.dead]


def _say(rig, *pieces, every_s=2.5):
    """Each of them, and a pause behind it."""
    for piece in pieces:
        rig.read(piece, 0.0)
        rig.wait(every_s)


def _form(rig, delimiter=b"\n"):
    return read_line_state(rig.journal.line_state, delimiter).form


def test_codes_without_a_terminator_come_one_by_one_again_after_a_stray_delimiter():
    """A few wait until the line's form is clear again, each is a frame of its own, and none is lost."""
    rig = _rig()
    _say(rig, *[CODE] * 4)
    assert _frames(rig) == [CODE] * 4
    _say(rig, b"\x8f\x0a\xff")
    assert _frames(rig)[4:] == [b"\x8f\x0a"]
    _say(rig, *[CODE] * PAUSES_TO_CHANGE)
    assert _frames(rig)[5:] == [b"\xff", *[CODE] * PAUSES_TO_CHANGE]
    _say(rig, b"one more", every_s=1.1)
    assert _frames(rig)[-1] == b"one more"
    assert _dead(rig) == []


@pytest.mark.parametrize("restarts_after", [0, 1, 2])
def test_they_do_so_after_a_restart(restarts_after):
    """What was seen is kept, and no more believed than without a restart: what waited at the end is a dead letter."""
    rig = _rig()
    _say(rig, CODE, CODE, b"stray\n", *[CODE] * restarts_after)
    rig.give(Drain())
    assert _dead(rig) == [CODE] * restarts_after
    again = _rig(rig.journal)
    _say(again, b"first", *[CODE] * 3, b"last")
    told = [*_frames(again)[3:], *_dead(again)]
    assert sorted(told) == sorted([b"first", *[CODE] * (3 + restarts_after), b"last"])
    assert _frames(again)[-2:] == [CODE, b"last"]


def test_slow_codes_come_again_too():
    """Further apart than a partial frame is waited for: the first two are dead letters, each by itself."""
    rig = _rig()
    _say(rig, b"stray\n")
    _say(rig, b"one", b"two", b"three", b"four", every_s=60)
    assert (_frames(rig), _dead(rig)) == ([b"stray\n", b"three", b"four"], [b"one", b"two"])


def test_codes_behind_a_frame_that_nobody_saw_begin():
    """A reader that was killed while a piece waited distrusts the next one, and only that."""
    rig = _rig()
    _say(rig, b"stray\n", b"lost with its reader")
    again = _rig(rig.journal)
    codes = [b"code %d" % number for number in range(5)]
    _say(again, *codes)
    assert (_frames(again), _dead(again)) == ([b"stray\n", *codes[1:]], codes[:1])


def test_each_piece_that_waited_has_the_time_at_which_it_came():
    """However long the form of its line was in doubt."""
    rig = _rig()
    _say(rig, b"stray\n")
    came_ms = []
    for piece in (b"one", b"two", b"three"):
        came_ms.append(rig.wall_ms)
        _say(rig, piece)
    rows = [row for row in rig.journal.rows.values() if row.kind == Entry.FRAMES][1:]
    assert [stamp for row in rows for stamp in stamps_of(row)] == came_ms


WEIGHING = [b"Weighing", b".", b".", b".", b".", b" 23.5 kg\n"]


@pytest.mark.parametrize("timeout_s", [1.0, 0.2])
@pytest.mark.parametrize("known", [1, 10])
@pytest.mark.parametrize(
    "pieces",
    [
        WEIGHING,
        [b".", b".", b".", b".", b"ready\n"],
        [b"Heating ", *[b".."] * 15, b" done\n"],
        [b"-", b"\b\\", b"\b|", b"\b/", b"\b-", b" 1.5\n"],
    ],
)
def test_pieces_that_are_hardly_messages_are_held(pieces, known, timeout_s):
    """A device that says a dot now and then while it is busy: its delimiter joins them, also on a line that has hardly
    sent one, and nothing is told, since nothing was cut."""
    rig = _rig(timeout_s=timeout_s)
    _say(rig, *[b"ready\n"] * known)
    _say(rig, *pieces, *pieces, every_s=1.6)
    assert (_frames(rig), _dead(rig)) == ([*[b"ready\n"] * known, *[b"".join(pieces)] * 2], [])
    assert [note.event for note in rig.notes if note.event == "line.form"] == []


@pytest.mark.parametrize(
    "pieces",
    [
        [b"Heating 10%", b" 20%", b" 30%", b" 40%", b" 50%", b" done\n"],
        [b"T=2", b"3.5", b" H=", b"40.", b"1 P=", b"1013\n"],
        [b"page one", b"page two", b"page three", b"page four", b"page five", b"page six", b"page seven", b"end\n"],
    ],
)
def test_a_line_that_is_sure_of_its_delimiter_needs_more_evidence(pieces):
    """Pieces that might each be a message are joined too, where several delimiters in a row have ended frames."""
    rig = _rig()
    _say(rig, *[b"whole\n"] * ENDS_TO_BE_SURE)
    _say(rig, *pieces, *pieces)
    assert (_frames(rig)[ENDS_TO_BE_SURE:], _dead(rig)) == ([b"".join(pieces)] * 2, [])


@pytest.mark.parametrize("every_s", [2.5, 10.0, 40.0])
def test_a_line_that_was_sure_of_its_delimiter_is_found_again_too(every_s):
    """After more silences in a row codes come one by one, each with its own time. Those that came further apart than a
    frame may wait are dead letters before: two of them."""
    rig = _rig()
    _say(rig, *[b"whole\n"] * 5)
    came_ms = []
    codes = [b"code %d" % number for number in range(20)]
    for code in codes:
        came_ms.append(rig.wall_ms)
        _say(rig, code, every_s=every_s)
    dead = 2 if every_s > STALE_S else 0
    assert (_frames(rig)[5:], _dead(rig)) == (codes[dead:], codes[:dead])
    rows = [row for row in rig.journal.rows.values() if row.kind == Entry.FRAMES]
    assert [stamp for row in rows for stamp in stamps_of(row)][5:] == came_ms[dead:]
    assert _form(rig) == "silence"


@pytest.mark.parametrize("burst", [b"\x8f\n\xff", b"\n\n\n\n\xff", b"\0\n\0\n\n\xf8\n\n\0\n"])
@pytest.mark.parametrize("is_restarted", [True, False])
def test_a_burst_of_noise_does_not_make_a_line_sure(burst, is_restarted):
    """However many delimiters stand in it, it is one observation."""
    rig = _rig()
    _say(rig, *[CODE] * 4)
    for byte in burst:
        rig.read(bytes([byte]), 0.01)
    rig.wait(2.5)
    if is_restarted:
        rig.give(Drain())
        rig = _rig(rig.journal)
    before = len(_frames(rig))
    # The first one after the restart was seen by nobody to begin.
    _say(rig, *[CODE] * (4 + is_restarted))
    assert _frames(rig)[before:][-4:] == [CODE] * 4


def test_single_characters_come_one_by_one_again_too():
    """It takes longer, as each is hardly a message, and none is lost."""
    rig = _rig()
    _say(rig, b"stray\n")
    keys = [b"%d" % (number % 10) for number in range(20)]
    _say(rig, *keys)
    assert (_frames(rig)[1:], _dead(rig)) == (keys, [])


def test_a_delimiter_that_comes_again_behind_frames_that_silence_has_cut_is_told_once():
    """Nothing tells whether they were parts of one message: a person does, and hears what was cut."""
    rig = _rig()
    _say(rig, b"ready\n", b"one", b"two", b"three", b"four", b"last\n", b"whole\n")
    (note,) = [note for note in rig.notes if note.event == "line.form"]
    assert (note.level, note.facts["device"]) == ("warning", "d")
    assert note.facts["reason"] == (
        "the delimiter \"\\n\" comes again, after silence had ended 4 frames, from 'one' to 'four'; "
        'if these were parts of one message, set a longer "timeout" than 1 s'
    )
    _say(rig, b"five", b"six", b"seven", b"eight", b"last\n")
    assert len([note for note in rig.notes if note.event == "line.form"]) == 1


def test_without_a_timeout_silence_ends_no_frame():
    """`"timeout": null` waits for ever, as it does on a line that has never sent its delimiter. Where the delimiter is
    known, what has waited too long is a dead letter each time."""
    rig = _rig(timeout_s=float("inf"))
    _say(rig, b"stray\n", b"one", b"two", b"three", b"four", every_s=40.0)
    assert (_frames(rig), _dead(rig)) == ([b"stray\n"], [b"one", b"two", b"three", b"four"])


def test_a_device_that_pauses_in_mid_frame_is_not_cut():
    """Pauses in a frame that its delimiter ends change nothing, frame after frame, and through a restart."""
    rig = _rig()
    _say(rig, b"whole\n")
    for _ in range(20):
        _say(rig, b"T=2", b"3.5 H=", b"40.1\n")
    again = _rig(rig.journal)
    _say(again, b"T=2", b"3.5 H=", b"40.1\n")
    assert _frames(again) == [b"whole\n", *[b"T=23.5 H=40.1\n"] * 21]
    assert _dead(again) == []


def test_short_pauses_prove_nothing_on_a_line_with_delimiters():
    """With a `timeout` of milliseconds each read may look like a pause: a frame still has five seconds."""
    rig = _rig(timeout_s=0.0)
    _say(rig, b"whole\n")
    for _ in range(30):
        rig.read(b"half of it ", 0.14)
    rig.read(b"the end\n", 0.1)
    assert _frames(rig)[1:] == [b"half of it " * 30 + b"the end\n"]


def test_frames_by_silence_that_follow_fast_are_found_again():
    """Where `timeout` is short they are cut at their pauses, though nobody knew for seconds that those were ends."""
    rig = _rig(timeout_s=0.1)
    _say(rig, b"stray\n", every_s=0.5)
    codes = [b"%03d" % number for number in range(20)]
    _say(rig, *codes, every_s=0.5)
    assert _frames(rig)[1:] == codes


@pytest.mark.parametrize(
    ("first", "then"),
    [(b"\n", b"\r\n"), (b"\n", b"\r"), (b"23:NEVER!", b"NEVER!"), (b"x" * 20 + b"a", b"x" * 20 + b"b")],
)
def test_another_delimiter_forgets_what_was_seen_with_the_old_one(first, then):
    """The line has never sent the new one: its frames end by silence until it does."""
    rig = _rig(delimiter=first)
    _say(rig, b"a" + first, b"b" + first)
    again = _rig(rig.journal, delimiter=then)
    _say(again, CODE, CODE, CODE)
    assert _frames(again)[2:] == [CODE] * 3
    assert _form(again, then) == "silence"
    back = _rig(again.journal, delimiter=then)
    _say(back, CODE, every_s=1.1)
    assert _frames(back)[5:] == [CODE]


@pytest.mark.parametrize(
    ("pieces", "frame"),
    [
        ([b"T=2", b"3.5 H=40.1\r\n"], b"T=23.5 H=40.1\r\n"),
        ([b"T", b"=23.5 H=40.1\r\n"], b"T=23.5 H=40.1\r\n"),
        ([b"T=23.5 H=40.1\r", b"\n"], b"T=23.5 H=40.1\r\n"),
        ([b"T=23.5 H=40.1", b"\r\n"], b"T=23.5 H=40.1\r\n"),
    ],
)
def test_the_first_piece_of_a_line_is_no_whole(pieces, frame):
    """Its form is not known: it waits for the next piece, which shows that the pause was in the middle of a frame."""
    rig = _rig()
    _say(rig, *pieces, every_s=1.6)
    assert (_frames(rig), _dead(rig)) == ([frame], [])


def test_a_first_piece_that_nobody_saw_begin_is_dead_up_to_its_delimiter():
    """As it is without a pause in it."""
    rig = Rig(Device(name="d"))
    rig.read(b"T=2", 0.001)
    rig.wait(1.6)
    rig.read(b"3.5 H=40.1\r\nT=1 H=2\r\n")
    assert (_frames(rig), _dead(rig)) == ([b"T=1 H=2\r\n"], [b"T=23.5 H=40.1\r\n"])


def test_a_device_that_speaks_once_a_day_waits_for_seconds_once():
    """Its first message is a frame after a bounded time, its second one after `timeout`, as all others."""
    rig = _rig()
    rig.read(b"good morning")
    rig.wait(DECIDE_S - 0.1)
    assert _frames(rig) == []
    rig.wait(0.2)
    assert _frames(rig) == [b"good morning"]
    rig.wait(86_400, heartbeats=False)
    rig.read(b"and again")
    rig.wait(1.1)
    assert _frames(rig) == [b"good morning", b"and again"]
    again = _rig(rig.journal)
    again.read(b"a third time")
    again.wait(1.1)
    assert _frames(again)[-1] == b"a third time"


@pytest.mark.parametrize("ends", ["drain", "unplug", "kill"])
def test_a_first_piece_that_waits_at_the_end_is_told_or_was_in_progress(ends):
    """A dead letter where the process lives to write it; after a kill it is the frame in progress, and its rest is no
    frame."""
    rig = _rig()
    rig.read(b"T=2")
    rig.wait(1.5)
    if ends == "drain":
        rig.give(Drain())
    elif ends == "unplug":
        rig.give(PortLost("EIO", rig.wall_ms))
    again = _rig(rig.journal) if ends != "unplug" else rig
    again.wait(1)
    again.read(b"3.5 H=40.1\r\nT=1 H=2\r\n")
    assert b"T=2" not in _frames(again)
    assert _frames(again)[-1] == b"T=1 H=2\r\n"
    assert _dead(again)[:1] == ([b"T=2"] if ends != "kill" else [b"3.5 H=40.1\r\n"])


def test_an_answer_without_a_delimiter_does_not_wait_for_the_form_of_the_line():
    """Somebody waits for it: the first one comes after `timeout`, as all others."""
    rig = _rig()
    rig.beat()
    rig.exchange()
    rig.read(b"21.5")
    rig.wait(1.1)
    assert rig.ended("c1") == "answer: 21.5"


def test_what_had_begun_before_a_call_is_no_answer_to_it():
    """Though nobody knew yet that it was a frame."""
    rig = _rig()
    _say(rig, b"stray\n", b"one", b"two")
    rig.exchange(timeout_s=9.0)
    rig.read(b"21.5")
    rig.wait(1.1)
    assert rig.ended("c1") == "answer: 21.5"
    assert _frames(rig) == [b"stray\n", b"one", b"two"]


@pytest.mark.parametrize("is_known", [True, False])
def test_a_frame_that_had_begun_before_a_call_does_not_outlive_itself(is_known):
    """It ended with its delimiter: what comes next is the answer, though silence ends it."""
    rig = _rig()
    if is_known:
        _say(rig, b"whole\n")
    rig.read(b"ab")
    rig.exchange(timeout_s=30.0, time_left_s=60.0)
    rig.read(b"c\n")
    _say(rig, b"first", b"second", b"third")
    assert rig.ended("c1") == "answer: first"


def test_a_line_framed_by_silence_is_read_without_copies():
    """What waits is never copied as a whole, however many chunks it comes in."""
    rig = _rig(max_frame_bytes=1 << 20)
    _say(rig, b"never a delimiter", b"and again")
    framer = rig.core._port._line._framer
    copies = []
    partial = type(framer).partial
    counted = property(lambda self: copies.append(1) or partial.fget(self))
    rig.core._port._line._framer.__class__ = type("Counting", (type(framer),), {"partial": counted})
    for _ in range(200):
        rig.read(b"x" * 4096, 0.001)
    rig.wait(1.1)
    assert copies == []
    assert _frames(rig)[-1] == b"x" * 4096 * 200


STEPS = st.tuples(
    st.binary(min_size=1, max_size=6) | st.sampled_from([b"\n", b"a\nb", b"\r\n"]), st.sampled_from([0, 2])
)


def _run(steps, sizes):
    """What a line says with pauses between, each piece in chunks of these sizes that come at once."""
    rig = _rig(timeout_s=1.0, max_frame_bytes=40)
    for data, pause_s in steps:
        place = 0
        for size in [*sizes, len(data)]:
            if data[place : place + size]:
                rig.read(data[place : place + size], 0.0)
            place += size
        rig.wait(pause_s + 0.001)
    return rig


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=25), st.lists(st.integers(1, 3), max_size=6))
def test_nothing_is_lost_and_how_chunks_were_cut_never_matters(steps, sizes):
    """All that was said is a frame, a dead letter or still waiting, once; frames are in order."""
    whole, cut = _run(steps, []), _run(steps, sizes)
    assert (_frames(cut), _dead(cut)) == (_frames(whole), _dead(whole))
    said = b"".join(data for data, _ in steps)
    partial = whole.core._port._line._framer.partial
    told = [*_frames(whole), *_dead(whole), partial]
    assert sorted(b"".join(told)) == sorted(said)
    place = 0
    for frame in _frames(whole):
        place = said.index(frame, place) + len(frame)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 4).map(lambda size: [b"piece"] * size), min_size=1, max_size=15))
def test_a_frame_with_fewer_pauses_than_prove_silence_is_never_cut(frames):
    """On a line that is known to send its delimiter, whatever the pauses."""
    rig = _rig()
    _say(rig, b"known\n")
    for pieces in frames:
        *begun, last = pieces[:PAUSES_TO_CHANGE]
        _say(rig, *begun, last + b"\n", every_s=4.0)
    expected = [b"piece" * min(len(pieces), PAUSES_TO_CHANGE) + b"\n" for pieces in frames]
    assert (_frames(rig), _dead(rig)) == ([b"known\n", *expected], [])


def test_what_began_before_a_call_waits_as_it_would_without_it():
    """It is no answer, so nobody waits for it, and the delimiter may still come."""
    rig = _rig()
    rig.read(b"T=2")
    rig.exchange()
    rig.wait(1.6)
    rig.read(b"3.5 H=40.1\n")
    assert rig.sent() == [b"T=23.5 H=40.1\n"]
    assert rig.ended("c1") is None
