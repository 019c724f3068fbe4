"""The samples of `/metrics` from one snapshot. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, get_args

from common.core.dead_kinds import KINDS
from common.core.durations import BOUNDS_S
from common.core.version import RELEASE
from common.wire.call_ends import ENDS
from common.wire.calls import HOSTED
from common.wire.messages import Heartbeat
from common.wire.states import BrokerState, ConnectorHostState, ConverterState, PortReaderState, state_of
from services.monitor.core.gateway.devices import DeviceWord
from services.monitor.core.gateway.snapshot import Process, Snapshot
from services.monitor.core.metrics import exported, keeping
from services.monitor.core.metrics.metric import Metric

STATES: Final = get_args(DeviceWord)
OF_CONNECTORS: Final = frozenset(
    ("connector_failed", "connector_restarted", "connector_opening", "connector_ended", "not_stored")
)
"""States that no device on a line is ever in. All others are shown for each device: one that was never seen is 0, so
that its first change counts."""
OF_LINES: Final = tuple(word for word in STATES if word not in OF_CONNECTORS)


class Sample(NamedTuple):
    """One line of the exposition."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


class Spread(NamedTuple):
    """The lines of one histogram: how many took up to each bound and longer than the one before, how many took longer
    than the last, and the sum in seconds."""

    metric: Metric
    labels: tuple[str, ...]
    said: tuple[float, ...]


class Configuration(NamedTuple):
    """How the user's files were taken last."""

    is_successful: bool
    success_s: float
    """By the clock on the wall."""
    is_pending: bool
    changes: int = 0
    """How often other files were taken, ever."""
    forgotten: int = 0
    """Of those how many the history has no more."""


class Outside(NamedTuple):
    """What the snapshot does not know."""

    now_s: float
    """In the time of the snapshot."""
    wall_s: float
    """The same moment by the clock on the wall, in seconds since 1970."""
    python: str
    disk_free_bytes: int
    streams: int
    """Pages that listen now."""
    updates_skipped: int
    events_dropped: int = 0
    config: Configuration | None = None
    """None where nobody has written down how the files were taken."""


