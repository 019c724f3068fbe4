"""The compose files: accepted by docker-compose, and each of their commands does its part, run as a plain process."""

from __future__ import annotations

import json
import os
import pwd
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.cli.deploying.compose import ALIVE_FILE, compose_file
from services.cli.deploying.deployment import Deployment
from services.cli.deploying.deployment import Line as PlannedLine
from tests.e2e.harness import ROOT, Line, Mosquitto, Platform, closing, needs_mosquitto, write_config
from tests.support.waiting import wait_until

COMPOSE = ROOT / "deploy" / "docker-compose.yml"
needs_compose = pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="docker-compose is not installed (apt-get install docker-compose)"
)
TOKEN = "token-of-the-compose-test"
FRAMES = 600
MOST_CHECK_S = 0.02
"""CPU of one health check."""


def compose_config(folder: Path, *profiles: str, file: Path = COMPOSE, **environ: str) -> dict[str, Any]:
    """What docker-compose makes of the file; fails with its words if it refuses."""
    done = subprocess.run(
        ["docker-compose", "-f", str(file), *(word for name in profiles for word in ("--profile", name)), "config"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environ, "SERIALGW_CONFIG": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = yaml.safe_load(done.stdout)
    return content


@cache
def own_services(folder: Path) -> dict[str, Any]:
    """The gateway's services, as docker-compose understands them."""
    found = compose_config(folder)["services"]
    return {name: service for name, service in found.items() if "profiles" not in service}


def health_check(alive: Path) -> str:
    """The health check of all services, for a shell, that looks at this file."""
    [check] = {one["healthcheck"]["test"][1] for one in own_services(COMPOSE.parent / "example").values()}
    return str(check).replace("$$", "$").replace(ALIVE_FILE, str(alive))


@needs_compose
def test_only_the_publisher_has_the_token_and_the_platforms_network(tmp_path: Path) -> None:
    """Everyone shares the data volume and reads the configuration; nobody can write to it. The page is for this machine
    alone."""
    services = own_services(tmp_path)
    assert {name.split("-")[0] for name in services} == {"broker", "monitor", "publisher", "converter", "reader"}
    for name, service in services.items():
        environ = service["environment"]
        assert environ.get("TB_GW_ACCESS_TOKEN") == (None if name == "publisher" else "withheld"), name
        assert ("secrets" in service) == (name == "publisher")
        networks = {"publisher": {"platform": None}, "monitor": {"page": None}}.get(name)
        assert service.get("networks") == networks
        assert service.get("network_mode") == (None if networks else "none")
        assert "data:/data:rw" in service["volumes"]
        assert f"{tmp_path}:/config:ro" in service["volumes"]
        assert service.get("ports") == (["127.0.0.1:8484:8484/tcp"] if name == "monitor" else None)


@needs_compose
def test_every_container_may_little(tmp_path: Path) -> None:
    """Those of others, in the profiles, may no more than they need either; none is bigger than it has to be."""
    services = compose_config(tmp_path, "mosquitto", "observe")["services"]
    assert {"mosquitto", "prometheus", "grafana"} < services.keys()
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
        assert "privileged" not in service
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for service in own_services(tmp_path).values():
        assert service["read_only"] is True
        assert service["init"] is True
        assert service["pids_limit"]
        assert f"stat -c %Y {ALIVE_FILE}" in service["healthcheck"]["test"][1]


@needs_compose
def test_what_is_printed_for_odd_names_is_taken_too(tmp_path: Path) -> None:
    """By the docker-compose that has been there longest; `.env.example` names what the file takes."""
    names = ["plain", 'quote " and $DOLLAR', "line\nfeed", "ü€😀", "100% #1: x"]
    lines = tuple(PlannedLine(name, "/dev/ttyUSB0", "ttyUSB0") for name in names)
    file = tmp_path / "compose.yml"
    file.write_text(compose_file(Deployment(Path("/etc/gw/main.json"), lines, ("Board",), secret="TB_GW_PASSWORD")))
    services = compose_config(tmp_path, file=file)["services"]
    devices = [one["command"][-1] for name, one in services.items() if name.startswith("reader")]
    assert {word.replace("$$", "$") for word in devices} == {f"--device={name}" for name in names}
    example = (ROOT / "deploy" / ".env.example").read_text("utf-8")
    named = {row.partition("=")[0] for row in example.splitlines() if "=" in row and not row.startswith("#")}
    text = COMPOSE.read_text("utf-8")
    assert [name for name in named if f"${{{name}" not in text] == ["COMPOSE_PROFILES"]


@contextmanager
def containers(folder: Path, line: Line, mqtt_port: int) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Each service's own command as a process, with /config and /data in a folder of ours; killed in the end."""
    [device] = json.loads((ROOT / "deploy" / "example" / "custom_serial.json").read_text())["devices"]
    platform_part = {"security": {"type": "accessToken"}}
    write_config(folder / "config", mqtt_port, [{**device, "port": str(line.path)}], platform_part)
    (folder / "data").mkdir()
    (folder / "access_token").write_text(f"{TOKEN}\n")
    processes = {name: start(folder, service, name) for name, service in own_services(folder / "config").items()}
    try:
        yield processes
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def start(folder: Path, service: dict[str, Any], name: str) -> subprocess.Popen[bytes]:
    """A service's command on this host: the container's folders, its secret and its Python are replaced, no more."""
    places = {"/config": folder / "config", "/data": folder / "data", "/run/secrets": folder}
    places[Path(ALIVE_FILE).as_posix()] = folder / f"{name}.alive"

    def outside(word: str) -> str:
        inside = next((one for one in places if word == one or word.startswith(f"{one}/")), "")
        return f"{places[inside]}{word.removeprefix(inside)}" if inside else word

    command = [sys.executable if word == "python" else outside(word) for word in service["command"]]
    told = {key: outside(value) for key, value in service["environment"].items()}
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **told, "SERIALGW_WEB": "off"}
    return subprocess.Popen(command, env=environ, cwd=folder)


@needs_compose
@needs_mosquitto
def test_a_frame_arrives_through_the_compose_files_own_commands(tmp_path: Path) -> None:
    """Each service's exact command as a process; each is healthy meanwhile, and drains on SIGTERM."""
    line = Line(tmp_path / "ttyUSB0")
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    with closing(mosquitto, platform, line), containers(tmp_path, line, mosquitto.port) as processes:
        platform.wait_connected("SerialDevice1", deadline_s=40)
        line.write(b"48\r2430947595\n")
        [item] = platform.wait_telemetry("SerialDevice1", 1)
        assert item["values"] == {"humidity": 48}
        assert {name: process.poll() for name, process in processes.items()} == dict.fromkeys(processes)
        for name in processes:
            wait_until(partial(is_healthy, tmp_path / f"{name}.alive"), f"{name} is healthy")
        for process in processes.values():
            process.send_signal(signal.SIGTERM)
        codes = {name: process.wait(30) for name, process in processes.items()}
        assert codes == dict.fromkeys(processes, 0)
        assert not any(is_healthy(tmp_path / f"{name}.alive") for name in processes)


def is_healthy(alive: Path) -> bool:
    """What the health check says, run by a shell as Docker runs it."""
    command = ["/bin/sh", "-c", health_check(alive)]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


@needs_compose
def test_who_stands_still_is_unhealthy(tmp_path: Path) -> None:
    """And so is who has never gone round."""
    alive = tmp_path / "alive"
    assert not is_healthy(alive)
    alive.touch()
    assert is_healthy(alive)
    old_s = time.time() - 25
    os.utime(alive, (old_s, old_s))
    assert not is_healthy(alive)


@pytest.mark.alone
@needs_compose
def test_a_health_check_costs_a_shell_and_no_python() -> None:
    """At most 20 ms of CPU: 64 containers that are looked at each half minute are to cost little."""
    command, rounds = health_check(COMPOSE), 20
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(rounds):
        subprocess.run(["/bin/sh", "-c", command], timeout=30, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert spent_s / rounds <= MOST_CHECK_S, f"{spent_s / rounds * 1000:.1f} ms"


@needs_compose
@needs_mosquitto
def test_converters_from_one_to_four_and_back_lose_nothing(tmp_path: Path) -> None:
    """As `docker-compose up --scale converter=N` does it: the same command once more, each with the first place that is
    free, and SIGTERM to those that go; frames come all the time."""
    line = Line(tmp_path / "ttyUSB0")
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    service = own_services(tmp_path / "config")["converter"]
    with closing(mosquitto, platform, line), containers(tmp_path, line, mosquitto.port) as processes:
        platform.wait_connected("SerialDevice1", deadline_s=40)

        def say(begin: int) -> None:
            for number in range(begin, begin + FRAMES // 3):
                line.write(b"%d\r2430947595\n" % number)

        say(0)
        for number in range(2, 5):
            processes[f"converter_{number}"] = start(tmp_path, service, f"converter_{number}")
        wait_until(lambda: len(list(tmp_path.glob("converter*.alive"))) == 4, "four converters go round")
        assert len(list((tmp_path / "data").glob("converter-*.notes"))) == 4
        say(FRAMES // 3)
        for number in range(2, 5):
            processes[f"converter_{number}"].send_signal(signal.SIGTERM)
        say(FRAMES // 3 * 2)
        assert [processes[f"converter_{number}"].wait(30) for number in range(2, 5)] == [0, 0, 0]
        items = platform.wait_telemetry("SerialDevice1", FRAMES, deadline_s=60)
        assert [item["values"]["humidity"] for item in items] == list(range(FRAMES))


@needs_mosquitto
def test_the_printed_sections_run_a_gateway_under_a_supervisord_of_somebodys_own(tmp_path: Path) -> None:
    """As they are printed, for the user who runs it; each has its file while it goes round; all drain."""
    line = Line(tmp_path / "ttyUSB0")
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    [device] = json.loads((ROOT / "deploy" / "example" / "custom_serial.json").read_text())["devices"]
    security = {"security": {"type": "accessToken", "accessToken": TOKEN}}
    config = write_config(tmp_path / "config", mosquitto.port, [{**device, "port": str(line.path)}], security)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "services.cli", "deploy", "supervisor", "--config", str(config), "--data-dir"]
    printed = subprocess.run([*words, str(tmp_path / "data")], capture_output=True, timeout=60, env=environ, check=True)
    me = pwd.getpwuid(os.geteuid()).pw_name
    conf = tmp_path / "supervisord.conf"
    places = f"logfile={tmp_path}/log\npidfile={tmp_path}/pid\nchildlogdir={tmp_path}\n"
    sections = printed.stdout.decode().replace("user=serialgw", f"user={me}")
    conf.write_text(f"[supervisord]\nnodaemon=true\nuser={me}\n{places}{sections}")
    command = [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(conf)]
    top = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    with closing(mosquitto, platform, line), top:
        try:
            platform.wait_connected("SerialDevice1", deadline_s=60)
            alive = tmp_path / "data" / "run" / "alive"
            names = {"broker-0", "monitor-0", "publisher-0", "converter-0", "converter-1", "port_reader-SerialDevice1"}
            wait_until(lambda: {path.name for path in alive.iterdir()} == names, "all six go round")
            line.write(b"48\r2430947595\n")
            platform.wait_telemetry("SerialDevice1", 1)
            top.send_signal(signal.SIGTERM)
            assert top.wait(60) == 0
            assert list(alive.iterdir()) == []
        finally:
            top.kill()
