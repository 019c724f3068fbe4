"""`serialgw check FILE`: says what is wrong with a configuration, or what the gateway understands by it.

No port is opened, and no connection unless `--connect` asks for it: it may be used on a machine that has none of the
ports. Users' converters are loaded, each in a process that is ended afterwards, since only that shows whether they
load; `--no-import` leaves that out.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from typing import Final, NotRequired, TypedDict

from common.config.device.type_words import read_as, written_as
from common.config.framing import Framing
from common.config.models import AttributeUpdate, DataPoint, Device, Gateway, Line, Message, Platform, Rpc
from common.config.ports import is_usb
from common.config.usb_ports import find_port, read_selector
from common.core.byte_text import spell
from common.core.errors import ConfigError
from common.core.frame_words import words_of
from common.core.quoting import quoted, spelled
from common.io.exits import EXIT_CONFIG
from services.cli.arguments import Subparsers
from services.cli.asked_words import describe_asking, describe_register
from services.cli.parser import ERROR, WARNING
from services.cli.reaching import LET_IN, reach_platform
from services.cli.slices import describe_answer, describe_slice
from services.cli.text import compact, spelled_out, table
from services.cli.trial.loads import load_all, missing_of
from services.cli.understood import describe_message, describe_place, describe_type
from services.cli.whole import read_whole

EXIT_OK = 0
EXIT_UNREACHED: Final = 1
"""The configuration can be used, and the platform can't be reached."""


class Result(TypedDict):
    """What `--json` prints: whether the gateway would start, what stops it, and what it understands."""

    ok: bool
    problems: list[str]
    """What stops the gateway; each names its file and place."""
    warnings: list[str]
    """What does not stop it, and is worth a look."""
    platform: str
    """Where readings go, in words; "" where the configuration can't be read."""
    devices: list[dict[str, object]]
    """What the gateway understands; none where the configuration can't be read."""
    connectors: NotRequired[list[dict[str, object]]]
    """Who serves each connector: "serialgw", or a class of the user's in a process of its own."""
    connected: NotRequired[bool]
    """With `--connect`: whether the platform lets the gateway in."""
    fault: NotRequired[str]
    """Why it does not, and what to do."""


def add_parser(subparsers: Subparsers) -> None:
    """Add `check` to the command line."""
    parser = subparsers.add_parser(
        "check",
        help="check a configuration and show what the gateway understands by it",
        description="Reads a configuration as the gateway would, without opening a port or a connection. "
        "Says every problem at once, and how frames will be read. Loads converters that users wrote, in a process "
        "of their own.",
        epilog="examples:\n"
        "  serialgw check tb_gateway.json\n"
        "  serialgw check tb_gateway.json --connect\n"
        "  serialgw check tb_gateway.json --no-import\n"
        "  serialgw check custom_serial.json --json\n\n"
        f"exit codes: 0 it can be used, {EXIT_UNREACHED} the platform can't be reached (--connect), "
        f"{EXIT_CONFIG} it can't be used",
    )
    parser.add_argument("file", metavar="FILE", help="tb_gateway.json, or a serial connector's file alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--no-import",
        action="store_true",
        help="don't run users' converters: for a machine without their packages, or files that you don't trust",
    )
    parser.add_argument(
        "--connect",
        action="store_true",
        help="also connect to the platform, once. A gateway that runs goes on; one with a clientId of its own is "
        "pushed out for a moment",
    )
    # So that it runs by a parser of its own, too.
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check `args.file` and print the result. Returns 0 where it can be used, 78 where it can't, 1 where the platform
    was tried and can't be reached."""
    result, devices = _check(args.file, may_import=not args.no_import)
    if args.connect and result["ok"]:
        result["fault"] = reach_platform(args.file)
        result["connected"] = not result["fault"]
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that can't show a character gets its escape, not a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    if args.json:
        print(compact(result))
    else:
        _print_text(args.file, result, devices)
    if not result["ok"]:
        return EXIT_CONFIG
    return EXIT_OK if result.get("connected", True) else EXIT_UNREACHED


def _check(file: str, *, may_import: bool) -> tuple[Result, tuple[Device, ...]]:
    """The result, and the devices for the text; no devices where the configuration can't be read."""
    try:
        gateway, warnings = read_whole(file, os.environ)
    except ConfigError as error:
        return Result(ok=False, problems=error.problems, warnings=error.warnings, platform="", devices=[]), ()
    devices = [device_as_json(device) for device in gateway.devices]
    platform = describe_platform(gateway.platform)
    missing = missing_of(gateway, os.environ)
    problems, untried = load_all(gateway, os.environ, without=missing) if may_import else ([], [])
    problems = [*(problem for problems in missing.values() for problem in problems), *problems]
    warnings = [*warnings, *untried]
    result = Result(ok=not problems, problems=problems, warnings=warnings, platform=platform, devices=devices)
    result["connectors"] = _connectors_of(gateway)
    return result, gateway.devices


