"""What a keeper asks first: how old, how long, how many of which kind. A part of the table in `exported`. Pure."""

from __future__ import annotations

from typing import Final

from services.monitor.core.metrics.metric import Metric

_DEVICE: Final = ("device",)
_PROCESS: Final = ("kind", "name")
PUBACK_CODES: Final = ("128", "131", "135", "144", "145", "151", "153", "other")
"""Reason codes with which a PUBACK of MQTT 5 refuses; another one is shown when it comes."""
MOST_CODES: Final = 32
"""Whatever a heartbeat says, there are no more series than this of them."""

DEAD_LETTERS: Final = Metric(
    "dead_letters", "counter", "Frames and pieces of the line that will never be retried.", ("device", "reason")
)
DELIVERY: Final = Metric(
    "delivery_duration_seconds", "histogram", "Time from the line to the platform's acceptance, of each entry.", _DEVICE
)
OLDEST: Final = Metric(
    "journal_oldest_timestamp_seconds", "gauge", "Wall time of the oldest entry that waits, 0 for none.", _DEVICE
)
LIMIT_FRAMES: Final = Metric("journal_limit_frames", "gauge", "Entries that the journal may hold.", _DEVICE)
LIMIT_BYTES: Final = Metric("journal_limit_bytes", "gauge", "Bytes that the journal may hold.", _DEVICE)
PUBLISH_DURATION: Final = Metric("publish_duration_seconds", "histogram", "Time from a PUBLISH to its PUBACK.")
PUBLISHES_REFUSED: Final = Metric(
    "publishes_refused", "counter", "PUBACK packets that refuse, by their reason code.", ("code",)
)
INTERVAL: Final = Metric(
    "rate_limit_interval_seconds", "gauge", "Distance that is kept between publishes, 0 at full speed."
)
CALLS: Final = Metric("calls", "counter", "Calls of the platform and of clients, by how they ended.", ("outcome",))
CALLS_OPEN: Final = Metric("calls_open", "gauge", "Calls that have no answer yet.")
CALL_DURATION: Final = Metric("call_duration_seconds", "histogram", "Time from a call's request to its answer.")
CPU: Final = Metric(
    "process_cpu_seconds", "counter", "Processor time of the process, without processes that it has started.", _PROCESS
)
MEMORY: Final = Metric(
    "process_resident_memory_bytes", "gauge", "Memory that the process has in use, shared pages included.", _PROCESS
)

ALL: Final = (
    *(DEAD_LETTERS, DELIVERY, OLDEST, LIMIT_FRAMES, LIMIT_BYTES, PUBLISH_DURATION, PUBLISHES_REFUSED, INTERVAL),
    *(CALLS, CALLS_OPEN, CALL_DURATION, CPU, MEMORY),
)
