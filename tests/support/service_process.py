"""A process of ours that a test has started by itself, and what it said on standard error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class ServiceProcess:
    """`python -m services.NAME` with these arguments."""

    def __init__(self, name: str, *arguments: str) -> None:
        command = [sys.executable, "-m", f"services.{name}", *arguments]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT, env=environ)
        self._said: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self._said.extend(self.process.stderr)

    @property
    def said(self) -> str:
        return b"".join(self._said).decode()

    def wait(self) -> int:
        """Until it has ended by itself: its exit code."""
        code = self.process.wait(20)
        self._reader.join(5)
        return code

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        """kill -9, if it is still there."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
