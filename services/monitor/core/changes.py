"""What a page that listens has to be told: everything once, then only what has changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.monitor.core.gateway.snapshot import Snapshot

_KEYS: Final = {"devices": "name", "processes": "address"}
"""List of the document → what tells its rows apart."""


def document_of(snapshot: Snapshot, now_s: float, wall_s: float) -> dict[str, Any]:
    """The status as a page wants it: with moments in place of ages, which would change all the time."""
    document: dict[str, Any] = snapshot.show()
    for row, device in zip(document["devices"], snapshot.devices, strict=True):
        row.pop("for_s")
        row.pop("frame_age_s")
        row["since_s"] = round(wall_s - device.for_s)
        row["frame_at_s"] = None if device.frame_age_s is None else round(wall_s - device.frame_age_s)
    for row, process in zip(document["processes"], snapshot.processes, strict=True):
        beat = process.beat
        row["address"] = process.address
        row.pop("uptime_s")
        row["started_s"] = None if beat is None else round(wall_s - (now_s - process.heard_s) - beat.uptime_s)
        row["facts"] = {key: value for key, value in row["facts"].items() if not isinstance(value, dict | list)}
    return document


class Told:
    """What one page knows."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, int]] = {name: {} for name in _KEYS}
        """List → key → a hash of its row: the row itself is a megabyte a page with a thousand devices."""
        self._rest: dict[str, bytes] = {}

    def news(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """What it does not know yet: rows that are new or others, keys of rows that are gone, and other values that
        have changed. {} where nothing has."""
        found: dict[str, Any] = {}
        for name, key in _KEYS.items():
            rows = {row[key]: (hash(msgspec.json.encode(row)), row) for row in document[name]}
            known = self._rows[name]
            changed = [row for place, (content, row) in rows.items() if known.get(place) != content]
            gone = [place for place in known if place not in rows]
            if changed or gone:
                found[name] = {"changed": changed, "gone": gone}
            self._rows[name] = {place: content for place, (content, _) in rows.items()}
        for name, value in document.items():
            if name not in _KEYS and self._rest.get(name) != (content := msgspec.json.encode(value)):
                found[name], self._rest[name] = value, content
        return found
