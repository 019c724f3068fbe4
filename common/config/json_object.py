"""One JSON object being read: hands out checked values and knows which keys nobody asked for.

A value that is wrong is noted and its default handed out, so that one run finds every problem. So no method here
raises; what was found and what would be right is said in one sentence, with the place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common.config.file_names import can_name_a_file
from common.config.findings import Findings, choices, join_path, kind_of, nearest, show
from common.config.look_alikes import Use, doubt_of
from common.config.placed import Placed, PlacedList, Where
from common.core.byte_text import EXPECTED_HEX, bytes_of, parts_of
from common.core.shown import is_steering

_ABSENT: Any = object()
"""Stands for a key that the object does not have; None is JSON's null."""
_WHOLE_TEXT = re.compile(r"\s*\d{1,18}\s*", re.ASCII)
"""A whole number in quotes, of up to 18 digits."""
_MEANT = {"toDelimiter": "untilDelimiter", "endDelimiter": "untilDelimiter", "startDelimiter": "fromDelimiter"}
"""Slips that look more like another key than like the one that is meant."""
_NOWHERE: Mapping[str, str] = {}
_ENTRY = re.compile(r"(\w+)\[(\d+)\](?:\.(\w+))?", re.ASCII)
"""A key of an entry of a list, or the entry itself, as messages on the object name it."""
INT_MAX = 2**31 - 1
"""The largest number that a key takes if it has no bound of its own."""


