"""docs/configuration.md has every key that the readers know, with defaults and examples that are right."""

from __future__ import annotations

import copy
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.config.json_object import JsonObject
from common.config.models import Gateway
from common.config.names import CONFIG_DIR_VARIABLE, SECRET_FILE_SUFFIX, SECRET_VARIABLES
from common.config.platform_reading import LOGS_VARIABLE, PLATFORM_VARIABLES, PROXY_VARIABLES, SECURITY_VARIABLES
from common.config.provisioning_reading import PROVISIONING_VARIABLES
from common.config.reading import Loaded, read_gateway
from common.io.arguments import DATA_DIR_VARIABLE
from docs.generate import PAGE, page
from docs.keys import (
    ACTIVITY,
    CHECKSUM,
    CONNECTOR,
    CONNECTORS,
    DEVICE,
    FILTERING,
    MAIN,
    NOTHING,
    PLATFORM,
    POINT,
    PROVISIONING,
    REPORT,
    RPC,
    SECTIONS,
    SECURITY,
    STATISTICS,
    STORAGE,
    UPDATE,
    VARIABLES,
    Key,
    Section,
)

LISTS = ("connectors", "devices", "telemetry", "attributes", "attributeUpdates", "serverSideRpc")
CHILDREN = {
    MAIN.path: {"thingsboard": PLATFORM, "storage": STORAGE, "connectors": CONNECTORS},
    PLATFORM.path: {
        "security": SECURITY,
        "provisioning": PROVISIONING,
        "deviceFiltering": FILTERING,
        "checkingDeviceActivity": ACTIVITY,
        "statistics": STATISTICS,
    },
    CONNECTOR.path: {"devices": DEVICE},
    DEVICE.path: {"telemetry": POINT, "attributes": POINT, "serverSideRpc": RPC, "attributeUpdates": UPDATE},
}
REQUIRED = {
    PROVISIONING.path: ("provisionDeviceKey", "provisionDeviceSecret"),
    ACTIVITY.path: ("checkDeviceInactivity",),
    CONNECTORS.path: ("type", "configuration", "name"),
    CONNECTOR.path: ("name", "devices"),
    POINT.path: ("key",),
    RPC.path: ("method",),
    UPDATE.path: ("attributeOnPlatform", "stringToDevice"),
}
KEYS = [(section, key) for section in SECTIONS for key in section.keys]


def built(section: Section, keep: frozenset[str] | None = None) -> dict[str, Any]:
    """An object of a section, put together of its examples, with objects in it that are made alike. `keep`: only with
    what is required, and these keys."""
    children = CHILDREN.get(section.path, {})
    found: dict[str, Any] = {}
    for key in section.keys:
        if keep is None or key.name in keep or key.name in REQUIRED.get(section.path, ()) or key.name in children:
            found[key.name] = key.example
        if key.name in children:
            child = built(children[key.name], keep)
            found[key.name] = [child] if key.name in LISTS else child
    return found


def write(folder: Path, main: dict[str, Any], connector: dict[str, Any]) -> Loaded:
    folder.mkdir(exist_ok=True)
    for name in ("ca.pem", "key.pem", "cert.pem"):
        (folder / name).touch()
    (folder / "tb_gateway.json").write_text(json.dumps(main))
    (folder / "custom_serial.json").write_text(json.dumps(connector))
    return read_gateway(folder / "tb_gateway.json", {}, with_secrets=True)


