"""What the platform has accepted, refused or never answered, and which devices may be published next. Pure.

The rules are those of the design's section 5, for a server whose PUBACK can be a refusal:

- below 128: accepted; on MQTT 3.1.1 only if the connection still stands `DOUBT_S` later;
- 153, or 151 and 128 with the connection still open `DOUBT_S` later: something in the publish is bad. It is looked for
  by halves, of the devices first, then of the readings of one. Alone, 153 makes it a dead letter; its device travels
  alone for a minute;
- 151 and then a close: a rate limit. Publishes go one at a time and slower, until some were accepted;
- other codes: the devices back off;
- a close without a word: a device with a publish in flight at three closes in a row is tried alone, with nothing else
  in flight, then in halves. One record that closes the connection three times, with others accepted between, is a dead
  letter.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

from common.backoff import Backoff
from common.events import Note
from services.publisher.batching import Batching
from services.publisher.counters import Counters
from services.publisher.lanes import Lane
from services.publisher.packing import Packing, is_full
from services.publisher.parcels import Parcel

QUOTA: Final = 151
UNSPECIFIED: Final = 128
BAD_PAYLOAD: Final = 153
DOUBT_S: Final = 1.0
"""So long after a PUBACK the connection has to stand for it to mean what it says."""
ACK_TIMEOUT_S: Final = 20.0
"""Without a PUBACK for so long the connection is given up: MQTT allows no repeat on the same one."""
SOLO_S: Final = 60.0
CLOSES: Final = 3
STRIKES: Final = 3
MOST_IN_FLIGHT: Final = 100
PACE_FIRST_S: Final = 0.25
PACE_MOST_S: Final = 10.0
PACE_DECAY: Final = 0.8
DEVICE_BACKOFF: Final = Backoff(1.0, 60.0)


class Flight(NamedTuple):
    """A publish that is not accepted for good; a higher token was published later."""

    token: int
    parcel: Parcel
    since_s: float
    """When it was published; in doubt or refused: when that was said."""
    code: int = 0


class Acceptance:
    """Everything unaccepted, and each device's standing."""

    def __init__(self, batching: Batching, counters: Counters) -> None:
        self._batching = batching
        self._counters = counters
        self.in_flight: dict[int, Flight] = {}
        self._in_doubt: deque[Flight] = deque()
        self._refused: deque[Flight] = deque()
        self._trial: int | None = None
        """The token of a suspect's publish, beside which no other data may be in flight."""
        self._others_accepted = False
        """True if something else was accepted since the last trial."""
        self._accepted = 0
        self._groups = 0
        self._pace_s = 0.0
        self._next_data_s = 0.0
        self.backing_off: dict[Lane, float] = {}
        self.limit = MOST_IN_FLIGHT

    # What may be published.

    @property
    def has_slot(self) -> bool:
        """True if another publish may be in flight."""
        return len(self.in_flight) < self.limit

    @property
    def _data_in_flight(self) -> bool:
        return any(flight.parcel.is_data for flight in self.in_flight.values()) or bool(self._refused)

    def choose_mark(self, now_s: float) -> Lane | None:
        """The next device to say connect or disconnect for."""
        for lane in self._batching.marks:
            if lane.standing.retry_at_s > now_s:
                continue
            if lane.standing.closes < CLOSES or (self._trial is None and not self.in_flight):
                return lane
        return None

    def choose_data(self, packing: Packing, now_s: float) -> list[Lane]:
        """The devices whose data may go into the next publish, the longest waiting first; [] if none now."""
        if self._trial is not None or now_s < self._next_data_s or not self._batching.data:
            return []
        in_flight = self._data_in_flight
        if self._pace_s and in_flight:
            return []
        if self._others_accepted and self._suspect_marks(now_s):
            return []
        ready = [lane for lane in self._batching.data if lane.standing.retry_at_s <= now_s]
        suspects = [lane for lane in ready if lane.standing.closes >= CLOSES]
        if suspects:
            ready = [lane for lane in ready if lane.standing.closes < CLOSES]
            if self._others_accepted or not ready:
                return [] if in_flight else suspects[:1]
        if not ready:
            return []
        first = ready[0]
        standing = first.standing
        if standing.is_alone(now_s):
            return [first]
        ready = [lane for lane in ready if lane.standing.group == standing.group and not lane.standing.is_alone(now_s)]
        waited = now_s >= self._batching.data[first] + packing.delay_s
        return ready if waited or not in_flight or is_full(ready, packing) else []

    def _suspect_marks(self, now_s: float) -> bool:
        """True if a suspect waits to say connect or disconnect with nothing else in flight."""
        return any(
            lane.standing.closes >= CLOSES and lane.standing.retry_at_s <= now_s for lane in self._batching.marks
        )

    def sent(self, token: int, parcel: Parcel, now_s: float) -> None:
        """A parcel goes out now."""
        self.in_flight[token] = Flight(token, parcel, now_s)
        if parcel.is_data:
            self._next_data_s = now_s + self._pace_s
        if parcel.parts and parcel.lanes[0].standing.closes >= CLOSES:
            self._trial, self._others_accepted = token, False

    # What the platform said.

    def acknowledge(self, token: int, code: int, protocol: int, now_s: float) -> list[Note]:
        """PUBACK. Nothing for a token that is not in flight."""
        flight = self.in_flight.pop(token, None)
        if flight is None:
            return []
        flight = flight._replace(since_s=now_s, code=code)
        if code < 128:
            self._batching.answer(flight.parcel, now_s)
            if protocol < 5 and flight.parcel.is_data:
                self._in_doubt.append(flight)
            else:
                self._accept(flight, now_s)
            return []
        self._counters["publishes_refused"] += 1
        if code in (QUOTA, UNSPECIFIED):
            self._refused.append(flight)
            return []
        return self._refuse(flight, now_s)

    def expire(self, now_s: float) -> list[Note]:
        """What time has decided: doubtful publishes are accepted, refused ones looked into."""
        notes: list[Note] = []
        while self._in_doubt and now_s >= self._in_doubt[0].since_s + DOUBT_S:
            self._accept(self._in_doubt.popleft(), now_s)
        while self._refused and now_s >= self._refused[0].since_s + DOUBT_S:
            notes += self._refuse(self._refused.popleft(), now_s)
        for lane, retry_at_s in list(self.backing_off.items()):
            if now_s >= retry_at_s:
                del self.backing_off[lane]
        return notes

    def is_stuck(self, now_s: float) -> bool:
        """True if a publish has had no PUBACK for ACK_TIMEOUT_S."""
        flight = next(iter(self.in_flight.values()), None)
        return flight is not None and now_s >= flight.since_s + ACK_TIMEOUT_S

    def _accept(self, flight: Flight, now_s: float) -> None:
        parcel = flight.parcel
        if parcel.is_data:
            self._accepted += 1
            self._others_accepted = self._others_accepted or flight.token != self._trial
            self._counters["readings_accepted"] += parcel.items
            self._pace_s = self._pace_s * PACE_DECAY if self._pace_s > PACE_FIRST_S / 8 else 0.0
        for lane in parcel.lanes:
            # A connection that closes at data accepts `connect` each time: that says nothing about the data.
            if parcel.is_data or not lane.has_data:
                lane.standing.clear(parcel.records)
        self._end_trial(flight.token)
        self._batching.accept(parcel, now_s)

    def _end_trial(self, token: int) -> None:
        if self._trial == token:
            self._trial = None

    def _refuse(self, flight: Flight, now_s: float) -> list[Note]:
        """Refused, and the connection stands."""
        self._end_trial(flight.token)
        parcel, code = flight.parcel, flight.code
        facts: dict[str, Any] = {"code": code, "topic": parcel.message.topic, "devices": len(parcel.lanes)}
        if parcel.kind in ("disconnect", "reply"):
            self._batching.answer(parcel, now_s)
            self._batching.accept(parcel, now_s)
            return [Note("warning", "publish.refused", facts)]
        self._batching.give_back(parcel, now_s)
        if parcel.kind == "connect":
            lane = parcel.lanes[0]
            retry_in_s = self._back_off(lane, now_s)
            if lane.standing.refusals > 1:
                return []
            return [Note("warning", "device.refused", {"device": lane.name, "code": code, "retry_in_s": retry_in_s})]
        if code not in (QUOTA, UNSPECIFIED, BAD_PAYLOAD):
            for lane in parcel.lanes:
                self._back_off(lane, now_s)
            return [Note("warning", "publish.refused", facts)]
        self._narrow(parcel, code, now_s)
        return [Note("debug", "publish.refused", facts | {"records": parcel.records})]

    def _narrow(self, parcel: Parcel, code: int, now_s: float) -> None:
        """Comes closer to the bad record of a parcel that was given back."""
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

    def _back_off(self, lane: Lane, now_s: float) -> float:
        standing = lane.standing
        delay_s = DEVICE_BACKOFF.delay_s(standing.refusals)
        standing.refusals += 1
        standing.retry_at_s = self.backing_off[lane] = now_s + delay_s
        return delay_s

    def drop(self, lane: Lane, now_s: float, is_rate: bool) -> None:
        """The platform says that it has ended a device's session: it is announced again, later if it was its rate."""
        lane.announced = False
        if is_rate:
            self._back_off(lane, now_s)
        self._batching.touch(lane, now_s)

    # What a close means.

    def close(self, now_s: float, blame: bool) -> list[Flight]:
        """The connection has ended: everything unaccepted goes back. Returns the replies that were in flight.

        `blame` False: it was our own doing, or the time ran out, and no device is suspected.
        """
        flights = [*self.in_flight.values(), *self._in_doubt, *self._refused]
        said = [flight for flight in self._refused if flight.parcel.is_data or flight.parcel.kind == "connect"]
        trial, self._trial = self._trial, None
        self.in_flight, self._in_doubt, self._refused = {}, deque(), deque()
        flights.sort(key=lambda flight: flight.token, reverse=True)
        for flight in flights:
            if flight.parcel.parts:
                self._counters["publishes_repeated"] += 1
                self._batching.give_back(flight.parcel, now_s)
        if any(flight.code == QUOTA for flight in said):
            self._pace_s = min(PACE_MOST_S, max(PACE_FIRST_S, self._pace_s * 2))
        elif blame:
            self._blame(said or flights, trial, now_s)
        return [flight for flight in reversed(flights) if flight.parcel.kind == "reply"]

    def _blame(self, flights: list[Flight], trial: int | None, now_s: float) -> None:
        for lane in {lane for flight in flights for lane in flight.parcel.lanes}:
            lane.standing.closes += 1
        for flight in flights:
            if flight.token == trial:
                self._strike(flight.parcel, now_s)

    def _strike(self, parcel: Parcel, now_s: float) -> None:
        """A suspect was alone in flight, and the connection closed again."""
        lane = parcel.lanes[0]
        standing = lane.standing
        if parcel.kind in ("connect", "disconnect"):
            self._back_off(lane, now_s)
        elif parcel.records > 1:
            standing.narrow(parcel.records)
        elif not standing.strikes or self._accepted > standing.strike_mark:
            standing.strikes += 1
            standing.strike_mark = self._accepted
            if standing.strikes >= STRIKES:
                standing.single_out(now_s + SOLO_S)
                self._batching.bury_head(parcel, f"the platform closed the connection at it {STRIKES} times")
        self._batching.touch(lane, now_s)

    def next_deadline_s(self, packing: Packing, now_s: float, may_send: bool) -> float | None:
        """When `expire`, `is_stuck` or one of the choices may give another answer."""
        times = [flights[0].since_s + DOUBT_S for flights in (self._in_doubt, self._refused) if flights]
        times += self.backing_off.values()
        if self.in_flight:
            times.append(next(iter(self.in_flight.values())).since_s + ACK_TIMEOUT_S)
        if may_send and self._batching.data and self.has_slot and self._trial is None:
            oldest_s = next(iter(self._batching.data.values())) + packing.delay_s
            times += [time_s for time_s in (oldest_s, self._next_data_s) if time_s > now_s]
        return min(times, default=None)

    @property
    def unaccepted(self) -> int:
        """Publishes that are not accepted for good."""
        return len(self.in_flight) + len(self._in_doubt) + len(self._refused)
