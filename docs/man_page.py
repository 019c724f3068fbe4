"""The man page serialgw(1), from the parsers of the command line: `make docs` writes it, man(7) says in which form."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from common.core.version import RELEASE
from docs.keys import VARIABLES
from services.cli.command_line import DESCRIPTION, EPILOG, HELP, SUMMARIES, build_parser
from services.cli.commands.completion import parsers_of

MAN_PAGE: Final = Path(__file__).parents[1] / "services" / "cli" / "serialgw.1"
DEFAULTS: Final = {
    "data_dir": "/var/lib/serialgw for root, ~/.local/share/serialgw for others",
    "converters": "2, or 1 where there is one core",
}
"""Defaults that are not the same on each machine."""
_HEAD: Final = re.compile(r"^(examples|exit codes|first steps):", re.MULTILINE)


def man_page() -> str:
    """The whole page."""
    parser = build_parser(whole=True)
    lines = [
        '.\\" Written by `make docs` from the parsers of the command line; change it there.',
        f'.TH SERIALGW 1 "" "serialgw {RELEASE}" "User Commands"',
        ".SH NAME",
        _text("serialgw - gateway between serial devices and an IoT platform over MQTT"),
        ".SH SYNOPSIS",
        ".B serialgw",
        "COMMAND [ARGUMENT ...]",
        ".SH DESCRIPTION",
        *_paragraph(DESCRIPTION),
        *_epilog(EPILOG),
        ".SH COMMANDS",
    ]
    for name, one in parsers_of(parser).items():
        if name != HELP:
            lines += _command(name, one)
    lines += [".SH ENVIRONMENT"]
    for variable in VARIABLES:
        lines += [".TP", f".B {_text(variable.name)}", *_paragraph(variable.meaning)]
    lines += [".SH FILES"]
    for name, meaning in (
        ("tb_gateway.json", "the main configuration, where no other is named"),
        ("DIR/journals", "what waits for the platform, and dead letters"),
        ("DIR/log", "what `serialgw logs` shows"),
    ):
        lines += [".TP", f".I {_text(name)}", *_paragraph(meaning)]
    return "\n".join(lines) + "\n"


def _command(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    """A command: how it is called, what it does, its arguments, examples and exit codes."""
    yield f".SS {_text(name)}"
    yield from _paragraph(SUMMARIES[name].capitalize() + ".")
    yield ".PP"
    yield f".B {_text(f'serialgw {name}')}"
    yield _text(" ".join(map(_in_synopsis, _arguments(parser))))
    if parser.description:
        yield ".PP"
        yield from _paragraph(parser.description)
    for action in _arguments(parser):
        yield ".TP"
        yield f".B {_text(_names(action))}"
        yield from _paragraph(_help(action))
    yield from _epilog(parser.epilog or "")


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Positional ones first, without --help."""
    found = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    return sorted(found, key=lambda action: bool(action.option_strings))


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, str):
        return action.metavar
    return "|".join(map(str, action.choices)) if action.choices else action.dest.upper()


def _in_synopsis(action: argparse.Action) -> str:
    word = " ".join(part for part in (*action.option_strings[-1:], _value(action)) if part)
    is_optional = bool(action.option_strings) and not action.required
    return f"[{word}]" if is_optional or action.nargs in ("?", "*") else word


def _names(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings)
    return " ".join(part for part in (names, _value(action)) if part)


def _help(action: argparse.Action) -> str:
    facts = {**vars(action), "default": DEFAULTS.get(action.dest, action.default), "prog": "serialgw"}
    return (action.help or "") % facts


def _epilog(text: str) -> Iterator[str]:
    """Each part under its heading: examples as they stand, the rest as text."""
    for part in re.split(r"\n\n+", text.strip()):
        head = _HEAD.match(part)
        yield ".PP"
        if head is None:
            yield from _paragraph(part)
            continue
        yield f"{head[1].capitalize()}:"
        rest = part[head.end() :]
        if "\n" in rest:
            yield from (".PP", ".nf", *map(_text, rest.strip("\n").split("\n")), ".fi")
        else:
            yield from _paragraph(rest.strip())


def _paragraph(text: str) -> Iterator[str]:
    """Running text: each sentence on its line."""
    yield from map(_text, re.split(r"(?<=[.!?]) +(?=[A-Z`$])", " ".join(text.split())))


def _text(text: str) -> str:
    """Text that means nothing to troff; what is not ASCII by its number, whatever the reader's locale is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    escaped = "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in escaped)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
