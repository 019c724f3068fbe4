"""What waits for one device on the platform, in its order: pure.

A lane is a queue of segments. A segment begins with a mark (`connect` or `disconnect`), or with none, and holds
telemetry and attributes that may be published only after the mark and everything before it was accepted. Things are
taken from the head as parts; a part is accepted, or given back to where it was. Parts must be given back latest first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

from services.publisher.ordering import Run

MarkKind = Literal["connect", "disconnect"]
Kind = Literal["connect", "disconnect", "telemetry", "attributes"]


class Chunk:
    """Telemetry items of one run, or of one number of it; `entries[pos:]` are still to be published.

    `entries[i]` says number `numbers[i]`; b"" says nothing. A chunk with `holds` is a part of its run that belongs to
    some device beside the run's own: it raises no `done`, it only holds the run until all of it is accepted.
    """

    __slots__ = ("entries", "holds", "live", "numbers", "pos", "run", "size")

    def __init__(self, run: Run, entries: list[bytes], numbers: Sequence[int], holds: bool) -> None:
        self.run = run
        self.entries = entries
        self.numbers = numbers
        self.holds = holds
        self.pos = 0
        self.live = 0
        """Items left to publish."""
        self.size = 0
        """Their bytes, with a comma each."""
        self.seek(0)

    def seek(self, pos: int) -> None:
        """Goes to a position, counting what is left from there."""
        rest = [len(entry) for entry in self.entries[pos:] if entry]
        self.pos, self.live, self.size = pos, len(rest), sum(rest) + len(rest)

    def reach(self, room_bytes: int, most: int) -> int:
        """The position up to which items can be taken into so much room; `pos` if not even one fits."""
        if self.size <= room_bytes and self.live <= most:
            return len(self.entries)
        for index in range(self.pos, len(self.entries)):
            entry = self.entries[index]
            if not entry:
                continue
            room_bytes -= len(entry) + 1
            most -= 1
            if room_bytes < 0 or most < 0:
                return index
        return len(self.entries)

    def go_to(self, stop: int) -> list[bytes]:
        """Moves on to `stop`; the items passed."""
        passed = [entry for entry in self.entries[self.pos : stop] if entry]
        self.pos = stop
        self.live -= len(passed)
        self.size -= sum(map(len, passed)) + len(passed)
        return passed

    def accept(self, stop: int) -> None:
        """Everything before `stop` is accepted, or needs no acceptance."""
        is_end = stop == len(self.entries)
        if self.holds:
            if is_end:
                self.run.holds -= 1
        elif is_end:
            self.run.done = self.numbers[-1] + 1
        else:
            # A number that was split by key is done with its last piece only.
            self.run.done = self.numbers[stop]
        self.run.stream.advance()

    def replace(self, index: int, pieces: list[bytes]) -> None:
        """Puts pieces in the place of one item; b"" where there are none."""
        pieces = pieces or [b""]
        number = self.numbers[index]
        self.entries[index : index + 1] = pieces
        self.numbers = [*self.numbers[:index], *[number] * len(pieces), *self.numbers[index + 1 :]]
        self.seek(self.pos)


class Attributes:
    """Attributes of a segment: the last value of each key, and the runs that they hold."""

    __slots__ = ("runs", "values")

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.runs: list[Run] = []

    def accept(self) -> None:
        """All of it is accepted."""
        for run in self.runs:
            run.holds -= 1
            run.stream.advance()


class Segment:
    """A mark and what comes after it."""

    __slots__ = ("attributes", "chunks", "device_type", "mark", "runs")

    def __init__(self, mark: MarkKind | None, device_type: str = "", runs: tuple[Run, ...] = ()) -> None:
        self.mark = mark
        """None once it is accepted."""
        self.device_type = device_type
        self.runs = runs
        self.chunks: deque[Chunk] = deque()
        self.attributes = Attributes()

    @property
    def is_empty(self) -> bool:
        return self.mark is None and not self.chunks and not self.attributes.values


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


class Lane:
    """One device on the platform. What the platform made of it stands in `standing`; see `acceptance`."""

    __slots__ = (
        "announced",
        "attributes_next",
        "busy",
        "device_type",
        "name",
        "open",
        "quoted",
        "segments",
        "source",
        "standing",
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
        self.announced = False
        """True once `connect` was accepted on this connection."""
        self.busy = False
        """True while a publish that has something of this lane is unanswered."""
        self.unaccepted = 0
        """Publishes of this lane that are not accepted for good (on MQTT 3.1.1 more than the unanswered one)."""
        self.attributes_next = False
        self.segments: deque[Segment] = deque([Segment(None)])
        self.standing = Standing()

    def reopen(self, segment: Segment) -> None:
        """Makes a segment the head again if it was left."""
        if self.segments[0] is not segment:
            self.segments.appendleft(segment)

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
        if head.attributes.values and (self.attributes_next or not head.chunks):
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
        "cap",
        "closes",
        "group",
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
        self.strikes = 0
        """Closes with one record of this lane alone in flight, with others accepted between."""
        self.strike_mark = 0

    def clear(self, count: int) -> None:
        """A publish of `count` items was accepted."""
        self.group = self.refusals = 0
        self.suspects -= count
        if self.suspects <= 0:
            self.cap = None
            self.closes = self.strikes = 0

    def narrow(self, count: int) -> None:
        """One of `count` items is bad: half of them go first."""
        self.cap, self.suspects = max(1, count // 2), count

    def single_out(self, until_s: float) -> None:
        """The bad item is found: the lane travels alone for a while."""
        self.cap, self.suspects, self.group, self.closes, self.strikes = None, 0, 0, 0, 0
        self.solo_until_s = until_s

    def is_alone(self, now_s: float) -> bool:
        """True if this lane's publishes may hold nothing of other lanes."""
        return self.cap is not None or now_s < self.solo_until_s
