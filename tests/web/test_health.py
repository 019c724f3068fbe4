"""What `/readyz` says of each part."""

from __future__ import annotations

import pytest

from common.wire.messages import Heartbeat
from common.wire.states import ConverterState, PortReaderState, PublisherState
from services.monitor.core.health import LEAST_DISK_BYTES, NAMES, as_lines, checks_of
from tests.web.snapshots import beat, healthy, snapshot_of


def faults(*beats: Heartbeat, disk: int = LEAST_DISK_BYTES, later_s: float = 0.0) -> dict[str, str]:
    """Name → what is wrong, of those that are not well."""
    return {
        check.name: check.fault for check in checks_of(snapshot_of(*beats, later_s=later_s), disk) if not check.is_well
    }


def test_a_healthy_gateway_is_ready() -> None:
    """Every part is named, in the order in which it is asked for."""
    checks = checks_of(snapshot_of(*healthy()), LEAST_DISK_BYTES)
    assert tuple(check.name for check in checks) == NAMES
    assert as_lines(checks) == "".join(f"[+]{name} ok\n" for name in NAMES) + "ready\n"


DOWN = beat("publisher", "0", PublisherState(link="down", fault="the platform refuses the access token"))
CLOSED = beat("port_reader", "press", PortReaderState(journal_writable=False))


@pytest.mark.parametrize(
    ("beats", "name", "words"),
    [
        (healthy()[1:], "broker", "has not been heard of"),
        ([*healthy()[:1], *healthy()[2:]], "publisher", "has not been heard of"),
        ([*healthy()[:2], *healthy()[3:]], "converters", "none has been heard of"),
        ([*healthy()[:3], *healthy()[4:]], "readers", "not alive: press"),
        ([*healthy(), CLOSED], "journal", "can't be written: press"),
        ([*healthy(), DOWN], "platform", "is not reached: the platform refuses the access token"),
    ],
)
def test_each_part_that_fails_is_named_with_its_reason(beats: list[Heartbeat], name: str, words: str) -> None:
    """One that is gone, one after the other."""
    assert faults(*beats)[name] == words


def test_a_full_disk_is_a_fault() -> None:
    """Before journals find it out."""
    assert "expected at least 64 MiB" in faults(*healthy(), disk=LEAST_DISK_BYTES - 1)["disk"]


def test_silence_makes_everything_unready() -> None:
    """Processes that are late serve nobody for certain."""
    found = faults(*healthy(), later_s=4)
    assert {"broker", "publisher", "converters", "readers"} <= {*found}
    assert found["broker"] == "is late"


def test_one_converter_of_two_is_enough() -> None:
    """The rest of the pool does the work."""
    late = beat("converter", "1", ConverterState(slot="1")).replace(every_s=1.0)
    assert faults(*healthy(), late) == {}
