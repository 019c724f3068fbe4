"""What a lane's queue is made of: segments of telemetry and attributes behind a mark. Pure.

A mark is `connect` or `disconnect`. Within a segment all telemetry keeps its order, while of each attribute only the
last value is kept: an attribute is a property, and the platform would overwrite the earlier ones.

Things are taken from the head of a queue as parts (see `parcels`); a part is accepted, or given back to where it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Literal

from services.publisher.core.stream import ReadingStream, Run

MarkKind = Literal["connect", "disconnect"]


class Items:
    """Telemetry items of one run, or of one number of it; `entries[pos:]` are still to be published.

    `entries[i]` says number `numbers[i]`; b"" says nothing. An object with `holds` is a part of its run that belongs to
    some device beside the run's own: it raises no `done`, it only holds the run until all of it is accepted.
    """

    __slots__ = ("entries", "holds", "is_report", "live", "numbers", "pos", "run", "size")

    def __init__(
        self, run: Run, entries: list[bytes], numbers: Sequence[int], holds: bool, is_report: bool = False
    ) -> None:
        self.run = run
        self.entries = entries
        self.numbers = numbers
        self.holds = holds
        self.is_report = is_report
        """True for what is reported at the end of a period, without a frame."""
        self.pos = 0
        self.live = 0
        """Items left to publish."""
        self.size = 0
        """Bytes of these items, with one each for what parts it from the next."""
        self.seek(0)

    def seek(self, pos: int) -> None:
        """Goes to a position, counting what is left from there."""
        rest = list(filter(None, self.entries[pos:]))
        self.pos, self.live, self.size = pos, len(rest), sum(map(len, rest)) + len(rest)

    def reach(self, room_bytes: int, most: int) -> int:
        """The position up to which items can be taken into so much room; `pos` if not even one fits."""
        if self.size <= room_bytes and self.live <= most:
            return len(self.entries)
        for index, size in enumerate(map(len, islice(self.entries, self.pos, None)), self.pos):
            if not size:
                continue
            room_bytes -= size + 1
            most -= 1
            if room_bytes < 0 or most < 0:
                return index
        return len(self.entries)

    def go_to(self, stop: int) -> list[bytes]:
        """Moves on to `stop`; the items passed."""
        passed = list(filter(None, self.entries[self.pos : stop]))
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

    __slots__ = ("is_split", "runs", "values")

    def __init__(self) -> None:
        self.is_split = False
        """True while some of what the runs said is taken already, and they wait here for the rest."""
        self.values: dict[str, bytes] = {}
        self.runs: list[Run] = []

    def add(self, values: Mapping[str, bytes], run: Run) -> None:
        """Later values, which the run holds from now on. Runs of which nothing is left here need wait no longer:
        their keys now wait for this run."""
        if self.runs and not self.is_split and self.values.keys() <= values.keys():
            self.accept()
        self.values.update(values)
        self.runs.append(run)

    def accept(self) -> None:
        """All of it is accepted, or superseded."""
        runs, self.runs, self.is_split = self.runs, [], False
        for run in runs:
            run.holds -= 1
            run.stream.advance()

    def put_before(self, later: Attributes) -> None:
        """Moves all of it to where later values stand."""
        later.values = {**self.values, **later.values}
        later.runs = self.runs + later.runs
        later.is_split = later.is_split or self.is_split
        self.values, self.runs = {}, []


class Segment:
    """A mark and what comes after it."""

    __slots__ = ("attributes", "device_type", "holds", "items", "mark", "runs")

    def __init__(
        self, mark: MarkKind | None, device_type: str = "", runs: tuple[Run, ...] = (), *, holds: bool = False
    ) -> None:
        self.mark = mark
        """None once it is accepted."""
        self.device_type = device_type
        self.runs = runs
        self.holds = holds
        """True if the mark is one of several things that its runs say: it only holds them until it is accepted."""
        self.items: deque[Items] = deque()
        self.attributes = Attributes()

    def forget(self, stream: ReadingStream, end: int) -> None:
        """Drops what this stream said below `end` and is not in flight. Attributes stay: they are few, and the last."""

        def is_old(run: Run) -> bool:
            return run.stream is stream and run.end <= end

        if self.mark and self.runs and all(map(is_old, self.runs)):
            self.mark = None
            self.settle_mark()
        while self.items and is_old(self.items[0].run):
            self.items.popleft()
        if self.items and self.items[0].run.stream is not stream:
            self.items = deque(items for items in self.items if not is_old(items.run))
        runs = self.attributes.runs
        if runs and is_old(runs[0]):
            self.attributes.runs = [run for run in runs if not is_old(run)] or runs[-1:]

    def settle_mark(self) -> None:
        """The mark is accepted, or not wanted any more: the entries that asked for it need not wait for it."""
        for run in self.runs:
            if self.holds:
                run.holds -= 1
            else:
                run.done = run.end
            run.stream.advance()
        self.runs = ()

    @property
    def is_empty(self) -> bool:
        return self.mark is None and not self.items and not self.attributes.values and not self.attributes.runs
