"""What the processes of a gateway find in their environment: their own modules first, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from common.core.version import RELEASE
from common.io.users_path import users_environment
from common.io.variables import GATEWAY_VARIABLE, RELEASE_VARIABLE, TOP_VARIABLE


def gateway_environment(environ: Mapping[str, str], pid: int, data_dir: Path) -> dict[str, str]:
    """The environment for the processes below `pid`, which serve `data_dir`; users' code looks last into what
    PYTHONPATH names. The data directory is named without links: whoever looks for processes of ours may have come to it
    another way."""
    kept = users_environment(environ)
    return {**kept, TOP_VARIABLE: str(pid), GATEWAY_VARIABLE: str(data_dir.resolve()), RELEASE_VARIABLE: RELEASE}
