"""Files that belong to us alone, on a disk that is full."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FULL = """
import resource, signal, sys
from pathlib import Path
from common.io.private import write_private
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_private(Path(sys.argv[1]), "x" * 20_000, flush=True)
except OSError:
    print("refused")
"""


def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    """Each process has a name of its own for its draft: drafts would fill the disk that is full."""
    wanted = tmp_path / "kept.json"
    wanted.write_text("before")
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", FULL, str(wanted)], capture_output=True, text=True, check=True)
        assert done.stdout == "refused\n"
    assert os.listdir(tmp_path) == ["kept.json"]
    assert wanted.read_text() == "before"
