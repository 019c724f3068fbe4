"""What a seed draws before anything runs: the gateway, its load, and what will go wrong when. Pure."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, Final, NamedTuple

from common.stream.limits import Limits
from tests.simulation.asked_devices import Kind

LOAD_S: Final = 60.0
"""Lines talk and faults happen for so long; then faults stop."""
SEARCH_S: Final = 180.0
"""A bad record is a fault until it is found; a platform that speaks MQTT 3.1.1 only closes the connection at it, and
others must talk meanwhile."""
QUIET_S: Final = 75.0
"""Within so long after the last fault everything must have been delivered: a device that was refused comes back within
a minute, and a frame that hangs behind it then takes 10 s more."""

_SAMPLED: Final = (
    "kill converter",
    "kill publisher",
    "kill broker",
    "kill reader",
    "kill at a step",
    "kill again and again",
    "stop and continue",
    "stale converter",
    "messages lost",
    "messages delayed",
    "messages doubled",
    "messages reordered",
    "disk full",
    "disk slow",
    "port lost",
    "line noise",
    "clock jumps",
    "platform away",
    "platform cuts publishes",
    "platform refuses: rate",
    "platform refuses: error",
    "platform refuses: device",
    "platform refuses: payload",
    "platform drops device",
    "platform slow",
    "accepted late",
    "accepted, not acknowledged",
    "frame raises",
    "frame hangs",
    "frame kills",
    "frame slow",
    "converter answers never",
    "converter answers late",
    "converter answers twice",
)
DISK_LOSES: Final = "disk loses"
REPORTS_LOST: Final = "reports lost"
_OF_HOSTS: Final = (
    "kill host",
    "kill host again and again",
    "stop host and continue",
    "host terminates",
    "connector fails",
    "host disk full",
    "host disk slow",
)
_OF_ASKED: Final = (
    "kill asking reader",
    "kill asking reader at a step",
    "asked port lost",
    "answers late",
    "bytes lost",
    "asked disk full",
    "asked disk slow",
)
OF_UNITS: Final = ("bits flipped", "garbage between answers", "asked device silent")
"""What befalls only those that have a bus and a checksum."""
KINDS: Final = (*_SAMPLED, DISK_LOSES, REPORTS_LOST, *_OF_HOSTS, *_OF_ASKED, *OF_UNITS)
_POISON: Final = ("frame raises", "frame hangs", "frame kills", "frame slow")
_EARLY: Final = ("frame hangs", "frame kills", "platform refuses: payload")
"""They go on until the bad frame is found out, which takes its time."""


RATED_SHARE: Final = 0.2
"""So many seeds, but for those with small windows, have a platform that limits rates."""
LEAST_RATED_WINDOW: Final = 64
HOSTED_SHARE: Final = 0.3
"""So many seeds have hosted connectors."""
ASKED_SHARE: Final = 0.25
"""So many seeds, but for those whose platform limits rates and those in which users' code hangs alone, have devices
that must be asked."""
REPORTED_SHARE: Final = 0.25
"""So many seeds have devices that do not report all that they say."""
SWAPPED_SHARE: Final = 0.2
"""So many seeds have devices that are configured otherwise while their readers are at work."""
STRATEGIES: Final = ("ON_CHANGE", "ON_REPORT_PERIOD", "ON_CHANGE_OR_REPORT_PERIOD")
HANGS_ALONE: Final = 12
"""In every such seed users' code hangs, all devices have some, and nothing else goes wrong: only then can it be seen
that a neighbour waits for it."""


class Fault(NamedTuple):
    """One thing that goes wrong, `at_s` after the start, where it lasts for `for_s`."""

    kind: str
    at_s: float
    for_s: float


class DevicePlan(NamedTuple):
    """One device and what it says."""

    is_users: bool
    """True if users' code converts it."""
    rate_hz: float
    pauses: bool
    until_s: float
    answers_after_s: tuple[float | None, ...]
    """How long it takes to answer a call, one drawn for each; None: never."""
    limits: Limits


