"""What the broker counts."""

from __future__ import annotations

from typing import Annotated, TypedDict

from common.core.counters import Counter


class BrokerCounts(TypedDict):
    """Totals since its start; the heartbeat carries them.

    What is dropped here is never lost: readers send again what was not settled. So these numbers say how much work was
    done twice, not how much data is missing.
    """

    batches_in: Annotated[int, Counter("batches", "frame batches from port readers")]
    frames_in: Annotated[int, Counter("frames", "in these")]
    batches_out: Annotated[int, Counter("batches", "frame batches handed to converters")]
    frames_dropped: Annotated[int, Counter("frames", "that found a full queue; their reader sends them again")]
    batches_dropped: Annotated[int, Counter("batches", "of these frames")]
    frames_stale: Annotated[int, Counter("frames", "for a publisher that is gone; they are sent to the new one")]
    batches_repeated: Annotated[int, Counter("batches", "resends of one that is still queued")]
    credits_restored: Annotated[int, Counter("batches", "that a converter did not have any more: its credit came back")]
    batches_blocked: Annotated[int, Counter("batches", "that a converter's socket did not take")]
    batches_taken_back: Annotated[int, Counter("batches", "not answered in time, which went to another converter")]
    readings_in: Annotated[int, Counter("readings", "from converters")]
    readings_out: Annotated[int, Counter("readings", "passed on to the publisher")]
    readings_dropped: Annotated[int, Counter("readings", "of a converter that was replaced, or without a publisher")]
    requests: Annotated[int, Counter("requests", "of the calls plane")]
    requests_unroutable: Annotated[int, Counter("requests", "that were answered here: nobody was there, or had room")]
    replies: Annotated[int, Counter("replies", "of the calls plane")]
    replies_dropped: Annotated[int, Counter("replies", "whose caller was gone")]
    registrations: Annotated[int, Counter("processes", "that have registered")]
    registrations_refused: Annotated[int, Counter("registrations", "of a second process, or one of another protocol")]
    takeovers: Annotated[int, Counter("processes", "that have taken an address over from another")]
    junk_messages: Annotated[int, Counter("messages", "that are none of ours, or have no business here")]
