"""Node-RED with its serial nodes, without an editor: for each port serial in, a function, MQTT out.

`make bench/.node-red/.made` installs it, where there is Node.js. Nothing is kept on the way: what Node-RED has read and
the MQTT broker has not accepted is gone with its process.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

from bench.harness import Place
from bench.others import OtherGateway
from tests.e2e.harness import ROOT

PACKAGES: Final = ROOT / "bench" / ".node-red" / "node_modules"
VERSIONED: Final = ("node-red", "node-red-node-serialport")
SETTINGS: Final = """module.exports = {
  httpAdminRoot: false, httpNodeRoot: false, flowFile: "flows.json", credentialSecret: false,
  diagnostics: {enabled: false}, runtimeState: {enabled: false}, telemetry: {enabled: false},
  externalModules: {autoInstall: false, palette: {allowInstall: false}},
  logging: {console: {level: "info", metrics: false, audit: false}},
};
"""
FUNCTION: Final = """const end = msg.payload.indexOf("\\r");
const values = {humidity: parseFloat(msg.payload.slice(0, end)), SerialNumber: msg.payload.slice(end + 1, -1)};
msg.payload = {DEVICE: [{ts: Date.now(), values: values}]};
return msg;"""
"""The two data points of the reference's example, as ThingsBoard's gateways say them."""


def find_versions() -> dict[str, str] | None:
    """What is installed, by package; None if there is none, or no Node.js."""
    files = [PACKAGES / package / "package.json" for package in VERSIONED]
    if shutil.which("node") is None or not all(file.exists() for file in files):
        return None
    return {package: json.loads(file.read_text())["version"] for package, file in zip(VERSIONED, files, strict=True)}


def make_flow(lines: list[Path], mqtt_port: int) -> list[dict[str, Any]]:
    """The nodes: one connection to the MQTT broker for all, and a chain of three for each line."""
    broker = {
        "id": "broker",
        "type": "mqtt-broker",
        "broker": "127.0.0.1",
        "port": str(mqtt_port),
        "clientid": "node-red",
        "autoConnect": True,
        "usetls": False,
        "protocolVersion": "4",
        "keepalive": "60",
        "cleansession": True,
    }
    nodes: list[dict[str, Any]] = [{"id": "flow", "type": "tab", "label": "bench"}, broker]
    for index, line in enumerate(lines):
        nodes += _chain(f"line{index}", line)
    return nodes


def _chain(device: str, line: Path) -> list[dict[str, Any]]:
    port = {
        "id": f"{device}-port",
        "type": "serial-port",
        "serialport": str(line),
        "serialbaud": "115200",
        "databits": "8",
        "parity": "none",
        "stopbits": "1",
        "newline": "\\n",
        "bin": "false",
        "out": "char",
    }
    serial_in = {"id": f"{device}-in", "type": "serial in", "z": "flow", "serial": f"{device}-port"}
    function = {
        "id": f"{device}-function",
        "type": "function",
        "z": "flow",
        "func": FUNCTION.replace("DEVICE", device),
        "outputs": 1,
    }
    mqtt_out = {
        "id": f"{device}-out",
        "type": "mqtt out",
        "z": "flow",
        "topic": "v1/gateway/telemetry",
        "qos": "1",
        "retain": "false",
        "broker": "broker",
    }
    return [
        port,
        serial_in | {"wires": [[function["id"]]]},
        function | {"wires": [[mqtt_out["id"]]]},
        mqtt_out | {"wires": []},
    ]


def start_node_red(place: Place) -> OtherGateway:
    """Node-RED on all lines, connected."""
    folder = place.folder / "node-red"
    folder.mkdir()
    (folder / "settings.js").write_text(SETTINGS)
    lines = [line.path for line in place.lines]
    (folder / "flows.json").write_text(json.dumps(make_flow(lines, place.mqtt_port)))
    command = ["node", str(PACKAGES / "node-red" / "red.js"), "-u", str(folder), "-s", str(folder / "settings.js")]

    def is_ready(log: str) -> bool:
        return "Connected to broker" in log and log.count(" opened at ") >= len(lines)

    return OtherGateway(command, folder / "node-red.log", is_ready)
