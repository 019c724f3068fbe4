"""What the platform has accepted, refused or never answered, and which devices may be published next. Pure.

The rules are those of the design's section 5, for a server whose PUBACK can be a refusal:

- below 128: accepted; on MQTT 3.1.1 only if the connection still stands `DOUBT_S` later;
- 153, or 151 and 128 with the connection still open `DOUBT_S` later: something in the publish is bad. It is looked for
  by halves, of the devices first, then of the readings of one. Alone, 153 makes it a dead letter; its device travels
  alone for a minute;
- 151 and then a close: a rate limit. Publishes go one at a time, slower and smaller, until some were accepted. On
  MQTT 3.1.1 that looks like a PUBACK directly followed by a close, and is taken for it until nothing slower is left;
- 151 to an announcement: announcements go one at a time and slower;
- other codes: the devices back off;
- a close without a word: a device with a publish in flight at three closes in a row is tried alone, with nothing else
  in flight, then in halves. One record that closes the connection three times, with others accepted between, is a dead
  letter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from common.core.backoff import Backoff
from common.core.events import Note
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.outbox.batching import Batching
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.packing import Packing, is_full
from services.publisher.core.outbox.parcels import Parcel
from services.publisher.core.session.pacing import Pace
from services.publisher.core.session.suspicion import BAD_PAYLOAD, Flight, Suspicion

QUOTA: Final = 151
UNSPECIFIED: Final = 128
DOUBT_S: Final = 1.0
"""So long after a PUBACK the connection has to stand for it to mean what it says."""
DIRECT_S: Final = 0.2
"""A close so soon after a PUBACK belongs to it: the server writes both at once. Less than the first distance of `Pace`,
so that a publish which goes out after that PUBACK is told from it."""
ACK_TIMEOUT_S: Final = 20.0
"""Without a PUBACK for so long the connection is given up: MQTT allows no repeat on the same one."""
MOST_IN_FLIGHT: Final = 100
MOST_MARKS_IN_FLIGHT: Final = 20
"""Announcements at a time: each costs the platform's bucket a message, and those beyond it come back refused."""
DATA_PACE: Final = (0.25, 10.0, 0.8)
"""First and longest distance in seconds, and to what share of it an accepted publish shortens it."""
MARKS_PACE: Final = (0.1, 2.0, 0.9)
FULL: Final = 500
"""Records, or devices, in a publish that count as no limit any more after a rate limit: the default of
`minPackSizeToSend`."""
DEVICE_BACKOFF: Final = Backoff(1.0, 60.0)
QUOTA_IS_NEWS: Final = 3
"""151 to a device's announcement so often in a row is no rate any more: a limit of devices, most likely."""


