"""Where users' code finds modules of its own: behind everything of Python's, of the libraries' and of ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

USERS_PATH_VARIABLE: Final = "SERIALGW_USERS_PATH"
"""What stood in PYTHONPATH when the gateway was started."""


ROOT: Final = os.path.abspath(__file__).rpartition("/common/")[0]
"""The folder of `common` and `services`."""


def users_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for processes of ours that run users' code: PYTHONPATH names at most our own folder, in case
    nothing else leads there; the rest of it is kept for `add_users_path`."""
    kept = dict(environ)
    entries = [os.path.abspath(entry) for entry in kept.pop("PYTHONPATH", "").split(os.pathsep) if entry]
    theirs = [entry for entry in entries if entry != ROOT]
    if ROOT in entries:
        kept["PYTHONPATH"] = ROOT
    if theirs:
        kept[USERS_PATH_VARIABLE] = os.pathsep.join(theirs)
    return kept


def add_users_path() -> None:
    """Lets users' code find what stood in PYTHONPATH, behind all else. Whoever runs such code calls it before."""
    for entry in os.environ.get(USERS_PATH_VARIABLE, "").split(os.pathsep):
        if entry and entry not in sys.path:
            sys.path.append(entry)
