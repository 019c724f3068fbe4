"""A reader that takes another section of its device while the line talks: nothing is lost, nothing is said twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.config.asking import Asking
from common.config.framing import Framing
from common.config.models import DataPoint, Device, Line, Rpc, section_of
from common.core.events import Drain, Send
from common.core.frame_shape import Checksum, Shape
from common.io.journal.sections import section_name
from common.stream.events import Bury
from common.wire.messages import Entry, Register, Reply
from services.port_reader.core.events import AdjustLine, ClosePort, OpenPort
from services.port_reader.core.swaps import MOST_SWAPS, why_not
from tests.support.asked_rig import AskedRig, ask, asked
from tests.support.port_reader_rig import SECTION, Rig, frames_of

POINT = DataPoint(key="n", type="int")
PLAIN = Device(name="d", type="t", framing=Framing(first_frame="keep"))
GET = Rpc(method="get", template="GET\n", with_response=True, response_type="int", response_from_byte=1)


def _swap(rig: Rig, device: Device, call_id: str = "swap") -> str | None:
    rig.call("take_section", {"section": section_of(device)}, call_id)
    return rig.ended(call_id)


def _sections(rig: Rig) -> list[tuple[bytes, str]]:
    """Each frame in the journal, and the section that it is to be converted under."""
    rows = [row for row in rig.journal.rows.values() if row.kind == Entry.FRAMES]
    return [(frame, row.section) for row in rows for frame in frames_of(row)]


def test_frames_from_then_on_are_of_the_new_section() -> None:
    """Those before stay what they are; the port is neither closed nor opened, and the broker hears of the section."""
    rig = Rig(PLAIN)
    new = replace(PLAIN, telemetry=(POINT,))
    rig.read(b"1\n2")
    rig.performed.clear()
    assert _swap(rig, new) == "ok"
    rig.read(b"3\n4\n")
    name = section_name(section_of(new))
    assert _sections(rig) == [(b"1\n", SECTION), (b"23\n", name), (b"4\n", name)]
    assert not [effect for effect in rig.performed if isinstance(effect, OpenPort | ClosePort | AdjustLine)]
    registers = [effect.message for effect in rig.performed if isinstance(effect, Send)]
    assert [one.detail["section"] for one in registers if isinstance(one, Register)] == [name]
    assert rig.journal.sections[name] == section_of(new)


def test_the_section_is_found_by_who_converts() -> None:
    """The new one and the one before, whose frames may still wait."""
    rig = Rig(PLAIN)
    old = section_of(replace(PLAIN, telemetry=(POINT,)))
    for device in (replace(PLAIN, telemetry=(POINT,)), replace(PLAIN, attributes=(POINT,))):
        assert _swap(rig, device, device.name + str(len(device.telemetry))) == "ok"
    for call, section in (("a", section_name(old)), ("b", rig.uplink.section)):
        rig.call("section", {"section": section}, call)
        assert rig.ended(call) == "ok"


def test_the_same_section_again_changes_nothing() -> None:
    """Who was killed in the middle of a change may say it twice."""
    rig = Rig(PLAIN)
    rig.performed.clear()
    assert _swap(rig, PLAIN) == "ok"
    assert [type(effect) for effect in rig.performed] == [Send]
    assert rig.uplink.section == SECTION


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"line": Line(port="/dev/ttyS9")}, "another port"),
        ({"line": Line(exclusive=False)}, "another exclusive"),
        ({"type": "other"}, "another device type"),
        ({"uplink_queue_size": 7}, "uplinkQueueSize"),
        ({"converter": "Mine"}, "other processes convert"),
        ({"asking": Asking()}, "asked otherwise"),
    ],
)
def test_what_needs_a_new_process_is_refused(changes: dict[str, Any], words: str) -> None:
    """With the reason, and the reader goes on as before."""
    rig = Rig(PLAIN)
    error = _swap(rig, replace(PLAIN, **changes))
    assert error is not None
    assert words in error
    rig.read(b"1\n")
    assert _sections(rig) == [(b"1\n", SECTION)]


def test_junk_and_strangers_are_refused() -> None:
    """What is no section, and a device that is another reader's."""
    rig = Rig(PLAIN)
    rig.call("take_section", {"section": b"{"}, "junk")
    rig.call("take_section", {"section": 5}, "number")
    assert "malformed request" in str(rig.ended("junk"))
    assert "malformed request" in str(rig.ended("number"))
    for number, changes in enumerate(
        (
            {"framing": Framing(delimiter=b"")},
            {"framing": Framing(max_frame_bytes=0)},
            {"framing": Framing(timeout_s=-1.0)},
            {"framing": Framing(kind="shapes")},
            {"line": Line(baudrate=0)},
        )
    ):
        assert "malformed request" in str(_swap(rig, replace(PLAIN, **changes), f"bad{number}"))
    assert "another name" in str(_swap(rig, replace(PLAIN, name="e")))
    rig.give(Drain())
    assert rig.exit == 0 or "shutting down" in str(_swap(rig, replace(PLAIN, telemetry=(POINT,)), "late"))


