"""Reads `reportStrategy`, which may stand in the main file, in a connector, a device and a data point."""

from __future__ import annotations

from typing import Final

from common.config.json_object import JsonObject
from common.config.models import ReportStrategy

_STRATEGIES: Final = ("ON_RECEIVED", "ON_CHANGE", "ON_REPORT_PERIOD", "ON_CHANGE_OR_REPORT_PERIOD", "DISABLED")
DAY_S: Final = 86_400
"""The longest time that a configuration may name, where it is a time to wait."""


def read_strategy(entry: JsonObject) -> ReportStrategy | None:
    """The `reportStrategy` of `entry`; None where there is none."""
    if entry.values.get("reportStrategy") is None:
        entry.knows("reportStrategy")
        return None
    child = entry.child("reportStrategy")
    if child is None:
        return None
    strategy = ReportStrategy(
        type=child.choice("type", "ON_RECEIVED", _STRATEGIES, any_case=True),
        report_period_ms=child.whole("reportPeriod", 10_000, 1),
        ttl_s=child.whole("ttl", DAY_S, 0),
        change_threshold=child.maybe_number("changeThreshold", 0, 1e300),
    )
    child.warn_unknown()
    return strategy
