"""A connector host whose journal or disk is full: what a port reader promises there, with SUCCESS for what is kept."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dropin.test_host_kills import ledger_of
from tests.e2e.harness import Gateway, Mosquitto, Platform, closing, needs_mosquitto
from tests.support.hosting import start_hosts, write_connectors
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto
MOST = 400
RATE_HZ = 2000
IN_FLIGHT = 4096
"""What is on its way to the platform is in memory, too."""


def _configure(tmp_path: Path, port: int, entry: dict[str, Any], **main: Any) -> Path:
    """A main file with the storing connector, whose entry there has these keys, too."""
    settings = {"rate": RATE_HZ, "perCall": 20, "device": "Meter", "ledger": str(tmp_path / "ledger")}
    config = write_connectors(tmp_path / "config", port, {"Store": ("storing", "StoringConnector", settings)})
    document = json.loads(config.read_text())
    document["connectors"][0] |= entry
    config.write_text(json.dumps(document | main))
    return config


def _arrived(platform: Platform) -> list[int]:
    """What has arrived, first occurrences, in order."""
    return list(dict.fromkeys(item["values"]["n"] for item in platform.telemetry("Meter")))


def _wait_stored(tmp_path: Path, more: int, what: str, deadline_s: float = 40.0) -> list[int]:
    """Until the connector was told of so many more that they are stored; all of these."""
    before = len(ledger_of(tmp_path / "ledger"))
    return wait_until(
        lambda: found if len(found := ledger_of(tmp_path / "ledger")) > before + more else None, what, deadline_s
    )


def test_a_full_journal_lets_the_oldest_go_and_counts_them(tmp_path: Path) -> None:
    """With the platform away a connector stores on; what fits neither its journal nor what is on its way is lost, the
    oldest first, counted, and said; all else arrives in order."""
    broker = Mosquitto(tmp_path / "mqtt")
    platform = Platform(broker.port)
    gateway = Gateway(tmp_path, _configure(tmp_path, broker.port, {"uplinkQueueSize": MOST}))
    with closing(broker, platform, gateway):
        start_hosts(gateway, "Store")
        platform.wait_telemetry("Meter", 1)
        broker.stop()
        _wait_stored(tmp_path, IN_FLIGHT + 4 * MOST, "the connector stores on")
        broker.start()
        _wait_stored(tmp_path, MOST, "it goes on")
        counted = wait_until(
            lambda: gateway.counters("connector_host").get("frames_shed", 0), "what is shed is counted", 20, 0.2
        )
        gateway.processes["Store"].terminate()
        assert gateway.processes["Store"].wait(20) == 0
        stored = ledger_of(tmp_path / "ledger")
        gateway.restart("Store")
        platform.wait_for(lambda _: set(stored[-MOST // 2 :]) <= set(_arrived(platform)), "the newest", 60)
        arrived = _arrived(platform)
        missing = set(stored) - set(arrived)
        assert arrived == sorted(arrived)
        assert 0 < len(missing) < len(stored) - IN_FLIGHT // 2
        assert counted > 0
        assert min(missing) > stored[IN_FLIGHT // 2], "what was on its way was kept"
        log = gateway.log("Store")
        # Once for each change, in two processes.
        assert 1 <= log.count("journal.full") <= log.count("journal.has_room") + 2


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    """A file system of 8 MiB at `folder`; the test is left out where this user may not make one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "none", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _fill(path: Path) -> None:
    """Somebody else takes what is left of the disk."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_full_disk_is_failure_to_the_connector_and_no_loss(tmp_path: Path) -> None:
    """With the platform away and the disk full nothing is called stored; with room again it is, and everything that was
    ever called stored arrives, in order."""
    broker = Mosquitto(tmp_path / "mqtt")
    platform = Platform(broker.port)
    journals = tmp_path / "journals"
    storage = {"type": "sqlite", "data_file_path": str(journals)}
    with closing(broker, platform), _small_disk(journals):
        gateway = Gateway(tmp_path, _configure(tmp_path, broker.port, {}, storage=storage))
        with closing(gateway):
            start_hosts(gateway, "Store")
            platform.wait_telemetry("Meter", 1)
            broker.stop()
            filler = journals / "somebody else's"
            _fill(filler)
            wait_until(
                lambda: gateway.counters("connector_host").get("submissions_failed", 0) > 0, "FAILURE is said", 40
            )
            before = len(ledger_of(tmp_path / "ledger"))
            wait_until(
                lambda: gateway.counters("connector_host").get("submissions_failed", 0) > 1, "FAILURE is said", 40
            )
            assert len(ledger_of(tmp_path / "ledger")) == before, "nothing is called stored meanwhile"
            filler.unlink()
            _wait_stored(tmp_path, RATE_HZ, "it stores again", 60)
            broker.start()
            gateway.processes["Store"].terminate()
            assert gateway.processes["Store"].wait(20) == 0
            gateway.restart("Store")
            stored = ledger_of(tmp_path / "ledger")
            platform.wait_for(lambda _: set(stored) <= set(_arrived(platform)), "all that was called stored", 60)
            arrived = _arrived(platform)
            assert arrived == sorted(arrived)
            log = gateway.log("Store")
            assert "journal.failed" in log or "journal.faulty" in log
            assert "journal.recovered" in log
