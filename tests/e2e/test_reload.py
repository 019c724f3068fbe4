"""`serialgw reload`: a changed configuration is taken while the devices talk, and nobody else notices."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from common.config.history import read_history
from common.config.taken import content_hash
from tests.e2e.feeding import Feeder, first_values
from tests.e2e.harness import (
    ROOT,
    Gateway,
    Line,
    Mosquitto,
    Platform,
    closing,
    free_port,
    needs_mosquitto,
    number_device,
    write_config,
)
from tests.e2e.test_run import children
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto
RATE_HZ = 100.0
TOKENS = ("first token ü", "second-token-81ba")
LOAD = tuple(f"press{number}" for number in range(1, 9))


class World:
    """A gateway under `serialgw run`, its lines and its platform, and the files that it was started with."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.folder = folder
        self.mosquitto = Mosquitto(folder / "mosquitto")
        self.platform = Platform(self.mosquitto.port)
        self.lines = {name: Line(folder / f"tty{name}") for name in names}
        self.devices = {name: number_device(name, line) for name, line in self.lines.items()}
        self.main: dict[str, Any] = {}
        self.data_dir = folder / "data"
        self.environ = {**os.environ, "PYTHONPATH": str(ROOT), "SERIALGW_DATA_DIR": str(self.data_dir)}
        self.config = self.write()
        self.log = folder / "run.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.cli", "run", str(self.config), "--converters", "2"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environ,
                cwd=folder,
            )

    def write(self) -> Path:
        """The files, as somebody has edited them."""
        return write_config(self.folder / "config", self.mosquitto.port, list(self.devices.values()), self.main)

    def reload(self, *options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """The command, which somebody gives in another environment than the gateway's."""
        done = subprocess.run(
            [sys.executable, "-m", "services.cli", "reload", *options],
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
            env={**self.environ, "TB_GW_PORT": "1"},
            cwd="/",
        )
        assert done.returncode == code, f"{done.stdout}{done.stderr}{self.log.read_text()[-3000:]}"
        return done

    def status(self) -> dict[str, Any]:
        """What `status` says of the configuration."""
        command = [sys.executable, "-m", "services.cli", "status", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=self.environ, check=False)
        return dict(json.loads(done.stdout)["configuration"])

    def pids(self) -> dict[str, int]:
        """What of its processes is named by → its pid."""
        found = {}
        for pid, command in children(self.process.pid).items():
            words = command.split()
            if "supervise.launch" not in command and (
                module := next((w for w in words if w.startswith("services.")), "")
            ):
                mark = next((w for w in words if w.startswith(("--device=", "--journal="))), "")
                slot = words[words.index("--slot") + 1] if "--slot" in words else ""
                found[mark or module + slot] = pid
        return found

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0


@contextmanager
def world_of(folder: Path, names: tuple[str, ...]) -> Iterator[World]:
    world = World(folder, names)
    with closing(world.mosquitto, world.platform, *world.lines.values(), world):
        world.platform.wait_connected(*names, deadline_s=60)
        yield world


def said(world: World, name: str, key: str = "n") -> list[int]:
    return first_values([item for item in world.platform.telemetry(name) if key in item["values"]], key)


@pytest.mark.timeout(400)
def test_what_changes_under_load_touches_nobody_else(tmp_path: Path) -> None:
    """Eight devices say 100 numbers a second each, while a data point, a baud rate and the platform's host change, a
    device comes and one goes: no number of any is missing, and all others' processes keep their pids."""
    with world_of(tmp_path, LOAD) as world:
        new = Line(tmp_path / "ttypress9")
        feeders = {name: Feeder(line, 10**9, RATE_HZ) for name, line in world.lines.items()}
        with closing(new, *feeders.values()):
            feeders["press1"].wait_written(100)
            before = world.pids()

            world.devices["press1"]["telemetry"].append({"type": "int", "key": "m"})
            world.devices["press2"]["baudrate"] = 19_200
            world.write()
            plan = [
                "~ press1: 1 data point (no interruption)",
                "~ press2: baudrate 9600 → 19200 (set on the open port)",
            ]
            assert world.reload("--dry-run").stdout.splitlines() == plan
            assert world.reload().stdout.splitlines() == [*plan, "applied"]
            assert world.pids() == before
            nothing = {"applied": False, "steps": [], "warnings": []}
            assert json.loads(world.reload("--json").stdout) == nothing
            world.platform.wait_for(lambda _: said(world, "press1", "m"), "press1 under its new section", 60)

            config = json.loads(world.config.read_text())
            world.config.write_text(json.dumps({**config, "storage": {"type": "sqlite", "messages_ttl_in_days": 1}}))
            assert world.reload().stdout.startswith("~ storage: ttl_s none → 86400 (no interruption; what is more")
            assert world.pids() == before
            assert "limits.taken" in world.log.read_text()

            world.devices["press9"] = number_device("press9", new)
            del world.devices["press8"]
            world.write()
            gone_at = feeders["press8"].written
            lines = world.reload().stdout.splitlines()
            assert lines[0] == "+ press9"
            assert lines[1].startswith("- press8")
            assert lines[2].startswith("~ storage: ttl_s 86400 → none (no interruption")
            assert lines[3:] == ["applied"]
            world.platform.wait_connected("press9", deadline_s=60)
            new.write(b"5\n")
            world.platform.wait_for(lambda _: 5 in said(world, "press9"), "press9", 60)
            world.platform.wait_for(lambda _: world.platform.on("v1/gateway/disconnect", "press8"), "goodbye", 60)
            # Nobody was announced anew, or dropped: the publisher has gone on.
            assert len(world.platform.on("v1/gateway/connect", "press1")) == 1
            assert world.pids()["services.publisher"] == before["services.publisher"]

            world.main = {"host": "localhost"}
            world.write()
            lines = world.reload().stdout.splitlines()
            assert lines[0] == "~ platform: host 127.0.0.1 → localhost (publisher restarts, nothing is lost)"

            after = world.pids()
            kept = {f"--device={name}" for name in LOAD[:-1]}
            kept |= {"services.broker", "services.converter0", "services.converter1"}
            assert {name: after.get(name) for name in kept} == {name: before[name] for name in kept}
            assert "--device=press8" not in after
            for name in LOAD[:-1]:
                feeders[name].close()
                count = feeders[name].written
                world.platform.wait_for(
                    lambda _, name=name, count=count: count in said(world, name), f"all of {name}", 90
                )
                assert sorted(set(range(1, count + 1)) - set(said(world, name))) == []
            assert set(range(1, gone_at + 1)) <= set(said(world, "press8"))


@pytest.mark.timeout(400)
def test_what_can_not_be_used_changes_nothing_and_says_everything(tmp_path: Path) -> None:
    """Every problem, exit code 78, and the same processes. What needs a restart is said, and not done unasked. SIGHUP
    does what the command does, and `restart` what it says."""
    with world_of(tmp_path, ("A", "B")) as world:
        before = world.pids()
        active = (world.data_dir / "active.json").read_bytes()
        world.devices["A"] |= {"baudrate": "fast", "parity": "?"}
        world.write()
        told = world.reload(code=78).stderr
        assert "devices[0].baudrate" in told
        assert "devices[0].parity" in told
        shown = world.status()
        assert "devices[0].baudrate" in shown.pop("reason")
        assert shown == {"pending": True, "successful": False}
        world.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "configuration.refused" in world.log.read_text(), "the log says why", 60)

        world.devices["A"] |= {"baudrate": 9600, "parity": "N", "converter": "Nowhere"}
        world.write()
        assert "Nowhere" in world.reload(code=78).stderr
        assert (world.data_dir / "active.json").read_bytes() == active
        assert world.pids() == before

        del world.devices["A"]["converter"]
        world.devices["A"]["telemetry"] = [{"type": "int", "key": "k"}]
        world.write()
        world.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "configuration.reloaded" in world.log.read_text(), "SIGHUP is a reload", 60)
        world.lines["A"].write(b"7\n")
        world.platform.wait_for(lambda _: 7 in said(world, "A", "k"), "A under its new section")
        wait_until(lambda: world.pids() == before, "the same processes")
        assert world.reload().stdout.startswith("nothing to do")
        assert world.status() == {"pending": False, "successful": True, "reason": ""}

        config = json.loads(world.config.read_text())
        world.config.write_text(json.dumps({**config, "storage": {"type": "memory"}}))
        told = world.reload(code=1)
        assert told.stdout.startswith("! storage: type sqlite → memory (needs a restart of all")
        assert world.pids() == before
        world.write()

        done = subprocess.run(
            [sys.executable, "-m", "services.cli", "restart", "A"],
            capture_output=True,
            text=True,
            timeout=60,
            env=world.environ,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "A runs anew\n"), done.stderr
        after = world.pids()
        assert {name for name in before if after.get(name) != before[name]} == {"--device=A"}


