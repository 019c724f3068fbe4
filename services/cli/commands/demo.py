"""`serialgw demo`: shows the whole gateway at work without hardware; exit 0 only if all of it worked.

It is the first thing that people run, and a test of the installed package at the same time.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import signal
import sys
from typing import Final

from common.core.errors import GatewayError, LinkError
from services.cli.arguments import Subparsers, whole_number
from services.cli.demo.scenes import Demo

NO_BROKER: Final = (
    "the demo needs an MQTT broker (amqtt), which a gateway does not, so it is not installed with it; "
    "in a checkout `make demo` installs and runs it, elsewhere: python -m pip install 'amqtt>=0.11', "
    "in the environment of serialgw"
)
"""What is said where only the gateway is installed."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds `demo` and its options."""
    parser = subparsers.add_parser(
        "demo",
        help="show it all at work, without any hardware",
        description="Starts virtual devices on pseudo-terminals, an MQTT broker on a free port, the gateway between "
        "them; shows frames, readings as they arrive, rates and latency, then an RPC and an attribute update with the "
        "device's answer. Touches nothing of yours, and cleans up after itself.",
        epilog="examples:\n"
        "  serialgw demo\n"
        "  serialgw demo --seconds 30 --ports 8\n\n"
        "exit codes: 0 all of it worked, 1 something did not",
    )
    parser.add_argument(
        "--seconds",
        type=whole_number(1, 86_400),
        default=10,
        metavar="N",
        help="how long to send (default: %(default)s)",
    )
    parser.add_argument(
        "--ports", type=whole_number(1, 64), default=2, metavar="N", help="virtual devices (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the demo: 0 if all of it worked, 1 with the reason if not. Raises GatewayError if its MQTT broker is not
    installed."""
    if importlib.util.find_spec("amqtt") is None:
        raise GatewayError(NO_BROKER)
    # SIGTERM ends the demo by an exception, so that everything it has started is cleaned up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Whatever happens, what was started is ended in the reverse order.
    with contextlib.ExitStack() as cleanup:
        demo = Demo(cleanup, args.ports)
        try:
            demo.start()
            demo.send_frames(args.seconds)
            demo.call_device()
            demo.update_attribute()
            demo.stop()
        except LinkError as error:
            print(f"\nFAILED: {error}")
            demo.print_log()
            return 1
    return 0
