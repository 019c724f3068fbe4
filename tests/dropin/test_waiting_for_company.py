"""`minPackSendDelayMS`: how long readings wait on purpose for others to travel with, in all processes together."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.config.models import Connector, Device, Gateway, Platform
from common.config.task import device_task, read_task, write_task
from common.stream.limits import Limits
from common.stream.numbers import Progress
from common.stream.sending.company import JOIN_S
from services.port_reader.core.pace import ReadPace
from tests.support.port_reader_rig import Rig
from tests.support.publisher_driving import Driver, batch, points

BYTE_S = 10 / 115_200


def rests_of_a_busy_line(company_s: float | None) -> list[float]:
    """How long a line rests that says five frames each time it is read, on a machine with 64 ports."""
    pace = ReadPace(BYTE_S, 4_096, 64, company_s)
    now_s, read, rests = 100.0, 1, []
    for _ in range(50):
        read += 5
        rests.append(pace.rest_s(now_s, 100, Progress(read, read, read, 0)))
        now_s += rests[-1] + 0.001
    return rests


@pytest.mark.parametrize(
    ("delay_ms", "reader_s", "broker_s", "publisher_s"),
    [(0, 0.0, 0.0, 0.0), (20, 0.01, 0.01, 0.01), (50, None, 0.04, 0.01), (200, None, 0.08, 0.12)],
)
def test_the_time_is_shared_out(
    tmp_path: Path, delay_ms: int, reader_s: float | None, broker_s: float, publisher_s: float
) -> None:
    """A frame waits in its reader, where the line is busy, or in the broker, where it comes alone; and then in the
    publisher, for what is left of the time."""
    platform = Platform(min_pack_send_delay_ms=delay_ms)
    assert platform.broker_company_s == broker_s
    assert platform.publisher_company_s == pytest.approx(publisher_s)
    assert platform.broker_company_s + platform.publisher_company_s <= delay_ms / 1000
    device = Device(name="press1")
    gateway = Gateway(platform=platform, connectors=(Connector(name="S", devices=(device,)),))
    task = device_task(gateway, device, tmp_path, "INFO")
    assert read_task(write_task(task)).company_s == reader_s


def test_with_nothing_to_wait_for_a_busy_line_does_not_rest() -> None:
    """Unless it is held because it says more than the platform takes, which is another matter."""
    assert max(rests_of_a_busy_line(0.0)) == 0.0
    assert max(rests_of_a_busy_line(None)) > 0.1
    assert 0.0 < max(rests_of_a_busy_line(0.025)) <= 0.0125


def test_batches_do_not_wait_longer_than_that() -> None:
    """The second half of a reader's time is for the batch: with nothing to wait for, each read goes at once."""
    for company_s, expected in ((0.0, 0.0), (0.008, 0.004), (1.0, JOIN_S), (None, JOIN_S)):
        rig = Rig(limits=Limits(company_s=company_s))
        rig.wait(0.1)
        for _ in range(8):
            rig.read(b"x\n" * 128, 0.001)
        sent = len(rig.batches)
        rig.read(b"x\n" * 128, 0.001)
        assert (len(rig.batches) > sent) == (expected == 0.0)
        rig.wait(expected)
        assert len(rig.batches) == sent + 1


def test_the_publisher_waits_for_nobody_either() -> None:
    """With 0 a device's reading goes out although another publish is in flight."""
    driver = Driver(Platform(min_pack_send_delay_ms=0))
    driver.up(limits={})
    for device in ("press1", "press2"):
        driver.take(batch(1, points(1, 1), device=device))
        driver.settle_control()
    assert len(driver.data) == 2
    waiting = Driver(Platform(min_pack_send_delay_ms=200))
    waiting.up(limits={})
    for device in ("press1", "press2"):
        waiting.take(batch(1, points(1, 1), device=device))
        waiting.settle_control()
    assert len(waiting.data) == 1
    waiting.wait(0.2)
    assert len(waiting.data) == 2
