"""What a process takes, for the rule that nothing grows."""

from __future__ import annotations

import os
from pathlib import Path

MIB = 1 << 20


def resident_bytes(pid: int | None = None) -> int:
    """Of this process, or of another."""
    pages = int(Path(f"/proc/{pid or os.getpid()}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