class HostPlan(NamedTuple):
    """One hosted connector and what it says."""

    devices: int
    rate_hz: float
    """Calls of `send_to_storage` a second, by each device's thread."""
    most_values: int
    """Values that one call hands over at most."""
    until_s: float
    answers_after_s: tuple[float | None, ...]
    """How long a handler takes, one drawn for each call; None: it hangs."""
    calls: int
    """Calls to its devices, and to itself."""
    goes_away: bool
    """True if it says of a device now and then that it is gone, and that it is back."""
    closes: bool
    """False if its `close` never returns."""
    limits: Limits
    names: bool
    """True if it names its devices at each start; else they are known by what it says of them."""


class AskedPlan(NamedTuple):
    """One line whose devices must be asked, or wait to be answered."""

    kind: Kind
    every_s: float
    """From one turn of a question to the next."""
    silent: int | None
    """The place of a device that never answers; None where all do."""
    starts_over: bool
    """True for an analyser that begins a message again that was cut."""
    calls: int

    def suffers(self, fault: str) -> bool:
        """True if a fault of this kind means anything on this line: a frame without a checksum that lacks a byte is
        another frame to everybody."""
        if fault in OF_UNITS:
            return self.kind in ("modbus-rtu", "modbus-ascii")
        return fault != "bytes lost" or self.kind not in ("points", "numbers")


class Scenario(NamedTuple):
    """Everything that a seed decides beforehand."""

    seed: int
    devices: tuple[DevicePlan, ...]
    converters: int
    speaks_mqtt_5: bool
    session_limits: dict[str, Any]
    user_frame_s: float
    calls: int
    faults: tuple[Fault, ...]
    rates: dict[str, str] | None = None
    """How much the platform takes of the devices, as `gatewayRateLimits` says it."""
    hosts: tuple[HostPlan, ...] = ()
    strategies: tuple[str, ...] = ()
    """The report strategy of each device, port readers' first; () where all report what they say."""
    asked: tuple[AskedPlan, ...] = ()
    swaps: tuple[tuple[float, int], ...] = ()
    """(when, which) device is configured otherwise while its reader is at work."""

    @property
    def end_s(self) -> float:
        """When the last fault is over, and nobody talks any more."""
        return max([LOAD_S, *(fault.at_s + fault.for_s for fault in self.faults)]) + 0.5

    @property
    def kinds(self) -> Counter[str]:
        """How many faults of each kind."""
        return Counter(fault.kind for fault in self.faults)


def draw_scenario(seed: int) -> Scenario:
    """The scenario of a seed: three to nine faults, none in every tenth seed; see HANGS_ALONE for some others."""
    draw = random.Random(f"scenario {seed}")
    kinds = [] if seed % 10 == 0 else draw.sample(_SAMPLED, 3 + draw.randrange(6))
    if kinds and draw.random() < 0.3:
        kinds.append(draw.choice(["kill converter", "kill publisher", "kill broker", "kill reader", "kill at a step"]))
    # Drawn apart: what else a seed has is what it always had.
    if kinds and random.Random(f"damage {seed}").random() < 0.12:
        kinds.append(DISK_LOSES)
    if is_alone := seed % HANGS_ALONE == 0 and seed % 10 != 0:
        kinds = ["frame hangs"] * 3
    speaks_mqtt_5 = draw.random() < 0.75
    if "platform refuses: device" in kinds:
        speaks_mqtt_5 = True
    count = draw.choice([1, 2, 2, 3])
    if "platform refuses: payload" in kinds or "platform refuses: device" in kinds:
        count = max(2, count)
    devices = _draw_devices(draw, kinds, max(2, count) if is_alone else count)
    if is_alone:
        devices = tuple(plan._replace(is_users=True) for plan in devices)
    if not speaks_mqtt_5:
        # Acceptance takes a second there: fewer numbers in flight than a second brings would never be enough.
        devices = tuple(
            plan._replace(limits=plan.limits._replace(window_frames=max(64, plan.limits.window_frames)))
            for plan in devices
        )
    if "platform refuses: payload" in kinds and not speaks_mqtt_5:
        # A close says nothing about the record in it while no other device's data is accepted.
        talk = {"rate_hz": 2.0, "pauses": False, "until_s": LOAD_S + SEARCH_S}
        devices = tuple(plan._replace(**talk) for plan in devices)
    hosts = _draw_hosts(seed, bool(kinds)) if not is_alone else ()
    strategies = _draw_strategies(seed, len(devices) + sum(plan.devices for plan in hosts))
    rates = _draw_rates(seed, devices) if not hosts else None
    asked = _draw_asked(seed) if rates is None and not is_alone else ()
    return Scenario(
        seed=seed,
        devices=devices,
        converters=draw.choice([1, 2, 2, 3]),
        speaks_mqtt_5=speaks_mqtt_5,
        session_limits=draw.choice([{}, {}, {"maxPayloadSize": 700, "maxInflightMessages": 2}]),
        user_frame_s=draw.choice([0.0005, 0.002, 0.005]),
        calls=draw.choice([0, 0, 5, 15, 25]),
        faults=(
            *(_draw_fault(draw, kind) for kind in kinds),
            *_lost_at_the_end(seed, kinds),
            *(_draw_host_faults(seed) if hosts and kinds else ()),
            *(_draw_asked_faults(seed, asked) if asked and kinds else ()),
        ),
        rates=rates,
        hosts=hosts,
        strategies=strategies,
        asked=asked,
        swaps=_draw_swaps(seed),
    )


