"""What heartbeats say for a keeper: ages, durations, kinds, ends. None of it costs a frame anything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from common.config.models import Device, Framing
from common.core.dead_kinds import KINDS, kind_of_entry
from common.core.durations import BOUNDS_S, Durations
from common.stream.limits import Limits
from common.wire import calls
from common.wire.call_ends import ENDS, end_of
from common.wire.messages import Entry
from common.wire.states import PortReaderState, PublisherState, state_of
from services.port_reader.core.dead_pieces import kind_of_piece
from services.port_reader.core.events import OpenFailed, PortLost
from services.publisher.core.tallies import MOST_CODES, CallTally, PublishTally
from tests.support.port_reader_rig import Rig
from tests.support.publisher_driving import Driver, batch, points

PAGE = Path(__file__).parents[2] / "docs" / "dead-letters.md"


def said(rig: Rig) -> PortReaderState:
    """The newest heartbeat."""
    found = state_of(rig.beats[-1], PortReaderState)
    assert found is not None
    return found


def publisher_said(driver: Driver) -> PublisherState:
    """What the publisher's heartbeat says within a second."""
    beats = [
        effect.message for effect in driver.wait(1.1) if type(getattr(effect, "message", 0)).__name__ == "Heartbeat"
    ]
    found = state_of(beats[-1], PublisherState)
    assert found is not None
    return found


def test_durations_stand_at_the_bound_that_they_do_not_pass() -> None:
    """What takes exactly a bound is within it, as in Prometheus; what is negative took no time."""
    durations = Durations()
    for took_s, count in ((0.005, 2), (0.0051, 1), (600.0, 3), (601.0, 4), (-5.0, 1)):
        durations.add(took_s, count)
    *counts, sum_s = durations.said
    assert len(counts) == len(BOUNDS_S) + 1
    assert (counts[0], counts[1], counts[-2], counts[-1]) == (3, 1, 3, 4)
    assert sum_s == pytest.approx(2 * 0.005 + 0.0051 + 1800 + 2404, abs=0.001)


def test_a_port_that_opens_or_is_lost_beats_at_once() -> None:
    """Whoever looks sees an unplug as soon as it is there, and each member of the line's devices says it."""
    rig = Rig(more=[Device(name="second")])
    opened = len(rig.beats)
    assert said(rig).connected
    rig.wait(0.3)
    rig.opens = False
    rig.give(PortLost("EIO", rig.wall_ms))
    told = [state_of(beat, PortReaderState) for beat in rig.beats[opened:]][-2:]
    assert [(state.device, state.connected, state.fault) for state in told if state] == [
        ("d", False, "EIO"),
        ("second", False, "EIO"),
    ]
    beats = len(rig.beats)
    rig.wait(0.5, heartbeats=False)
    rig.give(OpenFailed("no such port"))
    assert said(rig).fault == "no such port"
    count = len(rig.beats)
    assert count > beats
    rig.wait(0.4, heartbeats=False)
    rig.give(OpenFailed("no such port"))
    assert len(rig.beats) <= count + 2, "what was told already waits for the next beat"


def test_the_oldest_waiting_entry_has_an_age() -> None:
    """From the moment it was numbered, in flight or not, until the platform has accepted it."""
    rig = Rig()
    rig.wait(1)
    rig.report(2)
    rig.wait(1.1)
    assert said(rig).oldest_s is None
    rig.say(b"one")
    rig.wait(5)
    rig.say(b"two")
    rig.wait(3)
    assert said(rig).oldest_s == pytest.approx(8, abs=1.3)
    rig.report(3)
    rig.wait(1.1)
    assert said(rig).oldest_s == pytest.approx(4, abs=1.3)
    rig.report(4)
    rig.wait(1.1)
    assert said(rig).oldest_s is None


def test_the_oldest_entry_has_its_age_while_no_publisher_is_there() -> None:
    """It waits in memory, or in the journal alone."""
    rig = Rig()
    rig.say(b"one")
    rig.wait(120, heartbeats=False)
    assert said(rig).oldest_s == pytest.approx(120, abs=15)


