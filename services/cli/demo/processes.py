"""The processes that a demo starts, and the ways to wait for them and to end them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from common.core.errors import LinkError
from common.io.arguments import DATA_DIR_VARIABLE
from common.io.users_path import ROOT

HOST: Final = "127.0.0.1"
START_LIMIT_S: Final = 30.0
"""Neither the MQTT broker nor the gateway takes longer to start, also on a small board."""
STOP_LIMIT_S: Final = 60.0
"""A gateway that drains what it holds is through within this."""


def own_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would lead the demo's gateway to a real platform or data directory, or its
    processes to packages of the same name as ours."""
    kept = {
        name: value for name, value in environ.items() if not name.startswith("TB_GW_") and name != DATA_DIR_VARIABLE
    }
    entries = [os.path.abspath(entry) for entry in kept.pop("PYTHONPATH", "").split(os.pathsep) if entry]
    return {**kept, "PYTHONPATH": ROOT} if ROOT in entries else kept


def start_module(module: Sequence[str], environ: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Runs a module of ours with its arguments; what it says goes into the log file. Raises OSError.

    It stands in a session of its own: Ctrl-C is the demo's to pass on, in order.
    """
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", *module],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Sends SIGTERM, and SIGKILL if that does not do within STOP_LIMIT_S; nothing to a process that has ended."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on."""
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
    return port


def wait_for_port(port: int) -> None:
    """Returns once somebody listens. Raises LinkError after START_LIMIT_S."""
    deadline_s = time.monotonic() + START_LIMIT_S
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError as error:
            if time.monotonic() > deadline_s:
                raise LinkError(f"the demo's MQTT broker does not listen: {error}") from None
            time.sleep(0.05)
