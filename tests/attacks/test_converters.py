"""Users' code at its worst holds nothing but its own device (attacks.md 3, 21)."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.conftest import FULL
from tests.attacks.rig import Rig, gateway, share_late, wait_arrived
from tests.e2e.feeding import Feeder, first_values
from tests.e2e.harness import Line, Platform, needs_mosquitto
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto

HOSTILE = """
import ctypes
import faulthandler
import os
import re
import signal
import subprocess
import sys
import threading
import time


def loop():
    while True:
        pass


def disarm():
    faulthandler.cancel_dump_traceback_later()
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    for number in range(1, 32):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass


def hold_the_interpreter():
    disarm()
    re.match("(a+)+$", "a" * 60 + "b")


def disarm_and_wait():
    disarm()
    while True:
        time.sleep(1)


def write_junk():
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"\\xc1" * 1000)
        except OSError:
            pass


def crash_later():
    threading.Timer(0.3, lambda: ctypes.string_at(0)).start()


def leave_children():
    subprocess.Popen(["/bin/sleep", "4242"])
    threading.Thread(target=lambda: time.sleep(4242)).start()


HARMS = {
    "loop": loop,
    "hold": hold_the_interpreter,
    "wait": disarm_and_wait,
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "exit": lambda: os._exit(0),
    "crash": lambda: ctypes.string_at(0),
    "close": lambda: os.closerange(3, 256),
    "junk": write_junk,
    "print": lambda: [print("x" * 1000) for _ in range(20_000)],
    "later": crash_later,
    "leave": leave_children,
    "huge": lambda: sys.stdout.write("y" * 50_000_000),
    "freeze": lambda: (disarm(), os.kill(os.getppid(), signal.SIGSTOP), time.sleep(3600)),
    "murder": lambda: os.kill(os.getppid(), signal.SIGKILL),
}


class Hostile:
    def __init__(self, config, logger):
        self.name = config["name"]

    def convert(self, config, data):
        text = data.decode().strip()
        if text in HARMS:
            HARMS[text]()
            return {"telemetry": []}
        return {"deviceName": self.name, "deviceType": "t", "telemetry": [{"n": int(text)}]}
"""
SETS_ASIDE = {"loop", "hold", "wait", "stop", "exit", "crash", "close", "junk"}
"""What these do ends as a dead letter; the others' frames are converted, to nothing."""


def letters(rig: Rig, device: str) -> list[str]:
    """The dead letters of a device, as text."""
    said = rig.cli("dead-letters", "--json", "--device", device).stdout
    return [bytes.fromhex(json.loads(line)["hex"]).decode().strip() for line in said.splitlines()]


def start(rig: Rig, platform: Platform, converters: int) -> None:
    folder = rig.config.parent / "extensions" / "serial"
    folder.mkdir(parents=True)
    (folder / "hostile.py").write_text(HOSTILE)
    rig.start("--converters", str(converters))
    platform.wait_connected(*rig.names, deadline_s=60)


def sections(*harms: str) -> list[dict[str, Any]]:
    """A device for each harm, then one whose users' code is decent; the one that is built in comes behind them."""
    return [{"converter": "Hostile"}] * (len(harms) + 1)


def say(line: Line, harm: str) -> None:
    line.write(b"1\n2\n3\n" + harm.encode() + b"\n4\n5\n")


