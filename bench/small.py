"""Two figures of a small gateway: CPU when idle, and latency at a slow rate. `python -m bench.small [idle|latency]`.

Runs the real gateway on pseudo-terminals with mosquitto; prints one JSON object per scenario.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bench.tree import cpu_clock_s, pss_kib
from tests.e2e.harness import Line, Mosquitto, Platform, number_device, write_config
from tests.e2e.test_run import children


def cpu_s(pids: list[int]) -> float:
    """User and system time that these processes have used. OSError: one of them is gone."""
    return sum(cpu_clock_s(pid) for pid in pids)


def measure_idle(platform: Platform, gateway: subprocess.Popen[bytes], lines: list[Line], seconds: int) -> Any:
    """CPU of all processes together, supervisord included, in percent of one core."""
    pids = children(gateway.pid)
    everyone = [gateway.pid, *pids]
    before_s, start_s = cpu_s(everyone), time.monotonic()
    each = {pid: cpu_s([pid]) for pid in everyone}
    threading.Event().wait(seconds)
    used_s, took_s = cpu_s(everyone) - before_s, time.monotonic() - start_s
    parts: dict[str, float] = {}
    memory: dict[str, int] = {}
    for pid in everyone:
        name = next((word for word in pids.get(pid, "").split() if word.startswith("services.")), "supervisord")
        parts[name] = round(parts.get(name, 0) + cpu_s([pid]) - each[pid], 2)
        memory[name] = max(memory.get(name, 0), pss_kib(pid))
    return {"percent_of_a_core": round(100 * used_s / took_s, 2), "cpu_s": parts, "pss_kib_largest": memory}


def measure_latency(platform: Platform, gateway: subprocess.Popen[bytes], lines: list[Line], seconds: int) -> Any:
    """From the write on the line to the subscriber, ten frames a second on each line, not in step."""
    written: dict[tuple[int, int], float] = {}
    number = 0
    start_s = time.monotonic()
    pause = threading.Event()
    while time.monotonic() - start_s < seconds:
        number += 1
        for index, line in enumerate(lines):
            pause.wait(max(0.0, start_s + number * 0.1 + index * 0.0123 - time.monotonic()))
            written[(index, number)] = time.time()
            line.write(b"%d\n" % number)
    platform.wait_for(lambda _: len(platform.telemetry("press0")) >= number, "the last frames")
    pause.wait(0.5)
    delays = []
    for seen in platform.seen:
        if seen.topic == "v1/gateway/telemetry":
            for device, items in seen.payload.items():
                delays += [seen.at_s - written[(int(device[5:]), item["values"]["n"])] for item in items]
    delays = sorted(delay_s * 1000 for delay_s in delays)
    cuts = statistics.quantiles(delays, n=100)
    return {
        "frames_written": len(written),
        "frames_arrived": len(delays),
        "p50_ms": round(cuts[49], 2),
        "p99_ms": round(cuts[98], 2),
        "max_ms": round(delays[-1], 2),
    }


SCENARIOS = {"idle": (measure_idle, 30), "latency": (measure_latency, 20)}


def run_scenario(name: str, ports: int) -> Any:
    """One scenario on a fresh gateway."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        lines = [Line(folder / f"tty{number}") for number in range(ports)]
        mosquitto = Mosquitto(folder / "mosquitto")
        platform = Platform(mosquitto.port)
        devices = [number_device(f"press{number}", line) for number, line in enumerate(lines)]
        config = write_config(folder / "config", mosquitto.port, devices)
        command = [sys.executable, "-m", "services.cli", "run", "--config", str(config)]
        gateway = subprocess.Popen(
            [*command, "--data-dir", str(folder / "data")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            platform.wait_for(
                lambda _: all(platform.on("v1/gateway/connect", device["name"]) for device in devices), "connect", 60
            )
            threading.Event().wait(3)
            measure, seconds = SCENARIOS[name]
            return measure(platform, gateway, lines, seconds)
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(30)
            platform.close()
            mosquitto.stop()
            for line in lines:
                line.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], help="default: all")
    parser.add_argument("--ports", type=int, default=8)
    arguments = parser.parse_args()
    for name in arguments.scenario or SCENARIOS:
        print(json.dumps({"scenario": name, "ports": arguments.ports, **run_scenario(name, arguments.ports)}))


if __name__ == "__main__":
    main()
