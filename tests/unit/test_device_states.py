"""How each device is: the word, the reason, and what the log says of it."""

from __future__ import annotations

from typing import Any

import pytest

from common.core.events import Note
from common.wire.messages import Heartbeat
from common.wire.states import PortReaderState, PublisherState, YieldSeen
from services.monitor.core.gateway.devices import (
    SILENT_S,
    DeviceState,
    Platform,
    Reader,
    state_of_device,
    state_of_hosted_device,
)
from services.monitor.core.gateway.table import Table
from services.monitor.core.news import STANDS_S, DeviceNews


def state(
    *,
    liveness: Any = "alive",
    is_known: bool = True,
    age_s: float = 0.0,
    is_losing: bool = False,
    pause_s: float = 0.0,
    link: str = "up",
    is_alive: bool = True,
    link_fault: str = "",
    seen: YieldSeen | None = None,
    refused: str = "",
    left_out: str = "",
    unaccepted_s: float = 0.0,
    **reader: Any,
) -> DeviceState:
    """The state of a device that talks and is well, but for what is given."""
    said = PortReaderState(
        **{"connected": True, "since_s": 500.0, "byte_s": 1.0, "frame_s": 1.0, "port": "p", **reader}
    )
    publisher = PublisherState(
        link=link,
        fault=link_fault,
        yields={"d": seen} if seen else {},
        refused={"d": refused} if refused else {},
        left_out={"d": left_out} if left_out else {},
        unaccepted_s=unaccepted_s,
    )
    return state_of_device(
        Reader(liveness, is_known, said, age_s, is_losing, 5, pause_s), Platform(is_alive, publisher), "d"
    )


