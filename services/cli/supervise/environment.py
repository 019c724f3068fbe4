"""What the processes of a gateway find in their environment: their own modules first, and whose they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from common.core.version import RELEASE
from common.io.users_path import USERS_PATH_VARIABLE
from common.io.variables import GATEWAY_VARIABLE, RELEASE_VARIABLE, TOP_VARIABLE

ROOT: Final = os.path.abspath(__file__).rpartition("/services/")[0]
"""The folder of `common` and `services`."""


def gateway_environment(environ: Mapping[str, str], pid: int, data_dir: Path) -> dict[str, str]:
    """The environment for the processes below `pid`, which serve `data_dir`. PYTHONPATH names at most our own folder,
    in case nothing else leads there; the rest of it is kept for users' code, which looks there last. The data directory
    is named without links: whoever looks for processes of ours may have come to it another way."""
    kept = dict(environ)
    entries = [os.path.abspath(entry) for entry in kept.pop("PYTHONPATH", "").split(os.pathsep) if entry]
    theirs = [entry for entry in entries if entry != ROOT]
    if ROOT in entries:
        kept["PYTHONPATH"] = ROOT
    if theirs:
        kept[USERS_PATH_VARIABLE] = os.pathsep.join(theirs)
    return {**kept, TOP_VARIABLE: str(pid), GATEWAY_VARIABLE: str(data_dir.resolve()), RELEASE_VARIABLE: RELEASE}
