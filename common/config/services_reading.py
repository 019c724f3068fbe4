"""Reads what the reference's main file says of services around the data: which devices are left out, when a silent one
is disconnected, what the gateway tells of itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from common.config.findings import show
from common.config.json_files import read_json
from common.config.json_object import JsonObject
from common.config.models import DeviceFiltering, Statistics

INACTIVITY_TIMEOUT_S = 50
INACTIVITY_PERIOD_S = 1
"""The reference's own defaults, where its file gives no value."""
LEAST_STATISTICS_S = 10
"""A shorter period is taken for this, as in the reference."""
STATISTICS_S = 60
CUSTOM_STATISTICS_S = 3_600
LONGEST_S = 31_536_000
"""A year."""


def read_filtering(platform: JsonObject, folder: Path) -> DeviceFiltering | None:
    """The devices that are left out; None where none are. The list stands in a file beside the main file."""
    entry = platform.child("deviceFiltering")
    if entry is None:
        return None
    is_on = entry.flag("enable", False)
    name = entry.maybe_path("filterFile")
    entry.warn_unknown()
    if not is_on:
        return None
    if name is None:
        entry.warning("filterFile", "not given: no device is left out")
        return None
    value = read_json(folder / name, name, entry.findings)
    if value is None:
        return None
    if not isinstance(value, dict):
        entry.findings.problem(name, "top level", show(value), "an object")
        return None
    lists = JsonObject(value, name, "", entry.findings)
    found = DeviceFiltering(deny=_read_list(lists, "deny"), allow=_read_list(lists, "allow"))
    lists.warn_unknown()
    return found


def _read_list(lists: JsonObject, key: str) -> dict[str, tuple[str, ...]]:
    """Connector → the patterns of its devices."""
    entry = lists.child(key)
    if entry is None:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for connector, patterns in entry.values.items():
        if not isinstance(patterns, list):
            entry.problem(connector, show(patterns), "a list of device names")
            continue
        found[connector] = tuple(_patterns(entry, connector, patterns))
    return found


def _patterns(entry: JsonObject, connector: str, patterns: list[Any]) -> list[str]:
    found = []
    file, path = entry.place(connector)
    for index, pattern in enumerate(patterns):
        try:
            if not isinstance(pattern, str):
                raise re.error("no text")
            re.compile(pattern)
            found.append(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            what = f"{show(pattern)} ({error})" if isinstance(pattern, str) else show(pattern)
            entry.findings.problem(file, f"{path}[{index}]", what, "a device's name, or a regular expression for names")
    return found


def read_inactivity(platform: JsonObject) -> tuple[int | None, int]:
    """(seconds of silence after which a device is disconnected, or None; seconds between two looks)."""
    entry = platform.child("checkingDeviceActivity")
    if entry is None:
        return None, INACTIVITY_PERIOD_S
    is_on = entry.flag("checkDeviceInactivity", False)
    timeout_s = entry.whole("inactivityTimeoutSeconds", INACTIVITY_TIMEOUT_S, 1, LONGEST_S)
    period_s = entry.whole("inactivityCheckPeriodSeconds", INACTIVITY_PERIOD_S, 1, LONGEST_S)
    entry.warn_unknown()
    return (timeout_s if is_on else None), period_s


def read_statistics(platform: JsonObject) -> Statistics | None:
    """What the gateway tells of itself, which it does unless it is told not to; None for nothing."""
    entry = platform.child("statistics")
    if entry is None:
        return Statistics(period_s=STATISTICS_S)
    is_on = entry.flag("enable", True)
    period_s = entry.whole("statsSendPeriodInSeconds", STATISTICS_S, 1, LONGEST_S)
    entry.whole("customStatsSendPeriodInSeconds", CUSTOM_STATISTICS_S, 1, LONGEST_S)
    entry.knows("enableCustom")
    if entry.values.get("configuration") and is_on:
        sentence = "has no effect: the gateway runs no commands, so values that a command would print are not sent"
        entry.warning("configuration", sentence)
    entry.knows("configuration")
    entry.warn_unknown()
    if is_on and period_s < LEAST_STATISTICS_S:
        entry.warning("statsSendPeriodInSeconds", f"{period_s} is raised to {LEAST_STATISTICS_S}")
    return Statistics(period_s=max(period_s, LEAST_STATISTICS_S)) if is_on else None
