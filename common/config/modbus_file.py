"""ThingsBoard's own Modbus connector file: its serial slaves as devices of ours, each as a device section says it.

What its keys mean stands in ThingsBoard's documentation of the Modbus connector. Slaves over TCP or UDP are not ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from common.config.findings import show
from common.config.json_object import JsonObject
from common.core.modbus import BIT_TABLES, MOST_UNIT, Table

TABLES: Final[dict[int, Table]] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
"""The function that reads → what it reads."""
WRITTEN: Final[dict[int, Table]] = {5: "coil", 15: "coil", 6: "holding", 16: "holding"}
TYPES: Final = {
    **{f"{bits}{kind}": f"{kind}{bits}" for bits in (8, 16, 32, 64) for kind in ("int", "uint")},
    **{"32float": "float32", "64float": "float64", "string": "string", "bytes": "hex", "bits": "", "bit": ""},
}
ORDERS: Final = {
    ("BIG", "BIG"): "ABCD",
    ("BIG", "LITTLE"): "CDAB",
    ("LITTLE", "BIG"): "BADC",
    ("LITTLE", "LITTLE"): "DCBA",
}
POLL_MS: Final = 5000
"""Where a slave says nothing."""
MOST_TIMEOUT_S: Final = 3.0
"""A slave's `timeout` is that of its connection there, 35 s in the example; so long a unit that is switched off would
hold the whole line."""
_TAKEN: Final = ("baudrate", "bytesize", "stopbits", "parity", "reportStrategy", "port")
_LISTS: Final = ("attributes", "timeseries", "attributeUpdates", "rpc")
_IDLE: Final = (
    *("connectAttemptTimeMs", "connectAttemptCount", "waitAfterFailedAttemptsMs", "retryOnEmpty", "retryOnInvalid"),
    *("sendDataOnlyOnChange", "strict", "host", "security", "handleLocalEcho", "maxFrameSize"),
)
"""Keys of a slave that have no counterpart."""


def is_modbus_file(values: Mapping[str, Any]) -> bool:
    """True for a Modbus connector's file."""
    master = values.get("master")
    return isinstance(master, dict) and isinstance(master.get("slaves"), list)


def has_serial_slaves(values: Mapping[str, Any]) -> bool:
    """True for one that has a slave on a serial line."""
    return is_modbus_file(values) and any(
        isinstance(slave, dict) and slave.get("type") == "serial" for slave in values["master"]["slaves"]
    )


def devices_of(top: JsonObject) -> JsonObject:
    """The same file as one of ours: its serial slaves are its devices. What is wrong with a slave is noted at its
    place; what has no counterpart is warned of."""
    top.knows("master", "slave", *top.values)
    master = top.child("master")
    devices = []
    for slave in master.items("slaves") if master is not None else ():
        if slave.values.get("type") == "serial":
            devices.append(_device_of(slave))
        else:
            kind = show(slave.values.get("type", "nothing"))
            sentence = f"a slave of type {kind} is not served: only serial ones are"
            slave.findings.warning(slave.file, slave.path, sentence)
    if isinstance(top.values.get("slave"), dict):
        top.warning("slave", "the gateway itself is no Modbus slave: this part has no effect")
    kept = {key: top.values[key] for key in ("name", "id", "logLevel") if key in top.values}
    return JsonObject({**kept, "devices": devices}, top.file, top.path, top.findings)


def _device_of(slave: JsonObject) -> dict[str, Any]:
    """A slave as a device section."""
    values = slave.values
    method = slave.choice("method", "rtu", ("rtu", "ascii"))
    word = slave.choice("wordOrder", "LITTLE", ("BIG", "LITTLE"))
    order = ORDERS[slave.choice("byteOrder", "LITTLE", ("BIG", "LITTLE")), word]
    timeout_s = slave.number("timeout", MOST_TIMEOUT_S, 0.001, 86_400)
    if timeout_s > MOST_TIMEOUT_S:
        slave.warning("timeout", f"an answer is waited for {MOST_TIMEOUT_S:g} s, so that no unit holds the others up")
    device: dict[str, Any] = {
        "deviceName": values.get("deviceName", "Modbus"),
        "deviceType": values.get("deviceType", "default"),
        "framing": f"modbus-{method}",
        "address": slave.whole("unitId", 1, 1, MOST_UNIT),
        "every": slave.whole("pollPeriod", POLL_MS, 10) / 1000,
        "timeoutMs": round(min(timeout_s, MOST_TIMEOUT_S) * 1000),
        "byteorder": order,
        **{key: values[key] for key in _TAKEN if key in values},
    }
    if "unitId" not in values:
        slave.problem("unitId", "nothing", f"the slave's address, from 1 to {MOST_UNIT}")
    if type(values.get("retries")) is int:
        device["retries"] = min(values["retries"], 10)
    slave.knows("type", "deviceName", "deviceType", "unitId", "retries", *_TAKEN, *_LISTS, *_IDLE)
    slave.warn_unknown()
    device["telemetry"] = _points(slave, "timeseries")
    device["attributes"] = _points(slave, "attributes")
    device["attributeUpdates"] = [
        {"attributeOnPlatform": entry.values.get("tag"), **register}
        for entry in slave.items("attributeUpdates")
        if (register := _written(entry, order)) is not None
    ]
    device["serverSideRpc"] = [
        {"method": entry.values.get("tag"), **register}
        for entry in _calls(slave)
        if (register := _written(entry, order)) is not None
    ]
    return device


