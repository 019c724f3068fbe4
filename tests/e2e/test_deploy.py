"""The compose file: accepted by docker-compose, and each of its commands does its part, run as a plain process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.harness import ROOT, Line, Mosquitto, Platform, closing, needs_mosquitto, write_config

COMPOSE = ROOT / "deploy" / "docker-compose.yml"
needs_compose = pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="docker-compose is not installed (apt-get install docker-compose)"
)
TOKEN = "token-of-the-compose-test"


def compose_config(folder: Path, **environ: str) -> dict[str, Any]:
    """What docker-compose makes of the file; fails with its words if it refuses."""
    done = subprocess.run(
        ["docker-compose", "-f", str(COMPOSE), "config"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environ, "SERIALGW_CONFIG": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = yaml.safe_load(done.stdout)
    return content


@needs_compose
def test_only_the_publisher_has_the_token_and_a_network(tmp_path: Path) -> None:
    """Everyone shares the data volume and reads the configuration; nobody can write to it."""
    services = compose_config(tmp_path, TB_GW_ACCESS_TOKEN=TOKEN)["services"]
    assert {name.split("-")[0] for name in services} == {"broker", "monitor", "publisher", "converter", "port"}
    for name, service in services.items():
        expected = TOKEN if name == "publisher" else "withheld"
        assert service["environment"]["TB_GW_ACCESS_TOKEN"] == expected, name
        assert (service["network_mode"] == "none") == (name != "publisher")
        assert "data:/data:rw" in service["volumes"]
        assert f"{tmp_path}:/config:ro" in service["volumes"]
        assert TOKEN not in " ".join(service["command"])


@needs_compose
@needs_mosquitto
def test_a_frame_arrives_through_the_compose_files_own_commands(tmp_path: Path) -> None:
    """Each service's exact command as a process, with /config and /data in a folder of ours; all drain on SIGTERM."""
    line = Line(tmp_path / "ttyUSB0")
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    [device] = json.loads((ROOT / "deploy" / "example" / "custom_serial.json").read_text())["devices"]
    platform_part = {"security": {"type": "accessToken"}}
    write_config(tmp_path / "config", mosquitto.port, [{**device, "port": str(line.path)}], platform_part)
    (tmp_path / "data").mkdir()
    services = compose_config(tmp_path / "config", TB_GW_ACCESS_TOKEN=TOKEN)["services"]
    processes = {name: start(tmp_path, service) for name, service in services.items()}
    with closing(mosquitto, platform, line):
        try:
            platform.wait_connected("SerialDevice1", deadline_s=40)
            line.write(b"48\r2430947595\n")
            [item] = platform.wait_telemetry("SerialDevice1", 1)
            assert item["values"] == {"humidity": 48}
            assert {name: process.poll() for name, process in processes.items()} == dict.fromkeys(processes)
            for process in processes.values():
                process.send_signal(signal.SIGTERM)
            codes = {name: process.wait(30) for name, process in processes.items()}
            assert codes == dict.fromkeys(processes, 0)
        finally:
            for process in processes.values():
                process.kill()
                process.wait()


def start(folder: Path, service: dict[str, Any]) -> subprocess.Popen[bytes]:
    """A service's command on this host: the container's two folders and its Python are replaced, nothing else."""
    places = {"/config": folder / "config", "/data": folder / "data"}
    command = [sys.executable if word == "python" else word for word in service["command"]]
    for inside, outside in places.items():
        command = [f"{outside}{word.removeprefix(inside)}" if word.startswith(inside) else word for word in command]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **service["environment"]}
    return subprocess.Popen(command, env=environ, cwd=folder)
