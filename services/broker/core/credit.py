"""What waits for a converter, and what a converter has: the accounts that `dispatch` hands batches out by."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from common.core.liveness import BEAT_S
from common.wire.messages import FrameBatch
from services.broker.core.events import Parts
from services.broker.core.gathering import is_little
from services.broker.core.member import Member

CREDIT: Final = 2
"""Batches that a converter holds: one in work, one waiting, so that it never idles between two."""
PINNED_CREDIT: Final = 2
"""How many a converter holds of each device with users' code, beside the others: such a device waits for itself
alone."""
LITTLE_CREDIT: Final = 8
"""How many little batches a converter holds beside the others: what many lines said at the same time goes in one go."""
SURPLUS_BEATS: Final = 3
"""Beats in a row at which a converter must lack a batch before its credit comes back: one beat proves nothing."""
ENTRY_BYTES: Final = 256
"""What a batch costs beside its body, so that empty ones are bounded too."""

Key = tuple[str, int, int, int, int, str, int, bool]


class Queued(NamedTuple):
    """A batch that waits for a converter; `order` is its place among all batches that came."""

    batch: FrameBatch
    parts: Parts
    order: int


def key_of(batch: FrameBatch) -> Key:
    """What makes one batch a repeat of another."""
    return (
        batch.journal,
        batch.generation,
        batch.first,
        batch.length,
        batch.kind,
        batch.epoch,
        len(batch.body),
        batch.alone,
    )


class Handed:
    """A batch that a converter has."""

    __slots__ = ("is_taken_back", "item", "since_s")

    def __init__(self, item: Queued, since_s: float) -> None:
        self.item = item
        self.since_s = since_s
        self.is_taken_back = False
        """True when another converter may have got it as well."""


class DeviceQueue:
    """Batches of one device in the order in which they came."""

    def __init__(self) -> None:
        self.items: deque[Queued] = deque()
        self.size_bytes = 0
        self.keys: set[Key] = set()

    def put(self, item: Queued) -> None:
        """Puts a batch in its place by `order`: at the end, or, after it could not be sent, among the first."""
        place = 0
        if self.items and item.order > self.items[-1].order:
            place = len(self.items)
        else:
            while place < len(self.items) and self.items[place].order < item.order:
                place += 1
        self.items.insert(place, item)
        self.keys.add(key_of(item.batch))
        self.size_bytes += len(item.batch.body) + ENTRY_BYTES

    def take(self) -> Queued:
        """The oldest batch of the device."""
        item = self.items.popleft()
        self.keys.discard(key_of(item.batch))
        self.size_bytes -= len(item.batch.body) + ENTRY_BYTES
        return item


class ConverterCredit:
    """The account of one converter."""

    def __init__(self, member: Member, age: int) -> None:
        self.member = member
        self.credit = CREDIT
        self.handed: list[Handed] = []
        """What it has not answered, in the order in which it got it."""
        self.pinned_out: dict[str, int] = {}
        """How many of the batches it has are of each device with users' code."""
        self.little_out = 0
        """How many of them are little."""
        self.is_behind = False
        """True while a batch was taken back from it that it has not answered."""
        self.is_blocked = False
        self.pins = 0
        self.lost_s: float | None = None
        """Since when it is lost."""
        self.served = age
        """When it last got a batch, counted in batches: the longest idle one is first among equals."""
        self._compared_s = 0.0
        self._surplus = deque([0] * SURPLUS_BEATS, SURPLUS_BEATS)
        """Batches on their way to it less those that it said it holds, at each of its last beats."""

    def compare(self, held: int, now_s: float) -> int:
        """Credit to restore, given how many batches the converter says it holds: what went missing on a broken
        connection never comes back by itself. A batch that was only on its way at each beat is no harm: credit is
        capped. Beats that come all at once, to a broker that stood still, count as one."""
        if now_s < self._compared_s + BEAT_S / 2:
            return 0
        self._compared_s = now_s
        self._surplus.append(len(self.handed) - held)
        missing = max(0, min(self._surplus))
        if missing:
            self._surplus.extend([0] * SURPLUS_BEATS)
        return missing

    def take(self, item: Queued, now_s: float) -> None:
        """Counts a batch that it gets, and the credit that this costs."""
        self.handed.append(Handed(item, now_s))
        batch = item.batch
        if batch.pinned:
            self.pinned_out[batch.device] = self.pinned_out.get(batch.device, 0) + 1
        elif is_little(batch):
            self.little_out += 1
        else:
            self.credit -= 1

    def give(self, handed: Handed) -> None:
        """Counts a batch that it has no more, and gives the credit back."""
        self.handed.remove(handed)
        batch = handed.item.batch
        if is_little(batch):
            self.little_out -= 1
        elif not batch.pinned:
            self.credit += 1
        elif self.pinned_out[batch.device] > 1:
            self.pinned_out[batch.device] -= 1
        else:
            del self.pinned_out[batch.device]
        if self.is_behind:
            self.is_behind = any(other.is_taken_back and not other.item.batch.pinned for other in self.handed)

    def can_take_of(self, device: str) -> bool:
        """True if it takes a batch of this device, which has users' code and is pinned to it."""
        return not self.is_blocked and self.pinned_out.get(device, 0) < PINNED_CREDIT

    @property
    def is_live(self) -> bool:
        """True if it can take part at all."""
        return self.member.liveness != "lost" and not self.member.draining

    @property
    def can_take(self) -> bool:
        """True if it takes a batch of a device without users' code."""
        return self.credit > 0 and not self.is_blocked

    @property
    def can_take_little(self) -> bool:
        """True if it takes a little batch of such a device."""
        return self.little_out < LITTLE_CREDIT and not self.is_blocked
