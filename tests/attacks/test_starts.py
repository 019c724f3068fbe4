"""Processes start from what was checked, in every state of the world in which they go on (attacks.md 6, 7, 12, 14)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import msgspec
import pytest
from supervisor.states import SupervisorStates

import serialgw
from common.config.active import ACTIVE_NAME, find_gateway, make_active, read_active, write_active
from common.config.reading import read_gateway
from common.core.errors import ConfigError, LinkError
from common.io.exits import EXIT_CONFIG
from services.cli.supervise.environment import gateway_environment
from services.cli.supervise.launch import Stamp, read_stamp, write_stamp
from services.cli.supervise.lines import PublisherLines
from services.cli.supervise.log import SupervisordLog
from services.cli.supervise.part import SupervisordPart
from services.cli.supervise.revival import AGAIN_S, Revival
from services.cli.supervise.takeover import end_leftovers
from tests.attacks.rig import gateway, wait_arrived
from tests.attacks.stranger import NOBODY, as_stranger, needs_root, shared_folder
from tests.e2e.feeding import Feeder
from tests.e2e.harness import ROOT, Gateway, closing, needs_mosquitto
from tests.support.waiting import wait_until

HALF = '{"thingsboard": {"host": "127.0'


def everyone_of(data_dir: Path) -> list[int]:
    """Every living process that belongs to a gateway on this data directory."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "environ").read_bytes().split(b"\0") if folder.name.isdigit() else []
        except OSError:
            continue
        if f"SERIALGW_GATEWAY={data_dir}".encode() in words:
            found.append(int(folder.name))
    return found


# The snapshot.


def write_config(folder: Path, security: dict[str, str] | None = None) -> Path:
    entry = {"name": "s", "type": "serial", "configuration": "c.json"}
    main = {"thingsboard": {"security": security or {}}, "connectors": [entry]}
    (folder / "m.json").write_text(json.dumps(main))
    (folder / "c.json").write_text('{"name": "x", "devices": [{"name": "a", "port": "/dev/ttyNOSUCH"}]}')
    return folder / "m.json"


def test_a_snapshot_holds_no_secret_and_is_for_its_user_alone(tmp_path: Path) -> None:
    """It names what the publisher needs, and comes back as it was; written twice it is written once."""
    config = write_config(tmp_path, {"accessToken": "hidden-1", "clientId": "hidden-2"})
    gateway = read_gateway(config, {}, with_secrets=True).gateway
    active = make_active(gateway)
    write_active(tmp_path / ACTIVE_NAME, active)
    written = tmp_path / ACTIVE_NAME
    assert b"hidden" not in written.read_bytes()
    assert written.stat().st_mode & 0o777 == 0o600
    assert active.secrets == ("TB_GW_ACCESS_TOKEN", "TB_GW_CLIENT_ID")
    inode = written.stat().st_ino
    write_active(written, active)
    assert written.stat().st_ino == inode
    assert read_active(written) == active
    environ = {"TB_GW_ACCESS_TOKEN": "t", "TB_GW_CLIENT_ID": "c"}
    found = find_gateway(config, written, tmp_path, "publisher", environ, with_secrets=True).gateway
    assert (found.platform.security.access_token, found.platform.security.client_id) == ("t", "c")
    assert find_gateway(config, written, tmp_path, "monitor", {}).gateway == active.gateway


@pytest.mark.parametrize("content", [b"", b"{", b'{"version":99,"gateway":{}}', b"\xff", b"[]", b'{"version":1}'])
def test_a_damaged_snapshot_gives_way_to_the_files(content: bytes, tmp_path: Path) -> None:
    """Of a later version, too."""
    config = write_config(tmp_path)
    (tmp_path / ACTIVE_NAME).write_bytes(content)
    assert read_active(tmp_path / ACTIVE_NAME) is None
    assert find_gateway(config, tmp_path / ACTIVE_NAME, tmp_path, "monitor", {}).gateway.devices[0].name == "a"


def test_a_process_on_its_own_starts_from_what_it_last_could_use(tmp_path: Path) -> None:
    """With a warning that says why; of another configuration it takes nothing, and of none it says what is wrong."""
    config = write_config(tmp_path)
    (tmp_path / "half.json").write_text(HALF)
    with pytest.raises(ConfigError):
        find_gateway(tmp_path / "half.json", None, tmp_path, "monitor", {})
    good = find_gateway(config, None, tmp_path, "monitor", {})
    assert good.warnings == []
    config.write_text(HALF)
    found = find_gateway(config, None, tmp_path, "monitor", {})
    assert found.gateway == good.gateway
    assert "what it said last is used instead" in found.warnings[0]
    with pytest.raises(ConfigError):
        find_gateway(tmp_path / "half.json", None, tmp_path, "monitor", {})


