"""One run of chaos, and what came of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.counting import Counter
from tests.chaos.faults import Faults
from tests.chaos.proxy import CuttingProxy
from tests.chaos.running import MIB, Memory, Running, Window
from tests.chaos.talkers import Noise, Talker
from tests.e2e.harness import Line, Mosquitto, closing, number_device, write_config
from tests.support.waiting import wait_until

LINES = 8
USER_LINES = (2, 5)
"""These have a user's converter, and poison."""
CONVERTERS = 2
POISON_EVERY = 150
NOISE_BYTES_PER_S = 2_000
DELIVERY_S = 60.0
"""Once faults end, everything has to be delivered within this."""
PUMP_S = 0.02
CONVERTER = '''
from common.converters import ConvertedData, Converter


class Numbers(Converter):
    """Raises on poison."""

    def convert(self, config, data):
        converted = ConvertedData(self.config["name"], "counter")
        converted.add_to_telemetry({"n": int(data)})
        return converted
'''


class Verdict(NamedTuple):
    """What was counted, for people, and what did not hold."""

    text: str
    problems: list[str]


class Rig(NamedTuple):
    """Everything of one run."""

    talkers: list[Talker]
    noise: Noise
    mosquitto: Mosquitto
    proxy: CuttingProxy
    counter: Counter
    running: Running


def run_chaos(folder: Path, seconds: float, seed: int, rate_hz: float = 50) -> Verdict:
    """Runs the gateway on eight talking lines and a noisy one while processes are killed and stopped, lines unplugged,
    the MQTT broker restarted, its connection cut, and junk thrown; then counts what the platform accepted."""
    with _open_rig(folder, seed, rate_hz) as rig:
        for device, account in rig.counter.accounts.items():
            wait_until(lambda account=account: account.accepted, f"the first frame of {device}", 60)
        faults = Faults(seed, rig.running, rig.talkers, rig.mosquitto, rig.proxy)
        memory = Memory(rig.running)
        ended = threading.Event()
        timer = threading.Timer(seconds, ended.set)
        timer.start()
        while not ended.wait(PUMP_S):
            faults.pump()
            memory.sample()
        windows = memory.windows()
        faults.heal()
        rig.noise.finish()
        for talker in rig.talkers:
            talker.finish()
        problems = _deliver(rig)
        code = rig.running.stop()
        if code != 0:
            problems.append(f"serialgw run ended with exit code {code}")
        problems += _judge(rig, windows)
        return Verdict(_describe(rig, faults, windows), problems)


@contextmanager
def _open_rig(folder: Path, seed: int, rate_hz: float) -> Iterator[Rig]:
    names = [f"press{number}" for number in range(LINES)]
    lines = [Line(folder / f"tty{name}") for name in names]
    noise_line = Line(folder / "ttynoise")
    mosquitto = Mosquitto(folder / "mosquitto")
    proxy = CuttingProxy(mosquitto.port)
    devices = [_device(names[number], lines[number], number in USER_LINES) for number in range(LINES)]
    devices.append(number_device("noise", noise_line))
    config = write_config(folder / "config", proxy.port, devices)
    extensions = folder / "config" / "extensions" / "serial"
    extensions.mkdir(parents=True, exist_ok=True)
    (extensions / "numbers.py").write_text(CONVERTER)
    counter = Counter(mosquitto.port, names)
    running = Running(config, folder, CONVERTERS)
    with closing(mosquitto, proxy, counter, noise_line, *lines, running):
        talkers = [
            Talker(names[number], lines[number], rate_hz, POISON_EVERY if number in USER_LINES else 0)
            for number in range(LINES)
        ]
        yield Rig(talkers, Noise(noise_line, NOISE_BYTES_PER_S, seed), mosquitto, proxy, counter, running)


def _device(name: str, line: Line, is_user: bool) -> dict[str, Any]:
    device = number_device(name, line)
    return device | {"converter": "Numbers", "telemetry": []} if is_user else device


def _deliver(rig: Rig) -> list[str]:
    """Waits until everything has arrived; what did not."""

    def missing() -> list[str]:
        accounts = rig.counter.accounts
        return [
            f"{talker.name}: {talker.written - accounts[talker.name].accepted} of {talker.written} frames missing"
            for talker in rig.talkers
            if accounts[talker.name].accepted < talker.written
        ]

    def unburied() -> list[str]:
        # A reader moves dead letters when it hears that they are settled, which may be after the platform's acceptance.
        return [
            f"{talker.name}: not all dead letters have come"
            for talker in rig.talkers
            if len(rig.running.dead_letters(talker.name)) < len(talker.poisoned)
        ]

    try:
        wait_until(lambda: not missing() and not unburied(), "everything delivered", DELIVERY_S, 0.1)
    except AssertionError:
        return [*missing(), *unburied()]
    return []


def _judge(rig: Rig, windows: list[Window]) -> list[str]:
    """What did not hold, the gateway having ended."""
    problems = list(rig.counter.faults)
    for talker in rig.talkers:
        dead = rig.running.dead_letters(talker.name)
        if sorted(dead) != sorted(talker.poisoned):
            problems.append(f"{talker.name}: {len(dead)} dead letters, {len(talker.poisoned)} frames were poisoned")
            problems += [f"{talker.name}: dead letter {data!r}" for data in set(dead) - set(talker.poisoned)][:5]
            problems += [f"{talker.name}: no dead letter {data!r}" for data in set(talker.poisoned) - set(dead)][:5]
    log = rig.running.log.read_text(errors="replace")
    problems += [line for line in log.splitlines() if "process.crashed" in line][:5]
    problems += [
        f"{window.name}: {window.second_bytes / MIB:.1f} MiB in the second minute, {window.last_bytes / MIB:.1f} MiB "
        "in the last"
        for window in windows
        if not window.is_flat
    ]
    return problems


def _describe(rig: Rig, faults: Faults, windows: list[Window]) -> str:
    accounts = rig.counter.accounts
    sent = sum(talker.written for talker in rig.talkers)
    accepted = sum(account.accepted for account in accounts.values())
    figures = {
        "frames sent": sent,
        "accepted in effect": accepted,
        "missing": sent - accepted,
        "out of order": sum(account.out_of_order for account in accounts.values()),
        "exact repeats": sum(account.repeats for account in accounts.values()),
        "poisoned frames": sum(len(talker.poisoned) for talker in rig.talkers),
        "dead letters": sum(len(rig.running.dead_letters(talker.name)) for talker in rig.talkers),
        "MQTT connections cut": rig.proxy.cuts,
    }
    for name in ("kills", "stops"):
        figures[name] = sum(count for kind, count in faults.counts.items() if kind.startswith(name))
    lines = [f"{name:24} {value}" for name, value in (figures | dict(sorted(faults.counts.items()))).items()]
    lines += [
        f"memory {window.name:24} {window.second_bytes / MIB:7.1f} MiB in the second minute, "
        f"{window.last_bytes / MIB:7.1f} MiB in the last"
        for window in windows
    ]
    return "\n".join(lines)
