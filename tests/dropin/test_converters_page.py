"""docs/converters.md: each complete example does what the page shows, as it stands there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from services.cli.__main__ import main

PAGE = Path(__file__).parents[2] / "docs" / "converters.md"
EXAMPLE = re.compile(r"```python\n# (\S+)\n(.*?)```.*?```json\n(.*?)```.*?```console\n\$ (.*?)\n(.*?)```", re.DOTALL)


def test_the_examples_of_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """The file under its name, the device in the connector's file, the command and what it prints."""
    examples = EXAMPLE.findall(PAGE.read_text())
    assert len(examples) == 2
    monkeypatch.chdir(tmp_path)
    devices = []
    for name, source, device, _, _ in examples:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
        devices.append(json.loads(device))
    (tmp_path / "custom_serial.json").write_text(json.dumps({"name": "serial", "devices": devices}))
    assert main(["check", "custom_serial.json"]) == 0
    capsys.readouterr()
    for *_, command, printed in examples:
        program, *arguments = shlex.split(command)
        assert (program, main(arguments), capsys.readouterr().out.strip()) == ("serialgw", 0, printed.strip())
