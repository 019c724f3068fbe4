"""What the monitor remembers of what has happened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.io.kept_log import FOLDER, NAME, OLDER
from common.wire.messages import Heartbeat
from common.wire.states import PortReaderState, PublisherState
from services.monitor.core.chronicle.chronicle import (
    MOST_EVENTS,
    MOST_OF_A_DEVICE,
    MOST_TEXT,
    Chronicle,
    Happened,
    chosen,
    later,
)
from services.monitor.core.chronicle.logged import events_of
from services.monitor.core.chronicle.noticing import Noticing
from services.monitor.core.gateway.table import Table
from services.monitor.shell.web.log_tail import HISTORY_BYTES, LogTail
from tests.web.snapshots import beat

WALL_MS = 1_800_000_000_000


def happened(device: str = "", text: str = "", kind: Any = "device") -> Happened:
    return Happened(WALL_MS, kind, "info", device, "", "a", "b", text)


class Watched:
    """A gateway of two devices, looked at once a second."""

    def __init__(self) -> None:
        self.table = Table(["pump", "press"])
        self.noticing = Noticing()
        self.now_s = 1000.0
        self.publisher = PublisherState(link="up", host="example.org", port=1883)
        self.lines = {
            name: PortReaderState(
                device=name, port=f"/dev/{name}", connected=True, since_s=90.0, byte_s=0.5, frame_s=0.5
            )
            for name in ("pump", "press")
        }
        self.silent: set[str] = set()
        self.instances: dict[str, str] = {}

    def look(self, seconds: int = 1) -> list[Happened]:
        """What has happened in so many seconds in which everybody beats, but for those that are silent."""
        found = []
        for _ in range(seconds):
            self.now_s += 1
            for name, line in self.lines.items():
                self._hear(beat("port_reader", name, line))
            for kind, state in (("publisher", self.publisher), ("broker", None)):
                self._hear(beat(kind, "0", state))
            self.table.age(self.now_s)
            found += self.noticing.look(self.table.snapshot(), WALL_MS)
        return found

    def _hear(self, said: Heartbeat) -> None:
        if said.address not in self.silent:
            instance = self.instances.get(said.address, "first")
            self.table.hear(said.replace(instance=instance, uptime_s=self.now_s - 900), self.now_s)

    def close_port(self, device: str, fault: str) -> None:
        self.lines[device] = PortReaderState(device=device, port=f"/dev/{device}", fault=fault)


@pytest.fixture
def watched() -> Watched:
    found = Watched()
    found.look()
    return found


def test_a_start_is_no_news_but_for_the_platform() -> None:
    """Devices that begin to talk are as they should be."""
    watched = Watched()
    watched.lines["pump"] = PortReaderState(device="pump", port="/dev/pump", connected=True)
    (found,) = watched.look(5)
    assert (found.kind, found.after, found.text) == ("platform", "up", "connected to example.org:1883")


def test_a_port_is_lost_and_comes_back(watched: Watched) -> None:
    """Once each, with the reason; and once more when the reason is another, not when a number in it has changed."""
    watched.close_port("press", "no such port")
    (lost,) = watched.look(3)
    assert (lost.kind, lost.level, lost.device) == ("port", "warning", "press")
    assert (lost.before, lost.after) == ("receiving", "port_closed")
    assert lost.text.startswith("/dev/press: no such port")
    watched.close_port("press", "in use for 3 s")
    assert [found.before for found in watched.look(2)] == ["port_closed"]
    watched.close_port("press", "in use for 4 s")
    assert watched.look(2) == []
    watched.lines["press"] = PortReaderState(device="press", port="/dev/press", connected=True)
    (back,) = watched.look(3)
    assert (back.kind, back.level, back.after) == ("port", "info", "idle")


def test_a_device_that_is_in_trouble(watched: Watched) -> None:
    """From its state to the next, and to none."""
    watched.lines["press"] = PortReaderState(
        device="press", connected=True, since_s=90.0, unframed="no end", byte_s=0.5
    )
    (trouble,) = watched.look(2)
    assert (trouble.kind, trouble.after, trouble.text) == ("device", "no_frame_end", "no end")
    watched.lines["press"] = watched.lines["pump"]
    (well,) = watched.look(2)
    assert (well.before, well.after, well.level) == ("no_frame_end", "receiving", "info")


def test_the_platform_is_told_once_and_not_for_each_device(watched: Watched) -> None:
    """Whoever waits for it has no trouble of its own."""
    watched.publisher = PublisherState(link="down", fault="refused; again in 3 s")
    watched.lines = {name: replace(line, backlog=3) for name, line in watched.lines.items()}
    (down,) = watched.look(2)
    assert (down.kind, down.after, down.level) == ("platform", "not reached", "warning")
    watched.publisher = PublisherState(link="connecting", fault="refused; again in 9 s")
    assert watched.look(2) == []
    watched.publisher = PublisherState(link="connecting")
    assert watched.look(2) == [], "it is only being tried again"
    watched.publisher = PublisherState(link="down", fault="the token is wrong")
    assert [found.text for found in watched.look(2)] == ["the token is wrong"]
    watched.publisher = PublisherState(link="up")
    assert [(found.before, found.after) for found in watched.look(2)] == [("not reached", "up")]


def test_processes_are_lost_and_started_again(watched: Watched) -> None:
    """A port reader that does not run is told as its device, for that is what a person looks for."""
    watched.silent = {"broker:0", "port_reader:press"}
    found = watched.look(12)
    assert [(event.kind, event.process, event.device, event.after) for event in found] == [
        ("process", "broker:0", "", "lost"),
        ("device", "", "press", "not_running"),
    ]
    watched.silent = set()
    watched.instances = {"broker:0": "second", "port_reader:press": "second", "port_reader:pump": "second"}
    again = [(event.kind, event.device, event.before, event.after) for event in watched.look(2)]
    assert again == [
        ("process", "", "lost", "started again"),
        ("process", "press", "lost", "started again"),
        ("process", "pump", "alive", "started again"),
        ("device", "press", "not_running", "receiving"),
    ]


def test_devices_that_are_added_and_removed(watched: Watched) -> None:
    """By a reload."""
    watched.table.configure(["pump", "valve"], [])
    assert [(event.device, event.after) for event in watched.look()] == [("valve", "added"), ("press", "removed")]


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=60))
def test_each_device_keeps_its_newest(devices: list[str]) -> None:
    """Whoever says much takes nobody's place, and what is dropped is counted."""
    chronicle = Chronicle(7)
    for burst in range(0, len(devices), 5):
        chronicle.add([happened(name, f"{burst}") for name in devices[burst : burst + 5] for _ in range(30)])
    kept = chronicle.kept
    assert [event.id for event in kept] == sorted(event.id for event in kept)
    for name in ("a", "b", "c"):
        said = devices.count(name) * 30
        own = [event for event in kept if event.what.device == name]
        assert len(own) == min(said, MOST_OF_A_DEVICE)
    assert len(kept) + chronicle.dropped == len(devices) * 30


