"""How the gateway stands, in a line: what systemd is told by whoever looks after our processes. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from common.wire.messages import PUBLISHER
from services.monitor.core.gateway.snapshot import SOURCES, Process, Snapshot

BROKER: Final = "broker:0"
AGAIN_S: Final = 30.0
"""Told again although nothing has changed: who listens may not have been there yet."""
READY: Final = "ready"
STARTING: Final = "starting"


class Standing(NamedTuple):
    """What is told."""

    is_ready: bool
    """True once broker, publisher and everything that reads a device work."""
    text: str
    """For a person: at most 200 characters."""

    @property
    def order(self) -> str:
        """As one line of words, for `common.io.orders`."""
        return f"standing {READY if self.is_ready else STARTING} {self.text}"


def standing_of(snapshot: Snapshot) -> Standing:
    """How the gateway stands at this moment."""
    needed = [snapshot.process(address) for address in (BROKER, PUBLISHER)]
    needed += [process for process in snapshot.processes if process.kind in SOURCES]
    missing = sum(process is None or not _works(process) for process in needed)
    if missing:
        return Standing(False, f"{missing} of {len(needed)} processes have not registered yet")
    served = sum(row.state.is_served for row in snapshot.devices)
    said = snapshot.platform
    link = "up" if said is not None and said.link == "up" else "not reached"
    return Standing(True, f"{served} of {len(snapshot.devices)} devices served, platform {link}")


def _works(process: Process) -> bool:
    """True if it beats, and the broker has taken it. Processes of earlier releases do not say whether it has."""
    return (
        process.beat is not None and process.liveness == "alive" and process.beat.state.get("registered") is not False
    )


class Standings:
    """Remembers what was told last."""

    def __init__(self) -> None:
        self._told = ""
        self._again_s = 0.0

    def tell(self, snapshot: Snapshot, now_s: float) -> str:
        """The order that says how the gateway stands now; "" where that was told lately."""
        order = standing_of(snapshot).order
        if order == self._told and now_s < self._again_s:
            return ""
        self._told, self._again_s = order, now_s + AGAIN_S
        return order
