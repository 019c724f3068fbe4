"""Checks across devices: converters that resolve, names and ports that are used once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from common.config.extension_files import Catalogue, entry_point_names, has_package
from common.config.findings import Findings, nearest, show
from common.config.json_object import JsonObject
from common.config.models import Device
from common.config.names import USERS_OWN
from common.config.ports import identity_of

BUS_KEYS: Final = {
    "baudrate": "baudrate",
    "bytesize": "bytesize",
    "stopbits": "stopbits",
    "parity": "parity",
    "xonxoff": "xonxoff",
    "rtscts": "rtscts",
    "dsrdtr": "dsrdtr",
    "exclusive": "exclusive",
    "dtr": "dtr",
    "rts": "rts",
    "write_timeout_s": "writeTimeout",
    "inter_byte_timeout_s": "interByteTimeout",
}
"""Fields of a line, and their keys. One device of a bus may say them for all."""


class ConverterChecker:
    """Says of converter names whether a class stands behind them, as far as that shows without running it.

    Running it would be the only sure way, which `serialgw check` takes besides; no process that only reads its
    configuration may. What this finds wrong would fail at the first frame; what it finds right may still fail then, and
    makes dead letters of that device alone.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def check(self, device: JsonObject, key: str, name: str, builtin: str) -> None:
        """Note on `key` of `device` if no usable class is called `name`; `builtin` is the one that always is there."""
        if self.meant(name) == builtin:
            return
        if name in self._catalogue.classes:
            self._check_class(device, key, name)
        elif name in self._catalogue.bound:
            if self._catalogue.bound[name] in self._catalogue.loose:
                self._note_loose(device, key, name, self._catalogue.bound[name])
        elif ":" in name:
            self._check_import(device, key, name)
        elif name not in entry_point_names():
            self._note_unknown(device, key, name, builtin)

    def meant(self, name: str) -> str:
        """The name by which processes know that class: another one where a file has a class that is called as one of
        ours and is not the reference's own any more. An unchanged copy does what ours does."""
        return USERS_OWN + name if name in self._catalogue.changed else name

    def _check_class(self, device: JsonObject, key: str, name: str) -> None:
        """A class that a file defines must have `convert`, of its own or from a base that is known."""
        found = self._catalogue.classes[name]
        if found.file in self._catalogue.loose:
            self._note_loose(device, key, name, found.file)
        elif not self._catalogue.has_convert(name):
            place = f"{found.file} line {found.line}"
            device.problem(key, f"{show(name)} ({place}) without convert", "a class with convert(self, config, data)")

    def _note_loose(self, device: JsonObject, key: str, name: str, file: str) -> None:
        """Somebody else may change the file, and would have code run as the gateway's user: so it is not run at all."""
        found = f"{show(name)} in {file}, which other users of this machine may change"
        device.problem(
            key,
            found,
            "a file, in folders, that belong to the gateway's user or the configuration's owner (chmod go-w)",
        )

    def _check_import(self, device: JsonObject, key: str, name: str) -> None:
        """A class of an installed package: only the package is looked for, since finding the module would run the
        package."""
        module, _, class_name = name.partition(":")
        if not class_name.isidentifier() or not has_package(module):
            device.problem(key, show(name), "package.module:Class of a package that is installed")

    def _note_unknown(self, device: JsonObject, key: str, name: str, builtin: str) -> None:
        """Nothing of this name was found. Where a file could not be parsed, it may stand there: then that is the
        problem."""
        broken = self._catalogue.broken
        if broken:
            faults = "; ".join(f"{b.file} line {b.line}, column {b.column}: {b.reason}" for b in broken)
            found = f"{show(name)} in no file that Python can read, and a syntax error ({faults})"
            device.problem(key, found, "valid Python with that class")
            return
        near = nearest(name, (builtin, *self._catalogue.classes))
        hint = f', did you mean "{near}"?' if near else ""
        device.problem(key, show(name), f"{builtin}, a class in extensions/serial/*.py, or package.module:Class{hint}")


