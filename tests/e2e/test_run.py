"""`serialgw run`: the whole gateway under supervisord, as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from common.config.task import written_task
from tests.e2e.harness import ROOT, Line, Mosquitto, Platform, closing, needs_mosquitto, number_device, write_config
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto

FILE_TOKEN = "token-in-the-file-5d1f"
ENVIRON_TOKEN = "token-in-the-environment-77ab"
SECRETS = (FILE_TOKEN, ENVIRON_TOKEN)
NAMES = ("press 1%", "scale;2")
"""Names that supervisord's configuration would stumble over if they were not quoted."""


class Running(NamedTuple):
    process: subprocess.Popen[bytes]
    lines: list[Line]
    platform: Platform
    data_dir: Path
    log: Path
    config: Path


def children(pid: int) -> dict[int, str]:
    """The command lines of the direct children of a process."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) == pid:
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


@pytest.fixture(params=["file", "environment"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    lines = [Line(tmp_path / f"tty{number}") for number in range(len(NAMES))]
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    security: dict[str, str] = {"accessToken": FILE_TOKEN}
    if request.param == "environment":
        environ["TB_GW_ACCESS_TOKEN"] = ENVIRON_TOKEN
        security = {}
    devices = [number_device(name, line) for name, line in zip(NAMES, lines, strict=True)]
    platform_section = {"security": security} if security else {}
    config = write_config(tmp_path / "config", mosquitto.port, devices, platform_section)
    log = tmp_path / "run.log"
    command = [sys.executable, "-m", "services.cli", "run", "--config", str(config)]
    with closing(mosquitto, platform, *lines), log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--data-dir", str(tmp_path / "data"), "--converters", "2"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environ,
            cwd=tmp_path,
        )
        try:
            yield Running(process, lines, platform, tmp_path / "data", log, config)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def test_run_serves_all_ports_keeps_secrets_and_drains(running: Running) -> None:
    """Frames of each port arrive; no secret is in any command line, environment, file, log or status; Ctrl-C drains."""
    for name, line in zip(NAMES, running.lines, strict=True):
        running.platform.wait_connected(name, deadline_s=40)
        line.write(b"7\n")
        [item] = running.platform.wait_telemetry(name, 1)
        assert item["values"] == {"n": 7}
    pids = wait_until(lambda: len(found := children(running.process.pid)) >= 7 and found, "all seven processes")
    for pid, command in pids.items():
        environ = Path(f"/proc/{pid}/environ").read_bytes().decode()
        for secret in SECRETS:
            assert secret not in command
            assert secret not in environ or "services.publisher" in command, command
    readers = [pid for pid, command in pids.items() if "services.port_reader" in command]
    for arguments in [Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0") for pid in readers]:
        [place] = [word.removeprefix("--task=") for word in arguments if word.startswith("--task=")]
        assert written_task(arguments) is not None
        assert Path(place).stat().st_mode & 0o777 == 0o600
    status = subprocess.run(
        [sys.executable, "-m", "services.cli", "status", "--json", "--data-dir", str(running.data_dir)],
        capture_output=True,
        check=False,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert status.returncode == 0, status.stderr
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(30) == 0
    assert "Traceback" not in running.log.read_text()
    written = {path: path.read_bytes() for path in running.data_dir.rglob("*") if path.is_file()}
    for secret in SECRETS:
        assert secret.encode() not in status.stdout
        assert secret not in running.log.read_text()
        for path, content in written.items():
            assert secret.encode() not in content, path


@pytest.mark.parametrize("running", ["file"], indirect=True)
def test_identify_leaves_a_port_alone_that_the_gateway_reads(running: Running) -> None:
    """It says whose it is; two that read one line would each get a part of it."""
    running.platform.wait_connected(NAMES[0], deadline_s=40)
    tried = subprocess.run(
        [
            *[sys.executable, "-m", "services.cli", "identify", str(running.lines[0].path)],
            *["--data-dir", str(running.data_dir)],
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert tried.returncode == 69
    assert f"the running gateway reads it, as device {NAMES[0]}" in tried.stderr
    running.lines[0].write(b"7\n")
    [item] = running.platform.wait_telemetry(NAMES[0], 1)
    assert item["values"] == {"n": 7}


def test_second_gateway_on_the_same_data_is_refused(running: Running) -> None:
    """It names the pid that holds the data, and ends with exit code 69."""
    running.platform.wait_for(lambda _: running.platform.on("v1/gateway/connect", NAMES[0]), "connect", 40)
    second = subprocess.run(
        [
            *[sys.executable, "-m", "services.cli", "run", "--config", str(running.config)],
            *["--data-dir", str(running.data_dir)],
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert second.returncode == 69
    assert str(running.process.pid) in second.stderr


def test_what_is_logged_is_kept_and_shown(tmp_path: Path) -> None:
    """As JSON where that is asked for, of all processes; `serialgw logs` narrows it to one device, also when no
    gateway runs. A call has its id in every line about it."""
    lines = [Line(tmp_path / f"tty{number}") for number in range(2)]
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    devices = [number_device(name, line) for name, line in zip(NAMES, lines, strict=True)]
    devices[1]["serverSideRpc"] = [{"method": "hello", "template": "hello\n"}]
    config = write_config(tmp_path / "config", mosquitto.port, devices)
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "SERIALGW_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "services.cli"]
    log = tmp_path / "run.log"

    def said(*words: str) -> str:
        return subprocess.run(
            [*command, "logs", *words], capture_output=True, text=True, env=environ, check=True
        ).stdout

    with closing(mosquitto, *lines), log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "run", str(config), "--log-format", "json", "--log-level", "debug"],
            stderr=output,
            env=environ,
            cwd=tmp_path,
        )
        try:
            wait_until(lambda: log.read_text().count('"event":"port.opened"') == 2, "both ports are open", 60)
            wait_until(lambda: '"event":"link.up"' in log.read_text(), "the platform is reached", 60)
            call = [*command, "rpc", NAMES[1], "hello"]
            assert subprocess.run(call, env=environ, capture_output=True, check=True).stdout == b'{"success":true}\n'
            lines[0].unplug()
            wait_until(lambda: '"event":"port.lost"' in log.read_text(), "a port was lost", 60)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    told = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    kept = [json.loads(line) for line in said("-n", "10000", "--json").splitlines()]
    assert kept == told
    kinds = {one["process"].partition(":")[0] for one in told}
    assert {"supervisord", "broker", "publisher", "converter", "port_reader"} <= kinds
    others = [line for line in log.read_text().splitlines() if not line.startswith(("{", "serialgw: ", "warning: "))]
    assert others == []
    of_device = [json.loads(line) for line in said(NAMES[0], "--level", "WARNING", "--json").splitlines()]
    assert {one["process"] for one in of_device} == {f"port_reader:{NAMES[0]}"}
    assert "port.lost" in {one["event"] for one in of_device}
    [call_id] = {one["facts"]["id"] for one in told if one.get("event") == "call.begun"}
    steps = [(one["process"], one["event"]) for one in told if one.get("facts", {}).get("id") == call_id]
    reader, publisher = f"port_reader:{NAMES[1]}", "publisher:0"
    begun, asked, ended = ((publisher, f"call.{word}") for word in ("begun", "asked", "ended"))
    assert {begun, asked, (reader, "call.answered"), ended} <= set(steps)
    assert [one for one in (tmp_path / "data" / "log").iterdir() if one.stat().st_mode & 0o077] == []