class Starts:
    """When processes were started, each as it was found first. Found anew from each heartbeat it would be a few
    milliseconds off, and each of these would be counted as a restart."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, float]] = {}
        """Address → its instance, and its start on the wall clock in seconds since 1970."""

    def of(self, process: Process, beat: Heartbeat, outside: Outside) -> float:
        """When this process was started."""
        instance, started_s = self._found.get(process.address, ("", 0.0))
        if instance != beat.instance:
            started_s = outside.wall_s - (outside.now_s - process.heard_s) - beat.uptime_s
            self._found[process.address] = beat.instance, started_s
        return started_s

    def keep(self, addresses: Iterable[str]) -> None:
        """Forgets all but these."""
        self._found = {address: self._found[address] for address in addresses if address in self._found}


def samples_of(snapshot: Snapshot, outside: Outside, starts: Starts) -> Iterator[Sample | Spread]:
    """Every sample; what nobody has said yet is left out. Those of one metric need not stand together."""
    yield Sample(exported.BUILD, (RELEASE, outside.python), 1)
    yield Sample(exported.DEVICES, (), len(snapshot.devices))
    yield Sample(exported.DISK_FREE, (), outside.disk_free_bytes)
    yield Sample(exported.STREAMS, (), outside.streams)
    yield Sample(exported.SKIPPED, (), outside.updates_skipped)
    yield Sample(exported.EVENTS_DROPPED, (), outside.events_dropped)
    if outside.config is not None:
        yield Sample(exported.CONFIG_TAKEN, (), outside.config.is_successful)
        yield Sample(exported.CONFIG_TAKEN_TIME, (), outside.config.success_s)
        yield Sample(exported.CONFIG_PENDING, (), outside.config.is_pending)
        yield Sample(exported.CONFIG_CHANGES, (), outside.config.changes)
        yield Sample(exported.CONFIG_FORGOTTEN, (), outside.config.forgotten)
    for row in snapshot.devices:
        yield Sample(exported.SERVED, (row.name,), row.state.is_served)
        yield Sample(exported.INFO, (row.name, row.port), 1)
        is_hosted = row.name.startswith(HOSTED) or row.port.startswith(HOSTED)
        for word in STATES if is_hosted else OF_LINES:
            yield Sample(exported.STATE, (row.name, word), row.state.word == word)
    counted: set[tuple[str, str]] = set()
    for process in snapshot.processes:
        yield from _of_process(process, outside, starts)
        yield from _of_usage(process, counted)
    starts.keep(process.address for process in snapshot.processes)
    yield from _of_platform(snapshot)


def _of_process(process: Process, outside: Outside, starts: Starts) -> Iterator[Sample | Spread]:
    who = (process.kind, process.name)
    yield Sample(exported.ALIVE, who, process.liveness == "alive")
    beat = process.beat
    if beat is None:
        return
    yield Sample(exported.START_TIME, who, starts.of(process, beat, outside))
    labels = {"port_reader": (process.device,), "connector_host": (process.device,), "converter": (process.name,)}
    own = labels.get(process.kind, ())
    for counter, metric in exported.FROM_COUNTERS.get(process.kind, {}).items():
        if counter in beat.counters:
            yield Sample(metric, own, beat.counters[counter])
    for counter, metric in exported.EVERY_PROCESS.items():
        yield Sample(metric, who, beat.counters.get(counter, 0))
    yield from _of_journal(process, outside)
    match process.kind:
        case "port_reader":
            yield from _of_port_reader(process, outside)
        case "connector_host":
            yield from _of_connector_host(process, outside)
        case "converter":
            said = state_of(beat, ConverterState)
            if said is not None and said.held is not None:
                yield Sample(exported.HELD_BATCHES, own, said.held)
        case "broker":
            yield from _of_broker(process)


def _of_usage(process: Process, counted: set[tuple[str, str]]) -> Iterator[Sample]:
    """What a process uses. One that serves several devices beats for each, and is counted once."""
    beat = process.beat
    if beat is None or (beat.host, beat.instance) in counted:
        return
    counted.add((beat.host, beat.instance))
    who = (process.kind, process.name)
    if "cpu_ms" in beat.counters:
        yield Sample(keeping.CPU, who, beat.counters["cpu_ms"] / 1000)
    if beat.counters.get("resident_bytes"):
        yield Sample(keeping.MEMORY, who, beat.counters["resident_bytes"])


def _of_port_reader(process: Process, outside: Outside) -> Iterator[Sample]:
    beat = process.beat
    said = state_of(beat, PortReaderState) if beat else None
    if beat is None or said is None:
        return
    own = (process.device,)
    for counter, kind in exported.LINE_ERROR_TYPES.items():
        yield Sample(exported.LINE_ERRORS, (process.device, kind), beat.counters.get(counter, 0))
    yield Sample(exported.CONNECTED, own, said.connected)
    yield Sample(exported.HELD, own, said.held)
    yield Sample(exported.LAST_FRAME, own, _wall_s(said.frame_s, process, outside))


def _of_connector_host(process: Process, outside: Outside) -> Iterator[Sample]:
    said = state_of(process.beat, ConnectorHostState) if process.beat else None
    if said is None:
        return
    own = (process.device,)
    yield Sample(exported.LAST_FRAME, own, _wall_s(said.entry_s, process, outside))


def _of_journal(process: Process, outside: Outside) -> Iterator[Sample | Spread]:
    own, said = (process.device,), process.journal
    if said is None:
        return
    yield Sample(exported.FRAMES_WAITING, own, said.backlog)
    yield Sample(exported.BYTES_WAITING, own, said.backlog_bytes)
    yield Sample(exported.WRITABLE, own, said.journal_writable)
    yield Sample(exported.IN_FLIGHT, own, said.in_flight)
    yield Sample(keeping.OLDEST, own, _wall_s(said.oldest_s, process, outside))
    yield Sample(keeping.LIMIT_FRAMES, own, said.most_backlog)
    yield Sample(keeping.LIMIT_BYTES, own, said.most_backlog_bytes)
    yield from _spread(keeping.DELIVERY, own, said.delivered)
    for reason in KINDS:
        yield Sample(keeping.DEAD_LETTERS, (process.device, reason), said.dead.get(reason, 0))


def _of_broker(process: Process) -> Iterator[Sample]:
    said = state_of(process.beat, BrokerState) if process.beat else None
    if said is None:
        return
    yield Sample(exported.QUEUED_BYTES, (), said.queued_bytes)
    yield Sample(exported.QUEUED_DEVICES, (), said.queued_devices)
    yield Sample(exported.HELD_CALLS, (), said.held_calls)
    for name, seen in said.converters.items():
        yield Sample(exported.CREDIT, (name.rpartition(":")[2],), seen.credit)


def _of_platform(snapshot: Snapshot) -> Iterator[Sample | Spread]:
    said = snapshot.platform
    # A publisher that is gone has no connection.
    yield Sample(exported.PLATFORM_CONNECTED, (), said is not None and said.link == "up")
    if said is None:
        return
    protocol = {5: "MQTT 5", 4: "MQTT 3.1.1"}.get(said.protocol, "")
    yield Sample(exported.PLATFORM_INFO, (f"{said.host}:{said.port}" if said.host else "", protocol), 1)
    yield Sample(exported.READINGS_WAITING, (), said.backlog)
    yield Sample(exported.PUBLISHES_IN_FLIGHT, (), said.in_flight)
    yield Sample(exported.ANNOUNCED, (), said.devices)
    yield Sample(exported.UNACCEPTED, (), said.unaccepted_s)
    yield from _spread(keeping.PUBLISH_DURATION, (), said.published)
    for code in [*dict.fromkeys((*keeping.PUBACK_CODES, *said.refused_codes))][: keeping.MOST_CODES]:
        yield Sample(keeping.PUBLISHES_REFUSED, (code,), said.refused_codes.get(code, 0))
    yield Sample(keeping.INTERVAL, (), said.interval_s)
    yield Sample(keeping.CALLS_OPEN, (), said.calls)
    yield from _spread(keeping.CALL_DURATION, (), said.called)
    for end in ENDS:
        yield Sample(keeping.CALLS, (end,), said.calls_ended.get(end, 0))


def _spread(metric: Metric, labels: tuple[str, ...], said: list[float]) -> Iterator[Spread]:
    """A histogram as a heartbeat carries it; nothing where it carries none, or one of other bounds."""
    if len(said) == len(BOUNDS_S) + 2:
        yield Spread(metric, labels, tuple(said))


def _wall_s(age_s: float | None, process: Process, outside: Outside) -> float:
    """When something was, that was so long ago in the heartbeat; 0 for never."""
    return 0.0 if age_s is None else outside.wall_s - (outside.now_s - process.heard_s) - age_s