@pytest.mark.timeout(400)
def test_files_that_have_changed_are_taken_by_themselves(tmp_path: Path) -> None:
    """By `reload --watch`, once they hold still: what can't be used is said, and what mends it is taken. What somebody
    edits while a change is being applied is a change still."""
    with world_of(tmp_path, ("A",)) as world:
        output = tmp_path / "watch.log"
        with output.open("wb") as log:
            command = [sys.executable, "-m", "services.cli", "reload", "--watch"]
            watching = subprocess.Popen(command, stdout=log, stderr=log, env=world.environ)
        try:
            world.devices["A"]["baudrate"] = "fast"
            # Until it watches: what was edited before it looked first is taken all the same.
            world.write()
            wait_until(lambda: "devices[0].baudrate" in output.read_text(), "it says what is wrong", 60)
            world.devices["A"] |= {"baudrate": 9600, "telemetry": [{"type": "int", "key": "k"}]}
            world.write()
            wait_until(lambda: "applied" in output.read_text(), "it is taken", 60)
            assert read_history(world.data_dir)[0].by == "watch"
            world.lines["A"].write(b"7\n")
            world.platform.wait_for(lambda _: 7 in said(world, "A", "k"), "A under its new section", 60)
        finally:
            watching.terminate()
            watching.wait(20)


