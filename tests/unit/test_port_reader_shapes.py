"""A line whose frames have shapes: what time, gaps, deaths and calls do to it."""

from __future__ import annotations

import pytest

from common.config.models import Device, Line, Rpc
from common.wire import codec
from common.wire.messages import Entry
from services.port_reader.core.events import LineGap, PortLost
from services.port_reader.core.framers.shape import NO_FRAME
from services.port_reader.core.incoming.joining import JOINED
from tests.support.framing import FRAMINGS, framing_of
from tests.support.port_reader_rig import Rig, frames_of, stamps_of

GOOD = bytes.fromhex("AAC00600060058D93DAB")
COUNTED = {"framing": {"start": "S", "length": {"at": 1, "plus": 2}}, "checksum": {"type": "xor8"}}
SMALL = b"S\x02a\x30"


def rig_of(section, rpcs=(), **options) -> Rig:
    device = Device(name="d", type="t", framing=framing_of(section), line=Line(baudrate=9600), rpcs=rpcs)
    return Rig(device, **options)


def reasons(rig: Rig) -> list[tuple[str, bytes]]:
    return [(letter.reason, letter.data) for letter in rig.journal.dead]


def test_frames_are_journaled_and_sent():
    """Each read's frames in one append; what is wrong is a dead letter with its reason."""
    rig = rig_of(FRAMINGS["sds011"])
    rig.beat()
    rig.read(GOOD + GOOD[:-3] + b"\xd9\x3e\xab" + GOOD)
    assert rig.sent() == [GOOD, GOOD]
    assert reasons(rig) == [("checksum: the frame says 3E, its bytes give 3D", GOOD[:-3] + b"\xd9\x3e\xab")]
    assert rig.count("dead_letters") == 1


def test_a_frame_in_pieces_has_the_time_of_its_last_byte():
    """As every frame."""
    rig = rig_of(FRAMINGS["sds011"])
    rig.beat()
    rig.read(GOOD[:4])
    rig.read(GOOD[4:], after_s=0.2)
    assert rig.sent() == [GOOD]
    assert stamps_of(rig.batches[-1]) == [rig.wall_ms]


def test_silence_in_a_false_start_gives_what_it_hid():
    """A start in noise takes the length of the frames behind it for its own: they come half a second later, with the
    times at which they had come."""
    rig = rig_of(COUNTED)
    rig.beat()
    rig.wait(1)
    rig.read(b"S\x30")
    rig.read(SMALL, after_s=0.1)
    first_ms = rig.wall_ms
    rig.read(SMALL, after_s=0.1)
    second_ms = rig.wall_ms
    assert rig.sent() == []
    rig.wait(0.6)
    assert rig.sent() == [SMALL, SMALL]
    assert [stamp for batch in rig.batches for stamp in stamps_of(batch) if batch.kind == Entry.FRAMES] == [
        first_ms,
        second_ms,
    ]
    assert reasons(rig) == [(NO_FRAME, b"S\x30")]


def test_more_bytes_show_what_a_false_start_hid():
    """They complete it, its checksum is wrong, and the frames in it have their own times."""
    rig = rig_of(COUNTED)
    rig.beat()
    rig.wait(1)
    rig.read(b"S\x07" + SMALL)
    first_ms = rig.wall_ms
    rig.read(SMALL, after_s=0.2)
    assert rig.sent() == [SMALL, SMALL]
    assert [stamp for batch in rig.batches for stamp in stamps_of(batch) if batch.kind == Entry.FRAMES] == [
        first_ms,
        rig.wall_ms,
    ]


def test_a_frame_that_takes_too_long_is_passed_over_though_bytes_come():
    """Three times its time on the line, and half a second: then what is there is searched again."""
    rig = rig_of(COUNTED)
    rig.beat()
    rig.wait(1)
    rig.read(b"S\xff")
    for _ in range(20):
        rig.read(SMALL, after_s=0.09)
        rig.wait(0.01)
    assert 10 <= rig.sent().count(SMALL) <= 20


def test_partial_ms_says_how_long_the_rest_may_take():
    """A device that pauses in a frame."""
    section = {**FRAMINGS["sds011"], "framing": {**FRAMINGS["sds011"]["framing"], "partialMs": 3000}}
    rig = rig_of(section)
    rig.beat()
    rig.read(GOOD[:4])
    rig.wait(2.5)
    rig.read(GOOD[4:])
    assert rig.sent() == [GOOD]
    rig.read(GOOD[:4])
    rig.wait(3.1)
    assert reasons(rig) == [(NO_FRAME, GOOD[:4])]


def test_a_line_may_pause_for_long():
    """A sketch prints a name, measures, and prints the value: half a minute is waited for the end of a line."""
    rig = rig_of({"framing": {"end": "\r\n"}})
    rig.beat()
    rig.wait(1)
    rig.read(b"T=")
    rig.wait(20)
    rig.read(b"21.4\r\n")
    assert rig.sent() == [b"T=21.4\r\n"]
    rig.read(b"T=")
    rig.wait(31)
    assert reasons(rig) == [("no end of a frame in time", b"T=")]


