"""A change of the configuration in words."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from common.config.asking import Asking
from common.config.framing import Framing
from common.config.models import (
    Connector,
    DataPoint,
    Device,
    Gateway,
    HostedConnector,
    Line,
    Platform,
    ReportStrategy,
    Rpc,
    Security,
    Storage,
    Web,
)
from services.cli.supervise.difference import difference, together
from services.cli.supervise.steps import PUBLISHER, needs_restart, steps_of

A = Device(name="a", type="t", line=Line(port="/dev/ttyS1"), telemetry=(DataPoint(key="n"),))
B = replace(A, name="b", line=Line(port="/dev/ttyS2"))
OWN = HostedConnector(name="Own", type="own", class_name="Own")


def gateway(*devices: Device, **fields: Any) -> Gateway:
    return Gateway(connectors=(Connector(name="Serial", devices=devices),), **fields)


def plan(before: Gateway, after: Gateway, **waiting: int) -> list[str]:
    return [str(step) for step in steps_of(before, after, difference(before, after), waiting)]


def with_line(**fields: Any) -> Device:
    return replace(A, line=replace(A.line, **fields))


@pytest.mark.parametrize(
    ("after", "text"),
    [
        (replace(A, telemetry=(DataPoint(key="m"),)), "1 data point (no interruption)"),
        (
            replace(A, telemetry=(*A.telemetry, DataPoint(key="x"), DataPoint(key="y"))),
            "2 data points (no interruption)",
        ),
        (replace(A, byteorder="little"), "byteorder big → little (no interruption)"),
        (replace(A, rpcs=(Rpc(method="x"),)), "1 call (no interruption)"),
        (replace(A, framing=Framing(delimiter=b";")), "framing (no interruption)"),
        (replace(A, raw={"a": 1}), "its section (no interruption)"),
        (with_line(baudrate=19_200), "baudrate 9600 → 19200 (set on the open port)"),
        (with_line(xonxoff=True, stopbits=1.5), "stopbits 1 → 1.5, xonxoff off → on (set on the open port)"),
        (
            with_line(port="/dev/ttyS9"),
            "port /dev/ttyS1 → /dev/ttyS9 (its port reader starts anew: another port)",
        ),
        (
            with_line(dtr=True),
            "dtr none → on (its port reader starts anew: another dtr of the line)",
        ),
        (
            replace(A, converter="Mine"),
            "converter SerialUplinkConverter → Mine (its port reader starts anew: other processes convert its frames)",
        ),
        (
            replace(A, asking=Asking()),
            "what it is asked (its port reader starts anew: it is asked otherwise)",
        ),
    ],
)
def test_a_device_that_changes(after: Device, text: str) -> None:
    """What is another, and what that interrupts; the other device is not mentioned."""
    assert plan(gateway(A, B), gateway(after, B)) == [f"~ a: {text}"]


def test_devices_that_come_and_go() -> None:
    """How much is sent first; one under another name is a new device."""
    lines = plan(gateway(A), gateway(A, B))
    assert lines == ["+ b"]
    change = difference(gateway(A), gateway(A, B))
    assert (change.publisher, change.known, change.names) == (False, True, True)
    assert plan(gateway(A, B), gateway(A), b=12)[0] == "- b (12 frames will be sent first)"
    assert plan(gateway(A, B), gateway(A), b=1)[0] == "- b (1 frame will be sent first)"
    assert plan(gateway(A, B), gateway(A))[0] == "- b"
    renamed = plan(gateway(A, B), gateway(A, replace(B, name="c")))
    assert renamed[0] == "+ c (on the port of b: the platform will see a new device)"


def test_the_platform_shows_no_secret() -> None:
    """Plain values with both, all else by its name."""
    before = gateway(A, platform=Platform(host="one", security=Security(access_token="hidden-1")))
    after = gateway(A, platform=Platform(host="two", port=8883, security=Security(access_token="hidden-2")))
    [line] = plan(before, after)
    assert line == f"~ platform: host one → two, port 1883 → 8883, security ({PUBLISHER})"
    strategy = gateway(replace(A, report_strategy=ReportStrategy(type="ON_CHANGE")))
    assert plan(gateway(A), strategy)[0] == "~ a: report strategy (no interruption)"


def test_what_is_neither_device_nor_platform() -> None:
    """Storage, page, levels and connectors."""
    old = gateway(A)
    place = gateway(A, storage=Storage(type="memory"))
    assert needs_restart(old, place)
    assert plan(old, place)[-1].startswith("! storage: type sqlite → memory (needs a restart of all: refused without")
    limit = gateway(A, storage=Storage(max_records=5))
    assert not needs_restart(old, limit)
    end = "(no interruption; what is more than that is dropped)"
    assert plan(old, limit) == [f"~ storage: max_records none → 5 {end}"]
    flush = gateway(A, storage=Storage(max_records=5, durability="power"))
    assert plan(limit, flush) == [
        "~ storage: durability process → power (all port readers start anew, nothing is lost)"
    ]
    assert difference(limit, flush).changed == ("a",)
    assert difference(old, limit) == difference(old, old)._replace(limits=True)
    assert plan(old, gateway(A, web=Web(port=1)))[0].startswith("~ web: (the monitor restarts")
    assert plan(old, gateway(A, log_levels={"broker": "DEBUG"})) == ["~ log levels: (no interruption)"]
    hosted = gateway(A, hosted=(OWN,))
    assert plan(old, hosted)[0] == "+ connector Own"
    assert plan(hosted, gateway(A, hosted=(replace(OWN, text="x"),)))[0].startswith("~ connector Own: its file")
    assert plan(hosted, old)[0].startswith("- connector Own (what waits")


def test_a_change_that_was_not_completed_is_one() -> None:
    """The files are those that were taken, but nobody knows whether everybody has them."""
    before, after = gateway(A, B), gateway(with_line(port="/dev/ttyS9"), B)
    change = together(difference(before, after), difference(after, after))
    lines = [str(step) for step in steps_of(after, after, change, {})]
    assert lines == ["~ a: an earlier change was not completed (its port reader starts anew)"]
