"""Which device may publish next: their order, and which has to wait for which. Pure."""

from __future__ import annotations

from itertools import islice
from math import inf
from typing import Final

from services.publisher.core.dialects import Counted
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.outbox import Outbox
from services.publisher.core.outbox.packing import Packing, is_full
from services.publisher.core.session.flights import ACK_TIMEOUT_S, DOUBT_S, BackingOff, Publishes
from services.publisher.core.session.pacing import Paces
from services.publisher.core.session.rates import DATA, MARK, NO_LIMIT
from services.publisher.core.session.suspicion import Suspicion

MOST_MARKS_IN_FLIGHT: Final = 20
"""Announcements at a time: each costs the platform's bucket a message, and those beyond it come back refused."""
FEW_LANES: Final = 100
"""Devices whose first readings are looked at, to know when there is room for them."""


class Choice:
    """Chooses lanes out of those that the outbox has listed, and changes nothing.

    The device that waits longest is first. Besides the pace of the platform these hold a device back: its own wait
    after a refusal; a trial, beside which nothing else may be in flight; a bad record that is being looked for, which
    makes a device travel alone or with its group.
    """

    def __init__(
        self, outbox: Outbox, flights: Publishes, suspicion: Suspicion, paces: Paces, backing_off: BackingOff
    ) -> None:
        self._outbox = outbox
        self._flights = flights
        self._suspicion = suspicion
        self._pace = paces.data
        self._marks_pace = paces.marks
        self._rates = paces.rates
        self._backing_off = backing_off

    def choose_mark(self, now_s: float) -> Lane | None:
        """The next device to say connect or disconnect for."""
        if not self._outbox.table.marks or now_s < self._marks_pace.next_s:
            return None
        if self._flights.marks >= (1 if self._marks_pace.is_slow else MOST_MARKS_IN_FLIGHT):
            return None
        if not self._rates.may_say(MARK, now_s):
            return None
        suspicion = self._suspicion
        for lane in self._outbox.table.marks:
            if lane.standing.retry_at_s > now_s:
                continue
            if not suspicion.is_suspect(lane) or not (suspicion.is_trying(now_s) or self._flights.in_flight):
                return lane
        return None

    def choose_data(self, packing: Packing, now_s: float) -> list[Lane]:
        """The devices whose data may go into the next publish, the longest waiting first; [] if none now."""
        chosen = self._choose_data(packing, now_s)
        room = self._rates.room(now_s) if chosen else NO_LIMIT
        if room is NO_LIMIT:
            return chosen
        if 0 in room or not self._rates.may_say(self._first(chosen[0]), now_s):
            # Those behind wait with the first: all take from the same buckets.
            return []
        return chosen[: room.devices]

    def _first(self, lane: Lane) -> Counted:
        """What the first thing counts for that the lane would publish alone."""
        points = self._outbox.first_points(lane) if self._rates.counts_points else 0
        return Counted(is_own=False, data=1, points=points)

    def _choose_data(self, packing: Packing, now_s: float) -> list[Lane]:
        """As `choose_data`, the platform's buckets left aside."""
        suspicion = self._suspicion
        if suspicion.is_trying(now_s) or now_s < self._pace.next_s or not self._outbox.table.data:
            return []
        in_flight = self._flights.has_data
        if self._pace.is_slow and in_flight:
            return []
        if suspicion.others_accepted and self._suspect_marks(now_s):
            return []
        ready = [lane for lane in self._outbox.table.data if lane.standing.retry_at_s <= now_s]
        if suspects := [lane for lane in ready if suspicion.is_suspect(lane)]:
            ready = [lane for lane in ready if not suspicion.is_suspect(lane)]
            chosen = self._choose_suspect(suspects, in_flight, now_s)
            goes_on = suspicion.is_in_row(now_s) and self._flights.in_doubt
            if suspicion.others_accepted or not ready or (chosen and goes_on):
                return chosen
        if not ready:
            return []
        first = ready[0]
        standing = first.standing
        if standing.is_alone(now_s):
            return [first]
        ready = [lane for lane in ready if lane.standing.group == standing.group and not lane.standing.is_alone(now_s)]
        ready = ready[: self._pace.most_devices][: packing.most_devices]
        waited = now_s >= self._outbox.table.data[first] + packing.delay_s
        return ready if waited or not in_flight or is_full(ready, packing) else []

    def _choose_suspect(self, suspects: list[Lane], in_flight: bool, now_s: float) -> list[Lane]:
        """The next trial, where there is room for one.

        Others that are still to be announced go first: where something was accepted the next connection is made at
        once, and their data does not wait for ours. Publishes in doubt would be taken back if the trial closes the
        connection: so it waits for them, but not for those of other suspects, unless it has closed one before. Whose
        last trial is longest ago is first: no suspect keeps the others from theirs, neither one that closes the
        connection each time nor one that has much to say.
        """
        suspicion, in_doubt = self._suspicion, self._flights.in_doubt
        others_wait = not suspicion.others_accepted and self._others_marks(now_s)
        if in_flight or others_wait:
            return []
        if in_doubt:
            if not all(suspicion.is_suspect(lane) for flight in in_doubt for lane in flight.parcel.lanes):
                return []
            suspects = [lane for lane in suspects if not suspicion.has_closed_alone(lane)]
        return [min(suspects, key=lambda lane: lane.standing.trial)] if suspects else []

    def narrow(self, packing: Packing, now_s: float) -> Packing:
        """How full the next publish may be, at the pace that the platform takes."""
        most, points = self._pace.most_items, self._rates.room(now_s).points
        if most is not None:
            packing = packing._replace(
                most_readings=min(most, packing.most_readings), most_attributes=min(most, packing.most_attributes)
            )
        if points is not None:
            packing = packing._replace(most_attributes=min(points, packing.most_attributes), most_points=points)
        return packing

    def _suspect_marks(self, now_s: float) -> bool:
        """True if a suspect waits to say connect or disconnect with nothing else in flight."""
        marks = self._outbox.table.marks
        return any(self._suspicion.is_suspect(lane) and lane.standing.retry_at_s <= now_s for lane in marks)

    def _others_marks(self, now_s: float) -> bool:
        """True while announcements are in flight, or wait for devices that are no suspects."""
        marks = self._outbox.table.marks
        waiting = (lane for lane in marks if not self._suspicion.is_suspect(lane))
        return self._flights.marks > 0 or any(lane.standing.retry_at_s <= now_s for lane in waiting)

    def next_deadline_s(self, packing: Packing, now_s: float, may_send: bool) -> float | None:
        """When time alone may decide something: what a publish in flight, in doubt or refused has become, or who may
        publish now. `may_send`: True if data may flow at all."""
        flights, data = self._flights, self._outbox.table.data
        times = [waiting[0].since_s + DOUBT_S for waiting in (flights.in_doubt, flights.refused) if waiting]
        times += self._backing_off.until_s.values()
        if flights.in_flight:
            times.append(next(iter(flights.in_flight.values())).since_s + ACK_TIMEOUT_S)
        if (over_s := self._suspicion.trial_over_s) is not None and now_s < over_s:
            times.append(over_s)
        if may_send and data and flights.has_slot and not self._suspicion.is_trying(now_s):
            oldest_s = next(iter(data.values())) + packing.delay_s
            room_s = self._room_s(now_s)
            times += [time_s for time_s in (oldest_s, self._pace.next_s, room_s) if now_s < time_s < inf]
        if self._outbox.table.marks:
            room_s = self._rates.ready_s(MARK, now_s)
            times += [time_s for time_s in (self._marks_pace.next_s, room_s) if now_s < time_s < inf]
        return min(times, default=None)

    def _room_s(self, now_s: float) -> float:
        """When the buckets may have room for what is chosen next."""
        rates = self._rates
        if rates.room(now_s) is NO_LIMIT:
            return now_s
        if not rates.counts_points:
            return rates.ready_s(DATA, now_s)
        # Which is chosen is not known here; of many devices, the time at which there is room for any.
        wanted = [self._first(lane) for lane in islice(self._outbox.table.data, FEW_LANES)]
        most = rates.most_points or 1
        times = [rates.ready_s(counted, now_s) for counted in (*wanted, DATA._replace(points=most))]
        return min((time_s for time_s in times if time_s > now_s), default=now_s)
