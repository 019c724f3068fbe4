"""What the platform has configured, laid over the user's files. The files themselves are never written.

The parts have the reference's names: sections of the main file, the list of connectors that run, and connectors, each
with its file's content. A part remembers what stood in the files when it came. If somebody has edited them since, they
count again, and the part is left out: who edits a file by hand means it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from common.config.logs_reading import NAME as LOGS_FILE
from common.core.hashes import short_hash

REMOTE_DIR: Final = "remote"
"""Folder in the data directory, for all that concerns a platform that configures."""
OVERLAY_NAME: Final = "overlay.json"
CONFIGURED_NAME: Final = "configured.json"
"""What is configured, as the platform is to see it."""
PREVIOUS_NAME: Final = "previous.json"
"""The snapshot to return to, while another one is being applied."""
TRYING_NAME: Final = "trying.json"
"""The request that is being looked at."""
VERSION: Final = 1
SECTIONS: Final = {
    "general_configuration": "thingsboard",
    "storage_configuration": "storage",
    "grpc_configuration": "grpc",
}
"""The platform's name → the main file's."""
ACTIVE_KEY: Final = "active_connectors"
LOGS_KEY: Final = "logs_configuration"
"""What stands in `logs.json`, whole."""
OWN_KEYS: Final = ("host", "port", "security", "provisioning")
"""Of the general configuration: how the platform is reached. These stay the file's: a mistake there could not be taken
back from the platform, and secrets are read where the user has put them."""
ENTRY_KEYS: Final = ("logLevel", "enableRemoteLogging", "reportStrategy", "id", "configVersion")
"""Keys that the platform says of a connector beside its file's content, and that may stand there too."""
_NOT_CONFIGURED: Final = ("ts",)
"""When the platform has sent a part; no key of a configuration."""


class Part(msgspec.Struct, frozen=True):
    """A part as the platform said it, and the fingerprint of what it was laid over."""

    value: Any
    base: str


