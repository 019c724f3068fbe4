"""Reads the entries of `connectors` whose class users wrote: which of them are hosted, and what their process needs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import simplejson

from common.config.connector_files import ConnectorClass, Search, find_connector, folder_of
from common.config.file_names import can_name_a_file
from common.config.findings import Findings, show
from common.config.json_object import JsonObject
from common.config.models import HostedConnector, ReportStrategy
from common.config.names import CONNECTOR_LOG_LEVELS
from common.config.strategy_reading import read_strategy
from common.stream.limits import MAX_RECORDS

OUR_TYPES: Final = ("serial", "custom")
"""Types whose entries our port readers take, unless their class is a user's own."""
MOST_FILE_BYTES: Final = 16 * 1024 * 1024
"""A connector's configuration file is larger than this by mistake only."""
LEAST_MEMORY_MB: Final = 32
"""Less than this a process has not even before it has loaded the connector."""
MOST_MEMORY_MB: Final = 1024 * 1024


def search_of(entry: JsonObject, kind: str, folders: Sequence[str]) -> Search | None:
    """What came of looking for the class that an entry names; None where it names none."""
    class_name = entry.maybe_text("class")
    return None if class_name is None else find_connector(kind, class_name, folders)


def is_hosted(search: Search | None) -> bool:
    """True if an entry's class was found and is a user's own."""
    return search is not None and search.found is not None and not search.found.is_shipped


def read_hosted(
    entry: JsonObject, kind: str, found: ConnectorClass, folder: Path, laid: Mapping[str, Any]
) -> HostedConnector | None:
    """The connector of an entry whose class was found; None where it can't be read, which is noted. `folder`: the main
    file's, beside which the connector's file stands. `laid`: by their names, files in whose place something else
    stands, an object or a text."""
    if found.is_loose:
        entry.problem(
            "class",
            f"{show(found.name)} in {found.file}, which other users of this machine may change",
            "a file, in folders, that belong to the gateway's user or the configuration's owner (chmod go-w)",
        )
        return None
    name = entry.required_name("name", meaning="the connector's name (a text)")
    file = entry.required_text("configuration", meaning="the name of a file beside this one")
    log_level = entry.choice("logLevel", "INFO", CONNECTOR_LOG_LEVELS, any_case=True)
    remote_logging = entry.flag("enableRemoteLogging", False)
    strategy = read_strategy(entry)
    entry.knows("configVersion", "useGRPC", "useGRPCForce", "key")
    memory_mb = entry.maybe_whole("memoryLimitMB", LEAST_MEMORY_MB, MOST_MEMORY_MB)
    records = entry.whole("uplinkQueueSize", MAX_RECORDS, 1)
    given_id = entry.maybe_text("id")
    entry.warn_unknown(only_near=True)
    if file in laid:
        value = laid[file]
        text: str | None = value if isinstance(value, str) else simplejson.dumps(value)
    else:
        text = _read_file(entry, folder, file) if file else None
    if text is None or not name:
        return None
    config = _object_of(text)
    if config is not None:
        log_level = _level_of(config, log_level)
        said = config.get("enableRemoteLogging")
        remote_logging = said if isinstance(said, bool) else remote_logging
        strategy = _strategy_of(config, str(folder / file), entry) or strategy
        given_id = given_id or (config["id"] if isinstance(config.get("id"), str) else None)
    return HostedConnector(
        name=name,
        type=kind,
        class_name=found.name,
        class_file=found.file,
        id=given_id,
        log_level=log_level,
        remote_logging=remote_logging,
        report_strategy=strategy,
        file=str(folder / file),
        config=config,
        text="" if config is not None else text,
        uplink_queue_size=records,
        memory_limit_mb=memory_mb,
    )


def why_not(kind: str, class_name: str, search: Search | None) -> str:
    """Why an entry of another type than ours is not served, as the end of a sentence."""
    ours = "serialgw runs serial connectors and those of your own"
    if search is None:
        return f'{ours}, and this one names no "class" of yours'
    place = f"extensions/{folder_of(kind)}/"
    if search.broken:
        return f"{ours}, and its class {show(class_name)} was not found in {place}, where {search.broken}"
    return f"{ours}, and its class {show(class_name)} is in no file of {place}"


def read_file(path: Path) -> str | None:
    """What a file says, as far as it is read; None where it can't be. Raises nothing."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return file.read(MOST_FILE_BYTES).decode("utf-8-sig", errors="replace")
    except OSError:
        return None


def _read_file(entry: JsonObject, folder: Path, name: str) -> str | None:
    """What the connector's file says; None where it can't be read, which is noted."""
    path = folder / name
    if not can_name_a_file(name) or not os.path.lexists(path):
        entry.problem("configuration", f"{show(name)}, which is not there", f"a file beside {entry.file}")
        return None
    if path.exists() and not path.is_file():
        # Reading a pipe may never end.
        entry.problem("configuration", f"{show(name)}, which is no plain file", f"a file beside {entry.file}")
        return None
    try:
        with path.open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        entry.problem("configuration", f"{show(name)}: {error.strerror or error}", "a file that can be read")
        return None
    if len(content) > MOST_FILE_BYTES:
        entry.problem("configuration", f"{show(name)} with more than {MOST_FILE_BYTES} bytes", "a smaller file")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        entry.problem("configuration", f"{show(name)}, which is not UTF-8", "a text in UTF-8")
        return None


def _object_of(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is; None where it is none, as the reference has it: such a file is handed on."""
    try:
        value = simplejson.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _strategy_of(config: dict[str, Any], file: str, entry: JsonObject) -> ReportStrategy | None:
    """The report strategy in the connector's own file, which wins. That file is the connector's: what is none is said,
    and stops nothing."""
    findings = Findings()
    strategy = read_strategy(JsonObject(config, file, "", findings))
    entry.findings.warnings += [f"{problem}; it has no effect" for problem in findings.problems]
    return None if findings.problems else strategy


def _level_of(config: dict[str, Any], default: str) -> str:
    """The level in the connector's own file, which wins; nonsense there is the connector's affair."""
    level = config.get("logLevel")
    known = level.upper() if isinstance(level, str) else ""
    return known if known in CONNECTOR_LOG_LEVELS else default