@pytest.mark.timeout(400)
def test_what_does_not_come_up_is_taken_back(tmp_path: Path) -> None:
    """Another token reaches the publisher, and nobody else. A platform that is not there is no platform: everything
    returns to what it was, the other changes and the token too, and the reason is said."""
    with world_of(tmp_path, ("A", "B")) as world:
        world.main = {"security": {"accessToken": TOKENS[0]}}
        world.write()
        assert world.reload().stdout.splitlines()[0].startswith("~ platform: security")
        world.main = {"security": {"accessToken": TOKENS[1]}}
        world.write()
        plan = ["~ platform: security (publisher restarts, nothing is lost)", "applied"]
        assert world.reload().stdout.splitlines() == plan
        assert world.reload().stdout.startswith("nothing to do")
        assert holders(world, TOKENS[1]) == {"services.publisher"}
        assert holders(world, TOKENS[0]) == set()

        before = world.pids()
        world.main = {"security": {"accessToken": TOKENS[0]}, "port": free_port()}
        world.devices["A"]["telemetry"] = [{"type": "int", "key": "k"}]
        world.write()
        told = world.reload(code=1)
        assert f"port {world.mosquitto.port} → {world.main['port']}" in told.stdout
        assert "the connection to the platform has not come up" in told.stderr
        assert "what ran before runs again" in told.stderr
        world.lines["A"].write(b"7\n")
        world.platform.wait_for(lambda _: 7 in said(world, "A"), "A under its first section", 60)
        assert said(world, "A", "k") == []
        assert holders(world, TOKENS[1]) == {"services.publisher"}
        after = world.pids()
        assert {name for name in before if after.get(name) != before[name]} == {"services.publisher"}


