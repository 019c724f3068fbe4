"""What the gateway costs and how fast it is. `python -m bench [SCENARIO ...]`; `make bench` runs all.

The real gateway under supervisord on pseudo-terminals, with mosquitto, a feeder and a subscriber in processes of their
own, all on this machine; journal on, settled only by the platform's acceptance. One row for each scenario, and one file
in bench/results/ with the machine, the versions and the commit. Exit 1 if a frame was missing or out of order.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.feeder import FRAME_BYTES
from bench.small import cpu_s, pss_kib
from services.cli.client import Client, json_of
from tests.chaos.running import Running
from tests.e2e.harness import MOSQUITTO, ROOT, Line, Mosquitto, closing, write_config
from tests.waiting import wait_until

RESULTS: Final = ROOT / "bench" / "results"
QUEUE_SIZE: Final = 10_000_000
"""A line that is never full says more than the rest can take: what waits must not reach the journal's limit."""
WARM_UP_S: Final = 3.0
PACKAGES: Final = ("serialgw", "pyzmq", "paho-mqtt", "msgpack", "msgspec")


class Scenario(NamedTuple):
    """What is said to the gateway."""

    lines: int
    rate_hz: float
    """Frames a second on each line; 0: as fast as they are read."""
    seconds: float
    converters: int = 2


SCENARIOS: Final = {
    "flat8": Scenario(8, 0, 15),
    "flat1": Scenario(1, 0, 15),
    "full64": Scenario(64, 480, 60),
    "full1": Scenario(1, 480, 20),
    "slow8": Scenario(8, 10, 30),
    "idle8": Scenario(8, -1, 30),
    "idle64": Scenario(64, -1, 30),
    "load1": Scenario(1, 10_000, 15),
    "load64": Scenario(64, 10_000 / 64, 15),
}


def example_device(index: int, line: Line) -> dict[str, Any]:
    """The two data points of the reference's example."""
    return {
        "name": f"line{index}",
        "type": "press",
        "port": str(line.path),
        "firstFrame": "keep",
        "telemetry": [{"type": "float", "key": "humidity", "untilDelimiter": "\r"}],
        "attributes": [{"type": "string", "key": "SerialNumber", "fromByte": 11, "toByte": -1}],
    }


class Asker:
    """The subscriber's process."""

    def __init__(self, port: int, clock: Path, lines: int) -> None:
        self._process = _python("bench.subscriber", str(port), str(clock), str(lines), stdin=subprocess.PIPE)
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


