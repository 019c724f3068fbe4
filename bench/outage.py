"""The platform away, and back. `python -m bench.outage --minutes 10 --rate 5000`.

Eight lines go on talking while the MQTT broker is stopped, and when it is there again. Prints one JSON object: what was
lost or out of order, how fast the backlog went, the memory of all processes. Exit 1 unless nothing was lost, order was
kept, the backlog went at 5 times the rate at which it came, and memory was flat.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bench.small import cpu_s
from tests.chaos.counting import Counter
from tests.chaos.running import MIB, Memory, Running
from tests.e2e.harness import Line, Mosquitto, closing, number_device, write_config
from tests.support.waiting import wait_until

LINES = 8
CONVERTERS = 2
STEP_S = 0.02
MOST_STEP_S = 0.5
BEFORE_S = 10
AFTER_S = 10
DRAIN_TIMES = 5
QUEUE_SIZE = 10_000_000


class Feed:
    """Says numbers at a rate, in writes of what was due within a step."""

    def __init__(self, line: Line, rate_hz: float) -> None:
        self.written = 0
        self._line = line
        self._rate_hz = rate_hz
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        said, last_s = 0.0, time.monotonic()
        while not self._stop.wait(STEP_S):
            # A line that was held up does not catch up: above 1,000 frames/s timestamps have to repeat.
            elapsed_s, last_s = time.monotonic() - last_s, time.monotonic()
            said += min(elapsed_s, MOST_STEP_S) * self._rate_hz
            due = int(said)
            self._line.write(b"".join([b"%d\n" % number for number in range(self.written + 1, due + 1)]))
            self.written = due


class Outage:
    """The gateway, its lines, and the MQTT broker that goes away."""

    def __init__(self, folder: Path, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._names = [f"press{number}" for number in range(LINES)]
        self._lines = [Line(folder / f"tty{name}") for name in self._names]
        self._mosquitto = Mosquitto(folder / "mosquitto", "autosave_interval 0")
        self._counter = Counter(self._mosquitto.port, self._names)
        devices = [number_device(name, line) for name, line in zip(self._names, self._lines, strict=True)]
        config = write_config(folder / "config", self._mosquitto.port, devices)
        connector = config.with_name("custom_serial.json")
        connector.write_text(json.dumps(json.loads(connector.read_text()) | {"uplinkQueueSize": QUEUE_SIZE}))
        self._running = Running(config, folder, CONVERTERS)
        self._memory = Memory(self._running)
        self._feeds: list[Feed] = []

    @property
    def _written(self) -> int:
        return sum(feed.written for feed in self._feeds)

    @property
    def _accepted(self) -> int:
        return sum(account.accepted for account in self._counter.accounts.values())

    def run(self, outage_s: float) -> dict[str, Any]:
        """The whole course; the figures."""
        with closing(self._mosquitto, self._counter, *self._lines, self._running):
            wait_until(lambda: len(self._running.processes()) == 3 + CONVERTERS + LINES, "all processes", 60)
            wait_until(lambda: self._opened() == LINES, "all ports open", 60)
            self._memory = Memory(self._running)
            self._feeds = [Feed(line, self._rate_hz / LINES) for line in self._lines]
            with closing(*self._feeds):
                self._watch(BEFORE_S)
                live = self._accepted
                start_s = time.monotonic()
                self._mosquitto.stop()
                self._watch(outage_s)
                assert "journal.full" not in self._running.log.read_text(errors="replace"), "the limits are too low"
                memory = self._memory_of(outage_s)
                backlog = self._written - self._accepted
                drain = self._drain(backlog)
                self._watch(AFTER_S)
            wait_until(lambda: self._accepted == self._written, "all frames accepted", 120)
            return {
                "rate_hz": self._rate_hz,
                "before_hz": round(live / BEFORE_S),
                "outage_s": round(time.monotonic() - start_s),
                "backlog": backlog,
                **drain,
                "frames_written": self._written,
                "missing": self._written - self._accepted,
                "repeats": sum(account.repeats for account in self._counter.accounts.values()),
                "faults": self._counter.faults[:5],
                **memory,
                "memory_mib_in_the_end": self._sizes(),
            }

    def _opened(self) -> int:
        return self._running.log.read_text(errors="replace").count("port.opened")

    def _watch(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        pause = threading.Event()
        while time.monotonic() < end_s:
            self._memory.sample()
            pause.wait(0.2)

    def _sizes(self) -> dict[str, float]:
        return {name: round(size / MIB, 1) for name, size in self._memory.latest().items()}

    def _memory_of(self, outage_s: float) -> dict[str, Any]:
        """Each process early and late in the outage: its second minute, or second sixth if it is short, and the end."""
        span_s = min(60.0, outage_s / 6)
        start_s = BEFORE_S + span_s
        grown = {}
        for window in self._memory.between(start_s, BEFORE_S + outage_s - span_s, span_s):
            if not window.is_flat:
                grown[window.name] = [round(window.second_bytes / MIB, 1), round(window.last_bytes / MIB, 1)]
        return {"memory_mib": self._sizes(), "memory_grown_mib": grown}

    def _drain(self, backlog: int) -> dict[str, Any]:
        """The MQTT broker comes back, and the backlog goes; the rate counts from then on, reconnection included."""
        before = self._accepted
        pids = self._running.processes()
        used_s = {name: cpu_s([pid]) for name, pid in pids.items()}
        back_s = time.monotonic()
        self._mosquitto.start()
        wait_until(lambda: self._accepted > before, "the first frame after the outage", 60)
        first_s = time.monotonic()
        # What comes meanwhile goes through too; it is drained when no more waits than comes within a second.
        pause = threading.Event()
        while self._written - self._accepted > self._rate_hz:
            self._memory.sample()
            pause.wait(0.05)
            assert time.monotonic() < back_s + 600, f"{self._written - self._accepted} frames still wait"
        end_s = time.monotonic()
        took_s = end_s - back_s
        return {
            "until_first_s": round(first_s - back_s, 1),
            "drain_s": round(end_s - first_s, 1),
            "drained_hz": round(backlog / took_s),
            "times": round(backlog / took_s / self._rate_hz, 2),
            "through_hz": round((self._accepted - before) / took_s),
            "drain_cpu_percent": {
                name: round(100 * (cpu_s([pid]) - used_s[name]) / (end_s - back_s)) for name, pid in pids.items()
            },
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=5_000, help="frames a second in total (default: %(default)g)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = Outage(Path(temporary), arguments.rate).run(arguments.minutes * 60)
    found["held"] = bool(
        found["missing"] == 0
        and not found["faults"]
        and found["times"] >= DRAIN_TIMES
        and not found["memory_grown_mib"]
    )
    print(json.dumps(found))
    return 0 if found["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
