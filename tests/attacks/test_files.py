"""Bits flipped in every file of a data directory at once: the gateway starts, nothing wrong is sent, what is lost is
told (attacks.md, the kinds of test)."""

from __future__ import annotations

import os
import random
import signal
import stat
from contextlib import closing
from pathlib import Path

import pytest

from tests.attacks.conftest import FULL
from tests.attacks.rig import Rig, gateway
from tests.attacks.test_converters import HOSTILE
from tests.attacks.test_journal_running import told
from tests.e2e.feeding import Feeder
from tests.e2e.harness import Platform, needs_mosquitto
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto

FRAMES = 400


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(2 if FULL else 1))
def test_bits_flipped_in_every_file(tmp_path: Path, seed: int) -> None:
    """With a backlog in two journals, notes of hosts, tasks, locks and the snapshot, after kill -9 of everything."""
    sections = [{}, {"converter": "Hostile"}]
    with gateway(tmp_path, 2, sections=sections) as (rig, lines, platform, mosquitto):
        folder = rig.config.parent / "extensions" / "serial"
        folder.mkdir(parents=True)
        (folder / "hostile.py").write_text(HOSTILE)
        rig.start("--converters", "1")
        platform.wait_connected(*rig.names, deadline_s=60)
        mosquitto.stop()
        for line in lines:
            with closing(Feeder(line, FRAMES, 200)) as feeder:
                feeder.wait_written(FRAMES)
        wait_until(lambda: _backlog(rig) >= 2 * FRAMES, "the backlog", 30, 0.5)
        _kill_all(rig)
        flipped = _flip_everywhere(rig.data_dir, random.Random(seed))
        assert {"active.json", "press0"} <= {Path(name).name.split("-")[0] for name in flipped}, flipped
        mosquitto.start()
        rig.start("--converters", "1")
        # A reader that has just been started has not said yet what waits, and what is lost: so that is waited for, too.
        wait_until(
            lambda: _backlog(rig) == 0 and _missing(rig, platform) <= told(rig.log.read_text(errors="replace")),
            "nothing waits any more, and what is missing is told",
            60,
            0.5,
        )
        assert rig.stop() == 0


def _backlog(rig: Rig) -> int:
    """Frames that wait in all journals; -1 while that is not known."""
    return int(rig.status().get("backlog", {}).get("frames", -1))


def _missing(rig: Rig, platform: Platform) -> int:
    """How many frames have not arrived; what has was said."""
    missing = 0
    for name in rig.names:
        arrived = {item["values"]["n"] for item in platform.telemetry(name)}
        assert arrived <= set(range(1, FRAMES + 1)), f"{name}: something wrong was sent"
        missing += FRAMES - len(arrived)
    return missing


def _kill_all(rig: Rig) -> None:
    assert rig.process is not None
    for pid in (*rig.pids.values(), rig.process.pid):
        os.kill(pid, signal.SIGKILL)
    rig.process.wait(10)
    wait_until(lambda: not rig.pids, "all are gone", 20)


def _flip_everywhere(folder: Path, draw: random.Random) -> list[str]:
    """Three bits of each file; their names."""
    found = []
    for path in sorted(folder.rglob("*")):
        if not stat.S_ISREG(path.lstat().st_mode) or not path.stat().st_size:
            continue
        data = bytearray(path.read_bytes())
        for _ in range(3):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(data)
        found.append(str(path.relative_to(folder)))
    return found
