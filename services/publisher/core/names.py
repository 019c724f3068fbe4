"""Devices that users' converters have named, and which configured device serves each; and devices that have another
name on the platform: kept over a restart. Pure.

The platform may call such a device at any time, also when this publisher has just been started and the device has said
nothing yet. So each name is written down before the platform is told of it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Final, NamedTuple

import msgspec

from services.publisher.core.counters import PublisherCounts
from services.publisher.core.events import KeepNames, NamesKept
from services.publisher.core.outlet import Outlet
from services.publisher.core.renames import Renames

VERSION: Final = 1
MOST_NAMES: Final = 8_000
"""Kept at most, so that announcing all of them at a start leaves room for new ones: see `outbox.MOST_LANES`."""
MOST_NAMES_BYTES: Final = 1024 * 1024
"""The text of all kept names, types and sources: the file is written whole, and read whole at a start."""
MOST_FILE_BYTES: Final = 8 * MOST_NAMES_BYTES
"""A larger file is none of ours: JSON writes a byte of text in six at most, and some are between the names."""
AT_ONCE: Final = 64
"""So few names are written as soon as there is a new one: a small file costs next to nothing."""
APART_S: Final = 1.0
"""More of them are written once in so long: a converter that names thousands must not keep the disk busy."""
CHANGED_APART_S: Final = 60.0
"""A name that comes from another device than before is written after this: two that hear one sensor take turns."""
RETRY_S: Final = 30.0
"""What could not be written is tried again after this: a disk that is full may have been cleared."""
UNTIL_NAMED: Final = "after a restart, calls to devices that are not kept fail until a converter names them again"


class Named(NamedTuple):
    """Who serves a device that a converter has named, and its type."""

    source: str
    device_type: str


class _File(msgspec.Struct):
    """What the file says. A later version may have more fields, with defaults."""

    version: int
    names: dict[str, tuple[str, str]]
    renamed: dict[str, str] = {}


class _Stamp(msgspec.Struct):
    """Only the version: nobody knows what else a newer file has."""

    version: int


class KeptNames:
    """The names, and when they have to be written next (`due_s`; None: nothing is new)."""

    def __init__(
        self,
        kept: Mapping[str, Named],
        configured: Container[str],
        counters: PublisherCounts,
        out: Outlet,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        """`kept` and `renamed` are what the file said. `configured`: the devices, which have their own names. A name
        whose device is not configured stays until somebody says that this one has left (`left`)."""
        self._renames = Renames(renamed or {})
        self._configured = configured
        self._counters = counters
        self._out = out
        self._names: dict[str, Named] = {}
        self._bytes = 0
        self._heard: set[str] = set()
        """Those of the names that a converter has said to this publisher."""
        self._kept_s = float("-inf")
        self._is_full = self._has_failed = False
        self.due_s: float | None = None
        for name, named in kept.items():
            if name not in configured:
                self._put(name, named)

    def get(self, name: str) -> Named | None:
        """Who serves a device of this name; None for one that no converter has named."""
        return self._names.get(name)

    def of(self, source: str) -> list[tuple[str, Named]]:
        """The devices that this one serves beside itself."""
        return [(name, named) for name, named in self._names.items() if named.source == source]

    @property
    def sources(self) -> set[str]:
        """Those that serve others beside themselves."""
        return {named.source for named in self._names.values()}

    def learn(self, name: str, source: str, device_type: str, now_s: float) -> None:
        """A converter of `source` has named this device; mostly that is known."""
        known = self._names.get(name)
        if known is not None:
            self._heard.add(name)
        named = Named(source, device_type or (known.device_type if known else ""))
        if known == named or name in self._configured:
            return
        self._make_room(name, named, known)
        if not self._has_room(name, named, known):
            self._counters["names_not_kept"] += 1
            if not self._is_full:
                self._is_full = True
                self._out.note("warning", "names.full", kept=len(self._names), first=name, then=UNTIL_NAMED)
            return
        self._put(name, named)
        self._heard.add(name)
        if known is None:
            due_s = now_s if len(self._names) <= AT_ONCE else max(now_s, self._kept_s + APART_S)
        else:
            due_s = max(now_s, self._kept_s + CHANGED_APART_S)
        self.due_s = due_s if self.due_s is None else min(self.due_s, due_s)

    def forget(self, name: str, source: str, now_s: float) -> None:
        """Whoever serves this device says that it is gone, so that nobody announces it any more."""
        known = self._names.get(name)
        if known is None or known.source != source:
            return
        del self._names[name]
        self._bytes -= _size(name, known)
        self._is_full = False
        due_s = now_s if len(self._names) <= AT_ONCE else max(now_s, self._kept_s + APART_S)
        self.due_s = due_s if self.due_s is None else min(self.due_s, due_s)

    def configured_anew(self, now_s: float) -> None:
        """Other devices are configured now: names that one of them has itself are forgotten."""
        self._drop([name for name in self._names if name in self._configured], now_s)

    def left(self, source: str, now_s: float) -> None:
        """This device is gone for good, and with it the names that it serves."""
        self._drop([name for name, named in self._names.items() if named.source == source], now_s)

    def _drop(self, gone: list[str], now_s: float) -> None:
        for name in gone:
            self._bytes -= _size(name, self._names.pop(name))
            self._heard.discard(name)
        if gone:
            self._is_full = False
            self.due_s = now_s

    def shown(self, device: str) -> str:
        """What the platform calls a device of ours."""
        return self._renames.shown(device)

    def ours(self, device: str) -> str:
        """What we call a device of the platform's."""
        return self._renames.ours(device)

    def rename(self, old: str, new: str, now_s: float) -> str | None:
        """The platform has renamed a device: our name of it. None where that can't be kept: then its data goes on under
        the old name, and a person is told."""
        ours = self._renames.rename(old, new)
        if ours is None:
            then = "devices that are renamed from now on are created anew under their old names"
            self._out.note("warning", "renames.full", kept=len(self._renames.renamed), first=old, then=then)
            return None
        self.due_s = now_s
        return ours

    def delete(self, device: str, now_s: float) -> None:
        """The platform knows this device of ours no more, under whatever name."""
        named = self._names.pop(device, None)
        if named is not None:
            self._bytes -= _size(device, named)
        self._renames.forget(device)
        self.due_s = now_s

    def keep(self, now_s: float) -> None:
        """Lets the shell write them; `NamesKept` says what became of it."""
        self.due_s, self._kept_s = None, now_s
        self._out.order(KeepNames(encode_names(self._names, self._renames.renamed)))

    def kept(self, event: NamesKept, now_s: float) -> None:
        """They were written, or not: then a person is told once, and it is tried again."""
        if not event.error:
            self._has_failed = False
            return
        self.due_s = now_s + RETRY_S
        if not self._has_failed:
            self._has_failed = True
            self._out.note("warning", "names.not_kept", reason=event.error, retry_in_s=RETRY_S, then=UNTIL_NAMED)

    def _make_room(self, name: str, named: Named, known: Named | None) -> None:
        """Forgets names that only the file knows, the oldest first: a converter that makes a name of each address or
        serial number would else fill it for ever with devices that are gone."""
        while not self._has_room(name, named, known):
            silent = next((old for old in self._names if old not in self._heard and old != name), None)
            if silent is None:
                return
            self._bytes -= _size(silent, self._names.pop(silent))
            self._counters["names_forgotten"] += 1

    def _has_room(self, name: str, named: Named, known: Named | None) -> bool:
        count = len(self._names) + (known is None)
        return count <= MOST_NAMES and self._bytes + _size(name, named) <= MOST_NAMES_BYTES

    def _put(self, name: str, named: Named) -> None:
        known = self._names.get(name)
        self._bytes += _size(name, named) - (_size(name, known) if known else 0)
        self._names[name] = named


def _size(name: str, named: Named) -> int:
    """Bytes of a name with all that is kept of it."""
    return sum(len(text.encode()) for text in (name, *named))


def encode_names(names: Mapping[str, Named], renamed: Mapping[str, str] | None = None) -> bytes:
    """What the file says."""
    named = {name: (*named,) for name, named in names.items()}
    return msgspec.json.encode(_File(VERSION, named, dict(renamed or {})))


def decode_names(content: bytes) -> dict[str, Named]:
    """The names in a file. Raises ValueError, with a sentence, for one that can't be read or is of a newer version."""
    return {name: Named(*named) for name, named in _decode(content).names.items()}


def decode_renamed(content: bytes) -> dict[str, str]:
    """The devices in a file that have another name on the platform: ours → its. Raises ValueError as the other."""
    return _decode(content).renamed


def _decode(content: bytes) -> _File:
    try:
        version = msgspec.json.decode(content, type=_Stamp).version
        if version != VERSION:
            raise ValueError(f"its version is {version}, and this release reads version {VERSION}")
        return msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"it can't be read: {error}") from None
