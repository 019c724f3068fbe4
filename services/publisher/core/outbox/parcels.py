"""One publish and what it says: parts of lanes, each accepted or given back as a whole. Pure.

A part knows where in its lane it was taken from. Accepted, it raises what is settled of its runs; given back, it stands
at the head of its lane again, as if it had never been taken. Parts must be given back latest first, so that each finds
its place.
"""

from __future__ import annotations

from typing import NamedTuple

from services.publisher.core.dialects import Outgoing
from services.publisher.core.outbox.lanes import Lane, ParcelKind
from services.publisher.core.outbox.segments import Attributes, Items, MarkKind, Segment


class TelemetryPart(NamedTuple):
    """Some of a segment's telemetry: `items` from `start` to `stop` (exclusive)."""

    lane: Lane
    segment: Segment
    items: Items
    start: int
    stop: int

    def accept(self) -> None:
        """Settles these items; those before them were accepted earlier, for a device has one publish at a time."""
        self.items.accept(self.stop)

    def give_back(self) -> None:
        """Begins at `start` again, also where the whole of `items` had left the segment."""
        self.lane.reopen(self.segment)
        self.items.seek(self.start)
        if not self.segment.items or self.segment.items[0] is not self.items:
            self.segment.items.appendleft(self.items)


class AttributesPart(NamedTuple):
    """Some of a segment's attributes; `taken.runs` is empty while more of what those runs said is left."""

    lane: Lane
    segment: Segment
    taken: Attributes

    def accept(self) -> None:
        """The runs that said these values need wait no longer for them."""
        self.taken.accept()

    def give_back(self) -> None:
        """Puts the values back, except where a later one has come meanwhile."""
        self.lane.reopen(self.segment)
        waiting = self.segment.attributes
        waiting.values = {**self.taken.values, **waiting.values}
        waiting.runs = self.taken.runs + waiting.runs


class MarkPart(NamedTuple):
    """A segment's mark; `segment` None: an announcement that no entry of the stream asked for."""

    lane: Lane
    kind: MarkKind
    segment: Segment | None

    def accept(self) -> None:
        """The entry of the stream that this mark stands for is settled."""
        if self.segment:
            self.segment.settle_mark()

    def give_back(self) -> None:
        """The mark stands before its segment again."""
        if self.segment:
            self.lane.reopen(self.segment)
            self.segment.mark = self.kind


Part = TelemetryPart | AttributesPart | MarkPart


class Parcel:
    """One publish and what it says, which never changes. A `reply` (or a question to the platform) has no lane."""

    __slots__ = ("is_data", "is_mark", "items", "kind", "lanes", "message", "parts", "points", "records")

    def __init__(
        self, kind: ParcelKind, message: Outgoing, parts: tuple[Part, ...] = (), items: int = 0, points: int = 0
    ) -> None:
        """`items`: telemetry items in it; `points`: values in these, where somebody has to count them."""
        self.kind = kind
        self.message = message
        self.parts = parts
        self.items = items
        self.points = points
        self.lanes = list(dict.fromkeys([part.lane for part in parts]))
        """The devices of which it says something, each once, in order."""
        self.is_data = kind in ("telemetry", "attributes")
        self.is_mark = kind in ("connect", "disconnect")
        """True for an announcement or a goodbye."""
        self.records = items or 1
        """How many things it holds that can be accepted or refused by themselves."""
        if kind == "attributes":
            self.records = sum([len(part.taken.values) for part in parts if isinstance(part, AttributesPart)])
