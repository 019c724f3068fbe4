"""`serialgw check FILE`: says what is wrong with a configuration, or what the gateway understands by it."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from typing import TypedDict

from common.config.checking import BUILTIN_DOWNLINK, BUILTIN_UPLINK
from common.config.models import DataPoint, Device, Platform, Rpc
from common.core.errors import ConfigError
from common.io.exits import EXIT_CONFIG
from services.cli.arguments import Subparsers
from services.cli.slices import describe_answer, describe_slice
from services.cli.whole import read_whole

EXIT_OK = 0


class Result(TypedDict):
    """What `--json` prints."""

    ok: bool
    problems: list[str]
    warnings: list[str]
    platform: str
    devices: list[dict[str, object]]


def add_parser(subparsers: Subparsers) -> None:
    """Add `check` to the command line."""
    parser = subparsers.add_parser(
        "check",
        help="check a configuration and show what the gateway understands by it",
        description="Reads a configuration as the gateway would, without opening a port or a connection. "
        "Says every problem at once, and how frames will be read.",
        epilog="examples:\n"
        "  serialgw check tb_gateway.json\n"
        "  serialgw check custom_serial.json --json\n\n"
        "exit codes: 0 it can be used, 78 it can't",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="tb_gateway.json, or a serial connector's file alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check `args.file` and print the result. Returns 0 where it can be used, 78 where it can't."""
    result, devices = _check(args.file)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that can't show a character gets its escape, not a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    if args.json:
        print(json.dumps(result))
    else:
        _print_text(args.file, result, devices)
    return EXIT_OK if result["ok"] else EXIT_CONFIG


def _check(file: str) -> tuple[Result, tuple[Device, ...]]:
    try:
        gateway, warnings = read_whole(file, os.environ)
    except ConfigError as error:
        return Result(ok=False, problems=error.problems, warnings=error.warnings, platform="", devices=[]), ()
    devices = [_device_as_json(device) for device in gateway.devices]
    platform = describe_platform(gateway.platform)
    result = Result(ok=True, problems=[], warnings=warnings, platform=platform, devices=devices)
    return result, gateway.devices


def _print_text(file: str, result: Result, devices: tuple[Device, ...]) -> None:
    for problem in result["problems"]:
        print(f"error: {problem}")
    for warning in result["warnings"]:
        print(f"warning: {warning}")
    for device in devices:
        print()
        print("\n".join(_device_as_text(device)))
    if devices:
        print(f"\nplatform: {result['platform']}\n")
    print(f"{file}: {_count(result['problems'], 'problem')}, {_count(result['warnings'], 'warning')}")


def _count(things: list[str], noun: str) -> str:
    return f"{len(things) or 'no'} {noun}{'' if len(things) == 1 else 's'}"


def describe_platform(platform: Platform) -> str:
    """`localhost:1883, accessToken, TLS`: where readings go, and how the gateway proves who it is; no secret."""
    how = "no credentials" if platform.security.type == "none" else platform.security.type
    return f"{platform.host}:{platform.port}, {how}{', TLS' if platform.security.uses_tls else ''}"


def describe_line(device: Device) -> str:
    """`9600 8N1`, with flow control where there is one."""
    flow = [name for name in ("xonxoff", "rtscts", "dsrdtr") if getattr(device, name)]
    return " ".join([f"{device.baudrate} {device.bytesize}{device.parity}{device.stopbits:g}", *flow])


def _device_as_text(device: Device) -> list[str]:
    delimiter = _quoted(device.delimiter)
    lines = [f"{device.name} ({device.type}) on {device.port}, {describe_line(device)}, frames end with {delimiter}"]
    lines.append(f"  converter {device.converter}, downlink {device.downlink_converter or 'none'}")
    rows = [("telemetry", point.key, *_value_of(point)) for point in device.telemetry]
    rows += [("attribute", point.key, *_value_of(point)) for point in device.attributes]
    rows += [("rpc", rpc.method, "", _rpc_as_text(device, rpc)) for rpc in device.rpcs]
    rows += [
        ("update", one.attribute, "", f"writes {_quoted(one.string_to_device)}") for one in device.attribute_updates
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  " + "  ".join([*cells, row[3]]).rstrip())
    return lines


def _value_of(point: DataPoint) -> tuple[str, str]:
    return point.type or "hexadecimal", describe_slice(point)


def _rpc_as_text(device: Device, rpc: Rpc) -> str:
    sent = f"writes {_written_by(device, rpc)}"
    if not rpc.with_response:
        return f"{sent}, no answer"
    matching = f" matching {_quoted(rpc.response_pattern)}" if rpc.response_pattern is not None else ""
    answer = f"{rpc.response_type or 'hexadecimal'} {describe_answer(rpc)}"
    if device.converter != BUILTIN_UPLINK:
        answer = f"as {device.converter} reads it"
    return f"{sent}, answer{matching} within {rpc.response_timeout_s:g} s: {answer}"


def _written_by(device: Device, rpc: Rpc) -> str:
    if rpc.template is not None:
        return _quoted(rpc.template)
    if device.downlink_converter is None:
        return 'nothing without "downlink_converter"'
    if device.downlink_converter != BUILTIN_DOWNLINK:
        return f"what {device.downlink_converter} makes of params"
    return f"params as {rpc.type}"


def _quoted(text: str | bytes | None) -> str:
    if isinstance(text, bytes):
        text = text.decode(errors="backslashreplace")
    return json.dumps(text, ensure_ascii=False)


def _device_as_json(device: Device) -> dict[str, object]:
    return {
        "name": device.name,
        "type": device.type,
        "connector": device.connector_name,
        "port": device.port,
        "line": describe_line(device),
        "delimiter": device.delimiter.decode(errors="backslashreplace"),
        "converter": device.converter,
        "downlinkConverter": device.downlink_converter,
        "telemetry": [_point_as_json(point) for point in device.telemetry],
        "attributes": [_point_as_json(point) for point in device.attributes],
        "rpcs": [{"method": rpc.method, "does": _rpc_as_text(device, rpc)} for rpc in device.rpcs],
        "attributeUpdates": [
            {"attribute": one.attribute, "stringToDevice": one.string_to_device} for one in device.attribute_updates
        ],
    }


def _point_as_json(point: DataPoint) -> dict[str, object]:
    kind, taken = _value_of(point)
    return {"key": point.key, "type": kind, "slice": taken}
