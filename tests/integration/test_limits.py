"""Limits of the world, with real processes: full disks, damaged journals, and who is second."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.io.journal.asides import KEPT
from common.io.journal.places import file_name
from tests.e2e.harness import ROOT, Gateway, Line, Mosquitto, Platform, closing, needs_mosquitto, write_config
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto

DEVICE = "press1"
FRAMES = 3000
PAD = b"x" * 1000


def _device(line: Line) -> dict[str, Any]:
    point = [{"type": "int", "key": "n", "untilDelimiter": " "}]
    return {"name": DEVICE, "port": str(line.path), "firstFrame": "keep", "telemetry": point}


def _numbers(platform: Platform) -> list[int]:
    return list(dict.fromkeys(item["values"]["n"] for item in platform.telemetry(DEVICE)))


@contextmanager
def _small_disk(folder: Path) -> Iterator[bool]:
    """A file system of 8 MiB at `folder`; False where this user may not make one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "none", str(folder)]
    is_small = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield is_small
    finally:
        if is_small:
            subprocess.run(["umount", "-l", folder], check=True)


def _fill(path: Path) -> None:
    """Somebody else takes what is left of the disk."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def _counters_after(gateway: Gateway, bytes_read: int) -> dict[str, int] | None:
    """The reader's counters when it has read so much; None before."""
    counters = gateway.counters("port_reader")
    return counters if counters.get("bytes_read", 0) >= bytes_read else None


def _configure(tmp_path: Path, mosquitto: Mosquitto, line: Line, journals: Path) -> Path:
    config = write_config(tmp_path / "config", mosquitto.port, [_device(line)])
    document = json.loads(config.read_text())
    document["storage"] = {"type": "sqlite", "data_file_path": str(journals)}
    config.write_text(json.dumps(document))
    return config


def test_a_full_disk(tmp_path: Path) -> None:
    """With the platform away and the disk full (where no file system may be made: a limit on files) the line is still
    read; what fits neither disk nor memory is counted; one warning; when the platform and the room are back, what was
    kept arrives, in order, and the journal is written again."""
    line, mosquitto = Line(tmp_path / "tty"), Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    journals = tmp_path / "journals"
    with closing(mosquitto, platform, line), _small_disk(journals) as is_small:
        gateway = Gateway(tmp_path, _configure(tmp_path, mosquitto, line, journals))
        with closing(gateway):
            gateway.start_all([DEVICE])
            platform.wait_for(lambda _: platform.on("v1/gateway/connect", DEVICE), "connect")
            mosquitto.stop()
            reader = gateway.processes[DEVICE].pid
            no_limit = resource.prlimit(reader, resource.RLIMIT_FSIZE)
            filler = journals / "somebody else's"
            if is_small:
                _fill(filler)
            else:
                resource.prlimit(reader, resource.RLIMIT_FSIZE, (500_000, no_limit[1]))
            for number in range(FRAMES):
                line.write(b"%d %b\n" % (number, PAD))
            counters = wait_until(lambda: _counters_after(gateway, FRAMES * 1000), "the whole line read", 30, 0.2)
            assert counters["journal_errors"] > 0
            assert counters["frames_dropped"] + counters["frames_shed"] > 0
            pages = int(Path(f"/proc/{reader}/statm").read_text().split()[1])
            assert pages * resource.getpagesize() < 100 << 20
            filler.unlink(missing_ok=True)
            resource.prlimit(reader, resource.RLIMIT_FSIZE, no_limit)
            mosquitto.start()
            wait_until(lambda: _is_settled(gateway), "everything that was kept has arrived", 40, 0.3)
            wait_until(lambda: "journal.recovered" in gateway.log(DEVICE), "the journal is back")
            line.write(b"%d %b\n" % (FRAMES, PAD))
            platform.wait_for(lambda _: _numbers(platform)[-1:] == [FRAMES], "a new frame")
            numbers = _numbers(platform)
            counters = gateway.counters("port_reader")
            lost = counters["frames_dropped"] + counters["frames_shed"]
            # OPENED may be among what was shed.
            assert FRAMES + 1 - len(numbers) in (lost, lost - 1)
            assert numbers == sorted(numbers)
            assert gateway.log(DEVICE).count("journal.failed") <= 3
            assert "Traceback" not in gateway.log(DEVICE)
            assert set(gateway.stop().values()) == {0}


