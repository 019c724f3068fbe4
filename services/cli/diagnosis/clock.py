"""Whether the clock can be right: readings carry its time, and certificates are valid by it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

from common.io.clock import iso_time, wall_ms
from services.cli.diagnosis.finding import Finding

SUBJECT: Final = "the clock"
RELEASED_MS: Final = 1_764_547_200_000
"""2025-12-01: this program did not exist before."""
AHEAD_MS: Final = 120_000
"""A file that is newer than now by more than this was written before the clock went back."""
KEEP: Final = "let it be set over the network:\nsudo timedatectl set-ntp true"
SET: Final = f"{KEEP}\nor by hand:\nsudo date -s '2026-01-31 12:00:00'"
_TIMEX_BYTES: Final = 208
"""The size of `struct timex` on 64-bit Linux; on 32 bits it is smaller."""
_UNSYNCHRONISED: Final = 5
"""TIME_ERROR, what adjtimex(2) returns where nothing keeps the clock right."""


def clock_finding(data_dir: Path, now_ms: int | None = None) -> Finding:
    """The worst that is found. `now_ms`: what the clock says, if not the machine's own is meant."""
    now_ms = wall_ms() if now_ms is None else now_ms
    if now_ms < RELEASED_MS:
        return Finding("clock", SUBJECT, "fault", f"it says {iso_time(now_ms)}, which is over", SET)
    newest_ms = _newest_ms(data_dir)
    if newest_ms > now_ms + AHEAD_MS:
        what = (
            f"it has gone back: it says {iso_time(now_ms)}, and the gateway has written files at {iso_time(newest_ms)}"
        )
        return Finding("clock", SUBJECT, "warning", what, SET)
    if not _is_kept_right():
        what = f"nothing keeps it right, by the kernel's word; it says {iso_time(now_ms)}"
        return Finding("clock", SUBJECT, "warning", what, KEEP)
    return Finding("clock", SUBJECT, "ok", f"it says {iso_time(now_ms)}, and is kept right over the network")


def _newest_ms(data_dir: Path) -> int:
    """When something was last written in the data directory, or to a journal; 0 for never, or where that can't be
    seen."""
    newest = 0.0
    for folder in (data_dir, data_dir / "journals"):
        try:
            with os.scandir(folder) as entries:
                newest = max([newest, *(entry.stat(follow_symlinks=False).st_mtime for entry in entries)])
        except OSError:
            continue
    return int(newest * 1000)


def _is_kept_right() -> bool:
    """True where a program sets the clock by others' (adjtimex(2), which changes nothing here); also where the kernel
    does not say."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        return bool(libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) != _UNSYNCHRONISED)
    except AttributeError:
        return True
