"""Whose configuration it is: its files as they are now, and where its history lies."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from common.config.shown_files import ShownFile, contents_of, names_of_files, shown_files, tag_of
from common.config.taken import read_taken


class Place(NamedTuple):
    """One gateway's files as they are now."""

    config: Path
    data_dir: Path
    key: bytes
    """With which secrets are blanked."""
    names: list[str]
    contents: dict[str, bytes]
    """Name → content, of those that are there."""
    also: tuple[str, ...] = ()
    """Those of the names that the main file need not say: what is brought back may have others."""

    @property
    def tag(self) -> str:
        """Another one as soon as any of the files is."""
        return tag_of(self.contents, self.key)

    @property
    def shown(self) -> list[ShownFile]:
        """All files as somebody may see them."""
        return shown_files(self.config, self.names, self.contents, self.key)

    def text(self, name: str) -> str:
        """What the file says, with its secrets; "" for one that is not there."""
        return self.contents.get(name, b"").decode(errors="replace")

    def anew(self) -> Place:
        """The same place as it is now."""
        return place_of(self.config, self.data_dir, self.key, self.also)

    def with_files(self, names: Iterable[str]) -> Place:
        """The same place with these files, whether they are there or not."""
        return place_of(self.config, self.data_dir, self.key, tuple(names))


def place_of(config: Path, data_dir: Path, key: bytes, also: tuple[str, ...] = ()) -> Place:
    """The place of a main file; of one that can't be read the files are those that were taken last."""
    names = list(dict.fromkeys([*names_of_files(config, read_taken(data_dir).files), *also]))
    return Place(config, data_dir, key, names, contents_of(config, names), also)