@pytest.mark.parametrize(
    ("given", "word", "said"),
    [
        ({}, "receiving", ""),
        ({"is_known": False}, "unknown", "yet"),
        ({"liveness": "lost"}, "not_running", "does not run"),
        ({"connected": False, "fault": "no such port"}, "port_closed", "p: no such port"),
        ({"connected": False}, "port_closed", "p: it is being opened"),
        ({"is_losing": True, "connected": False, "backlog": 7}, "losing_data", "more comes than"),
        ({"is_losing": True, "backlog": 7}, "losing_data", "5 frames were dropped since its start, 7 wait"),
        ({"is_losing": True, "link": "down", "link_fault": "it is away"}, "losing_data", "not reached (it is away)"),
        ({"is_losing": True, "journal_writable": False}, "losing_data", "its journal can't be written"),
        ({"frame_s": None}, "receiving", "no frame has ended yet"),
        ({"unframed": "awaits x"}, "no_frame_end", "awaits x"),
        ({"unframed": "awaits x", "connected": False, "unanswered": "x"}, "no_frame_end", "awaits x"),
        ({"unanswered": "asked, no answer: x", "byte_s": None}, "no_answer", "asked, no answer: x"),
        ({"unanswered": "x", "connected": False, "fault": "no answer to x", "probe_s": 9.0}, "no_answer", "in 9 s"),
        ({"unanswered": "x", "connected": False, "probe_s": 3.0, "age_s": 5.0}, "no_answer", "again in 0 s"),
        ({"unanswered": "x", "answers_some": True}, "some_values_missing", "x"),
        ({"unready": "x", "connected": False, "fault": "init: no x"}, "not_ready", "p: x"),
        ({"unready": "x", "connected": True}, "some_values_missing", "x"),
        ({"late_answers": "x"}, "late_answers", "x"),
        ({"late_answers": "x", "asked_hz": 1.0, "wanted_hz": 2.0}, "late_answers", "x; asked 1/s of 2/s wanted"),
        ({"late_answers": "x", "unanswered": "y"}, "no_answer", "y"),
        (
            {"asked_hz": 8.3, "wanted_hz": 10.0},
            "receiving",
            "asked 8.3/s of 10/s wanted: the line has no time for more",
        ),
        ({"asked_hz": 0.05, "wanted_hz": 0.1}, "receiving", "asked 3/min of 6/min wanted"),
        ({"asked_hz": 9.8, "wanted_hz": 10.0}, "receiving", ""),
        ({"damaged": "9 of the last 90"}, "damaged_frames", "9 of the last 90"),
        ({"damaged": "9 of 90", "seen": YieldSeen(errors=3, error="h", error_s=5.0)}, "damaged_frames", "9 of 90"),
        ({"damaged": "9 of the last 90", "seen": YieldSeen(barren=5)}, "no_values", "5 frames in a row"),
        ({"unframed": "awaits x", "line_errors": "framing"}, "no_frame_end", "awaits x; framing"),
        ({"frame_s": None, "line_errors": "framing"}, "receiving", "no frame has ended yet; framing"),
        ({"line_errors": "framing"}, "receiving", "framing"),
        ({"line_errors": "framing", "seen": YieldSeen(barren=5)}, "no_values", "gave no value; framing"),
        ({"seen": YieldSeen(barren=5, error="t: found 'x'", errors=5)}, "no_values", "5 frames in a row"),
        ({"seen": YieldSeen(barren=5, absent=["t", "h"])}, "no_values", "the data points t, h;"),
        ({"seen": YieldSeen(barren=9, value_s=30.0)}, "no_values", "9 frames"),
        ({"seen": YieldSeen(barren=9, value_s=3.0)}, "receiving", ""),
        ({"seen": YieldSeen(barren=4)}, "receiving", ""),
        ({"seen": YieldSeen(barren=60, value_s=70.0, pause_s=60.0)}, "receiving", ""),
        ({"seen": YieldSeen(barren=60, value_s=200.0, pause_s=60.0)}, "no_values", "60 frames"),
        ({"seen": YieldSeen(errors=3, error="h: found", error_s=5.0)}, "some_values_missing", "h: found"),
        ({"seen": YieldSeen(errors=3, error="h: found", error_s=500.0)}, "receiving", ""),
        ({"seen": YieldSeen(absent=["h"])}, "some_values_missing", "the data point h;"),
        ({"refused": "quota"}, "not_accepted", "quota"),
        ({"left_out": "Lines"}, "left_out", 'denies it for the connector "Lines"'),
        ({"left_out": "Lines", "seen": YieldSeen(barren=5)}, "left_out", "readings_filtered"),
        ({"left_out": "Lines", "connected": False}, "port_closed", "p: it is being opened"),
        ({"link": "down", "link_fault": "Not authorized", "backlog": 1}, "not_accepted", "not reached: Not authorized"),
        ({"link": "down"}, "receiving", ""),
        ({"is_alive": False, "backlog": 1}, "not_accepted", "the publisher does not run"),
        ({"unaccepted_s": 11.0, "backlog": 1}, "not_accepted", "has accepted nothing for 11 s"),
        ({"unaccepted_s": 21.0, "backlog": 1, "link_fault": "no gateway"}, "not_accepted", "no gateway"),
        ({"held": True, "backlog": 4}, "slowed_down", "4 frames wait"),
        ({"byte_s": None, "since_s": 3.0}, "idle", "nothing has come yet"),
        ({"byte_s": None}, "silent", "is the device on"),
        ({"byte_s": 600.0}, "silent", "is the device on"),
        ({"byte_s": SILENT_S + 1}, "silent", "has stopped talking"),
        ({"byte_s": SILENT_S - 5, "age_s": 9.0}, "silent", "has stopped talking"),
        ({"byte_s": 290.0, "pause_s": 300.0}, "receiving", ""),
        ({"byte_s": 290.0, "pause_s": 60.0}, "silent", "has stopped talking"),
    ],
)
def test_the_first_thing_that_is_wrong_on_the_way_is_the_state(given: dict[str, Any], word: str, said: str) -> None:
    """Process, port, bytes, frames, values, platform; and a healthy device says why it is quiet."""
    found = state(**given)
    assert (found.word, said in found.reason) == (word, True), found


