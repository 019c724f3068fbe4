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
from common.config.web_reading import HOSTS_VARIABLE
from common.config.web_reading import VARIABLE as WEB_VARIABLE
from common.io.arguments import DATA_DIR_VARIABLE
from common.io.logs import FORMAT_VARIABLE
from common.io.variables import ALIVE_VARIABLE
from docs.generate import PAGE, page
from docs.keys import (
    ACTIVITY,
    ASKED,
    ASKED_BY_CALLS,
    CHECKSUM,
    CONNECTOR,
    CONNECTORS,
    DEVICE,
    FILTERING,
    MAIN,
    MESSAGE,
    NOTHING,
    OF_ANSWERS,
    OF_LINES,
    OF_PROFILES,
    PLACED,
    PLATFORM,
    POINT,
    PROVISIONING,
    REGISTERS,
    REPORT,
    RPC,
    SECTIONS,
    SECURITY,
    STATISTICS,
    STORAGE,
    UPDATE,
    VARIABLES,
    WEB,
    Key,
    Section,
)

LISTS = ("connectors", "devices", "messages", "telemetry", "attributes", "attributeUpdates", "serverSideRpc")
CHILDREN = {
    MAIN.path: {"thingsboard": PLATFORM, "storage": STORAGE, "web": WEB, "connectors": CONNECTORS},
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
OF_ASKING = {key.name for key in (*ASKED, *OF_LINES, *OF_PROFILES)}
"""Keys of devices that are asked, acknowledge frames, or have a profile: not all beside each other."""
OF_REGISTERS = {key.name for key in (*REGISTERS, *ASKED_BY_CALLS)}
"""Keys of calls and updates of Modbus devices, and other words for keys of calls: not beside those."""
OF_MESSAGES = {"messages", *(key.name for key in MESSAGE.keys if key not in OF_ANSWERS)} - {
    "name",
    "telemetry",
    "attributes",
    "byteorder",
}
"""Keys of a device that is one message, or has several: not beside all others."""
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
        if section is DEVICE and key.name in OF_MESSAGES | OF_ASKING:
            continue
        if (section is RPC and key.name in OF_REGISTERS) or (section is UPDATE and key.name in OF_REGISTERS | {"type"}):
            continue
        if keep is None or key.name in keep or key.name in REQUIRED.get(section.path, ()) or key.name in children:
            found[key.name] = key.example
        if key.name in children:
            child = built(children[key.name], keep)
            found[key.name] = [child] if key.name in LISTS else child
    return found


def one_by_one() -> dict[str, Any]:
    """A device with a message for each key that messages may have, and a data point for each key of a place."""
    points = [point_with(key) | {key.name: key.example} for key in PLACED.keys]
    plain = [key for key in MESSAGE.keys if key.example != [] and key not in (*ASKED, *OF_ANSWERS)]
    messages = [message_with(f"when {key.name}") | {key.name: key.example} for key in plain]
    lists = message_with("lists") | {"fields": ",", "pairs": [";", "="], "telemetry": points, "attributes": points}
    return {"name": "one by one", "port": "/dev/ttyUSB9", "messages": [*messages, lists]}


def asked_ones() -> list[dict[str, Any]]:
    """A device with the keys of asking, and a Modbus device with those of registers."""
    keys = {key.name: key.example for key in (*ASKED, *OF_LINES)}
    question = {key: keys[key] for key in ("ask", "every", "aligned", "on", "answer", "timeoutMs", "retries")}
    frame = {"name": "frame", "when": "^F", "reply": keys["reply"]}
    dialogue = {"name": "dialogue", "when": "^D", **question, **{key.name: key.example for key in OF_ANSWERS}}
    of_line = {key: keys[key] for key in ("send", "init", "onBadFrame", "dropRepeats")}
    call = {"method": "call", **{key.name: key.example for key in ASKED_BY_CALLS}}
    instrument = {
        "name": "instrument",
        "port": "/dev/ttyUSB7",
        "framing": {"end": "\n"},
        "messages": [dialogue, frame],
        "serverSideRpc": [call],
        **of_line,
    }
    register = {key.name: key.example for key in REGISTERS}
    meter = {
        "name": "meter",
        "port": "/dev/ttyUSB8",
        "framing": "modbus-rtu",
        **{key: keys[key] for key in ("address", "bus", "merge", "every", "timeoutMs", "retries")},
        "telemetry": [{"key": "power", "register": "input:12", "type": "float32", "every": 60}],
        "serverSideRpc": [{"method": "set", "type": "float32", **register}],
        "attributeUpdates": [{"attributeOnPlatform": "limit", "type": "float32", **register}],
    }
    profiled = {"name": "profiled", "port": "/dev/ttyUSB6", **{key.name: key.example for key in OF_PROFILES}}
    return [instrument, meter, profiled]


def message_with(when: str) -> dict[str, Any]:
    """A message with what it needs to be one."""
    return {"name": when, "when": when, "telemetry": [point_with(PLACED.keys[0])]}


def point_with(key: Key) -> dict[str, Any]:
    """A data point with what it needs, and what has to stand beside this key."""
    return {"key": "humidity", **(key.beside or {"regex": "^[0-9]+", "type": "int"})}


def write(folder: Path, main: dict[str, Any], connector: dict[str, Any]) -> Loaded:
    folder.mkdir(exist_ok=True)
    for name in ("ca.pem", "key.pem", "cert.pem"):
        (folder / name).touch()
    (folder / "tb_gateway.json").write_text(json.dumps(main))
    (folder / "custom_serial.json").write_text(json.dumps(connector))
    return read_gateway(folder / "tb_gateway.json", {}, with_secrets=True)


def whole_connector() -> dict[str, Any]:
    """A connector's file with all keys that one can have."""
    connector = built(CONNECTOR)
    return connector | {"devices": [*connector["devices"], one_by_one(), *asked_ones()]}


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
        # What files of profiles may say, docs/profiles.md has.
        if not entry.file.startswith("serialgw/profiles/"):
            found[pattern_of(entry)].update(entry._known)
        warn(entry, **options)

    monkeypatch.setattr(JsonObject, "warn_unknown", note)
    return found


def test_the_page_has_every_key_that_is_read(asked: dict[str, set[str]], tmp_path: Path) -> None:
    """Who adds a key to a reader adds a line to `docs/keys.py`, and runs `make docs`."""
    write(tmp_path, built(MAIN), whole_connector())
    documented = {
        section.path: {name for key in section.keys for name in (key.name, key.also) if name} for section in SECTIONS
    }
    # All data points have both kinds of keys, and may stand in a device as in a message.
    documented[POINT.path] = documented[PLACED.path] = documented[POINT.path] | documented[PLACED.path]
    steps = {*re.findall(r"\w+", ASKED[0].meaning), "ask"}
    for place in ("devices[].init[]", "devices[].messages[].ask[]"):
        documented[place] = steps & asked[place]
    for section, keys in ((DEVICE, OF_LINES), (MESSAGE, MESSAGE.keys), (PLACED, PLACED.keys)):
        for key in keys:
            # Small objects have no section: their keys are named where they are explained.
            if isinstance(key.example, dict):
                words = set(re.findall(r"\w+", key.meaning)) | (
                    documented[PLACED.path] if "place" in key.meaning else set()
                )
                own = f"{section.path}.{key.name}"
                for path, names in asked.items():
                    if path == own or path.startswith(f"{own}."):
                        documented[path] = words & names
    documented["devices[].messages[].framing"] = documented["devices[].framing"]
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
    warnings = write(tmp_path, built(MAIN), whole_connector()).warnings
    assert not [warning for warning in warnings if "unknown key" in warning]


def test_every_variable_is_there() -> None:
    known = {name for name, _ in (*PLATFORM_VARIABLES, *SECURITY_VARIABLES)} | {DATA_DIR_VARIABLE, *PROXY_VARIABLES}
    known |= {*PROVISIONING_VARIABLES, CONFIG_DIR_VARIABLE, LOGS_VARIABLE, WEB_VARIABLE, HOSTS_VARIABLE}
    known |= {ALIVE_VARIABLE, FORMAT_VARIABLE}
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
    if section in (MESSAGE, PLACED):
        key = next(key for key in section.keys if key.name == name)
        point = point_with(key if section is PLACED else PLACED.keys[0])
        connector["devices"] = [{"messages": [{"telemetry": [point, {"key": "text", "type": "string"}]}]}]
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
