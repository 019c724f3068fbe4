"""What the publisher's heartbeat says beside its counters: how long things took, and how they ended. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Final

from common.core.durations import Durations
from common.wire.call_ends import end_of

MOST_CODES: Final = 12
"""MQTT has more reason codes for a PUBACK than any platform uses; each is a series of its own in `/metrics`."""
OTHER: Final = "other"


class PublishTally:
    """PUBACKs: how long they took, and the codes of those that refused."""

    def __init__(self) -> None:
        self.durations = Durations()
        self.codes: Counter[str] = Counter()

    def refused(self, code: int) -> None:
        """A PUBACK has refused a publish."""
        name = str(code)
        self.codes[name if name in self.codes or len(self.codes) < MOST_CODES else OTHER] += 1


class CallTally:
    """Calls: how long they took, and how they ended."""

    def __init__(self) -> None:
        self.durations = Durations()
        self.ends: Counter[str] = Counter()

    def ended(self, error: str, took_s: float | None = None) -> None:
        """A call has ended so, "" being well. `took_s`: None where it was refused before it had begun."""
        self.ends[end_of(error)] += 1
        if took_s is not None:
            self.durations.add(took_s)
