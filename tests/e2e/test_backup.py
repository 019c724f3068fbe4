"""A gateway is kept while it runs, and brought back elsewhere: what waited is delivered once, in order."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from common.io.journal.places import MEMORY_NOTE, SHARED_MEMORY
from tests.e2e.harness import (
    Gateway,
    Line,
    Mosquitto,
    Platform,
    closing,
    needs_mosquitto,
    number_device,
    write_config,
)
from tests.support.waiting import wait_until

ACCEPTED, WAITING, LATER = 50, 400, 50


@needs_mosquitto
@pytest.mark.parametrize("storage", ["sqlite", "memory"])
def test_what_waits_in_a_backup_is_delivered_once_elsewhere(tmp_path: Path, storage: str) -> None:
    """The platform is away; the machine is lost after the backup. What came after it is lost with the machine, and
    nothing else; nothing is sent twice."""
    line = Line(tmp_path / "ttyUSB0")
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    config = write_config(tmp_path / "config", mosquitto.port, [number_device("press1", line)])
    config.write_text(config.read_text().replace('"connectors"', f'"storage": {{"type": "{storage}"}}, "connectors"'))
    (tmp_path / "lost").mkdir()
    first = Gateway(tmp_path / "lost", config)
    with closing(mosquitto, platform, line):
        try:
            first.start_all(["press1"])
            platform.wait_connected("press1", deadline_s=40)
            say(line, 1, ACCEPTED + 1)
            platform.wait_telemetry("press1", ACCEPTED)
            wait_until(lambda: backlog(first) == 0, "all of it is settled")
            mosquitto.stop()
            say(line, ACCEPTED + 1, ACCEPTED + WAITING + 1)
            wait_until(lambda: backlog(first) == WAITING, "the rest waits")
            done = first.cli("backup", str(tmp_path / "kept.tar.gz"))
            assert done.returncode == 0, done.stderr
            assert f"1 journal with {WAITING} frames that wait" in done.stdout
            # The one that was kept goes on as if nothing had been.
            say(line, ACCEPTED + WAITING + 1, ACCEPTED + WAITING + LATER + 1)
            wait_until(lambda: backlog(first) == WAITING + LATER, "and more")
        finally:
            for name in list(first.processes):
                first.kill(name)
        (tmp_path / "new").mkdir()
        second = Gateway(tmp_path / "new", tmp_path / "new" / "config" / "tb_gateway.json")
        done = second.cli("restore", str(tmp_path / "kept.tar.gz"), "--dir", str(tmp_path / "new" / "config"))
        assert done.returncode == 0, done.stderr
        assert f"press1: {WAITING} frames waiting" in done.stdout
        mosquitto.start()
        try:
            second.start_all(["press1"])
            items = platform.wait_telemetry("press1", ACCEPTED + WAITING, deadline_s=60)
            wait_until(lambda: backlog(second) == 0, "all of it is settled", 40)
            items = platform.telemetry("press1")
            assert [item["values"]["n"] for item in items] == list(range(1, ACCEPTED + WAITING + 1))
        finally:
            for name in list(second.processes):
                second.kill(name)
            for note in tmp_path.glob(f"*/data/{MEMORY_NOTE}"):
                shutil.rmtree(SHARED_MEMORY / note.read_text().strip(), ignore_errors=True)


def say(line: Line, begin: int, end: int) -> None:
    """The device counts."""
    line.write(b"".join(b"%d\n" % number for number in range(begin, end)))


def backlog(gateway: Gateway) -> int | None:
    """How many frames wait, as `status` says; None while it says nothing."""
    found = gateway.status().get("backlog")
    return None if found is None else int(found["frames"])