class Acceptance:
    """Everything unaccepted, and each device's standing. `note` takes what is to be logged."""

    def __init__(self, batching: Batching, counters: PublisherCounts, note: Callable[[Note], None]) -> None:
        self._batching = batching
        self._counters = counters
        self._note = note
        self._suspicion = Suspicion(batching, counters, self._back_off)
        self.pace = Pace(*DATA_PACE)
        self._marks_pace = Pace(*MARKS_PACE)
        self.in_flight: dict[int, Flight] = {}
        self._marks_in_flight = 0
        self._replies_in_flight = 0
        self._in_doubt: deque[Flight] = deque()
        self._refused: deque[Flight] = deque()
        self.was_rate = False
        """True if the last connection was closed because of a rate."""
        self.backing_off: dict[Lane, float] = {}
        self.limit = MOST_IN_FLIGHT

    # What may be published.

    @property
    def has_slot(self) -> bool:
        """True if another publish may be in flight."""
        return len(self.in_flight) < self.limit

    @property
    def has_reply_slot(self) -> bool:
        """True if another reply may be in flight, and half of the slots are left for the rest."""
        return self._replies_in_flight < max(1, self.limit // 2) and self.has_slot

    @property
    def _data_in_flight(self) -> bool:
        return any(flight.parcel.is_data for flight in self.in_flight.values()) or bool(self._refused)

    def choose_mark(self, now_s: float) -> Lane | None:
        """The next device to say connect or disconnect for."""
        if self._marks_in_flight >= (1 if self._marks_pace.is_slow else MOST_MARKS_IN_FLIGHT):
            return None
        if now_s < self._marks_pace.next_s:
            return None
        suspicion = self._suspicion
        for lane in self._batching.marks:
            if lane.standing.retry_at_s > now_s:
                continue
            if not suspicion.is_suspect(lane) or (suspicion.trial is None and not self.in_flight):
                return lane
        return None

    def choose_data(self, packing: Packing, now_s: float) -> list[Lane]:
        """The devices whose data may go into the next publish, the longest waiting first; [] if none now."""
        suspicion = self._suspicion
        if suspicion.trial is not None or now_s < self.pace.next_s or not self._batching.data:
            return []
        in_flight = self._data_in_flight
        if self.pace.is_slow and in_flight:
            return []
        if suspicion.others_accepted and self._suspect_marks(now_s):
            return []
        ready = [lane for lane in self._batching.data if lane.standing.retry_at_s <= now_s]
        if suspects := [lane for lane in ready if suspicion.is_suspect(lane)]:
            ready = [lane for lane in ready if not suspicion.is_suspect(lane)]
            if suspicion.others_accepted or not ready:
                # Others that are still to be announced go first: where something was accepted the next connection is
                # made at once, and their data does not wait for ours. Who is in doubt would go down with a trial.
                is_early = in_flight or self._in_doubt or (not suspicion.others_accepted and self._others_marks(now_s))
                # The least suspicious first: one that closes it each time must not keep the others from their trial.
                return [] if is_early else [min(suspects, key=lambda lane: lane.standing.closes)]
        if not ready:
            return []
        first = ready[0]
        standing = first.standing
        if standing.is_alone(now_s):
            return [first]
        ready = [lane for lane in ready if lane.standing.group == standing.group and not lane.standing.is_alone(now_s)]
        ready = ready[: self.pace.most_devices]
        waited = now_s >= self._batching.data[first] + packing.delay_s
        return ready if waited or not in_flight or is_full(ready, packing) else []

    def narrow(self, packing: Packing) -> Packing:
        """How full the next publish may be."""
        most = self.pace.most_items
        return packing if most is None else packing._replace(most=min(most, packing.most))

    def _suspect_marks(self, now_s: float) -> bool:
        """True if a suspect waits to say connect or disconnect with nothing else in flight."""
        marks = self._batching.marks
        return any(self._suspicion.is_suspect(lane) and lane.standing.retry_at_s <= now_s for lane in marks)

    def _others_marks(self, now_s: float) -> bool:
        """True while announcements are in flight, or wait for devices that are no suspects."""
        marks = self._batching.marks
        waiting = (lane for lane in marks if not self._suspicion.is_suspect(lane))
        return self._marks_in_flight > 0 or any(lane.standing.retry_at_s <= now_s for lane in waiting)

    def sent(self, token: int, parcel: Parcel, now_s: float) -> None:
        """A parcel goes out now."""
        self.in_flight[token] = Flight(token, parcel, now_s, now_s)
        if parcel.is_data:
            self.pace.sent(now_s)
        elif parcel.is_mark:
            self._marks_pace.sent(now_s)
            self._marks_in_flight += 1
        else:
            self._replies_in_flight += 1
        self._suspicion.sent(token, parcel)

    # What the platform said.

    def acknowledge(self, token: int, code: int, protocol: int, now_s: float) -> None:
        """PUBACK. Nothing for a token that is not in flight."""
        flight = self.in_flight.pop(token, None)
        if flight is None:
            return
        parcel = flight.parcel
        self._marks_in_flight -= parcel.is_mark
        self._replies_in_flight -= parcel.kind == "reply"
        flight = flight._replace(since_s=now_s, code=code)
        if code < 128:
            self._batching.answer(parcel, now_s)
            if protocol < 5 and parcel.is_data:
                self._in_doubt.append(flight)
            else:
                self._accept(flight, now_s)
            return
        self._counters["publishes_refused"] += 1
        if code == QUOTA and parcel.is_mark:
            self._marks_pace.slow_down(flight.sent_s, now_s)
        if code in (QUOTA, UNSPECIFIED):
            self._refused.append(flight)
        else:
            self._refuse(flight, now_s)

    def expire(self, now_s: float) -> None:
        """What time has decided: doubtful publishes are accepted, refused ones looked into."""
        while self._in_doubt and now_s >= self._in_doubt[0].since_s + DOUBT_S:
            self._accept(self._in_doubt.popleft(), now_s)
        while self._refused and now_s >= self._refused[0].since_s + DOUBT_S:
            self._refuse(self._refused.popleft(), now_s)
        for lane, retry_at_s in list(self.backing_off.items()):
            if now_s >= retry_at_s:
                del self.backing_off[lane]

    def is_stuck(self, now_s: float) -> bool:
        """True if a publish has had no PUBACK for ACK_TIMEOUT_S."""
        flight = next(iter(self.in_flight.values()), None)
        return flight is not None and now_s >= flight.since_s + ACK_TIMEOUT_S

    def _accept(self, flight: Flight, now_s: float) -> None:
        parcel = flight.parcel
        if parcel.is_data:
            self._counters["readings_accepted"] += parcel.items
            was_slow = self.pace.is_slow
            self.pace.speed_up(now_s, parcel.records, len(parcel.lanes), FULL)
            if was_slow and not self.pace.is_slow:
                self._note(Note("info", "platform.rate_recovered", {}))
        elif parcel.is_mark:
            self._marks_pace.speed_up(now_s)
        self._suspicion.accepted(flight.token, parcel)
        self._batching.accept(parcel, now_s)

    def _refuse(self, flight: Flight, now_s: float) -> None:
        """Refused, and the connection stands."""
        self._suspicion.end_trial(flight.token)
        parcel, code = flight.parcel, flight.code
        facts: dict[str, int | str] = {"code": code, "topic": parcel.message.topic, "devices": len(parcel.lanes)}
        if parcel.kind in ("disconnect", "reply"):
            self._batching.answer(parcel, now_s)
            self._batching.accept(parcel, now_s)
            self._note(Note("warning", "publish.refused", facts))
            return
        self._batching.give_back(parcel, now_s)
        if parcel.kind == "connect":
            self._refuse_device(parcel.lanes[0], code, now_s)
        elif code in (QUOTA, UNSPECIFIED, BAD_PAYLOAD):
            self._note(Note("debug", "publish.refused", facts | {"records": parcel.records}))
            self._suspicion.narrow(parcel, code, now_s)
        else:
            for lane in parcel.lanes:
                self._back_off(lane, now_s)
            if any(lane.standing.refusals == 1 for lane in parcel.lanes):
                self._note(Note("warning", "publish.refused", facts))

    def _refuse_device(self, lane: Lane, code: int, now_s: float) -> None:
        # A rate has its pace already; only a device that is refused again and again waits longer and longer.
        retry_in_s = self._back_off(lane, now_s, QUOTA_IS_NEWS - 1 if code == QUOTA else 0)
        if lane.standing.refusals == (QUOTA_IS_NEWS if code == QUOTA else 1):
            facts = {"device": lane.name, "code": code, "retry_in_s": retry_in_s}
            self._note(Note("warning", "device.refused", facts))

    def _back_off(self, lane: Lane, now_s: float, free: int = 0) -> float:
        """The first `free` refusals do not lengthen the wait. Returns the wait."""
        standing = lane.standing
        delay_s = DEVICE_BACKOFF.delay_s(max(0, standing.refusals - free))
        standing.refusals += 1
        standing.retry_at_s = self.backing_off[lane] = now_s + delay_s
        return delay_s

    def drop(self, lane: Lane, now_s: float, is_rate: bool) -> None:
        """The platform says that it has ended a device's session: it is announced again, later if it was its rate."""
        lane.announced, lane.standing.dropped, lane.is_void = False, True, lane.busy
        if is_rate:
            self._back_off(lane, now_s)
        self._batching.touch(lane, now_s)

    # What a close means.

    def close(self, now_s: float, blame: bool) -> list[Flight]:
        """The connection has ended: everything unaccepted goes back. Returns the replies that were in flight.

        `blame` False: it was our own doing, or the time ran out, and no device is suspected.
        """
        said = [flight for flight in self._refused if flight.parcel.parts and flight.parcel.kind != "disconnect"]
        direct = [flight for flight in self._in_doubt if now_s - flight.since_s < DIRECT_S]
        unanswered = list(self.in_flight.values())
        flights = [*unanswered, *self._in_doubt, *self._refused]
        self.in_flight, self._in_doubt, self._refused = {}, deque(), deque()
        self._marks_in_flight = self._replies_in_flight = 0
        flights.sort(key=lambda flight: flight.token, reverse=True)
        for flight in flights:
            if flight.parcel.parts:
                self._counters["publishes_repeated"] += 1
                self._batching.give_back(flight.parcel, now_s)
        self.was_rate = any(flight.code == QUOTA for flight in said)
        if self.was_rate:
            self._slow_down([flight for flight in said if flight.parcel.is_data], now_s)
        else:
            blamed = said or [*unanswered, *direct]
            if direct and not said and not self.pace.is_slowest:
                # Perhaps a rate limit, which acknowledges before it closes: what was not acknowledged is suspect.
                self._slow_down(direct, now_s)
                self.was_rate = True
                blamed = unanswered
            for note in self._suspicion.blame(blamed, now_s) if blame else []:
                self._note(note)
        self._suspicion.trial = None
        return [flight for flight in reversed(flights) if flight.parcel.kind == "reply"]

    def _slow_down(self, flights: list[Flight], now_s: float) -> None:
        """These were too many."""
        if not flights:
            return
        was_slow = self.pace.is_slow
        largest = max(flight.parcel.records for flight in flights)
        widest = max(len(flight.parcel.lanes) for flight in flights)
        self.pace.slow_down(max(flight.sent_s for flight in flights), now_s, largest, widest)
        if not was_slow:
            self._note(Note("warning", "platform.rate_limited", {"next_in_s": self.pace.interval_s}))

    def next_deadline_s(self, packing: Packing, now_s: float, may_send: bool) -> float | None:
        """When `expire`, `is_stuck` or one of the choices may give another answer."""
        times = [flights[0].since_s + DOUBT_S for flights in (self._in_doubt, self._refused) if flights]
        times += self.backing_off.values()
        if self.in_flight:
            times.append(next(iter(self.in_flight.values())).since_s + ACK_TIMEOUT_S)
        if may_send and self._batching.data and self.has_slot and self._suspicion.trial is None:
            oldest_s = next(iter(self._batching.data.values())) + packing.delay_s
            times += [time_s for time_s in (oldest_s, self.pace.next_s) if time_s > now_s]
        if self._batching.marks and self._marks_pace.next_s > now_s:
            times.append(self._marks_pace.next_s)
        return min(times, default=None)

    @property
    def unaccepted(self) -> int:
        """Publishes that are not accepted for good."""
        return len(self.in_flight) + len(self._in_doubt) + len(self._refused)