def test_one_process_takes_so_many() -> None:
    """Each stays in memory; then a new process is asked for."""
    rig = Rig(PLAIN)
    for count in range(MOST_SWAPS):
        assert _swap(rig, replace(PLAIN, telemetry=(replace(POINT, key=f"k{count}"),)), f"c{count}") == "ok"
    assert "taken many" in str(_swap(rig, replace(PLAIN, attributes=(POINT,)), "more"))


def test_a_speed_is_set_on_the_open_port() -> None:
    """And counts for what is opened later; what waits of a frame is kept."""
    rig = Rig(PLAIN)
    rig.read(b"1\n2")
    rig.performed.clear()
    line = replace(PLAIN.line, baudrate=19_200, parity="E")
    assert _swap(rig, replace(PLAIN, line=line)) == "ok"
    assert [effect for effect in rig.performed if isinstance(effect, AdjustLine)] == [AdjustLine(settings=line)]
    assert rig.core._port.byte_s == 11 / 19_200
    rig.read(b"3\n")
    assert [frame for frame, _ in _sections(rig)] == [b"1\n", b"23\n"]


@given(cuts=st.lists(st.integers(0, 40), max_size=6), places=st.lists(st.integers(0, 40), min_size=1, max_size=3))
def test_another_delimiter_loses_no_byte(cuts: list[int], places: list[int]) -> None:
    """Wherever the chunks are cut and the framings change: all bytes come out in order, in frames or dead letters."""
    said = b"aa;1\nbb\n22;c;\n333;dd\n;;e\n4\n5;ffff;6\n77;"
    rig = Rig(replace(PLAIN, framing=Framing(first_frame="keep", timeout_s=900.0)))
    device, read = rig.device, 0
    for number, place in enumerate(sorted([*cuts, *places, len(said)])):
        if place > read:
            rig.read(said[read:place])
            read = place
        if place in places:
            delimiter = b";" if device.framing.delimiter == b"\n" else b"\n"
            device = replace(device, framing=replace(device.framing, delimiter=delimiter))
            assert _swap(rig, device, f"s{number}") == "ok"
    rig.give(Drain())
    rig.waiting = []
    whole = b"".join(frame for frame, _ in _sections(rig)) + b"".join(letter.data for letter in rig.journal.dead)
    assert whole == said


@pytest.mark.parametrize(
    "framing",
    [Framing(delimiter=b"\r\n"), Framing(kind="shapes", shapes=(Shape(ends=(b"\r\n",)),))],
)
def test_the_rest_of_what_has_lost_its_beginning_is_no_frame(framing: Framing) -> None:
    """A frame that nobody saw begin stays dead up to its end, also where that is found by another framing."""
    rig = Rig(PLAIN)
    rig.core._port._line.interrupt("bytes may be missing")
    rig.read(b"23")
    assert _swap(rig, replace(PLAIN, framing=framing)) == "ok"
    rig.read(b"45\r\n67\r\n")
    assert [frame for frame, _ in _sections(rig)] == [b"67\r\n"]
    dead = [piece.data for effect in rig.performed if isinstance(effect, Bury) for piece in effect.dead]
    assert dead == [b"23", b"45\r\n"]


def test_checksums_that_were_wrong_are_counted_though_the_framing_has_changed() -> None:
    """Also those since the last heartbeat, and where the new framing has no checksum."""
    shape = Shape(ends=(b"\n",), checksums=(Checksum(type="sum8", at_byte=-2),))
    rig = Rig(replace(PLAIN, framing=Framing(kind="shapes", shapes=(shape,))))
    rig.read(b"abc\nabd\n")
    assert _swap(rig, PLAIN) == "ok"
    assert rig.count("checksums_wrong") == 2


