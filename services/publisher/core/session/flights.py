"""Every publish that is not accepted for good, and the devices that have to wait. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from common.core.backoff import Backoff
from services.publisher.core.dialects import Verdict
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.parcels import Parcel

MOST_IN_FLIGHT: Final = 100
"""Publishes without a PUBACK at a time; the platform may say that it takes fewer."""
DOUBT_S: Final = 1.0
"""So long after a PUBACK the connection has to stand for it to mean what it says."""
DIRECT_S: Final = 0.2
"""A close so soon after a PUBACK belongs to it: the server writes both at once. Less than the first distance of
`PublishPace`, so that a publish which goes out after that PUBACK is told from it."""
ACK_TIMEOUT_S: Final = 20.0
"""Without a PUBACK for so long the connection is given up: MQTT allows no repeat on the same one."""
DEVICE_BACKOFF: Final = Backoff(1.0, 60.0)


class Flight(NamedTuple):
    """A publish that is not accepted for good; a higher token was published later."""

    token: int
    parcel: Parcel
    sent_s: float
    since_s: float
    """When it was published; if it is in doubt or refused: when its PUBACK came."""
    verdict: Verdict = "accepted"
    """What its PUBACK means, once it has come."""
    code: int = 0
    """The PUBACK's reason code, for the log."""


class Publishes:
    """Publishes from their sending until they are accepted or given back, in one of three places:

    - `in_flight`: no PUBACK yet. These take the slots, `limit` at a time;
    - `in_doubt`: a PUBACK has accepted it, on MQTT 3.1.1, where a close right behind would take that back;
    - `refused`: a PUBACK has refused it, and the next second shows whether a close belongs to that.
    """

    def __init__(self) -> None:
        self.in_flight: dict[int, Flight] = {}
        """By token, the oldest first."""
        self.in_doubt: deque[Flight] = deque()
        self.refused: deque[Flight] = deque()
        self.limit = MOST_IN_FLIGHT
        self.marks = 0
        """Announcements and goodbyes among those in flight."""
        self.replies = 0
        """Replies among those in flight."""

    @property
    def has_slot(self) -> bool:
        """True if another publish may be in flight."""
        return len(self.in_flight) < self.limit

    @property
    def has_reply_slot(self) -> bool:
        """True if another reply may be in flight, and half of the slots are left for the rest."""
        return self.replies < max(1, self.limit // 2) and self.has_slot

    @property
    def has_data(self) -> bool:
        """True while data has no answer, or one that is not understood yet."""
        return any(flight.parcel.is_data for flight in self.in_flight.values()) or bool(self.refused)

    @property
    def unaccepted(self) -> int:
        """Publishes that are not accepted for good."""
        return len(self.in_flight) + len(self.in_doubt) + len(self.refused)

    def clear(self) -> None:
        """The connection has ended: what was on its way is the caller's to give back."""
        self.in_flight, self.in_doubt, self.refused = {}, deque(), deque()
        self.marks = self.replies = 0


class BackingOff:
    """Devices that the platform could not serve, each until it is tried again: longer after each refusal in a row."""

    def __init__(self) -> None:
        self.until_s: dict[Lane, float] = {}

    def add(self, lane: Lane, now_s: float, why: str, free: int = 0) -> float:
        """Keeps a device back from now on. The first `free` refusals do not lengthen the wait. Returns the wait in
        seconds."""
        standing = lane.standing
        standing.refused_for = why
        delay_s = DEVICE_BACKOFF.delay_s(max(0, standing.refusals - free))
        standing.refusals += 1
        standing.retry_at_s = self.until_s[lane] = now_s + delay_s
        return delay_s

    def expire(self, now_s: float) -> None:
        """Forgets those whose wait is over; `lane.standing` decides what they may do."""
        for lane, until_s in list(self.until_s.items()):
            if now_s >= until_s:
                del self.until_s[lane]


_NAMES: Final = {
    128: "unspecified error",
    131: "an error of its own",
    135: "not authorized",
    144: "it does not serve the topic",
    151: "quota exceeded",
    153: "it can't read the payload",
}
"""MQTT 5 reason codes of a PUBACK, in words."""


def refused_with(code: int) -> str:
    """A PUBACK that refuses a device, in words."""
    name = f": {_NAMES[code]}" if code in _NAMES else ""
    return f"the platform refuses it{name} (MQTT reason code {code})"
