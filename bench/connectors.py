"""What a bad hosted connector costs the devices of everybody else. `python -m bench.connectors [--rounds 5]`.

The real gateway with eight devices that talk ten times a second, and one hosted connector. In each round the devices'
latency is taken with the connector at rest, while it hangs in a call, floods, ends its process again and again, holds
the interpreter in code that waits and in code that computes, and never ends after `close()`; and, for comparison,
beside a process that computes and has nothing to do with the gateway, once as it is and once with `nice`. Prints a
table, the median of the rounds and their range.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

import paho.mqtt.client as mqtt

from bench.neighbours import Listener, Quiet
from tests.chaos.running import Running
from tests.e2e.harness import Line, Mosquitto, closing, number_device, write_config
from tests.support.hosting import CONNECTORS, write_connectors
from tests.support.waiting import wait_until

QUIET = 8
COMPUTES = "while True: pass"
ROUGH = "Rough"
DEVICE = "of Rough"
CALM_S = 4.0


class Rough:
    """The connector that is told to be bad."""

    def __init__(self, running: Running, port: int) -> None:
        self._running = running
        self._count = 0
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.loop_stop()

    @property
    def pid(self) -> int | None:
        """Its process; None while there is none."""
        return self._running.processes().get("connector_host")

    def call(self, method: str, params: float = 0) -> None:
        """The platform calls it."""
        self._count += 1
        said = {"device": DEVICE, "data": {"id": self._count, "method": method, "params": params}}
        self._client.publish("v1/gateway/rpc", json.dumps(said), qos=1)

    @contextmanager
    def called(self, method: str, params: float = 0, end: str = "") -> Iterator[None]:
        """It is called once, and once more at the end."""
        self.call(method, params)
        yield
        if end:
            self.call(end)

    @contextmanager
    def again_and_again(self, action: Callable[[], object]) -> Iterator[None]:
        """Something is done each second."""
        over = Event()

        def run() -> None:
            while not over.wait(1.0):
                action()

        thread = Thread(target=run, daemon=True)
        thread.start()
        yield
        over.set()
        thread.join(10)

    def terminate(self) -> None:
        """SIGTERM, after which it has five seconds for a `close` that never returns."""
        if pid := self.pid:
            os.kill(pid, signal.SIGTERM)


@contextmanager
def computing(nice: int) -> Iterator[None]:
    """A process beside the gateway that takes a core."""
    process = subprocess.Popen(["nice", "-n", str(nice), sys.executable, "-c", COMPUTES])
    yield
    process.kill()
    process.wait(10)


@contextmanager
def nothing() -> Iterator[None]:
    yield


def renice(pid: int, nice: int) -> None:
    """Sets the niceness of a process's threads, each of which has its own."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(task.name), nice)


def measure(folder: Path, rounds: int, seconds: float, only: list[str]) -> dict[str, list[dict[str, float]]]:
    """Case → the latencies of each round."""
    names = [f"press{number}" for number in range(QUIET)]
    lines = {name: Line(folder / f"tty{name}") for name in names}
    mosquitto = Mosquitto(folder / "mosquitto")
    listener = Listener(mosquitto.port, names)
    config = write_config(
        folder / "config", mosquitto.port, [number_device(name, line) for name, line in lines.items()]
    )
    main = json.loads(config.read_text())
    rough = {"device": DEVICE, "close": "never"}
    hosted = write_connectors(folder / "hosted", mosquitto.port, {ROUGH: ("rough", "RoughConnector", rough)})
    for entry in json.loads(hosted.read_text())["connectors"]:
        (config.parent / entry["configuration"]).write_text((hosted.parent / entry["configuration"]).read_text())
        main["connectors"].append(entry)
    config.write_text(json.dumps(main))
    (config.parent / "extensions").symlink_to(CONNECTORS / "extensions")
    running = Running(config, folder, 2)
    quiet = Quiet(lines, listener)
    found: dict[str, list[dict[str, float]]] = {}
    with closing(mosquitto, listener, *lines.values(), running):
        bad = Rough(running, mosquitto.port)
        cases = {
            "at rest": nothing,
            "hangs in a call": partial(bad.called, "hang"),
            "floods": partial(bad.called, "flood", 0, "end flood"),
            "ends its process each second": partial(bad.again_and_again, partial(bad.call, "exit")),
            "holds the interpreter, waiting": partial(bad.called, "hold", seconds + 2),
            "holds the interpreter, computing": partial(bad.called, "spin", 60),
            "never ends after close()": partial(bad.again_and_again, bad.terminate),
            "floods, nice 10": partial(bad.called, "flood", 0, "end flood"),
            "another process computes": partial(computing, 0),
            "another process computes, nice 10": partial(computing, 10),
        }
        with closing(bad):
            wait_until(lambda: len(running.processes()) >= 6 + len(lines), "all processes", 120)
            quiet.measure(5)
            for _ in range(rounds):
                for name, case in cases.items():
                    if only and name not in only:
                        continue
                    pid = wait_until(lambda: bad.pid, "the connector's process", 60)
                    Event().wait(CALM_S)
                    if name == "floods, nice 10":
                        renice(pid, 10)
                    with case():
                        Event().wait(1.0)
                        found.setdefault(name, []).append(quiet.measure(seconds))
                    sys.stderr.write(f"{name}: {found[name][-1]}\n")
                    if name.startswith(("hangs", "holds", "floods")) and (pid := bad.pid):
                        os.kill(pid, signal.SIGKILL)
    return found


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Median and range of the rounds, in milliseconds."""
    rows = [
        "| the connector | p50 ms | p99 ms, median of the rounds | p99 ms, lowest to highest |",
        "|---|---|---|---|",
    ]
    for name, rounds in found.items():
        p50, p99 = ([one[key] for one in rounds] for key in ("p50_ms", "p99_ms"))
        middle = statistics.median(p99)
        rows.append(f"| {name} | {statistics.median(p50):.1f} | {middle:.1f} | {min(p99):.1f} to {max(p99):.1f} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="each measurement (default: %(default)g)")
    parser.add_argument("--only", action="append", default=[], help="this case only, as the table names it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = measure(Path(temporary), arguments.rounds, arguments.seconds, arguments.only)
    sys.stdout.write(f"{table(found)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
