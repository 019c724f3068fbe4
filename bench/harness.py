"""What every scenario stands in: lines, an MQTT broker, a subscriber, whoever talks, the gateway, and what it used."""

from __future__ import annotations

import compileall
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.tree import Spent
from tests.chaos.running import Running
from tests.e2e.harness import MOSQUITTO, ROOT, Line, Mosquitto, closing, free_port, write_config
from tests.support.waiting import wait_until

RESULTS: Final = ROOT / "bench" / "results"
QUEUE_SIZE: Final = 10_000_000
"""A line that is never full says more than the rest can take: what waits must not reach the journal's limit."""
WARM_UP_S: Final = 3.0
BROKER_OPTIONS: Final = "log_type none"
PACKAGES: Final = ("serialgw", "pyzmq", "paho-mqtt", "msgpack", "msgspec")


class Scenario(NamedTuple):
    """What is said to the gateway."""

    lines: int
    rate_hz: float
    """Frames a second on each line; 0: as fast as they are read; below 0: nothing."""
    seconds: float
    converters: int = 2
    shaped: bool = False
    """Frames in binary, of ten data points, with a start, a length and a checksum; else the reference's example."""
    pages: int = 0
    """So many pages of the monitor's are open, all but the first with live frames, and one more that reads nothing."""
    together: bool = False
    """All lines speak at the same moments; else each at its own, spread evenly."""
    waiting_ms: int | None = None
    """`minPackSendDelayMS`; None: the gateway's default."""


def example_device(index: int, line: Line) -> dict[str, Any]:
    """The two data points of the reference's example."""
    return {
        "name": f"line{index}",
        "type": "press",
        "port": str(line.path),
        "firstFrame": "keep",
        "baudrate": 115_200,
        "telemetry": [{"type": "float", "key": "humidity", "untilDelimiter": "\r"}],
        "attributes": [{"type": "string", "key": "SerialNumber", "fromByte": 11, "toByte": -1}],
    }


def shaped_device(index: int, line: Line) -> dict[str, Any]:
    """Ten numbers in binary, in a frame that shows by its start, its length and its checksum that it is one."""
    more = [{"key": f"p{at}", "at": 7 + 2 * at, "type": "uint16"} for at in range(5)]
    scaled = [{"key": f"p{at}", "at": 7 + 2 * at, "type": "int16", "scale": 0.1} for at in range(5, 9)]
    return {
        "name": f"line{index}",
        "type": "meter",
        "port": str(line.path),
        "firstFrame": "keep",
        "baudrate": 115_200,
        "framing": {"start": "hex:AA 55", "length": {"at": 2, "plus": 5}},
        "checksum": {"type": "sum16"},
        "telemetry": [{"key": "humidity", "at": 3, "type": "uint32"}, *more, *scaled],
    }


def start_python(module: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """One of the bench's own processes; its output is a pipe."""
    command = [sys.executable, "-m", module, *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, cwd=ROOT, **options)


class Asker:
    """The subscriber's process."""

    def __init__(self, port: int, clock: Path, lines: int) -> None:
        self._process = start_python("bench.subscriber", str(port), str(clock), str(lines), stdin=subprocess.PIPE)
        self._read()

    def ask(self) -> dict[str, Any]:
        """What came so far."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return dict(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)


class Place(NamedTuple):
    """What is there before any gateway."""

    folder: Path
    lines: list[Line]
    mqtt_port: int
    clock: Path
    asker: Asker
    config: Path
    """serialgw's main file, with all lines."""
    web_port: int
    """Where the monitor's page is."""

    def start_feeder(self, scenario: Scenario) -> subprocess.Popen[bytes]:
        """Talks on all lines for the scenario's time; prints what it said (see `bench.feeder`)."""
        fds = [line.master for line in self.lines]
        kind = "shaped" if scenario.shaped else "lines"
        moments = "together" if scenario.together else "apart"
        arguments = (str(self.clock), str(scenario.seconds), str(scenario.rate_hz), kind, moments, *map(str, fds))
        return start_python("bench.feeder", *arguments, pass_fds=fds)

    def start_pages(self, scenario: Scenario) -> subprocess.Popen[bytes]:
        """The scenario's pages, until their input ends; prints what they were told (see `bench.pages`)."""
        return start_python("bench.pages", str(self.web_port), "line0", str(scenario.pages), stdin=subprocess.PIPE)


class Instruments:
    """The process that talks and answers on all lines. Holds them open, so that they live while nobody reads."""

    def __init__(self, place: Place, rate_hz: float) -> None:
        fds = [line.master for line in place.lines]
        self._slaves = [os.open(line.path, os.O_RDWR | os.O_NOCTTY) for line in place.lines]
        arguments = (str(place.clock), str(rate_hz), *map(str, fds))
        self._process = start_python("bench.devices", *arguments, pass_fds=fds, stdin=subprocess.PIPE)

    def finish(self) -> dict[str, Any]:
        """They fall silent; what they said and answered."""
        return dict(json.loads(self._process.communicate(timeout=60)[0]))

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)
        for slave in self._slaves:
            os.close(slave)


