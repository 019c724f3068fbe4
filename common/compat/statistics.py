"""Statistics that files of the other gateway collect: everything is taken and passed on, and nothing is counted.

serialgw counts frames, bytes and errors itself, of all devices alike: `serialgw status`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = [
    "CollectAllReceivedBytesStatistics",
    "CollectAllSentTBBytesStatistics",
    "CollectRPCReplyStatistics",
    "CollectStatistics",
    "CollectStorageEventsStatistics",
    "CountMessage",
    "StatisticsService",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])


class CollectStatistics:
    """A decorator that passes arguments and result through."""

    def __init__(self, start_stat_type: Any = None, end_stat_type: Any = None, *_: Any, **_unused: Any) -> None:
        self.start_stat_type = start_stat_type
        self.end_stat_type = end_stat_type

    def __call__(self, func: _Function) -> _Function:
        @functools.wraps(func)
        def passed(*args: Any, **kwargs: Any) -> Any:
            return func(*args, **kwargs)

        return passed  # type: ignore[return-value]

    @staticmethod
    def collect(stat_type: Any, data: Any) -> None:
        """Counts nothing."""


class CollectAllReceivedBytesStatistics(CollectStatistics):
    """The same, under the name that it has on what comes from the platform."""


class CollectAllSentTBBytesStatistics(CollectStatistics):
    """The same, under the name that it has on what goes to the platform."""


class CollectRPCReplyStatistics(CollectStatistics):
    """The same; the result is passed on here."""


class CollectStorageEventsStatistics(CollectStatistics):
    """The same; the result is passed on here."""


class CountMessage(CollectStatistics):
    """The same, under the name that it has on messages."""


class StatisticsService:
    """The service by which files count: takes everything, answers None."""

    # Up to 3.5 the decorators stood in here.
    CollectStatistics = CollectStatistics
    CollectAllReceivedBytesStatistics = CollectAllReceivedBytesStatistics
    CollectAllSentTBBytesStatistics = CollectAllSentTBBytesStatistics
    CollectRPCReplyStatistics = CollectRPCReplyStatistics
    CollectStorageEventsStatistics = CollectStorageEventsStatistics
    CountMessage = CountMessage
    ENABLED = False
    ENABLED_CUSTOM = False
    STATISTICS_STORAGE: dict[str, int] = {}
    CONNECTOR_STATISTICS_STORAGE: dict[str, dict[str, int]] = {}

    @staticmethod
    def add_bytes(
        stat_type: Any, bytes_count: Any = 0, stat_parameter_name: Any = None, *_: Any, **_unused: Any
    ) -> None:
        """Counts nothing."""

    @staticmethod
    def add_count(stat_key: Any, count: Any = 1, stat_parameter_name: Any = None, *_: Any, **_unused: Any) -> None:
        """Counts nothing."""

    @staticmethod
    def count_connector_message(connector_name: Any, stat_parameter_name: Any, count: Any = 1) -> None:
        """Counts nothing."""

    @staticmethod
    def count_connector_bytes(connector_name: Any, msg: Any, stat_parameter_name: Any) -> None:
        """Counts nothing."""

    @staticmethod
    def clear_statistics() -> None:
        """There is nothing to clear."""
