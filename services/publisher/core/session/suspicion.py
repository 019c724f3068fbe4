"""Which record is it that the platform refuses, or closes the connection at: found by halves. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from common.core.events import Note
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.outbox.batching import Batching
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.parcels import Parcel

BAD_PAYLOAD: Final = 153
SOLO_S: Final = 60.0
"""So long a device travels alone after a bad record of it was found."""
CLOSES: Final = 3
"""Closes in a row that make the devices in flight suspects."""
STRIKES: Final = 3
"""Closes with one record alone in flight that make it a dead letter."""

_UNRELATED: Final = (("telemetry", "attributes"), ("attributes", "telemetry"))


class Flight(NamedTuple):
    """A publish that is not accepted for good; a higher token was published later."""

    token: int
    parcel: Parcel
    sent_s: float
    since_s: float
    """When it was published; in doubt or refused: when that was said."""
    code: int = 0


class Suspicion:
    """The trial that is under way, and what closes have said against devices (see `lanes.Standing`)."""

    def __init__(self, batching: Batching, counters: PublisherCounts, back_off: Callable[[Lane, float], float]) -> None:
        self._batching = batching
        self._counters = counters
        self._back_off = back_off
        self.trial: int | None = None
        """The token of a suspect's publish, beside which no other data may be in flight."""
        self.others_accepted = False
        """True if something else was accepted since the last trial."""
        self._accepted = 0
        self._groups = 0

    @staticmethod
    def is_suspect(lane: Lane) -> bool:
        """True for a device that is to be tried with nothing else in flight."""
        return lane.standing.closes >= CLOSES

    def sent(self, token: int, parcel: Parcel) -> None:
        """A parcel goes out; that of a suspect is a trial."""
        if parcel.parts and self.is_suspect(parcel.lanes[0]):
            self.trial, self.others_accepted = token, False

    def accepted(self, token: int, parcel: Parcel) -> None:
        """A parcel was accepted for good."""
        if parcel.is_data:
            self._accepted += 1
            self.others_accepted = self.others_accepted or token != self.trial
        for lane in parcel.lanes:
            # A connection that closes at data accepts `connect` each time: that says nothing about the data. Nor do
            # attributes, which travel between, about telemetry.
            if (parcel.is_data and (lane.standing.blamed_for, parcel.kind) not in _UNRELATED) or not lane.has_data:
                lane.standing.clear(parcel.records)
        self.end_trial(token)

    def end_trial(self, token: int) -> None:
        """This publish was answered."""
        if self.trial == token:
            self.trial = None

    def narrow(self, parcel: Parcel, code: int, now_s: float) -> None:
        """Comes closer to the bad record of a parcel that was refused and given back."""
        lanes = parcel.lanes
        if len(lanes) > 1:
            for half in (lanes[: len(lanes) // 2], lanes[len(lanes) // 2 :]):
                self._groups += 1
                for lane in half:
                    lane.standing.group = self._groups
        elif parcel.records > 1:
            lanes[0].standing.narrow(parcel.records)
        else:
            lanes[0].standing.single_out(now_s + SOLO_S)
            if code == BAD_PAYLOAD:
                self._batching.bury_head(parcel, f"refused by the platform with reason code {code}")
            else:
                self._back_off(lanes[0], now_s)
        for lane in lanes:
            self._batching.touch(lane, now_s)

    def blame(self, flights: Iterable[Flight], now_s: float) -> list[Note]:
        """The connection has closed at these publishes, which were given back."""
        trial, self.trial = self.trial, None
        flights = list(flights)
        notes = []
        kinds = {lane: flight.parcel.kind for flight in flights for lane in flight.parcel.lanes}
        for lane, kind in kinds.items():
            lane.standing.closes += 1
            lane.standing.blamed_for = kind
            if lane.standing.closes == CLOSES:
                notes.append(Note("warning", "device.suspected", {"device": lane.name, "closes": CLOSES}))
        for flight in flights:
            if flight.token == trial:
                notes += self._strike(flight.parcel, now_s)
        return notes

    def _strike(self, parcel: Parcel, now_s: float) -> list[Note]:
        """A suspect was alone in flight, and the connection closed again."""
        lane = parcel.lanes[0]
        standing = lane.standing
        notes = []
        if not parcel.is_data:
            self._back_off(lane, now_s)
        elif parcel.records > 1:
            standing.narrow(parcel.records)
        else:
            self._counters["record_closes"] += 1
            if not standing.strikes or self._accepted > standing.strike_mark:
                standing.strikes += 1
                standing.strike_mark = self._accepted
                standing.is_stuck = False
            elif not standing.is_stuck:
                standing.is_stuck = True
                reason = "the platform closes the connection at one record, and accepts nothing else: kept"
                notes.append(Note("warning", "device.stuck", {"device": lane.name, "reason": reason}))
            if standing.strikes >= STRIKES:
                standing.single_out(now_s + SOLO_S)
                self._batching.bury_head(parcel, f"the platform closed the connection at it {STRIKES} times")
        self._batching.touch(lane, now_s)
        return notes
