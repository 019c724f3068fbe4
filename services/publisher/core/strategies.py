"""Which report strategy each value of a device has: the innermost that is named. Pure.

| level      | where it stands                                                        |
|------------|------------------------------------------------------------------------|
| value      | in the key that a user's converter gives it (`DatapointKey`)           |
| data point | in the list of telemetry or of attributes of its device                |
| device     | in its section                                                         |
| connector  | in its own file, or else in the main file's list of connectors         |
| gateway    | in `thingsboard` of the main file; DISABLED there ends all of the rest |

ON_RECEIVED, and DISABLED below the gateway, send each value on as it comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from common.config.models import DataPoint, Gateway, ReportStrategy, StrategyType
from common.wire.calls import hosted_stream

MOST_BROUGHT: Final = 256
"""Different sets of strategies, brought by converters' keys, that are kept read."""
NOTHING: Final[Mapping[str, ReportStrategy | None]] = {}


class Strategies(NamedTuple):
    """The strategies of one device; None: each value is sent on as it comes."""

    otherwise: ReportStrategy | None
    """Of all keys that the others do not have."""
    telemetry: Mapping[str, ReportStrategy | None]
    attributes: Mapping[str, ReportStrategy | None]


EVERYTHING: Final = Strategies(None, {}, {})
"""Of a device of which each value is sent on, unless its key says something else."""


class _Brought(msgspec.Struct, rename="camel"):
    """A strategy as a configuration says it."""

    type: StrategyType
    report_period: int = 10_000
    ttl: int = 86_400
    change_threshold: float | None = None


_objects: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_strategies: Final = msgspec.json.Decoder(_Brought)


def strategies_of(gateway: Gateway) -> dict[str, Strategies] | None:
    """The strategies of each device that has any value which is not sent on as it comes, and those of all devices of a
    hosted connector by its stream; None: there are none at all, not even those that converters bring."""
    main = gateway.platform.report_strategy
    if main is not None and main.type == "DISABLED":
        return None
    found = {}
    for connector in gateway.connectors:
        for device in connector.devices:
            otherwise = _applied(device.report_strategy or connector.report_strategy or main)
            telemetry, attributes = _of_points(device.all_telemetry), _of_points(device.all_attributes)
            if otherwise or any(telemetry.values()) or any(attributes.values()):
                found[device.name] = Strategies(otherwise, telemetry, attributes)
    for hosted in gateway.hosted:
        if otherwise := _applied(hosted.report_strategy or main):
            found[hosted_stream(hosted.name)] = Strategies(otherwise, {}, {})
    return found


def _of_points(points: Iterable[DataPoint]) -> dict[str, ReportStrategy | None]:
    """The strategies of the data points that name one."""
    return {point.key: _applied(point.report_strategy) for point in points if point.report_strategy is not None}


def _applied(strategy: ReportStrategy | None) -> ReportStrategy | None:
    """None for a strategy that keeps nothing back."""
    return None if strategy is None or strategy.type in ("ON_RECEIVED", "DISABLED") else strategy


@lru_cache(MOST_BROUGHT)
def read_brought(strategies: bytes) -> Mapping[str, ReportStrategy | None]:
    """The strategies that the keys of a user's reading bring: a JSON object of keys. One that is none is left out, so
    that the key has the one of its device."""
    found = {}
    try:
        for key, value in _objects.decode(strategies).items():
            try:
                said = _strategies.decode(value)
            except msgspec.DecodeError:
                continue
            read = ReportStrategy(
                type=said.type,
                report_period_ms=max(1, said.report_period),
                ttl_s=max(0, said.ttl),
                change_threshold=said.change_threshold,
            )
            found[key] = _applied(read)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return NOTHING
    return found
