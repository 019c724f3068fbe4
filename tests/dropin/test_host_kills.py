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
AWAY_S = int(os.environ.get("HOST_AWAY_S", "2"))


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


def test_nothing_is_lost_while_the_platform_is_away(tmp_path: Path) -> None:
    """The connector stores on; what waits arrives when the platform is back."""
    broker = Mosquitto(tmp_path / "mqtt")
    ledger = tmp_path / "ledger"
    settings = {"rate": 200, "perCall": 2, "device": "Meter", "ledger": str(ledger)}
    config = write_connectors(tmp_path / "config", broker.port, {"Store": ("storing", "StoringConnector", settings)})
    platform = Platform(broker.port)
    gateway = Gateway(tmp_path, config)
    with closing(broker, platform, gateway):
        start_hosts(gateway, "Store")
        platform.wait_telemetry("Meter", 50)
        broker.stop()
        before = len(ledger_of(ledger))
        wait_until(lambda: len(ledger_of(ledger)) > before + 200 * AWAY_S, "the connector stores on", AWAY_S + 30)
        broker.start()
        stored = ledger_of(ledger)
        platform.wait_for(
            lambda _: {item["values"]["n"] for item in platform.telemetry("Meter")} >= set(stored), "all of it", 60
        )
        seen = [item["values"]["n"] for item in platform.telemetry("Meter")]
        assert list(dict.fromkeys(seen)) == sorted(set(seen))


def test_a_connector_that_never_closes_is_ended_all_the_same(tmp_path: Path) -> None:
    """Within what supervisord waits, with what it had stored delivered and its device disconnected."""
    broker = Mosquitto(tmp_path / "mqtt")
    rough = {"device": "Rough", "close": "never"}
    config = write_connectors(tmp_path / "config", broker.port, {"Rough": ("rough", "RoughConnector", rough)})
    platform = Platform(broker.port)
    gateway = Gateway(tmp_path, config)
    with closing(broker, platform, gateway):
        start_hosts(gateway, "Rough")
        platform.wait_telemetry("Rough", 1)
        assert gateway.stop()["Rough"] == 0
        platform.wait_for(lambda _: platform.on("v1/gateway/disconnect", "Rough"), "disconnect")
        assert "close() has not come back" in gateway.log("Rough")


def test_what_a_connector_left_that_is_configured_no_more_is_sent(tmp_path: Path) -> None:
    """By a reader without a port, under the address by which others ask for its section; its device is disconnected."""
    broker = Mosquitto(tmp_path / "mqtt")
    ledger = tmp_path / "ledger"
    settings = {"rate": 200, "device": "Meter", "ledger": str(ledger)}
    demo = {"devices": [{"name": "Pump", "type": "pump"}]}
    connectors = {"Demo": ("demo", "DemoConnector", demo)}
    config = write_connectors(
        tmp_path / "config", broker.port, {**connectors, "Store": ("storing", "StoringConnector", settings)}
    )
    platform = Platform(broker.port)
    gateway = Gateway(tmp_path, config)
    with closing(broker, platform, gateway):
        gateway.start("Store", "connector_host", "--connector", "Store")
        wait_until(lambda: len(ledger_of(ledger)) > 50, "something is stored")
        gateway.kill("Store")
        stored = ledger_of(ledger)
        write_connectors(tmp_path / "config", broker.port, connectors)
        gateway.start_all([])
        [journal] = (gateway.data_dir / "journals").glob("*.journal")
        gateway.start("left", "port_reader", "--journal", str(journal))
        platform.wait_telemetry("Meter", len(stored))
        seen = [item["values"]["n"] for item in platform.telemetry("Meter")]
        assert not set(stored) - set(seen)
        platform.wait_for(lambda _: platform.on("v1/gateway/disconnect", "Meter"), "disconnect")
        assert gateway.processes["left"].wait(20) == 0
        assert not journal.exists()
