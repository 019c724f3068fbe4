"""What a page that listens has to be told: everything once, then only what has changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.monitor.core.gateway.snapshot import DeviceRow, Process, Snapshot

_KEYS: Final = {"devices": "name", "processes": "address"}
"""List of the document → what tells its rows apart."""


class Documents:
    """The status as pages want it, again and again: the row of a process is the same object until it beats again."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[Process, dict[str, Any]]] = {}
        """Address → the process as it was shown last, and its row."""

    def of(self, snapshot: Snapshot, now_s: float, wall_s: float) -> dict[str, Any]:
        """One snapshot, with moments in place of ages, which would change all the time."""
        rows = {}
        for process in snapshot.processes:
            kept = self._rows.get(process.address)
            if kept is not None and kept[0].beat is process.beat and kept[0].liveness == process.liveness:
                rows[process.address] = kept
            else:
                rows[process.address] = process, _process_row(process, now_s, wall_s)
        self._rows = rows
        return {
            "devices": [_device_row(device, wall_s) for device in snapshot.devices],
            "processes": [row for _, row in rows.values()],
            **snapshot.show_rest(),
        }


def _device_row(device: DeviceRow, wall_s: float) -> dict[str, Any]:
    row: dict[str, Any] = device.show()
    row.pop("for_s")
    row.pop("frame_age_s")
    row["since_s"] = round(wall_s - device.for_s)
    row["frame_at_s"] = None if device.frame_age_s is None else round(wall_s - device.frame_age_s)
    return row


def _process_row(process: Process, now_s: float, wall_s: float) -> dict[str, Any]:
    row: dict[str, Any] = process.show()
    beat = process.beat
    facts: dict[str, Any] = row["facts"]
    row["address"] = process.address
    row.pop("uptime_s")
    row["started_s"] = None if beat is None else round(wall_s - (now_s - process.heard_s) - beat.uptime_s)
    row["facts"] = {key: value for key, value in facts.items() if not isinstance(value, dict | list)}
    return row


class Told:
    """What one page knows."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, tuple[dict[str, Any], int]]] = {name: {} for name in _KEYS}
        """List → key → its row, which all pages share, and a hash of it."""
        self._rest: dict[str, bytes] = {}

    def news(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """What it does not know yet: rows that are new or others, keys of rows that are gone, and other values that
        have changed. {} where nothing has."""
        found: dict[str, Any] = {}
        for name, key in _KEYS.items():
            known, rows, changed = self._rows[name], {}, []
            for row in document[name]:
                before = known.get(row[key])
                if before is None or before[0] is not row:
                    digest = hash(msgspec.json.encode(row))
                    if before is None or before[1] != digest:
                        changed.append(row)
                    before = row, digest
                rows[row[key]] = before
            gone = [place for place in known if place not in rows]
            if changed or gone:
                found[name] = {"changed": changed, "gone": gone}
            self._rows[name] = rows
        for name, value in document.items():
            if name not in _KEYS and self._rest.get(name) != (content := msgspec.json.encode(value)):
                found[name], self._rest[name] = value, content
        return found
