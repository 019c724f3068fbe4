"""Devices that come, go or are configured otherwise while the publisher is at work. Pure.

Nothing of what waits is touched: a device that is configured no more is sent to its end, and the platform hears the
goodbye that its stream says, or else one from here (`outbox.departures`). A new one is announced when its port is open.
What is known of a device beside its section (its strategy, the names that it serves) stays until it is gone.
"""

from __future__ import annotations

from collections.abc import Callable

from common.wire.calls import TakeDevices
from services.publisher.core.filtering import DeviceFilter
from services.publisher.core.known import REFUSES_STRATEGIES, KnownParts, decode_known
from services.publisher.core.names import KeptNames
from services.publisher.core.outbox.departures import Departures
from services.publisher.core.outbox.outbox import Outbox
from services.publisher.core.outlet import Outlet
from services.publisher.core.shared_attributes import SharedAttributes


class Taking:
    """Takes another list of devices, whole; `known` is the one that all others hold."""

    def __init__(
        self,
        known: KnownParts,
        *,
        outbox: Outbox,
        names: KeptNames,
        shared: SharedAttributes,
        device_filter: DeviceFilter | None,
        forget: Callable[[list[str]], None],
        out: Outlet,
    ) -> None:
        """`forget` hears of the devices that are configured no more."""
        self._known = known
        self._outbox = outbox
        self._names = names
        self._shared = shared
        self._filter = device_filter
        self._forget = forget
        self._out = out
        self.departures = Departures(outbox.table, outbox.reporting, names, known.types)

    def take(self, said: TakeDevices, now_s: float) -> str:
        """Goes by this list from now on; "" or why it can't, and then nothing has changed."""
        try:
            other = KnownParts.of(decode_known(said.devices))
        except ValueError as error:
            return str(error)
        known = self._known
        if (known.strategies is None) != (other.strategies is None):
            return REFUSES_STRATEGIES
        changed = list(known.others(other))
        if known.strategies and other.strategies is not None:
            # What is left of a device that goes is reported as all that it has said.
            gone = {name: kept for name, kept in known.strategies.items() if name not in other.types}
            other.strategies.update(gone)
        if not changed:
            # How long an answer may take concerns nothing that is there.
            known.take(other)
            return ""
        added = [name for name in changed if name not in known.types]
        removed = [name for name in changed if name not in other.types]
        told_anew = [name for name in changed if _introduction(known, name) != _introduction(other, name)]
        asked_anew = {name for name in changed if [*known.shared.get(name, ())] != [*other.shared.get(name, ())]}
        self._report_other(other, now_s)
        known.take(other)
        self._names.configured_anew(now_s)
        if self._filter is not None:
            self._filter.configured_anew(changed)
        self.departures.configured_anew(now_s)
        self._forget(removed)
        for device in changed:
            self._retype(device)
        for device in told_anew:
            self._introduce(device, now_s)
        for device in asked_anew:
            for served in self._outbox.table.announced_by(device):
                self._shared.connected(served, device, now_s)
        self._out.note(
            "info", "devices.taken", added=", ".join(added), removed=", ".join(removed), changed=len(changed)
        )
        return ""

    def _report_other(self, other: KnownParts, now_s: float) -> None:
        """What strategies have kept back is reported where they are others from now on: nobody would do it later."""
        before, after = self._known.strategies or {}, other.strategies or {}
        for lane in list(self._outbox.table.lanes.values()):
            if any(before.get(name) != after.get(name) for name in (lane.name, lane.source)):
                self._outbox.reporting.report_rest(lane, now_s)
                self._outbox.reports.forget(lane.name)

    def _retype(self, device: str) -> None:
        """Its next announcement has the type that is configured: nobody may have known it when its lane began."""
        lane = self._outbox.table.lanes.get(device)
        if lane is not None and lane.source == device:
            lane.device_type = self._known.types.get(device, lane.device_type)

    def _introduce(self, device: str, now_s: float) -> None:
        """Whose it is, and its units, may be others: the platform is told again, now or once it was announced."""
        for lane in self._outbox.table.lanes.values():
            if lane.source == device and lane.is_introduced and device in self._known.types:
                lane.is_introduced = False
                if lane.presence == "announced":
                    self._outbox.introduce(lane.name, now_s)

    def look(self, now_s: float) -> None:
        """To be called each second."""
        for device in self.departures.look(now_s):
            if self._known.strategies and device not in self._known.types:
                self._known.strategies.pop(device, None)
            self._outbox.reports.forget(device)
            self._shared.forget(device)


def _introduction(known: KnownParts, device: str) -> tuple[str | None, bytes | None]:
    """What the platform is told of a device beside its readings."""
    return known.connectors.get(device), known.units.get(device)