def test_how_long_entries_take_is_counted_by_the_block_that_is_accepted() -> None:
    """Three frames in one read that are accepted after two seconds; the port's opening took its own time."""
    rig = Rig()
    rig.wait(1)
    rig.report(2)
    rig.wait(1.1)
    before = said(rig).delivered
    rig.say(b"one", b"two", b"three")
    rig.wait(2)
    rig.report(5)
    rig.wait(1.1)
    added = [after - then for after, then in zip(said(rig).delivered, before, strict=True)]
    assert added[BOUNDS_S.index(2.5)] == 3
    assert sum(added[:-1]) == 3
    assert added[-1] == pytest.approx(6, abs=0.5)


def test_what_was_dropped_for_its_age_was_not_accepted() -> None:
    """It is in no histogram."""
    rig = Rig(limits=Limits(ttl_s=30.0))
    rig.wait(1)
    rig.report(2)
    rig.say(b"one")
    rig.wait(200)
    assert rig.count("frames_shed") == 1
    assert sum(said(rig).delivered[:-1]) == 1, "the port's opening alone"


def test_the_limits_of_the_journal_are_told() -> None:
    """Beside what it holds."""
    rig = Rig(limits=Limits(max_records=7, max_bytes=8_000))
    rig.wait(1.1)
    assert (said(rig).most_backlog, said(rig).most_backlog_bytes) == (7, 8_000)


def test_dead_letters_are_counted_by_their_kind() -> None:
    """Pieces of the line by the framer's reason, entries by the publisher's."""
    rig = Rig(Device(name="d", framing=Framing(max_frame_bytes=8)))
    rig.wait(1)
    rig.report(2)
    rig.say(b"good", b"much too long to be a frame")
    rig.say(b"bad")
    rig.report(4, dead=[(2, "n: found 'good', expected a number"), (3, "refused by the platform with reason code 153")])
    rig.wait(1.1)
    found = said(rig).dead
    assert found.pop("too_long") == rig.count("dead_letters") - 2
    assert found == {"conversion": 1, "refused": 1}


def test_every_reason_of_the_page_has_a_kind() -> None:
    """The table in docs/dead-letters.md; what is a data point's or a user's has no word of its own."""
    rows = re.findall(r"^\| (`.*`) \| .* \| (yes|no|the first) \|$", PAGE.read_text(), re.M)
    assert len(rows) > 5
    kinds = set()
    for cell, numbered in rows:
        for reason in re.findall(r"`([^`]+)`", cell):
            text = reason.replace("…", "5")
            kind = kind_of_piece(text) if numbered == "no" else kind_of_entry(text, is_users=False)
            assert kind != "other", reason
            kinds.add(kind)
    assert kinds >= {"conversion", "killed_converters", "refused", "too_large", "damaged", "too_long", "joined"}


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("no delimiter within 65536 bytes", "too_long"),
        ("no silence within 256 bytes", "too_long"),
        ("no end of a frame within 256 bytes", "too_long"),
        ("no delimiter within 30 s", "incomplete"),
        ("no end of a frame in time", "incomplete"),
        ("silence after 3 of 8 bytes", "incomplete"),
        ("port lost in mid-frame", "incomplete"),
        ("started listening in the middle of a frame", "joined"),
        ("no frame in these bytes", "no_frame"),
        ("checksum: the frame says 3D, its bytes give 3F", "checksum"),
        ("DB 41 is no escape that is known", "checksum"),
        ("an escape DB stands last", "checksum"),
        ("these bytes are no COBS", "checksum"),
        ("an answer of unit 3 while nothing was asked", "stray"),
        ("nobody could read the line for too long", "missing_bytes"),
        ("the driver lost bytes of the line", "missing_bytes"),
        ("the machine was suspended", "missing_bytes"),
        ("bytes are missing since the last silence", "missing_bytes"),
        ("something of a newer version", "other"),
    ],
)
def test_pieces_of_the_line_have_a_kind(reason: str, kind: str) -> None:
    """By what the framers say of them."""
    assert kind_of_piece(reason) == kind
    assert kind in KINDS


