"""A laboratory analyser that waits for acknowledgements, and a reader that is killed at each step of their dialogue."""

from __future__ import annotations

import itertools
import os
import random
import select
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.harness import Gateway, Line, Mosquitto, Platform, closing, needs_mosquitto, write_config
from tests.e2e.test_asked import ANALYSER

pytestmark = [needs_mosquitto, pytest.mark.timeout(540)]

KILLS = int(os.environ.get("ANALYSER_KILLS", "7"))
"""Each step once; `ANALYSER_KILLS=200` is the long form."""
ENQ, ACK, NAK, EOT = b"\x05", b"\x06", b"\x15", b"\x04"
STEPS: Final = (
    "before the enquiry",
    "enquiry said",
    "enquiry acknowledged",
    "half a result said",
    "result said",
    "result acknowledged",
    "end said",
)
GIVES_UP_S: Final = 0.5
"""An analyser waits 15 s for a reply, much longer than a reader needs to start. Here: so long from its opening."""
RESULTS: Final = 3
"""In one message."""


def astm_frame(number: int, text: bytes) -> bytes:
    """A frame of ASTM E1381: its number, from 0 to 7, the text, and the sum of all of it behind."""
    body = b"%d%s\r\x03" % (number % 8, text)
    return b"\x02" + body + b"%02X\r\n" % (sum(body) & 0xFF)


class Sender:
    """The analyser's side. It calls `at` at each step; `acknowledged` are the results that it will not say again."""

    def __init__(
        self, line: Line, at: Callable[[str], None], is_open: Callable[[], bool], *, starts_over: bool
    ) -> None:
        """`starts_over`: it begins the whole message again where a reply does not come, as the standard has it; else it
        says again what was not answered."""
        self._line = line
        self._at = at
        self._is_open = is_open
        self._starts_over = starts_over
        self.acknowledged: set[int] = set()
        self.said_again = 0

    def say_message(self, first: int) -> None:
        """A message with the results `first` and on, until all of it is acknowledged."""
        self._at("before the enquiry")
        while not self._has_said(first):
            self.said_again += 1
            self._line.write(EOT)
        self._line.write(EOT)
        self._at("end said")

    def _has_said(self, first: int) -> bool:
        if not self._is_acknowledged(ENQ, "enquiry"):
            return False
        if not self._is_acknowledged(astm_frame(1, b"H|\\^&|||XL-1"), ""):
            return False
        for at in range(RESULTS):
            if not self._is_acknowledged(astm_frame(at + 2, b"R|%d|5.4" % (first + at)), "result"):
                return False
            self.acknowledged.add(first + at)
            self._at("result acknowledged")
        return True

    def _is_acknowledged(self, frame: bytes, name: str) -> bool:
        """Says it; where it is answered by NAK, or by nothing, says it again, or gives up."""
        while True:
            self._hear(0.0)
            middle = len(frame) // 2
            self._line.write(frame[:middle])
            if name == "result":
                self._at("half a result said")
            self._line.write(frame[middle:])
            if name:
                self._at(f"{name} said")
            answer = self._wait()
            if answer == ACK:
                if name == "enquiry":
                    self._at("enquiry acknowledged")
                return True
            if answer != NAK and self._starts_over and frame != ENQ:
                return False
            self.said_again += 1

    def _wait(self) -> bytes:
        """ACK, NAK, or b"" if neither came in time."""
        end_s = time.monotonic() + 30.0
        is_open = False
        while time.monotonic() < end_s:
            if not is_open and self._is_open():
                is_open, end_s = True, time.monotonic() + GIVES_UP_S
            heard = self._hear(0.01)
            if heard:
                return heard[-1:]
        return b""

    def _hear(self, seconds: float) -> bytes:
        ready, _, _ = select.select([self._line.master], [], [], seconds)
        try:
            return os.read(self._line.master, 4096) if ready else b""
        except OSError:
            # Nobody has the line open.
            threading.Event().wait(seconds)
            return b""


@pytest.mark.parametrize("starts_over", [False, True], ids=["says the frame again", "starts the message over"])
def test_each_acknowledged_result_is_there_once(tmp_path: Path, starts_over: bool) -> None:
    """The reader is killed at each step of the dialogue in turn, a little later each time; whether the analyser then
    says the frame again or starts its message over, each result arrives, and none twice."""
    line = Line(tmp_path / "tty")
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    heard: dict[str, Any] = {"name": "header", "when": "^\\x02\\dH", "reply": "<ACK>", "telemetry": []}
    device = {**ANALYSER, "messages": [*ANALYSER["messages"], heard], "port": str(line.path)}
    gateway = Gateway(tmp_path, write_config(tmp_path / "config", mosquitto.port, [device]))
    draw = random.Random(15)
    kills: Counter[str] = Counter()
    order = itertools.cycle(STEPS)
    wanted, opened = next(order), 0

    def at(step: str) -> None:
        nonlocal wanted, opened
        if step != wanted or kills.total() == KILLS or not is_open():
            return
        wanted = next(order)
        kills[step] += 1
        threading.Event().wait(draw.choice((0.0, draw.uniform(0.0, 0.003), draw.uniform(0.0, 0.02))))
        gateway.kill("analyser")
        opened = gateway.log("analyser").count("port.opened")
        gateway.restart("analyser")

    def is_open() -> bool:
        return gateway.log("analyser").count("port.opened") > opened

    sender = Sender(line, at, is_open, starts_over=starts_over)
    with closing(line, mosquitto, platform, gateway):
        gateway.start_all(["analyser"])
        platform.wait_connected("analyser")
        first = 1
        while kills.total() < KILLS or first < 10:
            sender.say_message(first)
            first += RESULTS
        platform.wait_for(
            lambda _: any(item["values"].get("n") == first - 1 for item in platform.telemetry("analyser")), "the last"
        )
        # What was not settled is sent again by the next reader: with the same time, which the platform takes as one.
        kept = {(item["ts"], item["values"]["n"]) for item in platform.telemetry("analyser")}
        times = Counter(number for _, number in kept)
        sys.stdout.write(f"{kills.total()} kills {dict(kills)}, {first - 1} results, {sender.said_again} said again\n")
        assert sender.acknowledged == set(range(1, first))
        assert not sender.acknowledged - times.keys(), "acknowledged and lost"
        assert not {number: count for number, count in times.items() if count > 1}, "more than once"
        assert set(kills) == set(STEPS)
        assert gateway.stop() == dict.fromkeys(gateway.processes, 0)
