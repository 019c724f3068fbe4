"""What a port reader counts: its streams, and its line."""

from __future__ import annotations

from typing import Annotated

from common.core.counters import Counter
from common.stream.counters import SourceCounts


class PortReaderCounts(SourceCounts):
    """Totals since its start; the heartbeat carries them."""

    bytes_read: Annotated[int, Counter("bytes", "read from the line")]
    ports_opened: Annotated[int, Counter("times", "the port was opened")]
    ports_lost: Annotated[int, Counter("times", "the port was lost")]
    gaps: Annotated[int, Counter("times", "bytes of the line may be missing: nobody read it, or its driver lost some")]
    checksums_wrong: Annotated[int, Counter("frames", "that were whole but for a wrong checksum")]
    framing_errors: Annotated[int, Counter("bytes", "without a stop bit in its place, as the driver counts them")]
    parity_errors: Annotated[int, Counter("bytes", "of another parity, as the driver counts them")]
    overruns: Annotated[int, Counter("bytes", "that the port or its driver had no room for, as the driver counts them")]
    breaks: Annotated[int, Counter("times", "the line was held low, as the driver counts them")]
    exchanges: Annotated[int, Counter("calls", "written to the device")]
    patterns_timed_out: Annotated[int, Counter("calls", "whose responsePattern took too long on a frame")]
    answers_too_long: Annotated[int, Counter("calls", "whose answer of several lines did not end within its bound")]
    asks: Annotated[
        int, Counter("questions", "that the gateway has asked devices by itself, probes and repeats included")
    ]
    asks_answered: Annotated[int, Counter("questions", "answered in time")]
    asks_refused: Annotated[int, Counter("questions", "that a device has refused")]
    asks_unanswered: Annotated[int, Counter("questions", "without an answer in time")]
    asks_late: Annotated[int, Counter("questions", "answered after their time, and before anything else was asked")]
    asks_cut: Annotated[int, Counter("questions", "to a device that is gone, cut short by a call to another")]
    asks_missed: Annotated[int, Counter("turns", "that passed while the line was busy with others")]
    answers_stray: Annotated[int, Counter("frames", "of a Modbus line that answer nothing that was asked")]
    replies_sent: Annotated[int, Counter("replies", "to frames that are in the journal")]
    repeats_dropped: Annotated[int, Counter("frames", "that were the one before them once more")]
    collisions: Annotated[int, Counter("writes", "whose echo was another: somebody else wrote too")]
