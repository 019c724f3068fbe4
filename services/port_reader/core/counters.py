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
    exchanges: Annotated[int, Counter("calls", "written to the device")]
    patterns_timed_out: Annotated[int, Counter("calls", "whose responsePattern took too long on a frame")]
