"""What systemd is told of the gateway, and when."""

from __future__ import annotations

from typing import Any

import pytest

from common.core.events import Tick
from common.io.orders import LONGEST_ORDER
from common.wire.messages import Heartbeat, Identity
from services.cli.supervise.readiness import READY_WITHIN_S, Readiness
from services.monitor.core.core import MonitorCore, Tell
from services.monitor.core.gateway.table import Table
from services.monitor.core.standing import AGAIN_S, standing_of

ALL = ("broker:0", "publisher:0", "port_reader:press1", "port_reader:press2")


def beaten(addresses: tuple[str, ...], now_s: float = 1.0, **facts: Any) -> Table:
    """What the monitor knows when these have beaten."""
    table = Table(["press1", "press2"])
    for address in addresses:
        kind, _, name = address.partition(":")
        state = {"registered": True, "link": "up", **facts}
        table.hear(Heartbeat(kind, name, "i", 7, "host", 1.0, state, {}), now_s)
    table.age(now_s)
    return table


@pytest.mark.parametrize("missing", ALL)
def test_it_is_ready_when_broker_publisher_and_all_readers_are_there(missing: str) -> None:
    """Without one of them it is not, and it says how many are missing."""
    assert standing_of(beaten(ALL).snapshot()).is_ready
    said = standing_of(beaten(tuple(one for one in ALL if one != missing)).snapshot())
    assert said == (False, "1 of 4 processes have not registered yet")


def test_one_that_the_broker_has_not_taken_is_not_there() -> None:
    """It runs, but works for nobody."""
    assert not standing_of(beaten(ALL, registered=False).snapshot()).is_ready


def test_the_line_is_an_order_that_fits_into_the_pipe() -> None:
    """However many devices there are."""
    order = standing_of(beaten(ALL).snapshot()).order
    assert order.startswith("standing ready ")
    assert order.endswith(" of 2 devices served, platform up")
    assert len(order) < LONGEST_ORDER


def test_a_monitor_tells_what_is_new_and_the_rest_now_and_then() -> None:
    """Nothing at all where nobody wants to hear."""
    told = MonitorCore(Identity("monitor", "0", "i", 7, "host"), ["press1"], tells=True)
    silent = MonitorCore(Identity("monitor", "0", "i", 7, "host"), ["press1"])
    counts = []
    for now_s in (1.0, 2.0, 3.0, 1.0 + AGAIN_S):
        counts.append(sum(isinstance(effect, Tell) for effect in told.handle(Tick(), now_s)))
        assert not any(isinstance(effect, Tell) for effect in silent.handle(Tick(), now_s))
    assert counts == [1, 0, 0, 1]


class Clock:
    """Time as a test says it."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_ready_is_said_once_and_the_status_each_time() -> None:
    """In this order: what is ready has a status."""
    said: list[str] = []
    readiness = Readiness(said.append, Clock())
    readiness.hear("starting", "1 of 4")
    readiness.tick()
    readiness.hear("ready", "2 of 2")
    readiness.hear("ready", "1 of 2")
    assert said == ["STATUS=1 of 4", "READY=1", "STATUS=2 of 2", "STATUS=1 of 2"]


def test_a_part_that_does_not_come_up_holds_up_no_boot() -> None:
    """After a time it is ready without it."""
    said: list[str] = []
    clock = Clock()
    readiness = Readiness(said.append, clock)
    readiness.hear("starting", "1 of 4")
    clock.now_s += READY_WITHIN_S
    readiness.tick()
    readiness.tick()
    assert said == ["STATUS=1 of 4", "READY=1"]