def test_silence_is_measured_by_the_device_itself() -> None:
    """One that speaks every five minutes is not silent after one, once it has done so."""
    table = Table(["d"])

    def hear(at_s: float, byte_s: float | None) -> str:
        said = {"connected": True, "since_s": at_s, "byte_s": byte_s}
        table.hear(Heartbeat("port_reader", "d", "i", 1, "h", at_s, said, {}), 1000.0 + at_s)
        return table.devices()[0].state.word

    assert hear(1.0, 0.5) == "receiving"
    assert hear(100.0, 99.5) == "silent"
    assert hear(301.0, 0.5) == "receiving"
    assert hear(500.0, 199.5) == "receiving"


def test_a_closed_port_is_no_pause_of_the_device() -> None:
    """Ten hours without an adapter teach nothing about the device."""
    table = Table(["d"])

    def hear(at_s: float, byte_s: float, since_s: float, connected: bool = True) -> str:
        said = {"connected": connected, "since_s": since_s, "byte_s": byte_s}
        table.hear(Heartbeat("port_reader", "d", "i", 1, "h", at_s, said, {}), 1000.0 + at_s)
        return table.devices()[0].state.word

    assert hear(10.0, 0.5, 9.0) == "receiving"
    assert hear(36_000.0, 35_990.5, 35_980.0, connected=False) == "port_closed"
    assert hear(36_010.0, 0.5, 5.0) == "receiving"
    assert hear(36_100.0, 90.5, 95.0) == "silent"


def test_a_heartbeat_that_is_too_large_keeps_what_matters() -> None:
    """The link and its fault are not lost with the rest."""
    table = Table([])
    state = {"link": "down", "fault": "why", "yields": {str(number): {"error": "x" * 99} for number in range(9999)}}
    table.hear(Heartbeat("publisher", "0", "i", 1, "h", 1.0, state, {}), 1000.0)
    assert table.show()["link"] == {"epoch": "", "state": "down", "fault": "why"}


def test_frames_that_are_dropped_are_told_for_a_minute() -> None:
    """The counters say it; those of another process count from 0."""
    table = Table(["d"])
    said = {"connected": True, "since_s": 9.0, "byte_s": 0.1}

    def hear(at_s: float, dropped: int, instance: str = "i") -> str:
        table.hear(Heartbeat("port_reader", "d", instance, 1, "h", at_s, said, {"frames_shed": dropped}), 1000.0 + at_s)
        return table.devices()[0].state.word

    words = [hear(1.0, 5), hear(2.0, 5), hear(3.0, 6), hear(60.0, 6), hear(64.0, 6), hear(65.0, 9, "later")]
    assert words == ["receiving", "receiving", "losing_data", "losing_data", "receiving", "receiving"]


def test_a_state_is_logged_once_when_it_stands() -> None:
    """And its end; what is over at once, or is the platform's, is no line."""
    news = DeviceNews()
    closed, fine = DeviceState("port_closed", "no such port"), DeviceState("receiving", "")
    down = DeviceState("not_accepted", "the platform is not reached", is_own=False)

    def tell(told: DeviceState, for_s: float = STANDS_S) -> list[tuple[str, Any]]:
        return [(note.level, note.facts["state"]) for note in news.tell([("d", told, for_s)]) if isinstance(note, Note)]

    assert tell(fine) == []
    assert tell(closed, STANDS_S / 2) == []
    assert tell(closed) == [("warning", "port closed")]
    assert tell(closed, 99.0) == []
    assert tell(down) == []
    assert tell(fine) == [("info", "receiving")]
    assert tell(fine) == []
    assert tell(DeviceState("silent", "…")) == [("info", "silent")]
    assert tell(DeviceState("some_values_missing", "…")) == [("warning", "some values missing")]


def test_a_hosted_device_is_left_out_while_its_connector_is_well() -> None:
    """A connector that fails is what a person has to hear of first."""
    platform = Platform(True, PublisherState(link="up", left_out={"valve": "Demo"}))
    well, failed = DeviceState("receiving", ""), DeviceState("connector_failed", "it raised")
    assert state_of_hosted_device(well, platform, "valve", "connector:Demo").word == "left_out"
    assert state_of_hosted_device(well, platform, "pump", "connector:Demo").word == "receiving"
    assert state_of_hosted_device(failed, platform, "valve", "connector:Demo").word == "connector_failed"
