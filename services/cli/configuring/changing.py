"""Checks files as somebody would have them, writes them, and brings back those of an earlier time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from common.config.blanking import restored
from common.config.history import Applied
from common.config.models import Gateway
from common.config.overlay import Overlay
from common.config.place import Place
from common.config.problem_places import Problem, placed
from common.config.reading import Loaded
from common.config.shown_files import named_in, why_bound
from common.core.errors import ConfigError, GatewayError
from common.core.events import Note
from services.cli.edited import as_it_would_be, save_files
from services.cli.supervise.reloading import Reloaded, Reloading, find_plan, hold_lock
from services.cli.supervise.steps import Step
from services.cli.supervise.wanted import read_laid
from services.cli.trial.loads import load_all, missing_of
from services.cli.whole import read_whole

CHANGED: Final = (
    "somebody has changed the files since you have read them: look at what they say now, and make your change there"
)


class Changed(GatewayError):  # noqa: N818 (it is an answer)
    """The files are others than those that a change was made from."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a check has found, as a page shows it."""

    ok: bool
    problems: list[Problem]
    warnings: list[Problem]
    steps: list[dict[str, str]] = []
    """The plan, where a gateway runs: what would become of whom."""
    needs_restart: bool = False
    """True if a reload refuses it without `--restart`."""


def check(place: Place, texts: Mapping[str, str]) -> tuple[Checked, dict[str, bytes]]:
    """Reads the configuration as it would be with these texts, name → text with secrets blanked; what was found, and
    the contents with their secrets. Raises GatewayError for a file that is not edited from here, OSError."""
    for name in texts:
        if why := why_bound(place.config, name) or _why_not_ours(place, name, texts):
            raise GatewayError(f"{name}: {why}")
    known = [place.text(name) for name in place.names]
    contents, problems = {}, []
    for name, text in texts.items():
        found = restored(text, known, place.key, same=place.text(name))
        problems += [f"{name}: {problem}" for problem in found.problems]
        contents[name] = found.text.encode()
    if not problems:
        problems, warnings, steps = _read(place, contents)
    else:
        warnings, steps = [], []
    shown = {name: place.text(name) for name in place.names} | dict(texts)
    return Checked(
        ok=not problems,
        problems=[placed(problem, shown) for problem in problems],
        warnings=[placed(warning, shown) for warning in warnings],
        steps=[{"sign": step.sign, "what": step.what, "text": step.text} for step in steps],
        needs_restart=any(step.sign == "!" for step in steps),
    ), contents


def _why_not_ours(place: Place, name: str, texts: Mapping[str, str]) -> str:
    """Why a file is not one that the change may write; "" where it is. What else lies beside the configuration, such as
    what a gateway starts from, nobody has seen here, so nobody may replace it."""
    if _plain(name) in map(_plain, place.names):
        return ""
    folder, data_dir = os.path.realpath(place.config.parent), os.path.realpath(place.data_dir)
    target = Path(os.path.realpath(place.config.parent / name))
    if target.is_relative_to(data_dir) and not Path(folder).is_relative_to(data_dir):
        return f"the gateway keeps what it needs in {data_dir}: nothing is edited there"
    named = named_in(texts.get(place.config.name, "").encode())
    # A main file that can't be read is refused anyway, with the reason.
    if _plain(name) not in map(_plain, named or ()) and not (named is None and place.config.name in texts):
        return f"found a file that {place.config.name} does not name, expected one of {', '.join(place.names)}"
    if target.exists():
        return "a file of this name is there, and was not a part of the configuration: choose another name"
    return ""


def _plain(name: str) -> str:
    return os.path.normpath(name)


def save(place: Place, contents: Mapping[str, bytes], tag: str) -> None:
    """Writes files that were found good. Raises Changed if they are others than those with this tag; then nothing is
    written. Raises GatewayError, OSError."""

    def look() -> None:
        if place.anew().tag != tag:
            raise Changed(CHANGED)

    save_files(place.config, contents, look)


def names_of(place: Place, entry: Applied) -> list[str]:
    """The names of the files of an entry."""
    return [os.path.relpath(path, place.config.parent) for path in entry.files]