def _calls(slave: JsonObject) -> list[JsonObject]:
    """The entries of `rpc`: a list, or as older files have it an object of names."""
    calls = slave.values.get("rpc")
    if not isinstance(calls, dict):
        return list(slave.items("rpc"))
    child = slave.child("rpc")
    found = []
    for name in calls:
        entry = child.child(name) if child is not None else None
        if entry is not None:
            found.append(JsonObject({"tag": name, **entry.values}, entry.file, entry.path, entry.findings))
    return found


def _points(slave: JsonObject, key: str) -> list[dict[str, Any]]:
    found = []
    for entry in slave.items(key):
        place = _place(entry, TABLES.get, "1 to 4, the functions that read")
        kind = _type(entry)
        if place is None or kind is None:
            continue
        table, address = place
        point: dict[str, Any] = {"key": entry.values.get("tag"), "register": f"{table}:{address}"}
        count = entry.whole("objectsCount", 1, 1, 125)
        if table in BIT_TABLES:
            if count != 1:
                entry.problem("objectsCount", f"{count} of a {table}", "1: a data point for each")
        elif kind:
            point["type"] = kind
            if kind in ("string", "hex"):
                point["length"] = 2 * count
        else:
            point |= {"type": "uint16", "bit": entry.whole("bit", 0, 0, 15)}
        scale = _scale(entry)
        if scale != 1 and table not in BIT_TABLES:
            point["scale"] = scale
        if "reportStrategy" in entry.values:
            point["reportStrategy"] = entry.values["reportStrategy"]
        entry.knows("tag", "bitTargetType", "bit", "reportStrategy")
        entry.warn_unknown()
        found.append(point)
    return found


def _written(entry: JsonObject, order: str) -> dict[str, Any] | None:
    """What a call or an update reads or writes; None where a problem was noted."""
    place = _place(entry, lambda function: TABLES.get(function) or WRITTEN.get(function), "1 to 6, 15 or 16")
    kind = _type(entry)
    if place is None or kind is None:
        return None
    table, address = place
    register: dict[str, Any] = {"register": f"{table}:{address}", "function": entry.values["functionCode"]}
    count = entry.whole("objectsCount", 1, 1, 123)
    if table not in BIT_TABLES:
        register |= {"type": kind or "uint16", "byteorder": order}
        register |= {"count": count} if kind in ("string", "hex") else {}
        register |= {"scale": scale} if (scale := _scale(entry)) != 1 else {}
    elif count > 1:
        register["count"] = count
    if "value" in entry.values:
        entry.warning("value", "a fixed value is not applied: the call's params are written")
    entry.knows("tag", "bitTargetType", "value", "bit")
    entry.warn_unknown()
    return register


def _place(entry: JsonObject, table_of: Callable[[int], Table | None], expected: str) -> tuple[Table, int] | None:
    entry.required_text("tag", meaning="the name of the value, the attribute or the call (a text)")
    address = entry.whole("address", 0, 0, 65_535)
    function = entry.values.get("functionCode")
    entry.knows("functionCode")
    table = table_of(function) if type(function) is int else None
    if table is None:
        entry.problem("functionCode", "nothing" if function is None else show(function), expected)
        return None
    return table, address


def _type(entry: JsonObject) -> str | None:
    """Our word for a type; "" for bits, None where a problem was noted."""
    entry.knows("type")
    said = entry.values.get("type")
    if not isinstance(said, str) or said not in TYPES:
        entry.problem("type", show(said), f"one of {', '.join(TYPES)}")
        return None
    return TYPES[said]


def _scale(entry: JsonObject) -> float:
    """`divider` and `multiplier` in one."""
    divider, multiplier = entry.number("divider", 1, -1e9, 1e9), entry.number("multiplier", 1, -1e9, 1e9)
    if divider == 0 or multiplier == 0:
        entry.problem("divider" if divider == 0 else "multiplier", "0", "a number that is not 0")
        return 1
    return multiplier / divider
