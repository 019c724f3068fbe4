"""From frames to settled entries: numbers, the journal, its limits, the window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import groupby
from operator import attrgetter
from typing import Final

from common.core.deadlines import earliest
from common.core.events import Note
from common.core.wall_clock import WallClock
from common.stream.blocks import Block
from common.stream.counters import SourceCounts
from common.stream.events import (
    FetchFailed,
    GapsFound,
    JournalBlocks,
    JournalFailed,
    KeptLetter,
    RaiseGeneration,
    StreamEffect,
    Strike,
)
from common.stream.items import Item
from common.stream.keeping.journal_writer import JournalWriter
from common.stream.keeping.losses import Losses
from common.stream.keeping.retention import Retention
from common.stream.limits import Limits
from common.stream.numbers import Progress, Stream, StreamState
from common.stream.poison import Poison
from common.stream.sending.batches import template_of
from common.stream.sending.dead import dead_among
from common.stream.sending.delivered import Delivered, oldest_ms
from common.stream.sending.window import Window
from common.wire import codec
from common.wire.calls import TakeLimits, hosted_connector
from common.wire.messages import Entry, FrameBatch, FrameBody, Heartbeat, StreamReport
from common.wire.states import PublisherState, state_of

_SAID: Final = (Entry.FRAMES, Entry.ANSWER)
"""Entries that the device has said; the others say what happened to its port."""
MOST_GENERATION: Final = 2**62
"""Nobody starts so often."""


class Uplink:
    """One stream, from the entries that its source hands over to the platform's acceptance of them.

    Each entry gets its number and its time (`Stream`), goes into the journal before anything else sees it, and is sent
    as far as the window allows (`Window`). What the platform has settled leaves the journal; where the limits
    are passed, the oldest entries do too (`Retention`). While the journal can't be written entries wait in memory
    (`Outage`).
    """

    def __init__(
        self,
        device: str,
        section: str,
        state: StreamState,
        *,
        limits: Limits,
        counters: SourceCounts,
        draw: Callable[[], float],
        clock: WallClock,
        is_pinned: bool,
    ) -> None:
        """`section`: the hash that names the configuration which new entries are to be converted under. `is_pinned`:
        users' code converts them, so that one converter gets all of them."""
        self._device = device
        self.section = section
        self._counters = counters
        self._clock = clock
        self.stream = Stream(state)
        self._poison = Poison(state.strikes)
        template = template_of(device, section, state, is_pinned)
        self._window = Window(template, limits, self._poison, counters, draw)
        self._retention = Retention(device, limits, state.spans, counters)
        self._journal = JournalWriter(
            device, self.stream, state.line_state, limits=limits, counters=counters, draw=draw
        )
        self._losses = Losses(device, counters, state.gaps)
        self._is_users = is_pinned or hosted_connector(device) is not None
        self._delivered = Delivered()
        self.limits = limits
        self.dead: Counter[str] = Counter()
        """Dead letters of this device by their kind, since the process's start."""

    @property
    def backlog(self) -> int:
        """Entries that are not settled."""
        return self.stream.next_number - self._window.base

    @property
    def progress(self) -> Progress:
        """How far the stream is."""
        settled, flights, end = self._counters["frames_settled"], self._window.flights, self.stream.next_number
        return Progress(end, flights.received, settled, self.backlog, flights.end < end)

    @property
    def is_down(self) -> bool:
        """True while the journal can't be written."""
        return self._journal.outage.is_down

    @property
    def can_take(self) -> bool:
        """False while the journal can't be written and memory is full: what comes then is dropped."""
        return not (self._journal.outage.is_down and self._journal.outage.is_full)

    @property
    def backlog_bytes(self) -> int:
        """Bytes of the entries that are not settled."""
        return self._retention.total_bytes

    @property
    def in_flight(self) -> tuple[int, int]:
        """(entries, bytes) that were sent and are not settled."""
        return self._window.in_flight

    @property
    def delivered(self) -> list[float]:
        """How long entries took up to the platform's acceptance (`Durations.said`)."""
        return self._delivered.durations.said

    def oldest_s(self, now_s: float) -> float | None:
        """How old the oldest entry is that waits; None where none does, or where nobody knows the time."""
        wall_ms, window = self._clock.at_ms(now_s), self._window
        if not self.backlog or wall_ms is None:
            return None
        at_ms = oldest_ms(window.flights, window.ready, self._retention.oldest_ms)
        return None if at_ms is None else max(0.0, (wall_ms - at_ms) / 1000)

    @property
    def next_deadline_s(self) -> float | None:
        has_backlog = self.backlog > 0
        deadlines = [self._window.next_deadline_s, self._journal.next_deadline_s(has_backlog=has_backlog)]
        if has_backlog and self._clock.is_known:
            deadlines.append(self._retention.next_check_s)
        return earliest(*deadlines)

    # What the source hands over

    def put(self, items: list[Item], clock_ms: int, line_state: bytes, now_s: float) -> list[StreamEffect]:
        """Numbers, journals and then sends what came at `clock_ms`."""
        return [*self.commit(items, clock_ms, line_state, now_s), *self.move(now_s)]

    def commit(self, items: list[Item], clock_ms: int, line_state: bytes, now_s: float) -> list[StreamEffect]:
        """Numbers and journals what came at `clock_ms`. `move` is to follow."""
        self._journal.line_state = line_state
        steps = self.stream.steps_followed
        blocks = [block for item in items if (block := self._number(item, clock_ms)) is not None]
        effects = self._shed(now_s)
        if self.stream.steps_followed != steps:
            effects.append(Note("warning", "clock.set_back", {"device": self._device, "clock_ms": clock_ms}))
        if self.stream.repeats:
            self._counters["timestamps_repeated"] += self.stream.take_repeats()
        effects += self._journal.look_after(self._window.base, now_s)
        return [*effects, *self._journal.commit(blocks, self._window.base)]

    def move(self, now_s: float) -> list[StreamEffect]:
        """Sends what there is room for, and fetches more."""
        effects: list[StreamEffect] = []
        window, ready = self._window, self._window.ready
        for block in self._journal.outage.held.blocks:
            ready.accept(block)
        effects += window.pump(now_s)
        # Most often all is in memory, and the journal need not be asked.
        if ready.end < self.stream.next_number and ready.wants_more and self._journal.may_fetch(ready.end):
            effects.append(self._journal.fetch(ready.end))
        return effects

    def leave(self, now_s: float) -> list[StreamEffect]:
        """The device is no longer configured. Ends what is left of its stream with a `LOST` entry, so that the platform
        shows it as disconnected."""
        if not self.backlog:
            return []
        return self.put(
            [Item(Entry.LOST, [b"no longer configured"])], self._time_ms(now_s), self._journal.line_state, now_s
        )

    def revive(self, letters: list[KeptLetter], now_s: float) -> list[StreamEffect]:
        """Sends these, one batch at most, through again: new numbers, the current section, the old timestamps."""
        at_ms = self._time_ms(now_s)
        blocks = [self._revived(list(run), origin, at_ms) for origin, run in groupby(letters, attrgetter("origin"))]
        self._counters["frames_revived"] += len(letters)
        ids = tuple(letter.id for letter in letters)
        return [self._journal.append(blocks, self._window.base, revived=ids), *self.move(now_s)]

    def refusal(self, letters: list[KeptLetter]) -> str:
        """Why these dead letters can't go back into the stream now, or "". They push out nothing that waits."""
        if self.is_down:
            return "the journal can't be written"
        return self._retention.refusal(len(letters), sum(len(letter.data) for letter in letters), self.backlog)

    # What the publisher says

    def heartbeat(self, beat: Heartbeat, now_s: float) -> list[StreamEffect]:
        """Takes the publisher's heartbeat: its present epoch, and that it lives."""
        state = state_of(beat, PublisherState)
        if state is None or not state.epoch:
            return []
        self._window.hear(state.epoch, now_s)
        return self.move(now_s)

    def report(self, report: StreamReport, now_s: float, listened_s: float) -> list[StreamEffect]:
        """The publisher's word on our stream, which may have come at any time since `listened_s`."""
        window = self._window
        if not window.is_current(report):
            self._counters["reports_stale"] += 1
            return self._compare_generations(report, now_s)
        self._counters["reports"] += 1
        window.report(report, now_s, listened_s)
        effects: list[StreamEffect] = []
        if report.settled > window.flights.floor:
            self._counters["frames_settled"] += report.settled - window.flights.floor
            self._delivered.note(window.flights, report.settled, self._clock.at_ms(now_s))
            dead, kinds = dead_among(report, window.flights, is_users=self._is_users)
            if kinds:
                self._counters["dead_letters"] += len(kinds)
                self.dead.update(kinds)
            window.settle(report.settled)
            self._forget_settled()
            if dead:
                effects += self._journal.trim(window.base, dead)
            else:
                self._journal.settled(now_s)
            effects += self._retention.settled(window.base, self.stream.next_number, self._clock.at_ms(now_s))
        return [*effects, *self.move(now_s)]

    def _compare_generations(self, report: StreamReport, now_s: float) -> list[StreamEffect]:
        """If the publisher knows a higher generation or higher numbers than we have sent, our journal was replaced by
        an older copy, and its mark too. The publisher would take nothing that we send, so we go on under a generation
        above the one it knows."""
        stream = self.stream
        is_ours = (report.journal, report.epoch) == (stream.journal, self._window.epoch)
        is_ahead = (report.generation, report.received) > (stream.generation, stream.next_number)
        if not is_ours or not is_ahead or report.generation >= MOST_GENERATION:
            return []
        facts = {"device": self._device, "generation": stream.generation, "known": report.generation}
        stream.generation = report.generation + 1
        self._window.begin_generation(stream.generation)
        note = Note("error", "journal.outdated", facts)
        return [note, RaiseGeneration(stream.generation), *self.move(now_s)]

    # What the sockets say

    def blocked(self, batch: FrameBatch) -> None:
        """A batch was not sent."""
        self._window.blocked(batch)

    def writable(self, now_s: float) -> list[StreamEffect]:
        """Batches can be sent again."""
        return [*self._window.writable(now_s), *self.move(now_s)]

    def broker_changed(self, now_s: float) -> None:
        """Another broker: what was in flight is probably lost."""
        self._window.broker_changed(now_s)

    def died_in(self, note_id: str, journal: str, generation: int, numbers: list[int]) -> list[StreamEffect]:
        """A converter died in these numbers. Those that an earlier process sent but could not journal have been reused
        since: a note of its generation does not count for them."""
        if journal != self.stream.journal:
            return []
        end = self.stream.next_number if generation == self.stream.generation else self.stream.opened_number
        numbers = [number for number in numbers if self._window.flights.floor <= number < end]
        counts = self._poison.died_in(note_id, numbers)
        if not counts:
            return []
        self._counters["strikes"] += len(counts)
        facts = {"device": self._device, "first": min(counts), "count": len(counts), "deaths": max(counts.values())}
        return [Strike(counts), Note("warning", "frame.suspect", facts), *self._window.send_alone(counts)]

    # What the journal says

    def start(self, now_s: float) -> list[StreamEffect]:
        """What the journal has lost, as far as it is known now."""
        self._journal.start(now_s)
        return [*self._losses.tell_first(self._window.flights.floor), *self.tick(now_s)]

    def load(self, event: JournalBlocks, now_s: float) -> list[StreamEffect]:
        """What was fetched."""
        ready = self._window.ready
        ready.load(event.blocks, self._journal.fetched(), self.section)
        lost, ready.lost = ready.lost, []
        return [*self._losses.tell(lost, self._window.flights.floor), *self.move(now_s)]

    def gaps_found(self, event: GapsFound) -> list[Note]:
        """The journal lost something while we have it open. Entries that are still in memory are not lost."""
        end = self._window.ready.end
        ranges = [(max(low, end), high) for low, high in event.ranges if high >= end]
        return self._losses.tell(ranges, self._window.flights.floor)

    def fetch_failed(self, event: FetchFailed, now_s: float) -> list[Note]:
        """The journal could not be read; it is tried again."""
        return self._journal.fetch_failed(event.reason, now_s)

    def journal_failed(self, event: JournalFailed, now_s: float) -> list[Note]:
        """The journal could not be written: entries stay in memory until it can, or until they are settled."""
        return self._journal.failed(event.blocks, event.dead, event.reason, now_s)

    def journal_back(self, end: int, now_s: float) -> list[StreamEffect]:
        """The journal was written again, with all that was held below `end`; what has come since follows."""
        return [*self._journal.back(end, self._window.base), *self.move(now_s)]

    def end(self) -> list[StreamEffect]:
        """To be called at the end: takes what is settled out of the journal."""
        return [*self._journal.trim(self._window.base, [])] if self._journal.owes_trim else []

    def tick(self, now_s: float) -> list[StreamEffect]:
        """What is due."""
        window, journal = self._window, self._journal
        effects: list[StreamEffect] = [*journal.retry(window.base, now_s)]
        journal.tick(now_s)
        if journal.is_trim_due(now_s):
            effects += journal.trim(window.base, [])
        if self._is_age_due(now_s):
            base = window.base
            effects += self._shed(now_s)
            effects += journal.trim(window.base, []) if window.base > base else []
        if self.backlog:
            effects += journal.look_after(window.base, now_s)
        return [*effects, *self._window.tick(now_s), *self.move(now_s)]

    def take_limits(self, limits: TakeLimits, now_s: float) -> list[StreamEffect]:
        """The journal keeps so much from now on: what is more is dropped, and counted."""
        self.limits = self.limits._replace(
            max_records=limits.max_records, max_bytes=limits.max_bytes, ttl_s=limits.ttl_s or None
        )
        self._retention.take_limits(self.limits)
        base = self._window.base
        effects = self._shed(now_s)
        effects += self._journal.trim(self._window.base, []) if self._window.base > base else []
        return [*effects, *self.move(now_s)]

    # Shared by the above

    def _number(self, item: Item, clock_ms: int) -> Block | None:
        """A block of new numbers; None, with no number used, if the entries fit neither disk nor memory."""
        count = len(item.frames)
        outage = self._journal.outage
        if outage.is_down and outage.is_full:
            self._counters["frames_dropped"] += count
            return None
        stamps = self.stream.stamp(count, clock_ms)
        body = codec.pack_frames(FrameBody(stamps, item.frames, item.extra))
        block = Block(self.stream.take(count), count, item.kind, self.section, body, clock_ms, item.origin)
        if item.kind in _SAID:
            self._counters["frames_read"] += count
        self._take(block)
        return block

    def _revived(self, letters: list[KeptLetter], origin: str, at_ms: int) -> Block:
        """A block of dead letters that have one origin."""
        body = codec.pack_frames(FrameBody([letter.ts_ms for letter in letters], [letter.data for letter in letters]))
        count = len(letters)
        block = Block(self.stream.take(count), count, Entry.FRAMES, self.section, body, at_ms, origin)
        self._take(block)
        return block

    def _take(self, block: Block) -> None:
        """A block with new numbers counts from now on, and is sent from memory if there is room."""
        self._retention.add(block.end, len(block.body), block.at_ms)
        self._window.ready.accept(block)

    def _forget_settled(self) -> None:
        """Stops counting and holding entries that have left the journal."""
        base = self._window.base
        self._retention.drop(base)
        self._journal.outage.held.drop(base)

    def _is_age_due(self, now_s: float) -> bool:
        """True if what waits may have become too old."""
        check_s = self._retention.next_check_s
        return check_s is not None and now_s >= check_s and self._clock.is_known and self.backlog > 0

    def _shed(self, now_s: float) -> list[StreamEffect]:
        """Keeps the limits: drops the oldest entries, and counts them."""
        window = self._window
        base, limit = self._retention.excess(self.stream.next_number, self._clock.at_ms(now_s), now_s)
        if base <= window.base:
            return []
        entries = base - window.base
        if limit == "age":
            window.settle(base)
        else:
            window.shed(base)
        self._forget_settled()
        return [*self._retention.shed(entries, limit, self.backlog)]

    def _time_ms(self, now_s: float) -> int:
        """What the wall clock shows; where nobody has read it, the stream's own last time."""
        return self._clock.at_ms(now_s) or self.stream.last_ts_ms
