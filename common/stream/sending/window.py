"""What is sent, how far, and what is sent again: the stream from its lowest unsettled number on.

    floor <= received <= sent <= memory_end <= the stream's next number
    floor..sent              in flight (`Flights`): sent in this epoch and not settled, at most a window
    sent..memory_end         ready (`Ready`): in memory, waits for the window
    memory_end..             in the journal only
    base                     the journal's lowest number: floor, or above it where the journal's limits took the oldest

What is in flight stays there when the journal sheds it. To send something newer in its place would fill the pipeline,
at the speed of the line, with frames that are shed before the platform could accept them; the next go out once
those before are settled.

What was received and only waits for the platform's acceptance is never sent again in the same epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from common.core.events import Send
from common.core.sequence import Range, add_range
from common.stream.blocks import Block
from common.stream.counters import SourceCounts
from common.stream.limits import Limits
from common.stream.poison import Poison
from common.stream.sending.batches import Batches
from common.stream.sending.company import Company
from common.stream.sending.flights import Again, Flights
from common.stream.sending.peer import Peer
from common.stream.sending.ready import Ready
from common.wire.messages import FrameBatch, StreamReport


class Window:
    """One stream's way to one publisher.

    | what is so                               | what goes out                                        |
    |------------------------------------------|------------------------------------------------------|
    | no epoch: no publisher was heard yet     | nothing                                              |
    | blocked: the socket refused a batch      | nothing until `writable`, then that batch first      |
    | the publisher is gone (`Peer.is_gone`)   | one batch now and again, to find out (`Peer`)        |
    | else                                     | all that is ready and fits, and what is due again    |
    """

    def __init__(
        self, template: FrameBatch, limits: Limits, poison: Poison, counters: SourceCounts, draw: Callable[[], float]
    ) -> None:
        """`template` has the fields that all batches share, and the lowest unsettled number as `first` and `base`."""
        self.base = template.base
        self.ready = Ready(template.base, limits.window_bytes)
        self.flights = Flights(template.base)
        self._batches = Batches(template, poison, counters, may_wait=limits.company_s is None)
        self._limits = limits
        self._poison = poison
        self._counters = counters
        self._credit_bytes = limits.window_bytes
        self._unsent: list[Range] = []
        self._is_blocked = False
        self._peer = Peer(draw)
        self._company = Company(limits.company_s)

    @property
    def epoch(self) -> str:
        """The publisher that batches are meant for; "" before its first heartbeat."""
        return self._batches.epoch

    @property
    def in_flight(self) -> tuple[int, int]:
        """(frames, bytes) that are sent and not settled."""
        return self.flights.end - self.flights.floor, self.flights.queue.bytes

    @property
    def next_deadline_s(self) -> float | None:
        joined_s = self._company.next_deadline_s
        if not self.epoch or self._is_blocked or self.flights.floor >= self.ready.end:
            return joined_s
        due_s = self._due_s
        return due_s if joined_s is None else min(due_s, joined_s)

    @property
    def _due_s(self) -> float:
        """When the publisher, or what it has not received, has to be looked after."""
        flights = self.flights
        silent_s = self._peer.deadline_s(has_flights=flights.floor < flights.end)
        if self._peer.is_silent or flights.timer.due_s is None:
            return silent_s
        return min(silent_s, flights.timer.due_s)

    def hear(self, epoch: str, now_s: float) -> None:
        """The publisher's heartbeat. A new epoch is sent everything that the journal has."""
        if self._peer.hear(now_s):
            self.flights.wait_anew(now_s)
        if epoch != self.epoch:
            self._batches.name_publisher(epoch)
            self._begin_anew()

    def begin_generation(self, generation: int) -> None:
        """Another stream, for the publisher: it is sent everything that the journal has."""
        self._batches.name_generation(generation)
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._credit_bytes = self._limits.window_bytes
        self.ready.put_back(self.flights.begin_anew(self.base), self.base)
        self._unsent = []

    def is_current(self, report: StreamReport) -> bool:
        """True if the report is about this stream in the epoch that batches carry."""
        is_ours = (report.journal, report.generation, report.epoch) == self._batches.identity
        return is_ours and report.settled <= report.received <= max(self.flights.end, self.base)

    def report(self, report: StreamReport, now_s: float, listened_s: float) -> None:
        """What a current report says about reception; `settle` is for its `settled`. It may have come at any time since
        `listened_s`."""
        self.hear(report.epoch, now_s)
        self._peer.owes(now_s)
        self._credit_bytes = min(self._limits.window_bytes, report.credit_bytes)
        self.flights.report(report, now_s, listened_s)

    def settle(self, floor: int) -> None:
        """Everything below `floor` is settled, or will not be waited for."""
        if floor <= self.flights.floor:
            return
        self.flights.settle(floor)
        self._poison.settle(floor)
        self.shed(floor)

    def shed(self, base: int) -> None:
        """Everything below `base` has left the journal; what of it is in flight stays there."""
        self.base = max(self.base, base)
        self.ready.cut_below(self.base)
        flights = self.flights
        if flights.end < self.base and flights.floor == flights.end:
            self.settle(self.base)

    def pump(self, now_s: float) -> list[Send]:
        """Sends what the window has room for; nothing while the publisher is unknown or silent, or we are blocked."""
        waiting = self.ready.queue
        self._company.look_anew(self.ready)
        if not self._batches.epoch or self._is_blocked or self._peer.is_gone(now_s):
            return []
        sends: list[Send] = []
        while waiting.blocks and not self._company.is_awaited(self.ready, self.flights, now_s):
            block = self._next_fitting()
            if block is None:
                break
            sends += self._launch(block, now_s)
        return sends

    def blocked(self, batch: FrameBatch) -> None:
        """A batch was not sent."""
        self._is_blocked = True
        self._counters["sends_blocked"] += 1
        if batch.epoch == self.epoch:
            self._unsent = add_range(self._unsent, batch.first, batch.first + batch.length - 1)

    def writable(self, now_s: float) -> list[Send]:
        """The socket takes batches again: first what it did not take."""
        self._is_blocked = False
        unsent, self._unsent = self._unsent, []
        if unsent:
            self.flights.wait_anew(now_s)
        return [*self._send_all(self.flights.runs(self.flights.all_of(unsent))), *self.pump(now_s)]

    def broker_changed(self, now_s: float) -> None:
        """The old broker took what was in flight with it: all of it goes again soon."""
        self.flights.expect_loss(now_s)

    def send_alone(self, numbers: Iterable[int]) -> list[Send]:
        """Sends numbers in which a converter died again at once: that converter will not."""
        if not self.epoch or self._is_blocked:
            return []
        return self._resend(self.flights.all_of([(number, number) for number in sorted(numbers)]))

    def tick(self, now_s: float) -> list[Send]:
        """Resends and probes that are due."""
        if not self.epoch or self._is_blocked or self.flights.floor >= self.ready.end or now_s < self._due_s:
            return []
        if self._peer.is_gone(now_s):
            self._peer.next_probe(now_s)
            return self._probe(now_s)
        again = self.flights.due(now_s)
        if again is None:
            self._peer.owes(now_s)
            return self._ask()
        return self._resend(again)

    def _probe(self, now_s: float) -> list[Send]:
        """One batch to find out whether anybody is there; none if all that is in memory was received."""
        if self.flights.is_outstanding:
            return self._resend(Again([(self.flights.received, self.flights.received)], 1))
        block = self._next_fitting()
        return [] if block is None else self._launch(block, now_s)

    def _ask(self) -> list[Send]:
        """One entry that waits for acceptance, once more: the publisher lives, and says nothing of it."""
        block = self.flights.oldest()
        return [] if block is None else self._repeat(block)

    def _launch(self, block: Block, now_s: float) -> list[Send]:
        """Sends a block for the first time in this epoch."""
        flights = self.flights
        if flights.floor == flights.end:
            self._peer.owes(now_s)
        flights.launch(block, now_s)
        self._company.gone()
        self._counters["frames_sent"] += block.length
        return self._batches.of(block, flights.floor)

    def _next_fitting(self) -> Block | None:
        """Takes from what is ready one batch that the window has room for; at least one entry if it is empty."""
        flights = self.flights
        if flights.end < self.base:
            return None
        frames = self._limits.window_frames - (flights.end - flights.floor)
        size = self._credit_bytes - flights.queue.bytes
        return self.ready.take(frames, size, must=not flights.queue.blocks)

    def _resend(self, again: Again) -> list[Send]:
        """Sends what was sent before once more."""
        return [send for block in self.flights.runs(again) for send in self._repeat(block)]

    def _repeat(self, block: Block) -> list[Send]:
        self._counters["frames_resent"] += block.length
        return self._batches.of(block, self.flights.floor)

    def _send_all(self, blocks: list[Block]) -> list[Send]:
        """Sends what the socket did not take the first time: no repeat, for nobody was sent it."""
        return [send for block in blocks for send in self._batches.of(block, self.flights.floor)]
