"""What devices that must be asked are configured as: what a user writes, read as the gateway reads it."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from common.config.models import Device
from common.config.reading import read_gateway

Kind = Literal["points", "numbers", "modbus-rtu", "modbus-ascii", "analyser"]
KINDS: Final[tuple[Kind, ...]] = ("points", "numbers", "modbus-rtu", "modbus-ascii", "analyser")
TIMEOUT_S: Final = 0.3
"""How long an answer may take. One that is late is so by less than this again, as it is waited for so long."""
POINTS: Final = ("a", "b", "c")
"""What an instrument with a line for itself is asked, one question each."""
PLACES: Final = (0, 20, 40, 42)
"""Registers that are polled: the first ones in reads of one length, as the called one's is, the last two in one."""
CALLED_PLACE: Final = 60
WRITTEN_PLACE: Final = 50
UNITS: Final = 3
BACKOFF_S: Final = 2.0


def devices_of(kind: Kind, line: int, every_s: float) -> tuple[Device, ...]:
    """The devices on the line of this number, each question asked so often."""
    match kind:
        case "points" | "numbers":
            return _read((json.dumps(_instrument(f"gauge{line}", every_s, is_telling=kind == "points")),))
        case "analyser":
            return _read((json.dumps({"name": f"analyser{line}", **_ANALYSER}),))
        case _:
            units = [_unit(kind, line, number, every_s) for number in range(1, UNITS + 1)]
            return _read(tuple(map(json.dumps, units)))


@cache
def _read(entries: tuple[str, ...]) -> tuple[Device, ...]:
    """The devices of a connector's file with these entries."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "serial.json"
        devices = [{"port": "/dev/asked"} | json.loads(entry) for entry in entries]
        path.write_text(json.dumps({"name": "Lines", "devices": devices}))
        result = read_gateway(path, {})
    if result.warnings:
        raise ValueError(f"the simulation's own configuration: {result.warnings}")
    return tuple(result.gateway.devices)


def _instrument(name: str, every_s: float, *, is_telling: bool) -> dict[str, Any]:
    """One with a line for itself; its answers say what they are, or are a number alone."""
    timeout_ms = round(TIMEOUT_S * 1000)
    messages: list[dict[str, Any]] = []
    for key in POINTS:
        asked = {"name": key, "ask": key, "every": every_s, "timeoutMs": timeout_ms}
        if is_telling:
            point = {"key": key, "name": "n", "type": "int"}
            messages.append({**asked, "pattern": key + " {n}", "telemetry": [point]})
        else:
            messages.append({**asked, "telemetry": [{"key": key, "type": "int"}]})
    call = {"method": "set", "ask": "S${params}", "answer": "^S", "responseType": "string"}
    return {
        "name": name,
        "framing": {"end": "\n"},
        "send": {"end": "\n"},
        "timeoutMs": timeout_ms,
        "messages": messages,
        "serverSideRpc": [{**call, "timeoutMs": timeout_ms}],
    }


def _unit(protocol: str, line: int, number: int, every_s: float) -> dict[str, Any]:
    """One of the units on a bus."""
    timeout = {"timeoutMs": round(TIMEOUT_S * 1000)}
    unit: dict[str, Any] = {
        "name": f"unit{line}{number}",
        "framing": protocol,
        "address": number,
        "every": every_s,
        **timeout,
        "telemetry": [{"key": f"r{place}", "register": f"input:{place}", "type": "uint32"} for place in PLACES],
        "serverSideRpc": [
            {"method": "get", "register": f"input:{CALLED_PLACE}", "type": "uint32", **timeout},
            {"method": "set", "register": f"holding:{WRITTEN_PLACE}", **timeout},
        ],
    }
    return unit | ({"bus": {"maxBackoff": BACKOFF_S}} if number == 1 else {})


_ANALYSER: Final[dict[str, Any]] = {
    "framing": [
        {"start": ["<ENQ>", "<EOT>"], "length": 1},
        {
            "start": "<STX>",
            "end": ["<ETX>", "<ETB>"],
            "endUntil": "\r\n",
            "restart": True,
            "checksum": {"type": "sum8", "as": "hex", "from": 1, "at": -4},
        },
    ],
    "messages": [
        {"name": "enquiry", "when": "^\\x05", "reply": "<ACK>", "telemetry": []},
        {"name": "end", "when": "^\\x04", "telemetry": []},
        {
            "name": "result",
            "when": "^\\x02\\dR\\|",
            "reply": "<ACK>",
            "fields": "|",
            "telemetry": [{"key": "result", "field": 1, "type": "int"}],
        },
        {"name": "header", "when": "^\\x02\\dH", "reply": "<ACK>", "telemetry": []},
    ],
    "onBadFrame": {"send": "<NAK>"},
    "dropRepeats": True,
}