class JsonObject:
    """The object at `path` of `file`. `places` moves messages on a key elsewhere (an environment variable)."""

    def __init__(
        self,
        values: Mapping[str, Any],
        file: str,
        path: str,
        findings: Findings,
        places: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        """`findings` takes what is wrong or worth a word. `places` moves messages on a key elsewhere: to the
        environment variable whose value stands in the object instead of the file's."""
        self.values = values
        self.file = file
        self.path = path
        self.findings = findings
        self._places = places or {}
        self._origins: Mapping[str, Where] = values.places if isinstance(values, Placed) else {}
        """Where keys stand, in an object that was put together of several files."""
        self._known: list[str] = []

    # --- messages ---

    def place(self, key: str) -> tuple[str, str]:
        """The file and path that a message on `key` names."""
        if key in self._places:
            return self._places[key]
        if not self._origins:
            return self.file, join_path(self.path, key)
        return self._origins.get(key) or self._place_of_entry(key) or (self.file, join_path(self.path, key))

    def _place_of_entry(self, key: str) -> Where | None:
        """Where `list[3].key` stands; None for a key that is none of an entry of a list."""
        found = _ENTRY.fullmatch(key)
        entries = self.values.get(found[1]) if found is not None else None
        if found is None or not isinstance(entries, PlacedList) or int(found[2]) >= len(entries):
            return None
        file, path = entries.places[int(found[2])]
        return (
            JsonObject(entries[int(found[2])], file, path, self.findings).place(found[3]) if found[3] else (file, path)
        )

    def problem(self, key: str, found: str, expected: str) -> None:
        """Notes that the value of `key` can't be used; both texts are noun phrases."""
        self.findings.problem(*self.place(key), found, expected)

    def warning(self, key: str, sentence: str) -> None:
        """Notes something about `key` that stops nothing, as one sentence."""
        self.findings.warning(*self.place(key), sentence)

    # --- which keys there are ---

    def knows(self, *keys: str) -> None:
        """These keys mean something, even if nobody reads them here."""
        self._known += keys

    def used(self, *keys: str) -> str:
        """The first of these spellings that the object has, else the first."""
        self._known += keys
        return next((key for key in keys if key in self.values), keys[0])

    def warn_unknown(self, only_near: bool = False, elsewhere: Mapping[str, str] = _NOWHERE) -> None:
        """Warn of every key that was never asked for, with the nearest known one; `only_near`: of likely slips only.
        `elsewhere`: keys of another object, and where that is, in words."""
        for key in self.values:
            if key in self._known or key in self._places:
                continue
            near = _MEANT.get(key) if _MEANT.get(key) in self._known else None
            near = near or nearest(key, self._known, 0.8 if only_near else 0.6)
            if key in elsewhere:
                self.warning(key, f"it has no effect here, it belongs {elsewhere[key]}")
            elif near is not None:
                self.warning(key, f'unknown key, did you mean "{near}"?')
            elif not only_near:
                self.warning(key, "unknown key, it has no effect")

    # --- values ---

    def text(self, *keys: str, default: str) -> str:
        """A text that is not empty."""
        value = self.maybe_text(*keys, nullable=False)
        return default if value is None else value

    def name(self, *keys: str, default: str) -> str:
        """A text by which people and the platform call something: no control character in it."""
        return self.maybe_name(*keys, nullable=False) or default

    def maybe_name(self, *keys: str, nullable: bool = True) -> str | None:
        """A name as `name` takes it; None where there is none, or a wrong one."""
        value = self.maybe_text(*keys, nullable=nullable)
        return value if value is None or self._is_name(self.used(*keys), value) else None

    def required_name(self, key: str, *, meaning: str) -> str:
        """A name without which the object means nothing: its absence is a problem, and "" is handed out."""
        value = self.required_text(key, meaning=meaning)
        return value if self._is_name(key, value) else ""

    def _is_name(self, key: str, value: str) -> bool:
        """False for a text with control characters, which is noted: they would steer terminals and break lines of
        logs."""
        if is_steering(value):
            self.problem(key, show(value), "a name without control characters")
            return False
        return True

    def maybe_path(self, key: str) -> str | None:
        """A text that names a file."""
        value = self.maybe_text(key)
        if value is not None and not can_name_a_file(value):
            self.problem(key, show(value), "a name that a file can have")
            return None
        return value

    def required_text(self, *keys: str, meaning: str) -> str:
        """A text without which the object means nothing: its absence is a problem, and "" is handed out."""
        key = self.used(*keys)
        if key not in self.values:
            self.problem(key, "nothing", meaning)
            return ""
        return self.text(*keys, default="")

    def maybe_text(self, *keys: str, nullable: bool = True) -> str | None:
        """A text that is not empty; None where there is none, or something else. null counts as none where it is
        `nullable`."""
        key = self.used(*keys)
        value = self.values.get(key, _ABSENT)
        if value is _ABSENT or (value is None and nullable):
            return None
        if not isinstance(value, str) or not value:
            self.problem(key, show(value), "a text" if value != "" else "a text that is not empty")
            return None
        return value

    def byte_text(self, key: str, use: Use = "plain") -> str | None:
        """A text that stands for bytes, see `common.core.byte_text`; None where there is none, or a wrong one. One that
        looks as if other bytes were meant is warned of."""
        text = self.maybe_text(key, nullable=key != "delimiter")
        if text is None:
            return None
        try:
            parts_of(text) if use == "template" else bytes_of(text)
        except ValueError:
            self.problem(key, show(text), EXPECTED_HEX)
            return None
        doubt = doubt_of(text, use)
        if doubt is not None:
            self.warning(key, doubt)
        return text

    def secret(self, key: str) -> str | None:
        """A text that no message may show. Whole numbers are taken as text, as the reference does."""
        self.used(key)
        value = self.values.get(key, _ABSENT)
        if value is _ABSENT:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str) or not value:
            self.problem(key, kind_of(value), "a text" if value != "" else "a text that is not empty")
            return None
        if is_steering(value):
            self.problem(key, kind_of(value), "a text without control characters, such as a line end")
            return None
        return value

    def whole(self, key: str, default: int, low: int, high: int = INT_MAX, as_text: bool = False) -> int:
        """A whole number from `low` to `high`; `as_text` takes digits in quotes too, where pyserial would."""
        value = self.maybe_whole(key, low, high, nullable=False, as_text=as_text)
        return default if value is None else value

    def maybe_whole(
        self, key: str, low: int = -INT_MAX, high: int = INT_MAX, *, nullable: bool = True, as_text: bool = False
    ) -> int | None:
        """A whole number in its bounds; None where there is none, or something else. 5.0 is taken for 5, as JSON has
        one kind of number only."""
        self.used(key)
        value = self.values.get(key, _ABSENT)
        if value is _ABSENT or (value is None and nullable):
            return None
        if as_text and isinstance(value, str) and _WHOLE_TEXT.fullmatch(value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            quoted = isinstance(value, str) and _WHOLE_TEXT.fullmatch(value)
            self.problem(key, show(value), "a whole number" + (" without quotes" if quoted else ""))
            return None
        if not low <= value <= high:
            self.problem(key, show(value), _range_of(low, high))
            return None
        return value

    def number(self, key: str, default: float, low: float, high: float, above: bool = False) -> float:
        """A number from `low` (or above it) to `high`."""
        value = self.maybe_number(key, low, high, above=above, nullable=False)
        return default if value is None else value

    def maybe_number(
        self, key: str, low: float, high: float, *, above: bool = False, nullable: bool = True
    ) -> float | None:
        """A number in its bounds; None where there is none, or something else."""
        self.used(key)
        value = self.values.get(key, _ABSENT)
        if value is _ABSENT or (value is None and nullable):
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.problem(key, show(value), "a number")
            return None
        if value < low or value > high or (above and value == low):
            self.problem(key, show(value), f"a number {'above' if above else 'from'} {low:g} to {high:.12g}")
            return None
        return value

    def flag(self, key: str, default: bool, nullable: bool = False) -> bool:
        """true or false; 0 and 1 as pyserial takes them. null is the default where `nullable`."""
        self.used(key)
        value = self.values.get(key, default)
        if value is None and nullable:
            return default
        if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
            return bool(value)
        self.problem(key, show(value), "true or false")
        return default

    def choice(self, key: str, default: Any, allowed: Sequence[Any], any_case: bool = False) -> Any:
        """One of `allowed`; `any_case` takes words in any case."""
        self.used(key)
        value = self.values.get(key, default)
        if any_case and isinstance(value, str):
            value = value.upper()
        if isinstance(value, bool) or value not in allowed:
            self.problem(key, show(self.values[key]), choices(allowed))
            return default
        return next(one for one in allowed if one == value)

    # --- objects inside ---

    def child(self, key: str, secret: bool = False) -> JsonObject | None:
        """The object under `key`, or None where there is none or something else. `secret` hides what was found."""
        self.used(key)
        value = self.values.get(key, _ABSENT)
        if value is _ABSENT:
            return None
        if not isinstance(value, dict):
            self.problem(key, kind_of(value) if secret else show(value), "an object")
            return None
        return JsonObject(value, *self.place(key), self.findings)

    def items(self, key: str) -> Iterable[JsonObject]:
        """The objects of the list under `key`, in order; what is no object is noted and left out."""
        self.used(key)
        value = self.values.get(key, [])
        if not isinstance(value, list):
            self.problem(key, show(value), "a list")
            return []
        file, path = self.place(key)
        entries = []
        for index, item in enumerate(value):
            place = value.places[index] if isinstance(value, PlacedList) else (file, f"{path}[{index}]")
            if isinstance(item, dict):
                entries.append(JsonObject(item, *place, self.findings))
            else:
                self.findings.problem(*place, show(item), "an object")
        return entries


def _range_of(low: int, high: int) -> str:
    """The bounds of a whole number in words; bounds that only guard against nonsense are not named."""
    if high == INT_MAX:
        return f"a whole number from {low}" if low > -INT_MAX else f"a whole number within {INT_MAX}"
    return f"a whole number from {low} to {high}"
