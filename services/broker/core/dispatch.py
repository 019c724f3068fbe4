"""Which batch goes to which converter, and when: queues per device, devices in turn, credit, pinning.

A batch that was handed out and not answered in time goes to another converter. Batches of devices with users' code do
not: their readers count in which frame a process died, and send them again once they have heard of the death.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from common.wire.messages import FrameBatch, ReadingBatch
from services.broker.core.counters import BrokerCounts
from services.broker.core.credit import CREDIT, ENTRY_BYTES, ConverterCredit, DeviceQueue, Handed, Queued, key_of
from services.broker.core.events import FramesBlocked, Parts, SendFrames
from services.broker.core.gathering import is_little
from services.broker.core.member import Member

PIN_LOST_S: Final = 20.0
"""Devices with users' code stay with a lost converter for so long: it may be their code that stopped it, and would stop
the next one too. Within this time the converter has been replaced, and it is known in which frame it stopped."""
PIN_GONE_S: Final = 3.0
"""How long they stay with a lost converter whose socket is blocked too, since nobody listens there: a process that
ended is started again sooner than one that hangs."""
TAKE_BACK_S: Final = 2.0
"""A batch is converted in milliseconds. A converter that has not answered by then waits for a section, or hangs."""
DEVICE_QUEUE_BYTES: Final = 2 * 1024 * 1024
"""Twice a reader's window; a batch above it is dropped and comes again."""
QUEUES_BYTES: Final = 256 * 1024 * 1024
"""All devices together."""
DEVICES_LIMIT: Final = 4096
"""Devices with a queue or a pin."""