def test_a_token_that_can_not_be_had_now_is_tried_again(tmp_path: Path) -> None:
    """It stood in the file that somebody is saving: that is no faulty configuration."""
    config = write_config(tmp_path, {"accessToken": "hidden-1"})
    write_active(tmp_path / ACTIVE_NAME, make_active(read_gateway(config, {}, with_secrets=True).gateway))
    found = find_gateway(config, tmp_path / ACTIVE_NAME, tmp_path, "publisher", {}, with_secrets=True)
    assert found.gateway.platform.security.access_token == "hidden-1"
    config.write_text(HALF)
    with pytest.raises(LinkError, match="TB_GW_ACCESS_TOKEN is not in the environment") as caught:
        find_gateway(config, tmp_path / ACTIVE_NAME, tmp_path, "publisher", {}, with_secrets=True)
    assert "hidden" not in str(caught.value)
    environ = {"TB_GW_ACCESS_TOKEN_FILE": "nowhere"}
    with pytest.raises(LinkError, match="a secret can't be had now"):
        find_gateway(config, tmp_path / ACTIVE_NAME, tmp_path, "publisher", environ, with_secrets=True)


@needs_mosquitto
def test_a_half_saved_configuration_takes_nobody_away(tmp_path: Path) -> None:
    """Each process is killed while the files are half written, and comes back; nothing is missing. The token stands in
    the file too."""
    platform_section = {"security": {"accessToken": "hidden-token"}}
    with gateway(tmp_path, 2, platform=platform_section) as (rig, lines, platform, _):
        rig.start()
        platform.wait_connected("press0", "press1", deadline_s=40)
        names = ("publisher", "monitor", "broker", "converter-0", "press0")
        before = rig.wait_for(*names, "press1")
        whole = {path: path.read_text() for path in rig.config.parent.glob("*.json")}
        for path, text in whole.items():
            path.write_text(text[: len(text) // 2])
        for name in names:
            os.kill(before[name], signal.SIGKILL)
        after = wait_until(
            lambda: pids if all((pids := rig.pids).get(name) not in (None, before[name]) for name in names) else None,
            "all are back",
            30,
        )
        assert after["press1"] == before["press1"]
        feeders = [Feeder(line, 100, 50) for line in lines]
        with closing(*feeders):
            for number, feeder in enumerate(feeders):
                wait_arrived(platform, f"press{number}", feeder)
        for path, text in whole.items():
            path.write_text(text)
        assert rig.stop() == 0
        assert "process.misconfigured" not in rig.log.read_text()


@needs_mosquitto
def test_without_supervisord_a_half_saved_configuration_takes_nobody_away(tmp_path: Path) -> None:
    """As in containers: each process reads the files itself."""
    with gateway(tmp_path, 1) as (rig, lines, platform, _):
        own = Gateway(tmp_path, rig.config)
        with closing(own):
            own.start_all(["press0"])
            platform.wait_connected("press0")
            rig.config.write_text(HALF)
            for name in ("publisher", "monitor", "press0", "converter0"):
                own.kill(name)
                own.restart(name)
            feeder = Feeder(lines[0], 50, 50)
            with closing(feeder):
                wait_arrived(platform, "press0", feeder)
            assert "configuration.last_good" in own.log("publisher")
            assert set(own.stop().values()) == {0}


@needs_mosquitto
def test_a_service_that_starts_with_nobody_there_runs_what_ran_last(tmp_path: Path) -> None:
    """`run` refuses a faulty configuration, as a person wants it; with `--last-good` the machine comes up."""
    with gateway(tmp_path, 1) as (rig, lines, platform, _):
        rig.start()
        platform.wait_connected("press0", deadline_s=40)
        assert rig.stop() == 0
        rig.config.write_text(HALF)
        rig.start()
        assert rig.process is not None
        assert rig.process.wait(20) == 78
        rig.start("--last-good")
        feeder = Feeder(lines[0], 20, 20)
        with closing(feeder):
            wait_arrived(platform, "press0", feeder)
        assert "what has run last is run again" in rig.log.read_text()
        assert rig.stop() == 0


class FakeProcess:
    """What supervisord's object of a process is to us."""

    pid = 0
    starts = 0
    exitstatus = EXIT_CONFIG
    config = SimpleNamespace(name="broker")

    def spawn(self) -> None:
        self.starts += 1
        self.pid = 7


class FakeEvent(NamedTuple):
    """One of supervisord's."""

    process: FakeProcess


class SilentLog(SupervisordLog):
    """Says nothing of it."""

    def __init__(self) -> None:
        pass

    def note(self, note: object) -> None:
        pass

    def exited(self, event: object) -> None:
        pass

    stopping = catch_up = exited


def test_who_has_ended_with_78_comes_back_when_a_file_changes_and_now_and_then(tmp_path: Path) -> None:
    """At once when somebody has saved a file of the configuration; else every half minute."""
    file, now_s = tmp_path / "c.json", 100.0
    file.write_text("half")
    revival = Revival([str(file), str(tmp_path / "nowhere")], lambda: now_s)
    process, other = FakeProcess(), FakeProcess()
    revival.wait(process)
    revival.wait(other)
    now_s += 5
    revival.check()
    assert process.starts == 0
    other.pid = 9
    file.write_text("whole now")
    revival.check()
    assert (process.starts, other.starts) == (1, 0)
    process.pid = 0
    revival.wait(process)
    now_s += AGAIN_S
    revival.check()
    revival.check()
    assert process.starts == 2


def test_nobody_comes_back_while_the_gateway_stops(tmp_path: Path) -> None:
    """Neither who waits already, nor who ends with 78 meanwhile, whatever is saved."""
    file = tmp_path / "c.json"
    supervisord = SimpleNamespace(process_groups={}, options=SimpleNamespace(mood=SupervisorStates.SHUTDOWN))
    part = SupervisordPart(supervisord, SilentLog(), PublisherLines(tmp_path), tmp_path, [str(file)])
    waiting, late = FakeProcess(), FakeProcess()
    part.exited(FakeEvent(waiting))
    part.stopping(FakeEvent(waiting))
    part.exited(FakeEvent(late))
    file.write_text("changed")
    part.tick(FakeEvent(waiting))
    assert (waiting.starts, late.starts) == (0, 0)


# One life.


@needs_mosquitto
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_when_the_top_process_dies_nothing_works_on_alone(number: signal.Signals, tmp_path: Path) -> None:
    """By whatever signal: its processes end in order, by themselves; what they had read arrives with the next start."""
    with gateway(tmp_path, 1) as (rig, lines, platform, _):
        rig.start()
        platform.wait_connected("press0", deadline_s=40)
        lines[0].write(b"1\n")
        platform.wait_telemetry("press0", 1)
        assert rig.process is not None
        rig.process.send_signal(number)
        rig.process.wait(10)
        wait_until(lambda: not everyone_of(rig.data_dir), "nothing of the gateway is left", 20, 0.1)
        rig.start()
        feeder = Feeder(lines[0], 20, 20)
        with closing(feeder):
            wait_until(lambda: len(platform.telemetry("press0")) >= 21, "new frames", 30, 0.1)
        assert rig.stop() == 0
        assert everyone_of(rig.data_dir) == []


@needs_mosquitto
def test_the_next_start_takes_over_who_could_not_end(tmp_path: Path) -> None:
    """A stopped publisher and reader outlive the top process; the next `run` ends them, and its own stop ends all."""
    with gateway(tmp_path, 2) as (rig, lines, platform, _):
        rig.start()
        platform.wait_connected("press0", "press1", deadline_s=40)
        pids = rig.wait_for("publisher", "press0", "press1")
        for name in ("publisher", "press0"):
            os.kill(pids[name], signal.SIGSTOP)
        assert rig.process is not None
        rig.process.kill()
        rig.process.wait(10)
        wait_until(lambda: len(everyone_of(rig.data_dir)) <= 2, "only those that can't end are left", 20, 0.1)
        rig.start()
        feeders = [Feeder(line, 20, 20) for line in lines]
        with closing(*feeders):
            for number, feeder in enumerate(feeders):
                wait_arrived(platform, f"press{number}", feeder)
        assert "is held by the process" not in rig.log.read_text()
        assert rig.stop() == 0
        assert everyone_of(rig.data_dir) == []


def test_leftovers_are_ended_and_nobody_else(tmp_path: Path) -> None:
    """Stopped ones, and those that ignore SIGTERM; not those of another data directory, nor of this very start."""

    def start(script: str, **environ: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["/bin/sh", "-c", script], env=environ, start_new_session=True)

    stubborn = start("trap '' TERM; while :; do sleep 1; done", SERIALGW_GATEWAY=str(tmp_path), SERIALGW_TOP="1")
    stopped = start("exec sleep 600", SERIALGW_GATEWAY=str(tmp_path), SERIALGW_TOP="1")
    others = [
        start("exec sleep 600", SERIALGW_GATEWAY=str(tmp_path / "other"), SERIALGW_TOP="1"),
        start("exec sleep 600", SERIALGW_GATEWAY=str(tmp_path), SERIALGW_TOP=str(os.getpid())),
        start("exec sleep 600"),
    ]
    stopped.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: len(everyone_of(tmp_path)) >= 3, "they run")
        assert end_leftovers(tmp_path, patience_s=1.0) >= 2
        assert (stubborn.wait(5), stopped.wait(5)) == (-signal.SIGKILL, -signal.SIGTERM)
        assert [process.poll() for process in others] == [None] * 3
        wait_until(lambda: end_leftovers(tmp_path) == 0, "what the shell had started is gone too")
    finally:
        for process in [stubborn, stopped, *others]:
            process.kill()
            process.wait(10)


def test_leftovers_are_found_however_the_data_directory_is_named(tmp_path: Path) -> None:
    """By a link, or round two corners: it is one folder."""
    disk, link = tmp_path / "disk", tmp_path / "link"
    disk.mkdir()
    link.symlink_to(disk)
    for started, asked in ((link, disk), (disk, link), (disk, disk / ".." / "link")):
        environ = gateway_environment({}, 1, started)
        process = subprocess.Popen(["/bin/sleep", "600"], env=environ)
        try:
            wait_until(lambda: everyone_of(disk) != [], "it runs")
            assert end_leftovers(asked) == 1
            assert process.wait(5) == -signal.SIGTERM
        finally:
            process.kill()
            process.wait(10)


@needs_root
def test_what_ran_last_is_not_read_where_somebody_else_writes() -> None:
    """`--last-good` with a data directory, and a snapshot in it, of another user: refused before anything is made."""
    with shared_folder(0o1777) as folder:
        config, data_dir, made = folder / "c.json", folder / "data", folder / "made"
        assert as_stranger('mkdir -m 777 "$1"', data_dir).returncode == 0
        gateway_of = read_gateway(write_config(folder), {}).gateway
        storage = msgspec.structs.replace(gateway_of.storage, type="sqlite", data_dir=str(made / "by" / "root"))
        active = make_active(msgspec.structs.replace(gateway_of, storage=storage, file=str(config)))
        write_active(data_dir / "active.json", active)
        os.chown(data_dir / "active.json", NOBODY, NOBODY)
        config.write_text(HALF)
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "services.cli",
                "run",
                "--last-good",
                "--config",
                str(config),
                "--data-dir",
                data_dir,
            ],
            capture_output=True,
            cwd=ROOT,
            timeout=60,
            check=False,
        )
        assert done.returncode == 78
        assert not made.exists()


