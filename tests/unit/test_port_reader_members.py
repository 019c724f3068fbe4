"""A line with two devices: each has a stream and a journal of its own, and the line is one."""

from __future__ import annotations

import pytest

from common.config.models import Device, Rpc
from common.core.events import Drain
from common.stream.events import Append, ForMember, JournalFailed, OfMember, SetLineState
from common.stream.keeping.outage import RETRY_S
from common.stream.keeping.upkeep import TRIM_S
from common.wire import codec
from common.wire.messages import Entry, Register, Request, StreamReport
from services.port_reader.core.events import PortLost
from tests.support.fake_journal import FakeJournal
from tests.support.port_reader_rig import SECTION, Rig, frames_of

SCALE = Device(name="scale", type="weigher", rpcs=(Rpc(method="tare", template="S TARE\n", with_response=True),))
METER = Device(name="meter", type="counter", rpcs=(Rpc(method="read", template="M READ\n", with_response=True),))


def whose(frame: bytes) -> int:
    """A frame begins with the letter of its device."""
    return int(frame.startswith(b"M"))


@pytest.fixture
def rig() -> Rig:
    rig = Rig(SCALE, more=[METER], owner=whose)
    rig.beat()
    return rig


def sent(rig: Rig, device: str, kind: Entry = Entry.FRAMES) -> list[bytes]:
    """What was sent of one device, in order."""
    batches = [batch for batch in rig.batches if batch.device == device and batch.kind == kind]
    return [frame for batch in batches for frame in frames_of(batch)]


def stored(journal: FakeJournal) -> list[bytes]:
    return [frame for block in journal.rows.values() if block.kind == Entry.FRAMES for frame in frames_of(block)]


def ask(rig: Rig, device: str, call_id: str, method: str) -> None:
    """A call from the platform to one of the devices."""
    body = codec.pack({"method": method, "params": b""})
    request = Request(call_id, "publisher:0", "port_reader:scale", "encode", device, SECTION, 10.0, body)
    rig.give_call(request)


def test_each_frame_goes_to_the_journal_and_the_stream_of_whom_it_belongs_to(rig):
    """In one read, and in the order of each device."""
    rig.read(b"S 1\nM 1\nM 2\nS 2\n")
    assert (stored(rig.journals[0]), stored(rig.journals[1])) == ([b"S 1\n", b"S 2\n"], [b"M 1\n", b"M 2\n"])
    assert (sent(rig, "scale"), sent(rig, "meter")) == ([b"S 1\n", b"S 2\n"], [b"M 1\n", b"M 2\n"])
    assert {batch.journal for batch in rig.batches if batch.device == "meter"} == {"j meter"}


def test_numbers_count_for_each_device(rig):
    """The entry of the opening is each one's first."""
    rig.read(b"S 1\nM 1\nM 2\nS 2\n")
    numbers = {one: [b.first for b in rig.batches if b.device == one] for one in ("scale", "meter")}
    assert numbers == {"scale": [1, 2], "meter": [1, 2]}


def test_the_opening_and_the_loss_of_the_port_are_entries_of_both(rig):
    """Each device is announced, and later said to be gone, under its own type."""
    rig.give(PortLost("EIO", rig.wall_ms))
    assert (sent(rig, "scale", Entry.OPENED), sent(rig, "meter", Entry.OPENED)) == ([b"weigher"], [b"counter"])
    assert (sent(rig, "scale", Entry.LOST), sent(rig, "meter", Entry.LOST)) == ([b"EIO"], [b"EIO"])


def test_a_report_settles_its_own_stream_and_no_other(rig):
    """The meter's frames leave its journal, the scale's stay."""
    rig.read(b"S 1\nM 1\n")
    rig.give_report(StreamReport("j meter", 1, "e1", 3, 3, 1 << 20, [], []))
    rig.wait(TRIM_S)
    assert (stored(rig.journals[0]), stored(rig.journals[1])) == ([b"S 1\n"], [])


def test_a_journal_that_fails_holds_up_its_own_device_only(rig):
    """The other is written; both are sent."""
    rig.journals[1].is_full = True
    rig.read(b"S 1\nM 1\n")
    assert (stored(rig.journals[0]), stored(rig.journals[1])) == ([b"S 1\n"], [])
    assert (sent(rig, "scale"), sent(rig, "meter")) == ([b"S 1\n"], [b"M 1\n"])
    rig.journals[1].is_full = False
    rig.wait(2 * RETRY_S)
    assert stored(rig.journals[1]) == [b"M 1\n"]


