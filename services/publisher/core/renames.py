"""Devices that the platform calls by another name than we: both ways, within bounds. Pure.

Somebody renames a device on the platform, and the platform says so. Its port reader, its journal and its converter go
on with the name that they have; only what the platform hears and says has the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MOST_RENAMES: Final = 8_000
"""As many as names are kept of devices that converters name."""
MOST_RENAMES_BYTES: Final = 1024 * 1024
"""The text of all of them: the file in which they are kept is written whole."""


class Renames:
    """Our name → the platform's, for each device whose names differ."""

    def __init__(self, renamed: Mapping[str, str]) -> None:
        self._shown: dict[str, str] = {}
        self._ours: dict[str, str] = {}
        self._bytes = 0
        for ours, shown in renamed.items():
            self._put(ours, shown)

    @property
    def renamed(self) -> Mapping[str, str]:
        """All of them, for keeping."""
        return self._shown

    def shown(self, device: str) -> str:
        """What the platform calls a device of ours."""
        return self._shown.get(device, device)

    def ours(self, device: str) -> str:
        """What we call a device of the platform's."""
        return self._ours.get(device, device)

    def rename(self, old: str, new: str) -> str | None:
        """The platform has renamed a device: our name of it; None where there is no room to remember that."""
        ours = self.ours(old)
        if ours == new:
            self.forget(ours)
        elif not self._put(ours, new):
            return None
        return ours

    def forget(self, device: str) -> None:
        """The platform calls this device of ours by our name again, or knows it no more."""
        shown = self._shown.pop(device, None)
        if shown is not None:
            self._bytes -= _size(device, shown)
            self._ours.pop(shown, None)

    def _put(self, ours: str, shown: str) -> bool:
        known = self._shown.get(ours)
        size = _size(ours, shown) - (_size(ours, known) if known is not None else 0)
        if len(self._shown) + (known is None) > MOST_RENAMES or self._bytes + size > MOST_RENAMES_BYTES:
            return False
        if known is not None:
            self._ours.pop(known, None)
        # The platform has each name once: who had this one before, by our memory, has lost it without our hearing.
        if (earlier := self._ours.get(shown)) is not None:
            self._bytes -= _size(earlier, self._shown.pop(earlier))
        self._bytes += size
        self._shown[ours], self._ours[shown] = shown, ours
        return True


def _size(ours: str, shown: str) -> int:
    return len(ours.encode()) + len(shown.encode())