def warn_broken_files(file: str, catalogue: Catalogue, findings: Findings) -> None:
    """Warn of extension files with syntax errors. Also where no class of a user's is named: one that is called as ours
    may stand there, and ours would serve the device in its place."""
    for broken in catalogue.broken:
        place = f"line {broken.line}, column {broken.column}"
        findings.warning(file, "extensions", f"{broken.file} can't be read ({place}: {broken.reason})")


def check_unique(
    devices: Sequence[tuple[JsonObject, Device]], findings: Findings, hosted: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Note every device whose name or port an earlier device of the gateway has too, naming both places, and whose name
    is that of a hosted connector's stream. `hosted`: stream → connector."""
    names = _Register(findings, "a name that no other device has")
    has_bus = any(device.asking is not None and device.asking.address is not None for _, device in devices)
    alone = "a port that no other device has"
    ports = _Register(findings, f'{alone}, or an "address" in each of them, as on a bus' if has_bus else alone)
    buses: dict[str, list[tuple[JsonObject, Device]]] = {}
    for entry, device in devices:
        key = entry.used("deviceName", "name")
        names.add(device.name, entry, key, show(device.name))
        if (connector := hosted.get(device.name)) is not None:
            entry.problem(
                key, f"{show(device.name)}, as what the connector {connector} stores is called", "another name"
            )
        line = identity_of(device.line.port)
        if device.asking is not None and device.asking.address is not None:
            buses.setdefault(line, []).append((entry, device))
            if len(buses[line]) > 1:
                continue
        found = show(device.line.port) if line == device.line.port else f"{show(device.line.port)} (which is {line})"
        ports.add(line, entry, "port", found)
    for members in buses.values():
        _check_bus(members)


def _check_bus(members: list[tuple[JsonObject, Device]]) -> None:
    """Notes what devices on one line can't differ in, or share."""
    first_entry, first = members[0]
    addresses: dict[int | None, JsonObject] = {}
    says_bus: JsonObject | None = None
    for entry, device in members:
        address = device.asking.address if device.asking else None
        other = addresses.setdefault(address, entry)
        if other is not entry:
            entry.problem(
                "address", f"{address}, as in {_at(other, entry)}", "an address that no other on the line has"
            )
        if device.line.port != first.line.port:
            found = f"{show(device.line.port)}, which is the port of {_at(first_entry, entry)}"
            entry.problem("port", found, f"{show(first.line.port)}, the same name on all devices of a line")
        for name, key in BUS_KEYS.items():
            ours, theirs = getattr(device.line, name), getattr(first.line, name)
            if ours != theirs:
                found = f"{show(ours)}, where {_at(first_entry, entry)} has {show(theirs)}"
                entry.problem(key, found, "the same on all devices of a line")
        if device.framing != first.framing:
            found = f"another framing than {_at(first_entry, entry)}"
            entry.problem("framing", found, "the same on all devices of a line")
        if device.has_user_converter or first.has_user_converter:
            entry.problem("converter", "a converter of your own on a bus", "serialgw's own: it knows whose a frame is")
        if device.asking is not None and device.asking.bus is not None:
            if says_bus is not None:
                entry.problem(
                    "bus", f"bus, which {_at(says_bus, entry)} says too", "it in one of them: it holds for all"
                )
            says_bus = entry


def _at(there: JsonObject, here: JsonObject) -> str:
    """The place of another object, for a message at this one."""
    return there.path if there.file == here.file else f"{there.file}: {there.path}"


class _Register:
    """What must be used once, and where it was used first."""

    def __init__(self, findings: Findings, expected: str) -> None:
        self._findings = findings
        self._expected = expected
        self._first: dict[str, tuple[str, str]] = {}

    def add(self, identity: str, entry: JsonObject, key: str, found: str) -> None:
        """Notes a problem if this was used before; both places are named, as either may be the wrong one."""
        # What is wrong in itself is no repeat.
        if entry.values.get(key, identity) in (None, "") or not isinstance(entry.values.get(key, ""), str):
            return  # Already noted as no text; the default stands in its place.
        place = entry.place(key)
        file, path = self._first.setdefault(identity, place)
        if (file, path) != place:
            other = path if file == entry.file else f"{file}: {path}"
            self._findings.problem(*place, f"{found}, as in {other}", self._expected)
