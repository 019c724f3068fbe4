"""How soon readings come: after the start of one port reader, and after the start of the whole gateway. How soon many
ports are connected, and what one more takes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from statistics import median
from typing import Any, Final

from bench.harness import Instruments, Place, Scenario, make_place
from bench.tree import tree_pss_mib
from common.config.reading import read_gateway
from common.config.task import device_task, write_task
from services.cli.supervise.launch import encode_word
from tests.chaos.running import Running
from tests.e2e.harness import ROOT, Gateway, closing
from tests.support.waiting import wait_until

TIMES: Final = 5
QUIET_S: Final = 0.5
"""After so long nothing is on its way of what was read before."""
DEADLINE_S: Final = 60.0
MANY_DEADLINE_S: Final = 180.0
ALONE: Final = "line0"
MANY_TIMES: Final = 3
FEW: Final = 8
"""Ports of the small gateway, from which it is counted what one more takes."""
SETTLED_S: Final = 5.0
"""After so long a gateway has the memory that it keeps."""


def measure_starts(scenario: Scenario) -> dict[str, Any]:
    """The row: medians and each of the starts. All lines talk all the time, also while nobody reads them."""
    with make_place(scenario) as place, closing(instruments := Instruments(place, scenario.rate_hz)):
        readers_s = _start_readers(place, scenario)
        wholes_s = [_start_whole(place, scenario, number) for number in range(TIMES)]
        instruments.finish()
    return {
        "reader_start_s": round(median(readers_s), 3),
        "gateway_start_s": round(median(min(one) for one in wholes_s), 3),
        "gateway_start_all_lines_s": round(median(max(one) for one in wholes_s), 3),
        "reader_starts_s": [round(one_s, 3) for one_s in readers_s],
        "gateway_starts_s": [round(min(one), 3) for one in wholes_s],
    }


def measure_many_ports(scenario: Scenario) -> dict[str, Any]:
    """The row: from `serialgw run` to all devices' being connected at the platform, the median and each of the starts;
    and the memory of all processes, with what a port takes that a gateway has more than one of FEW. No line talks.
    """
    found = [_start_connected(scenario) for _ in range(MANY_TIMES)]
    (_, few_mib), many_mib = _start_connected(scenario._replace(lines=FEW)), median(mib for _, mib in found)
    return {
        "all_connected_s": round(median(start_s for start_s, _ in found), 3),
        "pss_mib": many_mib,
        "few_pss_mib": few_mib,
        "added_port_mib": round((many_mib - few_mib) / (scenario.lines - FEW), 2),
        "all_connected_each_s": [round(start_s, 3) for start_s, _ in found],
    }


def _start_connected(scenario: Scenario) -> tuple[float, float]:
    """Seconds to all connected, on an empty data directory; then PSS of all processes together, in MiB."""
    with make_place(scenario) as place:
        running = Running(place.config, place.folder, scenario.converters)
        with closing(running):
            ask = place.asker.ask
            wait_until(
                lambda: ask()["connected"] == scenario.lines, "all devices connected", MANY_DEADLINE_S, every_s=0.1
            )
            start_s = ask()["connected_s"] - running.started_s
            threading.Event().wait(SETTLED_S)
            return start_s, tree_pss_mib(running.pid)


def _start_whole(place: Place, scenario: Scenario, number: int) -> list[float]:
    """Seconds from `serialgw run`, on an empty data directory, to the first frame of each line."""
    folder = place.folder / f"run{number}"
    folder.mkdir()
    place.asker.ask()
    start_s = time.monotonic()
    running = Running(place.config, folder, scenario.converters)
    with closing(running):
        found = _wait_for_news(place, list(range(scenario.lines)), start_s)
    threading.Event().wait(QUIET_S)
    return found


def _start_readers(place: Place, scenario: Scenario) -> list[float]:
    """Seconds from each start of a killed reader to its first new frame, beside a gateway that runs."""
    names = [f"line{index}" for index in range(scenario.lines)]
    running = Gateway(place.folder, place.config)
    with closing(running):
        running.start_all(names, scenario.converters)
        _wait_for_news(place, list(range(scenario.lines)), time.monotonic())
        found, arguments = [], _reader_arguments(running, place)
        for number in range(TIMES):
            threading.Event().wait(QUIET_S)
            running.kill(ALONE)
            threading.Event().wait(QUIET_S)
            place.asker.ask()
            start_s = time.monotonic()
            running.processes[ALONE] = _start_reader(arguments, place, number)
            found += _wait_for_news(place, [names.index(ALONE)], start_s)
    return found


def _reader_arguments(running: Gateway, place: Place) -> tuple[str, ...]:
    """Those of supervisord, with the task that `serialgw run` has written."""
    task = place.folder / "task"
    gateway = read_gateway(running.config, os.environ).gateway
    device = next(device for device in gateway.devices if device.name == ALONE)
    task.write_bytes(write_task(device_task(gateway, device, running.data_dir, "INFO")))
    given = ("--config", str(running.config), "--data-dir", str(running.data_dir))
    return (*given, f"--task={task}", f"--device={ALONE}")


def _start_reader(arguments: tuple[str, ...], place: Place, number: int) -> subprocess.Popen[bytes]:
    """As supervisord does it, at the first attempt."""
    words = [encode_word(word) for word in (str(place.folder / f"stamp{number}"), "services.port_reader", *arguments)]
    with (place.folder / "reader.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "services.cli.supervise.launch", *words],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=place.folder,
        )


def _wait_for_news(place: Place, lines: list[int], start_s: float) -> list[float]:
    """Seconds from `start_s` to the first frame of each of these lines that is later than all before."""
    found: dict[int, float] = {}

    def all_came() -> bool:
        for line, at_s in enumerate(place.asker.ask()["news_s"]):
            if at_s is not None and line in lines:
                found.setdefault(line, at_s - start_s)
        return len(found) == len(lines)

    wait_until(all_came, f"a frame of each of the lines {lines}", DEADLINE_S, every_s=0.05)
    return list(found.values())
