"""Reads a connector file: its devices with every default filled in.

The reference writes everything about a device side by side; here it goes into models by what it is about: the line, the
framing, and what is made of frames.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from common.config.answer_ends import has_several_lines, is_beyond_a_frame
from common.config.asking import ASKING
from common.config.checking import BUS_KEYS, ConverterChecker
from common.config.device.asking_reading import OF_DEVICES, read_asking
from common.config.device.framing_reading import has_shapes, read_shaped
from common.config.device.messages_reading import TAKING_APART, check_shapes, read_messages
from common.config.device.places_reading import MEANINGS, PLACES, read_order
from common.config.device.points_reading import read_attribute_updates, read_points, read_rpcs
from common.config.findings import Findings, show
from common.config.framing import read_framing
from common.config.json_object import JsonObject
from common.config.modbus_file import devices_of, has_serial_slaves
from common.config.models import Connector, DataPoint, Device, Line, ReportStrategy, Rpc, Rs485
from common.config.names import BUILTIN_DOWNLINK, BUILTIN_UPLINK, CONNECTOR_LOG_LEVELS
from common.config.placed import plain
from common.config.ports import EXPECTED, is_relative, one_spelling, port_fault, port_hint
from common.config.strategy_reading import DAY_S, read_strategy
from common.core.byte_text import bytes_of
from common.stream.limits import MAX_RECORDS

FOREIGN_KEYS = ("master", "slave", "broker", "server", "application", "scanner", "passiveScanMode", "host", "interface")
"""Keys that the files of other connectors have and a serial one never has."""

_ELSEWHERE: Final = {**dict.fromkeys(("uplinkQueueSize", "id"), 'beside "devices"'), "checksum": 'beside "framing"'}
"""Keys that people write into a device, and where they belong."""
_OF_SHAPES: Final = ("start", "end", "endPlus", "endUntil", "length", "silenceMs", "escape", "strip", "skip", "restart")
_ELSEWHERE_IN_OURS: Final = {
    **_ELSEWHERE,
    **dict.fromkeys((*PLACES, *MEANINGS, "key", "decimal"), 'into a data point, an entry of "telemetry"'),
    **dict.fromkeys(_OF_SHAPES, 'into "framing"'),
}
"""The same where no converter of the user's is handed the section: it may have any key."""


PROFILED: Final = ("profile", "parameters")
"""Keys that are gone where a section was laid over its profiles."""


class ConnectorDefaults(msgspec.Struct, frozen=True):
    """What the main file says of a connector; its own file wins, but for the name."""

    name: str | None = None
    id: str | None = None
    log_level: str = "INFO"
    report_strategy: ReportStrategy | None = None
    remote_logging: bool = False


def read_connector(
    top: JsonObject, path: str, defaults: ConnectorDefaults, checker: ConverterChecker
) -> tuple[Connector, list[tuple[JsonObject, Device]]]:
    """The connector in the object `top` of the file at `path`, with the objects that its devices were read from.

    A file of another type of connector, told by a key that no serial one has, is a single problem: all that would
    follow says nothing. The name in the main file wins over the file's own.
    """
    if has_serial_slaves(top.values):
        top = devices_of(top)
    foreign = next((key for key in FOREIGN_KEYS if key in top.values), None)
    if foreign is not None:
        found = f'an object with "{foreign}", as connectors of another type have'
        top.findings.problem(top.file, "top level", found, 'a serial connector with "devices"')
        return Connector(name=""), []
    if defaults.name is None:
        name = top.required_name("name", meaning="the connector's name (a text)")
    else:
        top.maybe_name("name")
        name = defaults.name
    connector = Connector(
        name=name,
        id=top.maybe_text("id") or defaults.id or id_of(name),
        log_level=top.choice("logLevel", defaults.log_level, CONNECTOR_LOG_LEVELS, any_case=True),
        uplink_queue_size=top.whole("uplinkQueueSize", MAX_RECORDS, 1),
        file=path,
        report_strategy=read_strategy(top) or defaults.report_strategy,
        remote_logging=top.flag("enableRemoteLogging", defaults.remote_logging),
    )
    top.knows("type", "class", "configVersion")
    devices = _read_devices(top, connector, checker)
    top.warn_unknown()
    return msgspec.structs.replace(connector, devices=tuple(device for _, device in devices)), devices


def id_of(connector: str) -> str:
    """The id of a connector that was given none: made from its name, so that it is the same at each start, and nobody
    has to write it into the user's file."""
    from uuid import UUID, uuid5  # Here: a configuration with ids of its own does not need it.

    return str(uuid5(UUID("5f0cbd6c-3c7c-4d0b-8a0e-6c9f1f7f3b52"), connector))


def _read_devices(top: JsonObject, connector: Connector, checker: ConverterChecker) -> list[tuple[JsonObject, Device]]:
    """The devices of the file, each with the object that it was read from, so that messages can name its place."""
    if "devices" not in top.values:
        top.problem("devices", "nothing", "a list of devices")
        return []
    found = []
    for entry in top.items("devices"):
        section = _laid_over_profiles(entry, connector.file)
        found.append((section, _read_device(section, connector, checker)))
    return _with_lines(found)


