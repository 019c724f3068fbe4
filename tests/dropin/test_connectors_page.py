"""docs/connectors.md: the complete example does what the page shows, as it stands there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from services.cli.__main__ import main
from tests.e2e.harness import Gateway, Mosquitto, Platform, closing, needs_mosquitto
from tests.support.hosting import start_hosts

PAGE = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text()


def write_example(folder: Path) -> None:
    """The files of the page, under their names."""
    name, source = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)[0]
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text(source)
    whole, own = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    (folder / "tb_gateway.json").write_text(whole)
    (folder / "thermal.json").write_text(own)


def test_what_check_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command and what it prints."""
    write_example(tmp_path)
    monkeypatch.chdir(tmp_path)
    [(command, printed)] = re.findall(r"```console\n\$ (.*?)\n(.*?)```", PAGE, re.DOTALL)
    program, *arguments = shlex.split(command)
    assert (program, main(arguments)) == ("serialgw", 0)
    assert capsys.readouterr().out.strip() == printed.strip()


@needs_mosquitto
def test_the_example_runs(tmp_path: Path) -> None:
    """With another broker's port, and a file that this machine has."""
    write_example(tmp_path)
    broker = Mosquitto(tmp_path / "mqtt")
    whole = json.loads((tmp_path / "tb_gateway.json").read_text())
    whole["thingsboard"] = {"host": "127.0.0.1", "port": broker.port}
    (tmp_path / "tb_gateway.json").write_text(json.dumps(whole))
    own = json.loads((tmp_path / "thermal.json").read_text())
    (tmp_path / "temp").write_text("41500\n")
    (tmp_path / "thermal.json").write_text(json.dumps({**own, "file": str(tmp_path / "temp")}))
    platform = Platform(broker.port)
    gateway = Gateway(tmp_path, tmp_path / "tb_gateway.json")
    with closing(broker, platform, gateway):
        start_hosts(gateway, "Board")
        [item, *_] = platform.wait_telemetry("Board temperature", 1)
        assert item["values"] == {"temperature": 41.5}
        assert platform.call("Board temperature", "read", None, 1) == {"temperature": 41.5}
        platform.say("v1/gateway/attributes", {"device": "Board temperature", "data": {"period": 0.01}})
        platform.wait_telemetry("Board temperature", 20)
        assert gateway.stop()["Board"] == 0
