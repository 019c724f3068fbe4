"""Work on a large journal takes seconds, and whoever watches the process is to see that it goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

BREATH_PAGES: Final = 256
"""Between two breaths: half a second's work on a slow machine where they are of 4 KiB, less where they are smaller."""
Breathe = Callable[[], None]
"""Called now and then during what may take long: whoever waits for us sees that we go on."""


def hold_breath() -> None:
    """Where nobody waits."""
