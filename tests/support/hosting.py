"""A gateway with hosted connectors, as tests start it: the main file, the connector's files, the processes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.e2e.harness import Gateway

CONNECTORS = Path(__file__).parents[1] / "dropin" / "cases" / "connectors"
"""A configuration folder's extensions, each connector in the style of one that was published."""


def write_connectors(
    folder: Path, mqtt_port: int, connectors: dict[str, tuple[str, str, Any]], extensions: Path = CONNECTORS
) -> Path:
    """A main file with these connectors, by name: (type, class, what its file says). The main file's path."""
    folder.mkdir(exist_ok=True)
    shutil.copytree(extensions / "extensions", folder / "extensions", dirs_exist_ok=True)
    entries = []
    for name, (kind, class_name, config) in connectors.items():
        file = f"{name.replace(' ', '_').lower()}.json"
        text = config if isinstance(config, str) else json.dumps(config)
        (folder / file).write_text(text)
        entries.append({"name": name, "type": kind, "class": class_name, "configuration": file})
    main = {"thingsboard": {"host": "127.0.0.1", "port": mqtt_port}, "connectors": entries}
    (folder / "tb_gateway.json").write_text(json.dumps(main, indent=2))
    return folder / "tb_gateway.json"


def start_hosts(gateway: Gateway, *connectors: str) -> None:
    """The whole gateway with a host for each of these."""
    gateway.start_all([])
    for name in connectors:
        gateway.start(name, "connector_host", "--connector", name)
