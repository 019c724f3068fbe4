"""One attempt to reach the platform, by a process that the secrets stay with: `check --connect`, `doctor`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from common.io.users_path import users_environment

CONNECT_S: Final = 90.0
"""An attempt takes half a minute at most, and a name that does not resolve as long as this machine waits for it."""
LET_IN: Final = "the platform lets the gateway in; whether it takes readings shows once it runs (`serialgw status`)"


def reach_platform(file: str | Path, data_dir: Path | None = None) -> str:
    """Lets a publisher connect once; "" or why it could not, as a sentence with what to do. `data_dir`: whose client
    id, and credentials that the platform has given, are used."""
    command = [sys.executable, "-P", "-m", "services.publisher", "--config", os.path.abspath(file), "--try"]
    if data_dir is not None:
        command += ["--data-dir", str(data_dir)]
    try:
        tried = subprocess.run(
            command,
            env=users_environment(os.environ),
            capture_output=True,
            text=True,
            timeout=CONNECT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {CONNECT_S:g} s"
    if tried.returncode == 0:
        return ""
    said = [*tried.stdout.split("\n"), *tried.stderr.strip().split("\n")[-1:]]
    return next((line for line in said if line), "the attempt has ended without a word")
