"""The command line: one sub-command per task, each imported only when it is called."""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Final

from common.core.errors import ConfigError, GatewayError, LinkError
from common.core.version import RELEASE
from common.io.exits import EXIT_CONFIG, EXIT_UNAVAILABLE
from services.cli.harmless import HarmlessStream
from services.cli.parser import ERROR, WARNING, Parser
from services.cli.usage import EXIT_USAGE, UsageError

EXIT_FAILED: Final = 1
"""The code of a command that was understood and did not succeed."""

COMMANDS: Final = {
    "run": "run",
    "demo": "demo",
    "check": "check",
    "try": "try_",
    "ports": "ports",
    "profiles": "profiles",
    "identify": "identify",
    "probe": "probe",
    "add": "add",
    "capture": "capture",
    "replay": "replay",
    "doctor": "doctor",
    "init": "init",
    "status": "status",
    "watch": "watch",
    "logs": "logs",
    "web": "web",
    "reload": "reload",
    "config": "config",
    "restart": "restart",
    "rpc": "rpc",
    "dead-letters": "dead_letters",
    "deploy": "deploy",
    "backup": "backup",
    "restore": "restore",
    "completion": "completion",
}
"""The word on the command line → its module, in the order of the help text; each module has `add_parser(subparsers)`
and `run(args) -> int`."""
HELP: Final = "help"
"""`serialgw help COMMAND` is `serialgw COMMAND --help`."""
SUMMARIES: Final = {
    "run": "run the whole gateway on this host",
    "demo": "show it all at work, without any hardware",
    "check": "say everything that is wrong with a configuration",
    "try": "show what a configuration makes of a frame, a capture, or an RPC",
    "ports": "list the serial ports of this host",
    "profiles": "list the kinds of devices that are known, or show one",
    "identify": "find out which known device is at a port",
    "probe": "listen to an unknown device, and guess its settings",
    "add": "add a device to the configuration, step by step",
    "capture": "record what passes on a line, with its times",
    "replay": "play a recorded line on a pseudo-terminal",
    "doctor": "find out why no data comes, and what mends it",
    "init": "write a starter configuration for ports that are there",
    "status": "show every process of a running gateway",
    "watch": "show frames and readings as they pass",
    "logs": "show what the processes of a gateway have logged",
    "web": "print a link that opens the gateway's page",
    "reload": "take a changed configuration without a restart",
    "config": "show which configurations were applied, and go back to one",
    "restart": "start the process of one device anew",
    "rpc": "call a method of a device through a running gateway",
    "dead-letters": "list frames that could not be delivered, or send them again",
    "backup": "keep a gateway in one file, also while it runs",
    "restore": "bring back what `serialgw backup` has kept",
    "deploy": "print the file by which something else starts the gateway",
    "completion": "print a script that lets a shell complete commands",
}
"""One line a command for the help text, so that none of them need be imported to show it."""
OS_ADVICE: Final = {
    errno.EACCES: "; choose another place, or let this user write there",
    errno.EPERM: "; choose another place, or let this user write there",
    errno.EROFS: "; choose another place",
    errno.ENOENT: "; is the path right?",
    errno.ENOTDIR: "; is the path right?",
    errno.ENOSPC: "; make room, or choose another place",
}
"""What an operating system's error asks of a person."""
DESCRIPTION: Final = """\
Gateway between serial devices and an IoT platform over MQTT."""
EPILOG: Final = f"""\
first steps:
  serialgw demo                            watch it work, no hardware needed
  serialgw ports                           which serial ports are here?
  serialgw init && serialgw check tb_gateway.json
  serialgw run tb_gateway.json

`serialgw help COMMAND` says what a command does, with examples.

exit codes:
  0    done
  1    it failed: a call, the demo, a process that is late or lost
  2    wrong usage
  {EXIT_UNAVAILABLE:<3}  unavailable: no gateway is running there, or another one is
  {EXIT_CONFIG:<3}  the configuration has problems; each is named, with what would be right
  130  interrupted by Ctrl-C
"""


def run_command_line(arguments: Sequence[str]) -> int:
    """Runs one command line; returns its exit code. Raises KeyboardInterrupt, and SystemExit for wrong usage.

    Errors of this project come out as sentences, not as tracebacks; any other exception is a bug and does come out as
    one.
    """
    _open_streams()
    try:
        return _run(list(arguments))
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does; Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ConfigError as error:
        _say([f"{WARNING}{text}" for text in error.warnings] + [f"{ERROR}{text}" for text in error.problems])
        return EXIT_CONFIG
    except UsageError as error:
        _say([f"{ERROR}{error}"])
        return EXIT_USAGE
    except LinkError as error:
        _say([f"{ERROR}{error}"])
        return EXIT_UNAVAILABLE
    except GatewayError as error:
        _say([f"{ERROR}{error}"])
        return EXIT_FAILED
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        advice = OS_ADVICE.get(error.errno or 0, "")
        _say([f"{ERROR}{place}{error.strerror or error}{advice}"])
        return EXIT_FAILED


def _open_streams() -> None:
    """Makes standard output and error fit for anything: what a terminal can't show, or would obey, comes out as an
    escape; a stream that the caller closed swallows what we say."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (lives as long as we do)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = HarmlessStream.over(sys.stdout), HarmlessStream.over(sys.stderr)


def _say(lines: list[str]) -> None:
    """Prints lines to standard error: standard output has results only."""
    print("\n".join(lines), file=sys.stderr)


def _run(arguments: list[str]) -> int:
    """Finds the command and runs it. Output that can't be written fails here, not at Python's exit."""
    if arguments[:1] == [HELP]:
        arguments = [*arguments[1:2], "--help"]
    # Only the module of the command that was named is imported: a start takes as long as its imports.
    named = next((word for word in arguments if not word.startswith("-")), "")
    parser = build_parser(named)
    if named and named not in COMMANDS:
        parser.error(_no_command(named))
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help()
        return 0
    code: int = args.run(args)
    sys.stdout.flush()
    return code


def _no_command(word: str) -> str:
    """What is said of a word that is no command, with the command that was probably meant."""
    from common.config.findings import nearest

    near = nearest(word, [*COMMANDS, HELP])
    return f'there is no command "{word}"' + (f'; did you mean "{near}"?' if near else "")


def build_parser(command: str = "", *, whole: bool = False) -> argparse.ArgumentParser:
    """The parser of all commands; only `command`'s own options are loaded, the others are names with a summary.
    `whole`: those of all are, for who describes them."""
    parser = Parser(prog="serialgw", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", nargs=0, action=_Version, help="show the version and exit")
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, module_name in COMMANDS.items():
        if name != command and not whole:
            subparsers.add_parser(name, help=SUMMARIES[name], add_help=False)
            continue
        module = importlib.import_module(f"services.cli.commands.{module_name}")
        module.add_parser(subparsers)
        subparsers.choices[name].set_defaults(run=module.run)
    subparsers.add_parser(HELP, help="show this, or what a command does", add_help=False)
    return parser


class _Version(argparse.Action):
    """Says the version."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"serialgw {RELEASE}")
        parser.exit()
