"""What the gateway tells of itself: the keys that ThingsBoard's gateway dashboards read, once a period."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from common.config.models import Platform, Statistics
from common.core.events import Arrived
from common.io.variables import TOP_VARIABLE
from common.wire.messages import Heartbeat, Plane
from services.publisher.core.events import LookAtMachine, MachineSeen
from services.publisher.core.statistics import human
from services.publisher.shell.machine import look_at_machine
from tests.support.publisher_driving import TYPES, Driver, batch, points, said

GIB = 1024**3
SEEN = MachineSeen(
    at_s=100.0,
    cpus=4,
    load=1.0,
    memory_bytes=8 * GIB,
    free_memory_bytes=2 * GIB,
    disk_bytes=100 * GIB,
    free_disk_bytes=75 * GIB,
    own_cpu_s=5.0,
    own_memory={"rss": GIB // 2},
)


def told(made: Driver, topic: str) -> list[Any]:
    return [said(order) for order in made.published if order.topic == f"v1/devices/me/{topic}"]


@pytest.fixture
def made() -> Driver:
    """A gateway that tells of itself every 60 s, connected."""
    made = Driver(Platform(statistics=Statistics(period_s=60)), connectors={**dict.fromkeys(TYPES, "a"), "press4": "b"})
    made.up(limits={})
    return made


def see(made: Driver, seen: MachineSeen = SEEN) -> None:
    made.hear(seen)
    made.ack_all()


def test_attributes_are_told_at_each_connection(made: Driver) -> None:
    """Once."""
    see(made)
    see(made)
    expected = {"Version": "9.9", "totalMemory": "8.0G", "totalDisk": "100.0G", "cpuCount": 4}
    assert told(made, "attributes") == [expected]
    made.down()
    made.again()
    see(made)
    assert told(made, "attributes") == [expected, expected]


def test_telemetry_is_told_once_a_period(made: Driver) -> None:
    """With what has come since the last time."""
    see(made)
    state = {"backlog": 7, "device": "press1", "connected": True}
    made.hear(Arrived(Plane.EVENTS, Heartbeat("port_reader", "press1", "i", 1, "here", 5.0, state, {})))
    waits = {"backlog": 3}
    made.hear(Arrived(Plane.EVENTS, Heartbeat("connector_host", "press1", "i", 1, "here", 5.0, waits, {})))
    made.take(batch(1, [*points(1, 4), None], dead={4: "no number"}, attributes={"x": 1}))
    made.ack_all()
    assert any(isinstance(effect, LookAtMachine) for effect in made.wait(61))
    see(made, SEEN._replace(at_s=160.0, own_cpu_s=11.0))
    (first,) = told(made, "telemetry")
    machine, service = first.pop("machineStats"), first.pop("serviceStats")
    assert first == {
        "eventsProduced": 5,
        "eventsSent": 4,
        "connectedDevices": 1,
        "activeConnectors": 1,
        "inactiveConnectors": 1,
        "totalConnectors": 2,
        "connectorsStats": {
            "a": {
                "connectorMsgsReceived": 5,
                "convertersMsgProcessed": 4,
                "convertersMsgDropped": 1,
                "convertersErrors": 0,
                "storageMsgPushed": 4,
            }
        },
    }
    assert machine["totalCpuUsage"] == 25.0
    assert (machine["diskUsage"], machine["freeDisk"]) == (25.0, "75.0G")
    assert (machine["freeMemory"], machine["gwMemory"]) == (75.0, 6.2)
    assert machine["gwProcessCpuUsage"] == 10.0
    assert machine["gwProcessMemoryFullInfo"] == {"rss": GIB // 2}
    assert machine["msgsSentToPlatform"] >= 5
    assert machine["msgsReceivedFromPlatform"] == 1
    assert service["storageMsgPulled"] == 5
    assert service["storageMsgCount"] == 7 + 3
    # Its own attributes, and those that say whose the device is.
    assert (service["platformTsProduced"], service["platformAttrProduced"]) == (4, 3)
    made.wait(61)
    see(made)
    second = told(made, "telemetry")[1]
    assert (second["eventsProduced"], second["connectorsStats"]) == (0, {})


def test_nothing_is_told_while_the_platform_is_away_or_if_that_is_switched_off(made: Driver) -> None:
    """Counters go on meanwhile."""
    see(made)
    made.take(batch(1, points(1, 1)))
    made.ack_all()
    made.down()
    assert not any(isinstance(effect, LookAtMachine) for effect in made.wait(0.1))
    made.again()
    made.wait(61)
    see(made)
    assert told(made, "telemetry")[0]["eventsProduced"] == 1
    off = Driver()
    off.up(limits={})
    assert not any(isinstance(effect, LookAtMachine) for effect in off.wait(200))


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0.0B"), (1023, "1023.0B"), (1024, "1.0K"), (4 * GIB, "4.0G"), (2**70, "1024.0E")]
)
def test_sizes_are_told_as_there(size: int, text: str) -> None:
    """One digit, and the letter of the unit."""
    assert human(size) == text


def test_the_machine_is_looked_at() -> None:
    """The real one: all figures are there; under `serialgw run` they are those of all processes."""
    alone = look_at_machine({})
    assert alone.memory_bytes > alone.free_memory_bytes > 0
    assert alone.disk_bytes >= alone.free_disk_bytes > 0
    assert alone.own_cpu_s > 0
    assert alone.own_memory["rss"] >= alone.own_memory["uss"] > 0
    with_parent = look_at_machine({TOP_VARIABLE: str(os.getppid())})
    assert with_parent.own_cpu_s >= alone.own_cpu_s
    assert look_at_machine({TOP_VARIABLE: "999999999"}).own_memory["rss"] == 0
    assert Path("/proc/self/smaps_rollup").exists()
