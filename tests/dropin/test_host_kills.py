"""A connector host that is killed loses nothing that its connector was told is stored, and keeps the order."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.e2e.harness import Gateway, Mosquitto, Platform, closing, needs_mosquitto
from tests.support.hosting import start_hosts, write_connectors
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto
KILLS = int(os.environ.get("HOST_KILLS", "4"))
RATE_HZ = int(os.environ.get("HOST_RATE", "500"))


def ledger_of(path: Path) -> list[int]:
    """Whole lines of what the connector was told is stored."""
    whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
    return [int(line) for line in whole.split()]


def test_what_was_called_stored_arrives_in_order_whatever_is_killed(tmp_path: Path) -> None:
    """Kill -9 in the middle of storing, again and again; the order of first arrivals is that of storing."""
    broker = Mosquitto(tmp_path / "mqtt")
    ledger = tmp_path / "ledger"
    settings = {"rate": RATE_HZ, "perCall": 5, "device": "Meter", "ledger": str(ledger)}
    config = write_connectors(tmp_path / "config", broker.port, {"Store": ("storing", "StoringConnector", settings)})
    platform = Platform(broker.port)
    gateway = Gateway(tmp_path, config)
    with closing(broker, platform, gateway):
        start_hosts(gateway, "Store")
        for _ in range(KILLS):
            before = len(ledger_of(ledger))
            wait_until(lambda before=before: len(ledger_of(ledger)) > before + RATE_HZ // 4, "more is stored", 30)
            gateway.kill("Store")
            gateway.restart("Store")
        before = len(ledger_of(ledger))
        wait_until(lambda: len(ledger_of(ledger)) > before + RATE_HZ // 4, "more is stored", 30)
        assert gateway.stop()["Store"] == 0
        stored = ledger_of(ledger)
        seen = [item["values"]["n"] for item in platform.telemetry("Meter")]
        end_s = time.monotonic() + 20
        while set(stored) - set(seen) and time.monotonic() < end_s:
            seen = [item["values"]["n"] for item in platform.telemetry("Meter")]
        assert not set(stored) - set(seen)
        assert list(dict.fromkeys(seen)) == sorted(set(seen)), "in the order in which they were stored"
        times = [item["ts"] for item in platform.telemetry("Meter")]
        assert len(set(zip(times, seen, strict=False))) == len(set(seen)), "a repeat has the time that it had"
        sys.stdout.write(f"{KILLS} kills, {len(stored)} stored, {len(set(seen))} arrived, {len(seen)} with repeats\n")
