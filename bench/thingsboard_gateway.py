"""The reference gateway: ThingsBoard IoT Gateway with its serial connector, in an environment of its own.

`make bench/.reference-venv/.made` makes the environment. The configuration is the one that comes with the package; it
differs in where the platform is, in its devices, and in what would only cost it time here: statistics about itself and
configuration from afar.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from bench.harness import Place, example_device
from bench.others import OtherGateway
from tests.e2e.harness import ROOT

PYTHON: Final = ROOT / "bench" / ".reference-venv" / "bin" / "python"
QUESTION: Final = """
import json, pathlib, importlib.metadata, importlib.util
folder = pathlib.Path(importlib.util.find_spec("thingsboard_gateway").origin).parent
print(json.dumps({"version": importlib.metadata.version("thingsboard-gateway"), "config": str(folder / "config")}))
"""


class Package(NamedTuple):
    """What is installed."""

    version: str
    config: Path
    """The folder of the configuration that comes with it."""


def find_package() -> Package:
    """Ends the program with what to do if the environment is not there."""
    if not PYTHON.exists():
        raise SystemExit("the reference gateway is not installed; `make bench-reference` does that")
    answer = json.loads(subprocess.run([PYTHON, "-c", QUESTION], capture_output=True, check=True).stdout)
    return Package(answer["version"], Path(answer["config"]))


def write_reference_config(package: Package, place: Place) -> Path:
    """The same devices for the reference; the folder."""
    folder = place.folder / "reference"
    folder.mkdir()
    main = json.loads((package.config / "tb_gateway.json").read_text())
    main["thingsboard"] |= {
        "host": "127.0.0.1",
        "port": place.mqtt_port,
        "security": {"type": "accessToken", "accessToken": "bench"},
        "remoteConfiguration": False,
        "statistics": {"enable": False},
    }
    main["connectors"] = [
        {"name": "Serial", "type": "serial", "class": "SerialConnector", "configuration": "custom_serial.json"}
    ]
    # The reference opens no port of a device that names no converter.
    converter = {"converter": "SerialUplinkConverter"}
    devices = [example_device(index, line) | converter for index, line in enumerate(place.lines)]
    connector = {"name": "Serial", "id": "bench", "logLevel": "INFO", "devices": devices}
    for name, content in (("tb_gateway.json", main), ("custom_serial.json", connector)):
        (folder / name).write_text(json.dumps(content))
    (folder / "logs.json").write_bytes((package.config / "logs.json").read_bytes())
    return folder


def start_reference(package: Package, place: Place) -> OtherGateway:
    """The reference on all lines, connected."""
    folder = write_reference_config(package, place)

    def is_ready(log: str) -> bool:
        return "Gateway started." in log and log.count("Connected to device") >= len(place.lines)

    command = [str(PYTHON), "-m", "thingsboard_gateway.tb_gateway"]
    return OtherGateway(command, place.folder / "reference.log", is_ready, {"TB_GW_CONFIG_DIR": str(folder)})
