"""What `serialgw run` does for its processes: orders by a pipe, log lines by another, programs that come and go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from supervisor.states import SupervisorStates

from common.core.events import Note
from common.io.orders import LOGS_PIPE, LONGEST_ORDER, NOBODY, ORDERS, send_order
from services.cli.supervise.applying import Applying
from services.cli.supervise.lines import PIPE_BYTES, PublisherLines
from services.cli.supervise.orders import MOST_WAITING, Orders


def test_an_order_reaches_whoever_looks_after_the_processes(tmp_path: Path) -> None:
    """At once, or when it is due; several at once, and each of them once."""
    heard: list[str] = []
    now_s = 100.0
    orders = Orders(tmp_path, heard.append, lambda: now_s)
    assert send_order(tmp_path, "restart 5") == ""
    assert send_order(tmp_path, "configure") == ""
    assert (tmp_path / ORDERS).stat().st_mode & 0o777 == 0o600
    orders.handle_read_event()
    orders.handle_read_event()
    assert heard == ["restart 5", "configure"]
    for _ in range(2 * MOST_WAITING):
        orders.later("restart", 5.0)
    orders.readable()
    assert len(heard) == 2
    now_s += 5.0
    orders.readable()
    orders.readable()
    assert heard[2:] == ["restart"] * MOST_WAITING


def test_where_nobody_looks_after_the_processes_it_is_said(tmp_path: Path) -> None:
    """No pipe, or one that nobody reads; and an order that is none is not given."""
    assert send_order(tmp_path, "restart 1") == NOBODY
    os.mkfifo(tmp_path / ORDERS)
    assert send_order(tmp_path, "restart 1") == NOBODY
    assert str(LONGEST_ORDER) in send_order(tmp_path, "x" * LONGEST_ORDER)


def test_lines_go_to_the_publisher_while_it_wants_them(tmp_path: Path) -> None:
    """Whole lines, in pieces that a pipe takes whole; a publisher that is slow or gone holds nobody."""
    lines = PublisherLines(tmp_path)
    lines.open()
    lines.put(b"nobody hears\n")
    os.mkfifo(tmp_path / LOGS_PIPE)
    pipe = os.open(tmp_path / LOGS_PIPE, os.O_RDWR | os.O_NONBLOCK)
    lines.open()
    said = b"".join(b"line %d\n" % number for number in range(1_000))
    assert len(said) > 2 * PIPE_BYTES
    lines.put(said)
    assert os.read(pipe, 2 * len(said)) == said
    for _ in range(100):
        lines.put(said)
    assert lines.left_out > 0
    os.close(pipe)
    lines.put(said)
    lines.put(said)


class Config:
    def __init__(self, name: str) -> None:
        self.name = name
        self.exitcodes = (78,)

    def create_autochildlogs(self) -> None:
        pass

    def make_process(self, group: Any) -> Process:
        return Process(self, 0)


class Process:
    """Stops when the test says so."""

    def __init__(self, config: Config, pid: int) -> None:
        self.config, self.pid = config, pid
        self.asked = 0
        self.starts = 0
        self.exitstatus = 0
        self.spawnerr = None

    def spawn(self) -> int:
        self.starts += 1
        self.pid = 1_000 + self.starts
        return self.pid

    def stop(self) -> None:
        self.asked += 1


class Group:
    def __init__(self, name: str, *names: str, running: bool = True) -> None:
        self.name = name
        self.process_configs = [Config(each) for each in names]
        self.config = self
        self.processes = {config.name: Process(config, 1 + n) for n, config in enumerate(self.process_configs)}


class Options:
    mood = SupervisorStates.RUNNING
    process_group_configs: list[Group] = []
    broken = False

    def process_config(self, *, do_usage: bool) -> None:
        if self.broken:
            raise ValueError("a section is broken")


class Supervisord:
    """supervisord with two readers, as far as `Applying` sees it."""

    def __init__(self) -> None:
        self.options = Options()
        self.process_groups = {"readers": Group("readers", "a", "b"), "publisher": Group("publisher", "publisher")}
        self.added: list[str] = []

    def add_process_group(self, config: Group) -> bool:
        self.added.append(config.name)
        return True


@pytest.fixture
def notes() -> list[Note]:
    return []


def test_programs_come_and_go_inside_a_group_that_runs(notes: list[Note]) -> None:
    """Who is not concerned is not touched; who comes waits for who goes, since both may want one port."""
    supervisord = Supervisord()
    readers = supervisord.process_groups["readers"].processes
    a, b = readers["a"], readers["b"]
    publisher = supervisord.process_groups["publisher"].processes["publisher"]
    supervisord.options.process_group_configs = [Group("readers", "b", "c"), Group("publisher", "publisher")]
    applying = Applying(supervisord, notes.append)
    applying.begin(["publisher"])
    assert (a.asked, b.asked, publisher.asked) == (1, 0, 1)
    assert set(readers) == {"a", "b"}
    publisher.pid = 0
    applying.go_on()
    assert publisher.starts == 1
    assert set(readers) == {"a", "b"}
    a.pid = 0
    applying.go_on()
    applying.go_on()
    assert set(readers) == {"b", "c"}
    assert [config.name for config in supervisord.process_groups["readers"].config.process_configs] == ["b", "c"]
    assert (b.asked, b.starts, publisher.starts) == (0, 0, 1)


def test_who_is_wanted_again_before_it_has_gone_comes_back(notes: list[Note]) -> None:
    """A change that is taken back at once: nobody who was configured before is missing, and each goes by what is
    wanted now. One that has started anew before can be taken out, too."""
    supervisord = Supervisord()
    readers = supervisord.process_groups["readers"].processes
    applying = Applying(supervisord, notes.append)
    both, one = Group("readers", "a", "b"), Group("readers", "b")
    publisher = Group("publisher", "publisher")
    supervisord.options.process_group_configs = [one, publisher]
    applying.begin([])
    supervisord.options.process_group_configs = [both, publisher]
    applying.begin([])
    readers["a"].pid = 0
    applying.go_on()
    assert (set(readers), readers["a"].starts) == ({"a", "b"}, 1)
    assert readers["a"].config is both.process_configs[0]
    supervisord.options.process_group_configs = [one, publisher]
    applying.begin([])
    readers["a"].pid = 0
    applying.go_on()
    assert set(readers) == {"b"}
    assert [config.name for config in supervisord.process_groups["readers"].config.process_configs] == ["b"]


def test_a_group_that_is_new_is_added_and_a_broken_file_changes_nothing(notes: list[Note]) -> None:
    supervisord = Supervisord()
    supervisord.options.process_group_configs = [
        Group("readers", "a", "b"),
        Group("publisher", "publisher"),
        Group("more", "d"),
    ]
    applying = Applying(supervisord, notes.append)
    applying.begin([])
    assert supervisord.added == ["more"]
    supervisord.options.broken = True
    supervisord.options.process_group_configs = []
    applying.begin(["a"])
    assert [note.event for note in notes] == ["configuration.not_applied"]
    assert supervisord.process_groups["readers"].processes["a"].asked == 0


def test_nobody_is_started_while_the_gateway_stops(notes: list[Note]) -> None:
    """What was to start anew is stopped like all others."""
    supervisord = Supervisord()
    supervisord.options.process_group_configs = [Group("readers", "a", "b", "c"), Group("publisher", "publisher")]
    applying = Applying(supervisord, notes.append)
    readers = supervisord.process_groups["readers"].processes
    applying.begin(["a"])
    supervisord.options.mood = SupervisorStates.SHUTDOWN
    readers["a"].pid = 0
    applying.go_on()
    assert readers["a"].starts == 0
