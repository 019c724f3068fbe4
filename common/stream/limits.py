"""The bounds of one source: how much its journal keeps, and how much it sends ahead of the platform's acceptance."""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_RECORDS: Final = 100_000
"""What the reference calls `uplinkQueueSize`, with its default."""
MAX_BYTES: Final = 256 * 1024 * 1024
"""16 journals of talkative devices are then within 4 GiB, which a small memory card has."""


class Limits(NamedTuple):
    """Bounds of one stream. Where the journal's are passed, the oldest entries are dropped and counted."""

    max_records: int = MAX_RECORDS
    """Entries in the journal."""
    max_bytes: int = MAX_BYTES
    """Bytes of their bodies in the journal."""
    window_frames: int = 4_096
    """Entries that are sent and not settled. The publisher tracks no more numbers of a stream than this."""
    window_bytes: int = 1024 * 1024
    """Bytes that are sent and not settled; as many may wait in memory for their turn."""
    ttl_s: float | None = None
    """How old an entry may become in the journal; None for any age."""
    company_s: float | None = None
    """How long what was said waits here on purpose for more to travel with it, in all; None: as long as pays."""
