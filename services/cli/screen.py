"""A terminal on which the same lines are drawn again and again, in place."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self, TextIO

from common.core.shown import harmless
from services.cli.harmless import HarmlessStream

_HOME: Final = "\x1b[H"
_CLEAR: Final = "\x1b[2J"
_END_OF_LINE: Final = "\x1b[K"
_END_OF_SCREEN: Final = "\x1b[J"
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
"""The cursor (ECMA-48, and DECTCEM of the VT220, which all terminals of today know)."""


class Screen:
    """Use as a context manager: it shows the cursor again, whatever happens."""

    def __init__(self, stream: TextIO) -> None:
        """`stream`: a terminal, or the harmless stream over one: what is drawn is made harmless here."""
        self._stream = stream.below if isinstance(stream, HarmlessStream) else stream
        self._size = (0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._put(_SHOW)

    @property
    def width(self) -> int:
        """Columns, as of now."""
        return shutil.get_terminal_size().columns

    def draw(self, lines: Sequence[str]) -> None:
        """Shows these lines in place of those before; what does not fit is cut, and said. All is written at once, and
        each line over its old self: so nothing flickers."""
        size = shutil.get_terminal_size()
        shown = list(lines)
        if len(shown) >= size.lines > 1:
            left_out = len(shown) - size.lines + 2
            shown = [*shown[: size.lines - 2], f"… {left_out} more lines: make the window taller"]
        begin = _HOME if size == self._size else f"{_HIDE}{_HOME}{_CLEAR}"
        self._size = size
        body = "".join(f"{harmless(line)[: size.columns]}{_END_OF_LINE}\n" for line in shown)
        self._put(f"{begin}{body}{_END_OF_SCREEN}")

    def _put(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
