"""A gateway with hosted connectors, as tests start it: the main file, the connector's files, the processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.harness import ROOT, Gateway
from tests.support.waiting import wait_until

CONNECTORS = Path(__file__).parents[1] / "dropin" / "cases" / "connectors"
"""A configuration folder's extensions, each connector in the style of one that was published."""


def write_connectors(
    folder: Path, mqtt_port: int, connectors: dict[str, tuple[str, str, Any]], extensions: Path = CONNECTORS
) -> Path:
    """A main file with these connectors, by name: (type, class, what its file says). The main file's path."""
    folder.mkdir(exist_ok=True)
    shutil.copytree(extensions / "extensions", folder / "extensions", dirs_exist_ok=True)
    entries = []
    for name, (kind, class_name, config) in connectors.items():
        file = f"{name.replace(' ', '_').lower()}.json"
        text = config if isinstance(config, str) else json.dumps(config)
        (folder / file).write_text(text)
        entries.append({"name": name, "type": kind, "class": class_name, "configuration": file})
    main = {"thingsboard": {"host": "127.0.0.1", "port": mqtt_port}, "connectors": entries}
    (folder / "tb_gateway.json").write_text(json.dumps(main, indent=2))
    return folder / "tb_gateway.json"


def start_hosts(gateway: Gateway, *connectors: str) -> None:
    """The whole gateway with a host for each of these."""
    gateway.start_all([])
    for name in connectors:
        gateway.start(name, "connector_host", "--connector", name)


class Whole:
    """`serialgw run`, which starts again what ends."""

    def __init__(self, folder: Path, config: Path, environ: dict[str, str] | None = None) -> None:
        self._environ = {**os.environ, **(environ or {}), "PYTHONPATH": str(ROOT)}
        self._folder = folder
        self.data_dir = folder / "data"
        self.log = folder / "run.log"
        command = [sys.executable, "-m", "services.cli", "run", "--config", str(config), "--converters", "1"]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--data-dir", str(self.data_dir)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environ,
                cwd=folder,
            )

    def status(self) -> dict[str, Any]:
        """What `serialgw status --json` says; {} while nobody answers."""
        answer = subprocess.run(
            [sys.executable, "-m", "services.cli", "status", "--json", "--data-dir", str(self.data_dir)],
            capture_output=True,
            text=True,
            timeout=60,
            env=self._environ,
            cwd=self._folder,
            check=False,
        )
        try:
            return dict(json.loads(answer.stdout))
        except ValueError:
            return {}

    def state(self, device: str) -> dict[str, Any]:
        """A device's row, or a hosted connector's; {} where there is none."""
        return next((row for row in self.status().get("devices", []) if row["name"] == device), {})

    def wait_state(self, device: str, *words: str, deadline_s: float = 40.0) -> str:
        """Until it is in one of these states; the reason that status gives."""

        def found() -> dict[str, Any] | None:
            row = self.state(device)
            return row if row.get("state") in words else None

        return str(wait_until(found, f"{device} is {' or '.join(words)}", deadline_s, 0.5)["reason"])

    def close(self) -> None:
        """Ctrl-C, and waits for the end."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
