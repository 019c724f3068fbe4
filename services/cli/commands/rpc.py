"""`serialgw rpc`: calls a method of a device through a running gateway, as the platform would.

The call takes the way of the platform's calls from the publisher on, so what works here works there.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import Final

import simplejson

from common.core.errors import GatewayError
from common.core.quoting import quoted
from common.io.client import Client, json_of
from common.wire.calls import METHOD_NOT_FOUND, CallDevice, unknown_device
from common.wire.messages import PUBLISHER
from services.cli.arguments import Subparsers, add_data_dir, utf8_text
from services.cli.known import configured_device, no_device, no_method, running_devices
from services.cli.parser import ERROR
from services.cli.text import compact
from services.cli.usage import UsageError

DEFAULT_TIMEOUT_S: Final = 10.0
"""Longer than most devices take, and than an RPC's own time-out where none is configured."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds `rpc` and its options."""
    parser = subparsers.add_parser(
        "rpc",
        help="call a method of a device through a running gateway",
        description="Calls a method that the device's serverSideRpc names, and prints the reply as JSON.",
        epilog="examples:\n"
        "  serialgw rpc press1 getValue\n"
        "  serialgw rpc press1 setValue 25\n"
        "  serialgw rpc press1 setText '\"a text stands in double quotes\"'\n"
        '  serialgw rpc press1 setLimits \'{"low": 1, "high": 9}\' --timeout 5\n\n'
        "exit codes: 0 answered, 1 the call failed, 2 wrong usage, 69 no gateway is running there",
    )
    parser.add_argument("device", type=utf8_text, metavar="DEVICE", help="the device's name")
    parser.add_argument("method", type=utf8_text, metavar="METHOD", help="the method's name")
    parser.add_argument("params", nargs="?", default="null", metavar="PARAMS", help='JSON: a number, "text", {…} …')
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT_S,
        metavar="S",
        help="seconds to wait for the answer (default: %(default)g)",
    )
    add_data_dir(parser)


def _seconds(text: str) -> float:
    """A time-out from the command line: seconds above 0, an hour at most."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected seconds above 0, up to 3600")
    return value


def run(args: argparse.Namespace) -> int:
    """Prints the reply, as the platform would get it: 0, or 1 if it is an error. Raises LinkError if no gateway is
    running."""
    params = parse_params(args.params)
    if params is None:
        raise UsageError(_not_json(args.params))
    asked = CallDevice(args.device, args.method, params)
    with Client(args.data_dir) as client:
        reply = client.call(PUBLISHER, args.device, asked, args.timeout)
        answer = compact({"error": reply.error, "success": False}).encode() if reply.error else json_of(reply)
        print(answer.decode("utf-8", "replace"), flush=True)
        error = error_of(answer)
        if error and (advice := _advice(client, args, error)):
            print(f"{ERROR}{advice}", file=sys.stderr)
    return 1 if error else 0


def _advice(client: Client, args: argparse.Namespace, error: str) -> str:
    """What there is, for a device or a method that is not there; "" for other errors, which say what is wrong."""
    if error == unknown_device(args.device):
        with contextlib.suppress(GatewayError):
            return no_device(args.device, running_devices(client))
    if error == METHOD_NOT_FOUND:
        device = configured_device(args.data_dir, args.device)
        return "" if device is None else no_method(device, args.method)
    return ""


def parse_params(text: str) -> bytes | None:
    """PARAMS as compact JSON; None if it is none. NaN and infinity, which Python would take, are none."""
    try:
        value = simplejson.loads(text, allow_nan=False)
        return simplejson.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None


def error_of(answer: bytes) -> str:
    """Why a call failed, by the reply for the platform; "" if it did not."""
    try:
        value = simplejson.loads(answer)
    except (ValueError, RecursionError):
        return "the reply is no JSON"
    if not isinstance(value, dict) or "error" not in value:
        return ""
    return str(value["error"]) or "it says no more"


def _not_json(text: str) -> str:
    """The sentence for PARAMS that are no JSON, with what was probably meant: the shell has taken a text's quotes
    away."""
    inner = quoted(text).replace("'", "'\\''")
    return f"PARAMS is no JSON: {text}\nIf it is a text, quote it twice: '{inner}'"
