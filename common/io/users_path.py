"""Where users' code finds modules of its own: behind everything of Python's, of the libraries' and of ours."""

from __future__ import annotations

import os
import sys
from typing import Final

USERS_PATH_VARIABLE: Final = "SERIALGW_USERS_PATH"
"""What stood in PYTHONPATH when the gateway was started."""


def add_users_path() -> None:
    """Lets users' code find what stood in PYTHONPATH, behind all else. Whoever runs such code calls it before."""
    for entry in os.environ.get(USERS_PATH_VARIABLE, "").split(os.pathsep):
        if entry and entry not in sys.path:
            sys.path.append(entry)
