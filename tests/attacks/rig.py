"""A whole gateway under `serialgw run`, with lines that talk, a real MQTT broker, and an eye on what arrives when."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.feeding import Feeder, first_values
from tests.e2e.harness import ROOT, Line, Mosquitto, Platform, number_device, write_config
from tests.e2e.test_run import children
from tests.support.waiting import wait_until

LATE_S = 1.0
"""A frame that takes longer was held up."""


class Rig:
    """One gateway; `devices` are called press0, press1 …"""

    def __init__(
        self, folder: Path, devices: Sequence[dict[str, Any]], mqtt_port: int, *, platform: dict[str, Any] | None = None
    ) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.names = [device["name"] for device in devices]
        self.config = write_config(folder / "config", mqtt_port, list(devices), platform)
        self.log = folder / "run.log"
        self.environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, stderr: int | None = None, **options: Any) -> None:
        """`serialgw run`; its words go to `log`, or to this descriptor."""
        command = [sys.executable, "-m", "services.cli", "run", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--data-dir", str(self.data_dir), *arguments],
                stdout=subprocess.DEVNULL,
                stderr=log if stderr is None else stderr,
                env=self.environ,
                cwd=self.folder,
                **options,
            )

    @property
    def pids(self) -> dict[str, int]:
        """Pid by name, such as `broker`, `converter-0`, `press0`; those that have become what they are."""
        assert self.process is not None
        return service_pids(self.process.pid)

    def wait_for(self, *names: str) -> dict[str, int]:
        """The pids of these, when all are there."""
        return wait_until(lambda: pids if set(names) <= (pids := self.pids).keys() else None, f"{names} run", 30)

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Sends a signal to the process of this name; its pid."""
        pid = self.wait_for(name)[name]
        os.kill(pid, number)
        return pid

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `serialgw` on this gateway."""
        return subprocess.run(
            [sys.executable, "-m", "services.cli", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={**self.environ, "SERIALGW_DATA_DIR": str(self.data_dir)},
            cwd=self.folder,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """What `serialgw status --json` says; {} while nobody answers."""
        try:
            return dict(json.loads(self.cli("status", "--json").stdout))
        except ValueError:
            return {}

    def stop(self, deadline_s: float = 40.0) -> int:
        """SIGTERM to the top; its exit code. Whatever is left is killed."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        left = list(children(self.process.pid))
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            return self.process.wait(10)

    close = stop


def service_pids(top: int) -> dict[str, int]:
    """The services among the children of a process, by name."""
    found = {}
    for pid, command in children(top).items():
        words = command.split()
        service = next((word.removeprefix("services.") for word in words if word.startswith("services.")), "")
        if not service or service.startswith("cli"):
            continue
        if service == "converter":
            service += f"-{words[words.index('--slot') + 1]}"
        device = [word.partition("=")[2] for word in words if word.startswith("--device=")]
        found[device[0] if device else service] = pid
    return found


@contextmanager
def gateway(
    tmp_path: Path, devices: int = 2, *, sections: Sequence[dict[str, Any]] = (), **options: Any
) -> Iterator[tuple[Rig, list[Line], Platform, Mosquitto]]:
    """(rig, lines, platform, MQTT broker), not started yet. `sections` are laid over the devices' own."""
    with ExitStack() as stack:
        lines = [Line(tmp_path / f"tty{number}") for number in range(devices)]
        for line in lines:
            stack.callback(line.close)
        mosquitto = Mosquitto(tmp_path / "mosquitto")
        stack.callback(mosquitto.stop)
        platform = Platform(mosquitto.port)
        stack.callback(platform.close)
        made = [number_device(f"press{number}", line) for number, line in enumerate(lines)]
        for device, section in zip(made, sections, strict=False):
            device.update(section)
        rig = Rig(tmp_path, made, mosquitto.port, **options)
        stack.callback(rig.stop)
        yield rig, lines, platform, mosquitto


def share_late(platform: Platform, device: str, feeder: Feeder, since: int = 0) -> float:
    """The share of a device's frames, from number `since` on, that came more than LATE_S after they were read."""
    items = platform.telemetry(device)
    arrived: dict[int, float] = {}
    for seen in list(platform.seen):
        if seen.topic == "v1/gateway/telemetry" and device in seen.payload:
            for item in seen.payload[device]:
                arrived.setdefault(item["values"]["n"], seen.at_s - item["ts"] / 1000)
    assert len(items) >= len(arrived)
    delays = [delay_s for number, delay_s in arrived.items() if number > since]
    return sum(delay_s > LATE_S for delay_s in delays) / max(1, feeder.written - since)


def wait_arrived(platform: Platform, device: str, feeder: Feeder, deadline_s: float = 40.0) -> None:
    """Until everything that a feeder has written has arrived, each once and in order."""
    wait_until(
        lambda: first_values(platform.telemetry(device)) == list(range(1, feeder.count + 1)),
        f"{feeder.count} frames of {device}",
        deadline_s,
        0.2,
    )


def seconds() -> float:
    return time.monotonic()
