"""Which report strategy each value of a device has: the innermost that is named. Pure.

| level      | where it stands                                                        |
|------------|------------------------------------------------------------------------|
| data point | in the list of telemetry or of attributes of its device                |
| device     | in its section                                                         |
| connector  | in its own file, or else in the main file's list of connectors         |
| gateway    | in `thingsboard` of the main file; DISABLED there ends all of the rest |

ON_RECEIVED, and DISABLED below the gateway, send each value on as it comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from common.config.models import DataPoint, Gateway, ReportStrategy


class Strategies(NamedTuple):
    """The strategies of one device; None: each value is sent on as it comes."""

    otherwise: ReportStrategy | None
    """Of all keys that the others do not have."""
    telemetry: Mapping[str, ReportStrategy | None]
    attributes: Mapping[str, ReportStrategy | None]


def strategies_of(gateway: Gateway) -> dict[str, Strategies]:
    """The strategies of each device that has any value which is not sent on as it comes."""
    main = gateway.platform.report_strategy
    if main is not None and main.type == "DISABLED":
        return {}
    found = {}
    for connector in gateway.connectors:
        for device in connector.devices:
            otherwise = _applied(device.report_strategy or connector.report_strategy or main)
            telemetry, attributes = _of_points(device.telemetry), _of_points(device.attributes)
            if otherwise or any(telemetry.values()) or any(attributes.values()):
                found[device.name] = Strategies(otherwise, telemetry, attributes)
    return found


def _of_points(points: Iterable[DataPoint]) -> dict[str, ReportStrategy | None]:
    """The strategies of the data points that name one."""
    return {point.key: _applied(point.report_strategy) for point in points if point.report_strategy is not None}


def _applied(strategy: ReportStrategy | None) -> ReportStrategy | None:
    """None for a strategy that keeps nothing back."""
    return None if strategy is None or strategy.type in ("ON_RECEIVED", "DISABLED") else strategy
