"""What the platform has accepted or refused, and what a closed connection means. Pure.

A PUBACK can be a refusal here, and a connection can be closed because of a publish, with or without a word. The
dialect says what a reason code means (`Verdict`); these are the rules for it. docs/decisions.md says why.

| what comes                           | what it means, and what follows                                              |
|--------------------------------------|------------------------------------------------------------------------------|
| `accepted`                           | accepted; on MQTT 3.1.1 only if the connection still stands `DOUBT_S` later  |
| `bad`                                | a record of it can never be taken: looked for by halves (`suspicion`);       |
|                                      | alone it is a dead letter, and its device travels alone for a minute         |
| `rate`, `unclear`, connection stands | `DOUBT_S` later: some record is not taken now; looked for, tried again later |
| `rate`, then a close                 | a rate limit: publishes go one at a time, slower and smaller (`pacing`),     |
|                                      | until some were accepted                                                     |
| `rate` to an announcement            | announcements go one at a time and slower                                    |
| `wait`                               | the devices of the publish back off, each for itself                         |
| `accepted`, then at once a close     | on MQTT 3.1.1 a rate limit looks so, and it is taken for one until publishes |
|                                      | are as slow as can be                                                        |
| a close without a word               | devices in flight are blamed; at three closes in a row they are suspects     |
| no PUBACK for `ACK_TIMEOUT_S`        | the connection is given up, and nobody is blamed                             |
"""

from __future__ import annotations

from typing import Final

from services.publisher.core.counters import PublisherCounts
from services.publisher.core.dialects import Verdict
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.outbox import Outbox
from services.publisher.core.outbox.parcels import Parcel
from services.publisher.core.outlet import Outlet
from services.publisher.core.session.flights import (
    ACK_TIMEOUT_S,
    DIRECT_S,
    DOUBT_S,
    BackingOff,
    Flight,
    Publishes,
    refused_with,
)
from services.publisher.core.session.pacing import Paces
from services.publisher.core.session.rates import DATA, MARK
from services.publisher.core.session.suspicion import Suspicion
from services.publisher.core.tallies import PublishTally

FULL: Final = 500
"""After a rate limit, publishes are no longer limited in size once they may hold so many records again: the default of
`minPackSizeToSend`."""
QUOTA_IS_NEWS: Final = 3
"""If a device's announcement gets `rate` so often in a row, the cause is no rate: most likely a limit of devices."""


