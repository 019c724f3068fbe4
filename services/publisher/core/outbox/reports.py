"""Which values of a device are sent on, by its report strategies. Pure.

| strategy                   | a value is reported                                                                    |
|----------------------------|----------------------------------------------------------------------------------------|
| ON_RECEIVED                | as it comes                                                                            |
| ON_CHANGE                  | if it differs from the one that was reported last                                      |
| ON_REPORT_PERIOD           | once a period, under the time of reporting; what came between is superseded            |
| ON_CHANGE_OR_REPORT_PERIOD | if it differs, and once a period                                                       |

The first value of each key is reported in any case: nothing is kept of values over a restart. A new session with the
platform makes values that are compared count as first ones again, since nobody knows what it has kept; so does its
refusal of a reading for the values that were in it.

The clock of a device is the time of its frames, which goes on between them. So a period means the same whether frames
come as they are said, or late and all at once because the platform was away: then, too, one value a period is reported.

What is kept back counts as accepted, and its journal lets it go, except for the number that said the last values which
wait to be reported. That stays unsettled as long as it is among the last `HELD_NUMBERS` of its stream: so a device that
says one thing and falls silent is not forgotten by a publisher that is killed; and one that talks says it again.
What is only said again, though the platform has it, keeps no number: where several devices share a stream, or
acceptance takes as long as a period, one such report would follow the other for ever.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from common.config.models import ReportStrategy
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.strategies import EVERYTHING, NOTHING, Strategies
from services.publisher.core.stream import Run

UNSAID: Final = -1
"""In place of a session with the platform: that of a value that it has refused."""
MOST_KEYS: Final = 1_000
"""Keys of one device that are remembered. Values of more are sent on as they come."""
MOST_RECORDS: Final = 100_000
"""Keys of all devices together: some 30 MB."""
MOST_BYTES: Final = 16 * 1024 * 1024
"""The values of all of these."""
HELD_NUMBERS: Final = 8
"""A value that waits keeps at most so many numbers of its stream unsettled: fewer than the smallest window has."""
EARLIER_S: Final = 0.1
"""A device whose period ends so much sooner than it seemed is looked at then. Frames that come a little sooner or later
than the ones before are no cause: each change is a sum in a heap."""
NEARLY: Final = 1 - 1e-9
"""Of a threshold: 0.3 - 0.2 is to reach 0.1, and does not in binary."""
_objects: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_Values = dict[str, bytes]
"""Key → JSON value."""


class Record:
    """What is remembered of one key."""

    __slots__ = ("due_ms", "is_fresh", "number", "reported", "session", "since_ms", "strategy", "value")

    def __init__(self, strategy: ReportStrategy, value: bytes, ts_ms: int, session: int, number: int) -> None:
        self.strategy = strategy
        self.value = self.reported = value
        """The last one, and the last that was reported."""
        self.is_fresh = False
        """True if it has come since."""
        self.since_ms = ts_ms
        """Since when it is what it is."""
        self.due_ms = ts_ms + strategy.report_period_ms
        self.session = session
        self.number = number
        """The number that said it when it was reported last."""

    @property
    def is_news(self) -> bool:
        """True if the platform does not know the value."""
        return self.value != self.reported or self.session == UNSAID

    @property
    def is_periodic(self) -> bool:
        return self.strategy.type != "ON_CHANGE"

    def is_expired(self, ts_ms: float) -> bool:
        """True once it has not changed for so long that it is not remembered any more."""
        return bool(self.strategy.ttl_s) and ts_ms - self.since_ms > self.strategy.ttl_s * 1000

    def take(self, value: bytes, ts_ms: int, session: int) -> bool:
        """A value that has come; True if it is to be reported at once."""
        if value != self.value:
            self.value, self.since_ms = value, ts_ms
        self.is_fresh = True
        if self.strategy.type == "ON_REPORT_PERIOD":
            return False
        is_first = self.session != session
        return is_first or _is_changed(self.reported, value, self.strategy.change_threshold)

    def report(self, session: int, number: int) -> bytes:
        """The value is reported now, under this number."""
        self.reported, self.is_fresh, self.session, self.number = self.value, False, session, number
        return self.value

    def go_on(self, ts_ms: float) -> None:
        """The next period ends after `ts_ms`."""
        period_ms = self.strategy.report_period_ms
        self.due_ms += period_ms * (int(ts_ms - self.due_ms) // period_ms + 1)

    def step_back(self, ts_ms: int) -> None:
        """The clock may have been set back: no period is longer for that."""
        self.due_ms = min(self.due_ms, ts_ms + self.strategy.report_period_ms)
        self.since_ms = min(self.since_ms, ts_ms)


class _At(NamedTuple):
    """Where a value comes from."""

    ts_ms: int
    number: int


class Reported(NamedTuple):
    """Values that are reported without a frame; the number of the run stands for them until they are accepted."""

    is_news: bool
    """False where the platform knows them all: then nobody waits for the run."""
    run: Run
    number: int
    at_ms: int
    telemetry: bytes
    """A JSON object, or b""."""
    attributes: Mapping[str, bytes]


class Filtered(NamedTuple):
    """What is left of a run's telemetry, and what has become due in it: three lists of one length."""

    times: list[int]
    telemetry: list[bytes]
    """JSON objects, b"" for a number that says nothing."""
    numbers: list[int]


