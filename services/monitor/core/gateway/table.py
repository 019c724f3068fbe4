"""Every process as its last heartbeat showed it, and what that comes to for the gateway as a whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from common.core.liveness import CALM_BEAT_S, LATE_S, Liveness, liveness
from common.wire.calls import host_of, hosted_stream, reader_of
from common.wire.messages import PUBLISHER, Heartbeat
from common.wire.states import AnyState, ConnectorHostState, PortReaderState, PublisherState, state_of
from services.monitor.core.gateway.devices import (
    LOSING_S,
    DeviceState,
    Host,
    Platform,
    Reader,
    state_of_connector,
    state_of_device,
    state_of_hosted_device,
)
from services.monitor.core.gateway.rates import Rate
from services.monitor.core.gateway.snapshot import DeviceRow, Process, Snapshot

FORGET_S: Final = 3600.0
"""A process that is lost for this long and is not configured is no longer shown."""
HEARD_S: Final = CALM_BEAT_S + LATE_S
"""Who has not been heard of after this does not run: a calm reader has beaten by then, also if it was never asked."""
ROWS_LIMIT: Final = 4096
"""More processes than one gateway has; a bound for what junk can fill."""
FACTS_BYTES: Final = 512 * 1024
"""Of heartbeats whose facts are larger only what is no list and no map is shown. The publisher's have 250 KiB where
each of a gateway's devices is in trouble."""


PAUSE_HALF_S: Final = 86_400.0
"""A long pause of a device counts half as long after a day without another one: it may have been an accident."""
_DROPS: Final = ("frames_shed", "frames_dropped")
"""Counters of a port reader that count what is lost for good."""


@dataclass(slots=True)
class Row:
    """One process. `state` is as of the last `Table.age`; `beat` None means it never beat."""

    address: str
    beat: Heartbeat | None = None
    """None: this process is configured, and has never beaten."""
    heard_s: float = 0.0
    state: Liveness = "lost"
    lost_data_s: float | None = None
    """When frames were last found to be dropped."""
    pause_s: float = 0.0
    """The longest pause between what its device said."""
    ends: int = 0
    """Of a hosted connector: how often one of its processes has ended that was not told to."""
    ended_s: float | None = None
    """When that was last."""
    ended_for: str = ""
    """Why, where the process has said it."""
    rate: Rate = field(default_factory=Rate)

    def take(self, beat: Heartbeat, now_s: float) -> None:
        """The next heartbeat, of this instance or of another."""
        self.rate.take(beat)
        if self.beat is not None and self.beat.kind == beat.kind == "port_reader":
            self._compare(self.beat, beat, now_s)
        if self.beat is not None and self.beat.kind == beat.kind == "connector_host":
            self._compare_hosts(self.beat, beat, now_s)
        self.beat, self.heard_s, self.state = beat, now_s, "alive"

    def _compare_hosts(self, before: Heartbeat, beat: Heartbeat, now_s: float) -> None:
        """What has happened between two heartbeats of a connector host."""
        was, said = state_of(before, ConnectorHostState), state_of(beat, ConnectorHostState)
        if was is None or said is None:
            return
        if before.instance != beat.instance:
            if was.fault or not was.draining:
                self.ends, self.ended_s, self.ended_for = self.ends + 1, now_s, was.fault
            return
        if any(beat.counters.get(name, 0) > before.counters.get(name, 0) for name in _DROPS):
            self.lost_data_s = now_s
        elapsed_s = now_s - self.heard_s
        if was.entry_s is not None and said.entry_s is not None and said.entry_s < was.entry_s + elapsed_s:
            self.pause_s = max(self.pause_s, was.entry_s + elapsed_s - said.entry_s)

    def _compare(self, before: Heartbeat, beat: Heartbeat, now_s: float) -> None:
        """What has happened between two heartbeats of a port reader."""
        if before.instance == beat.instance and any(
            beat.counters.get(name, 0) > before.counters.get(name, 0) for name in _DROPS
        ):
            self.lost_data_s = now_s
        was, said = state_of(before, PortReaderState), state_of(beat, PortReaderState)
        elapsed_s = now_s - self.heard_s
        self.pause_s *= 0.5 ** (elapsed_s / PAUSE_HALF_S)
        if was is None or said is None or was.byte_s is None or said.byte_s is None:
            return
        # What was not heard while the port was closed is no pause of the device.
        was_open = was.connected and said.connected and said.since_s >= was.byte_s + elapsed_s
        if was_open and said.byte_s < was.byte_s + elapsed_s:
            self.pause_s = max(self.pause_s, was.byte_s + elapsed_s - said.byte_s)


