"""Whoever starts a process of ours can be killed at any time: then what it has started ends too."""

from __future__ import annotations

import ctypes
import os

PR_SET_PDEATHSIG = 1
"""The number that Linux gives it; Python has no name for it."""


def end_with_parent(parent: int, number: int) -> bool:
    """From now on, also after an exec, this process gets signal `number` when the process `parent`, which has started
    it, is gone. False if that has happened already; True else, also where the system has no such thing."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    except (OSError, AttributeError):
        return True
    return os.getppid() == parent
