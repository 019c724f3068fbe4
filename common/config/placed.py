"""Values that were put together of several files: each knows where it stands, so that messages can say it."""

from __future__ import annotations

from typing import Any

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


def plain(value: Any) -> Any:
    """The value without its places, as JSON has it."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value