@contextmanager
def make_place(
    scenario: Scenario, more: dict[str, Any] | None = None, options: str = BROKER_OPTIONS
) -> Iterator[Place]:
    """All that a gateway needs around it; `more` is added to each device's configuration, `options` are mosquitto's."""
    for package in ("common", "services"):
        # As an installed gateway is; compiling at each start is 0.4 MB of each process.
        compileall.compile_dir(ROOT / package, quiet=1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        lines = [Line(folder / f"tty{index}") for index in range(scenario.lines)]
        mosquitto = Mosquitto(folder / "mosquitto", options)
        clock = folder / "clock"
        device = shaped_device if scenario.shaped else example_device
        devices = [device(index, line) | (more or {}) for index, line in enumerate(lines)]
        waiting = {} if scenario.waiting_ms is None else {"minPackSendDelayMS": scenario.waiting_ms}
        config = write_config(folder / "config", mosquitto.port, devices, waiting)
        web_port = free_port()
        config.write_text(json.dumps(json.loads(config.read_text()) | {"web": {"port": web_port}}))
        connector = config.with_name("custom_serial.json")
        connector.write_text(json.dumps(json.loads(connector.read_text()) | {"uplinkQueueSize": QUEUE_SIZE}))
        asker = Asker(mosquitto.port, clock, scenario.lines)
        with closing(mosquitto, asker, *lines):
            yield Place(folder, lines, mosquitto.port, clock, asker, config, web_port)


@contextmanager
def gateway(
    scenario: Scenario, more: dict[str, Any] | None = None, options: str = BROKER_OPTIONS
) -> Iterator[tuple[Running, Place]]:
    """Everything, with all ports open; arguments as for `make_place`."""
    with make_place(scenario, more, options) as place:
        running = Running(place.config, place.folder, scenario.converters)
        with closing(running):
            wait_until(
                lambda: running.log.read_text(errors="replace").count("port.opened") == scenario.lines, "ports", 120
            )
            threading.Event().wait(WARM_UP_S)
            yield running, place


class Usage:
    """What the gateway's processes use since a moment: processor time, and bytes sent to the disk."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._spent = Spent(running.pid)

    def look(self) -> None:
        """The end of what is asked for below."""
        self._spent.look()

    def by_service(self) -> dict[str, float]:
        """Percent of a core, all processes of a service together; `supervisor` is who starts them."""
        names = {pid: name.split()[0] for name, pid in self._running.processes().items()}
        used: dict[str, float] = {}
        for pid, used_s in self._spent.cpu_s_by_process.items():
            service = names.get(pid, "supervisor")
            used[service] = used.get(service, 0.0) + used_s
        return {service: round(100 * used_s / self._spent.seconds, 2) for service, used_s in used.items()}

    def written_bytes(self) -> int:
        """What was sent to the disk, by journals above all; 0 where their files are in memory."""
        return self._spent.written_bytes


def facts() -> dict[str, Any]:
    """Where and what was measured."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    model = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    broker = subprocess.run([MOSQUITTO or "mosquitto", "-h"], capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )[0]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "machine": {"cores": os.cpu_count(), "processor": model[0] if model else platform.machine()},
        "kernel": platform.release(),
        "versions": {"python": platform.python_version(), "mosquitto": broker}
        | {package: version(package) for package in PACKAGES},
    }