@pytest.mark.parametrize("section", [{"framing": {"silenceMs": 20}}, {"framing": {"silenceMs": 20, "length": 3}}])
def test_silence_ends_frames_only_where_nothing_else_does(section):
    """All between two silences, or so many bytes since one: a part of these is dead."""
    rig = rig_of(section)
    rig.beat()
    rig.wait(1)
    rig.read(b"abc")
    rig.wait(0.1)
    rig.read(b"de")
    rig.read(b"f", after_s=0.01)
    rig.wait(0.1)
    assert rig.sent() == [b"abc", b"def"]
    rig.read(b"gh")
    rig.wait(0.1)
    assert rig.sent()[2:] == ([b"gh"] if "length" not in section["framing"] else [])
    assert reasons(rig) == ([("silence after 2 of 3 bytes", b"gh")] if "length" in section["framing"] else [])


def test_who_joins_in_mid_frame_takes_no_part_for_a_whole():
    """A frame with a checksum counts at once; the first that has none may be the end of another."""
    rig = rig_of({"framing": {"start": "(", "end": "\r", "restart": False}}, journal=None)
    rig.beat()
    rig.read(b"(1\r(2\r", after_s=0)
    assert rig.sent() == [b"(2\r"]
    assert reasons(rig) == [(JOINED, b"(1\r")]
    rig = rig_of(FRAMINGS["sds011"])
    rig.beat()
    rig.read(GOOD[4:] + GOOD, after_s=0)
    assert rig.sent() == [GOOD]
    assert reasons(rig) == [(JOINED, GOOD[4:])]


def test_who_dies_in_mid_frame_leaves_no_part_for_a_whole():
    """The journal says that a frame without a checksum had begun; of one with a checksum nothing need be known."""
    section = {"framing": {"start": "(", "end": "\r", "restart": False}}
    rig = rig_of(section)
    rig.wait(1)
    rig.read(b"(1 ")
    later = rig_of(section, journal=rig.journal)
    later.beat()
    later.wait(1)
    later.read(b"(2\r(3\r")
    assert later.sent()[-1:] == [b"(3\r"]
    assert b"(2\r" not in later.sent()
    rig = rig_of(FRAMINGS["sds011"])
    rig.wait(1)
    appends = len(rig.performed)
    rig.read(GOOD[:4])
    assert "SetLineState" not in {type(effect).__name__ for effect in rig.performed[appends:]}


def test_a_gap_costs_no_frame_whose_checksum_is_right():
    """The driver has lost bytes somewhere in what is read next: what has none might be two halves."""
    for section, frame, found in (
        (FRAMINGS["sds011"], GOOD, [GOOD, GOOD]),
        ({"framing": {"start": "(", "end": "\r", "restart": False}}, b"(1\r", []),
    ):
        rig = rig_of(section)
        rig.beat()
        rig.wait(1)
        rig.give(LineGap("an overrun"))
        rig.read(frame[:2] + frame + frame)
        rig.wait(0.2)
        assert rig.sent() == found
        assert rig.count("gaps") == 1
        assert {reason for reason, _ in reasons(rig)} == {"an overrun"}


def test_what_waits_when_the_port_is_lost_is_searched():
    """Nothing that had been read is lost: a false start had hidden a frame."""
    rig = rig_of(COUNTED)
    rig.beat()
    rig.wait(1)
    rig.read(b"S\x30" + SMALL + b"S\x02")
    rig.give(PortLost("EIO", rig.wall_ms))
    assert rig.sent() == [SMALL]
    assert [data for _, data in reasons(rig)] == [b"S\x30", b"S\x02"]
    assert [frames_of(batch) for batch in rig.batches if batch.kind == Entry.LOST] == [[b"EIO"]]


def test_bytes_that_are_never_a_frame_are_told_with_what_is_awaited():
    """In the words of `check`, with what was wrong with the last that looked like one."""
    rig = rig_of(FRAMINGS["sds011"])
    rig.beat()
    for _ in range(20):
        rig.read(b"\x12\x34", after_s=1)
    rig.wait(1.5)
    said = rig.beats[-1].state["unframed"]
    assert said.startswith(
        "bytes come, and no frame is found: the configuration awaits what begins with AA C0, 10 bytes"
    )
    assert "none of the newest bytes begins a frame; newest bytes: 12 34" in said
    for _ in range(20):
        rig.read(GOOD[:-2] + b"\x3e\xab", after_s=1)
    rig.wait(1.5)
    assert (
        "of the last that looked like one, checksum: the frame says 3E, its bytes give 3D"
        in (rig.beats[-1].state["unframed"])
    )
    rig.read(GOOD)
    rig.wait(1.5)
    assert rig.beats[-1].state["unframed"] == ""


def test_wrong_checksums_fill_no_log():
    """One line a minute, however many there are and whatever they say; all are dead letters."""
    rig = rig_of(FRAMINGS["sds011"])
    rig.beat()
    for wrong in range(0x40, 0x70):
        rig.read(GOOD[:-2] + bytes((wrong,)) + b"\xab")
    assert len([note for note in rig.notes if note.event == "frame.dead"]) == 1
    assert rig.count("dead_letters") == 0x30


def test_an_answer_is_a_frame_of_its_shape():
    """A call gets the frame that comes after its write, and not one that had come before."""
    rpc = Rpc(method="get", with_response=True, response_type="string", response_from_byte=1, response_to_byte=4)
    rig = rig_of({"framing": {"start": "(", "end": "\r", "restart": True}}, rpcs=(rpc,))
    rig.beat()
    rig.wait(1)
    rig.read(b"(old")
    rig.exchange("c1", writes=[b"QPI\r"])
    rig.read(b"er\r")
    assert rig.ended("c1") is None
    rig.read(b"\r(new\r")
    assert rig.ended("c1") == "ok"
    assert [call.body for call in rig.calls if call.id == "c1"] == [codec.pack(b'{"result":"new"}')]