def texts_of(place: Place, entry: Applied) -> dict[str, str]:
    """Name → text of the files of an entry that would be others than now. Raises GatewayError for one that says too
    little."""
    found = dict(zip(names_of(place, entry), entry.files.values(), strict=True))
    if entry.left_out:
        raise GatewayError(f"{entry.left_out[0]} was too large to be kept in {entry.number}: it can't be brought back")
    now = {file.name: file.text for file in place.shown}
    return {name: text for name, text in found.items() if now.get(name) != text}


def bring_back(place: Place, contents: Mapping[str, bytes], number: int, *, may_restart: bool) -> Reloaded | None:
    """Writes the files of an entry and has the gateway take them; what was done, None where none runs. Raises as
    `Reloading` does: then the files are what they were."""
    before = {name: place.contents.get(name) for name in contents}
    save(place, contents, place.tag)
    if find_plan(place.data_dir) is None:
        return None
    try:
        lock = hold_lock(place.data_dir)
        try:
            reloading = Reloading(place.data_dir, lambda note: None, by=f"back to {number}")
            return reloading.run(may_restart=may_restart, show=lambda planned: None)
        finally:
            lock.release()
    except (GatewayError, OSError):
        put_back(place, contents, before)
        raise


def put_back(place: Place, written: Mapping[str, bytes], before: Mapping[str, bytes | None]) -> None:
    """What was written and could not be taken gives way to what was there; not where somebody has edited it since."""

    def look() -> None:
        now = place.anew().contents
        if any(now.get(name) != content for name, content in written.items()):
            raise Changed(CHANGED)

    try:
        save_files(place.config, {name: content for name, content in before.items() if content is not None}, look)
    except (GatewayError, OSError):
        return  # The reason why it could not be taken is worth more than this one; the files are seen to differ.
    for name, content in before.items():
        if content is None:
            (place.config.parent / name).unlink(missing_ok=True)


def _read(place: Place, contents: Mapping[str, bytes]) -> tuple[list[str], list[str], list[Step]]:
    """(problems, warnings, the plan) of the configuration as it would be."""
    with as_it_would_be(place.config, contents) as main:
        try:
            gateway, warnings, steps = _planned(place, main)
            missing = missing_of(gateway, os.environ)
            problems = [problem for found in missing.values() for problem in found]
            refused, untried = load_all(gateway, os.environ, without=missing)
            problems, warnings = [*problems, *refused], [*warnings, *untried]
        except ConfigError as error:
            problems, warnings, steps = list(error.problems), list(error.warnings), []
    here, there = str(main.parent), str(place.config.parent)
    return (
        [text.replace(here, there) for text in problems],
        [text.replace(here, there) for text in warnings],
        steps,
    )


def _planned(place: Place, main: Path) -> tuple[Gateway, list[str], list[Step]]:
    """(the gateway as it was read, warnings, the plan; [] where none runs). Raises ConfigError."""
    if find_plan(place.data_dir) is None:
        found = read_whole(main, os.environ)
        return found.gateway, found.warnings, []
    read: list[Loaded] = []

    def read_there(config: Path, environ: Mapping[str, str], overlay: Overlay) -> tuple[Overlay, Loaded]:
        overlay, loaded = read_laid(main, environ, overlay)
        read.append(loaded)
        return overlay, Loaded(_moved(loaded.gateway, main.parent, config.parent), loaded.warnings)

    def quiet(_: Note) -> None:
        """Nothing is done, so nothing is told."""

    shown: list[Reloaded] = []
    planned = Reloading(place.data_dir, quiet, read=read_there).run(dry_run=True, show=shown.append)
    return read[-1].gateway, planned.warnings, planned.steps


def _moved(gateway: Gateway, here: Path, there: Path) -> Gateway:
    """The same gateway as if its files lay there: else all that has a path would be another one than what runs."""
    old, new = (msgspec.json.encode(str(folder))[1:-1] for folder in (here, there))
    return msgspec.json.decode(msgspec.json.encode(gateway).replace(old, new), type=Gateway)
