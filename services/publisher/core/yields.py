"""What comes of each device's frames: values, errors, or nothing. Pure.

The publisher is where the readings of one device come together again, in order, whichever converters made them. So it
is the one process that can say that a data point has never found its place, or that frames come and no value does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from common.conversion.values import shorten
from common.wire.messages import Entry, Faults
from common.wire.states import YieldSeen
from services.publisher.core.stream import ReadingStream, Release

ENOUGH_FRAMES: Final = 10
"""A data point that none of so many frames had is told: some devices say one thing in every few messages."""
MOST_TOLD: Final = 256
"""Devices of which the heartbeat says something; more than that have one common cause, which these show."""
SHOWN_CHARS: Final = 160
"""Of an error: two lines of a terminal. With the three below a device takes 1.1 KiB of the heartbeat at most."""
MOST_KEYS: Final = 8
SHOWN_KEY: Final = 40
SHOWN_MESSAGE: Final = 24
"""So many keys of data points, and so much of each, and of the name of its message."""


class Lack(NamedTuple):
    """What the frames of one message have lacked so far."""

    frames: int
    keys: frozenset[str]
    """Keys of the data points that none of them had."""


class DeviceYield:
    """One device, since its port reader was started."""

    __slots__ = ("barren", "error", "error_s", "errors", "lacks", "looks", "pause_s", "stream", "value_s")

    def __init__(self, stream: ReadingStream) -> None:
        self.stream = stream
        """Its section is one for all that comes on this stream."""
        self.barren = 0
        """Frames in a row of which no value came."""
        self.value_s: float | None = None
        """When the last value came."""
        self.pause_s = 0.0
        """The longest time between two values."""
        self.lacks: dict[str, Lack] = {}
        """Name of a message, "" for a device with none or one → what its frames have lacked. There are as many as the
        device's section has messages: of one that has not come nothing is known."""
        self.errors = 0
        self.error = ""
        self.error_s = 0.0
        self.looks = ""

    def fail(self, faults: Faults, frames: int, now_s: float) -> None:
        """Something went wrong in a batch with so many frames that say anything."""
        if faults.lacking is not None:
            for message, count, keys in faults.lacking:
                self.look(message, count, keys)
        elif frames > 0:
            self.look("", frames, faults.absent)
        if faults.errors:
            self.errors += faults.errors
            self.error, self.error_s = shorten(faults.error, SHOWN_CHARS), now_s
        if faults.looks or frames:
            self.looks = faults.looks

    def look(self, message: str, frames: int, absent: Sequence[str]) -> None:
        """So many frames of a message have come, none of which has these data points."""
        before = self.lacks.get(message)
        if before is None:
            self.lacks[message] = Lack(frames, frozenset(absent))
        else:
            self.lacks[message] = Lack(before.frames + frames, before.keys.intersection(absent))

    def give(self, now_s: float) -> None:
        """Values have come."""
        if self.value_s is not None and self.barren:
            self.pause_s = max(self.pause_s, now_s - self.value_s)
        self.barren, self.value_s = 0, now_s

    @property
    def is_told(self) -> bool:
        """True if there is anything to say of it."""
        return bool(self.errors or self.barren or self.absent)

    @property
    def absent(self) -> list[str]:
        """The data points that no frame of their message has, of messages that have come often enough."""
        enough = {message: lack.keys for message, lack in self.lacks.items() if lack.frames >= ENOUGH_FRAMES}
        return [_shown(key, message) for message in sorted(enough) for key in sorted(enough[message])]

    def seen(self, now_s: float) -> YieldSeen:
        """What the heartbeat says of it."""
        return YieldSeen(
            barren=self.barren,
            value_s=None if self.value_s is None else now_s - self.value_s,
            pause_s=self.pause_s,
            absent=self.absent[:MOST_KEYS],
            errors=self.errors,
            error=self.error,
            error_s=now_s - self.error_s if self.errors else 0.0,
            looks=self.looks,
        )


def _shown(key: str, message: str) -> str:
    """`t`, or `t of the message state` where the device has several."""
    shown = shorten(key, SHOWN_KEY)
    return f"{shown} of the message {shorten(message, SHOWN_MESSAGE)}" if message else shown


class Yields:
    """All devices whose frames have come. There are as many as port readers: others name no stream."""

    def __init__(self) -> None:
        self._devices: dict[str, DeviceYield] = {}

    def note(self, device: str, release: Release, now_s: float) -> None:
        """What a run of a device's entries came to; only frames count."""
        if release.kind is not Entry.FRAMES:
            return
        body = release.body
        found = self._devices.get(device)
        if found is None or found.stream is not release.run.stream:
            found = self._devices[device] = DeviceYield(release.run.stream)
        faults = body.faults
        frames = len(body.telemetry) - (faults.blank if faults is not None else 0)
        if faults is not None:
            found.fail(faults, frames, now_s)
        if any(body.telemetry) or body.attributes or body.user:
            found.give(now_s)
            if faults is None:
                # Each data point was in one of these frames, or they were a user's class's, which has none.
                found.look("", frames, ())
        else:
            found.barren += frames

    def forget(self, devices: Iterable[str]) -> None:
        """These devices are configured no more."""
        for device in devices:
            self._devices.pop(device, None)

    def seen(self, now_s: float) -> dict[str, YieldSeen]:
        """What the heartbeat says: of those devices of which there is anything to say."""
        told = {name: found for name, found in self._devices.items() if found.is_told}
        return {name: told[name].seen(now_s) for name in sorted(told)[:MOST_TOLD]}


class Waiting:
    """For how long something has waited for the platform while it accepted nothing."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._accepted = 0

    def look(self, now_s: float, *, accepted: int, is_waiting: bool) -> float:
        """To be called with each beat; returns the seconds. `accepted`: readings that were accepted so far."""
        if not is_waiting:
            self._since_s = None
            return 0.0
        if self._since_s is None or accepted != self._accepted:
            self._since_s, self._accepted = now_s, accepted
        return now_s - self._since_s
