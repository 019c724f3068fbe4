"""serialgw beside the reference gateway and mosquitto_pub, in one run. `python -m bench.reference`.

The same lines, feeder, MQTT broker and subscriber for each (see `bench.harness`); mosquitto_pub gets ready messages
instead of bytes. Prints a row for each, then the ratios with what is promised of them; writes one file in
bench/results/. Exit 1 if serialgw lost a frame or a promise was not kept.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple

from bench.__main__ import LEAD_S, SCENARIOS, measure
from bench.harness import RESULTS, Asker, Scenario, facts, make_place
from bench.others import measure_other, others_percent, wait_for_rest
from bench.small import cpu_s
from bench.thingsboard_gateway import find_package, start_reference
from tests.e2e.harness import ROOT

COMPARED: Final = ("flat1", "flat8", "slow8")
SHOWN: Final = ("frames_hz", "p50_ms", "p99_ms", "cpu_us_a_frame", "lost", "others_percent")
MESSAGE: Final = b'{"line0":[{"ts":1700000000000,"values":{"humidity":%d.0}}]}\n'
BLOCK: Final = 2_000
"""Messages that mosquitto_pub gets at once; the same again and again."""
Rows = dict[str, dict[str, dict[str, Any]]]
"""By scenario, then by who was measured."""


class Promise(NamedTuple):
    """A ratio of two rows' figures, serialgw's first; without a limit it is only shown."""

    scenario: str
    figure: str
    other: str
    least: float | None = None
    most: float | None = None

    def judge(self, rows: Rows) -> dict[str, Any]:
        """The ratio, and whether it is as promised."""
        figures = rows[self.scenario]
        ratio = figures["serialgw"][self.figure] / figures[self.other][self.figure]
        found = {
            "ratio": f"{self.scenario} {self.figure} serialgw/{self.other}",
            "value": round(ratio, 4 if ratio < 1 else 1),
        }
        if self.least is not None:
            found |= {"least": self.least, "held": ratio >= self.least}
        if self.most is not None:
            found |= {"most": self.most, "held": ratio <= self.most}
        return found


PROMISES: Final = (
    Promise("flat8", "frames_hz", "reference", least=150),
    Promise("flat1", "frames_hz", "reference", least=100),
    Promise("flat1", "frames_hz", "mosquitto_pub", least=2),
    Promise("flat8", "cpu_us_a_frame", "reference", most=0.01),
    Promise("flat1", "cpu_us_a_frame", "reference", most=0.01),
    Promise("flat1", "cpu_us_a_frame", "mosquitto_pub"),
    Promise("slow8", "p50_ms", "reference"),
    Promise("slow8", "cpu_us_a_frame", "reference"),
)


def measure_mosquitto_pub(scenario: Scenario) -> dict[str, Any]:
    """mosquitto_pub's row: one message a frame, counted where they arrive; there are no latencies."""
    program = shutil.which("mosquitto_pub")
    if program is None:
        raise SystemExit("mosquitto_pub is not installed (apt-get install mosquitto-clients)")
    with make_place(scenario) as place:
        asker = place.asker
        command = [program, "-p", str(place.mqtt_port), "-t", "v1/gateway/telemetry", "-q", "1", "-l"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        try:
            warm_up = say_ready_lines(process, asker, 1.0, 0)
            used_s, before = cpu_s([process.pid]), asker.ask()
            said = say_ready_lines(process, asker, scenario.seconds, warm_up)
            during, used_s = asker.ask(), cpu_s([process.pid]) - used_s
            after = wait_for_rest(asker)
        finally:
            process.kill()
            process.wait(10)
    count = during["messages"] - before["messages"]
    return {
        "frames_hz": round(count / (during["at_s"] - before["at_s"])),
        "said": said,
        "lost": said - after["messages"],
        "cpu_us_a_frame": round(used_s * 1e6 / max(1, count), 2),
    }


def say_ready_lines(process: subprocess.Popen[bytes], asker: Asker, seconds: float, said: int) -> int:
    """Never lets it wait for lines, nor far ahead of what arrived: it reads without end. How many were said so far."""
    assert process.stdin is not None
    block = b"".join([MESSAGE % number for number in range(1, BLOCK + 1)])
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        if said - asker.ask()["messages"] < 2 * BLOCK:
            process.stdin.write(block)
            process.stdin.flush()
            said += BLOCK
        else:
            threading.Event().wait(0.005)
    return said


def measure_serialgw(scenario: Scenario) -> dict[str, Any]:
    """serialgw's row; it waits until everything arrived."""
    row = measure(scenario)
    return {**row, "lost": row["missing"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15, help="each measurement (default: %(default)g)")
    parser.add_argument("--no-file", action="store_true", help="print only")
    arguments = parser.parse_args()
    package = find_package()
    start = partial(start_reference, package)
    rows: Rows = {name: {} for name in COMPARED}

    def keep(name: str, of: str, measure_one: Callable[[Scenario], dict[str, Any]]) -> None:
        busy = others_percent()
        row = measure_one(SCENARIOS[name]._replace(seconds=arguments.seconds)) | {"others_percent": busy}
        rows[name][of] = row
        print(json.dumps({"scenario": name, "of": of, **{key: row.get(key) for key in SHOWN}}), flush=True)

    for name in COMPARED:
        keep(name, "reference", partial(measure_other, start=start, lead_s=LEAD_S))
        if name == "flat1":
            keep(name, "mosquitto_pub", measure_mosquitto_pub)
        keep(name, "serialgw", measure_serialgw)
    ratios = [promise.judge(rows) for promise in PROMISES]
    for ratio in ratios:
        print(json.dumps(ratio))
    if not arguments.no_file:
        found = facts()
        found["versions"]["thingsboard-gateway"] = package.version
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"reference-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
        path.write_text(
            json.dumps({**found, "seconds": arguments.seconds, "rows": rows, "ratios": ratios}, indent=1) + "\n"
        )
        print(f"written to {path.relative_to(ROOT)}")
    lost = any(rows[name]["serialgw"]["lost"] or rows[name]["serialgw"]["disordered"] for name in COMPARED)
    return int(lost or not all(ratio.get("held", True) for ratio in ratios))


if __name__ == "__main__":
    sys.exit(main())