def test_all_of_them_together_are_bounded() -> None:
    """With a thousand devices in trouble the oldest events go, and long reasons are cut."""
    chronicle = Chronicle(0)
    for turn in range(10):
        chronicle.add([happened(f"d{number}", f"{turn}" + "x" * 10_000) for number in range(1_000)])
    kept = chronicle.kept
    assert (len(kept), chronicle.dropped) == (MOST_EVENTS, 10_000 - MOST_EVENTS)
    assert {event.what.text[0] for event in kept} == {"5", "6", "7", "8", "9"}
    assert max(len(event.what.text) for event in kept) == MOST_TEXT


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 7), st.sampled_from(["", "a"]))
def test_page_by_page_one_sees_all_of_them(devices: list[str], limit: int, device: str) -> None:
    """Newest first, none twice, none left out."""
    chronicle = Chronicle(100)
    chronicle.add(map(happened, devices))
    seen: list[int] = []
    before = None
    while True:
        found, more = chosen(chronicle.kept, limit, device=device, before=before)
        seen += [event.id for event in found]
        if not more:
            break
        before = found[-1].id
    wanted = [event.id for event in chronicle.kept if not device or event.what.device == device]
    assert seen == wanted[::-1]


def test_who_listens_is_told_the_newest_and_how_many_are_missing() -> None:
    """A page that was away for long asks for the rest."""
    chronicle = Chronicle(0)
    chronicle.add(happened(text=str(number)) for number in range(10))
    found, missed = later(chronicle.kept, 3, 4)
    assert ([event.what.text for event in found], missed) == (["6", "7", "8", "9"], 2)
    assert later(chronicle.kept, 9, 4) == ([], 0)


TEXT = "2026-11-30T10:00:00.000+00:00 {} [{}] {}"
LINES = [
    TEXT.format("INFO   ", "publisher:0", "link.up"),
    TEXT.format("WARNING", "port_reader:press", 'port.lost port=/dev/x reason="WARNING"'),
    "Traceback of nobody",
    TEXT.format("ERROR  ", "publisher:0", "users.error device=pump"),
    TEXT.format("INFO   ", "monitor:0", 'device.state device=press state="receiving"'),
    '{"time":"2026-11-30T11:00:00+01:00","level":"CRITICAL","process":"broker:0","message":"no room"}',
    TEXT.format("INFO   ", "broker:0", "said=WARNING"),
    "20261130 ERROR [broker:0] without a time",
    "2026-13-99T10:00:00Z ERROR [broker:0] in no month",
]
LOGGED_MS = 1_796_032_800_000


def test_warnings_and_errors_of_the_log() -> None:
    """In both of its forms, with whom they are about; and states of before, which nobody else remembers."""
    found = list(events_of(LINES, LOGGED_MS + 1))
    assert [(event.level, event.device, event.process) for event in found] == [
        ("warning", "press", "port_reader:press"),
        ("error", "pump", "publisher:0"),
        ("info", "press", "monitor:0"),
        ("error", "", "broker:0"),
    ]
    assert {event.ms for event in found} == {LOGGED_MS}
    assert found[0].text == 'port.lost port=/dev/x reason="WARNING"'
    assert [event.process for event in events_of(LINES, LOGGED_MS)] == ["port_reader:press", "publisher:0", "broker:0"]


def test_a_log_is_followed_over_its_exchange(tmp_path: Path) -> None:
    """Its end first, then what comes; a line is told when it is whole."""
    tail = LogTail(tmp_path)
    assert (tail.history(), tail.read()) == ([], [])
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / OLDER).write_text("zero\n")
    (folder / NAME).write_text("one\nhal")
    tail = LogTail(tmp_path)
    assert tail.history() == ["zero", "one"]
    with (folder / NAME).open("a") as log:
        log.write("f\n")
        log.flush()
        assert tail.read() == ["half"]
        log.write("last\n")
    os.replace(folder / NAME, folder / OLDER)
    (folder / NAME).write_text("new\n")
    assert [*tail.read(), *tail.read()] == ["last", "new"]
    tail.close()


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    """A start is not to wait for eight megabytes."""
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / NAME).write_text("x" * 99 + "\n" + ("y" * 99 + "\n") * (HISTORY_BYTES // 50))
    found = LogTail(tmp_path).history()
    assert sum(map(len, found)) <= HISTORY_BYTES
    assert set(found[1:]) == {"y" * 99}