class Memory:
    """How much may be remembered, over all devices."""

    def __init__(self, counters: PublisherCounts) -> None:
        self.counters = counters
        self.session = 0
        """The session with the platform."""
        self._records = 0
        self._bytes = 0

    def has_room(self, keys: int, size: int) -> bool:
        """True for another key of a device that has so many, with a value of so many bytes."""
        return keys < MOST_KEYS and self._records < MOST_RECORDS and self._bytes + size <= MOST_BYTES

    def count(self, records: int, size: int) -> None:
        """So many more are remembered, and so many bytes."""
        self._records += records
        self._bytes += size


class DeviceReports:
    """One device on the platform: what was reported of it, and what waits for the end of a period."""

    def __init__(self, name: str, strategies: Strategies, memory: Memory) -> None:
        self.name = name
        self._strategies = strategies
        self._brought: Mapping[str, ReportStrategy | None] = NOTHING
        """Those that the keys of the present reading bring."""
        self._memory = memory
        self._telemetry: dict[str, Record] = {}
        self._attributes: dict[str, Record] = {}
        self._due_ms: float | None = None
        """When the first period ends; None where there is none."""
        self._last_ms = 0
        """The time of the last frame."""
        self._shown_ms = 0.0
        """What its clock has shown when something was due last, if that is later."""
        self._heard_s = 0.0
        self._last: tuple[Run, int] | None = None
        """The last number that said anything, and its run."""
        self._kept: tuple[Run, int] | None = None
        """The number that stays unsettled for the values that wait."""

    # Its clock.

    def _now_ms(self, now_s: float) -> float:
        """What its clock shows. Rounded, since a period that `due_s` calls over is to be over here too: else it is
        looked at again and again at one moment, where times are small, as on a machine whose clock begins in 1970."""
        return self._last_ms + round((now_s - self._heard_s) * 1000, 3)

    @property
    def due_s(self) -> float | None:
        """When the first period ends if no frame comes; None where there is none."""
        return None if self._due_ms is None else self._heard_s + (self._due_ms - self._last_ms) / 1000

    # What comes.

    def pass_run(self, run: Run, times: list[int], telemetry: list[bytes], now_s: float) -> Filtered:
        """The telemetry of a run, one object for each number."""
        passed = Filtered([], [], [])
        held = None
        for index, (ts_ms, values) in enumerate(zip(times, telemetry, strict=True)):
            number = run.first + index
            for due_ms, due in self._due_in(ts_ms, number):
                _append(passed, due_ms, due, number)
            left, is_held = self._pass_object(values, _At(ts_ms, number))
            held = number if is_held else held
            _append(passed, ts_ms, left, number)
        self.heard(run, run.end - 1, times[-1] if times else self._last_ms, now_s, held)
        return passed

    def bring(self, strategies: Mapping[str, ReportStrategy | None]) -> None:
        """Keys of what is passed next have these strategies, which win over the configured ones."""
        self._brought = strategies

    def pass_entries(
        self, run: Run, number: int, ts_ms: int, entries: list[tuple[int | None, bytes]], now_s: float
    ) -> Filtered:
        """The telemetry of one frame, as a user's converter has made it, with times of its own."""
        passed = Filtered([], [], [])
        for due_ms, due in self._due_in(ts_ms, number):
            _append(passed, due_ms, due, number)
        is_held = False
        for own_ms, values in entries:
            left, waits = self._pass_object(values, _At(ts_ms, number))
            is_held |= waits
            _append(passed, ts_ms if own_ms is None else own_ms, left, number)
        self.heard(run, number, ts_ms, now_s, number if is_held else None)
        return passed

    def pass_attributes(self, run: Run, number: int, values: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """The attributes that are reported at once, of a run or a frame whose telemetry was passed before."""
        left, is_held = self._pass_values(
            self._attributes, self._strategies.attributes, values, _At(self._last_ms, number)
        )
        self._look(run, number if is_held else None)
        return left

    def heard(self, run: Run, number: int, ts_ms: int, now_s: float, held: int | None) -> None:
        """A run has come up to this number; `held`: the last of its numbers that said a value which waits."""
        self._last, self._last_ms, self._heard_s = (run, number), ts_ms, now_s
        self._look(run, held)

    def _pass_object(self, values: bytes, at: _At) -> tuple[bytes, bool]:
        """What is left of a JSON object, and whether something of it waits. Nothing is done to one that is none."""
        if not values:
            return b"", False
        try:
            read = {key: bytes(value) for key, value in _objects.decode(values).items()}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return values, False
        left, is_held = self._pass_values(self._telemetry, self._strategies.telemetry, read, at)
        return values if len(left) == len(read) else _object_of(left), is_held

    def _pass_values(
        self,
        records: dict[str, Record],
        strategies: Mapping[str, ReportStrategy | None],
        values: Mapping[str, bytes],
        at: _At,
    ) -> tuple[_Values, bool]:
        left: _Values = {}
        is_held = False
        memory, brought = self._memory, self._brought
        for key, value in values.items():
            strategy = brought[key] if key in brought else strategies.get(key, self._strategies.otherwise)
            record = None if strategy is None else self._record(records, key, strategy, value, at)
            if record is None:
                left[key] = value
                continue
            grown = len(value) - len(record.value)
            if grown > 0 and not memory.has_room(0, grown):
                memory.counters["values_not_remembered"] += 1
                self._drop(records, key)
                left[key] = value
                continue
            memory.count(0, grown)
            if record.take(value, at.ts_ms, memory.session):
                left[key] = record.report(memory.session, at.number)
            else:
                memory.counters["values_kept_back"] += 1
                is_held = is_held or (record.is_periodic and record.is_news)
        return left, is_held

    def _record(
        self, records: dict[str, Record], key: str, strategy: ReportStrategy, value: bytes, at: _At
    ) -> Record | None:
        """What is remembered of a key; None where it is new, and remembered from now on if there is room."""
        record = records.get(key)
        if record is not None:
            if record.strategy == strategy and not record.is_expired(at.ts_ms):
                return record
            self._drop(records, key)
        memory = self._memory
        keys = len(self._telemetry) + len(self._attributes)
        if not memory.has_room(keys, len(value)):
            memory.counters["values_not_remembered"] += 1
            return None
        memory.count(1, len(value))
        record = records[key] = Record(strategy, value, at.ts_ms, memory.session, at.number)
        if record.is_periodic:
            self._due_ms = record.due_ms if self._due_ms is None else min(self._due_ms, record.due_ms)
        return None

    def _drop(self, records: dict[str, Record], key: str) -> None:
        self._memory.count(-1, -len(records.pop(key).value))

    # What is due.

    def _due_in(self, ts_ms: int, number: int) -> list[tuple[int, bytes]]:
        """(time, JSON object) of telemetry whose period has ended before a frame of `ts_ms`, which has this number: of
        what has come in it.

        Attributes have no time, so they wait for `take_due`.
        """
        if ts_ms < self._last_ms:
            self._step_back(ts_ms)
        elif ts_ms < self._shown_ms:
            self._catch_up(ts_ms)
        if self._due_ms is None or self._due_ms > ts_ms:
            return []
        found: dict[int, _Values] = {}
        for key, record in self._telemetry.items():
            if record.is_periodic and record.due_ms <= ts_ms:
                if record.is_fresh:
                    found.setdefault(record.due_ms, {})[key] = record.report(self._memory.session, number)
                record.go_on(ts_ms)
        self._find_due()
        return [(due_ms, _object_of(values)) for due_ms, values in sorted(found.items())]

    def _step_back(self, ts_ms: int) -> None:
        """The clock was set back, or frames come in another order than they were said."""
        for records in (self._telemetry, self._attributes):
            for record in records.values():
                record.step_back(ts_ms)
        self._find_due()

    def _catch_up(self, ts_ms: int) -> None:
        """Frames come long after they were said, and the clock has gone on without them: what is in them need not wait
        until it shows that again. A frame that is a little late makes no period shorter."""
        self._shown_ms = ts_ms
        for records in (self._telemetry, self._attributes):
            for record in records.values():
                if record.due_ms > ts_ms + 2 * record.strategy.report_period_ms:
                    record.step_back(ts_ms)
        self._find_due()

    def take_due(self, now_s: float, is_waiting: bool) -> list[Reported]:
        """What is reported because its period has ended and no frame came. `is_waiting`: what was reported so before
        has not left yet; then the next end of the period is waited for."""
        now_ms = self._shown_ms = self._now_ms(now_s)
        number = self._carrying
        found: dict[int, tuple[_Values, _Values]] = {}
        news: set[int] = set()
        for which, records in enumerate((self._telemetry, self._attributes)):
            for key, record in list(records.items()):
                if not record.is_periodic or record.due_ms > now_ms:
                    continue
                if record.is_expired(now_ms) and not record.is_fresh:
                    self._drop(records, key)
                    continue
                if not is_waiting:
                    if record.is_news:
                        news.add(record.due_ms)
                    found.setdefault(record.due_ms, ({}, {}))[which][key] = record.report(self._memory.session, number)
                record.go_on(now_ms)
        self._find_due()
        return self._reported(found, news)

    def take_news(self, now_s: float) -> list[Reported]:
        """What the platform does not know yet, and never would."""
        session, number = self._memory.session, self._carrying
        telemetry, attributes = (
            {key: one.report(session, number) for key, one in records.items() if one.is_periodic and one.is_news}
            for records in (self._telemetry, self._attributes)
        )
        at_ms = int(self._now_ms(now_s))
        return self._reported({at_ms: (telemetry, attributes)}, {at_ms})

    @property
    def _carrying(self) -> int:
        """The number under which what has no frame of its own is reported; 0 where there is none."""
        carrier = self._kept or self._last
        return 0 if carrier is None else carrier[1]

    def _reported(self, found: dict[int, tuple[_Values, _Values]], news: Container[int]) -> list[Reported]:
        """What was found, in order, and at which of the times some of it was `news`: the number that has waited for
        that waits for its acceptance instead."""
        carrier = self._kept or self._last
        if carrier is None:
            return []
        run, number = carrier
        alone = Run(run.stream, number, number + 1)
        return [
            Reported(at_ms in news, run if at_ms in news else alone, number, at_ms, _object_of(telemetry), attributes)
            for at_ms, (telemetry, attributes) in sorted(found.items())
            if telemetry or attributes
        ]

    def _find_due(self) -> None:
        times = [
            record.due_ms
            for records in (self._telemetry, self._attributes)
            for record in records.values()
            if record.is_periodic
        ]
        self._due_ms = min(times, default=None)

    # What is settled.

    def _look(self, run: Run, held: int | None) -> None:
        """Keeps the last number that said a value which waits, and none that lies too far back."""
        if held is not None:
            self.let_go()
            self._kept = run, held
            run.keep(self.name, held)
        elif self._kept is not None and (
            run.stream is not self._kept[0].stream or run.end - self._kept[1] > HELD_NUMBERS
        ):
            self.let_go()

    def reported(self) -> None:
        """What was due is queued: no number waits any more, unless a value waits whose period is another."""
        if not any(
            record.is_periodic and record.is_news
            for records in (self._telemetry, self._attributes)
            for record in records.values()
        ):
            self.let_go()

    def let_go(self) -> None:
        """No number waits any more."""
        if self._kept is not None:
            self._kept[0].let_go(self.name)
            self._kept = None

    def unsay(self, number: int) -> None:
        """The platform has refused the telemetry of this number: what was reported last by it is not known there, and
        is reported with the next reading, changed or not."""
        for record in self._telemetry.values():
            if record.number == number:
                record.session = UNSAID

    def unsay_attribute(self, key: str) -> None:
        """The same of an attribute that it has refused."""
        if (record := self._attributes.get(key)) is not None:
            record.session = UNSAID

    def forget(self) -> None:
        """All that is remembered: each key's next value is reported."""
        for records in (self._telemetry, self._attributes):
            for key in list(records):
                self._drop(records, key)
        self._due_ms = None
        self.let_go()


class Reports:
    """All devices that have a strategy, and when the first of them has something to report."""

    def __init__(self, strategies: Mapping[str, Strategies] | None, counters: PublisherCounts) -> None:
        """`strategies`: of configured devices; a device that a user's converter has named has those of the device whose
        frames name it. None: there are none, and those that keys bring have no effect."""
        self._strategies = strategies
        self._memory = Memory(counters)
        self._devices: dict[str, DeviceReports] = {}
        self._due: list[tuple[float, str]] = []
        """A heap: when to look at which device."""
        self._listed: dict[str, float] = {}
        """Device → when it is looked at; what else the heap says of it counts no more."""
        self._has_session = False
        """True once a session with the platform has begun."""

    def of(self, device: str, source: str, brings: bool = False) -> DeviceReports | None:
        """What is remembered of a device; None where it has no strategy. `brings`: keys of its reading have some."""
        if self._strategies is None or not (self._strategies or self._devices or brings):
            return None
        found = self._devices.get(device)
        if found is None:
            strategies = (
                self._strategies.get(device) or self._strategies.get(source) or (EVERYTHING if brings else None)
            )
            if strategies is not None:
                found = self._devices[device] = DeviceReports(device, strategies, self._memory)
        return found

    def look(self, reports: DeviceReports) -> None:
        """Something has come for this device: it may have a period that ends, and sooner than it seemed where frames
        come that were late."""
        due_s, listed_s = reports.due_s, self._listed.get(reports.name)
        if due_s is None or (listed_s is not None and due_s > listed_s - EARLIER_S):
            return
        self._listed[reports.name] = due_s
        heapq.heappush(self._due, (due_s, reports.name))
        if len(self._due) > 2 * len(self._listed) + 16:
            self._due = [(at_s, name) for name, at_s in self._listed.items()]
            heapq.heapify(self._due)

    @property
    def next_due_s(self) -> float | None:
        """When to look for what is due; None where no period runs."""
        return self._due[0][0] if self._due else None

    def due(self, now_s: float) -> Iterator[DeviceReports]:
        """The devices that have a period which ends now; to be looked at anew (`look`) when that was reported."""
        while self._due and self._due[0][0] <= now_s:
            at_s, name = heapq.heappop(self._due)
            if self._listed.get(name) != at_s:
                continue
            del self._listed[name]
            reports = self._devices.get(name)
            if reports is None:
                continue
            if (due_s := reports.due_s) is not None and due_s > now_s:
                self.look(reports)
            else:
                yield reports

    def end(self) -> list[DeviceReports]:
        """All devices; no period runs any more."""
        self._due.clear()
        self._listed.clear()
        return list(self._devices.values())

    def forget(self, device: str) -> None:
        """Nothing is remembered of a device any more."""
        reports = self._devices.pop(device, None)
        if reports is not None:
            reports.forget()

    def known(self, device: str) -> DeviceReports | None:
        """What is remembered of a device; None where nothing is."""
        return self._devices.get(device)

    def session_begun(self) -> None:
        """A new session with the platform. What was said before the first waits for it, and is none of an earlier."""
        self._memory.session += self._has_session
        self._has_session = True


def _append(passed: Filtered, ts_ms: int, values: bytes, number: int) -> None:
    passed.times.append(ts_ms)
    passed.telemetry.append(values)
    passed.numbers.append(number)


def _object_of(values: Mapping[str, bytes]) -> bytes:
    """A JSON object; b"" where there is nothing in it."""
    joined = b",".join([b"%b:%b" % (msgspec.json.encode(key), value) for key, value in values.items()])
    return b"{" + joined + b"}" if joined else b""


def _is_changed(before: bytes, value: bytes, threshold: float | None) -> bool:
    """True if a JSON value is another one. Numbers are compared as numbers: 1.0 is 1."""
    if before == value:
        return False
    was, number = _number(before), _number(value)
    if was is None or number is None:
        return True
    return abs(number - was) >= threshold * NEARLY if threshold else number != was


def _number(value: bytes) -> float | None:
    """A JSON value as a number; None if it is none."""
    if value[:1] not in b"-0123456789" or not value:
        return None
    try:
        return float(value)
    except ValueError:
        return None
