"""A profile alone, as the device that it describes: for whoever tries, identifies or documents it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from common.config.checking import ConverterChecker
from common.config.device_reading import ConnectorDefaults, read_connector
from common.config.extension_files import read_catalogue
from common.config.findings import Findings, show
from common.config.json_object import JsonObject
from common.config.models import Device
from common.config.profiles import Profile, is_name, no_profile, profile_names, read_profile
from common.core.errors import ConfigError

NO_PORT: Final = "/dev/null"
"""Stands where a device must have a port and none is ever opened."""


def find_profile(name: str, folder: Path | None = None) -> Profile:
    """The profile of this name. Raises ConfigError: there is none, or its file has problems."""
    findings = Findings()
    known = profile_names(folder)
    if not is_name(name) or name not in known:
        raise ConfigError([f"profile: found {show(name)}, expected {no_profile(name, known)}"])
    profile = read_profile(name, known[name], findings)
    if profile is None:
        raise ConfigError(findings.problems, findings.warnings)
    return profile


def device_of_profile(
    profile: Profile,
    folder: Path | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    section: Mapping[str, Any] | None = None,
) -> Device:
    """The device that a section with this profile is, on a port that is none. `section`: what is laid over it besides.

    Raises ConfigError with every problem of the profile and of what was given.
    """
    entry: dict[str, Any] = {"name": profile.name, "port": NO_PORT, **(section or {}), "profile": profile.name}
    if parameters:
        entry["parameters"] = dict(parameters)
    findings = Findings()
    place = "a device with this profile"
    file = str((folder or Path()) / place)
    connector, _ = read_connector(
        JsonObject({"devices": [entry]}, place, "", findings),
        file,
        ConnectorDefaults(name="Serial"),
        ConverterChecker(read_catalogue(())),
    )
    if findings.problems:
        raise ConfigError(findings.problems, findings.warnings)
    return msgspec.structs.replace(connector.devices[0], raw={})
