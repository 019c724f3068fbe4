"""Every process as its last heartbeat showed it, and what that comes to for the gateway as a whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from common.core.liveness import Liveness, liveness
from common.wire.calls import reader_of
from common.wire.messages import PUBLISHER, Heartbeat
from common.wire.states import AnyState, PortReaderState, state_of

FORGET_S: Final = 3600.0
"""A process that is lost for this long and is not configured is no longer shown."""
ROWS_LIMIT: Final = 4096
"""More processes than one gateway has; a bound for what junk can fill."""
FACTS_BYTES: Final = 64 * 1024
"""Heartbeats whose facts are larger are shown without: a status is for reading."""


@dataclass(slots=True)
class Row:
    """One process. `state` is as of the last `Table.age`; `beat` None means it never beat."""

    address: str
    beat: Heartbeat | None = None
    """None: this process is configured, and has never beaten."""
    heard_s: float = 0.0
    state: Liveness = "lost"

    def show(self) -> dict[str, object]:
        """The process as `status` shows it."""
        kind, _, name = self.address.partition(":")
        beat = self.beat
        return {
            "kind": kind,
            "name": name,
            "device": name if kind == "port_reader" else "",
            "pid": beat.pid if beat else None,
            "host": beat.host if beat else "",
            "state": self.state,
            "uptime_s": round(beat.uptime_s, 3) if beat else 0.0,
            "counters": beat.counters if beat else {},
            "facts": beat.state if beat else {},
        }


class Table:
    """The last heartbeat of every process but the command line's; configured devices are there from the start."""

    def __init__(self, devices: Iterable[str]) -> None:
        self._configured = frozenset(reader_of(device) for device in devices)
        self._rows = {address: Row(address) for address in sorted(self._configured)}

    def hear(self, beat: Heartbeat, now_s: float) -> None:
        """Takes a heartbeat. Of two instances of one address the later started one is shown while it is alive."""
        if beat.kind == "client":
            return
        row = self._rows.get(beat.address)
        if row is None:
            if len(self._rows) >= ROWS_LIMIT:
                return
            row = self._rows[beat.address] = Row(beat.address)
        if row.state == "alive" and _is_older(beat, now_s, row):
            return
        row.beat, row.heard_s, row.state = _presentable(beat), now_s, "alive"

    def age(self, now_s: float) -> None:
        """Finds out who is late or lost by now, and forgets who has been lost for long."""
        for row in list(self._rows.values()):
            if row.beat is None:
                continue
            silent_s = now_s - row.heard_s
            row.state = liveness(silent_s, row.beat.every_s)
            said = state_of(row.beat, AnyState)
            has_finished = row.state == "lost" and said is not None and said.temporary
            if (silent_s > FORGET_S or has_finished) and row.address not in self._configured:
                del self._rows[row.address]

    def show(self) -> dict[str, object]:
        """The whole status: `processes`, `link`, `backlog`."""
        rows = sorted(self._rows.values(), key=lambda row: row.address)
        publisher = self._rows.get(PUBLISHER)
        backlogs = [_backlog(row.beat) for row in rows if row.beat and row.beat.kind == "port_reader"]
        return {
            "processes": [row.show() for row in rows],
            "link": _link(publisher),
            "backlog": {"frames": sum(found[0] for found in backlogs), "bytes": sum(found[1] for found in backlogs)},
        }


def _is_older(beat: Heartbeat, now_s: float, row: Row) -> bool:
    """True for a heartbeat of an instance that started before the one that is shown."""
    shown = row.beat
    if shown is None or shown.instance == beat.instance:
        return False
    return now_s - beat.uptime_s < row.heard_s - shown.uptime_s


def _link(publisher: Row | None) -> dict[str, object]:
    """The publisher's facts with its `link` as `state`; `unknown` while it doesn't say."""
    if publisher is None or publisher.beat is None:
        return {"state": "unknown", "epoch": ""}
    facts = publisher.beat.state
    state = facts.get("link", "unknown") if publisher.state != "lost" else "unknown"
    rest = {key: value for key, value in facts.items() if key not in ("link", "state")}
    return {"epoch": "", **rest, "state": state}


def _backlog(beat: Heartbeat) -> tuple[int, int]:
    """(frames, bytes) that a port reader has in its journal."""
    said = state_of(beat, PortReaderState)
    return (said.backlog, said.backlog_bytes) if said else (0, 0)


def _presentable(beat: Heartbeat) -> Heartbeat:
    """The heartbeat without what can't be shown as JSON."""
    state, counters = beat.state, beat.counters
    try:
        if len(msgspec.json.encode(state)) > FACTS_BYTES:
            state = {}
    except (TypeError, ValueError, OverflowError, RecursionError):
        state = {}
    if len(counters) > 1000 or not all(type(k) is str and type(v) in (int, float) for k, v in counters.items()):
        counters = {}
    return beat.replace(state=state, counters=counters)
