"""The bounds of one source: how much its journal keeps, and how much it sends ahead of the platform's acceptance."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds of one stream. Where the journal's are passed the oldest entries go first, and are counted."""

    max_records: int = 100_000
    """Entries in the journal: what the reference calls `uplinkQueueSize`, with its default."""
    max_bytes: int = 256 * 1024 * 1024
    """Bytes of their bodies in the journal."""
    window_frames: int = 4_096
    """Entries that are sent and not settled. The publisher keeps as many numbers of a stream, and no more."""
    window_bytes: int = 1024 * 1024
    """Bytes that are sent and not settled; as many may wait in memory for their turn."""
    ttl_s: float | None = None
    """How old an entry may become in the journal; None for any age."""
