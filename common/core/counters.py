"""What processes count, declared once: name, unit and meaning stand together.

A service's counters are a `TypedDict` of annotated whole numbers, so a name that is misspelt is an error of the type
checker, and counting is an addition in a plain dict:

    class MonitorCounts(TypedDict):
        heartbeats: Annotated[int, Counter("heartbeats", "heard from anyone")]

    counts = new_counts(MonitorCounts)
    counts["heartbeats"] += 1

Counters only rise, from 0 at the process's start; gauges say how something is now. Heartbeats carry both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, TypedDict, TypeVar, get_args, get_type_hints

Counts = TypeVar("Counts")


class Counter(NamedTuple):
    """What one number counts."""

    unit: str
    """What is counted, in the plural: `frames`, `bytes`, `calls`."""
    help: str


class Gauge(NamedTuple):
    """What one number shows."""

    unit: str
    help: str


class CommonCounts(TypedDict):
    """What every process counts beside its own."""

    junk_messages: Annotated[int, Counter("messages", "that are none of ours")]
    log_lines_dropped: Annotated[int, Counter("lines", "of the log that nobody took")]
    log_lines_hidden: Annotated[int, Counter("lines", "of the log left out, as too many of their kind came")]
    cpu_ms: Annotated[int, Counter("milliseconds", "of processor time that the process has used")]
    resident_bytes: Annotated[int, Gauge("bytes", "of memory that the process has in use")]


def new_counts(table: type[Counts]) -> Counts:
    """All of a table at 0."""
    zeros: Any = dict.fromkeys(table.__annotations__, 0)
    found: Counts = zeros
    return found


def totals(counts: Mapping[str, object]) -> dict[str, int]:
    """A copy of what was counted, as heartbeats carry it."""
    found: Any = dict(counts)
    copy: dict[str, int] = found
    return copy


def described(table: type[Any]) -> dict[str, Counter | Gauge]:
    """Name → what it counts, in the table's order. Raises TypeError for a name without a description."""
    found: dict[str, Counter | Gauge] = {}
    for name, hint in get_type_hints(table, include_extras=True).items():
        said = [part for part in get_args(hint)[1:] if isinstance(part, Counter | Gauge)]
        if len(said) != 1:
            raise TypeError(f"{table.__name__}.{name}: expected one Counter or Gauge")
        found[name] = said[0]
    return found
