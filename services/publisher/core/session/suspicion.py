"""Finds, by halves, the record that the platform refuses, or closes the connection at. Pure.

One bad record must not keep back the thousands that share a message with it, and must not be given up before it is
known to be the one. So a publish that was refused is cut in two, first by devices, then by the records of one device,
until one record is alone. A platform that closes the connection says nothing about which publish it minds: then the
devices that were in flight each time are tried alone, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from common.core.dead_kinds import CLOSED, REFUSED
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.outbox.lanes import TELEMETRY_RUN, Lane
from services.publisher.core.outbox.outbox import Outbox
from services.publisher.core.outbox.parcels import Parcel
from services.publisher.core.outlet import Outlet
from services.publisher.core.session.flights import DIRECT_S, DOUBT_S, BackingOff, Flight, refused_with

SOLO_S: Final = 60.0
"""So long a device travels alone after a bad record of it was found."""
CLOSES: Final = 3
"""Closes in a row that make the devices in flight suspects."""
STRIKES: Final = 3
"""Closes with one record alone in flight that make it a dead letter."""

_UNRELATED: Final = (("telemetry", "attributes"), ("attributes", "telemetry"))
"""(blamed kind, accepted kind) pairs where acceptance clears no blame."""


class Suspicion:
    """The trial that is under way, and what closes have said against devices (see `standing.Standing`).

    A suspect is a device that was in flight at `CLOSES` closes in a row. A trial is a publish of a suspect with nothing
    else in flight: if the connection closes again, it was this one. What the platform closes at it does not
    acknowledge, or closes right behind: so a trial is over `DIRECT_S` after its PUBACK, and on MQTT 3.1.1, where it is
    then still in doubt, several suspects are tried in the second that this takes.
    """

    def __init__(self, outbox: Outbox, backing_off: BackingOff, counters: PublisherCounts, out: Outlet) -> None:
        self._outbox = outbox
        self._backing_off = backing_off
        self._counters = counters
        self._out = out
        self.trial: int | None = None
        """The token of a suspect's publish, beside which no other data may be in flight."""
        self._trial_over_s: float | None = None
        """When a trial that was acknowledged is over; None while it was not."""
        self._row_until_s = 0.0
        """Until then suspects are tried one after the other, and the rest waits as it would for one of them."""
        self.others_accepted = False
        """True if something else was accepted since the last trial: the next trial can wait for a new connection."""
        self._accepted = 0
        """Publishes of data that were accepted so far."""
        self._groups = 0
        """The number of the last group that was made."""

    @staticmethod
    def is_suspect(lane: Lane) -> bool:
        """True for a device that is to be tried with nothing else in flight."""
        return lane.standing.closes >= CLOSES

    @staticmethod
    def has_closed_alone(lane: Lane) -> bool:
        """True for a suspect at whose data, tried alone, the connection has closed twice in a row: not by chance."""
        return lane.standing.closes >= CLOSES + 2 and lane.standing.blamed_for in ("telemetry", "attributes")

    def is_trying(self, now_s: float) -> bool:
        """True while a trial is under way."""
        return self.trial is not None and (self._trial_over_s is None or now_s < self._trial_over_s)

    @property
    def trial_over_s(self) -> float | None:
        """When time alone ends the trial; None where it does not."""
        return self._trial_over_s if self.trial is not None else None

    def is_in_row(self, now_s: float) -> bool:
        """True if the next suspect may be tried although nobody else was heard since the last one."""
        return now_s < self._row_until_s

    def sent(self, token: int, parcel: Parcel, now_s: float) -> None:
        """A parcel goes out; that of a suspect is a trial."""
        if parcel.parts and self.is_suspect(parcel.lanes[0]):
            self.trial, self._trial_over_s, self.others_accepted = token, None, False
            if parcel.is_data:
                parcel.lanes[0].standing.trial = token
            if not self.is_in_row(now_s):
                self._row_until_s = now_s + DOUBT_S

    def doubted(self, token: int, now_s: float) -> None:
        """A publish was acknowledged, and a close could take that back: if it was the trial, it is over soon."""
        if self.trial == token:
            self._trial_over_s = now_s + DIRECT_S

    def accepted(self, token: int, parcel: Parcel) -> None:
        """A parcel was accepted for good, so what stood against its devices is forgiven if it is about that."""
        if parcel.is_data:
            self._accepted += 1
            is_trial = token == self.trial or any(map(self.is_suspect, parcel.lanes))
            self.others_accepted = self.others_accepted or not is_trial
        for lane in parcel.lanes:
            # A connection that closes at data accepts `connect` each time: that says nothing about the data. Nor do
            # attributes, which travel between, about telemetry.
            if (parcel.is_data and (lane.standing.blamed_for, parcel.kind) not in _UNRELATED) or not lane.has_data:
                lane.standing.clear(parcel.records)
        self.end_trial(token)

    def end_trial(self, token: int) -> None:
        """A publish was answered, or its connection has ended: if it was the trial, others may go on."""
        if self.trial == token:
            self.trial = None

    def narrow(self, flight: Flight, now_s: float) -> None:
        """Comes closer to the bad record of a publish that was refused and given back. Alone, it becomes a dead letter
        where the platform can never take it, and else is tried again later."""
        parcel = flight.parcel
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
            if flight.verdict == "bad":
                self._outbox.bury_head(parcel, f"{REFUSED} {flight.code}", now_s)
            else:
                self._backing_off.add(lanes[0], now_s, refused_with(flight.code))

    def blame(self, flights: Iterable[Flight], now_s: float) -> None:
        """The connection has closed at these publishes, which were given back: their devices are suspected, and a
        record that was alone in flight has a strike."""
        trial, self.trial, self._row_until_s = self.trial, None, 0.0
        flights = list(flights)
        kinds = {lane: flight.parcel.kind for flight in flights for lane in flight.parcel.lanes}
        for lane, kind in kinds.items():
            lane.standing.closes += 1
            lane.standing.blamed_for = kind
            if lane.standing.closes == CLOSES:
                self._out.note("warning", "device.suspected", device=lane.name, closes=CLOSES)
                if kind == "attributes":
                    # Only they can clear it: its first trial is of them.
                    lane.telemetry_run = TELEMETRY_RUN
        for flight in flights:
            if flight.token == trial:
                self._strike(flight.parcel, now_s)

    def _strike(self, parcel: Parcel, now_s: float) -> None:
        """A suspect was alone in flight, and the connection closed again."""
        lane = parcel.lanes[0]
        if not parcel.is_data:
            self._backing_off.add(lane, now_s, "the platform closes the connection each time it is announced")
        elif parcel.records > 1:
            lane.standing.narrow(parcel.records)
        else:
            self._counters["record_closes"] += 1
            self._strike_record(lane)
            if lane.standing.strikes >= STRIKES:
                lane.standing.single_out(now_s + SOLO_S)
                self._outbox.bury_head(parcel, f"{CLOSED} {STRIKES} times", now_s)

    def _strike_record(self, lane: Lane) -> None:
        """The suspect's publish was one record. A strike counts only if something was accepted since the last one: a
        platform that closes at everything says nothing against this record."""
        standing = lane.standing
        if not standing.strikes or self._accepted > standing.strike_mark:
            standing.strikes += 1
            standing.strike_mark = self._accepted
            standing.is_stuck = False
        elif not standing.is_stuck:
            standing.is_stuck = True
            reason = "the platform closes the connection at one record, and accepts nothing else: kept"
            self._out.note("warning", "device.stuck", device=lane.name, reason=reason)
