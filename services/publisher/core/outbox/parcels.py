"""One publish and what it says: parts of lanes, each accepted or given back as a whole. Pure.

Parts must be given back latest first, so that each finds its place.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from services.publisher.core.dialects import Outgoing
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.segments import Attributes, Chunk, MarkKind, Segment


class TelemetryPart(NamedTuple):
    """Items `start` to `stop` (exclusive) of a chunk."""

    lane: Lane
    segment: Segment
    chunk: Chunk
    start: int
    stop: int

    def accept(self) -> None:
        self.chunk.accept(self.stop)

    def give_back(self) -> None:
        self.lane.reopen(self.segment)
        self.chunk.seek(self.start)
        if not self.segment.chunks or self.segment.chunks[0] is not self.chunk:
            self.segment.chunks.appendleft(self.chunk)


class AttributesPart(NamedTuple):
    """Some of a segment's attributes; `taken.runs` is empty while more of what those runs said is left."""

    lane: Lane
    segment: Segment
    taken: Attributes

    def accept(self) -> None:
        self.taken.accept()

    def give_back(self) -> None:
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
        if self.segment:
            for run in self.segment.runs:
                run.done = run.end
                run.stream.advance()

    def give_back(self) -> None:
        if self.segment:
            self.lane.reopen(self.segment)
            self.segment.mark = self.kind


Part = TelemetryPart | AttributesPart | MarkPart
ParcelKind = Literal["connect", "disconnect", "telemetry", "attributes", "reply"]


class Parcel(NamedTuple):
    """One publish and what it says. A `reply` (also a question to the platform) belongs to no lane."""

    kind: ParcelKind
    message: Outgoing
    parts: tuple[Part, ...] = ()
    items: int = 0
    """Telemetry items in it."""

    @property
    def lanes(self) -> list[Lane]:
        """Its devices, each once, in order."""
        return list(dict.fromkeys(part.lane for part in self.parts))

    @property
    def records(self) -> int:
        """How many things it holds that can be accepted or refused by themselves."""
        if self.kind == "attributes":
            return sum(len(part.taken.values) for part in self.parts if isinstance(part, AttributesPart))
        return self.items or 1

    @property
    def is_data(self) -> bool:
        return self.kind in ("telemetry", "attributes")

    @property
    def is_mark(self) -> bool:
        return self.kind in ("connect", "disconnect")
