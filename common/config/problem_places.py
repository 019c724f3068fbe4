"""At which line of which file a problem of a configuration stands. Pure.

A problem is `FILE: PLACE: found X, expected Y`; its place is a path of keys, or a line, or a byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from common.config.json_edit import span_of

_STEP: Final = re.compile(r'\[(\d+)\]|\.?("(?:[^"\\]|\\.)*")|\.?([^.\["]+)')
_LINE: Final = re.compile(r"line (\d+)(?:, column \d+)?$")
_BYTE: Final = re.compile(r"byte (\d+)$")
_PARTS: Final = re.compile(r"^(?P<place>.*?): (?P<text>found .*)$", re.DOTALL)


class Problem(msgspec.Struct, frozen=True):
    """A problem, or a warning, as a page shows it."""

    text: str
    """The whole sentence."""
    file: str = ""
    """Its name as the main file says it; "" where it is about none, as of a class that does not load."""
    line: int = 0
    """From 1; 0 where nobody knows. Of a key that is missing it is where the object begins that lacks it."""


def placed(sentence: str, files: Mapping[str, str]) -> Problem:
    """A problem with its line. `files`: name → text."""
    for name in sorted(files, key=len, reverse=True):
        if sentence.startswith(f"{name}: "):
            rest = sentence[len(name) + 2 :]
            found = _PARTS.match(rest)
            place = found["place"] if found else rest.partition(": ")[0]
            return Problem(sentence, name, _line_of(files[name], place))
    return Problem(sentence)


def _line_of(text: str, place: str) -> int:
    if found := _LINE.search(place):
        return int(found[1])
    if found := _BYTE.search(place):
        return text.encode()[: int(found[1])].count(b"\n") + 1
    plain = text.removeprefix("\ufeff")
    path: tuple[str | int, ...] = steps_of_place(place)
    while True:
        try:
            return plain.count("\n", 0, span_of(plain, path).start) + 1
        except KeyError:
            path = path[:-1]
        except (ValueError, RecursionError):
            return 0


def steps_of_place(place: str) -> tuple[str | int, ...]:
    """The keys and indexes of a path such as `devices[0]."odd key".port`; () for the top level."""
    steps: list[str | int] = []
    at = 0
    while at < len(place):
        found = _STEP.match(place, at)
        if found is None:
            break
        if found[1] is not None:
            steps.append(int(found[1]))
        elif found[2] is not None:
            steps.append(str(json.loads(found[2])))
        else:
            steps.append(found[3])
        at = found.end()
    return tuple(steps)