@pytest.mark.timeout(240)
def test_users_code_holds_only_its_own_device(tmp_path: Path) -> None:
    """One converter process for all: what hangs, and is beyond its own watchdog, is ended from outside three times and
    set aside; whoever dies, prints or leaves things behind harms nobody; others' users' code and what is built in are
    never held up, and after the stop nothing of it runs."""
    harms = ["wait", "stop", "exit", "crash", "junk", "later", "leave"]
    if FULL:
        harms += ["loop", "hold", "close", "print", "huge"]
    decent, plain = len(harms), len(harms) + 1
    with gateway(tmp_path, len(harms) + 2, sections=sections(*harms)) as (rig, lines, platform, _):
        start(rig, platform, converters=1)
        converter = rig.pids["converter-0"]
        with closing(Feeder(lines[decent], 600, 15)) as users, closing(Feeder(lines[plain], 600, 15)) as built_in:
            users.wait_written(15)
            for line, harm in zip(lines, harms, strict=False):
                say(line, harm)
            for number, harm in enumerate(harms):
                name = f"press{number}"
                wait_until(
                    lambda name=name: first_values(platform.telemetry(name)) == [1, 2, 3, 4, 5],
                    f"all of {name}, whose users' code does {harm}",
                    120,
                    0.2,
                )
                expected = [harm] if harm in SETS_ASIDE else []
                wait_until(lambda name=name, expected=expected: letters(rig, name) == expected, f"letters of {harm}")
            wait_arrived(platform, f"press{decent}", users, 60)
            wait_arrived(platform, f"press{plain}", built_in, 60)
            assert share_late(platform, f"press{decent}", users, 15) <= 0.02
            assert share_late(platform, f"press{plain}", built_in, 15) <= 0.02
        assert rig.pids["converter-0"] == converter, "the converter itself was never replaced"
        assert rig.stop() == 0
    wait_until(lambda: not _left(str(tmp_path)), "nothing of users' code runs", 5)


def _left(folder: str) -> list[int]:
    """Pids of what users' code started, and of hosts of this gateway."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            is_host = b"services.converter.shell.host_process" in command and folder.encode() in b" ".join(command)
            if is_host or command[:2] == [b"/bin/sleep", b"4242"]:
                found.append(int(entry.name))
    return found


@pytest.mark.timeout(240)
@pytest.mark.parametrize("harm", ["murder", "freeze"] if FULL else ["murder"])
def test_users_code_that_hurts_its_converter_is_found_out(tmp_path: Path, harm: str) -> None:
    """It can: it runs as the same user. Then the frame is blamed by the converter that comes next, set aside after
    three times, and what is built in goes on with another converter."""
    with gateway(tmp_path, 2, sections=[{"converter": "Hostile"}]) as (rig, lines, platform, _):
        start(rig, platform, converters=2)
        with closing(Feeder(lines[1], 300 if harm == "murder" else 900, 15)) as built_in:
            built_in.wait_written(15)
            say(lines[0], harm)
            wait_until(lambda: letters(rig, "press0") == [harm], "the frame set aside", 150, 0.5)
            wait_until(lambda: first_values(platform.telemetry("press0")) == [1, 2, 3, 4, 5], "all others", 60, 0.2)
            wait_arrived(platform, "press1", built_in, 90)
            assert share_late(platform, "press1", built_in, 15) <= 0.15


def test_hosts_end_with_their_converter(tmp_path: Path) -> None:
    """Also with one that is killed, and while users' code is stuck and ignores every signal."""
    with gateway(tmp_path, 1, sections=[{"converter": "Hostile"}]) as (rig, lines, platform, _):
        start(rig, platform, converters=1)
        lines[0].write(b"1\n")
        wait_until(lambda: first_values(platform.telemetry("press0")) == [1], "the first frame")
        lines[0].write(b"wait\n")
        time.sleep(1)
        [host] = _hosts_of(rig.pids["converter-0"])
        os.kill(rig.pids["converter-0"], signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{host}").exists() or _is_dead(host), "the end of the host", 5)


def _hosts_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_users_code_sees_no_secret_of_the_platform(tmp_path: Path) -> None:
    """What the publisher needs is not in the environment of the process that runs users' code."""
    with gateway(tmp_path, 1, sections=[{"converter": "Hostile"}]) as (rig, lines, platform, _):
        rig.environ["TB_GW_ACCESS_TOKEN"] = "a-token-that-nobody-needs"
        start(rig, platform, converters=1)
        lines[0].write(b"1\n")
        wait_until(lambda: first_values(platform.telemetry("press0")) == [1], "the first frame")
        [host] = _hosts_of(rig.pids["converter-0"])
        assert b"TB_GW_" not in Path(f"/proc/{host}/environ").read_bytes()
