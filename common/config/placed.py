"""Values that were put together of several files: each knows where it stands, so that messages can say it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.config.findings import join_path

Where = tuple[str, str]
"""The file, and the path in it."""


class Placed(dict[str, Any]):
    """An object whose keys may come of different files."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, Where] = {}

    def put(self, key: str, value: Any, where: Where) -> None:
        """Sets a key, and where it stands."""
        self[key] = value
        self.places[key] = where

    def drop(self, key: str) -> None:
        """Takes a key out; one that is not there may be named too."""
        self.pop(key, None)
        self.places.pop(key, None)


class PlacedList(list[Any]):
    """A list whose entries may come of different files."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[Where] = []

    def put(self, value: Any, where: Where) -> None:
        """Adds an entry, and where it stands."""
        self.append(value)
        self.places.append(where)


def placed(value: Any, where: Where, filled: Callable[[str, Where], tuple[Any, Where]]) -> Any:
    """A value as it was read, with its places. `filled` says what stands in place of a text, and where that is from."""
    return _placed(value, where, filled)[0]


def _placed(value: Any, where: Where, filled: Callable[[str, Where], tuple[Any, Where]]) -> tuple[Any, Where]:
    file, path = where
    if isinstance(value, dict):
        found = Placed()
        for key, one in value.items():
            found.put(key, *_placed(one, (file, join_path(path, key)), filled))
        return found, where
    if isinstance(value, list):
        entries = PlacedList()
        for index, one in enumerate(value):
            entries.put(*_placed(one, (file, f"{path}[{index}]"), filled))
        return entries, where
    return filled(value, where) if isinstance(value, str) else (value, where)


def plain(value: Any) -> Any:
    """The value without its places, as JSON has it."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value
