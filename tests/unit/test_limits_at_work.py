"""A journal that is to keep more or less than before, while its process is at work."""

from __future__ import annotations

import pytest

from tests.support.asked_rig import AskedRig, ask, asked
from tests.support.port_reader_rig import Rig


def take(rig: Rig, **fields: object) -> str | None:
    rig.call("take_limits", {"max_records": 1_000, "max_bytes": 10**9, "ttl_s": 0.0, **fields}, "limits")
    return rig.ended("limits")


def test_fewer_entries_are_kept_from_that_moment_on() -> None:
    """The oldest go at once, and count as dropped under a limit; the rest is there, and the line is not touched."""
    rig = Rig()
    rig.say(b"1", b"2", b"3", b"4", b"5")
    before = rig.uplink.backlog
    rig.performed.clear()
    assert take(rig, max_records=2) == "ok"
    assert rig.uplink.backlog == 2
    assert rig.core.counters["frames_shed"] == before - 2
    assert [note.event for note in rig.notes if note.event.startswith(("journal.", "limits."))] == [
        "limits.taken",
        "journal.full",
    ]
    rig.say(b"6", b"7", b"8")
    assert rig.uplink.backlog == 2
    assert rig.core._state(rig.now_s).most_backlog == 2


def test_more_are_kept_from_that_moment_on() -> None:
    """And nothing goes; so with bytes."""
    rig = Rig()
    assert take(rig, max_records=2) == "ok"
    rig.say(b"1", b"2", b"3")
    assert take(rig) == "ok"
    rig.say(b"4", b"5", b"6")
    assert rig.uplink.backlog == 5
    size = rig.uplink.backlog_bytes
    assert take(rig, max_bytes=size - 1) == "ok"
    assert rig.uplink.backlog_bytes < size


def test_what_is_too_old_goes_where_an_age_is_set() -> None:
    """At once, though nothing comes."""
    rig = Rig()
    rig.say(b"1", b"2")
    rig.wait(400)
    assert rig.uplink.backlog
    assert take(rig, ttl_s=300.0) == "ok"
    assert rig.uplink.backlog == 0


def test_every_device_of_a_line_keeps_so_much() -> None:
    """Each has a journal of its own."""
    rig = AskedRig(asked("d", ask("v", b"?v\n")), lambda _: [], [asked("e", ask("v", b"?v\n"))])
    assert take(rig, max_records=7) == "ok"
    assert [stream.uplink.limits.max_records for stream in rig.core._source.streams] == [7, 7]


@pytest.mark.parametrize("fields", [{"max_records": 0}, {"max_bytes": -1}, {"ttl_s": -1.0}, {"max_records": "5"}])
def test_what_is_no_limit_is_refused(fields: dict[str, object]) -> None:
    """A journal that kept nothing would lose all."""
    rig = Rig()
    limits = rig.uplink.limits
    assert "malformed" in str(take(rig, **fields))
    assert rig.uplink.limits == limits
