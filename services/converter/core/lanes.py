"""Users' code, a lane for each device: what waits for it, what it is at, and how long it may take. Pure.

A lane has a host, a process of its own, while its device has work, and keeps it for the objects in it until another
device needs the place. One order at a time is with a host; calls go before frames. A host that does not answer in time
is ended from outside, whatever it is in: so users' code of one device holds nothing but that device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from common.core.errors import printable
from services.converter.core.batches import UserJob
from services.converter.core.counters import ConverterCounts
from services.converter.core.events import (
    DecodeWithUserCode,
    EncodeWithUserCode,
    EndHost,
    HostEnded,
    Order,
)

HOSTS: Final = 64
"""Hosts at a time: as many ports as a rack has. Above it the one that has been idle for the longest makes room."""
LANE_BATCHES: Final = 4
"""Batches that wait for one device; its credit allows two."""
LANE_CALLS: Final = 64
"""Steps of calls that wait for one device; the next is refused."""
GRACE_S: Final = 2.0
"""A host's own watchdog ends it, with a traceback; one that has disarmed it has this much more."""
ANSWER_S: Final = 10.0 + GRACE_S
START_S: Final = 120.0
"""A process that starts and loads users' code on a small machine, together with all others."""
STOOD_STILL_S: Final = 5.0
"""We beat each second: whoever hears nothing of time for this long stood still, and hosts may have, too."""
START_AGAIN_S: Final = 1.0
"""How long a lane rests after a host that could not be started."""


class _Lane:
    """One device's users' code."""

    __slots__ = ("calls", "device", "due_s", "host", "is_ready", "jobs", "rests_until_s", "running", "used_s")

    def __init__(self, device: str) -> None:
        self.device = device
        self.jobs: deque[UserJob] = deque()
        self.calls: deque[EncodeWithUserCode | DecodeWithUserCode] = deque()
        self.host: int | None = None
        self.is_ready = False
        self.running: Order | None = None
        """What the host is at; its result is of no use any more when nobody waits for that number."""
        self.due_s: float | None = None
        """When the host is ended; None while it is at nothing, or is being ended."""
        self.used_s = 0.0
        self.rests_until_s = 0.0

    @property
    def has_work(self) -> bool:
        """True if the lane would use a host."""
        return bool(self.jobs or self.calls)


class End(NamedTuple):
    """What a host was at when it ended. `was_ready`: users' code was loaded, and is to blame."""

    device: str
    """"" for a host that nobody has."""
    order: Order | None
    job: UserJob | None
    """The batch that the order belongs to; it has left its lane."""
    was_ready: bool = False


