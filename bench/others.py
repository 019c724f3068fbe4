"""Other gateways between the same lines and the same MQTT broker, measured as serialgw is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.harness import WARM_UP_S, Asker, Place, Scenario, make_place
from bench.tree import Spent, tree_pss_mib
from tests.e2e.harness import closing
from tests.support.waiting import wait_until

OTHERS_S: Final = 1.0
REST_S: Final = 3.0
"""When nothing came for so long, nothing more comes."""
MOST_REST_S: Final = 120.0
START_S: Final = 120.0
LOG_BYTES: Final = 4_000


class OtherGateway:
    """Its process, once its log says that it is connected and has all ports open."""

    def __init__(
        self,
        command: list[str],
        log: Path,
        is_ready: Callable[[str], bool],
        environ: dict[str, str] | None = None,
    ) -> None:
        started_s = time.monotonic()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environ or {})},
                cwd=log.parent,
            )

        def ready() -> bool:
            assert self._process.poll() is None, f"{command} ended"
            return is_ready(log.read_text(errors="replace"))

        try:
            wait_until(ready, f"{log.stem}'s start", START_S, every_s=0.05)
        except BaseException:
            self.close()
            print(log.read_text(errors="replace")[-LOG_BYTES:], file=sys.stderr)
            raise
        self.start_s = time.monotonic() - started_s

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)


def measure_other(scenario: Scenario, start: Callable[[Place], OtherGateway], lead_s: float) -> dict[str, Any]:
    """A gateway's row. It may lose frames: what arrives in the measuring time counts."""
    with make_place(scenario) as place, closing(gateway := start(place)):
        asker = place.asker
        threading.Event().wait(WARM_UP_S)
        feeder = place.start_feeder(scenario._replace(seconds=lead_s + scenario.seconds))
        threading.Event().wait(lead_s)
        spent, before = Spent(gateway.pid), asker.ask()
        threading.Event().wait(scenario.seconds)
        during = asker.ask()
        spent.look()
        said = json.loads(feeder.communicate(timeout=MOST_REST_S)[0])["said"]
        pss_mib = tree_pss_mib(gateway.pid)
        after = wait_for_rest(asker, sum(said))
    frames = during["frames"] - before["frames"]
    return {
        "frames_hz": round(frames / (during["at_s"] - before["at_s"])),
        "said": sum(said),
        **{key: during[key] for key in ("p50_ms", "p99_ms", "max_ms")},
        "lost": sum(said) - after["frames"],
        **{key: after[key] for key in ("disordered", "repeats")},
        "frames_a_message": round(during["frames"] / max(1, during["messages"]), 1),
        "cpu_percent": spent.cpu_percent,
        "cpu_us_a_frame": round(spent.cpu_s * 1e6 / max(1, frames), 2),
        "written_bytes_a_frame": round(spent.written_bytes / max(1, frames)),
        "pss_mib": pss_mib,
        "start_s": round(gateway.start_s, 2),
    }


def wait_for_rest(asker: Asker, said: int | None = None) -> dict[str, Any]:
    """What had come when all that was said had come, or no more came."""
    after = asker.ask()
    end_s = time.monotonic() + MOST_REST_S
    while time.monotonic() < end_s and after["frames"] != said:
        threading.Event().wait(REST_S)
        before, after = after, asker.ask()
        if after["messages"] == before["messages"]:
            break
    return after


def others_percent() -> float:
    """How busy the machine is while nothing of ours runs, in percent of all cores; a ratio says little above a few."""

    def read() -> tuple[int, int]:
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]

    (total, idle), _, (total_after, idle_after) = read(), threading.Event().wait(OTHERS_S), read()
    return round(100 - 100 * (idle_after - idle) / max(1, total_after - total), 1)
