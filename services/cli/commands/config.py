"""`serialgw config`: what was applied when, what has changed since, and the way back. Also what the page asks."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from common.config.history import (
    MOST_FILE_BYTES,
    MOST_KEPT,
    START,
    Applied,
    outline_of,
    read_entry,
    read_history,
    shown,
)
from common.config.place import Place
from common.core.errors import GatewayError
from common.core.shown import harmless
from common.io.clock import iso_time
from common.io.exits import EXIT_CONFIG
from services.cli.arguments import Subparsers, add_data_dir, utf8_path, whole_number
from services.cli.configuring.changing import Changed, Checked, bring_back, check, names_of, save, texts_of
from services.cli.configuring.place import find_place
from services.cli.parser import ERROR, WARNING
from services.cli.text import counted
from services.cli.usage import UsageError

ACTIONS: Final = ("history", "show", "diff", "back", "files", "check", "save")
MOST_NUMBER: Final = 10**9
MOST_INPUT_BYTES: Final = 4 * MOST_FILE_BYTES
EXIT_CHANGED: Final = 3
"""`save`: the files are others than those that the change was made from."""
NO_CHANGE: Final = "no process had to do anything"
STARTED: Final = "all processes were started"


class Draft(msgspec.Struct, frozen=True):
    """What `check` and `save` read on standard input."""

    files: dict[str, str]
    """Name → text, secrets blanked as `files` shows them."""
    tag: str = ""
    """What `files` has said: `save` writes nothing where it is another one by now."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds `config` and its options."""
    parser = subparsers.add_parser(
        "config",
        help="show which configurations were applied, and go back to one",
        description=f"The {MOST_KEPT} configurations that were applied last are kept, each with its time, who had it "
        "applied, and what that changed. `history` lists them, `show N` prints the files of one, `diff N` what has "
        "changed in the files since then, `diff N M` what has changed from N to M. `back N` writes the files of N and "
        "has a running gateway take them; secrets stay what they are now, for none is kept.\n\n"
        "`files`, `check` and `save` are for programs: `files` shows the files without secrets, with a tag; `check` "
        'reads {"files": {NAME: TEXT}} on standard input and says all that is wrong with it; `save` writes it where '
        '"tag" is still the right one.',
        epilog="examples:\n"
        "  serialgw config history\n"
        "  serialgw config diff 12\n"
        "  serialgw config back 12 --dry-run\n"
        "  serialgw config back 12\n\n"
        f"exit codes: 0 done, 1 there is no such entry, or it was taken back, {EXIT_CHANGED} `save`: somebody has "
        f"changed the files meanwhile, 69 nothing is known of a gateway there, {EXIT_CONFIG} problems in the "
        "configuration: nothing was changed",
    )
    parser.add_argument("action", choices=ACTIONS, metavar="ACTION", help=", ".join(ACTIONS))
    number = whole_number(1, MOST_NUMBER)
    parser.add_argument("number", type=number, nargs="?", metavar="N", help="which one, as `history` numbers them")
    parser.add_argument("other", type=number, nargs="?", metavar="M", help="diff: the other one (default: the files)")
    parser.add_argument("--config", type=utf8_path, metavar="FILE", help="main file (default: what runs there)")
    parser.add_argument("--dry-run", action="store_true", help="back: say what would change, and do nothing")
    parser.add_argument("--restart", action="store_true", help="back: as for `serialgw reload`")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Does one of them. Raises GatewayError, LinkError, UsageError, OSError."""
    needs = args.action in ("show", "diff", "back")
    if needs and args.number is None:
        raise UsageError(f"config {args.action}: expected a number, as `serialgw config history` shows them")
    if (not needs and args.number is not None) or (args.action != "diff" and args.other is not None):
        raise UsageError(f"config {args.action}: found a number too many")
    place = find_place(args.data_dir, args.config)
    match args.action:
        case "history":
            return _history(place, as_json=args.json)
        case "show":
            return _show(_entry(place, args.number), as_json=args.json)
        case "diff":
            return _diff(place, args)
        case "back":
            return _back(place, args)
        case "files":
            return _files(place)
        case "check":
            return _checked(check(place, _draft().files)[0], as_json=True)
        case _:
            return _save(place)


def _history(place: Place, *, as_json: bool) -> int:
    entries = read_history(place.data_dir)
    if as_json:
        print(msgspec.json.encode([outline_of(entry) for entry in entries]).decode())
        return 0
    for entry in entries:
        first, *more = entry.summary or (STARTED if entry.by == START else NO_CHANGE,)
        rest = f" and {len(more)} more" if more else ""
        print(harmless(f"{entry.number:>4}  {iso_time(entry.at_ms)}  {entry.by}: {first}{rest}"))
    if gone := (entries[-1].number - 1 if entries else 0):
        print(f"{counted(gone, 'older one')} not kept: the last {MOST_KEPT} are")
    if not entries:
        print("nothing was applied yet: `serialgw run` begins the history, `serialgw reload` continues it")
    return 0


def _entry(place: Place, number: int) -> Applied:
    entry = read_entry(place.data_dir, number)
    if entry is None:
        known = ", ".join(str(one.number) for one in read_history(place.data_dir)) or "none"
        raise GatewayError(f"{number} is not in the history (any more); there are: {known}")
    return entry


def _show(entry: Applied, *, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.encode(shown(entry)).decode())
        return 0
    for path, text in entry.files.items():
        print(harmless(f"# {path}"))
        print(text.rstrip("\n"))
    for path in entry.left_out:
        print(harmless(f"# {path} was too large to be kept, or no text"))
    return 0


def _diff(place: Place, args: argparse.Namespace) -> int:
    before = _entry(place, args.number).files
    if args.other is None:
        after = {file.path: file.text for file in place.shown if file.is_there}
    else:
        after = _entry(place, args.other).files
    print("\n".join(_lines_of_diff(before, after)) or "no difference")
    return 0


def _lines_of_diff(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for path in dict.fromkeys((*before, *after)):
        texts = (before.get(path, "").splitlines(), after.get(path, "").splitlines())
        yield from difflib.unified_diff(*texts, harmless(path), harmless(path), lineterm="")


def _back(place: Place, args: argparse.Namespace) -> int:
    entry = _entry(place, args.number)
    # Also those that the main file does not name by now: they may be there still.
    place = place.with_files(names_of(place, entry))
    checked, contents = check(place, texts_of(place, entry))
    if not checked.ok or args.dry_run:
        if not args.json and checked.ok:
            now = {file.path: file.text for file in place.shown}
            print("\n".join(_lines_of_diff({path: now.get(path, "") for path in entry.files}, entry.files)))
        return _checked(checked, as_json=args.json)
    if checked.needs_restart and not args.restart:
        raise GatewayError("this needs a restart of all processes: --restart allows it; nothing was changed")
    done = bring_back(place, contents, entry.number, may_restart=args.restart)
    steps = [] if done is None else [step._asdict() for step in done.steps]
    if args.json:
        told = {"written": list(contents), "applied": done is not None and done.applied, "steps": steps}
        print(msgspec.json.encode(told).decode())
        return 0
    for step in done.steps if done is not None else ():
        print(harmless(str(step)))
    names = ", ".join(contents) or "nothing"
    then = "no `serialgw run` looks after it: a reload or the next start takes them" if done is None else "applied"
    print(harmless(f"written: {names}; {then}"))
    return 0


def _files(place: Place) -> int:
    print(msgspec.json.encode({"tag": place.tag, "files": place.shown}).decode())
    return 0


def _checked(checked: Checked, *, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.encode(checked).decode())
    else:
        for warning in checked.warnings:
            print(harmless(f"{WARNING}{warning.text}"), file=sys.stderr)
        for problem in checked.problems:
            print(harmless(f"{ERROR}{problem.text}"), file=sys.stderr)
        for step in checked.steps:
            print(harmless(f"{step['sign']} {step['what']}{': ' if step['text'] else ''}{step['text']}"))
    return 0 if checked.ok else EXIT_CONFIG


def _save(place: Place) -> int:
    draft = _draft()
    checked, contents = check(place, draft.files)
    if checked.ok:
        try:
            save(place, contents, draft.tag)
        except Changed as error:
            print(f"{ERROR}{error}", file=sys.stderr)
            return EXIT_CHANGED
    told = msgspec.to_builtins(checked) | {"saved": checked.ok, "tag": place.anew().tag}
    print(msgspec.json.encode(told).decode())
    return 0 if checked.ok else EXIT_CONFIG


def _draft() -> Draft:
    """What stands on standard input. Raises UsageError."""
    content = sys.stdin.buffer.read(MOST_INPUT_BYTES + 1)
    if len(content) > MOST_INPUT_BYTES:
        raise UsageError(f"standard input: expected at most {MOST_INPUT_BYTES} bytes")
    try:
        return msgspec.json.decode(content, type=Draft)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"standard input: {error}") from None