class Overlay(msgspec.Struct, frozen=True, kw_only=True):
    """All parts. A later version may have more fields, with defaults."""

    version: int = VERSION
    sections: dict[str, Part] = {}
    connectors: dict[str, Part] = {}
    active: Part | None = None
    logs: Part | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.sections or self.connectors or self.active or self.logs)

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts, by the names that the platform has for them."""
        others = {ACTIVE_KEY: self.active, LOGS_KEY: self.logs}
        return (*self.sections, *self.connectors, *(key for key, part in others.items() if part))

    def with_part(self, key: str, value: Any, base: str) -> Overlay:
        """A copy in which this part is the newest of its key."""
        part = Part(value, base)
        if key in SECTIONS:
            return msgspec.structs.replace(self, sections={**self.sections, key: part})
        if key == ACTIVE_KEY:
            return msgspec.structs.replace(self, active=part)
        if key == LOGS_KEY:
            return msgspec.structs.replace(self, logs=part)
        return msgspec.structs.replace(self, connectors={**self.connectors, key: part})


class Laid:
    """A main file with an overlay over it: its value, the connectors' files in it, and what was left out."""

    def __init__(
        self,
        main: Mapping[str, Any],
        overlay: Overlay,
        read: Callable[[str], Any],
        read_text: Callable[[str], str | None],
    ) -> None:
        """`main` is the file's value, `read` gives the value in a connector's file, None where it has none; `read_text`
        what stands there, None where it can't be read."""
        self.read = read
        self._read_text = read_text
        self._file = main
        self.files: dict[str, Any] = {}
        """Name of a connector's file → what stands in its place: an object, or a hosted connector's text."""
        self.logs: Any = None
        """What stands in the place of `logs.json`; None for nothing."""
        self.left_out: list[str] = []
        """A sentence for each part that does not count any more."""
        self.main: dict[str, Any] = dict(main)
        for key, part in overlay.sections.items():
            if self._counts(key, part):
                self.main[SECTIONS[key]] = laid_section(key, _object(main.get(SECTIONS[key])), _object(part.value))
        entries = [dict(entry) for entry in _entries(main)]
        for name, part in overlay.connectors.items():
            if self._counts(name, part) and isinstance(part.value, dict):
                self._lay_connector(entries, name, part.value)
        if overlay.logs is not None and self._counts(LOGS_KEY, overlay.logs):
            self.logs = overlay.logs.value
        active = overlay.active
        if active is not None and self._counts(ACTIVE_KEY, active) and isinstance(active.value, list):
            entries = [entry for entry in entries if entry.get("name") in active.value]
        if overlay.connectors or overlay.active:
            self.main["connectors"] = entries

    def _counts(self, key: str, part: Part) -> bool:
        if part.base == self.base_of(key):
            return True
        self.left_out.append(
            f"{key}: the files were edited after the platform had configured this; the files count "
            f"(the data directory has what the platform said, in {REMOTE_DIR}/{OVERLAY_NAME})"
        )
        return False

    def base_of(self, key: str) -> str:
        """The fingerprint of what stands in the files for a part."""
        if key in SECTIONS:
            section = _object(self._file.get(SECTIONS[key]))
            return _fingerprint({name: value for name, value in section.items() if name not in OWN_KEYS})
        if key == LOGS_KEY:
            return _fingerprint(self.read(LOGS_FILE))
        if key == ACTIVE_KEY:
            return _fingerprint([entry.get("name") for entry in _entries(self._file)])
        entry = next((entry for entry in _entries(self._file) if entry.get("name") == key), None)
        if entry is None:
            return ""
        name = entry.get("configuration")
        value = self.read(name) if isinstance(name, str) else None
        if value is None and isinstance(name, str):
            value = self._read_text(name)
        return _fingerprint([entry, value])

    def _lay_connector(self, entries: list[dict[str, Any]], name: str, said: dict[str, Any]) -> None:
        """A connector as the platform says it. What it does not say stays: above all the class of one that a user has
        written."""
        entry = next((entry for entry in entries if entry.get("name") == name), None)
        is_new = entry is None
        if entry is None:
            entry = {"name": name, "configuration": _file_name(name, said.get("configuration"), entries)}
            entries.append(entry)
        file = entry.get("configuration")
        value = self.read(file) if isinstance(file, str) else None
        told = said.get("configurationJson")
        for key in ("type", "class"):
            if said.get(key):
                entry[key] = said[key]
        entry |= {key: said[key] for key in ENTRY_KEYS if said.get(key) is not None}
        if not isinstance(file, str):
            return
        if isinstance(told, str):
            # A hosted connector may read another language than JSON.
            self.files[file] = told
            return
        if not isinstance(told, dict) and not isinstance(value, dict) and not is_new:
            # So its file is in another language, and nobody has said another.
            return
        own = _object(value)
        content = dict(told) if isinstance(told, dict) else dict(own)
        for key in ENTRY_KEYS:
            if said.get(key) is not None:
                content[key] = said[key]
            elif key in own:
                content.setdefault(key, own[key])
        content.setdefault("name", name)
        self.files[file] = content