def _draw_swaps(seed: int) -> tuple[tuple[float, int], ...]:
    """Changes of sections, in some seeds; drawn apart."""
    draw = random.Random(f"swaps {seed}")
    if draw.random() >= SWAPPED_SHARE:
        return ()
    return tuple((2 + draw.random() * (LOAD_S - 4), draw.randrange(3)) for _ in range(draw.choice([1, 3, 10, 30])))


def _draw_hosts(seed: int, may_be_tight: bool) -> tuple[HostPlan, ...]:
    """Hosted connectors, in some seeds; drawn apart."""
    draw = random.Random(f"hosts {seed}")
    if draw.random() >= HOSTED_SHARE:
        return ()
    return tuple(_draw_host(draw, may_be_tight) for _ in range(draw.choice([1, 1, 2])))


def _draw_host(draw: random.Random, may_be_tight: bool) -> HostPlan:
    limits = Limits(window_frames=draw.choice([4096, 256, 64]))
    if may_be_tight and draw.random() < 0.2:
        limits = limits._replace(max_records=draw.choice([20, 60, 200]))
    return HostPlan(
        devices=draw.choice([1, 2]),
        rate_hz=draw.choice([0.5, 2, 5, 10]),
        most_values=draw.choice([1, 1, 5]),
        until_s=LOAD_S if draw.random() < 0.5 else LOAD_S * (0.1 + 0.8 * draw.random()),
        answers_after_s=draw.choice([(0.01,), (0.01, 0.5), (0.01, 0.01, 12.0), (0.01, 0.01, 0.01, None)]),
        calls=draw.choice([0, 10, 25]),
        goes_away=draw.random() < 0.3,
        closes=draw.random() < 0.8,
        limits=limits,
        names=draw.random() < 0.5,
    )


def _draw_host_faults(seed: int) -> list[Fault]:
    """What goes wrong with hosted connectors besides; drawn apart."""
    draw = random.Random(f"host faults {seed}")
    kinds = draw.sample(_OF_HOSTS, draw.choice([2, 3]))
    if draw.random() < 0.3:
        kinds.append("messages doubled")
    return [_draw_fault(draw, kind) for kind in kinds]


def _draw_asked(seed: int) -> tuple[AskedPlan, ...]:
    """Lines whose devices must be asked, in some seeds; drawn apart."""
    draw = random.Random(f"asked {seed}")
    if draw.random() >= ASKED_SHARE:
        return ()
    protocol: Kind = draw.choice(["modbus-rtu", "modbus-rtu", "modbus-ascii"])
    kinds: list[Kind] = draw.sample(["points", "numbers", protocol, "analyser"], draw.choice([1, 2, 2]))
    return tuple(
        AskedPlan(
            kind=kind,
            every_s=draw.choice([1.0, 2.0] if kind == protocol else [0.5, 2.0]),
            silent=draw.choice([None, None, 0, 2]) if kind == protocol else None,
            starts_over=draw.random() < 0.5,
            calls=0 if kind == "analyser" else draw.choice([0, 10, 25]),
        )
        for kind in kinds
    )


