"""Who hangs is replaced by whoever started it, and nobody else is touched (attacks.md 13); versions beside each other
(20)."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.core.events import Note
from common.core.version import PROTOCOL, RELEASE
from common.io.bounded import BoundedSearch
from common.io.pulse import PIPE
from common.io.systemd import notify_systemd
from common.wire.messages import Heartbeat, Register, Registered
from services.broker.core.events import CallArrived, SendTo
from services.cli.commands.status import faults_of, is_well
from services.cli.supervise.pulse import HANG_S, LATE_S, START_S, Pulses, state_of
from services.monitor.core.gateway.table import Table
from tests.attacks.conftest import FULL
from tests.attacks.rig import gateway, share_late, wait_arrived
from tests.e2e.feeding import Feeder
from tests.e2e.harness import ROOT, closing, needs_mosquitto
from tests.support.brokering import World
from tests.support.waiting import wait_until

# Our part in supervisord.


class Watched:
    """Pulses with a clock of our own, and real processes."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 100.0
        self.notes: list[Note] = []
        self.pulses = Pulses(folder, self.notes.append, lambda: self.now_s)
        self.pipe = folder / PIPE
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self) -> Any:
        """A process that does nothing, as supervisord knows it."""
        process = subprocess.Popen(["/bin/sleep", "600"])
        self.started.append(process)
        # While its pages are read it waits for a disk, and who does that is left alone.
        wait_until(lambda: state_of(process.pid) == "S", "it sleeps")
        return SimpleNamespace(pid=process.pid, config=SimpleNamespace(name="port_reader-press~201"), real=process)

    def beat(self, *processes: Any) -> None:
        with self.pipe.open("wb", buffering=0) as pipe:
            for process in processes:
                pipe.write(b"%d\n" % process.pid)

    def pass_time(self, seconds: float, *processes: Any) -> None:
        """Time as it passes for supervisord, five seconds at a time."""
        for _ in range(round(seconds / 5)):
            self.now_s += 5
            self.pulses.check(processes)

    def close(self) -> None:
        self.pulses.close()
        for process in self.started:
            process.kill()
            process.wait(10)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.close()


def test_who_shows_no_pulse_is_ended_and_others_are_not(watched: Watched) -> None:
    """After HANG_S and a chance to say where it hangs; whoever beats lives."""
    hung, well = watched.start(), watched.start()
    watched.beat(hung, well)
    for _ in range(6):
        watched.pass_time(5, hung, well)
        watched.beat(well)
    assert hung.real.wait(10) in (-signal.SIGUSR1, -signal.SIGKILL)
    assert well.real.poll() is None


def test_who_hung_once_and_came_back_is_asked_again(watched: Watched) -> None:
    """A second time, weeks later, it may say where it hangs again, and has the same time for that."""
    slow = watched.start()
    slow.real.send_signal(signal.SIGSTOP)
    os.kill(slow.pid, signal.SIGCONT)
    watched.pulses._asked.add(slow.pid)
    watched.beat(slow)
    watched.pass_time(5, slow)
    assert watched.pulses._asked == set()


def test_who_is_stopped_is_killed_at_once(watched: Watched) -> None:
    """It can't say anything; the line in the log names it as people do."""
    stopped = watched.start()
    watched.beat(stopped)
    stopped.real.send_signal(signal.SIGSTOP)
    wait_until(lambda: state_of(stopped.pid) == "T", "it is stopped")
    watched.pass_time(HANG_S + 5, stopped)
    assert stopped.real.wait(10) == -signal.SIGKILL
    [note] = watched.notes
    assert (note.event, note.facts["name"], note.facts["pid"]) == ("process.hung", "port_reader-press 1", stopped.pid)


def test_a_start_may_take_longer(watched: Watched) -> None:
    """A large journal on a slow card; but not for ever."""
    starting = watched.start()
    watched.pass_time(START_S - 10, starting)
    assert starting.real.poll() is None
    watched.pass_time(30, starting)
    starting.real.wait(10)


def test_whoever_was_away_itself_blames_nobody(watched: Watched) -> None:
    """supervisord was stopped, or the machine had no time for it: silence until now says nothing."""
    process = watched.start()
    watched.beat(process)
    watched.pass_time(5, process)
    watched.now_s += LATE_S + 600
    watched.pulses.check([process])
    watched.pass_time(HANG_S - 5, process)
    assert process.real.poll() is None


