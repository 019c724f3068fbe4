"""Reads a gateway's configuration: the main file and its connector files, or one serial connector file alone.

All problems of all files are found in one go. null counts as "not given" for keys that have no default of their own
(delimiters, positions, writeTimeout, interByteTimeout, exclusive, downlink_converter, reportStrategy, id) and means
"wait for ever" for timeout, as pyserial takes it; anywhere else it is a problem.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from common.config.checking import ConverterChecker, check_unique, warn_broken_files
from common.config.connector_files import ConnectorClass
from common.config.device_reading import ConnectorDefaults, read_connector
from common.config.extension_files import Catalogue, extension_dirs_of, read_catalogue
from common.config.file_names import can_name_a_file
from common.config.findings import Findings, show
from common.config.hosted_reading import is_hosted, read_file, read_hosted, search_of, why_not
from common.config.json_files import read_json
from common.config.json_object import JsonObject
from common.config.logs_reading import read_log_levels
from common.config.modbus_file import has_serial_slaves
from common.config.models import Connector, Device, Gateway, HostedConnector, Platform, Storage
from common.config.names import CONNECTOR_LOG_LEVELS
from common.config.overlay import Laid, Overlay
from common.config.platform_reading import read_platform
from common.config.secrets import without_secrets
from common.config.storage_reading import read_storage
from common.config.strategy_reading import read_strategy
from common.config.web_reading import read_web
from common.core.errors import ConfigError
from common.wire.calls import hosted_stream

_MAIN_KEYS = ("thingsboard", "connectors", "storage")
"""A file with any of these is a main file; one without is a connector's own."""
_OTHER_SECTIONS = ("grpc", "logs")
"""Sections of the main file that have no effect, known so that nobody is warned of them."""


class Loaded(NamedTuple):
    """A configuration that can be used, and what is worth a word in it: one finished sentence each."""

    gateway: Gateway
    warnings: list[str]


def read_gateway(
    path: str | Path,
    environ: Mapping[str, str],
    *,
    with_secrets: bool = False,
    overlay: Overlay | None = None,
    draft: Draft | None = None,
) -> Loaded:
    """Read the configuration at `path`; variables TB_GW_* of `environ` win over the file. `overlay` is what the
    platform has configured, which lies over the files. `draft`: what one of its files would be.

    Unless `with_secrets`, access token, user name, password and client id are None in the result (they are checked
    all the same): only the publisher reads with secrets. No message ever carries one.
    Raises ConfigError with every problem, each `file: path: found X, expected Y`; nothing else for any file content.
    """
    findings = Findings()
    reader = _Reader(Path(os.path.abspath(path)), environ, findings, with_secrets, overlay or Overlay())
    reader.draft = draft
    gateway = reader.read()
    if gateway is None or findings.problems:
        raise ConfigError(findings.problems, findings.warnings)
    if not with_secrets:
        gateway = msgspec.structs.replace(gateway, platform=without_secrets(gateway.platform))
    return Loaded(gateway, findings.warnings)


def laid_over(path: Path, main: Mapping[str, Any], overlay: Overlay) -> Laid:
    """The main file at this path with an overlay over it. Raises nothing: a connector's file that can't be read has no
    value here, and its problem is found where the configuration is read."""

    def read(name: str) -> Any:
        return read_json(path.parent / name, name, Findings()) if can_name_a_file(name) else None

    def read_text(name: str) -> str | None:
        return read_file(path.parent / name) if can_name_a_file(name) else None

    return Laid(main, overlay, read, read_text)


class Draft(NamedTuple):
    """What a file of a configuration would be, before it is."""

    file: Path
    place: Path
    """Where its content lies meanwhile."""


