"""Every number in a heartbeat is declared, once, with its unit and its meaning."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

import pytest

from common.core.counters import CommonCounts, Counter, described, new_counts, totals
from common.stream.counters import JournalCounts
from services.broker.core.counters import BrokerCounts
from services.converter.core.counters import ConverterCounts
from services.monitor.core.counters import MonitorCounts
from services.port_reader.core.counters import PortReaderCounts
from services.publisher.core.counters import PublisherCounts

TABLES: list[type[Any]] = [
    BrokerCounts,
    CommonCounts,
    ConverterCounts,
    JournalCounts,
    MonitorCounts,
    PublisherCounts,
    PortReaderCounts,
]


@pytest.mark.parametrize("table", TABLES)
def test_each_counter_says_what_it_counts(table: type[Any]) -> None:
    """In a unit in the plural, and in words that are not its name again."""
    found = described(table)
    assert list(found) == list(table.__annotations__)
    for name, (unit, help_text) in found.items():
        assert unit, name
        assert len(help_text) >= 8, name
        assert help_text != name.replace("_", " ")


def test_counters_begin_at_0_and_a_copy_stays_as_it_is() -> None:
    """A heartbeat carries what was true when it was made."""
    counts = new_counts(MonitorCounts)
    assert counts == {"requests": 0, "heartbeats": 0}
    before = totals(counts)
    counts["requests"] += 2
    assert (before["requests"], totals(counts)["requests"]) == (0, 2)


def test_a_number_without_a_meaning_is_an_error() -> None:
    """Whoever adds one says what it counts."""

    class Bare(TypedDict):
        left_out: int
        said: Annotated[int, Counter("things", "that were said")]

    with pytest.raises(TypeError, match=r"Bare\.left_out: expected one Counter or Gauge"):
        described(Bare)
