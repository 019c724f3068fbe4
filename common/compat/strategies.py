"""Report strategies as users' code makes them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

__all__ = ["AggregationFunction", "ReportStrategy", "ReportStrategyConfig"]

TTL_S: Final = 86_400
"""A day, as there: how long a value is remembered where nothing is said."""


class ReportStrategy(Enum):
    """When a value goes out."""

    ON_REPORT_PERIOD = "ON_REPORT_PERIOD"
    ON_CHANGE = "ON_CHANGE"
    ON_CHANGE_OR_REPORT_PERIOD = "ON_CHANGE_OR_REPORT_PERIOD"
    ON_RECEIVED = "ON_RECEIVED"
    DISABLED = "DISABLED"

    @classmethod
    def from_string(cls, value: Any) -> ReportStrategy:
        """The strategy of that name, in any case. Raises ValueError for none."""
        try:
            return cls[str(value).upper()]
        except KeyError:
            raise ValueError(
                f"Invalid report strategy value: {value!r}, expected {', '.join(cls.__members__)}"
            ) from None


class AggregationFunction(Enum):
    """What becomes of the values of one period; never applied, there nor here."""

    NONE = "NONE"
    SUM = "SUM"
    COUNT = "COUNT"
    MIN = "MIN"
    MAX = "MAX"
    AVERAGE = "AVERAGE"


_WITH_PERIOD: Final = (ReportStrategy.ON_REPORT_PERIOD, ReportStrategy.ON_CHANGE_OR_REPORT_PERIOD)


class ReportStrategyConfig:
    """One report strategy, read. Two are equal if they say the same; it may stand in a `DatapointKey`."""

    __slots__ = ("aggregation_function", "report_period", "report_strategy", "ttl")

    def __init__(self, config: Any, default_report_strategy_config: Mapping[str, Any] | None = None) -> None:
        """`config` is `{"type", "reportPeriod", "ttl"}`, a section that holds this under `reportStrategy`, or another
        one of these objects. Raises ValueError where it says no strategy, or one that does not exist."""
        if isinstance(config, ReportStrategyConfig):
            for name in self.__slots__:
                setattr(self, name, getattr(config, name))
            return
        default = default_report_strategy_config or {}
        if isinstance(config, Mapping) and isinstance(config.get("reportStrategy"), Mapping):
            config = config["reportStrategy"]
        if not isinstance(config, Mapping) or (
            config.get("type") is None and config.get("reportPeriod") is None and not default
        ):
            raise ValueError("Report strategy config is not specified")
        self.report_strategy = ReportStrategy.from_string(config.get("type", default.get("type")))
        """A `ReportStrategy`."""
        period = config.get("reportPeriod", default.get("reportPeriod", 0))
        if isinstance(period, bool) or not isinstance(period, int | float):
            raise ValueError(f"Invalid report period value: {period!r}")
        self.report_period = max(period, 1) if self.report_strategy in _WITH_PERIOD else None
        """Milliseconds; None where the strategy has no period."""
        self.aggregation_function = config.get("aggregationFunction")
        self.ttl = config.get("ttl", default.get("ttl", TTL_S))
        """Seconds."""

    def to_config(self) -> dict[str, Any]:
        """The strategy as a configuration says it."""
        said = {"type": self.report_strategy.value, "ttl": self.ttl}
        return said if self.report_period is None else {**said, "reportPeriod": self.report_period}

    def _key(self) -> tuple[Any, ...]:
        return (self.report_strategy, self.report_period, self.aggregation_function, self.ttl)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReportStrategyConfig) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return (
            f"ReportStrategyConfig(report_period={self.report_period}, report_strategy={self.report_strategy}, "
            f"aggregation_function={self.aggregation_function}, ttl={self.ttl})"
        )