class _Reader:
    """One reading of one configuration, from the file that was named to a gateway that can be used.

    It goes on behind every problem, with a default in the wrong value's place, so that all of them are found in one go.
    """

    def __init__(
        self, path: Path, environ: Mapping[str, str], findings: Findings, with_secrets: bool, overlay: Overlay
    ) -> None:
        self._path = path
        self.draft: Draft | None = None
        self._overlay = overlay
        self._laid: dict[str, Any] = {}
        """Name of a connector's file → what stands in its place."""
        self._logs: Any = None
        """What stands in the place of `logs.json`."""
        self._folder = path.parent
        self._shown = path.name or str(path)
        """How messages name the file: without its folder, which the reader of the message knows."""
        self._environ = environ
        self._findings = findings
        self._with_secrets = with_secrets
        self._extension_dirs = extension_dirs_of(path)
        self._catalogue: Catalogue = read_catalogue(self._extension_dirs)
        self._checker = ConverterChecker(self._catalogue)
        self._devices: list[tuple[JsonObject, Device]] = []
        self._empty: list[JsonObject] = []
        """Connectors without any device: a problem only if no other has one."""
        self._opened: dict[str, str] = {}
        """Path of each connector file → the place that named it first."""
        self._hosted: dict[str, tuple[str, HostedConnector]] = {}
        """Name of each hosted connector → its place, and what it is."""

    def read(self) -> Gateway | None:
        """The gateway; None if there is no object to read from. Problems are in the findings, and may be there in both
        cases."""
        value = read_json(self._place_of(self._path), self._shown, self._findings)
        if self._findings.problems:
            return None
        if not isinstance(value, dict):
            self._findings.problem(self._shown, "top level", show(value), "an object")
            return None
        if not self._overlay.is_empty:
            value = self._lay(value)
        top = JsonObject(value, self._shown, "", self._findings)
        if any(key in value for key in _MAIN_KEYS):
            gateway = self._read_main(top)
        else:
            platform = self._read_platform({})
            connector = self._read_connector(top, str(self._path), ConnectorDefaults())
            gateway = self._gateway(platform, Storage(), (connector,), None)
        self._check_devices()
        return gateway

    def _place_of(self, path: Path) -> Path:
        """Where a file is read: the draft's place, for the file that it may become."""
        draft = self.draft
        is_drafted = draft is not None and os.path.realpath(path) == os.path.realpath(draft.file)
        return draft.place if draft is not None and is_drafted else path

    def _lay(self, value: dict[str, Any]) -> dict[str, Any]:
        """The main file with the platform's words over it; what does not count any more is a warning."""
        laid = laid_over(self._path, value, self._overlay)
        self._findings.warnings += laid.left_out
        self._laid, self._logs = laid.files, laid.logs
        return laid.main

    def _gateway(
        self, platform: Platform, storage: Storage, connectors: tuple[Connector, ...], main: JsonObject | None
    ) -> Gateway:
        return Gateway(
            platform=platform,
            storage=storage,
            connectors=connectors,
            file=str(self._path),
            extension_dirs=self._extension_dirs,
            hosted=tuple(connector for _, connector in self._hosted.values()),
            log_levels=read_log_levels(self._folder, self._findings, self._logs),
            web=read_web(main, self._environ, self._findings),
        )

    def _read_main(self, top: JsonObject) -> Gateway:
        """The main file: the platform, the storage, and the connectors with the files that they name."""
        section = top.child("thingsboard", secret=True)
        platform = self._read_platform(section.values if section else {})
        if "thingsboard" not in top.values and not self._environ.get("TB_GW_HOST"):
            top.warning("thingsboard", f"not given: the platform is taken to be {platform.host}:{platform.port}")
        storage = top.child("storage")
        grpc = top.child("grpc")
        if grpc is not None and grpc.values.get("enabled") is True:
            top.warning("grpc", "connectors that attach over gRPC are not served: nothing listens for them")
        connectors = self._read_connectors(top)
        kept = read_storage(storage, self._folder) if storage else Storage()
        gateway = self._gateway(platform, kept, connectors, top)
        top.knows(*_OTHER_SECTIONS)
        top.warn_unknown()
        return gateway

    def _read_platform(self, values: Mapping[str, Any]) -> Platform:
        return read_platform(
            values, self._shown, self._folder, self._environ, self._findings, read_secret_files=self._with_secrets
        )

    def _read_connectors(self, top: JsonObject) -> tuple[Connector, ...]:
        """The serial connectors among those that are listed; those that users wrote go into `_hosted`. A gateway with
        neither has nothing to do, which is a problem."""
        if "connectors" not in top.values:
            top.problem("connectors", "nothing", "a list of connectors")
            return ()
        before = len(self._findings.problems)
        ours = [entry for entry in top.items("connectors") if self._is_ours(entry)]
        if not ours and not self._hosted and len(self._findings.problems) == before:
            expected = 'at least one of type "serial", or one whose class stands in an extension folder'
            top.problem("connectors", "no serial connector", expected)
        connectors = [self._read_entry(entry) for entry in ours]
        return tuple(connector for connector in connectors if connector is not None)

    def _is_ours(self, entry: JsonObject) -> bool:
        """True for a connector that our port readers take. One that a user wrote is read here, one of another kind gets
        its warning, a faulty entry its problem.

        A custom connector counts as serial if its class says so, or if it names no class. A class that is found in the
        extension folder of its type is a user's, unless it is the reference's own serial connector.
        """
        # The reference has connectors of many types, and a gateway may well have others beside ours.
        kind = entry.required_text("type", meaning='"serial"')
        if not kind:
            return False
        class_name = entry.maybe_text("class") or ""
        search = search_of(entry, kind, self._extension_dirs)
        if search is not None and search.found is not None and is_hosted(search):
            self._read_hosted(entry, kind, search.found)
            return False
        if kind == "modbus" and not class_name and self._has_serial_slaves(entry):
            return True
        if kind == "serial" or (kind == "custom" and (not class_name or "serial" in class_name.lower())):
            return True
        name = entry.values.get("name", "without a name")
        what = show(kind) + (f" (class {show(class_name)})" if kind == "custom" else "")
        entry.findings.warning(
            entry.file,
            entry.path,
            f"connector {show(name)} of type {what} is not served: {why_not(kind, class_name, search)}; the rest runs",
        )
        return False

    def _has_serial_slaves(self, entry: JsonObject) -> bool:
        """True if the Modbus connector's file of this entry has slaves on serial lines, which we read."""
        name = entry.values.get("configuration")
        if not isinstance(name, str) or not can_name_a_file(name) or not os.path.isfile(self._folder / name):
            return False
        place = self._place_of(self._folder / name)
        value = self._laid[name] if name in self._laid else read_json(place, name, Findings())
        return isinstance(value, dict) and has_serial_slaves(value)

    def _read_hosted(self, entry: JsonObject, kind: str, found: ConnectorClass) -> None:
        """A connector that users wrote. Two of one name would share a journal."""
        connector = read_hosted(entry, kind, found, self._folder, self._laid)
        if connector is None:
            return
        place, first = self._hosted.setdefault(connector.name, (entry.path, connector))
        if first is not connector:
            entry.problem("name", f"{show(connector.name)}, as in {place}", "a name that no other connector has")

    def _read_entry(self, entry: JsonObject) -> Connector | None:
        """The connector that an entry of `connectors` names; None where its file can't be read."""
        class_name = entry.maybe_text("class")
        if class_name not in (None, "SerialConnector", "CustomSerialConnector"):
            entry.warning("class", f"{show(class_name)} has no effect: serialgw's own serial connector reads the file")
        defaults = ConnectorDefaults(
            name=entry.maybe_name("name"),
            id=entry.maybe_text("id"),
            log_level=entry.choice("logLevel", "INFO", CONNECTOR_LOG_LEVELS, any_case=True),
            report_strategy=read_strategy(entry),
            remote_logging=entry.flag("enableRemoteLogging", False),
        )
        entry.knows("configVersion")
        for key in ("useGRPC", "useGRPCForce"):
            if entry.values.get(key):
                entry.warning(key, "has no effect: serialgw's own port readers serve this connector")
        entry.knows("useGRPC", "useGRPCForce", "key")
        name = entry.required_text("configuration", meaning="the name of a file beside this one")
        entry.warn_unknown()
        top = self._open_connector(entry, name) if name else None
        return None if top is None else self._read_connector(top, str(self._folder / name), defaults)

    def _open_connector(self, entry: JsonObject, name: str) -> JsonObject | None:
        """The object in the file that a connector names; None where a problem was noted. One file serves one
        connector."""
        path = self._folder / name
        first = self._opened.setdefault(str(path), entry.path)
        if first != entry.path:
            entry.problem("configuration", f"{show(name)}, as in {first}", "a file that no other connector names")
            return None
        if name in self._laid:
            laid, shown = self._laid[name], f"{name} (as the platform has configured it)"
            if isinstance(laid, dict):
                return JsonObject(laid, shown, "", self._findings)
            self._findings.problem(shown, "top level", show(laid), "an object")
            return None
        if not can_name_a_file(name) or not os.path.lexists(path):
            entry.problem("configuration", f"{show(name)}, which is not there", f"a file beside {self._shown}")
            return None
        before = len(self._findings.problems)
        value = read_json(self._place_of(path), name, self._findings)
        if len(self._findings.problems) > before:
            return None
        if not isinstance(value, dict):
            self._findings.problem(name, "top level", show(value), "an object")
            return None
        return JsonObject(value, name, "", self._findings)

    def _read_connector(self, top: JsonObject, path: str, defaults: ConnectorDefaults) -> Connector:
        connector, devices = read_connector(top, path, defaults, self._checker)
        self._devices += devices
        if top.values.get("devices") == []:
            self._empty.append(top)
        return connector

    def _check_devices(self) -> None:
        """What only all devices together show: names and ports that are used twice, connectors without any device."""
        for top in self._empty:
            if self._devices:
                top.warning("devices", "an empty list: this connector has nothing to do")
            else:
                top.problem("devices", "an empty list", "at least one device")
        hosted = {hosted_stream(connector.name): connector.name for _, connector in self._hosted.values()}
        check_unique(self._devices, self._findings, hosted)
        if self._devices and not self._findings.problems:
            warn_broken_files(self._shown, self._catalogue, self._findings)
