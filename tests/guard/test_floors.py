"""How high each house is: who imports whom inside a core, in floors, and that nobody goes round in a circle.

A folder is a house; a file in it, or a folder in it, is a room. A room stands one floor above the highest room that it
imports. A reader who opens the top room has to know so many floors at most.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST = {
    "services/port_reader/core": 6,
    "services/connector_host/core": 4,
    "services/publisher/core": 7,
    "services/publisher/core/outbox": 6,
    "services/publisher/core/session": 3,
    "services/converter/core": 6,
    "services/broker/core": 4,
    "services/monitor/core": 3,
    "common/stream": 6,
    "common/conversion": 4,
    "common/conversion/slices": 2,
    "common/conversion/grammar": 5,
    "common/core": 4,
    "common/wire": 4,
    "common/config": 7,
    "common/config/device": 4,
    "common/io": 7,
    "common/io/journal": 8,
}


def imports_of(path: Path) -> Iterator[Path]:
    """The files of ours that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                whole = ROOT.joinpath(*node.module.split("."), name.name)
                yield from (_file(whole) or _file(ROOT.joinpath(*node.module.split("."))) or [])
        elif isinstance(node, ast.Import):
            for name in node.names:
                yield from _file(ROOT.joinpath(*name.name.split("."))) or []


def _file(place: Path) -> list[Path]:
    return [found for found in (place.with_suffix(".py"), place / "__init__.py") if found.is_file()]


def rooms_of(house: Path) -> dict[str, set[str]]:
    """Room → the rooms of the same house that it imports."""
    rooms: dict[str, set[str]] = {}
    for path in house.rglob("*.py"):
        room = _room(house, path)
        others = (_room(house, found) for found in imports_of(path) if found.is_relative_to(house))
        rooms.setdefault(room, set()).update(other for other in others if other not in (room, "__init__"))
    return rooms


def _room(house: Path, path: Path) -> str:
    return path.relative_to(house).parts[0].removesuffix(".py")


def floor_of(room: str, rooms: dict[str, set[str]], above: tuple[str, ...] = ()) -> int:
    """1 for a room that imports none."""
    assert room not in above, f"a circle: {' > '.join([*above, room])}"
    return 1 + max((floor_of(below, rooms, (*above, room)) for below in rooms.get(room, ())), default=0)


@pytest.mark.parametrize(("house", "most"), MOST.items())
def test_no_house_is_higher_than_it_has_to_be(house: str, most: int) -> None:
    """And none has a circle in it."""
    rooms = rooms_of(ROOT / house)
    assert max(floor_of(room, rooms) for room in rooms) <= most


def test_every_core_is_measured() -> None:
    """A new service's core gets a line above."""
    cores = {str(path.relative_to(ROOT)) for path in (ROOT / "services").glob("*/core")}
    assert cores <= MOST.keys()


def test_no_file_imports_itself_round_a_corner() -> None:
    """Over everything, file by file."""
    files = [path for part in ("common", "services") for path in (ROOT / part).rglob("*.py")]
    graph = {path: {found for found in imports_of(path) if found != path} for path in files}
    done: set[Path] = set()

    def visit(path: Path, above: tuple[Path, ...]) -> None:
        assert path not in above, " > ".join(found.stem for found in [*above, path])
        if path in done:
            return
        for below in graph.get(path, ()):
            visit(below, (*above, path))
        done.add(path)

    for path in files:
        visit(path, ())
