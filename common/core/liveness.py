"""Tells from heartbeats who is alive, late or lost: one set of limits for everyone who asks."""

from __future__ import annotations

from typing import Final, Literal

BEAT_S: Final = 1.0
"""Every process beats this often: a second is what a person waits for without wondering."""
CALM_BEAT_S: Final = 10.0
"""A port reader whose line says nothing beats this often, and says so: 64 of them would else keep a small machine busy
with saying that nothing has changed."""
STEADY_BEAT_S: Final = 5.0
"""One whose frames come now and again, and are taken each time, beats this often, and says so."""
LATE_S: Final = 3.0
"""Two beats may be lost or delayed before anyone is called late."""
LOST_S: Final = 5.0
"""After this the process counts as dead until it beats again."""

Liveness = Literal["alive", "late", "lost"]


def liveness(silent_s: float, every_s: float = BEAT_S) -> Liveness:
    """What a silence of this many seconds means, of one who beats every `every_s` seconds."""
    silent_s -= max(0.0, every_s - BEAT_S)
    if silent_s < LATE_S:
        return "alive"
    return "late" if silent_s < LOST_S else "lost"
