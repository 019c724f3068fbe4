"""Devices whose serial line is driven by firmware that others wrote, emulated: what they print, what they answer, and
what of it arrives over kill -9 of the reader and of the device."""

from __future__ import annotations

import itertools
import signal
import time
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.harness import Gateway, Mosquitto, Platform, closing, needs_mosquitto, write_config
from tests.support.emulators import Arduino, Emulator, UBoot, needs_simavr, needs_u_boot
from tests.support.waiting import wait_until

pytestmark = [needs_mosquitto, pytest.mark.timeout(240)]

UNSETTLED: Final = 20
"""So many are read while nothing behind the journal goes on, before the reader is killed; some of them shortly before,
for a heartbeat tells of the time before it."""
SENSOR: Final[dict[str, Any]] = {
    "name": "sensor",
    "baudrate": 115200,
    "framing": "nmea",
    "send": {"end": "\n"},
    "messages": [
        {
            "name": "measurement",
            "pattern": "n={n},temperature={temperature}",
            "telemetry": [
                {"key": "n", "name": "n", "type": "int"},
                {"key": "temperature", "name": "temperature", "type": "float"},
            ],
        },
        {
            "name": "supply",
            "ask": "?",
            "every": 0.3,
            "pattern": "supply={supply},questions={questions}",
            "telemetry": [
                {"key": "supply", "name": "supply", "type": "float"},
                {"key": "questions", "name": "questions", "type": "int"},
            ],
        },
    ],
    "serverSideRpc": [{"method": "set", "ask": "SET ${params}", "answer": "^\\$setpoint=", "responseType": "string"}],
}
"""What `firmware/sensor.cpp` says, and is asked."""
CONSOLE: Final[dict[str, Any]] = {
    "name": "console",
    "baudrate": 115200,
    "framing": "lines",
    "send": {"end": "\r"},
    "messages": [
        {
            # A register of the board's clock: seconds since 1970.
            "name": "clock",
            "ask": "md.l 9010000 1",
            "every": 0.1,
            "when": "^09010000: ",
            "telemetry": [{"key": "clock", "regex": "^09010000: ([0-9a-f]{8})", "type": "hexint"}],
        },
        {
            "name": "speed",
            "ask": "printenv baudrate",
            "on": "connect",
            "pattern": "baudrate={baudrate}",
            "attributes": [{"key": "baudrate", "name": "baudrate", "type": "int"}],
        },
        # What it prints when it starts, and the echo of all that it is asked.
        {"name": "other", "telemetry": []},
    ],
    "attributeUpdates": [{"attributeOnPlatform": "place", "stringToDevice": "setenv place ${place}\r"}],
    "serverSideRpc": [
        {"method": "printenv", "ask": "printenv ${params}", "answer": "^(place=|## Error)", "responseType": "string"}
    ],
}


def kill_both(gateway: Gateway, device: str, emulator: Emulator, counter: str) -> int:
    """kill -9 of the reader, of the device, and of who else may have what is not settled; all are started again. How
    much of `counter` the reader had counted: some of that was in its journal alone."""
    before = wait_until(lambda: gateway.counters("port_reader").get(counter), f"{counter} in a heartbeat", every_s=0.3)
    gateway.processes["converter0"].send_signal(signal.SIGSTOP)

    def counted() -> int:
        count = gateway.counters("port_reader").get(counter, 0)
        return count if count >= before + UNSETTLED else 0

    count = wait_until(counted, f"{counter} rises from {before}", 60, every_s=0.3)
    gateway.kill(device)
    emulator.kill()
    gateway.kill("converter0")
    gateway.kill("broker")
    emulator.start()
    for name in ("broker", "converter0", device):
        gateway.restart(name)
    return count


def once(platform: Platform, device: str, key: str) -> list[dict[str, Any]]:
    """All items with a key as they came, without repeats: what is sent again has the time that it had."""
    items = [item for item in platform.telemetry(device) if key in item["values"]]
    return list({(item["ts"], item["values"][key]): item for item in items}.values())


def numbers(platform: Platform, device: str, key: str) -> list[int]:
    return [item["values"][key] for item in once(platform, device, key)]