@pytest.mark.timeout(200)
def test_processes_that_somebody_else_looks_after(tmp_path: Path) -> None:
    """As in compose: readers at work take their sections, and what is left to do is said."""
    lines = {name: Line(tmp_path / f"tty{name}") for name in "AB"}
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    devices = {name: number_device(name, line) for name, line in lines.items()}
    config = write_config(tmp_path / "config", mosquitto.port, list(devices.values()))
    gateway = Gateway(tmp_path, config)
    with closing(mosquitto, platform, *lines.values(), gateway):
        gateway.start_all(["A", "B"])
        platform.wait_connected("A", "B", deadline_s=60)
        devices["A"]["telemetry"] = [{"type": "int", "key": "k"}]
        devices["B"]["port"] = "/dev/none"
        devices["C"] = number_device("C", lines["B"])
        write_config(tmp_path / "config", mosquitto.port, list(devices.values()))
        assert gateway.cli("reload").returncode == 2
        done = gateway.cli("reload", str(config))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "~ A: 1 data point (no interruption)",
            f"~ B: port {lines['B'].path} → /dev/none (its port reader starts anew: another port)",
            "+ C",
            "to be done by whoever looks after the processes:",
            "  start a port reader: --device C",
            "  restart the port reader of B",
        ]
        lines["A"].write(b"7\n")
        platform.wait_for(
            lambda _: 7 in [item["values"].get("k") for item in platform.telemetry("A")], "A under its new section", 60
        )
        assert gateway.cli("reload", str(config)).stdout.startswith("nothing to do")
        assert gateway.cli("restart", "A").returncode == 1


def holders(world: World, secret: str) -> set[str]:
    """Who has this in its environment, of all processes that have been started since."""
    found = set()
    for name, pid in world.pids().items():
        if secret.encode() in Path(f"/proc/{pid}/environ").read_bytes():
            found.add(name)
    return found


STEPS = (
    "reloading.write_active",
    "switching.write_planned",
    "switching.hand_over",
    "switching.tell_publisher",
    "switching.send_order",
    "switching.Switching._await",
    "reloading.write_remote",
    "reloading.Reloading._write_down",
)
"""Where a reload is ended: after each of these was done."""
KILLED = """
import os, sys
from services.cli.supervise import reloading, switching
owner, _, name = sys.argv[1].rpartition(".")
owner = eval(owner)
whole = getattr(owner, name)
def ended(*args, **options):
    whole(*args, **options)
    os.kill(os.getpid(), 9)
setattr(owner, name, ended)
from services.cli.command_line import run_command_line
sys.exit(run_command_line(["reload"]))
"""


@pytest.mark.timeout(400)
def test_a_reload_that_is_killed_is_completed_by_the_next(tmp_path: Path) -> None:
    """kill -9 after each of its steps: the next one brings every process to what stands in the files, whatever the
    first has done of it, and no number is lost meanwhile."""
    with world_of(tmp_path, ("A", "B", "C")) as world:
        feeder = Feeder(world.lines["A"], 10**9, 50)
        with closing(feeder):
            marker = world.data_dir / "remote" / "previous.json"
            # RELOAD_KILLS=all takes each; else every other one, and the last, for time.
            steps = STEPS if os.environ.get("RELOAD_KILLS") == "all" else (*STEPS[1::2], STEPS[-1])
            for number, step in enumerate(steps):
                key = f"k{number}"
                world.devices["A"]["telemetry"] = [{"type": "int", "key": "n"}, {"type": "int", "key": key}]
                # Another port for B each time, which has its reader start anew; and C comes and goes.
                world.devices["B"]["port"] = f"{tmp_path}/{'./' * (1 + number % 2)}ttyB"
                if number % 2:
                    world.devices["C"] = number_device("C", world.lines["C"])
                else:
                    world.devices.pop("C", None)
                world.write()
                ended = subprocess.run(
                    [sys.executable, "-c", KILLED, step],
                    env=world.environ,
                    cwd=ROOT,
                    timeout=90,
                    capture_output=True,
                    check=False,
                )
                assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
                # This one is behind the end.
                is_open = step != "reloading.write_remote"
                assert marker.exists() == is_open
                done = world.reload().stdout.splitlines()[-1]
                assert done == "applied" if is_open else done.startswith("nothing to do")
                assert not marker.exists()
                newest = read_history(world.data_dir)[0]
                assert newest.hashes == {path: content_hash(Path(path).read_bytes()) for path in newest.hashes}, step
                assert newest.number == number + 2, "one a change, beside the start"
                assert world.reload().stdout.startswith("nothing to do")
                world.platform.wait_for(lambda _, key=key: said(world, "A", key), f"A after {step}", 60)
                assert ("--device=C" in world.pids()) == bool(number % 2)
            feeder.close()
            count = feeder.written
            world.platform.wait_for(lambda _: count in said(world, "A"), "all of A", 60)
            assert sorted(set(range(1, count + 1)) - set(said(world, "A"))) == []
