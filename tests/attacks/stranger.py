"""Another user of the machine, and places that both can reach. Only root can make one: CI is root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65_534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as a second user of the machine")


def as_stranger(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a shell script as another user; `$1`, `$2` … are the arguments."""
    return subprocess.run(
        ["/bin/sh", "-c", script, "sh", *map(str, arguments)],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        umask=0,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@contextmanager
def shared_folder(mode: int = 0o755) -> Iterator[Path]:
    """A folder that all users can reach; with mode 0o1777 one like /tmp."""
    folder = Path(tempfile.mkdtemp(prefix="serialgw-attack-"))
    folder.chmod(mode)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Everything in a folder: name → (mode, owner, size)."""
    return {
        str(path.relative_to(folder)): (found.st_mode, found.st_uid, found.st_size)
        for path in sorted(folder.rglob("*"))
        for found in (path.lstat(),)
    }
