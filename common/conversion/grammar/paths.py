"""`path`: the way to a member of JSON, `pos.x`, `list[0].value`, `["a.b"]`. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from common.conversion.outcomes import ABSENT

_STEP: Final = re.compile(r"\.?([^.\[\]\"]+)|\[(-?\d{1,9})\]|\.?\[\"([^\"]+)\"\]")


def steps_of(path: str) -> list[str | int]:
    """Names and numbers, in order; "$" in front, as some write it, is left out. Raises ValueError for what is no
    path."""
    text = path.removeprefix("$")
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise ValueError(f"{text[at : at + 20]!r}, where a name or [a number] may stand")
        steps.append(found[1] or found[3] or int(found[2]))
        at = found.end()
    if not steps:
        raise ValueError("no name in it")
    return steps


def path_finder(path: str) -> Callable[[Any], Any]:
    """The way from a value to its member; ABSENT where it has no such member."""
    steps = steps_of(path)

    def find(value: Any) -> Any:
        for step in steps:
            if isinstance(value, dict):
                value = value.get(str(step), ABSENT)
            elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
                value = value[step]
            else:
                return ABSENT
            if value is ABSENT:
                return ABSENT
        return value

    return find