def _is_settled(gateway: Gateway) -> bool:
    status = gateway.status()
    return bool(status) and status["backlog"]["frames"] == 0


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(16_384))


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _other_schema(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("UPDATE meta SET schema_version = 99")
    database.commit()
    database.close()


def test_damaged_journals_are_set_aside(tmp_path: Path) -> None:
    """Overwritten, cut, empty, of another schema, junk: a line with the path of what was put aside, of which the
    newest stay, and frames flow."""
    damages: list[Callable[[Path], None]] = [_overwrite, _cut, _other_schema]
    damages += [lambda path: os.truncate(path, 0), lambda path: path.write_bytes(b"junk" * 9999)]
    line, mosquitto = Line(tmp_path / "tty"), Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    gateway = Gateway(tmp_path, write_config(tmp_path / "config", mosquitto.port, [_device(line)]))
    journal = gateway.data_dir / "journals" / file_name(DEVICE)
    with closing(mosquitto, platform, line, gateway):
        gateway.start_all([DEVICE])
        platform.wait_for(lambda _: platform.on("v1/gateway/connect", DEVICE), "connect")
        for number, damage in enumerate(damages):
            for _ in range(100):
                line.write(b"%d %b\n" % (number, PAD))
            platform.wait_for(lambda _, number=number: number in _numbers(platform), "a frame", 40)
            gateway.kill(DEVICE)
            for suffix in ("-wal", "-shm"):
                _checkpoint(journal)
                Path(f"{journal}{suffix}").unlink(missing_ok=True)
            damage(journal)
            gateway.restart(DEVICE)
            wait_until(
                lambda number=number: gateway.log(DEVICE).count("journal.damaged aside=") == number + 1,
                f"damage {number} told",
            )
        line.write(b"77 x\n")
        platform.wait_for(lambda _: 77 in _numbers(platform), "a frame at the end", 40)
        asides = sorted(journal.parent.glob("*.damaged-*"))
        assert len([path for path in asides if not path.name.endswith(("-wal", "-shm"))]) == KEPT
        assert gateway.log(DEVICE).count("older_removed=1") == len(damages) - KEPT
        assert all(path.name in gateway.log(DEVICE) for path in asides)
        assert "Traceback" not in gateway.log(DEVICE)


def _checkpoint(journal: Path) -> None:
    """Brings what the log file holds into the database, as a process that closes in order does."""
    database = sqlite3.connect(journal)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def test_whoever_comes_second_is_told_by_whom(tmp_path: Path) -> None:
    """Each process that is started twice on the same data ends with exit 69 and names the pid of the first."""
    line, mosquitto = Line(tmp_path / "tty"), Mosquitto(tmp_path / "mosquitto")
    gateway = Gateway(tmp_path, write_config(tmp_path / "config", mosquitto.port, [_device(line)]))
    with closing(mosquitto, line, gateway):
        gateway.start_all([DEVICE])
        wait_until(lambda: len(gateway.status().get("processes", [])) == 5, "all five are there", 30, 0.2)
        arguments = {
            "broker": ["broker"],
            "monitor": ["monitor"],
            "publisher": ["publisher"],
            "converter0": ["converter", "--slot", "0"],
            DEVICE: ["port_reader", "--device", DEVICE],
        }
        for name, (service, *rest) in arguments.items():
            command = [sys.executable, "-m", f"services.{service}", "--config", str(gateway.config)]
            second = subprocess.run(
                [*command, "--data-dir", str(gateway.data_dir), *rest],
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            assert second.returncode == 69, second.stderr
            assert f"held by the process with pid {gateway.processes[name].pid}" in second.stderr
            assert len(second.stderr.splitlines()) == 1
            assert gateway.processes[name].poll() is None
        gateway.processes[DEVICE].send_signal(signal.SIGTERM)