def test_the_rest_of_a_run_that_was_dead_is_no_frame_by_another_framing() -> None:
    """Nobody saw its frame begin, or it was too long: it stays so up to its end, also for a reader that comes after."""
    begun = replace(PLAIN, framing=Framing())
    rig = Rig(begun)
    rig.read(b"10000", after_s=0.001)
    assert _swap(rig, replace(begun, framing=replace(begun.framing, max_frame_bytes=100))) == "ok"
    assert rig.journal.line_state[0] == 1
    rig.read(b"02493\n", after_s=0.2)
    rig.read(b"1000002527\n")
    assert [frame for frame, _ in _sections(rig)] == [b"1000002527\n"]
    assert b"".join(letter.data for letter in rig.journal.dead) == b"1000002493\n"


def test_a_line_that_sends_its_delimiter_is_still_known_to() -> None:
    """A pause in mid-frame ends no frame, though the framing was changed in it: only its bound has changed."""
    device = replace(PLAIN, framing=Framing(first_frame="keep", timeout_s=0.1))
    rig = Rig(device)
    rig.read(b"1\n2")
    assert _swap(rig, replace(device, framing=replace(device.framing, max_frame_bytes=99))) == "ok"
    rig.wait(0.4)
    rig.read(b"3\n")
    assert [frame for frame, _ in _sections(rig)] == [b"1\n", b"23\n"]


def test_a_call_that_is_on_its_way_ends_as_it_began() -> None:
    """Its answer is read by the section under which it was asked, also where the new one has no such call."""
    device = replace(PLAIN, downlink_converter="SerialDownlinkConverter", rpcs=(GET,))
    rig = Rig(device)
    rig.read(b"first\n")
    rig.call("encode", {"method": "get", "params": b""}, "c1")
    rig.call("encode", {"method": "get", "params": b""}, "c2")
    assert _swap(rig, replace(device, rpcs=())) == "ok"
    rig.read(b"A42\n")
    rig.read(b"A43\n")
    assert [rig.ended("c1"), rig.ended("c2")] == ["ok", "ok"]
    rig.call("encode", {"method": "get", "params": b""}, "c3")
    assert rig.ended("c3") == "Method not found"
    assert rig.core._port._earlier == {}


def test_each_device_of_a_bus_by_itself() -> None:
    """The section goes to the stream of the one that is named; the line of several is not changed under them."""
    other = replace(PLAIN, name="e")
    rig = Rig(PLAIN, more=[other])
    new = replace(other, telemetry=(POINT,))
    rig.give_call(_request("e", new, "swap"))
    assert rig.ended("swap") == "ok"
    sections = [stream.uplink.section for stream in rig.core._source.streams]
    assert sections == [SECTION, section_name(section_of(new))]
    rig.give_call(_request("e", replace(new, line=Line(baudrate=1200)), "line"))
    assert "of several devices" in str(rig.ended("line"))


def test_a_device_that_is_asked_is_asked_on() -> None:
    """Its turns and their answers go on, the answers under the new section; what it is asked is another matter."""
    device = replace(asked("d", ask("weight", b"SI\r\n")), framing=Framing(first_frame="keep"))
    rig = AskedRig(device, lambda _: [(0.01, b"S 1\n")])
    rig.run(1.5)
    before = len(rig.lines)
    new = replace(device, telemetry=(POINT,))
    assert _swap(rig, new) == "ok"
    rig.run(2.0)
    assert len(rig.lines) == before + 2
    sections = [section for _, section in _sections(rig)]
    assert sections == [SECTION] * before + [section_name(section_of(new))] * 2
    assert "of several devices" in str(_swap(rig, replace(new, framing=Framing(delimiter=b";")), "framing"))
    assert "of several devices" in str(_swap(rig, replace(new, line=Line(baudrate=300)), "line"))


def test_the_table_of_what_is_taken_is_symmetric() -> None:
    """Who can go one way can go back: a change that has to be taken back is."""
    framing = replace(PLAIN, framing=Framing(delimiter=b";"))
    for one in (replace(PLAIN, telemetry=(POINT,)), framing, replace(PLAIN, line=Line(baudrate=300))):
        assert why_not(PLAIN, one, [PLAIN]) == why_not(one, PLAIN, [one]) == ""


def _request(device: str, new: Device, call_id: str) -> Any:
    from common.wire import codec
    from common.wire.messages import Request

    body = codec.pack({"section": section_of(new)})
    return Request(call_id, "client:1", f"port_reader:{device}", "take_section", device, "", 5.0, body)


def test_a_reply_is_an_answer_to_its_call() -> None:
    """One each."""
    rig = Rig(PLAIN)
    _swap(rig, replace(PLAIN, telemetry=(POINT,)))
    assert [type(message) for message in rig.calls] == [Reply]
