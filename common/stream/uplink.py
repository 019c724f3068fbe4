"""From frames to settled entries: numbers, the journal, its limits, the window."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from operator import attrgetter
from typing import Final

from common.config.models import Device
from common.core.events import Note
from common.stream.blocks import Block
from common.stream.counters import SourceCounts
from common.stream.events import (
    Append,
    Bury,
    DeadLetter,
    Fetch,
    FetchFailed,
    GapsFound,
    JournalBlocks,
    JournalFailed,
    KeepJournal,
    KeptLetter,
    MarkSettled,
    RaiseGeneration,
    StreamEffect,
    Strike,
    Trim,
)
from common.stream.held import Held
from common.stream.items import Item
from common.stream.ledger import Ledger
from common.stream.losses import Losses, joined, named
from common.stream.numbers import Progress, Stream, StreamState
from common.stream.poison import Poison
from common.stream.window import NOWHERE, Limits, Window
from common.wire import codec
from common.wire.messages import Entry, FrameBatch, FrameBody, Heartbeat, StreamReport
from common.wire.states import PublisherState, state_of

RETRY_S: Final = 1.0
"""A journal that failed is tried again this often."""
AGE_CHECK_S: Final = 60.0
"""Age limits are in days; this is how often they are looked at while nothing comes in."""
TRIM_S: Final = 0.5
"""What is settled may stay in the journal so long: most often the next append takes it along."""
KEEP_S: Final = 10.0
"""The journal is looked after this often while something comes in or waits, a quarter more or less; what has waited so
long goes from its log into its file."""
MOST_GENERATION: Final = 2**62
"""Nobody starts so often."""


class Uplink:
    """One stream from the line to the publisher."""

    def __init__(
        self,
        device: Device,
        section: str,
        state: StreamState,
        *,
        limits: Limits,
        counters: SourceCounts,
        draw: Callable[[], float],
        wall_offset_ms: float | None = None,
    ) -> None:
        """`wall_offset_ms`: the wall clock less `now_s`, None while it is not known."""
        self._device = device.name
        self.section = section
        self._limits = limits
        self._counters = counters
        self._draw = draw
        self.stream = Stream(state)
        self._opened_number = state.next_number
        self._poison = Poison(state.strikes)
        batch = FrameBatch(
            device=device.name,
            journal=state.journal,
            generation=state.generation,
            first=state.settled,
            length=0,
            base=state.settled,
            epoch="",
            kind=Entry.FRAMES,
            section=section,
            pinned=device.has_user_converter,
            alone=False,
            body=b"",
        )
        self._window = Window(batch, limits, self._poison, counters)
        self._ledger = Ledger(state.spans)
        self._line_state = state.line_state
        self._is_fetching = False
        self._fetch_s = 0.0
        self._fetch_end = 0
        """The number after the last that the journal held when it was asked."""
        self._held = Held(counters)
        self.is_down = False
        """True while the journal can't be written."""
        self._retry_s = 0.0
        self._is_shedding = False
        self._wall_offset_ms = wall_offset_ms
        self._age_s = 0.0
        self._trim_s: float | None = None
        self._losses = Losses(device.name, counters)
        self._gaps = list(state.gaps)
        self._keep_s = 0.0
        self._kept_number = state.next_number
        """The next number when the journal was last looked after."""

    @property
    def backlog(self) -> int:
        """Entries that are not settled."""
        return self.stream.next_number - self._window.base

    @property
    def progress(self) -> Progress:
        """How far the stream is."""
        settled = self._counters["frames_settled"]
        return Progress(self.stream.next_number, self._window.received, settled, self.backlog)

    @property
    def waits_for_report(self) -> bool:
        """True if there is something to send that the window has no room for."""
        return self._window.next_send < self.stream.next_number

    @property
    def backlog_bytes(self) -> int:
        return self._ledger.total_bytes

    @property
    def in_flight(self) -> tuple[int, int]:
        """(entries, bytes) that were sent and are not settled."""
        return self._window.in_flight

    @property
    def next_deadline_s(self) -> float | None:
        deadlines = [self._window.next_deadline_s, self._window.next_join_s, self._trim_s]
        if self.backlog and not self.is_down:
            deadlines.append(self._keep_s)
        if self.is_down:
            deadlines.append(self._retry_s)
        if self._fetch_s:
            deadlines.append(self._fetch_s)
        if self._checks_age:
            deadlines.append(self._age_s)
        return min((deadline_s for deadline_s in deadlines if deadline_s is not None), default=None)

    def put(self, items: list[Item], clock_ms: int, line_state: bytes, now_s: float) -> list[StreamEffect]:
        """Numbers, journals and then sends what came at `clock_ms`."""
        self._line_state = line_state
        self._wall_offset_ms = clock_ms - now_s * 1000
        steps = self.stream.steps_followed
        blocks = [block for item in items if (block := self._number(item, clock_ms)) is not None]
        effects = self._shed(now_s)
        if self.stream.steps_followed != steps:
            effects.append(Note("warning", "clock.set_back", {"device": self._device, "clock_ms": clock_ms}))
        self._counters["timestamps_repeated"] = self.stream.repeats
        effects += self._keep(now_s)
        if self.is_down:
            self._held.add(blocks)
        elif blocks:
            self._counters["journal_commits"] += 1
            effects.append(self._append(blocks))
        return [*effects, *self._move(now_s)]

    def leave(self, now_s: float) -> list[StreamEffect]:
        """The device is no longer configured: what is left of it ends with its being disconnected."""
        if not self.backlog:
            return []
        clock_ms = self._wall_ms(now_s) or self.stream.last_ts_ms
        return self.put([Item(Entry.LOST, [b"no longer configured"])], clock_ms, self._line_state, now_s)

    def heartbeat(self, beat: Heartbeat, now_s: float) -> list[StreamEffect]:
        """Takes the publisher's heartbeat: what it is called now, and that it lives."""
        state = state_of(beat, PublisherState)
        if state is None or not state.epoch:
            return []
        self._window.hear(state.epoch, now_s)
        return self._move(now_s)

    def report(self, report: StreamReport, now_s: float, listened_s: float) -> list[StreamEffect]:
        """The publisher's word on our stream, which may have come at any time since `listened_s`."""
        if not self._window.is_current(report):
            self._counters["reports_stale"] += 1
            return self._compare_generations(report, now_s)
        self._counters["reports"] += 1
        self._window.report(report, now_s, listened_s)
        effects: list[StreamEffect] = []
        if report.settled > self._window.floor:
            self._counters["frames_settled"] += report.settled - self._window.floor
            dead = self._dead_letters(report)
            self._window.settle(report.settled)
            self._drop()
            if dead:
                effects += self._trim(dead)
            elif self._trim_s is None:
                self._trim_s = now_s + TRIM_S
            effects += self._end_shedding(now_s)
        return [*effects, *self._move(now_s)]

    def _compare_generations(self, report: StreamReport, now_s: float) -> list[StreamEffect]:
        """Where the publisher has heard more of our journal than we have said, that was replaced by an older copy, mark
        and all; it would take nothing that we send. So we go on under a generation above."""
        stream = self.stream
        is_ours = (report.journal, report.epoch) == (stream.journal, self._window.epoch)
        is_ahead = (report.generation, report.received) > (stream.generation, stream.next_number)
        if not is_ours or not is_ahead or report.generation >= MOST_GENERATION:
            return []
        facts = {"device": self._device, "generation": stream.generation, "known": report.generation}
        stream.generation = report.generation + 1
        self._window.begin_generation(stream.generation)
        note = Note("error", "journal.outdated", facts)
        return [note, RaiseGeneration(stream.generation), *self._move(now_s)]

    def _trim(self, dead: list[DeadLetter]) -> list[StreamEffect]:
        """The journal without what is settled, with these dead letters. One that is down gets neither before what is
        held: numbers that are settled there, but were never written, would be given out again by the next process."""
        self._trim_s = None
        if not self.is_down:
            return [Trim(self._window.base, dead)]
        self._held.bury(dead)
        # A dead letter's bytes stand in the journal until it is buried.
        return [] if self._held.has_letters else [MarkSettled(self._window.base)]

    def end(self) -> list[StreamEffect]:
        """Nothing follows: the journal without what is settled."""
        return [] if self._trim_s is None else self._trim([])

    def blocked(self, batch: FrameBatch) -> None:
        """A batch was not sent."""
        self._window.blocked(batch)

    def writable(self, now_s: float) -> list[StreamEffect]:
        """Batches can be sent again."""
        return [*self._window.writable(now_s), *self._move(now_s)]

    def broker_changed(self, now_s: float) -> None:
        """Another broker: what was in flight is probably lost."""
        self._window.broker_changed(now_s)

    def load(self, event: JournalBlocks, now_s: float) -> list[StreamEffect]:
        """What was fetched."""
        self._is_fetching = False
        # What was appended since it was asked is there all the same.
        self._window.load(event.blocks, min(self._fetch_end, self._stored_end), self.section)
        lost, self._window.lost = self._window.lost, []
        return [*self._losses.tell(lost, self._window.floor), *self._move(now_s)]

    def start(self, now_s: float) -> list[StreamEffect]:
        """What the journal has lost, as far as it is known now."""
        gaps, self._gaps = self._gaps, []
        self._keep_s = now_s + KEEP_S
        return [*self._losses.tell(gaps, self._window.floor), *self.tick(now_s)]

    def gaps_found(self, event: GapsFound) -> list[Note]:
        """The journal lost something while we have it open. What is in memory goes on from there."""
        end = self._window.memory_end
        return self._losses.tell(
            [(max(low, end), high) for low, high in event.ranges if high >= end], self._window.floor
        )

    def fetch_failed(self, event: FetchFailed, now_s: float) -> list[StreamEffect]:
        """The journal could not be read; it is tried again."""
        self._is_fetching = False
        self._fetch_s = now_s + RETRY_S
        return self._fail(event.reason, now_s)

    def journal_failed(self, event: JournalFailed, now_s: float) -> list[StreamEffect]:
        """The journal could not be written: entries stay in memory until it can, or until they are settled."""
        self._held.add(event.blocks)
        self._held.bury(event.dead)
        return self._fail(event.reason, now_s)

    def journal_back(self, end: int, now_s: float) -> list[StreamEffect]:
        """The journal was written again, with all that was held below `end`; what has come since follows."""
        self.is_down = False
        held, unburied = self._held.take()
        later = [block for block in held if block.first >= end]
        effects: list[StreamEffect] = [Note("info", "journal.recovered", {"device": self._device})]
        effects += [self._append(later)] if later else []
        effects += [Bury(unburied)] if unburied else []
        return [*effects, *self._move(now_s)]

    def refusal(self, letters: list[KeptLetter]) -> str:
        """Why these dead letters can't go back into the stream now, or "". They push out nothing that waits."""
        size = sum(len(letter.data) for letter in letters)
        if self.is_down:
            return "the journal can't be written"
        if self.backlog + len(letters) > self._limits.max_records:
            return f"the journal is full: {self.backlog} entries wait"
        if self.backlog_bytes + size > self._limits.max_bytes:
            return f"the journal is full: {self.backlog_bytes} bytes wait"
        return ""

    def revive(self, letters: list[KeptLetter], now_s: float) -> list[StreamEffect]:
        """Sends these, one batch at most, through again: new numbers, the current section, the old timestamps."""
        at_ms = self._wall_ms(now_s) or self.stream.last_ts_ms
        blocks = [self._revived(list(run), origin, at_ms) for origin, run in groupby(letters, attrgetter("origin"))]
        self._counters["frames_revived"] += len(letters)
        return [self._append(blocks, revived=tuple(letter.id for letter in letters)), *self._move(now_s)]

    def _revived(self, letters: list[KeptLetter], origin: str, at_ms: int) -> Block:
        """A block of dead letters that have one origin."""
        body = codec.pack_frames(FrameBody([letter.ts_ms for letter in letters], [letter.data for letter in letters]))
        count = len(letters)
        block = Block(self.stream.take(count), count, Entry.FRAMES, self.section, body, at_ms, origin)
        self._ledger.add(block.end, len(body), at_ms)
        self._window.accept(block)
        return block

    def note(self, note_id: str, journal: str, generation: int, numbers: list[int]) -> list[StreamEffect]:
        """A converter died in these numbers. Those that an earlier process could not journal are other frames now."""
        if journal != self.stream.journal:
            return []
        end = self.stream.next_number if generation == self.stream.generation else self._opened_number
        numbers = [number for number in numbers if self._window.floor <= number < end]
        counts = self._poison.note(note_id, numbers)
        if not counts:
            return []
        self._counters["strikes"] += len(counts)
        facts = {"device": self._device, "first": min(counts), "count": len(counts), "deaths": max(counts.values())}
        return [Strike(counts), Note("warning", "frame.suspect", facts), *self._window.send_alone(counts)]

    def tick(self, now_s: float) -> list[StreamEffect]:
        """What is due."""
        effects: list[StreamEffect] = []
        if self.is_down and now_s >= self._retry_s:
            self._retry_s = now_s + RETRY_S
            effects.append(self._append(list(self._held.blocks), is_retry=True))
        if self._fetch_s and now_s >= self._fetch_s:
            self._fetch_s = 0.0
        if self._trim_s is not None and now_s >= self._trim_s:
            effects += self._trim([])
        if self._checks_age and now_s >= self._age_s:
            base = self._window.base
            effects += self._shed(now_s)
            effects += self._trim([]) if self._window.base > base else []
        if self.backlog:
            effects += self._keep(now_s)
        return [*effects, *self._window.tick(now_s, self._draw()), *self._move(now_s)]

    def _keep(self, now_s: float) -> list[StreamEffect]:
        """Has the journal looked after, if it is time."""
        if now_s < self._keep_s or self.is_down:
            return []
        self._keep_s = now_s + KEEP_S * (0.75 + self._draw() / 2)
        has_backlog, self._kept_number = self._window.base < self._kept_number, self.stream.next_number
        return [KeepJournal(has_backlog)]

    @property
    def _stored_end(self) -> int:
        """The number after the last that the journal holds."""
        return self._held.blocks[0].first if self._held.blocks else self.stream.next_number

    def _number(self, item: Item, clock_ms: int) -> Block | None:
        """A block of new numbers; None if it fits neither disk nor memory, which takes no number."""
        count = len(item.frames)
        if self.is_down and self._held.bytes >= self._limits.window_bytes:
            self._counters["frames_dropped"] += count
            return None
        stamps = self.stream.stamp(count, clock_ms)
        body = codec.pack_frames(FrameBody(stamps, item.frames, item.extra))
        block = Block(self.stream.take(count), count, item.kind, self.section, body, clock_ms)
        self._counters["frames_read"] += count
        self._ledger.add(block.end, len(body), clock_ms)
        self._window.accept(block)
        return block

    def _append(self, blocks: list[Block], is_retry: bool = False, revived: tuple[int, ...] = ()) -> Append:
        stream = self.stream
        self._trim_s = None
        return Append(
            blocks,
            stream.next_number,
            stream.last_ts_ms,
            self._window.base,
            self._line_state,
            is_retry,
            revived,
        )

    def _move(self, now_s: float) -> list[StreamEffect]:
        """Sends what there is room for, and fetches more."""
        effects: list[StreamEffect] = []
        for block in self._held.blocks:
            self._window.accept(block)
        effects += self._window.pump(now_s)
        behind = self._window.memory_end < self._stored_end
        if behind and not self._is_fetching and not self._fetch_s and self._window.wants_more:
            self._is_fetching, self._fetch_end = True, self._stored_end
            most = self._limits.window_bytes // 2
            effects.append(Fetch(self._window.memory_end, self._limits.window_frames, most))
        return effects

    def _drop(self) -> None:
        """Forgets what is no longer in the journal."""
        base = self._window.base
        self._ledger.drop(base)
        self._held.drop(base)

    def _dead_letters(self, report: StreamReport) -> list[DeadLetter]:
        """The dead ones among what this report settles."""
        reasons = {number: reason for number, reason in report.dead if self._window.floor <= number < report.settled}
        if not reasons:
            return []
        entries = self._window.entries(reasons)
        self._counters["dead_letters"] += len(entries)
        lost = [number for number in entries if reasons[number] == NOWHERE]
        return [
            *(DeadLetter(low, 0, f"{NOWHERE}: {named((low, high))}", b"") for low, high in joined(lost)),
            *(
                DeadLetter(n, ts_ms, reasons[n], data, origin)
                for n, (ts_ms, data, origin) in entries.items()
                if reasons[n] != NOWHERE
            ),
        ]

    @property
    def _checks_age(self) -> bool:
        return self._limits.ttl_s is not None and self._wall_offset_ms is not None and self.backlog > 0

    def _wall_ms(self, now_s: float) -> int | None:
        """What the wall clock shows, from its last reading."""
        return None if self._wall_offset_ms is None else int(self._wall_offset_ms + now_s * 1000)

    def _excess(self, now_s: float, share: float = 1.0) -> tuple[int, str]:
        """(the number below which all must go to keep this share of the limits, the limit that says so)."""
        limits, wall_ms = self._limits, self._wall_ms(now_s)
        bases = [
            (self.stream.next_number - int(limits.max_records * share), "records"),
            (self._ledger.base_within(int(limits.max_bytes * share)), "bytes"),
        ]
        if limits.ttl_s is not None and wall_ms is not None:
            bases.append((self._ledger.base_since(wall_ms - int(limits.ttl_s * 1000 * share)), "age"))
        return max(bases)

    def _shed(self, now_s: float) -> list[StreamEffect]:
        """Keeps the limits: the oldest go first, and are counted."""
        self._age_s = now_s + AGE_CHECK_S
        base, limit = self._excess(now_s)
        if base <= self._window.base:
            return []
        self._counters["frames_shed"] += base - self._window.base
        if limit == "age":
            self._window.settle(base)
        else:
            self._window.shed(base)
        self._drop()
        if self._is_shedding:
            return []
        self._is_shedding = True
        facts = {
            "device": self._device,
            "limit": limit,
            "backlog": self.backlog,
            "backlog_bytes": self.backlog_bytes,
        }
        return [Note("warning", "journal.full", facts)]

    def _end_shedding(self, now_s: float) -> list[StreamEffect]:
        """Half of each limit has to be free: one warning for a journal that stays full, not one a frame."""
        if not self._is_shedding or self._excess(now_s, 0.5)[0] > self._window.base:
            return []
        self._is_shedding = False
        shed = self._counters["frames_shed"]
        return [Note("info", "journal.has_room", {"device": self._device, "frames_shed": shed})]

    def _fail(self, reason: str, now_s: float) -> list[StreamEffect]:
        self._counters["journal_errors"] += 1
        was_down, self.is_down = self.is_down, True
        if was_down:
            return []
        self._retry_s = now_s + RETRY_S
        return [Note("warning", "journal.failed", {"device": self._device, "reason": reason})]