def _laid_over_profiles(entry: JsonObject, file: str) -> JsonObject:
    """The device's section as its profiles and it make it. Where that fails, what else would be said of the section
    alone says nothing."""
    if not any(key in entry.values for key in PROFILED):
        return entry
    # Here: a configuration without profiles does not load it.
    from common.config.profile_laying import with_profiles

    found = with_profiles(entry, Path(file).parent)
    return found or JsonObject(entry.values, entry.file, entry.path, Findings())


def _with_lines(devices: list[tuple[JsonObject, Device]]) -> list[tuple[JsonObject, Device]]:
    """The same; on a bus what one device says of the line holds for those that say nothing of it."""
    said: dict[str, dict[str, Any]] = {}
    for entry, device in devices:
        if device.asking is not None and device.asking.address is not None:
            given = {name: getattr(device.line, name) for name, key in BUS_KEYS.items() if key in entry.values}
            if device.line.rs485 is not None:
                given["rs485"] = device.line.rs485
            said[device.line.port] = {**given, **said.get(device.line.port, {})}
    found = []
    for entry, device in devices:
        if device.asking is not None and device.asking.address is not None:
            missing = {
                name: one
                for name, one in said[device.line.port].items()
                if name not in BUS_KEYS or BUS_KEYS[name] not in entry.values
            }
            if missing:
                line = msgspec.structs.replace(device.line, **missing)
                device = msgspec.structs.replace(device, line=line)  # noqa: PLW2901 (with its line)
        found.append((entry, device))
    return found


def _read_device(entry: JsonObject, connector: Connector, checker: ConverterChecker) -> Device:
    """One device, its values checked but for what only all devices together show."""
    converter, downlink = _read_converters(entry, checker)
    name = entry.name("deviceName", "name", default="SerialDevice")
    entry.knows("name", "type", *PROFILED)
    # `name` and `type` are older spellings of `deviceName` and `deviceType`: known, even where the newer one counts.
    users = converter != BUILTIN_UPLINK
    messages = () if users else read_messages(entry)
    telemetry, attributes = ((), ()) if messages else _read_data_points(entry, users=users)
    if users:
        # A user's converter gets the whole section: what these mean is its affair.
        entry.knows("messages", "encoding", *TAKING_APART, *ASKING, *OF_DEVICES)
    # Problems stop the gateway later, all at once; until then defaults stand in for what is wrong.
    device = Device(
        name=name,
        type=entry.name("deviceType", "type", default="default"),
        line=_read_line(entry),
        framing=read_shaped(entry) if has_shapes(entry) else read_framing(entry),
        byteorder="little" if read_order(entry, "big") == "little" else "big",
        converter=converter,
        downlink_converter=downlink,
        attribute_updates=read_attribute_updates(entry),
        rpcs=read_rpcs(
            entry,
            users_answers=converter != BUILTIN_UPLINK,
            users_params=downlink not in (None, BUILTIN_DOWNLINK),
        ),
        report_strategy=read_strategy(entry),
        connector_name=connector.name,
        uplink_queue_size=connector.uplink_queue_size,
        log_level=connector.log_level,
        raw=plain(entry.values),
        telemetry=telemetry,
        attributes=attributes,
        messages=messages,
    )
    if not device.has_user_uplink:
        line = msgspec.structs.replace(device.line, rs485=_read_direction(entry))
        device = msgspec.structs.replace(device, asking=read_asking(entry, messages, device.framing), line=line)
        device = msgspec.structs.replace(device, units=_read_units(entry, device))
    # Said at the start, it surprises nobody at the first call.
    if device.downlink_converter is None and any(rpc.template is None and rpc.register is None for rpc in device.rpcs):
        entry.warning(
            "serverSideRpc",
            'without "downlink_converter" calls with params are answered "Downlink converter not defined"',
        )
    _warn_of_unsure_answers(entry, device)
    if messages and device.framing.shapes:
        check_shapes(entry, messages, device.framing.shapes)
    # A user's converter gets the whole section and may know keys that we don't.
    entry.warn_unknown(
        only_near=device.has_user_converter, elsewhere=_ELSEWHERE if device.has_user_converter else _ELSEWHERE_IN_OURS
    )
    return device


def _warn_of_ends_in_lines(entry: JsonObject, device: Device, rpcs: list[Rpc]) -> None:
    """Warns of answers that stand in several frames whose end can't be found in them: only the first would be the
    result."""
    for rpc in rpcs:
        until = bytes_of(rpc.response_until_delimiter) if rpc.response_until_delimiter else b""
        if is_beyond_a_frame(until, device.framing) and not has_several_lines(until, device.framing):
            entry.warning(
                "serverSideRpc",
                f"the answer to {show(rpc.method)} is its first frame, and not all up to"
                f" {show(rpc.response_until_delimiter)}: with this framing an end of several frames has to end where a"
                ' frame does, and may have no byte of "skip"',
            )


