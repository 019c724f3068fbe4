"""The devices that a connector has named: their types, and whether they are there. Pure.

They are kept in a file beside the journal, so that a host that was killed goes on with those that were there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

VERSION: Final = 1
MOST_DEVICES: Final = 5_000
"""Of one connector: more than any platform's session takes, and a bound for a connector that makes names up."""
APART_S: Final = 1.0
"""The file is written once in so long at most: a connector may name thousands of devices at its start."""
RETRY_S: Final = 30.0
"""What could not be written is tried again after this."""


class KeptDevice(NamedTuple):
    """One device of the table."""

    type: str
    is_connected: bool


class _File(msgspec.Struct):
    """What the file says. A later version may have more fields, with defaults."""

    version: int
    devices: dict[str, tuple[str, bool]]


class DeviceTable:
    """All devices of one connector, and when they have to be written (`due_s`; None: nothing is new)."""

    def __init__(self, kept: Mapping[str, KeptDevice]) -> None:
        self._devices = dict(kept)
        self._kept_s = float("-inf")
        self.due_s: float | None = None

    def __len__(self) -> int:
        return len(self._devices)

    @property
    def connected(self) -> list[tuple[str, str]]:
        """(name, type) of those that are there, in the order in which they were named."""
        return [(name, device.type) for name, device in self._devices.items() if device.is_connected]

    def is_known(self, name: str) -> bool:
        """True for a device that is there."""
        device = self._devices.get(name)
        return device is not None and device.is_connected

    def has_room(self, name: str) -> bool:
        """True if a device of this name may be there."""
        return name in self._devices or len(self._devices) < MOST_DEVICES

    def add(self, name: str, device_type: str, now_s: float) -> bool:
        """A device is there. True if that is news: it was not, or had another type."""
        known = self._devices.get(name)
        kept = KeptDevice(device_type or (known.type if known else ""), True)
        if known == kept:
            return False
        self._devices[name] = kept
        self._owe(now_s)
        return True

    def remove(self, name: str, now_s: float) -> bool:
        """A device is gone, and forgotten. True if that is news."""
        if self._devices.pop(name, None) is None:
            return False
        self._owe(now_s)
        return True

    def end(self, now_s: float) -> None:
        """The connector was stopped in order: nothing of it is there until it says so again."""
        if self._devices:
            self._devices.clear()
            self._owe(now_s)

    def keep(self, now_s: float) -> bytes:
        """What is to be written now; b"" where there is nothing to say."""
        self.due_s, self._kept_s = None, now_s
        return encode_devices(self._devices) if self._devices else b""

    def kept(self, error: str, now_s: float) -> None:
        """It was written, or not."""
        if error:
            self.due_s = now_s + RETRY_S

    def _owe(self, now_s: float) -> None:
        due_s = max(now_s, self._kept_s + APART_S)
        self.due_s = due_s if self.due_s is None else min(self.due_s, due_s)


def encode_devices(devices: Mapping[str, KeptDevice]) -> bytes:
    """What the file says."""
    return msgspec.json.encode(_File(VERSION, {name: (*device,) for name, device in devices.items()}))


def decode_devices(content: bytes) -> dict[str, KeptDevice]:
    """The devices in a file. Raises ValueError, with a sentence, for one that can't be read or that is of a newer
    version."""
    try:
        said = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"it can't be read: {error}") from None
    if said.version != VERSION:
        raise ValueError(f"its version is {said.version}, and this release reads version {VERSION}")
    return {name: KeptDevice(*device) for name, device in said.devices.items()}
