"""The gateway under supervisord: who its processes are, and how much memory they have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from common.io.endpoints import socket_dir
from common.io.journal.places import file_name
from tests.e2e.harness import ROOT
from tests.e2e.test_run import children
from tests.support.journals import read_journal

MIB = 1024 * 1024
SAMPLE_S = 2.0
GROWTH = 0.05
GROWTH_BYTES = 2 * MIB


class Running:
    """`serialgw run` with its processes."""

    def __init__(self, config: Path, folder: Path, converters: int) -> None:
        self.data_dir = folder / "data"
        self.log = folder / "run.log"
        command = [sys.executable, "-m", "services.cli", "run", "--config", str(config)]
        self.started_s = time.monotonic()
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, "--data-dir", str(self.data_dir), "--converters", str(converters)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                cwd=folder,
            )

    @property
    def pid(self) -> int:
        """Of the process above all others."""
        return self._process.pid

    @property
    def run_dir(self) -> Path:
        """Where the sockets are."""
        return socket_dir(self.data_dir)

    def processes(self) -> dict[str, int]:
        """Pid by name, such as `broker`, `converter 0`, `port_reader press1`; those that have become what they are."""
        found = {}
        for pid, command in children(self._process.pid).items():
            words = command.split()
            service = next((word.removeprefix("services.") for word in words if word.startswith("services.")), "")
            if not service or service.startswith("cli"):
                continue
            if service == "converter":
                service += f" {words[words.index('--slot') + 1]}"
            found[" ".join([service, *(w.partition("=")[2] for w in words if w.startswith("--device="))])] = pid
        return found

    def signal(self, pid: int, number: int) -> bool:
        """False if the process is gone already."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def stop(self, deadline_s: float = 60.0) -> int:
        """Ctrl-C; the exit code, -9 if it had to be killed."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            for pid in children(self._process.pid):
                self.signal(pid, signal.SIGKILL)
            self._process.kill()
            return self._process.wait(10)

    close = stop

    def dead_letters(self, device: str) -> list[bytes]:
        """The bytes of a device's dead letters, from its journal, oldest first."""
        path = self.data_dir / "journals" / file_name(device)
        return [bytes(row[0]) for row in read_journal(path, "SELECT data FROM dead_letters ORDER BY id")]


class Window(NamedTuple):
    """A process's memory: the medians of the second minute and of the last."""

    name: str
    second_bytes: float
    last_bytes: float

    @property
    def is_flat(self) -> bool:
        return self.last_bytes <= self.second_bytes * (1 + GROWTH) + GROWTH_BYTES


class Memory:
    """Resident memory by process, sampled every two seconds; a restarted process goes on under its name."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._start_s = time.monotonic()
        self._next_s = self._start_s
        self._samples: dict[str, list[tuple[float, int]]] = {}

    def sample(self) -> None:
        """Takes a sample if one is due."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + SAMPLE_S
        for name, pid in self._running.processes().items():
            try:
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except (OSError, IndexError):
                continue
            self._samples.setdefault(name, []).append((now_s - self._start_s, pages * os.sysconf("SC_PAGE_SIZE")))

    def windows(self) -> list[Window]:
        """Second and last minute of each process; [] for a run of less than three minutes."""
        end_s = time.monotonic() - self._start_s
        return self.between(60, end_s - 60, 60) if end_s >= 175 else []

    def between(self, early_s: float, late_s: float, span_s: float) -> list[Window]:
        """The two spans that begin so long after the first sample."""
        found = []
        for name, samples in sorted(self._samples.items()):
            early = [size for at_s, size in samples if early_s <= at_s < early_s + span_s]
            late = [size for at_s, size in samples if late_s <= at_s < late_s + span_s]
            if early and late:
                found.append(Window(name, median(early), median(late)))
        return found

    def latest(self) -> dict[str, int]:
        """The last sample of each process."""
        return {name: samples[-1][1] for name, samples in sorted(self._samples.items())}