def test_what_concerns_the_second_journal_says_so(rig):
    """The shell finds the right one by it, and the core the right stream."""
    rig.performed.clear()
    rig.read(b"M 1\n")
    orders = [effect for effect in rig.performed if isinstance(effect, ForMember)]
    assert [(order.member, type(order.effect)) for order in orders] == [(1, Append)]
    assert not any(isinstance(effect, Append) for effect in rig.performed)
    rig.give(OfMember(1, JournalFailed("disk full", [])))
    assert [note.facts["device"] for note in rig.notes if note.event == "journal.failed"] == ["meter"]


def test_an_answer_belongs_to_the_device_that_was_asked(rig):
    """Whatever it looks like: the call knows."""
    ask(rig, "meter", "c1", "read")
    assert rig.written == [b"M READ\n"]
    rig.read(b"42\n")
    assert rig.ended("c1") == "ok"
    assert (sent(rig, "meter", Entry.ANSWER), sent(rig, "scale", Entry.ANSWER)) == ([b"42\n"], [])


def test_calls_to_both_go_one_at_a_time(rig):
    """There is one line."""
    ask(rig, "scale", "c1", "tare")
    ask(rig, "meter", "c2", "read")
    assert rig.written == [b"S TARE\n"]
    rig.read(b"S ok\n")
    assert rig.written == [b"S TARE\n", b"M READ\n"]
    rig.read(b"M 7\n")
    assert (rig.ended("c1"), rig.ended("c2")) == ("ok", "ok")


def test_what_is_remembered_of_the_line_stands_in_the_first_journal(rig):
    """Also where only the second device has spoken: a process that comes after a death in mid-frame must know."""
    rig.read(b"M 1\nM 2 begi")
    assert rig.journals[0].line_state[0] == 1
    assert rig.journals[1].line_state == b""
    assert any(isinstance(effect, SetLineState) for effect in rig.performed)
    again = Rig(SCALE, rig.journals[0], more=[METER], owner=whose)
    again.read(b"ns here\nM 3\n", 5.0)
    assert stored(again.journals[1]) == [b"M 3\n"]


def test_the_end_waits_for_both(rig):
    """One that is settled does not let the other down."""
    rig.beat()
    rig.read(b"S 1\nM 1\n")
    rig.give(Drain())
    scale, meter = (stream.uplink.stream for stream in rig.core._source.streams)
    rig.give_report(StreamReport(scale.journal, 1, "e1", scale.next_number, scale.next_number, 1 << 20, [], []))
    assert rig.exit is None
    rig.give_report(StreamReport(meter.journal, 1, "e1", meter.next_number, meter.next_number, 1 << 20, [], []))
    assert rig.exit == 0


def test_each_device_is_a_process_of_its_own_to_others(rig):
    """It registers and beats under its own name, with its own section, journal and backlog; what the process counts is
    in the first one's beat alone, so that nobody adds it up twice."""
    rig.read(b"S 1\nM 1\nM 2\n")
    said = [effect.message for effect in rig.performed if isinstance(getattr(effect, "message", None), Register)]
    assert {message.name for message in said} == {"d", "meter"}
    rig.wait(1.5)
    beats = {beat.name: beat for beat in rig.beats}
    assert [(beat.state["device"], beat.state["backlog"]) for beat in beats.values()] == [("scale", 2), ("meter", 3)]
    assert {name: beat.state["journal"] for name, beat in beats.items()} == {"d": "j", "meter": "j meter"}
    assert (beats["d"].counters["frames_read"], beats["meter"].counters["frames_read"]) == (3, 0)
    assert rig.count("frames_read") == 3


def test_the_line_rests_by_what_all_its_devices_have_under_way(rig):
    """One that says more than the platform takes holds the line that it shares."""
    rig.read(b"M 1\n" * 40)
    progress = rig.core._source.progress
    assert (progress.backlog, progress.waits) == (42, False)
    assert progress.read == sum(stream.uplink.stream.next_number for stream in rig.core._source.streams)