def pattern_of(entry: JsonObject) -> str:
    """The path of the section that an object belongs to."""
    path = re.sub(r"\[\d+\]", "[]", entry.path).replace(".attributes[]", ".telemetry[]")
    if path.endswith("reportStrategy"):
        return REPORT.path
    if path.endswith(("hecksum", ".type")):
        return CHECKSUM.path
    path = path.removesuffix(".add")
    return CONNECTOR.path if not path and entry.file == "custom_serial.json" else path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Path of a section → the keys that were asked for, or called known, in all objects that are read meanwhile."""
    found: dict[str, set[str]] = defaultdict(set)
    warn = JsonObject.warn_unknown

    def note(entry: JsonObject, **options: Any) -> None:
        found[pattern_of(entry)].update(entry._known)
        warn(entry, **options)

    monkeypatch.setattr(JsonObject, "warn_unknown", note)
    return found


def test_the_page_has_every_key_that_is_read(asked: dict[str, set[str]], tmp_path: Path) -> None:
    """Who adds a key to a reader adds a line to `docs/keys.py`, and runs `make docs`."""
    write(tmp_path, built(MAIN), built(CONNECTOR))
    documented = {
        section.path: {name for key in section.keys for name in (key.name, key.also) if name} for section in SECTIONS
    }
    missing = {
        path or "main file": sorted(keys - documented.get(path, set()))
        for path, keys in asked.items()
        if keys - documented.get(path, set())
    }
    assert not missing, f"docs/keys.py lacks: {missing}"
    gone = {
        path or "main file": sorted(names - asked[path]) for path, names in documented.items() if names - asked[path]
    }
    assert not gone, f"docs/keys.py has keys that nobody reads: {gone}"


def test_the_page_is_up_to_date() -> None:
    """`make docs` writes it."""
    assert PAGE.read_text("utf-8") == page(), "docs/configuration.md is out of date: make docs"


def test_all_examples_can_be_used_together(tmp_path: Path) -> None:
    """No key is unknown, and none of their values is wrong."""
    warnings = write(tmp_path, built(MAIN), built(CONNECTOR)).warnings
    assert not [warning for warning in warnings if "unknown key" in warning]


def test_every_variable_is_there() -> None:
    known = {name for name, _ in (*PLATFORM_VARIABLES, *SECURITY_VARIABLES)} | {DATA_DIR_VARIABLE, *PROXY_VARIABLES}
    known |= {*PROVISIONING_VARIABLES, CONFIG_DIR_VARIABLE, LOGS_VARIABLE}
    known |= {name + SECRET_FILE_SUFFIX for name in SECRET_VARIABLES}
    assert {variable.name for variable in VARIABLES} == known


@pytest.mark.parametrize(("section", "key"), [(s, k) for s, k in KEYS if k.default is not NOTHING])
def test_a_default_is_what_counts_without_the_key(section: Section, key: Key, tmp_path: Path) -> None:
    """A configuration that says it means the same as one that does not."""
    without = meaning(tmp_path / "without", section, key.name, NOTHING)
    given = meaning(tmp_path / "given", section, key.name, key.default)
    assert given == without


@pytest.mark.parametrize(("section", "key"), [(s, k) for s, k in KEYS if k.default is not NOTHING and not k.unapplied])
def test_an_example_makes_a_difference(section: Section, key: Key, tmp_path: Path) -> None:
    """Unless it shows the default."""
    without = meaning(tmp_path / "without", section, key.name, NOTHING)
    given = meaning(tmp_path / "given", section, key.name, key.example)
    assert (given == without) == (key.example == key.default)


def meaning(folder: Path, section: Section, name: str, value: Any) -> Gateway:
    """What a small configuration means, with the key at this value or without it, less what only repeats the file."""
    keep = frozenset({"reportStrategy"}) if section is REPORT else frozenset()
    main, connector = copy.deepcopy(built(MAIN, keep)), copy.deepcopy(built(CONNECTOR, keep))
    place = found_in(section, main, connector)
    place.pop(name, None)
    if value is not NOTHING:
        place[name] = value
    gateway = msgspec.to_builtins(write(folder, main, connector).gateway)
    del gateway["file"], gateway["extension_dirs"]
    for one in gateway["connectors"]:
        del one["file"]
        for device in one["devices"]:
            del device["raw"]
            for rpc in device["rpcs"]:
                del rpc["raw"]
    return gateway


def found_in(section: Section, main: dict[str, Any], connector: dict[str, Any]) -> dict[str, Any]:
    """The object of a section in the two files."""
    if section is MAIN:
        return main
    if section is CONNECTOR:
        return connector
    start: Any = main if section.path.split(".")[0].removesuffix("[]") in main else connector
    for word in section.path.split("."):
        start = start[word.removesuffix("[]")]
        start = start[0] if word.endswith("[]") else start
    return start
