"""The units of a device's values, as one attribute on the platform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.config.reading import read_gateway
from common.core.errors import ConfigError
from services.cli.supervise.difference import difference
from tests.dropin.test_devices import driver, published
from tests.field.reading import read_device, write_config
from tests.support.publisher_driving import batch, points

POINTS: list[dict[str, Any]] = [
    {"key": "voltage", "field": 0, "type": "float", "unit": "V"},
    {"key": "load", "field": 1, "type": "int", "unit": "%"},
    {"key": "mode", "field": 2},
]


def test_a_device_that_wants_it_has_the_units_of_its_values(tmp_path: Path) -> None:
    """Telemetry and attributes, of all its messages; one without a unit has none."""
    status = {"name": "status", "when": "^S", "fields": ",", "telemetry": POINTS}
    rating = {"name": "rating", "when": "^R", "fields": ",", "attributes": [{"key": "rated", "field": 1, "unit": "kW"}]}
    device, warnings = read_device(tmp_path, messages=[status, rating], units=True)
    assert device.units == {"voltage": "V", "load": "%", "rated": "kW"}
    assert warnings == []


def test_a_device_that_does_not_say_so_has_none(tmp_path: Path) -> None:
    """A dashboard that lists attributes is not to gain a row by itself."""
    assert read_device(tmp_path, fields=",", telemetry=POINTS)[0].units == {}


def test_no_units_and_no_room_for_them_are_told(tmp_path: Path) -> None:
    """The attribute's name may be one of the device's own."""
    _, warnings = read_device(tmp_path, fields=",", telemetry=POINTS[2:], units=True)
    assert any('no data point has a "unit"' in warning for warning in warnings)
    with pytest.raises(ConfigError, match='beside an attribute "units"'):
        read_device(tmp_path, fields=",", telemetry=POINTS, attributes=[{"key": "units", "field": 2}], units=True)


def test_they_go_out_once_with_whose_the_device_is() -> None:
    """As JSON, beside its other attributes; no other device has them."""
    made = driver(units={"press1": '{"n":"°C"}'.encode()})
    made.take(batch(1, points(1, 1)), batch(1, points(1, 1), device="press2"))
    made.ack_all()
    said = {device: values for message in published(made, "attributes") for device, values in message.items()}
    assert said["press1"] == {"connectorType": "serial", "connectorName": "Lines", "units": {"n": "°C"}}
    assert "units" not in said["press2"]
    made.take(batch(2, points(2, 1)))
    made.ack_all()
    assert sum("press1" in message for message in published(made, "attributes")) == 1


def test_a_changed_unit_concerns_the_publisher(tmp_path: Path) -> None:
    """It is what tells the platform, and takes it while it is at work."""
    before = read_gateway(write_config(tmp_path, {"name": "d", "fields": ",", "telemetry": POINTS, "units": True}), {})
    changed = [{**POINTS[0], "unit": "mV"}, *POINTS[1:]]
    after = read_gateway(write_config(tmp_path, {"name": "d", "fields": ",", "telemetry": changed, "units": True}), {})
    change = difference(before.gateway, after.gateway)
    assert (change.known, change.publisher) == (True, False)