def _draw_asked_faults(seed: int, asked: tuple[AskedPlan, ...]) -> list[Fault]:
    """What goes wrong with such lines; drawn apart."""
    draw = random.Random(f"asked faults {seed}")
    of_units, others = (
        [kind for kind in kinds if any(plan.suffers(kind) for plan in asked)] for kinds in (OF_UNITS, _OF_ASKED)
    )
    kinds = [*of_units, *draw.sample(others, draw.choice([2, 3, 4]))]
    return [_draw_fault(draw, kind) for kind in kinds]


def _draw_strategies(seed: int, devices: int) -> tuple[str, ...]:
    """The report strategies of some seeds; drawn apart."""
    draw = random.Random(f"strategies {seed}")
    if draw.random() >= REPORTED_SHARE:
        return ()
    return tuple(draw.choice(STRATEGIES) for _ in range(devices))


def _draw_rates(seed: int, devices: tuple[DevicePlan, ...]) -> dict[str, str] | None:
    """What the platform limits, in some seeds; drawn apart as well. Small windows fill no message, so with them it
    would take for ever to catch up."""
    draw = random.Random(f"rates {seed}")
    if draw.random() >= RATED_SHARE or any(plan.limits.window_frames < LEAST_RATED_WINDOW for plan in devices):
        return None
    return {
        "messages": draw.choice(["", "10:1,200:60", "5:1"]),
        "telemetryMessages": draw.choice(["10:1,240:60", "4:1", "20:1,300:60"]),
        "telemetryDataPoints": draw.choice(["", "", "200:1", "150:1,6000:60"]),
    }


def _lost_at_the_end(seed: int, kinds: list[str]) -> list[Fault]:
    """In some seeds with faults the publisher's reports are lost to the end of all talk and beyond, when nothing that
    is said later makes up for them. Drawn apart: what else a seed has is what it always had."""
    if not kinds or seed % HANGS_ALONE == 0:
        return []
    return [Fault(REPORTS_LOST, LOAD_S - 4, 9)] if random.Random(f"lost {seed}").random() < 0.12 else []


def _draw_devices(draw: random.Random, kinds: list[str], count: int) -> tuple[DevicePlan, ...]:
    wants_users = any(kind in _POISON for kind in kinds)
    # One device's users' code must hold nobody else's: others have some too.
    users = 0.5 if wants_users else 0.2
    return tuple(
        _draw_device(draw, 1.0 if wants_users and number == 0 else users, bool(kinds)) for number in range(count)
    )


def _draw_fault(draw: random.Random, kind: str) -> Fault:
    if kind == "stale converter":
        return Fault(kind, LOAD_S - 8 + draw.random() * 3, 13)
    if kind == "platform refuses: device":
        at_s = 4 + draw.random() * 10
        return Fault(kind, at_s, LOAD_S - at_s - draw.random() * 20)
    if kind == "messages lost" and draw.random() < 0.5:
        # To the end of all talk, when nothing that is said later makes up for a lost report.
        return Fault(kind, LOAD_S - 6, 7)
    at_s = 4 + draw.random() * (LOAD_S - (40 if kind in _EARLY else 12))
    return Fault(kind, at_s, min(LOAD_S - at_s, 1 + draw.random() * 9))


def _draw_device(draw: random.Random, users: float, may_be_tight: bool) -> DevicePlan:
    limits = Limits(window_frames=draw.choice([4096, 4096, 256, 64, 16]))
    if may_be_tight and draw.random() < 0.2:
        limits = limits._replace(max_records=draw.choice([20, 60, 200]))
    return DevicePlan(
        is_users=draw.random() < users,
        rate_hz=draw.choice([0.5, 2, 5, 5, 10, 20]),
        pauses=draw.random() < 0.5,
        until_s=LOAD_S if draw.random() < 0.6 else LOAD_S * (0.4 + 0.5 * draw.random()),
        answers_after_s=draw.choice([(0.01,), (0.01, 0.3), (0.01, 2.5), (0.01, None), (0.01, 2.5, 3.5, None)]),
        limits=limits,
    )