def laid_section(key: str, file: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """A section of the main file with the platform's words over it."""
    left = (*_NOT_CONFIGURED, *(OWN_KEYS if SECTIONS[key] == "thingsboard" else ()))
    return {**file, **{name: value for name, value in said.items() if name not in left}}


def configured_attributes(laid: Laid, overlay: Overlay, now_ms: int) -> dict[str, Any]:
    """What the gateway says of its configuration: the attributes that ThingsBoard's dashboards read, without secrets.

    `ts` is when the platform had said a part, else `now_ms`: so a dashboard sees that its own was taken.
    """
    found: dict[str, Any] = {}
    for key, section in SECTIONS.items():
        value = dict(_object(laid.main.get(section)))
        value.pop("provisioning", None)
        if isinstance(value.get("security"), dict):
            implied = "accessToken" if "accessToken" in value["security"] else "usernamePassword"
            value["security"] = {"type": value["security"].get("type", implied)}
        found[key] = {**value, "ts": _ts_of(overlay.sections.get(key), now_ms)}
    logs = laid.logs if laid.logs is not None else laid.read(LOGS_FILE)
    if isinstance(logs, dict):
        found[LOGS_KEY] = {**logs, "ts": _ts_of(overlay.logs, now_ms)}
    entries = _entries(laid.main)
    found[ACTIVE_KEY] = [entry.get("name") for entry in entries]
    for entry in entries:
        name, file = entry.get("name"), entry.get("configuration")
        if isinstance(name, str) and isinstance(file, str):
            value = laid.files.get(file, laid.read(file))
            content = dict(value) if isinstance(value, dict) else {}
            # A text that is on the disk is not told; the platform may well put one in its place.
            told: dict[str, Any] = {"configurationJson": content} if isinstance(value, dict) else {}
            if isinstance(value, str):
                told = {"configurationJson": value}
            # The dashboards have these beside the content.
            beside = {"logLevel": "INFO", "enableRemoteLogging": False}
            beside |= {key: entry[key] for key in ENTRY_KEYS if key in entry}
            beside |= {key: content.pop(key) for key in ENTRY_KEYS if key in content}
            found[name] = {
                **entry,
                **beside,
                **told,
                "ts": _ts_of(overlay.connectors.get(name), now_ms),
            }
    return found


def read_overlay(path: Path) -> Overlay:
    """The overlay in a file; an empty one where there is none that can be used."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Overlay)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Overlay()
    return found if found.version == VERSION else Overlay()


class Configured(msgspec.Struct, kw_only=True):
    """What CONFIGURED_NAME says; the publisher reads it. A later version may have more fields, with defaults."""

    attributes: dict[str, Any] = {}
    """What the gateway says of its configuration."""
    handled: dict[str, str] = {}
    """Part → fingerprint of what the platform said of it last, whether that was taken or refused."""


class Request(msgspec.Struct, kw_only=True):
    """What the platform wants configured, as the publisher writes it down."""

    parts: dict[str, Any]
    fingerprints: dict[str, str] = {}
    """Of each part as the platform said it, before what is secret was taken out."""


def read_configured(folder: Path) -> Configured:
    """What is configured, as it was written down last. Raises nothing."""
    try:
        return msgspec.json.decode((folder / CONFIGURED_NAME).read_bytes(), type=Configured)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Configured()


def requests_in(folder: Path) -> list[Path]:
    """What the platform wants configured and nobody has looked at yet, oldest first. Raises nothing."""
    return sorted(folder.glob("request-*.json"))


def is_waiting(folder: Path) -> bool:
    """True while there is anything to look at: requests, or what somebody has left who was ended. Raises nothing."""
    return bool(requests_in(folder)) or any((folder / name).exists() for name in (PREVIOUS_NAME, TRYING_NAME))


def _fingerprint(value: Any) -> str:
    return short_hash(msgspec.json.encode(value, order="deterministic"), 32)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _entries(main: Mapping[str, Any]) -> list[dict[str, Any]]:
    entries = main.get("connectors")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _file_name(name: str, wanted: Any, entries: list[dict[str, Any]]) -> str:
    """The name of a new connector's file, which is no file of anybody: it is never on the disk under this name."""
    taken = {entry.get("configuration") for entry in entries}
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name.lower())
    for candidate in (wanted, f"{plain}.json"):
        if isinstance(candidate, str) and candidate not in taken and candidate == Path(candidate).name:
            return candidate
    return f"{plain}-{short_hash(name.encode(), 8)}.json"


def _ts_of(part: Part | None, now_ms: int) -> int:
    said = part.value.get("ts") if part is not None and isinstance(part.value, dict) else None
    return said if isinstance(said, int) else now_ms