# Python's own path.


TRAPS = ("serial.py", "json.py", "zmq.py", "msgpack.py", "common/__init__.py", "services/__init__.py", "supervisor.py")


def lay_traps(folder: Path) -> None:
    """Modules with our names, and with those of what we use, that say that they were run."""
    for name in TRAPS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"import os; os.write(2, b'RUN: {name}\\n'); raise SystemExit(99)\n")


@needs_mosquitto
@pytest.mark.parametrize("where", ["current folder", "PYTHONPATH"])
def test_no_code_of_somebody_else_runs_in_place_of_ours(where: str, tmp_path: Path) -> None:
    """The whole gateway and each command, in a folder full of traps, or with one in PYTHONPATH."""
    command = Path(sys.executable).with_name("serialgw")
    traps = tmp_path / "traps"
    traps.mkdir()
    lay_traps(traps)
    with gateway(tmp_path, 1) as (rig, lines, platform, _):
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if where == "PYTHONPATH":
            environ["PYTHONPATH"] = str(traps)
        folder = traps if where == "current folder" else tmp_path
        log = (tmp_path / "run.log").open("wb")
        process = subprocess.Popen(
            [str(command), "run", "--config", str(rig.config), "--data-dir", str(rig.data_dir)],
            stderr=log,
            env=environ,
            cwd=folder,
        )
        try:
            platform.wait_connected("press0", deadline_s=40)
            lines[0].write(b"1\n")
            platform.wait_telemetry("press0", 1)
            for words in (["status"], ["check", str(rig.config)], ["ports"], ["--version"]):
                done = subprocess.run(
                    [str(command), *words],
                    env={**environ, "SERIALGW_DATA_DIR": str(rig.data_dir)},
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert "RUN:" not in done.stderr + done.stdout, words
                assert done.returncode == 0, (words, done.stderr)
        finally:
            process.terminate()
            assert process.wait(30) == 0
            log.close()
        assert "RUN:" not in (tmp_path / "run.log").read_text()


def test_pythonpath_comes_last_for_users_code() -> None:
    """It is moved behind everything, not forgotten."""
    path = ["/venv/bin", "/theirs", "/usr/lib/python3.11", "/venv/site-packages", serialgw.ROOT]
    variable = os.pathsep.join(["/theirs", serialgw.ROOT])
    assert serialgw.move_back(path, variable) == [
        "/venv/bin",
        "/usr/lib/python3.11",
        "/venv/site-packages",
        serialgw.ROOT,
        "/theirs",
    ]
    assert serialgw.move_back(path, "") == path


def test_a_foreign_package_of_our_name_is_named_with_the_way_out(tmp_path: Path) -> None:
    """Another `services` in the same environment: one sentence. Another `common` is simply not used."""
    assert serialgw.foreign_package([str(ROOT)]) == ""
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "__init__.py").write_text("raise SystemExit(99)")
    assert serialgw.foreign_package([str(tmp_path), str(ROOT)]) == str(tmp_path / "services")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; import serialgw; sys.exit(serialgw.main())"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"found a package called services in '{tmp_path}/services'" in done.stderr
    assert "environment of its own" in done.stderr
    (tmp_path / "services" / "__init__.py").unlink()
    (tmp_path / "services").rmdir()
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "__init__.py").write_text("raise SystemExit(99)")
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; import services.cli; import common.core.errors"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True, timeout=30)


