"""Dead letters in the reader's core: pages of a list, the way back, and what a full disk does to them."""

from __future__ import annotations

from typing import Any

import pytest

from common.core.events import Drain
from common.stream.dead_letters import PAGE_LETTERS
from common.stream.limits import Limits
from common.wire import codec
from common.wire.messages import Entry, Reply
from tests.support.port_reader_rig import Rig, frames_of, stamps_of


def _with_dead(*frames: bytes, **options: Any) -> Rig:
    """A reader whose platform has found all of these frames bad."""
    rig = Rig(**options)
    rig.beat()
    rig.read(b"".join(frames))
    end = 2 + len(frames)
    rig.report(end, dead=[(number, "no number") for number in range(2, end)])
    assert [letter.data for letter in rig.journal.dead] == list(frames)
    return rig


def _ask(rig: Rig, verb: str, **body: Any) -> Any:
    rig.calls.clear()
    rig.call(verb, body)
    [reply] = rig.calls
    assert isinstance(reply, Reply)
    return reply.error or codec.unpack(reply.body)


def test_a_list_goes_back_from_the_newest_in_pages():
    """`before` of the next page is the last id of this one; count and bytes are of all."""
    rig = _with_dead(b"a\n", b"b\n", b"c\n")
    page = _ask(rig, "dead_letters", before=0, most=2)
    assert (page["count"], page["bytes"]) == (3, 6)
    assert [(letter[1], letter[3], letter[4]) for letter in page["letters"]] == [
        (4, "no number", b"c\n"),
        (3, "no number", b"b\n"),
    ]
    rest = _ask(rig, "dead_letters", before=page["letters"][-1][0], most=10**6)
    assert [letter[4] for letter in rest["letters"]] == [b"a\n"]
    assert PAGE_LETTERS < 10**6


@pytest.mark.parametrize(
    "body", [{}, {"before": -1, "most": 1}, {"before": 2**63, "most": 1}, {"before": "1", "most": 1}, []]
)
def test_absurd_arguments_are_an_error_and_no_more(body):
    """Ids are whole numbers that SQLite can hold."""
    rig = _with_dead(b"a\n")
    rig.call("dead_letters", body)
    assert "malformed request" in rig.ended("c1")


def test_retry_sends_frames_again_with_their_old_timestamps_and_new_numbers():
    """They leave the dead letters with the commit that journals them, and go out under the section of now."""
    rig = _with_dead(b"a\n", b"b\n")
    stamps = [letter.ts_ms for letter in rig.journal.dead]
    rig.read(b"live\n")
    rig.batches.clear()
    last = max(rig.journal.letters)
    assert _ask(rig, "retry", after=0, until=last) == {"retried": 2, "kept": 0, "last": last}
    assert rig.journal.dead == []
    [batch] = rig.batches
    assert (batch.first, batch.kind, frames_of(batch), stamps_of(batch)) == (5, Entry.FRAMES, [b"a\n", b"b\n"], stamps)
    assert _ask(rig, "retry", after=last, until=last) == {"retried": 0, "kept": 0, "last": 0}
    assert rig.count("frames_revived") == 2
    rig.read(b"next\n")
    assert stamps_of(rig.batches[-1])[0] > max(stamps)


def test_what_fails_again_is_a_dead_letter_again():
    """Under a new id, so that one retry ends."""
    rig = _with_dead(b"a\n")
    last = max(rig.journal.letters)
    _ask(rig, "retry", after=0, until=last)
    rig.report(4, dead=[(3, "still no number")])
    assert [(letter.reason, letter.data) for letter in rig.journal.dead] == [("still no number", b"a\n")]
    assert min(rig.journal.letters) > last


def test_pieces_that_never_were_frames_stay():
    """Where they begin and end was never known."""
    rig = Rig()
    rig.beat()
    rig.read(b"tail\n", 0.001)
    last = max(rig.journal.letters)
    assert _ask(rig, "retry", after=0, until=last) == {"retried": 0, "kept": 1, "last": last}
    assert [letter.reason for letter in rig.journal.dead] == ["started listening in the middle of a frame"]


def test_a_retry_pushes_out_nothing_that_waits():
    """A journal without room for them refuses, and keeps them."""
    rig = _with_dead(b"a\n", b"b\n", limits=Limits(max_records=3))
    rig.read(b"1\n2\n")
    assert "the journal is full" in _ask(rig, "retry", after=0, until=9)
    assert len(rig.journal.dead) == 2
    rig.report(6)
    rig.journal.is_full = True
    rig.read(b"3\n")
    assert "can't be written" in _ask(rig, "retry", after=0, until=9)


def test_who_can_not_send_them_again_says_so():
    """A device that is no longer configured has no section to retry with; a process that ends takes nothing on."""
    rig = _with_dead(b"a\n")
    rig.read(b"left\n")
    last = Rig(journal=rig.journal, has_port=False)
    assert "no longer configured" in _ask(last, "retry", after=0, until=9)
    assert _ask(last, "dead_letters", before=0, most=9)["count"] == 1
    rig.give(Drain())
    assert _ask(rig, "retry", after=0, until=9) == "shutting down"


def test_dead_letters_of_a_full_disk_wait_in_memory():
    """They are written when there is room again, a mebibyte of them at most."""
    rig = Rig()
    rig.beat()
    rig.read(b"a\n")
    rig.journal.is_full = True
    rig.report(3, dead=[(2, "no number")])
    assert rig.journal.dead == []
    rig.journal.is_full = False
    rig.wait(3)
    assert [letter.data for letter in rig.journal.dead] == [b"a\n"]
    assert rig.count("dead_letters_dropped") == 0


def test_a_dead_letter_keeps_its_origin_and_goes_back_with_it():
    """What was asked for is still known when it is sent through again; frames of two origins are two blocks. A list
    does not show it."""
    rig = Rig()
    for frame in (b"1\n", b"2\n", b"3\n"):
        rig.read(frame)
    rows, origins = rig.journal.rows, {2: "temperature", 3: "temperature", 4: "humidity"}
    rig.journal.rows = {first: block._replace(origin=origins.get(first, "")) for first, block in rows.items()}
    rig = Rig(journal=rig.journal)
    rig.beat()
    rig.report(5, dead=[(number, "no number") for number in origins])
    assert [(letter.number, letter.origin) for letter in rig.journal.dead] == list(origins.items())
    assert [len(letter) for letter in _ask(rig, "dead_letters", before=0, most=9)["letters"]] == [5, 5, 5]
    rig.journal.rows.clear()
    assert _ask(rig, "retry", after=0, until=9) == {"retried": 3, "kept": 0, "last": 3}
    again = [(block.length, block.origin) for block in rig.journal.rows.values() if block.kind == Entry.FRAMES]
    assert again == [(2, "temperature"), (1, "humidity")]
    rig.report(6)
    assert [frames_of(batch) for batch in rig.batches[-2:]] == [[b"1\n", b"2\n"], [b"3\n"]]


def test_what_the_journal_lost_has_no_bytes():
    """It is a dead letter whose bytes nobody has, and is not sent again."""
    rig = Rig()
    rig.read(b"a\n")
    rig.journal.rows.clear()
    later = Rig(journal=rig.journal)
    later.beat()
    later.report(3, dead=[(1, "the journal has lost it"), (2, "the journal has lost it")])
    assert [letter[2:4] for letter in later.journal.dead] == [("the journal has lost it: 1-2", b"")]
    assert _ask(later, "retry", after=0, until=9)["retried"] == 0