class Dispatcher:
    """Queues of all devices and accounts of all converters.

    A batch is in a queue, or handed to a converter; one that was taken back is both.
    """

    def __init__(self, counters: BrokerCounts) -> None:
        self._counters = counters
        self._queues: dict[str, DeviceQueue] = {}
        self._turn: deque[str] = deque()
        """Devices with something queued, next one first; those whose next batch is for users' code have a turn of their
        own, for their credit is their own too."""
        self._pinned_turn: deque[str] = deque()
        self._converters: dict[str, ConverterCredit] = {}
        self._pins: dict[str, str] = {}
        """Device → name of its converter."""
        self._size_bytes = 0
        self._order = 0

    def attach(self, member: Member) -> None:
        """A new instance of a converter: full credit, no pins; others get what the one before it had."""
        self.release(member.name)
        if (old := self._converters.get(member.name)) is not None:
            self._take_back(old, old.handed)
        self._converters[member.name] = ConverterCredit(member, self._order)

    def release(self, name: str) -> None:
        """The devices pinned to this converter are free to be pinned again."""
        for device in [device for device, pinned_to in self._pins.items() if pinned_to == name]:
            self._unpin(device)

    def add(self, batch: FrameBatch, parts: Parts) -> bool:
        """Queues a batch. False if there was no room and it was dropped; a repeat of a queued one is dropped silently,
        as nothing is lost by it."""
        queue = self._queues.get(batch.device)
        if queue is not None and key_of(batch) in queue.keys:
            self._counters["batches_repeated"] += 1
            return True
        if not self._has_room(queue, batch):
            return False
        self._order += 1
        self._put(Queued(batch, parts, self._order))
        return True

    def drop(self, is_unwanted: Callable[[FrameBatch], bool]) -> int:
        """Takes unwanted batches out of the queues; returns how many frames they held."""
        frames = 0
        for device, queue in list(self._queues.items()):
            unwanted = [item for item in queue.items if is_unwanted(item.batch)]
            if not unwanted:
                continue
            kept = [item for item in queue.items if not is_unwanted(item.batch)]
            frames += sum(item.batch.length for item in unwanted)
            self._size_bytes -= queue.size_bytes
            del self._queues[device]
            (self._pinned_turn if device in self._pinned_turn else self._turn).remove(device)
            for item in kept:
                self._put(item)
        return frames

    def put_back(self, event: FramesBlocked) -> None:
        """A batch that could not be sent is where it was, and the credit too; the converter is blocked."""
        self._put(Queued(event.batch, event.parts, event.order))
        converter = self._converters.get(event.converter)
        if converter is not None and converter.member.instance == event.instance:
            sent = [handed for handed in converter.handed if handed.item.order == event.order]
            if sent:
                # The last one: a batch that was taken back may have come to the same converter again.
                converter.give(sent[-1])
            converter.is_blocked = True

    def unblock(self, name: str) -> None:
        """Notes that this converter's socket takes batches again."""
        if name in self._converters:
            self._converters[name].is_blocked = False

    def give_back(self, answer: ReadingBatch) -> bool:
        """A converter has answered a batch, or the first part of one. False if it does not have that batch: it has
        answered before, or another instance has the account now."""
        converter = self._converters.get(answer.converter)
        if converter is None or converter.member.instance != answer.instance:
            return False
        for handed in converter.handed:
            batch = handed.item.batch
            is_this = batch.first == answer.first and batch.journal == answer.journal
            if is_this and batch.generation == answer.generation:
                converter.give(handed)
                return True
        return False

    def compare(self, name: str, instance: str, held: int, now_s: float) -> int:
        """Takes back batches that went missing on the way to a converter; returns how many."""
        converter = self._converters.get(name)
        if converter is None or converter.member.instance != instance:
            return 0
        missing = converter.handed[: converter.compare(held, now_s)]
        self._take_back(converter, missing)
        for handed in missing:
            converter.give(handed)
        return len(missing)

    def release_late(self, now_s: float) -> None:
        """Gives up converters that have been lost for long and were not replaced."""
        for name, converter in self._converters.items():
            if converter.member.liveness != "lost":
                converter.lost_s = None
            elif converter.lost_s is None:
                converter.lost_s = now_s
            elif converter.pins:
                patience_s = PIN_GONE_S if converter.is_blocked else PIN_LOST_S
                if now_s >= converter.lost_s + patience_s:
                    self.release(name)

    def take_back_late(self, now_s: float) -> None:
        """Offers to others what was not answered in time."""
        usable = self._preferred()
        for converter in self._converters.values():
            if usable in ([], [converter]):
                continue
            late = [handed for handed in converter.handed if now_s >= handed.since_s + TAKE_BACK_S]
            self._take_back(converter, late)

    def hand_out(self, now_s: float) -> list[SendFrames]:
        """Everything that can go out now, devices in turn."""
        if not self._turn and not self._pinned_turn:
            return []
        usable = self._preferred()
        sent: list[SendFrames] = []
        if self._pinned_turn:
            self._serve(self._pinned_turn, usable, sent, now_s)
        if self._turn:
            self._serve(self._turn, usable, sent, now_s)
        return sent

    def _serve(self, turn: deque[str], usable: list[ConverterCredit], sent: list[SendFrames], now_s: float) -> None:
        """Hands out batches of the devices whose turn it is, one for each device a round, while somebody takes them."""
        ready = sum(converter.credit for converter in usable if not converter.is_blocked)
        is_pinned = turn is self._pinned_turn
        skipped: list[str] = []
        while turn and (ready or is_pinned):
            device = turn.popleft()
            queue = self._queues[device]
            little = is_little(queue.items[0].batch)
            converter = self._choose_last(usable) if little else self._choose(device, is_pinned, usable)
            if converter is None:
                skipped.append(device)
                continue
            sent.append(self._take(device, queue, converter, now_s))
            ready -= not little
        # Devices that could not be served keep their places before those that were.
        turn.extendleft(reversed(skipped))

    def converter_for(self, device: str, is_pinned: bool) -> Member | None:
        """The converter that serves a call for this device: the one it is pinned to, else the longest idle of the live
        ones; None if there is none."""
        usable = self._preferred()
        if is_pinned and (pin := self._pin(device, usable)) is not None and pin.is_live:
            return pin.member
        if not usable:
            return None
        chosen = min(usable, key=lambda converter: (CREDIT - converter.credit, converter.served))
        chosen.served = self._order
        return chosen.member

    def has_queued(self, device: str) -> bool:
        """True if batches of this device wait."""
        return device in self._queues

    @property
    def converters(self) -> dict[str, ConverterCredit]:
        return self._converters

    @property
    def queued_bytes(self) -> int:
        return self._size_bytes

    @property
    def queued_devices(self) -> int:
        return len(self._queues)

    def _has_room(self, queue: DeviceQueue | None, batch: FrameBatch) -> bool:
        """True if a batch may be queued: its device, all devices together and the number of devices have bounds."""
        size_bytes = len(batch.body) + ENTRY_BYTES
        if self._size_bytes + size_bytes > QUEUES_BYTES:
            return False
        if queue is None:
            # An empty queue takes one batch of any size, as a window does.
            return batch.device in self._pins or len(self._queues.keys() | self._pins.keys()) < DEVICES_LIMIT
        return queue.size_bytes + size_bytes <= DEVICE_QUEUE_BYTES

    def _put(self, item: Queued) -> None:
        device = item.batch.device
        queue = self._queues.get(device)
        if queue is None:
            queue = self._queues[device] = DeviceQueue()
            self._turn_for(item.batch).append(device)
        queue.put(item)
        self._size_bytes += len(item.batch.body) + ENTRY_BYTES

    def _turn_for(self, batch: FrameBatch) -> deque[str]:
        return self._pinned_turn if batch.pinned else self._turn

    def _take_back(self, converter: ConverterCredit, some: list[Handed]) -> None:
        """Offers these batches to others. Readers send those for users' code again: they know which frames are
        suspects."""
        for handed in some:
            batch = handed.item.batch
            if handed.is_taken_back or batch.pinned:
                continue
            handed.is_taken_back = converter.is_behind = True
            queue = self._queues.get(batch.device)
            if (queue is None or key_of(batch) not in queue.keys) and self._has_room(queue, batch):
                self._put(handed.item)
                self._counters["batches_taken_back"] += 1

    def _take(self, device: str, queue: DeviceQueue, converter: ConverterCredit, now_s: float) -> SendFrames:
        """A converter gets the device's oldest batch; the device goes to the end of its turn if it has more."""
        item = queue.take()
        self._size_bytes -= len(item.batch.body) + ENTRY_BYTES
        if queue.items:
            self._turn_for(queue.items[0].batch).append(device)
        else:
            del self._queues[device]
        converter.take(item, now_s)
        self._order += 1
        converter.served = self._order
        return SendFrames(converter.member.name, converter.member.instance, *item)

    def _preferred(self) -> list[ConverterCredit]:
        """Converters that may get work: the live ones, without those who are late with beats or batches if there are
        others."""
        live = [converter for converter in self._converters.values() if converter.is_live]
        prompt = [converter for converter in live if converter.member.liveness == "alive" and not converter.is_behind]
        return prompt or live

    def _choose_last(self, usable: list[ConverterCredit]) -> ConverterCredit | None:
        """The converter that gets a little batch: of those that take one and have the least to do, the one that was at
        work last."""
        free = [converter for converter in usable if converter.can_take_little]
        return max(free, key=lambda converter: (converter.credit, converter.served), default=None)

    def _choose(self, device: str, is_pinned: bool, usable: list[ConverterCredit]) -> ConverterCredit | None:
        """The converter that gets this device's next batch; None if it has to wait."""
        if is_pinned:
            pin = self._pin(device, usable)
            is_there = pin is not None and (pin.member.liveness == "alive" or pin in usable)
            return pin if pin and is_there and pin.can_take_of(device) else None
        if device in self._pins:
            self._unpin(device)
        free = [converter for converter in usable if converter.can_take]
        if not free:
            return None
        return min(free, key=lambda converter: (CREDIT - converter.credit, converter.served))

    def _pin(self, device: str, usable: list[ConverterCredit]) -> ConverterCredit | None:
        """The converter of a pinned device, which is chosen now if it has none."""
        name = self._pins.get(device)
        if name is not None and not self._converters[name].member.draining:
            return self._converters[name]
        if not usable:
            return None
        if name is not None:
            self._unpin(device)
        chosen = min(usable, key=lambda converter: (converter.pins, converter.served))
        self._pins[device] = chosen.member.name
        chosen.pins += 1
        return chosen

    def _unpin(self, device: str) -> None:
        self._converters[self._pins.pop(device)].pins -= 1