# A bad world.


def test_a_stamp_that_can_not_be_written_keeps_nobody_from_starting(tmp_path: Path) -> None:
    """A full disk, or a folder that is gone."""
    write_stamp(tmp_path / "nowhere" / "stamp", Stamp(5.0, 3))
    write_stamp("/dev/full", Stamp(5.0, 3))
    write_stamp(tmp_path / "stamp", Stamp(123456789.5, 33))
    write_stamp(tmp_path / "stamp", Stamp(5.0, 3))
    assert read_stamp(tmp_path / "stamp") == Stamp(5.0, 3)


@needs_mosquitto
@needs_root
def test_everything_starts_and_restarts_on_a_full_disk(tmp_path: Path) -> None:
    """The data directory's own: who is killed comes back, and the whole gateway, stopped, starts again; what lines say
    arrives all the while."""
    disk = tmp_path / "data"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "none", str(disk)], check=True)
    try:
        with gateway(tmp_path, 1) as (rig, lines, platform, _):
            rig.start()
            platform.wait_connected("press0", deadline_s=40)
            fill(disk / "filler")
            before = rig.wait_for("publisher", "monitor", "broker", "converter-0", "press0")
            for pid in before.values():
                os.kill(pid, signal.SIGKILL)
            feeder = Feeder(lines[0], 100, 25)
            with closing(feeder):
                wait_until(lambda: all(rig.pids.get(n) not in (None, p) for n, p in before.items()), "all back", 30)
                wait_until(lambda: last_value(platform) == 100, "the last frame", 40, 0.2)
            assert rig.stop() == 0
            fill(disk / "filler")
            rig.start()
            assert rig.process is not None
            wait_until(lambda: "publisher" in rig.pids and "press0" in rig.pids, "it runs again", 40)
            again = Feeder(lines[0], 50, 25)
            with closing(again):
                wait_until(lambda: platform.telemetry("press0")[-1]["values"]["n"] == 50, "frames", 40, 0.2)
            assert rig.stop() == 0
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(path: Path) -> None:
    """Takes what is left of a disk."""
    with path.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def last_value(platform: object) -> int:
    items = platform.telemetry("press0")  # type: ignore[attr-defined]
    return items[-1]["values"]["n"] if items else 0


def test_an_update_in_place_is_said_at_each_start() -> None:
    """Files of another version below a gateway that runs."""
    code = "import os; from services.cli.supervise.launch import _compare_release; _compare_release('services.broker')"
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "SERIALGW_RELEASE": "0.0.1"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert "the gateway was started as 0.0.1; stop it and run it again" in done.stderr
