"""Who is alive, late or lost, from heartbeats. One set of limits for everyone who asks."""

from __future__ import annotations

from typing import Final, Literal

BEAT_S: Final = 1.0
"""Every process beats this often: a second is what a person waits for without wondering."""
LATE_S: Final = 3.0
"""Two beats may be lost or delayed before anyone is called late."""
LOST_S: Final = 5.0
"""After this the process counts as dead until it beats again."""

Liveness = Literal["alive", "late", "lost"]


def liveness(silent_s: float) -> Liveness:
    """What a silence of this many seconds means."""
    if silent_s < LATE_S:
        return "alive"
    return "late" if silent_s < LOST_S else "lost"
