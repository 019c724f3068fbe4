"""The first moment of every process that supervisord starts: waits if it died too quickly, then becomes the service.

    python -P -m services.cli.supervise.launch STAMP MODULE [ARGUMENT …]

supervisord restarts at once and without end, which is right for a process that lived; one that dies at its start again
and again would take a whole core. STAMP is a file that remembers the last start. MODULE, STAMP and the arguments are
spelled by `encode_word`, because supervisord's file can't carry every name a device may have.
"""

from __future__ import annotations

import os
import sys
import time

from common.core.backoff import Backoff
from common.core.version import RELEASE
from common.io.parent import end_with_parent
from common.io.variables import RELEASE_VARIABLE, TOP_VARIABLE

# What loads slowly is not loaded here, at each start of each process: `typing` takes longer than all else.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

LAUNCHER: Final = "services.cli.supervise.launch"
"""This module, as it stands in a command behind Python's `-m`."""
SIGTERM: Final = 15
"""The signal as a number: the module that names it takes 6 ms to load, at each start of each process."""
SHORT_LIFE_S: Final = 2.0
"""A process that was started less than this ago died at its start."""
PATIENCE: Final = Backoff(first_s=0.5, most_s=5.0)
CONVERTER_PATIENCE: Final = Backoff(first_s=0.1, most_s=1.0)
"""Users' code may kill a converter at any frame, three times for each that ends as a dead letter: a second a death is
little for the machine, five are much for the device."""
FREE_RESTARTS: Final = 2
"""Short lives that are forgiven: a peer that was just restarted too is the usual reason."""


class Stamp:
    """When a program was last started (seconds since boot), and how many short lives in a row came before."""

    __slots__ = ("short_lives", "started_s")

    def __init__(self, started_s: float = float("-inf"), short_lives: int = 0) -> None:
        self.started_s = started_s
        self.short_lives = short_lives

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stamp) and (self.started_s, self.short_lives) == (other.started_s, other.short_lives)

    __hash__ = None  # type: ignore[assignment]


def encode_word(word: str) -> str:
    """`word` in characters that mean nothing to supervisord's parser, nor to a shell; plain names stay as they are."""
    from urllib.parse import (
        quote,  # Here, and in `decode_word`: hardly a start needs it, and it takes as long as all else.
    )

    return quote(word, safe="/:@+,", errors="surrogateescape").replace("~", "%7E").replace("%", "~")


def decode_word(word: str) -> str:
    """The word that `encode_word` spelled."""
    if "~" not in word:
        return word
    from urllib.parse import unquote

    return unquote(word.replace("~", "%"), errors="surrogateescape")


def patience_of(module: str) -> Backoff:
    """How long a service waits after short lives."""
    return CONVERTER_PATIENCE if module == "services.converter" else PATIENCE


def next_stamp(last: Stamp, now_s: float, patience: Backoff = PATIENCE) -> tuple[Stamp, float]:
    """(what to remember of this start, seconds to wait before it)."""
    lived_s = now_s - last.started_s
    # A start in the future is from before a reboot.
    if not 0 <= lived_s < SHORT_LIFE_S:
        return Stamp(now_s, 0), 0.0
    short_lives = last.short_lives + 1
    wait_s = 0.0 if short_lives <= FREE_RESTARTS else patience.delay_s(short_lives - FREE_RESTARTS - 1)
    return Stamp(now_s + wait_s, short_lives), wait_s


def read_stamp(path: str | os.PathLike[str]) -> Stamp:
    """The stamp in a file; a fresh one if there is none or it is damaged."""
    try:
        with open(path, encoding="ascii") as file:
            started, short_lives = file.read().split()
        return Stamp(float(started), int(short_lives))
    except (OSError, ValueError):
        return Stamp()


def write_stamp(path: str | os.PathLike[str], stamp: Stamp) -> None:
    """Remembers a start. Where that can't be, as on a full disk, the next start is only less patient."""
    try:
        # Over what is there: that needs no room.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "w", encoding="ascii") as file:
            file.write(f"{stamp.started_s!r} {stamp.short_lives}\n")
            file.truncate()
    except OSError:
        pass


def begin_start(stamp_path: str, module: str) -> bool:
    """Waits if need be. False where nobody is there any more to serve."""
    if not end_with_parent(int(os.environ.get(TOP_VARIABLE, os.getppid())), SIGTERM):
        return False
    stamp, wait_s = next_stamp(read_stamp(stamp_path), time.monotonic(), patience_of(module))
    write_stamp(stamp_path, stamp)
    if wait_s:
        time.sleep(wait_s)
    return True


def main() -> None:
    """Waits if need be, and becomes the service. Returns only where nobody is there any more to serve."""
    stamp_path, module, *arguments = map(decode_word, sys.argv[1:])
    if begin_start(stamp_path, module):
        _compare_release(module)
        os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])


def _compare_release(module: str) -> None:
    """An update in place changes files under a gateway that runs: said at each start until all of it was stopped."""
    running = os.environ.get(RELEASE_VARIABLE, RELEASE)
    if running != RELEASE:
        sys.stderr.write(
            f"{module}: the files are those of serialgw {RELEASE} by now, the gateway was started as {running}; "
            "stop it and run it again\n"
        )


if __name__ == "__main__":
    main()
