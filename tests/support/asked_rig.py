"""A port reader core whose line has a device at its end that answers, under a fake clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from common.config.asking import Ask, Asking, Heard, Step, Told
from common.config.models import Device
from common.core.events import Tick
from common.wire.messages import Entry
from services.port_reader.core.events import AdjustLine, Chunk, Confirm, Confirmed, WritePort
from tests.support.port_reader_rig import Rig, frames_of

Behaviour = Callable[[bytes], Sequence[tuple[float, bytes]]]
"""What was written → what the devices say, each after so many seconds."""


def ask(name: str, data: bytes, every_s: float | None = 1.0, **fields: Any) -> Ask:
    """A question of one step."""
    return Ask(name=name, steps=(Step(kind="send", data=data),), every_s=every_s, **fields)


def heard(name: str, regex: str, **fields: Any) -> Heard:
    """A message that is told by a regular expression."""
    return Heard(name=name, told=Told(regex=regex), **fields)


def asked(name: str, *asks: Ask, **fields: Any) -> Device:
    """A device with these questions."""
    return Device(name=name, type="t", asking=Asking(asks=asks, **fields))


class AskedRig(Rig):
    """A line with devices that answer; its time goes on with `run`."""

    def __init__(self, device: Device, behaviour: Behaviour, more: Sequence[Device] = (), **options: Any) -> None:
        self.behaviour = behaviour
        self.said: list[tuple[float, int, bytes]] = []
        self.asked: list[tuple[float, bytes]] = []
        """(when, what) was written."""
        self.adjusted: list[AdjustLine] = []
        self._order = count()
        super().__init__(device, more=more, **options)
        self.beat()

    def _perform(self, effect: Any) -> list[Any]:
        match effect:
            case WritePort(data):
                self.asked.append((round(self.now_s - 100, 6), data))
                for after_s, frame in self.behaviour(data):
                    heapq.heappush(self.said, (self.now_s + after_s, next(self._order), frame))
                return super()._perform(effect)
            case AdjustLine():
                self.adjusted.append(effect)
                return []
            case Confirm(member, reply):
                return [Confirmed(member, reply)]
        return super()._perform(effect)

    def say(self, after_s: float, data: bytes) -> None:
        """A device says this by itself, later."""
        heapq.heappush(self.said, (self.now_s + after_s, next(self._order), data))

    def run(self, seconds: float) -> None:
        """Lets time pass; the devices answer, the publisher beats."""
        end_s, beat_s = self.now_s + seconds, self.now_s
        while self.exit is None:
            due_s = self.core.next_deadline_s
            due_s = end_s if due_s is None else max(self.now_s, due_s)
            said_s = self.said[0][0] if self.said else float("inf")
            at_s = min(due_s, said_s, beat_s, end_s)
            if at_s >= end_s and said_s >= end_s:
                break
            self.now_s = max(self.now_s, at_s)
            if said_s <= at_s:
                _, _, data = heapq.heappop(self.said)
                self.give(Chunk(data, self.wall_ms))
            elif beat_s <= at_s:
                beat_s += 0.5
                self.beat()
            else:
                self.give(Tick())
        self.now_s = end_s

    @property
    def lines(self) -> list[bytes]:
        """What was written, in order."""
        return [data for _, data in self.asked]

    def entries(self, device: str, kind: Entry = Entry.FRAMES) -> list[tuple[str, bytes]]:
        """(what was asked, the frame) of each entry of one kind that was sent of a device, in order."""
        batches = [batch for batch in self.batches if batch.device == device and batch.kind == kind]
        said = {
            number: (batch.origin, frame)
            for batch in batches
            for number, frame in enumerate(frames_of(batch), batch.first)
        }
        return [said[number] for number in sorted(said)]

    @property
    def noted(self) -> list[str]:
        """The events in the log."""
        return [note.event for note in self.notes]
