"""What the command `serialgw` starts. A module of its own, because `common` and `services`, this application's
packages, are names that others have too: it sees to it that theirs are not run in place of ours."""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from typing import Final

ROOT: Final = os.path.dirname(os.path.abspath(__file__))


def move_back(path: list[str], variable: str) -> list[str]:
    """The search path with what PYTHONPATH has put before the standard library behind everything else: users' code
    still finds it, and it stands in for nothing of ours, of a library's or of Python's."""
    named = {os.path.abspath(entry) for entry in variable.split(os.pathsep)} if variable else set()
    ours = [entry for entry in path if os.path.abspath(entry) == ROOT]
    theirs = [entry for entry in path if os.path.abspath(entry) in named and entry not in ours]
    return [*(entry for entry in path if entry not in theirs), *theirs]


def foreign_package(path: list[str]) -> str:
    """Where another package called `services` would be found first; "" if ours is."""
    spec = PathFinder.find_spec("services", path)
    places = list(spec.submodule_search_locations or []) if spec else []
    return "" if places and os.path.dirname(os.path.abspath(places[0])) == ROOT else str(places[0] if places else "")


def main() -> int:
    """Runs one command line; returns its exit code."""
    sys.path[:] = move_back(sys.path, os.environ.get("PYTHONPATH", ""))
    if foreign := foreign_package(sys.path):
        sys.stderr.write(
            f"error: found a package called services in {foreign!r}, where serialgw's own should be found first; "
            "install serialgw in an environment of its own (python3 -m venv)\n"
        )
        return 1
    from services.cli.__main__ import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
