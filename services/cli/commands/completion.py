"""`serialgw completion SHELL`: the script by which a shell completes commands, options and files."""

from __future__ import annotations

import argparse
from typing import Any, Final

from services.cli.arguments import Subparsers

SHELLS: Final = ("bash", "zsh", "fish")
_FILES: Final = ("FILE", "PORT")
"""What an argument is called that names a file: then files are offered."""
_FOLDERS: Final = ("DIR",)


def add_parser(subparsers: Subparsers) -> None:
    """Adds `completion` and its options."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script that lets a shell complete commands",
        description="Prints a script that lets a shell complete commands, options and files behind `serialgw`.",
        epilog="examples:\n"
        '  eval "$(serialgw completion bash)"            in ~/.bashrc\n'
        "  serialgw completion bash | sudo tee /etc/bash_completion.d/serialgw\n"
        '  serialgw completion zsh > "${fpath[1]}/_serialgw"\n'
        "  serialgw completion fish > ~/.config/fish/completions/serialgw.fish",
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def run(args: argparse.Namespace) -> int:
    """Prints the script."""
    # Here: it loads all commands, and a library that nothing else needs.
    import shtab

    from services.cli.command_line import build_parser

    parser = build_parser(whole=True)
    for one in parsers_of(parser).values():
        for action in one._actions:
            if action.metavar in _FILES:
                _offer(action, shtab.FILE)
            elif action.metavar in _FOLDERS:
                _offer(action, shtab.DIRECTORY)
    print(shtab.complete(parser, args.shell))
    return 0


def parsers_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Command → its parser."""
    return {
        name: one
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, one in action.choices.items()
    }


def _offer(action: argparse.Action, what: Any) -> None:
    """How shtab is told what to complete: by an attribute of the action."""
    action.complete = what  # type: ignore[attr-defined]