def _connectors_of(gateway: Gateway) -> list[dict[str, object]]:
    """Each connector and who serves it, for a program."""
    read: list[dict[str, object]] = [
        {"name": one.name, "configuration": one.file, "servedBy": "serialgw"} for one in gateway.connectors
    ]
    return read + [
        {
            "name": one.name,
            "configuration": one.file,
            "servedBy": "hosted",
            "type": one.type,
            "class": one.class_name,
            "file": one.class_file,
        }
        for one in gateway.hosted
    ]


def _shown(file: str) -> str:
    """A file as a person who stands in this folder names it."""
    beside = os.path.relpath(file)
    return file if beside.startswith("..") else beside


def _connector_as_text(connector: dict[str, object]) -> str:
    """`connector Pumps: read by serialgw`, for a person."""
    served = "read by serialgw"
    if connector["servedBy"] == "hosted":
        served = f"hosted: class {connector['class']} of file {_shown(str(connector['file']))}"
    return f"connector {connector['name']}: {served}"


def _print_text(file: str, result: Result, devices: tuple[Device, ...]) -> None:
    """The result for a person: problems, warnings, then each device as it is understood, and a count at the end."""
    for problem in result["problems"]:
        print(f"{ERROR}{problem}")
    for warning in result["warnings"]:
        print(f"{WARNING}{warning}")
    for device in devices:
        print()
        print("\n".join(describe_device(device)))
    connectors = result.get("connectors", [])
    if connectors:
        print()
        print("\n".join(map(_connector_as_text, connectors)))
    if connectors:
        print(f"\nplatform: {result['platform']}")
        if "connected" in result:
            print(f"connection: {result['fault']}" if result.get("fault") else f"connection: {LET_IN}")
        print()
    print(f"{file}: {_count(result['problems'], 'problem')}, {_count(result['warnings'], 'warning')}")


def _count(things: list[str], noun: str) -> str:
    """`no problems`, `1 problem`, `2 problems`."""
    return f"{len(things) or 'no'} {noun}{'' if len(things) == 1 else 's'}"


def describe_platform(platform: Platform) -> str:
    """`localhost:1883, accessToken, TLS`: where readings go, and how the gateway proves who it is; no secret."""
    how: str = "no credentials" if platform.security.type == "none" else platform.security.type
    if platform.provisioning is not None:
        how = f"provisioning ({platform.provisioning.type})"
    return f"{platform.host}:{platform.port}, {how}{', TLS' if platform.security.uses_tls else ''}"


def describe_port(port: str) -> str:
    """A port as it is written; of a USB adapter also which file it is now, or why none."""
    if not is_usb(port) or (selector := read_selector(port)) is None:
        return port
    try:
        return f"{port} (now {find_port(selector)})"
    except LookupError as error:
        return f"{port} ({error})"


def describe_line(line: Line) -> str:
    """`9600 8N1`, with flow control where there is one, and pins that are told how to be."""
    flow = [name for name in ("xonxoff", "rtscts", "dsrdtr") if getattr(line, name)]
    for name in ("dtr", "rts"):
        if (pin := getattr(line, name)) is not None:
            flow.append(f"{name.upper()} {'on' if pin else 'off'}")
    return " ".join([f"{line.baudrate} {line.bytesize}{line.parity}{line.stopbits:g}", *flow])


def describe_framing(framing: Framing) -> str:
    """`frames end with "\\n"`, or what frames look like."""
    if not framing.shapes:
        return f"frames end with {spelled_out(framing.delimiter)}"
    name = f" ({framing.named})" if framing.named else ""
    return f"a frame{name} {words_of(framing.shapes, skip=framing.skip, mask=framing.mask)}"


def describe_device(device: Device) -> list[str]:
    """A device for a person: its line, its converters, and a row for each value, RPC and attribute update."""
    line = device.line
    port = f"{describe_port(line.port)}, {describe_line(line)}"
    lines = [
        f"{device.name} ({device.type}) on {port}, {describe_framing(device.framing)}",
        f"  converter {device.converter}, downlink {device.downlink_converter or 'none'}",
    ]
    rows: list[tuple[str, ...]] = [("telemetry", point.key, *_value_of(point)) for point in device.telemetry]
    rows += [("attribute", point.key, *_value_of(point)) for point in device.attributes]
    for number, message in enumerate(device.messages, 1):
        rows += _message_rows(message, number, alone=len(device.messages) == 1 and not message.name)
    rows += describe_asking(device.asking) if device.asking is not None else []
    rows += [("rpc", rpc.method, "", _rpc_as_text(device, rpc)) for rpc in device.rpcs]
    rows += [("update", one.attribute, "", _update_as_text(one)) for one in device.attribute_updates]
    return lines + [f"  {line}" for line in table(rows)]


