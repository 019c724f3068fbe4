"""The monitor as the Compose file starts it: on all addresses of its container, asked by the names that others have."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from common.config.findings import Findings
from common.config.json_object import JsonObject
from common.config.web_reading import read_web
from tests.support.waiting import wait_until
from tests.web.test_server import free_port

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
EXAMPLE = DEPLOY / "example" / "tb_gateway.json"


def test_prometheus_and_a_browser_reach_it(tmp_path: Path) -> None:
    """Both with a token or a login alone; under no other name than that of its service."""
    service = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text("utf-8"))["services"]["monitor"]
    target = yaml.safe_load((DEPLOY / "observe" / "prometheus.yml").read_text("utf-8"))["scrape_configs"][0]
    [name] = target["static_configs"][0]["targets"]
    token = tmp_path / "data" / target["authorization"]["credentials_file"].removeprefix("/data/")
    port = free_port()
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **service["environment"]}
    assert environ["SERIALGW_WEB"] == "0.0.0.0:8484"
    environ |= {"SERIALGW_WEB": f"0.0.0.0:{port}", "SERIALGW_ALIVE_FILE": str(tmp_path / "alive")}
    command = [sys.executable, "-P", "-m", "services.monitor", "--config", str(EXAMPLE), "--data-dir"]

    def ask(host: str, path: str, secret: str = "") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path, headers={"Host": host, **({"Authorization": secret} if secret else {})})
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    with subprocess.Popen([*command, str(tmp_path / "data")], env=environ, stderr=subprocess.DEVNULL) as monitor:
        try:
            wait_until(lambda: ask("localhost", "/healthz"), "the monitor answers", 40)
            bearer = f"Bearer {token.read_text().strip()}"
            assert ask(name, "/metrics", bearer) == 200
            assert ask(name, "/metrics") == 401
            assert ask("evil.example", "/metrics", bearer) == 421
            assert ask("127.0.0.1:8484", "/api/status") == 401
            assert ask("127.0.0.1:8484", "/api/status", bearer) == 200
        finally:
            monitor.kill()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (apt-get install prometheus)")
def test_prometheus_takes_its_configuration() -> None:
    """Without looking for the token, which is in a volume."""
    place = str(DEPLOY / "observe" / "prometheus.yml")
    done = subprocess.run(
        ["promtool", "check", "config", "--syntax-only", place], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("said", "hosts"),
    [
        ("", ("gw.example.org",)),
        ("monitor", ("gw.example.org", "monitor")),
        (" a , b,, ", ("gw.example.org", "a", "b")),
        (",".join(f"h{number}" for number in range(99)), ("gw.example.org", *(f"h{number}" for number in range(64)))),
    ],
)
def test_names_of_the_environment_come_to_those_of_the_file(said: str, hosts: tuple[str, ...]) -> None:
    """As many as a file may have."""
    findings = Findings()
    top = JsonObject({"web": {"hosts": ["gw.example.org"]}}, "main.json", "", findings)
    assert read_web(top, {"SERIALGW_WEB_HOSTS": said}, findings).hosts == hosts
    assert findings.problems == []