def test_what_users_code_refuses_is_theirs() -> None:
    """And what the platform refuses is not, whoever has converted it."""
    assert kind_of_entry("Own: file, line 3: ValueError x", is_users=True) == "users_code"
    assert kind_of_entry("larger than the platform's limit: n", is_users=True) == "too_large"
    assert kind_of_entry("a converter died 3 times in this frame alone", is_users=True) == "killed_converters"


@pytest.mark.parametrize(
    ("error", "end"),
    [
        ("", "ok"),
        (calls.unknown_device("a"), "unknown_device"),
        (calls.unknown_device("connector:Own"), "unknown_device"),
        (calls.named_error(calls.unknown_device("a"), "b", "a"), "unknown_device"),
        (calls.not_connected("a"), "not_connected"),
        (calls.not_connected("connector:Own"), "not_connected"),
        (calls.named_error(calls.not_connected("a"), "b", "a"), "not_connected"),
        (calls.named_error(calls.not_connected("connector:Own"), "b", "connector:Own"), "not_connected"),
        (calls.METHOD_NOT_FOUND, "unknown_method"),
        (calls.unknown_verb("dance"), "unknown_method"),
        (calls.NO_DATA, "bad_params"),
        ("params can't be converted: n: found null, expected a value", "bad_params"),
        (calls.write_failed("EIO"), "write_failed"),
        (calls.no_answer(3, calls.RESPONSE_TIME), "no_answer"),
        ("Request timeout", "no_answer"),
        (calls.not_written(3), "expired"),
        (calls.EXPIRED, "expired"),
        (calls.QUEUE_FULL, "queue_full"),
        (calls.SHUTTING_DOWN, "stopping"),
        (calls.NO_CONVERTER, "other"),
        ("ILLEGAL FUNCTION", "other"),
    ],
)
def test_calls_have_an_end(error: str, end: str) -> None:
    """By the texts that our processes end them with; a device's own refusal is none of these."""
    assert end_of(error) == end
    assert end in ENDS


def test_codes_are_few_whatever_a_platform_says() -> None:
    """The thirteenth is `other`, and no code changes its name."""
    tally = PublishTally()
    for code in [*range(128, 150), 128, 149]:
        tally.refused(code)
    assert len(tally.codes) == MOST_CODES + 1
    assert (tally.codes["128"], tally.codes["other"]) == (2, 11)


def test_calls_that_never_began_took_no_time() -> None:
    """They are counted by their end alone."""
    tally = CallTally()
    tally.ended("expired while waiting")
    tally.ended("", 0.2)
    assert tally.ends == {"expired": 1, "ok": 1}
    assert sum(tally.durations.said[:-1]) == 1


def announced() -> Driver:
    """A publisher whose platform knows the device."""
    driver = Driver()
    driver.up(limits={})
    driver.take(batch(1, [None], kind=Entry.OPENED, device_type="press"))
    driver.ack_all()
    return driver


def test_the_publisher_says_how_long_pubacks_take_and_who_was_refused() -> None:
    """By code; a refusal has taken its time, too."""
    driver = announced()
    before = publisher_said(driver).published
    driver.take(batch(2, points(2, 3)))
    driver.now_s += 0.2
    driver.ack(driver.unacked[0], code=151)
    found = publisher_said(driver)
    added = [after - then for after, then in zip(found.published, before, strict=True)]
    assert added[BOUNDS_S.index(0.25)] == 1
    assert found.refused_codes == {"151": 1}
    assert found.interval_s == 0


def test_the_publisher_says_how_calls_end() -> None:
    """An RPC that nobody answers in time, as the platform hears it."""
    driver = announced()
    call: dict[str, Any] = {"device": "press1", "data": {"id": 7, "method": "get", "params": {}}}
    driver.say("v1/gateway/rpc", call)
    assert publisher_said(driver).calls_ended == {}
    driver.wait(60)
    found = publisher_said(driver)
    assert found.calls_ended == {"no_answer": 1}
    assert sum(found.called[:-1]) == 1
