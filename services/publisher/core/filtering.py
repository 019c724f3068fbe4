"""Devices whose readings are not sent, because the configuration says so. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from common.config.models import DeviceFiltering
from common.wire.calls import hosted_connector
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.outlet import Outlet

MOST_REMEMBERED: Final = 10_000
"""Names that were looked at once, and are not looked at again: as many as there can be lanes."""


MOST_TOLD: Final = 256
"""Devices that the heartbeat names as left out."""


class DeviceFilter:
    """Says of each device whether it is left out. It is said once in the log; readings are counted."""

    def __init__(
        self, filtering: DeviceFiltering, connectors: Mapping[str, str], counters: PublisherCounts, out: Outlet
    ) -> None:
        """`connectors`: each configured device's connector, under whose name the lists stand."""
        self._deny = {name: [re.compile(one) for one in patterns] for name, patterns in filtering.deny.items()}
        self._connectors = connectors
        self._counters = counters
        self._out = out
        self._known: dict[tuple[str, str], bool] = {}
        self.told: dict[str, str] = {}
        """Devices that are left out, as far as they were looked at, with their connectors; MOST_TOLD at most."""
        for device in connectors:
            if hosted_connector(device) is None:
                self.leaves_out(device, device)

    def configured_anew(self, changed: Collection[str]) -> None:
        """These devices are configured otherwise now, or no more: they are looked at anew."""
        self._known = {key: is_denied for key, is_denied in self._known.items() if key[1] not in changed}
        self.told = {device: connector for device, connector in self.told.items() if device not in changed}
        for device in changed:
            if device in self._connectors and hosted_connector(device) is None:
                self.leaves_out(device, device)

    def leaves_out(self, device: str, source: str) -> bool:
        """True for a device that is denied. `source` is the configured device that serves it."""
        key = (device, source)
        known = self._known.get(key)
        if known is not None:
            return known
        connector = self._connectors.get(source, "")
        is_denied = any(pattern.fullmatch(device) for pattern in self._deny.get(connector, ()))
        if len(self._known) < MOST_REMEMBERED:
            self._known[key] = is_denied
            if is_denied:
                if len(self.told) < MOST_TOLD:
                    self.told[device] = connector
                then = "its readings are not sent, and counted as readings_filtered"
                self._out.note("warning", "device.filtered", device=device, connector=connector, then=then)
        return is_denied

    def count(self, readings: int) -> None:
        """So many readings were not sent."""
        self._counters["readings_filtered"] += readings
