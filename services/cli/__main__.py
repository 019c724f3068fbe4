"""`serialgw`: one command, one sub-command per task. Sub-commands are imported only when they are called."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Final

from common.errors import ConfigError, GatewayError, LinkError
from common.io.process import EXIT_CONFIG, EXIT_UNAVAILABLE

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
"""As shells say it: 128 and the number of SIGINT."""

# Order of the help text; each module has `add_parser(subparsers)` and `run(args) -> int`.
COMMANDS: Final = {
    "run": "run",
    "demo": "demo.command",
    "check": "check",
    "try": "try_",
    "ports": "ports",
    "init": "init",
    "status": "status",
    "watch": "watch",
    "rpc": "rpc",
}
SUMMARIES: Final = {
    "run": "run the whole gateway on this host",
    "demo": "show it all at work, without any hardware",
    "check": "say everything that is wrong with a configuration",
    "try": "show what a configuration makes of a frame, or of an RPC",
    "ports": "list the serial ports of this host",
    "init": "write a starter configuration for ports that are there",
    "status": "show every process of a running gateway",
    "watch": "show frames and readings as they pass",
    "rpc": "call a method of a device through a running gateway",
}
DESCRIPTION: Final = """\
Gateway between serial devices and an IoT platform over MQTT."""
EPILOG: Final = """\
first steps:
  serialgw demo                            watch it work, no hardware needed
  serialgw ports                           which serial ports are here?
  serialgw init && serialgw check tb_gateway.json
  serialgw run --config tb_gateway.json

exit codes:
  0    done
  1    it failed: a call, the demo, a process that is late or lost
  2    wrong usage
  69   unavailable: no gateway is running there, or another one is
  78   the configuration has problems; they are listed on standard error
  130  interrupted by Ctrl-C
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal can't show comes out as an escape, not as a traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does; Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ConfigError as error:
        _say([f"warning: {text}" for text in error.warnings] + [f"error: {text}" for text in error.problems])
        return EXIT_CONFIG
    except LinkError as error:
        _say([f"serialgw: {error}"])
        return EXIT_UNAVAILABLE
    except GatewayError as error:
        _say([f"serialgw: {error}"])
        return EXIT_FAILED
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _say([f"serialgw: {place}{error.strerror or error}"])
        return EXIT_FAILED


def _say(lines: list[str]) -> None:
    print("\n".join(lines), file=sys.stderr)


def _run(arguments: list[str]) -> int:
    named = next((word for word in arguments if not word.startswith("-")), "")
    parser = build_parser(named)
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help()
        return 0
    code: int = args.run(args)
    sys.stdout.flush()
    return code


def build_parser(command: str = "") -> argparse.ArgumentParser:
    """The parser of all commands; only `command`'s own options are loaded, the others are names with a summary."""
    parser = argparse.ArgumentParser(
        prog="serialgw",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"serialgw {_version()}")
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, module_name in COMMANDS.items():
        if name != command:
            subparsers.add_parser(name, help=SUMMARIES[name], add_help=False)
            continue
        module = importlib.import_module(f"services.cli.{module_name}")
        module.add_parser(subparsers)
        subparsers.choices[name].set_defaults(run=module.run)
    return parser


def _version() -> str:
    try:
        return metadata.version("serialgw")
    except metadata.PackageNotFoundError:
        return "unknown (not installed)"


if __name__ == "__main__":
    sys.exit(main())
