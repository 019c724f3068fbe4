"""What bad neighbours cost the other devices. `python -m bench.neighbours [--seconds 60]`.

The real gateway with four converters and eight devices that talk ten times a second; their latency, from the write on
the line to the subscriber, is taken first alone, then beside a device that floods, one whose user converter hangs on
one frame in a thousand, and one that is unplugged every second. Prints one JSON object; exit 1 if their p99 is above
the greater of twice and 50 ms more than what it was alone.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from bench.small import cpu_s
from tests.chaos.running import Running
from tests.chaos.talkers import Talker
from tests.e2e.harness import Line, Mosquitto, closing, number_device, write_config
from tests.support.puback_proxy import PUBLISH
from tests.support.puback_proxy import _packets as split_packets
from tests.support.waiting import wait_until

QUIET = 8
RATE_HZ = 10
HANG_RATE_HZ = 100
CONVERTERS = 4
FLOOD = "import os, sys\nwhile True: os.write(int(sys.argv[1]), b'1234567\\n' * 512)"
HANGING = '''
import time

from common.converters import ConvertedData, Converter


class Hanging(Converter):
    """Never comes back from one frame in a thousand."""

    def convert(self, config, data):
        if int(data) % 1000 == 100:
            time.sleep(3600)
        converted = ConvertedData(self.config["name"], "counter")
        converted.add_to_telemetry({"n": int(data)})
        return converted
'''


class Listener:
    """Takes the time at which each reading of the quiet devices comes; of the others it only counts the bytes.

    Speaks just enough MQTT to subscribe, so that the flood costs it little: it shares the machine with the gateway.
    """

    def __init__(self, port: int, devices: list[str]) -> None:
        self.arrived: dict[tuple[str, int], float] = {}
        self.others_bytes = 0
        self._devices = frozenset(devices)
        self._mark = b'"' + devices[0][:-1].encode()
        self._decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        self._socket = socket.create_connection(("127.0.0.1", port))
        connect = b"\0\4MQTT\4\2\0\0" + _text(b"listener")
        subscribe = b"\0\1" + _text(b"v1/gateway/telemetry") + b"\0"
        for kind, body in ((0x10, connect), (0x82, subscribe)):
            self._socket.sendall(bytes([kind, len(body)]) + body)
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _run(self) -> None:
        buffer = bytearray()
        while True:
            try:
                data = self._socket.recv(1 << 18)
            except OSError:
                return
            if not data:
                return
            now_s = time.monotonic()
            buffer += data
            for kind, packet, start in split_packets(buffer):
                if kind == PUBLISH:
                    self._take(packet[start + 2 + int.from_bytes(packet[start : start + 2]) :], now_s)

    def _take(self, payload: bytes, now_s: float) -> None:
        self.others_bytes += len(payload)
        if self._mark not in payload:
            return
        for device, items in self._decode(payload).items():
            if device in self._devices:
                self.others_bytes -= len(bytes(items))
                for item in msgspec.json.decode(items):
                    self.arrived.setdefault((device, item["values"]["n"]), now_s)


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(2) + data


class Quiet:
    """The devices that are measured: each says a number ten times a second, not in step."""

    def __init__(self, lines: dict[str, Line], listener: Listener) -> None:
        self._lines = lines
        self._listener = listener
        self._number = 0

    def measure(self, seconds: float) -> dict[str, float]:
        """Latencies over so many seconds, in milliseconds."""
        written: dict[tuple[str, int], float] = {}
        pause = threading.Event()
        start_s = time.monotonic()
        step_s = 1 / RATE_HZ / len(self._lines)
        turn = 0
        while time.monotonic() - start_s < seconds:
            self._number += 1
            for name, line in self._lines.items():
                pause.wait(max(0.0, start_s + turn * step_s - time.monotonic()))
                turn += 1
                written[(name, self._number)] = time.monotonic()
                line.write(b"%d\n" % self._number)
        arrived = self._listener.arrived
        wait_until(lambda: written.keys() <= arrived.keys(), "all frames of the quiet devices", 60)
        delays = sorted((arrived[key] - at_s) * 1000 for key, at_s in written.items())
        cuts = statistics.quantiles(delays, n=100)
        return {
            "frames": len(delays),
            "p50_ms": round(cuts[49], 1),
            "p90_ms": round(cuts[89], 1),
            "p99_ms": round(cuts[98], 1),
            "max_ms": round(delays[-1], 1),
        }


class Unplugged:
    """A talking device that is pulled out and comes back every second."""

    def __init__(self, line: Line) -> None:
        self._talker = Talker("loose", line, 50)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.unplugs = 0

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)
        self._talker.finish()

    def _run(self) -> None:
        while not self._stop.wait(0.7):
            if self._talker.unplug():
                self.unplugs += 1
                self._stop.wait(0.3)
                self._talker.plug_in()


class Flood:
    """A device that says frames as fast as they are read, from a process of its own."""

    def __init__(self, line: Line) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", FLOOD, str(line.master)], pass_fds=[line.master], stderr=subprocess.DEVNULL
        )

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)


def measure(folder: Path, seconds: float, neighbours: set[str]) -> dict[str, Any]:
    """The quiet devices' latency without and with these neighbours."""
    names = [f"press{number}" for number in range(QUIET)]
    lines = {name: Line(folder / f"tty{name}") for name in [*names, "flood", "hang", "loose"]}
    mosquitto = Mosquitto(folder / "mosquitto")
    listener = Listener(mosquitto.port, names)
    devices = [number_device(name, line) for name, line in lines.items()]
    devices[names.index(names[-1]) + 2] |= {"converter": "Hanging", "telemetry": []}
    config = write_config(folder / "config", mosquitto.port, devices)
    extensions = folder / "config" / "extensions" / "serial"
    extensions.mkdir(parents=True)
    (extensions / "hanging.py").write_text(HANGING)
    running = Running(config, folder, CONVERTERS)
    quiet = Quiet({name: lines[name] for name in names}, listener)
    with closing(mosquitto, listener, *lines.values(), running), ExitStack() as stack:
        wait_until(lambda: len(running.processes()) == 3 + CONVERTERS + len(lines), "all processes", 60)
        quiet.measure(5)
        alone = quiet.measure(seconds)
        loose = Unplugged(lines["loose"]) if "loose" in neighbours else None
        if loose:
            stack.enter_context(closing(loose))
        if "hang" in neighbours:
            hanging = Talker("hang", lines["hang"], HANG_RATE_HZ)
            stack.callback(hanging.finish)
        if "flood" in neighbours:
            stack.enter_context(closing(Flood(lines["flood"])))
        quiet.measure(5)
        processes = running.processes()
        before = {name: cpu_s([pid]) for name, pid in processes.items()}
        beside = quiet.measure(seconds)
        cpu = {name: cpu_s([pid]) - before[name] for name, pid in running.processes().items() if name in before}
        log = running.log.read_text(errors="replace")
        return {
            "alone": alone,
            "beside": beside,
            "allowed_p99_ms": max(2 * alone["p99_ms"], alone["p99_ms"] + 50),
            "unplugs": loose.unplugs if loose else 0,
            "converter_deaths": log.count("name=converter-") and log.count("process.died name=converter"),
            "others_mb": round(listener.others_bytes / 1e6, 1),
            "cpu_percent": {name: round(100 * used_s / seconds) for name, used_s in cpu.items() if used_s > 0.5},
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="each of the two measurements (default: %(default)g)")
    parser.add_argument("--only", choices=["flood", "hang", "loose"], action="append", help="these neighbours only")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = measure(Path(temporary), arguments.seconds, set(arguments.only or ["flood", "hang", "loose"]))
    found["held"] = found["beside"]["p99_ms"] <= found["allowed_p99_ms"]
    print(json.dumps(found))
    return 0 if found["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