def _python(module: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", module, *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, cwd=ROOT, **options)


class Usage:
    """The CPU time of the gateway's processes since a moment."""

    def __init__(self, running: Running) -> None:
        self._before = {name: cpu_s([pid]) for name, pid in running.processes().items()}
        self._running = running
        self._start_s = time.monotonic()

    def by_service(self) -> dict[str, float]:
        """Percent of a core, all processes of a service together."""
        took_s = time.monotonic() - self._start_s
        used: dict[str, float] = {}
        for name, pid in self._running.processes().items():
            service = name.split()[0]
            used[service] = used.get(service, 0.0) + cpu_s([pid]) - self._before.get(name, 0.0)
        return {service: round(100 * used_s / took_s, 2) for service, used_s in used.items()}


@contextmanager
def gateway(scenario: Scenario) -> Iterator[tuple[Running, list[Line], Asker, Path]]:
    """Everything, with all ports open."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        lines = [Line(folder / f"tty{index}") for index in range(scenario.lines)]
        mosquitto = Mosquitto(folder / "mosquitto", "log_type none")
        clock = folder / "clock"
        devices = [example_device(index, line) for index, line in enumerate(lines)]
        config = write_config(folder / "config", mosquitto.port, devices)
        connector = config.with_name("custom_serial.json")
        connector.write_text(json.dumps(json.loads(connector.read_text()) | {"uplinkQueueSize": QUEUE_SIZE}))
        asker = Asker(mosquitto.port, clock, scenario.lines)
        running = Running(config, folder, scenario.converters)
        with closing(mosquitto, asker, *lines, running):
            wait_until(
                lambda: running.log.read_text(errors="replace").count("port.opened") == scenario.lines, "ports", 120
            )
            threading.Event().wait(WARM_UP_S)
            yield running, lines, asker, clock


def measure(scenario: Scenario) -> dict[str, Any]:
    """One scenario's row."""
    with gateway(scenario) as (running, lines, asker, clock):
        if scenario.rate_hz < 0:
            usage = Usage(running)
            threading.Event().wait(scenario.seconds)
            return {**_cost(usage.by_service(), None), "memory": memory(running)}
        fds = [line.master for line in lines]
        usage, before = Usage(running), asker.ask()
        arguments = (str(clock), str(scenario.seconds), str(scenario.rate_hz), *map(str, fds))
        feeder = _python("bench.feeder", *arguments, pass_fds=fds)
        threading.Event().wait(scenario.seconds)
        during, cpu = asker.ask(), usage.by_service()
        said = json.loads(feeder.communicate(timeout=60)[0])["said"]
        size = memory(running)
        wait_until(lambda: asker.ask()["highest"] == said, "everything arrived", 600, every_s=0.1)
        after = asker.ask()
        rate_hz = (during["frames"] - before["frames"]) / (during["at_s"] - before["at_s"])
        return {
            "frames_hz": round(rate_hz),
            "megabytes_hz": round(rate_hz * FRAME_BYTES / 1e6, 2),
            "said": sum(said),
            "behind": sum(said) - during["frames"],
            "drained_s": round(after["at_s"] - during["at_s"], 2),
            **{key: during[key] for key in ("p50_ms", "p99_ms", "max_ms")},
            **{key: after[key] for key in ("missing", "disordered", "repeats")},
            "frames_a_message": round(during["frames"] / max(1, during["messages"]), 1),
            **_cost(cpu, rate_hz),
            "memory": size,
            "counters": counters(running),
        }


def _cost(cpu: dict[str, float], rate_hz: float | None) -> dict[str, Any]:
    total = sum(cpu.values())
    found: dict[str, Any] = {"cpu_percent": round(total, 2), "cpu_percent_by_service": cpu}
    return {**found, "cpu_us_a_frame": round(total * 10_000 / rate_hz, 2)} if rate_hz else found


def memory(running: Running) -> dict[str, Any]:
    """PSS by service: the median process's, in MiB."""
    sizes: dict[str, list[float]] = {}
    for name, pid in running.processes().items():
        sizes.setdefault(name.split()[0], []).append(pss_kib(pid) / 1024)
    return {service: round(sorted(found)[len(found) // 2], 1) for service, found in sizes.items()}


def counters(running: Running) -> dict[str, dict[str, int]]:
    """The counters that tell how many messages and commits the frames took, by kind of process."""
    with Client(running.data_dir) as client:
        processes = json.loads(json_of(client.call("monitor:0", "status", "", b"", 5.0)))["processes"]
    total: dict[str, dict[str, int]] = {}
    for process in processes:
        of_kind = total.setdefault(process["kind"], {})
        for name, value in process["counters"].items():
            of_kind[name] = of_kind.get(name, 0) + value
    wanted = {
        "port_reader": ("frames_read", "journal_commits", "batches_sent", "frames_resent", "reports", "wakeups"),
        "publisher": ("readings_accepted", "publishes"),
        "broker": ("batches_in", "batches_out"),
    }
    return {kind: {name: total[kind].get(name, 0) for name in names} for kind, names in wanted.items() if kind in total}


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", help=f"some of {', '.join(SCENARIOS)} (default: all)")
    parser.add_argument("--seconds", type=float, help="each, instead of its own")
    parser.add_argument("--no-file", action="store_true", help="print only")
    arguments = parser.parse_args()
    if unknown := set(arguments.scenario) - SCENARIOS.keys():
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    rows: dict[str, Any] = {}
    for name in arguments.scenario or SCENARIOS:
        scenario = SCENARIOS[name]
        if arguments.seconds:
            scenario = scenario._replace(seconds=arguments.seconds)
        rows[name] = {**scenario._asdict(), **measure(scenario)}
        print(json.dumps({"scenario": name, **rows[name]}), flush=True)
    if not arguments.no_file:
        RESULTS.mkdir(exist_ok=True)
        found = {**facts(), "rows": rows}
        path = RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
        path.write_text(json.dumps(found, indent=1) + "\n")
        print(f"written to {path.relative_to(ROOT)}")
    return int(any(row.get("missing") or row.get("disordered") for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