def _update_as_text(update: AttributeUpdate) -> str:
    """What an attribute update writes."""
    if update.register is not None:
        return f"writes {update.register.table}:{update.register.first}, {update.register.type}"
    return f"writes {spelled_out(update.string_to_device)}{_words_of(update)}"


def _message_rows(message: Message, number: int, *, alone: bool) -> list[tuple[str, ...]]:
    """A message, and what it says, for a person."""
    name = "each frame" if alone else message.name or f"number {number}"
    rows: list[tuple[str, ...]] = [("message", name, "", describe_message(message, alone=alone))]
    rows += [("telemetry", point.key, *_value_of(point)) for point in message.telemetry]
    return rows + [("attribute", point.key, *_value_of(point)) for point in message.attributes]


def _value_of(point: DataPoint) -> tuple[str, str]:
    """(type, place in the frame) of a data point, both in words."""
    if point.place is not None:
        return describe_type(point), describe_place(point) + _words_of(point)
    return read_as(point.type), describe_slice(point) + _words_of(point)


def _words_of(entry: DataPoint | Rpc | AttributeUpdate) -> str:
    """How the device spells fractions, true and false, where the configuration says so."""
    words = [f"{quoted(entry.decimal)} before a fraction"] if entry.decimal else []
    for texts, value in ((entry.true_text, "true"), (entry.false_text, "false")):
        if texts:
            words.append(f"{' or '.join(map(spelled, texts))} for {value}")
    return "".join(f", {word}" for word in words)


def _rpc_as_text(device: Device, rpc: Rpc) -> str:
    """What an RPC writes, and what it takes from the answer."""
    if rpc.register is not None:
        return f"{describe_register(rpc.register)}, answer within {rpc.response_timeout_s:g} s"
    sent = f"writes {_written_by(device, rpc)}{_words_of(rpc)}"
    if not rpc.with_response:
        return f"{sent}, no answer"
    matching = f" matching {quoted(rpc.response_pattern)}" if rpc.response_pattern is not None else ""
    answer = f"{read_as(rpc.response_type)} {describe_answer(rpc)}"
    if device.has_user_uplink:
        answer = f"as {device.converter} reads it"
    return f"{sent}, answer{matching} within {rpc.response_timeout_s:g} s: {answer}"


def _written_by(device: Device, rpc: Rpc) -> str:
    """What becomes of a call's params, by whichever converter the device has."""
    if rpc.template is not None:
        kind = f" with params as {written_as(rpc.type)}" if written_as(rpc.type) != "text" else ""
        return spelled_out(rpc.template) + kind
    if device.downlink_converter is None:
        return 'nothing without "downlink_converter"'
    if device.has_user_downlink:
        return f"what {device.downlink_converter} makes of params"
    return f"params as {written_as(rpc.type)}"


def device_as_json(device: Device) -> dict[str, object]:
    """A device for a program, under the keys of the configuration where there are such."""
    return {
        "name": device.name,
        "type": device.type,
        "connector": device.connector_name,
        "port": device.line.port,
        "line": describe_line(device.line),
        **_framing_as_json(device.framing),
        "converter": device.converter,
        "downlinkConverter": device.downlink_converter,
        "telemetry": [_point_as_json(point) for point in device.telemetry],
        "attributes": [_point_as_json(point) for point in device.attributes],
        "messages": [_message_as_json(message) for message in device.messages],
        "asks": [
            {"what": what, "name": name, "when": when, "does": does}
            for what, name, when, does in (describe_asking(device.asking) if device.asking is not None else [])
        ],
        "rpcs": [{"method": rpc.method, "does": _rpc_as_text(device, rpc)} for rpc in device.rpcs],
        "attributeUpdates": [
            {"attribute": one.attribute, "stringToDevice": one.string_to_device} for one in device.attribute_updates
        ],
    }


def _message_as_json(message: Message) -> dict[str, object]:
    """A message for a program."""
    return {
        "name": message.name,
        "does": describe_message(message),
        "telemetry": [_point_as_json(point) for point in message.telemetry],
        "attributes": [_point_as_json(point) for point in message.attributes],
    }


def _framing_as_json(framing: Framing) -> dict[str, object]:
    """What ends frames, or what they look like."""
    if not framing.shapes:
        return {"delimiter": spell([framing.delimiter])}
    return {"framing": words_of(framing.shapes, skip=framing.skip, mask=framing.mask)}


def _point_as_json(point: DataPoint) -> dict[str, object]:
    """A data point for a program."""
    kind, taken = _value_of(point)
    return {"key": point.key, "type": kind, "slice": taken}
