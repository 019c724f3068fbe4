"""How long a call to a device takes while all devices talk: from the platform's publish to the reply's arrival."""

from __future__ import annotations

import json
import random
import select
import socket
import threading
import time
from typing import Any, Final

from bench.harness import BROKER_OPTIONS, Instruments, Place, Scenario, Usage, gateway
from bench.mqtt import PUBLISH, connect, next_packet, packet, text
from tests.e2e.harness import closing
from tests.support.waiting import wait_until

TOPIC: Final = b"v1/gateway/rpc"
QOS_1: Final = PUBLISH << 4 | 2
PAUSE_S: Final = (0.01, 0.03)
"""Between two calls, drawn anew each time: not in step with anything."""
DEADLINE_S: Final = 10.0
"""So long the platform waits."""
SEED: Final = 1
NO_DELAY: Final = f"{BROKER_OPTIONS}\nset_tcp_nodelay true"
"""ThingsBoard's server does not hold small packets back either. mosquitto does by default: a reply then waits 40 ms for
the TCP acknowledgement of what went before it."""
ANSWERS: Final = {
    "downlink_converter": "SerialDownlinkConverter",
    "serverSideRpc": [
        {
            "method": "get",
            "template": "GET ${params}\n",
            "withResponse": True,
            "responsePattern": "^A",
            "responseType": "int",
            "responseFromByte": 1,
        }
    ],
}
"""What a device's configuration needs to be called (see `bench.devices`)."""


class Caller:
    """The platform's side of calls, one after another."""

    def __init__(self, port: int) -> None:
        self._socket = connect(port, b"caller", [TOPIC])
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._calls = 0

    def close(self) -> None:
        self._socket.close()

    def call(self, device: str) -> tuple[float, str]:
        """(seconds to the reply, what is wrong with it: "" if nothing is)."""
        self._calls += 1
        number = self._calls
        data = {"id": number, "method": "get", "params": number}
        payload = json.dumps({"device": device, "data": data}).encode()
        start_s = time.monotonic()
        self._socket.sendall(packet(QOS_1, text(TOPIC) + (number % 65_535 + 1).to_bytes(2) + payload))
        reply, end_s = self._reply(device, number, start_s + DEADLINE_S)
        return end_s - start_s, "" if reply == {"result": number} else f"{device} call {number}: {reply}"

    def _reply(self, device: str, number: int, end_s: float) -> tuple[Any, float]:
        """(the data of the reply, when it arrived); None if there was none in time. The call itself comes back too, and
        late replies."""
        arrived_s = time.monotonic()
        while True:
            for payload in self._payloads():
                found = json.loads(payload)
                if found.get("device") == device and found.get("id") == number:
                    return found["data"], arrived_s
            ready, _, _ = select.select([self._socket], [], [], max(0.0, end_s - time.monotonic()))
            if not ready:
                return None, time.monotonic()
            self._buffer += self._socket.recv(1 << 16)
            arrived_s = time.monotonic()

    def _payloads(self) -> list[bytes]:
        """Those of the publishes that came whole."""
        payloads, start = [], 0
        while (found := next_packet(self._buffer, start)) is not None:
            kind, body, end = found
            if kind == PUBLISH:
                payloads.append(bytes(self._buffer[body + 2 + int.from_bytes(self._buffer[body : body + 2]) : end]))
            start = end
        del self._buffer[:start]
        return payloads


def measure_calls(scenario: Scenario) -> dict[str, Any]:
    """The row of calls over all devices, drawn at random, for the scenario's time."""
    with gateway(scenario, ANSWERS, NO_DELAY) as (running, place):
        instruments, caller = Instruments(place, scenario.rate_hz), Caller(place.mqtt_port)
        with closing(instruments, caller):
            _call_for(caller, 1.0, place)
            usage, before = Usage(running), place.asker.ask()
            took_s, faults = _call_for(caller, scenario.seconds, place)
            cpu, during = usage.by_service(), place.asker.ask()
            said = instruments.finish()["said"]
            wait_until(lambda: place.asker.ask()["highest"] == said, "everything arrived", 60, every_s=0.1)
            after = place.asker.ask()
        took_ms = sorted(1000 * one_s for one_s in took_s)
        return {
            "count": len(took_ms),
            "errors": len(faults),
            "faults": faults[:3],
            "p50_ms": round(took_ms[len(took_ms) // 2], 2),
            "p99_ms": round(took_ms[int(len(took_ms) * 0.99)], 2),
            "max_ms": round(took_ms[-1], 2),
            "frames_hz": round((during["frames"] - before["frames"]) / (during["at_s"] - before["at_s"])),
            "frames_p50_ms": during["p50_ms"],
            **{key: after[key] for key in ("missing", "disordered", "repeats")},
            "cpu_percent_by_service": cpu,
        }


def _call_for(caller: Caller, seconds: float, place: Place) -> tuple[list[float], list[str]]:
    """(how long each call took, what was wrong)."""
    draw = random.Random(SEED)
    took_s, faults = [], []
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        one_s, fault = caller.call(f"line{draw.randrange(len(place.lines))}")
        took_s.append(one_s)
        if fault:
            faults.append(fault)
        threading.Event().wait(draw.uniform(*PAUSE_S))
    return took_s, faults