def _warn_of_unsure_answers(entry: JsonObject, device: Device) -> None:
    """Warns of calls that can't tell their answer from what the device says by itself."""
    plain = [rpc for rpc in device.rpcs if rpc.with_response and rpc.register is None]
    _warn_of_ends_in_lines(entry, device, plain)
    unsure = [show(rpc.method) for rpc in plain if rpc.response_pattern is None]
    if not unsure or not (device.all_telemetry or device.all_attributes):
        return
    calls = "a call of " + " or ".join(unsure)
    entry.warning(
        "serverSideRpc",
        f"this device also sends by itself, and {calls} may take that for its answer: say in"
        ' "responsePattern" what an answer looks like (a regular expression)',
    )


def _read_line(entry: JsonObject) -> Line:
    """What concerns the port. Bounds are pyserial's, and digits in quotes are taken as a baud rate where it takes
    them."""
    return Line(
        port=_read_port(entry),
        baudrate=entry.whole("baudrate", 9600, 1, as_text=True),
        bytesize=entry.whole("bytesize", 8, 5, 8),
        stopbits=entry.choice("stopbits", 1, (1, 1.5, 2)),
        parity=entry.choice("parity", "N", ("N", "E", "O", "M", "S")),
        xonxoff=entry.flag("xonxoff", False),
        rtscts=entry.flag("rtscts", False),
        dsrdtr=entry.flag("dsrdtr", False),
        write_timeout_s=entry.maybe_number("writeTimeout", 0, DAY_S),
        inter_byte_timeout_s=entry.maybe_number("interByteTimeout", 0, DAY_S),
        exclusive=entry.flag("exclusive", True, nullable=True),
        dtr=_read_pin(entry, "dtr", "dsrdtr"),
        rts=_read_pin(entry, "rts", "rtscts"),
    )


UNITS: Final = "units"
"""The attribute that the units of a device's values are, and the key that asks for it."""


def _read_units(entry: JsonObject, device: Device) -> dict[str, str]:
    """The units of all values, where the platform is to be told them."""
    if not entry.flag(UNITS, False):
        return {}
    points = (*device.all_telemetry, *device.all_attributes)
    found: dict[str, str] = {}
    for point in points:
        if point.meaning.unit:
            found.setdefault(point.key, point.meaning.unit)
    if not found:
        entry.warning(UNITS, 'it has no effect: no data point has a "unit"')
    if any(point.key == UNITS for point in device.all_attributes):
        entry.problem(UNITS, f'true, beside an attribute "{UNITS}" of the device', "another key for that attribute")
    return found


def _read_direction(entry: JsonObject) -> Rs485 | None:
    """How the direction of an RS-485 line is switched, if the driver is to do that."""
    if not isinstance(bus := entry.values.get("bus"), dict) or "rs485" not in bus:
        return None
    # Here: hardly any port needs it.
    from common.config.device.rs485_reading import read_rs485

    return read_rs485(entry)


def _read_pin(entry: JsonObject, key: str, flow: str) -> bool | None:
    """How a pin is to be from the opening on; None where nothing is said. With flow control by that pin it is the
    driver's."""
    if entry.values.get(key) is None:
        entry.knows(key)
        return None
    pin = entry.flag(key, False)
    if entry.values.get(flow) is True:
        entry.warning(key, f'beside "{flow}" this means nothing: {key.upper()} is moved by the driver')
    return pin


def _read_port(entry: JsonObject) -> str:
    """The port's name. One that can't be served is a problem, a relative one a warning."""
    port = entry.text("port", default="/dev/ttyUSB0")
    fault = port_fault(port)
    if fault is not None:
        entry.problem("port", show(port) + fault, EXPECTED)
    elif (meant := port_hint(port)) and not os.path.exists(port):
        entry.warning("port", f'{show(port)} is no name of a serial port, did you mean "{meant}"?')
    elif is_relative(port):
        entry.warning("port", f"{show(port)} depends on the folder in which the gateway is started")
    return one_spelling(port)


def _read_converters(entry: JsonObject, checker: ConverterChecker) -> tuple[str, str | None]:
    """The names of both converters, checked as far as that shows without running them."""
    key = entry.used("converter", "uplink_converter")
    uplink = entry.text(key, default=BUILTIN_UPLINK)
    checker.check(entry, key, uplink, BUILTIN_UPLINK)
    downlink = entry.maybe_text("downlink_converter")
    if downlink is not None:
        checker.check(entry, "downlink_converter", downlink, BUILTIN_DOWNLINK)
        downlink = checker.meant(downlink)
    return checker.meant(uplink), downlink


def _read_data_points(entry: JsonObject, users: bool) -> tuple[tuple[DataPoint, ...], tuple[DataPoint, ...]]:
    """Telemetry and attributes. With a user's converter their form is its affair: what is not ours is left out.

    They are read all the same, for `serialgw check` and for answers of calls, but into findings that nobody sees.
    """
    if not users:
        return read_points(entry, "telemetry", "timeseries"), read_points(entry, "attributes")
    entry.knows("telemetry", "timeseries", "attributes")
    silent = JsonObject(entry.values, entry.file, entry.path, Findings())
    telemetry = read_points(silent, "telemetry", "timeseries")
    attributes = read_points(silent, "attributes")
    return tuple(p for p in telemetry if p.key), tuple(p for p in attributes if p.key)