class Table:
    """The last heartbeat of every process but the command line's; configured devices are there from the start."""

    def __init__(self, devices: Iterable[str], connectors: Iterable[str] = ()) -> None:
        """`connectors`: the names of those that are hosted."""
        self._rows: dict[str, Row] = {}
        self._configured: frozenset[str] = frozenset()
        self._gone: frozenset[str] = frozenset()
        """Addresses of those that were configured once: that they don't run any more is as it should be."""
        self.configure(devices, connectors)
        self._began_s: float | None = None
        """When the first heartbeat came, or time first passed."""
        self._now_s = 0.0
        self._words: dict[str, tuple[str, float]] = {}
        """Device → its state's word, and since when it has that."""

    def configure(self, devices: Iterable[str], connectors: Iterable[str]) -> None:
        """These are configured from now on: each is shown, also if its process never beats."""
        self._devices = sorted(devices)[:ROWS_LIMIT]
        self._connectors = sorted(connectors)[:ROWS_LIMIT]
        before = self._configured
        self._configured = frozenset((*map(reader_of, self._devices), *map(host_of, self._connectors)))
        self._gone = (self._gone | before) & self._rows.keys() - self._configured
        for address in sorted(self._configured - self._rows.keys()):
            self._rows[address] = Row(address)

    def hear(self, beat: Heartbeat, now_s: float) -> None:
        """Takes a heartbeat. Of two instances of one address the later started one is shown while it is alive."""
        self._pass_time(now_s)
        if beat.kind == "client":
            return
        row = self._rows.get(beat.address)
        if row is None:
            if len(self._rows) >= ROWS_LIMIT:
                return
            row = self._rows[beat.address] = Row(beat.address)
        if row.state == "alive" and _is_older(beat, now_s, row):
            return
        row.take(_presentable(beat), now_s)

    def age(self, now_s: float) -> None:
        """Finds out who is late or lost by now, and forgets who has been lost for long."""
        self._pass_time(now_s)
        for row in list(self._rows.values()):
            if row.beat is None:
                if row.address in self._gone:
                    del self._rows[row.address]
                continue
            silent_s = now_s - row.heard_s
            row.state = liveness(silent_s, row.beat.every_s)
            said = state_of(row.beat, AnyState)
            has_finished = row.state == "lost" and (row.address in self._gone or (said is not None and said.temporary))
            if (silent_s > FORGET_S or has_finished) and row.address not in self._configured:
                del self._rows[row.address]

    def _pass_time(self, now_s: float) -> None:
        self._now_s = now_s
        if self._began_s is None:
            self._began_s = now_s

    def devices(self) -> list[DeviceRow]:
        """Each configured device, by its name, as of the last time that was told; behind them each hosted connector,
        with the devices that it serves."""
        publisher = self._rows.get(PUBLISHER)
        said = state_of(publisher.beat, PublisherState) if publisher and publisher.beat else None
        platform = Platform(bool(publisher and publisher.state != "lost"), said or PublisherState())
        found = [self._device(name, platform) for name in self._devices]
        for name in self._connectors:
            found += self._connector(name, platform)
        return found

    def _connector(self, name: str, platform: Platform) -> list[DeviceRow]:
        stream, row, now_s = hosted_stream(name), self._rows[host_of(name)], self._now_s
        beat = row.beat
        said = (state_of(beat, ConnectorHostState) if beat else None) or ConnectorHostState()
        host = Host(
            row.state,
            beat is not None or now_s >= (self._began_s or now_s) + HEARD_S,
            said,
            now_s - row.heard_s,
            row.lost_data_s is not None and now_s < row.lost_data_s + LOSING_S,
            row.pause_s,
            row.ends,
            None if row.ended_s is None else now_s - row.ended_s,
            row.ended_for,
        )
        state = state_of_connector(host, platform, stream)
        entry_s = None if said.entry_s is None else said.entry_s + host.age_s
        counters, seen = beat.counters if beat else {}, platform.state.yields.get(stream)
        letters, errors = counters.get("dead_letters_kept", 0), seen.errors if seen else 0
        for_s = max(state.for_s, self._lasts_s(stream, state))
        rows = [DeviceRow(stream, said.file, state, for_s, entry_s, said.backlog, letters, errors, row.rate.frames_hz)]
        for device in sorted(said.some):
            of_device = state_of_hosted_device(state, platform, device, stream)
            rows.append(DeviceRow(device, stream, of_device, max(of_device.for_s, for_s), None, 0, 0, 0))
        return rows

    def _lasts_s(self, name: str, state: DeviceState) -> float:
        """For how long a device has been in its state, as far as was looked."""
        word, since_s = self._words.get(name, ("", self._now_s))
        if word != state.word:
            since_s = self._now_s
            self._words[name] = state.word, since_s
        return self._now_s - since_s

    def _device(self, name: str, platform: Platform) -> DeviceRow:
        row, now_s = self._rows[reader_of(name)], self._now_s
        beat = row.beat
        said = (state_of(beat, PortReaderState) if beat else None) or PortReaderState()
        is_losing = row.lost_data_s is not None and now_s < row.lost_data_s + LOSING_S
        is_known = beat is not None or now_s >= (self._began_s or now_s) + HEARD_S
        dropped = sum(beat.counters.get(name, 0) for name in _DROPS) if beat else 0
        reader = Reader(row.state, is_known, said, now_s - row.heard_s, is_losing, dropped, row.pause_s)
        state = state_of_device(reader, platform, name)
        lasts_s = self._lasts_s(name, state)
        counters, seen = beat.counters if beat else {}, platform.state.yields.get(name)
        return DeviceRow(
            name,
            said.port,
            state,
            max(state.for_s, lasts_s),
            reader.frame_age_s,
            said.backlog,
            counters.get("dead_letters_kept", 0),
            seen.errors if seen else 0,
            row.rate.frames_hz,
        )

    def snapshot(self) -> Snapshot:
        """All of it as it is now, for whoever wants to read it at leisure."""
        rows = sorted(self._rows.values(), key=lambda row: row.address)
        processes = tuple(Process(row.address, row.beat, row.state, row.heard_s) for row in rows)
        return Snapshot(self._now_s, tuple(self.devices()), processes)

    def show(self) -> dict[str, object]:
        """The whole status: `devices`, `processes`, `link`, `backlog`."""
        return self.snapshot().show()


def _is_older(beat: Heartbeat, now_s: float, row: Row) -> bool:
    """True for a heartbeat of an instance that started before the one that is shown."""
    shown = row.beat
    if shown is None or shown.instance == beat.instance:
        return False
    return now_s - beat.uptime_s < row.heard_s - shown.uptime_s


def _presentable(beat: Heartbeat) -> Heartbeat:
    """The heartbeat without what can't be shown as JSON."""
    state, counters = beat.state, beat.counters
    try:
        if len(msgspec.json.encode(state)) > FACTS_BYTES:
            state = {key: value for key, value in state.items() if not isinstance(value, list | dict)}
            if len(msgspec.json.encode(state)) > FACTS_BYTES:
                state = {}
    except (TypeError, ValueError, OverflowError, RecursionError):
        state = {}
    if len(counters) > 1000 or not all(type(k) is str and type(v) in (int, float) for k, v in counters.items()):
        counters = {}
    return beat.replace(state=state, counters=counters)
