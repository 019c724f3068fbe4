"""What SIGHUP to `serialgw run` starts, where the disk is in its way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_what_the_system_refuses_is_said_in_the_log(tmp_path: Path) -> None:
    """As one line like all others, and not as a traceback: whoever has sent the signal looks for that line."""
    (tmp_path / "reload.lock").mkdir()
    command = [sys.executable, "-m", "services.cli.supervise.reloader", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert "configuration.not_reloaded" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 0
