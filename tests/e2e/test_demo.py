"""`serialgw demo`, as a newcomer starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.harness import ROOT
from tests.support.waiting import wait_until


def demo(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path),
        "PYTHONUNBUFFERED": "1",
        # What must not reach the demo's gateway.
        "TB_GW_HOST": "192.0.2.1",
        "SERIALGW_DATA_DIR": str(tmp_path / "real"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "services.cli", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ,
        cwd=tmp_path,
    )


def processes_naming(text: str) -> list[str]:
    """Command lines of running processes that name this text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text in command:
            found.append(command)
    return found


def test_demo_shows_everything_and_cleans_up(tmp_path: Path) -> None:
    """Frames, readings, rates, latency, RPC and attribute update with the device's answer; exit 0; nothing left."""
    process = demo(tmp_path, "--seconds", "3", "--ports", "3")
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    for part in (
        "press1 on /dev/pts/",
        'press1 says  "humidity=',
        'v1/gateway/telemetry press1 {"humidity":',
        'hears "GET setpoint\\n", says "setpoint=20\\n"',
        '"data":{"result":20}',
        'press3 hears "SET setpoint=25\\n", says "setpoint=25\\n"',
        "0 missing, 0 out of order",
        "ms (p50)",
    ):
        assert part in output, output
    counts = re.search(r"(\d+) frames written, (\d+) readings arrived", output)
    assert counts is not None
    assert counts[1] == counts[2]
    assert list(tmp_path.iterdir()) == []
    assert processes_naming(str(tmp_path)) == []


def test_demo_that_is_interrupted_cleans_up(tmp_path: Path) -> None:
    """Ctrl-C in the middle: exit 130, no process and no file is left."""
    process = demo(tmp_path, "--seconds", "60")
    assert process.stdout is not None
    for line in process.stdout:
        if "ready after" in line:
            break
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    wait_until(lambda: not processes_naming(str(tmp_path)), "all processes of the demo are gone")
    assert list(tmp_path.iterdir()) == []