def runs_of(rising: list[int]) -> list[list[int]]:
    """A list for each time that the numbers begin anew."""
    starts = [at for at in range(len(rising)) if at == 0 or rising[at] <= rising[at - 1]]
    return [rising[start:end] for start, end in itertools.pairwise([*starts, len(rising)])]


def holes_in(rising: list[int]) -> int:
    return sum(after != before + 1 for before, after in itertools.pairwise(rising))


@needs_simavr
def test_an_arduino_prints_and_is_asked(tmp_path: Path) -> None:
    """Each measurement that was read arrives, in order and with its value, over kill -9 of the reader with the board,
    and of the reader alone; answers come in between, and a call gets its own."""
    board = Arduino("sensor", tmp_path / "board")
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    config = write_config(tmp_path / "config", mosquitto.port, [{**SENSOR, "port": str(board.path)}])
    gateway = Gateway(tmp_path, config)
    with closing(mosquitto, platform, board, gateway):
        gateway.start_all(["sensor"])
        platform.wait_telemetry("sensor", 20, 40)
        assert platform.call("sensor", "set", 21, 1)["result"].startswith("$setpoint=21*")
        count = kill_both(gateway, "sensor", board, "frames_read")

        def second_run() -> list[int]:
            runs = runs_of(numbers(platform, "sensor", "n"))
            return runs[1] if len(runs) > 1 else []

        platform.wait_for(lambda _: len(second_run()) >= 20, "measurements of the board that was started again", 40)
        assert platform.call("sensor", "set", -3, 2)["result"].startswith("$setpoint=-3*")
        gateway.kill("sensor")
        last = second_run()[-1]
        gateway.restart("sensor")
        platform.wait_for(lambda _: second_run()[-1] >= last + 40, "what it says to the next reader", 40)

        measured = runs_of(numbers(platform, "sensor", "n"))
        answered = runs_of(numbers(platform, "sensor", "questions"))
        assert (len(measured), len(answered)) == (2, 2)
        assert (holes_in(measured[0]), holes_in(answered[0])) == (0, 0)
        # One frame more was read: the answer to the call.
        assert len(measured[0]) + len(answered[0]) >= count - 1
        # What a board says while nobody reads is kept by the kernel, or not.
        assert holes_in(measured[1]) <= 1
        values = [item["values"] for item in once(platform, "sensor", "n")]
        assert [value["temperature"] for value in values] == [value["n"] % 400 / 10 for value in values]
        assert {item["values"]["supply"] for item in once(platform, "sensor", "supply")} == {4.98}
        assert gateway.stop() == dict.fromkeys(gateway.processes, 0)


@needs_u_boot
def test_a_boot_loader_is_asked_at_its_console(tmp_path: Path) -> None:
    """Its prompt, its echo and what it prints when it starts are taken for nothing; each answer that was read arrives,
    over kill -9 of the reader with the board; what is written is what it then says."""
    board = UBoot(tmp_path / "board")
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    config = write_config(tmp_path / "config", mosquitto.port, [{**CONSOLE, "port": str(board.path)}])
    gateway = Gateway(tmp_path, config)
    with closing(mosquitto, platform, board, gateway):
        gateway.start_all(["console"])
        platform.wait_telemetry("console", 10, 60)
        assert platform.call("console", "printenv", "place", 1) == {"result": '## Error: "place" not defined'}
        platform.say("v1/gateway/attributes", {"device": "console", "data": {"place": "hall"}})
        assert platform.call("console", "printenv", "place", 2) == {"result": "place=hall"}
        count = kill_both(gateway, "console", board, "asks_answered")
        killed_ms = time.time() * 1000
        platform.wait_for(
            lambda _: sum(item["ts"] > killed_ms for item in platform.telemetry("console")) >= 10, "10 more", 60
        )
        assert platform.call("console", "printenv", "place", 3) == {"result": '## Error: "place" not defined'}

        items = once(platform, "console", "clock")
        # One question more was answered: the one after the speed.
        assert sum(item["ts"] <= killed_ms for item in items) >= count - 1
        clocks = [item["values"]["clock"] for item in items]
        assert clocks == sorted(clocks)
        assert all(abs(item["ts"] / 1000 - item["values"]["clock"]) < 30 for item in items)
        assert {"baudrate": 115200} in platform.on("v1/gateway/attributes", "console")
        assert gateway.stop() == dict.fromkeys(gateway.processes, 0)
