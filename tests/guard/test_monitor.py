"""What the monitor's HTTP costs: memory, and processor time while a page is open and nothing happens."""

from __future__ import annotations

import http.client
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.waiting import wait_until
from tests.web.many import ManyDevices

MORE_MIB: Final = 15
"""What HTTP may cost: with 64 devices, a page that is open, and scrapes; 12.5 were found."""
MOST_SHARE: Final = 0.01
"""Of a core, with a page open at 64 ports on which nothing happens; 0.003 to 0.005 were found when nothing else ran,
0.0016 without a page. Twice the most that it is meant to take, for tests that run beside."""
LOOK_S: Final = 10.0
SCRAPES: Final = 5


def _own_kib(pid: int) -> int:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("Pss_Anon:"))


def _cpu_s(pid: int) -> float:
    """Of all its threads, to the nanosecond."""
    threads = [int((path / "schedstat").read_text().split()[0]) for path in Path(f"/proc/{pid}/task").iterdir()]
    return sum(threads) / 1e9


def _pass_idly(gateway: ManyDevices, seconds: float) -> None:
    """So many seconds in which everybody beats, and nothing happens."""
    end_s = time.monotonic() + seconds
    next_s = 0.0

    def is_over() -> bool:
        nonlocal next_s
        if time.monotonic() >= next_s:
            next_s = time.monotonic() + 1.0
            gateway.beat_idle()
        return time.monotonic() >= end_s

    wait_until(is_over, "the time is over", seconds + 10.0, 0.05)


@contextmanager
def _page(gateway: ManyDevices) -> Iterator[list[int]]:
    """A page that listens; how many bytes of how many events it was told."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    connection.request("GET", "/api/stream")
    answer = connection.getresponse()
    told = [0, 0]

    def read() -> None:
        while line := answer.readline():
            told[0] += len(line)
            told[1] += line.startswith(b"data:")

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        wait_until(lambda: told[1] > 0, "the page is told something")
        yield told
    finally:
        if connection.sock is not None:
            connection.sock.shutdown(2)
        thread.join(10)
        connection.close()


def _heard(gateway: ManyDevices) -> int:
    """The monitor's process, once it has heard of everybody."""
    gateway.wait()
    _pass_idly(gateway, 3.0)
    for _ in range(3):
        gateway.beat()
        _pass_idly(gateway, 1.1)
    return gateway.processes["monitor"].pid


def test_http_takes_the_monitor_little_memory(tmp_path: Path) -> None:
    """Two monitors of 64 devices, one with HTTP that a page and a scraper have used."""
    for name in ("without", "with"):
        (tmp_path / name).mkdir()
    with ManyDevices(tmp_path / "without", web=False) as blind, ManyDevices(tmp_path / "with") as gateway:
        pids = {"without": _heard(blind), "with": _heard(gateway)}
        with _page(gateway):
            for _ in range(SCRAPES):
                assert gateway.text().count("\n") > 64 * 50
                _pass_idly(gateway, 1.1)
        sizes = {name: _own_kib(pid) for name, pid in pids.items()}
    sys.stdout.write(f"{sizes}\n")
    assert sizes["with"] <= sizes["without"] + MORE_MIB * 1024


def test_a_page_at_64_idle_ports_takes_the_monitor_little_time(tmp_path: Path) -> None:
    """It is told of heartbeats, and of nothing else."""
    with ManyDevices(tmp_path) as gateway:
        pid = _heard(gateway)
        with _page(gateway) as told:
            _pass_idly(gateway, 2.0)
            began_s, before_s, bytes_before = time.monotonic(), _cpu_s(pid), told[0]
            _pass_idly(gateway, LOOK_S)
            share = (_cpu_s(pid) - before_s) / (time.monotonic() - began_s)
            sys.stdout.write(f"{share:.4%} of a core, {(told[0] - bytes_before) / LOOK_S:.0f} bytes/s\n")
            assert share <= MOST_SHARE
