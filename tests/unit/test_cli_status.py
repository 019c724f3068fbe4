"""What `serialgw status` makes of the monitor's answer."""

from __future__ import annotations

from typing import Any

import pytest

from common.wire.messages import Heartbeat
from services.cli.commands.status import as_text, is_well, is_young, rate, uptime
from services.monitor.core.gateway.table import Table


def table(**states: dict[str, Any]) -> dict[str, Any]:
    """The monitor's own document: a publisher and a reader that beat, and a reader that never did."""
    found = Table(["press1", "press2"] if "silent" in states else ["press1"])
    publisher = states.get("publisher", {"link": "up", "host": "tb", "port": 1883, "protocol": 5})
    found.hear(Heartbeat("publisher", "0", "i", 11, "host", 75.0, publisher, {"readings_accepted": 7}), 100.0)
    reader = states.get("reader", {"connected": True, "backlog": 3, "backlog_bytes": 300})
    found.hear(Heartbeat("port_reader", "press1", "i", 12, "host", 75.0, reader, {"frames_read": 9, "x": 1}), 100.0)
    return found.show()


def test_all_well_shows_every_process_and_the_link() -> None:
    """Kind, device, pid, state, uptime, backlog and main counters in columns."""
    document = table()
    assert is_well(document)
    devices, device, why, _, link, backlog, _, head, publisher, reader = as_text(document).splitlines()
    assert devices.split() == [
        "DEVICE",
        "STATE",
        "FOR",
        "PORT",
        "LAST",
        "FRAME",
        "RATE",
        "WAITING",
        "DEAD",
        "LETTERS",
        "ERRORS",
    ]
    assert device.split() == ["press1", "idle", "0s", "3"]
    assert why == "    the port is open, and nothing has come yet"
    assert head.split() == ["PROCESS", "DEVICE", "PID", "STATE", "UPTIME", "BACKLOG", "COUNTERS"]
    assert publisher.split() == ["publisher", "11", "alive", "1m", "15s", "readings_accepted=7"]
    assert reader.split() == ["port_reader", "press1", "12", "alive", "1m", "15s", "3", "frames_read=9"]
    assert link == "platform: up, tb:1883, MQTT 5"
    assert backlog == "waiting in journals: 3 frames, 300 bytes"


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        ({"publisher": {"epoch": "e", "link": "down"}}, "platform: down"),
        (
            {"publisher": {"link": "down", "fault": "Not authorized", "host": "tb", "port": 1}},
            "down (Not authorized), tb:1",
        ),
        ({"silent": {}}, "press2  -    lost"),
    ],
)
def test_a_lost_process_or_link_is_not_well(states: dict[str, Any], shown: str) -> None:
    """Then `status` exits with 1."""
    document = table(**states)
    assert not is_well(document)
    assert shown in as_text(document)


def test_a_monitor_that_has_just_started_is_asked_again() -> None:
    """It has not heard everyone yet; not even itself, at first."""
    found = Table(["press1"])
    assert is_young(found.show())
    for uptime_s, young in ((1.0, True), (3.0, False)):
        found.hear(Heartbeat("monitor", "0", "i", 11, "host", uptime_s, {}, {}), 100.0)
        assert is_young(found.show()) is young


def test_a_closed_port_is_shown() -> None:
    """The process is alive, its adapter is not."""
    assert "alive, port closed" in as_text(table(reader={"connected": False, "backlog": 0}))


def test_on_a_narrow_terminal_counters_go_below_their_process() -> None:
    """No line is longer than the terminal, as far as names allow it; nothing is left out."""
    lines = as_text(table(), 60).splitlines()
    assert max(map(len, lines)) <= 60
    assert "    readings_accepted=7" in lines
    assert "    frames_read=9" in lines


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59.9, "59s"), (60, "1m 0s"), (3_661, "1h 1m"), (90_000, "1d 1h")]
)
def test_uptime_has_two_units(seconds: float, text: str) -> None:
    """The largest two."""
    assert uptime(seconds) == text


def test_what_a_journal_lost_is_said() -> None:
    """By device; the gateway is well all the same."""
    found = Table(["press1"])
    found.hear(Heartbeat("publisher", "0", "i", 11, "host", 75.0, {"link": "up"}, {}), 100.0)
    state, counters = {"connected": True, "backlog": 0, "backlog_bytes": 0}, {"frames_lost": 3000}
    found.hear(Heartbeat("port_reader", "press1", "i", 12, "host", 75.0, state, counters), 100.0)
    document = found.show()
    assert is_well(document)
    assert "lost: press1: damage to its journal took 3000 entries; the log" in as_text(document)


@pytest.mark.parametrize(
    ("frames_hz", "shown"),
    [(None, ""), (0.0, ""), (0.004, ""), (0.017, "0.02/s"), (4.84, "4.8/s"), (480.2, "480/s")],
)
def test_a_rate_has_as_many_digits_as_a_person_reads(frames_hz: float | None, shown: str) -> None:
    assert rate(frames_hz) == shown
