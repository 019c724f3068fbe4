"""What the commands print steers no terminal, wherever it comes from: one stream for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self, TextIO, cast

from common.core.shown import harmless_lines


class HarmlessStream:
    """A text stream that writes `common.core.shown.harmless_lines` of what it is given; else it is the one below it.

    Names of devices, values and errors come from outside, and a terminal obeys what stands in them.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @classmethod
    def over(cls, stream: TextIO | Self) -> TextIO:
        """The stream made harmless, once."""
        return cast(TextIO, stream if isinstance(stream, cls) else cls(cast(TextIO, stream)))

    @property
    def below(self) -> TextIO:
        """The stream itself, for who draws on a terminal and makes the text in it harmless."""
        return self._stream

    def write(self, text: str) -> int:
        """Writes text as harmless lines; returns how much it was given, as callers expect it."""
        self._stream.write(harmless_lines(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