def test_junk_in_the_pipe_and_pids_of_nobody_do_nothing(watched: Watched) -> None:
    """And nothing grows: only living processes are remembered."""
    process = watched.start()
    with watched.pipe.open("wb", buffering=0) as pipe:
        pipe.write(b"\xff\x00 -1 99999999999999999999 x\n1 2 3\n" * 1000)
    watched.beat(process)
    watched.pass_time(5, process)
    assert set(watched.pulses._seen_s) == {process.pid}
    watched.pass_time(5)
    assert watched.pulses._seen_s == {}


def test_a_process_that_spins_says_where_and_ends(tmp_path: Path) -> None:
    """Without anybody outside: an alarm on processor time, even while the interpreter's lock is held."""
    code = (
        "import re, sys, common.io.pulse as p; from pathlib import Path\n"
        "p.ALARM_S = 0.3\n"
        "pulse = p.Pulse(Path(sys.argv[1]), 2, 'broker:0'); pulse.beat(1.0)\n"
        "def hang(): re.search('(a+)+$', 'a' * 60 + 'b')\n"
        "hang()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGVTALRM
    assert b"in hang" in done.stderr


@needs_mosquitto
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "victims",
    [
        pytest.param(("publisher", "monitor"), id="publisher"),
        pytest.param(("converter-0", "converter-1"), id="both converters"),
        pytest.param(("broker",), id="broker"),
        pytest.param(("press0",), id="reader"),
    ]
    if FULL
    else [pytest.param(("publisher", "converter-0", "press0"), id="some")],
)
def test_each_process_that_stands_still_is_replaced(victims: tuple[str, ...], tmp_path: Path) -> None:
    """SIGSTOP without CONT, of each in turn: a new one is there half a minute later, everything arrives, and nobody
    else was touched."""
    with gateway(tmp_path, 2) as (rig, lines, platform, _):
        rig.start()
        platform.wait_connected("press0", "press1", deadline_s=40)
        before = rig.wait_for("broker", "monitor", "publisher", "converter-0", "converter-1", "press0", "press1")
        feeders = [Feeder(line, 500, 20) for line in lines]
        with closing(*feeders):
            feeders[1].wait_written(20)
            for name in victims:
                os.kill(before[name], signal.SIGSTOP)
            after = wait_until(
                lambda: pids if all((pids := rig.pids).get(v) not in (None, before[v]) for v in victims) else None,
                f"{victims} are replaced",
                60,
                0.2,
            )
            assert {name: after[name] for name in before if name not in victims} == {
                name: pid for name, pid in before.items() if name not in victims
            }
            for number, feeder in enumerate(feeders):
                wait_arrived(platform, f"press{number}", feeder, 90)
            if victims == ("press0",):
                assert share_late(platform, "press1", feeders[1]) == 0
        assert "process.hung" in rig.log.read_text()
        assert rig.stop() == 0


@needs_mosquitto
def test_a_pattern_that_explodes_ends_its_call_and_nothing_else(tmp_path: Path) -> None:
    """The device's words and its next call go on at once; other devices notice nothing."""
    calls = {
        "serverSideRpc": [
            {"method": "bad", "type": "string", "withResponse": True, "responsePattern": "^(a+)+$"},
            {
                "method": "good",
                "type": "string",
                "withResponse": True,
                "responsePattern": "^A",
                "responseToByte": -1,
                "responseType": "string",
            },
        ],
        "downlink_converter": "SerialDownlinkConverter",
        "telemetry": [{"key": "n", "type": "string", "untilDelimiter": "\n"}],
    }
    with gateway(tmp_path, 2, sections=[calls]) as (rig, lines, platform, _):
        rig.start()
        platform.wait_connected("press0", "press1", deadline_s=40)
        pids = rig.wait_for("press0", "press1")
        feeder = Feeder(lines[1], 100, 50)
        with closing(feeder):
            request = {"device": "press0", "data": {"id": 1, "method": "bad", "params": "b\n"}}
            platform.say("v1/gateway/rpc", request)
            lines[0].read_until(b"b\n")
            lines[0].write(b"a" * 60 + b"b\n")
            assert "takes too long" in platform.reply("press0", 1, 5)["error"]
            platform.say("v1/gateway/rpc", {"device": "press0", "data": {"id": 2, "method": "good", "params": "g\n"}})
            lines[0].read_until(b"g\n")
            lines[0].write(b"A2\n")
            assert platform.reply("press0", 2, 5) == {"result": "A2"}
            wait_arrived(platform, "press1", feeder)
            assert share_late(platform, "press1", feeder) == 0
        assert [item["values"]["n"] for item in platform.telemetry("press0")] == ["a" * 60 + "b"]
        assert rig.wait_for("press0", "press1") == {**rig.pids, **pids}
        assert rig.stop() == 0