class Acceptance:
    """Decides once what becomes of each publish: when its PUBACK, the second after it or a close has shown it.

    Accepted publishes settle their runs, the others are given back to the outbox. Between a PUBACK and its decision a
    publish stays in `flights`, and its lanes know only that it was answered.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        flights: Publishes,
        suspicion: Suspicion,
        paces: Paces,
        backing_off: BackingOff,
        counters: PublisherCounts,
        out: Outlet,
    ) -> None:
        self._outbox = outbox
        self._flights = flights
        self._suspicion = suspicion
        self._pace = paces.data
        self._marks_pace = paces.marks
        self._rates = paces.rates
        self._backing_off = backing_off
        self._counters = counters
        self._out = out
        self.announced: list[str] = []
        """Devices whose announcement was accepted since somebody has taken them from here."""
        self.tally = PublishTally()
        self.was_rate = False
        """True if the last connection was closed because of a rate."""

    def sent(self, token: int, parcel: Parcel, now_s: float) -> None:
        """A parcel goes out now."""
        flights = self._flights
        flights.in_flight[token] = Flight(token, parcel, now_s, now_s)
        if parcel.is_data:
            self._pace.sent(now_s)
        elif parcel.is_mark:
            self._marks_pace.sent(now_s)
            flights.marks += 1
        else:
            flights.replies += 1
        self._suspicion.sent(token, parcel, now_s)

    # What the platform said.

    def acknowledge(self, token: int, verdict: Verdict, code: int, *, protocol: int, now_s: float) -> None:
        """PUBACK with this reason code, which the dialect has understood. Nothing for a token that is not in flight.
        `protocol`: 5, or 4 for MQTT 3.1.1."""
        flights = self._flights
        flight = flights.in_flight.pop(token, None)
        if flight is None:
            return
        parcel = flight.parcel
        flights.marks -= parcel.is_mark
        flights.replies -= parcel.kind == "reply"
        self.tally.durations.add(now_s - flight.sent_s)
        flight = flight._replace(since_s=now_s, verdict=verdict, code=code)
        if verdict == "accepted":
            self._outbox.answer(parcel, now_s)
            if protocol < 5 and parcel.is_data:
                flights.in_doubt.append(flight)
                self._suspicion.doubted(token, now_s)
            else:
                self._accept(flight, now_s)
            return
        self._counters["publishes_refused"] += 1
        self.tally.refused(code)
        if verdict == "rate":
            self._rates.refused(DATA if parcel.is_data else MARK, now_s)
            if parcel.is_mark:
                self._marks_pace.slow_down(flight.sent_s, now_s)
        if verdict in ("rate", "unclear"):
            flights.refused.append(flight)
        else:
            self._refuse(flight, now_s)

    def expire(self, now_s: float) -> None:
        """What time has decided: doubtful publishes are accepted, refused ones looked into."""
        flights = self._flights
        while flights.in_doubt and now_s >= flights.in_doubt[0].since_s + DOUBT_S:
            self._accept(flights.in_doubt.popleft(), now_s)
        while flights.refused and now_s >= flights.refused[0].since_s + DOUBT_S:
            self._refuse(flights.refused.popleft(), now_s)
        if self._backing_off.until_s:
            self._backing_off.expire(now_s)

    def is_stuck(self, now_s: float) -> bool:
        """True if a publish has had no PUBACK for ACK_TIMEOUT_S."""
        flight = next(iter(self._flights.in_flight.values()), None)
        return flight is not None and now_s >= flight.since_s + ACK_TIMEOUT_S

    def _accept(self, flight: Flight, now_s: float) -> None:
        parcel = flight.parcel
        if parcel.is_data:
            self._counters["readings_accepted"] += parcel.items
            was_slow = self._pace.is_slow
            self._pace.speed_up(now_s, parcel.records, len(parcel.lanes), FULL)
            if was_slow and not self._pace.is_slow:
                self._out.note("info", "platform.rate_recovered")
        elif parcel.is_mark:
            self._marks_pace.speed_up(now_s)
        self._suspicion.accepted(flight.token, parcel)
        self._outbox.accept(parcel, now_s)
        if parcel.kind == "connect" and (lane := parcel.lanes[0]).presence == "announced":
            self.announced.append(lane.name)

    def _refuse(self, flight: Flight, now_s: float) -> None:
        """The publish was refused, and the connection stands."""
        self._suspicion.end_trial(flight.token)
        parcel = flight.parcel
        if parcel.kind in ("disconnect", "reply"):
            # To repeat a goodbye, or an answer that the platform does not want, would help nobody.
            self._outbox.answer(parcel, now_s)
            self._outbox.accept(parcel, now_s)
            self._note_refusal(flight, is_news=True)
            return
        self._outbox.give_back(parcel, now_s)
        if parcel.kind == "connect":
            self._refuse_device(flight, now_s)
        elif flight.verdict == "wait":
            for lane in parcel.lanes:
                self._backing_off.add(lane, now_s, refused_with(flight.code))
            if any(lane.standing.refusals == 1 for lane in parcel.lanes):
                self._note_refusal(flight, is_news=True)
        else:
            self._note_refusal(flight, is_news=False)
            self._suspicion.narrow(flight, now_s)

    def _note_refusal(self, flight: Flight, is_news: bool) -> None:
        """One line about a publish: a warning, or for developers what belongs to a search that is under way."""
        parcel = flight.parcel
        facts: dict[str, int | str] = {
            "code": flight.code,
            "topic": parcel.message.topic,
            "devices": len(parcel.lanes),
        }
        if is_news:
            self._out.note("warning", "publish.refused", **facts)
        else:
            self._out.note("debug", "publish.refused", **facts, records=parcel.records)

    def _refuse_device(self, flight: Flight, now_s: float) -> None:
        """A device could not be announced. A rate has its pace already; only a device that is refused again and again
        waits longer and longer, and is logged."""
        lane = flight.parcel.lanes[0]
        news = QUOTA_IS_NEWS if flight.verdict == "rate" else 1
        retry_in_s = self._backing_off.add(lane, now_s, refused_with(flight.code), free=news - 1)
        if lane.standing.refusals == news:
            self._out.note("warning", "device.refused", device=lane.name, code=flight.code, retry_in_s=retry_in_s)

    def drop(self, lane: Lane, now_s: float, is_rate: bool) -> None:
        """The platform says that it has ended a device's session: it is announced again, later if its rate was
        the cause."""
        lane.standing.dropped = True
        if is_rate:
            self._backing_off.add(lane, now_s, "it says too much for the platform, which has ended its session")
        self._outbox.dropped(lane, now_s)

    # What a close means.

    def close(self, now_s: float, blame: bool) -> list[Flight]:
        """The connection has ended: everything unaccepted goes back. Returns the replies that were in flight.

        `blame` False: it was our own doing, or the time ran out, and no device is suspected.
        """
        flights = self._flights
        said = [flight for flight in flights.refused if flight.parcel.parts and flight.parcel.kind != "disconnect"]
        direct = [flight for flight in flights.in_doubt if now_s - flight.since_s < DIRECT_S]
        unanswered = list(flights.in_flight.values())
        ended = [*unanswered, *flights.in_doubt, *flights.refused]
        flights.clear()
        ended.sort(key=lambda flight: flight.token, reverse=True)
        for flight in ended:
            if flight.parcel.parts:
                self._counters["publishes_repeated"] += 1
                self._outbox.give_back(flight.parcel, now_s)
        self.was_rate = any(flight.verdict == "rate" for flight in said)
        if self.was_rate:
            self._slow_down([flight for flight in said if flight.parcel.is_data], now_s)
        else:
            blamed = said or [*unanswered, *direct]
            if direct and not said and not self._pace.is_slowest:
                # Perhaps a rate limit, which acknowledges before it closes: what was not acknowledged is suspect.
                self._slow_down(direct, now_s)
                self.was_rate = True
                blamed = unanswered
            if blame:
                self._suspicion.blame(blamed, now_s)
        self._suspicion.trial = None
        return [flight for flight in reversed(ended) if flight.parcel.kind == "reply"]

    def _slow_down(self, flights: list[Flight], now_s: float) -> None:
        """Goes slower, because these publishes were too many; the largest of them is the measure."""
        if not flights:
            return
        self._rates.refused(DATA, now_s)
        was_slow = self._pace.is_slow
        largest = max(flight.parcel.records for flight in flights)
        widest = max(len(flight.parcel.lanes) for flight in flights)
        self._pace.slow_down(max(flight.sent_s for flight in flights), now_s, largest, widest)
        if not was_slow:
            self._out.note("warning", "platform.rate_limited", next_in_s=self._pace.interval_s)
