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

from common.config.models import Device, Gateway, Platform
from common.core.errors import ConfigError
from common.io.exits import EXIT_CONFIG
from services.cli.arguments import Subparsers
from services.cli.described import describe_device, device_as_json
from services.cli.parser import ERROR, WARNING
from services.cli.reaching import LET_IN, reach_platform
from services.cli.text import compact
from services.cli.trial.loads import load_all, missing_of
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
