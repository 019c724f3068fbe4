"""kill -9 of a port reader under load: what each kill cost. `python -m bench.reader_kills --kills 200`.

The device says numbered frames with a checksum, in writes cut anywhere; the pseudo-terminal is held open, so that it
waits while nobody reads. Prints one JSON object; exit 1 if a kill cost more than one read and the frame in progress, or
a part of a frame came as a reading.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e.harness import Gateway, Line, Mosquitto, Platform, closing, write_config
from tests.support.waiting import wait_until

DEVICE = "press1"
READ_BYTES = 4_096
FRAME_BYTES = 32
MOST_LOST = (READ_BYTES - 2) // FRAME_BYTES + 2
"""Frames that one read can touch: those inside, one cut at its beginning, one in progress at its end."""


def make_frame(number: int) -> bytes:
    """32 bytes: the number, filling, a checksum over both, the delimiter."""
    head = b"%010d %s " % (number, b"abcdefghijk"[: FRAME_BYTES - 21])
    return b"%s%08x\n" % (head, zlib.crc32(head))


def number_of(text: str) -> int | None:
    """The number of a whole frame; None for anything else."""
    data = text.encode() if text.endswith("\n") else text.encode() + b"\n"
    head, digest = data[: FRAME_BYTES - 9], data[FRAME_BYTES - 9 : -1]
    if len(data) != FRAME_BYTES or digest != b"%08x" % zlib.crc32(head):
        return None
    return int(head[:10])


class Stream:
    """Frames without end at a rate, written in pieces of any size."""

    def __init__(self, line: Line, rate_hz: float, seed: int) -> None:
        self._line = line
        self._rate_hz = rate_hz
        self._draw = random.Random(seed)
        self._stop = threading.Event()
        self.written = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends after a whole frame."""
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        start_s = time.monotonic()
        rest = b""
        while not self._stop.is_set():
            due = int((time.monotonic() - start_s) * self._rate_hz)
            # What could not be said while nobody read is said at once afterwards, as by a device behind a deep FIFO.
            while self.written < due and not self._stop.is_set():
                self.written += 1
                rest += make_frame(self.written)
                if len(rest) > READ_BYTES:
                    cut = self._draw.randrange(1, len(rest))
                    self._line.write(rest[:cut])
                    rest = rest[cut:]
            cut = self._draw.randrange(len(rest) + 1)
            self._line.write(rest[:cut])
            rest = rest[cut:]
            self._stop.wait(self._draw.uniform(0.001, 0.02))
        self._line.write(rest)


class Kill(NamedTuple):
    """What one kill cost: frames in a row that never came."""

    at_number: int
    lost: int


def gaps_in(numbers: list[int]) -> Iterator[Kill]:
    """The runs that are missing between the numbers that came."""
    for before, after in itertools.pairwise(numbers):
        if after > before + 1:
            yield Kill(before + 1, after - before - 1)


def measure(kills: int, rate_hz: float, seed: int) -> dict[str, Any]:
    """Kills the reader so often and counts what did not come."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        line, mosquitto = Line(folder / "ttyTest"), Mosquitto(folder / "mosquitto")
        held = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
        platform = Platform(mosquitto.port)
        telemetry = [{"type": "string", "key": "f", "fromByte": 0, "toByte": -1}]
        device = {"name": DEVICE, "type": "counter", "port": str(line.path), "telemetry": telemetry}
        gateway = Gateway(folder, write_config(folder / "config", mosquitto.port, [device]))
        with closing(mosquitto, platform, line, gateway):
            gateway.start_all([DEVICE])
            platform.wait_for(lambda _: platform.on("v1/gateway/connect", DEVICE), "connect")
            stream = Stream(line, rate_hz, seed)
            with closing(stream):
                for _ in range(kills):
                    connects = len(platform.on("v1/gateway/connect", DEVICE))
                    threading.Event().wait(draw.choice((draw.uniform(0, 0.02), draw.uniform(0, 0.4))))
                    gateway.kill(DEVICE)
                    gateway.restart(DEVICE)
                    wait_until(partial(_is_back, platform, connects), "the reader's return", 30)
                threading.Event().wait(0.5)
            last = make_frame(stream.written).decode().rstrip("\n")
            platform.wait_for(
                lambda _: (items := platform.telemetry(DEVICE)) and items[-1]["values"]["f"].rstrip("\n") == last,
                "the last frame",
                60,
            )
            os.close(held)
            return count(platform.telemetry(DEVICE), stream.written, kills, seed)


def _is_back(platform: Platform, connects: int) -> bool:
    return len(platform.on("v1/gateway/connect", DEVICE)) > connects


def count(items: list[dict[str, Any]], written: int, kills: int, seed: int) -> dict[str, Any]:
    """The figures, and whether the promise was kept."""
    numbers = [number_of(item["values"]["f"]) for item in items]
    torn = [item["values"]["f"] for item, number in zip(items, numbers, strict=True) if number is None]
    whole = [number for number in numbers if number is not None]
    first = list(dict.fromkeys(whole))
    lost = sorted(kill.lost for kill in gaps_in([0, *first, written + 1]))
    return {
        "kills": kills,
        "frames_written": written,
        "frames_arrived": len(first),
        "frames_lost": written - len(first),
        "kills_without_loss": kills - len(lost),
        "lost_per_kill": dict(Counter(_bucket(count) for count in lost)),
        "lost_most": max(lost, default=0),
        "allowed_most": MOST_LOST,
        "repeats": len(whole) - len(first),
        "parts_of_frames_delivered": len(torn),
        "torn": torn[:5],
        "in_order": first == sorted(first),
        "seed": seed,
        "held": bool(not torn and max(lost, default=0) <= MOST_LOST and first == sorted(first) and len(lost) <= kills),
    }


def _bucket(lost: int) -> str:
    for low, high in ((1, 1), (2, 8), (9, 32), (33, 64), (65, 127), (128, MOST_LOST)):
        if low <= lost <= high:
            return f"{low}" if low == high else f"{low}-{high}"
    return f"over {MOST_LOST}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rate", type=float, default=1_500, help="frames a second of 32 bytes (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    arguments = parser.parse_args()
    found = measure(arguments.kills, arguments.rate, arguments.seed)
    print(json.dumps(found))
    return 0 if found["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