@pytest.mark.parametrize("pattern", [rb"^(a+)+$", rb"(a|a)*$", rb"(.*a){25}$"])
def test_a_search_ends_in_time(pattern: bytes) -> None:
    """What explodes is given up; what is found, or is not, is said."""
    search = BoundedSearch(0.05)
    assert search(re.compile(pattern), b"a" * 55 + b"b") is None
    assert search(re.compile(b"^x"), b"xy") is True
    assert search(re.compile(b"^x"), b"y") is False


# Versions side by side.


def test_who_speaks_another_protocol_is_told_and_does_no_harm() -> None:
    """By a broker of this version: a sentence, and no part in anything. One of the first version says nothing of it."""
    world = World()
    for detail in ({}, {"protocol": PROTOCOL + 1}, {"protocol": "2"}):
        said = world.say(CallArrived(b"r", Register("converter", "0", "i", 7, "here", "", dict(detail))))
        [answer] = [effect.message for effect in said if isinstance(effect, SendTo)]
        assert isinstance(answer, Registered)
        assert not answer.accepted
        assert f"the broker of serialgw {RELEASE} speaks {PROTOCOL}: stop the whole gateway" in answer.reason
    assert world.core.counters["registrations_refused"] == 3
    assert world.core.counters["registrations"] == 0


def test_status_says_that_versions_differ_or_that_somebody_takes_no_part() -> None:
    """And exits with 1, although everyone is alive."""
    table = Table(["press"])

    def beat(kind: str, name: str, **state: Any) -> None:
        table.hear(Heartbeat(kind, name, f"{kind}{name}", 7, "here", 60.0, state, {}), 100.0)

    beat("publisher", "0", link="up", release="0.2.0", registered=True)
    beat("port_reader", "press", release="0.2.0", registered=True, connected=True)
    assert is_well(table.show())
    beat("port_reader", "press", release="0.3.0", registered=True, connected=True)
    assert not is_well(table.show())
    assert "different versions (0.2.0, 0.3.0)" in faults_of(table.show())[0]
    beat("port_reader", "press", connected=True)
    assert "before 0.2.0" in faults_of(table.show())[0]
    beat("port_reader", "press", release="0.2.0", registered=False, connected=True)
    assert faults_of(table.show()) == ["port_reader:press runs, but the broker does not take it: its log says why"]
    assert not is_well(table.show())


def test_systemd_hears_how_we_are(tmp_path: Path) -> None:
    """One datagram a message; without systemd, or with one that does not read, nothing happens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        notify_systemd("READY=1", str(tmp_path / "notify"))
        assert systemd.recv(100) == b"READY=1"
        for _ in range(10_000):
            notify_systemd("WATCHDOG=1", str(tmp_path / "notify"))
    notify_systemd("WATCHDOG=1", str(tmp_path / "nowhere"))
    notify_systemd("WATCHDOG=1", "")


@needs_mosquitto
def test_a_gateway_under_systemd_says_that_it_is_ready_goes_round_and_stops(tmp_path: Path) -> None:
    """From the process that systemd has started, as the unit wants it (`NotifyAccess=main`)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, gateway(tmp_path, 1) as (rig, *_):
        systemd.bind(str(tmp_path / "notify"))
        systemd.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        systemd.settimeout(30)

        def heard() -> tuple[bytes, int]:
            data, extra, _, _ = systemd.recvmsg(100, socket.CMSG_SPACE(12))
            return data, struct.unpack("3i", extra[0][2])[0]

        rig.environ["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        rig.environ["SERIALGW_ALIVE_FILE"] = str(tmp_path / "alive")
        rig.start()
        assert rig.process is not None
        before = set(iter(heard, (b"READY=1", rig.process.pid)))
        # Each process was ready by then, or it had not been said.
        assert all(process["pid"] for process in rig.status()["processes"])
        assert {pid for _, pid in before} <= {rig.process.pid}
        stands = (b"STATUS=1 of 1 devices served, platform up", rig.process.pid)
        after = set() if stands in before else set(iter(heard, stands))
        goes_round = (b"WATCHDOG=1", rig.process.pid)
        if goes_round not in before | after:
            set(iter(heard, goes_round))
        # A container's health check looks at supervisord's file; no process has one of its own.
        assert (tmp_path / "alive").exists()
        assert not (rig.data_dir / "run" / "alive").exists()
        assert rig.stop() == 0
        systemd.setblocking(False)
        said = set()
        with contextlib.suppress(BlockingIOError):
            while True:
                said.add(systemd.recv(100))
        assert b"STOPPING=1" in said