class Lanes:
    """All lanes of one converter, and who has which host."""

    def __init__(self, counters: ConverterCounts, answer_s: float = ANSWER_S) -> None:
        self._counters = counters
        self._answer_s = answer_s
        self._lanes: dict[str, _Lane] = {}
        self._at_host: dict[int, _Lane] = {}
        self._seen_s = 0.0
        self._ending: set[int] = set()
        """Hosts that we have ended."""
        self._free = list(range(HOSTS - 1, -1, -1))
        self._idle_work: dict[str, None] = {}
        """Devices with work that may be able to start, in the order in which it came."""

    def put_job(self, job: UserJob) -> bool:
        """A batch for users' code; False if too many wait."""
        lane = self._lane(job.batch.device)
        if len(lane.jobs) >= LANE_BATCHES:
            return False
        lane.jobs.append(job)
        self._idle_work[lane.device] = None
        return True

    def put_call(self, order: EncodeWithUserCode | DecodeWithUserCode) -> bool:
        """A step of a call; False if too many wait."""
        lane = self._lane(order.device.name)
        if len(lane.calls) >= LANE_CALLS:
            return False
        lane.calls.append(order)
        self._idle_work[lane.device] = None
        return True

    def drop_call(self, number: int, device: str) -> None:
        """Nobody waits for this step any more. One that is under way ends by itself."""
        if (lane := self._lanes.get(device)) is not None:
            lane.calls = deque(order for order in lane.calls if order.job != number)

    def drop_jobs(self, is_unwanted: Callable[[UserJob], bool]) -> list[UserJob]:
        """Takes batches out; those that were taken."""
        dropped: list[UserJob] = []
        for lane in self._lanes.values():
            if lane.jobs and any(map(is_unwanted, lane.jobs)):
                dropped += filter(is_unwanted, lane.jobs)
                lane.jobs = deque(job for job in lane.jobs if not is_unwanted(job))
        return dropped

    def clear(self) -> int:
        """Drops all that waits; how many batches that were. Hosts finish what they are at, for nobody."""
        dropped = self.held
        for lane in self._lanes.values():
            lane.jobs.clear()
            lane.calls.clear()
        return dropped

    def go(self, now_s: float) -> list[Order | EndHost]:
        """The orders that hosts can take now."""
        if not self._idle_work:
            return []
        effects: list[Order | EndHost] = []
        waiting, self._idle_work = self._idle_work, {}
        for device in waiting:
            lane = self._lanes.get(device)
            if lane is None or lane.running is not None:
                continue
            if not lane.has_work:
                self._leave(lane)
                continue
            if now_s < lane.rests_until_s or not self._find_host(lane, effects):
                self._idle_work[device] = None
                continue
            effects.append(self._start(lane, now_s))
        return effects

    def ready(self, host: int, now_s: float) -> None:
        """A host has started: its time for the first order begins."""
        lane = self._at_host.get(host)
        if lane is not None and not lane.is_ready:
            lane.is_ready = True
            if lane.due_s is not None:
                lane.due_s = now_s + self._answer_s

    def loading(self, host: int, now_s: float) -> None:
        """A host loads more of users' code."""
        lane = self._at_host.get(host)
        if lane is not None:
            lane.is_ready = False
            if lane.due_s is not None:
                lane.due_s = now_s + START_S

    def returned(self, number: int, host: int, now_s: float) -> UserJob | None:
        """A host has answered this order; the batch that it belongs to, if it is one that somebody waits for."""
        lane = self._at_host.get(host)
        if lane is None or lane.running is None or lane.running.job != number:
            return None
        lane.running, lane.due_s, lane.used_s, lane.is_ready = None, None, now_s, True
        self._idle_work[lane.device] = None
        return lane.jobs[0] if lane.jobs and lane.jobs[0].number == number else None

    def finished(self, job: UserJob) -> None:
        """Takes out a batch that is done, the first of its lane."""
        lane = self._lanes[job.batch.device]
        if lane.jobs and lane.jobs[0] is job:
            lane.jobs.popleft()

    def ended(self, event: HostEnded, now_s: float) -> End:
        """A host is gone: its lane is free again, and rests for a moment if users' code never got to run."""
        lane = self._at_host.pop(event.host, None)
        if lane is None:
            return End("", None, None)
        was_asked = event.host in self._ending
        self._ending.discard(event.host)
        self._counters["hosts_died"] += not was_asked
        self._free.append(event.host)
        running, lane.running, lane.due_s = lane.running, None, None
        if not lane.is_ready:
            lane.rests_until_s = now_s + START_AGAIN_S
        was_ready = lane.is_ready
        lane.host, lane.is_ready = None, False
        job = None
        if running is not None and lane.jobs and lane.jobs[0].number == running.job:
            job = lane.jobs.popleft()
        self._idle_work[lane.device] = None
        return End(lane.device, running, job, was_ready)

    def late(self, now_s: float) -> list[EndHost]:
        """The orders to end those who did not answer in time, from outside.

        A process that stood still itself (stopped, a suspended machine) has no right to call others late: it gives them
        that time.
        """
        effects = []
        gap_s, self._seen_s = now_s - self._seen_s, now_s
        for host, lane in self._at_host.items():
            if gap_s > STOOD_STILL_S and lane.due_s is not None:
                lane.due_s += gap_s
            if lane.due_s is not None and now_s >= lane.due_s:
                lane.due_s = None
                what = "did not answer" if lane.is_ready else "did not start"
                limit_s = self._answer_s if lane.is_ready else START_S
                effects.append(self._end(host, f"users' code of {lane.device} {what} within {limit_s:g} s"))
        return effects

    @property
    def held(self) -> int:
        """Batches that wait or are under way, for the heartbeat."""
        return sum(len(lane.jobs) for lane in self._lanes.values())

    @property
    def is_idle(self) -> bool:
        """True if nothing waits."""
        return not any(lane.has_work for lane in self._lanes.values())

    @property
    def devices(self) -> Iterable[str]:
        """The devices that have a host."""
        return sorted(lane.device for lane in self._at_host.values())

    @property
    def next_deadline_s(self) -> float | None:
        if not self._lanes:
            return None
        due = [lane.due_s for lane in self._at_host.values() if lane.due_s is not None]
        due += [lane.rests_until_s for lane in self._lanes.values() if lane.rests_until_s and lane.running is None]
        return min(due, default=None)

    def rested(self, now_s: float) -> None:
        """Lanes whose rest is over may start again."""
        for device, lane in self._lanes.items():
            if lane.rests_until_s and now_s >= lane.rests_until_s:
                lane.rests_until_s = 0.0
                self._idle_work[device] = None

    def _leave(self, lane: _Lane) -> None:
        """Forgets a lane without work, host and rest."""
        if lane.host is None and not lane.rests_until_s:
            del self._lanes[lane.device]

    def _lane(self, device: str) -> _Lane:
        """The device's lane, made at its first work."""
        lane = self._lanes.get(device)
        if lane is None:
            lane = self._lanes[device] = _Lane(device)
        return lane

    def _find_host(self, lane: _Lane, effects: list[Order | EndHost]) -> bool:
        """True if the lane has a host, maybe one that is yet to be started."""
        if lane.host is not None:
            return True
        if self._free:
            lane.host = self._free.pop()
            self._at_host[lane.host] = lane
            self._counters["hosts_started"] += 1
            return True
        idle = [other for other in self._at_host.values() if other.running is None and not other.has_work]
        if idle:
            longest = min(idle, key=lambda other: other.used_s)
            if longest.host is not None and longest.host not in self._ending:
                effects.append(self._end(longest.host, f"another device needs the place; there are {HOSTS}"))
        return False

    def _end(self, host: int, why: str) -> EndHost:
        """The order to end a host; its end is counted as ours, not as a death."""
        self._counters["hosts_ended"] += 1
        self._ending.add(host)
        return EndHost(host, printable(why))

    def _start(self, lane: _Lane, now_s: float) -> Order:
        """The lane's next order, a call before frames, and the moment at which its host is ended."""
        assert lane.host is not None
        order: Order = lane.calls.popleft() if lane.calls else lane.jobs[0].order()
        order = order._replace(host=lane.host)
        lane.running = order
        lane.due_s = now_s + (self._answer_s if lane.is_ready else START_S)
        return order
