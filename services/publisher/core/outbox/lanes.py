"""What waits for one device on the platform, in its order: pure.

A lane is a queue of segments. A segment begins with a mark (`connect` or `disconnect`), or with none, and holds
telemetry and attributes that may be published only after the mark and everything before it was accepted.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

from services.publisher.core.ordering import Stream
from services.publisher.core.outbox.segments import Segment

TELEMETRY_RUN: Final = 4
"""Attributes, of which only the last value counts, wait for so many publishes of telemetry at most."""
Kind = Literal["connect", "disconnect", "telemetry", "attributes"]


class Lane:
    """One device on the platform. What the platform made of it stands in `standing`; see `acceptance`."""

    __slots__ = (
        "announced",
        "busy",
        "device_type",
        "is_marked",
        "is_void",
        "name",
        "open",
        "quoted",
        "segments",
        "source",
        "standing",
        "telemetry_run",
        "unaccepted",
    )

    def __init__(self, name: str, quoted: bytes, device_type: str) -> None:
        self.name = name
        self.quoted = quoted
        self.device_type = device_type
        self.source = name
        """The device whose port reader and converter serve this one: another name only with users' converters."""
        self.open = False
        """True while the platform should know the device as connected."""
        self.is_marked = False
        """True once its stream has said in this epoch that its port was opened or lost."""
        self.announced = False
        """True once `connect` was accepted on this connection."""
        self.busy = False
        """True while a publish that has something of this lane is unanswered."""
        self.is_void = False
        """True if the platform has ended the device's session since that publish: a `connect` is of no use then."""
        self.unaccepted = 0
        """Publishes of this lane that are not accepted for good (on MQTT 3.1.1 more than the unanswered one)."""
        self.telemetry_run = 0
        """Publishes of telemetry since the last one of attributes."""
        self.segments: deque[Segment] = deque([Segment(None)])
        self.standing = Standing()

    def reopen(self, segment: Segment) -> None:
        """Makes a segment the head again if it was left."""
        if self.segments[0] is not segment:
            self.segments.appendleft(segment)

    def forget(self, stream: Stream, end: int) -> None:
        """Drops what this stream said below `end` and is not in flight: its reader does not want it any more."""
        for segment in self.segments:
            segment.forget(stream, end)
        segments = self.segments
        while len(segments) > 1 and not self.busy and not segments[0].mark and not segments[0].chunks:
            if segments[1].mark:
                break
            segments.popleft().attributes.put_before(segments[0].attributes)

    @property
    def kind(self) -> Kind | None:
        """What has to be published next; None if nothing."""
        head = self._head()
        if head.mark == "connect":
            return "connect"
        if head.mark is None and self.open and not self.announced:
            return "connect"
        if head.mark:
            return "disconnect"
        if not head.chunks and not head.attributes.values:
            return None
        if not self.announced:
            return "connect"
        if head.attributes.values and (self.telemetry_run >= TELEMETRY_RUN or not head.chunks):
            return "attributes"
        # What says nothing waits here until everything before it is accepted; see `_head`.
        return "telemetry" if any(chunk.live for chunk in head.chunks) else None

    def _head(self) -> Segment:
        """The first segment that has something left; passes items that say nothing, once all before is accepted."""
        while True:
            head = self.segments[0]
            while head.chunks and not head.mark and not head.chunks[0].live and not self.unaccepted:
                chunk = head.chunks.popleft()
                chunk.go_to(len(chunk.entries))
                chunk.accept(len(chunk.entries))
            if head.attributes.runs and not head.attributes.values and not self.unaccepted:
                # All that was left of them has become dead letters.
                head.attributes.accept()
            if len(self.segments) == 1 or not head.is_empty or self.busy:
                return head
            self.segments.popleft()

    @property
    def has_data(self) -> bool:
        """True if something of a stream is still to be published."""
        return any(not segment.is_empty for segment in self.segments)

    @property
    def waiting(self) -> tuple[int, int]:
        """(telemetry items, their bytes) that could be published next."""
        chunks = self.segments[0].chunks
        return sum(chunk.live for chunk in chunks), sum(chunk.size for chunk in chunks)


class Standing:
    """How the platform has treated a lane; only `acceptance` changes it."""

    __slots__ = (
        "blamed_for",
        "cap",
        "closes",
        "dropped",
        "group",
        "is_stuck",
        "refusals",
        "retry_at_s",
        "solo_until_s",
        "strike_mark",
        "strikes",
        "suspects",
    )

    def __init__(self) -> None:
        self.group = 0
        """Lanes of one group travel together and with no others; 0: with everyone."""
        self.cap: int | None = None
        """Most items (or attributes) of the next publish, which then has no other lane; None: no limit."""
        self.suspects = 0
        """Items among which the bad one is, while there is a cap."""
        self.solo_until_s = 0.0
        self.retry_at_s = 0.0
        self.refusals = 0
        self.closes = 0
        """Closes in a row with a publish of this lane in flight."""
        self.blamed_for = ""
        """What kind of publish that was, the last time."""
        self.strikes = 0
        """Closes with one record of this lane alone in flight, with others accepted between."""
        self.strike_mark = 0
        self.dropped = False
        """True once the platform has ended the device's session, until it accepts data again."""
        self.is_stuck = False
        """True once a warning has said that a record closes the connection and nothing else is accepted."""

    def clear(self, count: int) -> None:
        """A publish of `count` items was accepted."""
        self.group = self.refusals = 0
        self.dropped = False
        self.suspects -= count
        if self.suspects <= 0:
            self.cap, self.blamed_for = None, ""
            self.closes = self.strikes = 0
            self.is_stuck = False

    def narrow(self, count: int) -> None:
        """One of `count` items is bad: half of them go first."""
        self.cap, self.suspects = max(1, count // 2), count

    def single_out(self, until_s: float) -> None:
        """The bad item is found: the lane travels alone for a while."""
        self.cap, self.suspects, self.group, self.closes, self.strikes = None, 0, 0, 0, 0
        self.blamed_for = ""
        self.solo_until_s = until_s

    def is_alone(self, now_s: float) -> bool:
        """True if this lane's publishes may hold nothing of other lanes."""
        return self.cap is not None or now_s < self.solo_until_s
