"""The samples of `/metrics` from one snapshot. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, get_args

from common.core.version import RELEASE
from common.wire.states import BrokerState, ConnectorHostState, ConverterState, PortReaderState, state_of
from services.monitor.core.gateway.devices import DeviceWord
from services.monitor.core.gateway.snapshot import Process, Snapshot
from services.monitor.core.metrics import exported
from services.monitor.core.metrics.exported import Metric

STATES: Final = get_args(DeviceWord)
"""All are shown for each device: a state that was never seen is 0, so that its first change counts."""


class Sample(NamedTuple):
    """One line of the exposition."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


class Configuration(NamedTuple):
    """How the user's files were taken last."""

    is_successful: bool
    success_s: float
    """By the clock on the wall."""
    is_pending: bool


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
    config: Configuration | None = None
    """None where nobody has written down how the files were taken."""


def samples_of(snapshot: Snapshot, outside: Outside) -> Iterator[Sample]:
    """Every sample; what nobody has said yet is left out. Those of one metric need not stand together."""
    yield Sample(exported.BUILD, (RELEASE, outside.python), 1)
    yield Sample(exported.DEVICES, (), len(snapshot.devices))
    yield Sample(exported.DISK_FREE, (), outside.disk_free_bytes)
    yield Sample(exported.STREAMS, (), outside.streams)
    yield Sample(exported.SKIPPED, (), outside.updates_skipped)
    if outside.config is not None:
        yield Sample(exported.CONFIG_TAKEN, (), outside.config.is_successful)
        yield Sample(exported.CONFIG_TAKEN_TIME, (), outside.config.success_s)
        yield Sample(exported.CONFIG_PENDING, (), outside.config.is_pending)
    for row in snapshot.devices:
        yield Sample(exported.SERVED, (row.name,), row.state.is_served)
        yield Sample(exported.INFO, (row.name, row.port), 1)
        for word in STATES:
            yield Sample(exported.STATE, (row.name, word), row.state.word == word)
    for process in snapshot.processes:
        yield from _of_process(process, outside)
    yield from _of_platform(snapshot)


def _of_process(process: Process, outside: Outside) -> Iterator[Sample]:
    who = (process.kind, process.name)
    yield Sample(exported.ALIVE, who, process.liveness == "alive")
    beat = process.beat
    if beat is None:
        return
    started_s = outside.wall_s - (outside.now_s - process.heard_s) - beat.uptime_s
    yield Sample(exported.START_TIME, who, started_s)
    labels = {"port_reader": (process.device,), "connector_host": (process.device,), "converter": (process.name,)}
    own = labels.get(process.kind, ())
    for counter, metric in exported.FROM_COUNTERS.get(process.kind, {}).items():
        if counter in beat.counters:
            yield Sample(metric, own, beat.counters[counter])
    for counter, metric in exported.EVERY_PROCESS.items():
        yield Sample(metric, who, beat.counters.get(counter, 0))
    yield from _of_journal(process)
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


def _of_journal(process: Process) -> Iterator[Sample]:
    own, said = (process.device,), process.journal
    if said is None:
        return
    yield Sample(exported.FRAMES_WAITING, own, said.backlog)
    yield Sample(exported.BYTES_WAITING, own, said.backlog_bytes)
    yield Sample(exported.WRITABLE, own, said.journal_writable)
    yield Sample(exported.IN_FLIGHT, own, said.in_flight)


def _of_broker(process: Process) -> Iterator[Sample]:
    said = state_of(process.beat, BrokerState) if process.beat else None
    if said is None:
        return
    yield Sample(exported.QUEUED_BYTES, (), said.queued_bytes)
    yield Sample(exported.QUEUED_DEVICES, (), said.queued_devices)
    yield Sample(exported.HELD_CALLS, (), said.held_calls)
    for name, seen in said.converters.items():
        yield Sample(exported.CREDIT, (name.rpartition(":")[2],), seen.credit)


def _of_platform(snapshot: Snapshot) -> Iterator[Sample]:
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


def _wall_s(age_s: float | None, process: Process, outside: Outside) -> float:
    """When something was, that was so long ago in the heartbeat; 0 for never."""
    return 0.0 if age_s is None else outside.wall_s - (outside.now_s - process.heard_s) - age_s
