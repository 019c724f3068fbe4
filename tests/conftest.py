"""Three tests at a time (`make test`), but for those that measure: a test marked `alone` runs while no other does.

Each worker of pytest-xdist is a process. A test takes a share of one lock, and one that is marked the whole of it.
Whoever waits for the whole holds the door, a second lock that each test goes through: else shares would be taken anew
for ever. One process alone, as without `-n`, waits for nobody.
"""

from __future__ import annotations

import fcntl
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

# Examples are counted, never timed: a machine that is busy with something else makes no test fail.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
# A worker has been given the width of a terminal; programs that tests start have none.
os.environ.pop("COLUMNS", None)
# Many gateways run here at a time, and only a few tests look at a page.
os.environ["SERIALGW_WEB"] = "off"

LONG: Final = ("tests/simulation/", "tests/chaos/", "tests/dropin/test_remote_configuration.py", "tests/e2e/")
"""What has single tests that take long: begun last, one of them would keep one worker busy while the other is idle."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long ones first; last the files with tests that must be alone, so that nobody waits for those in the middle."""
    alone = {item.path for item in items if item.get_closest_marker("alone")}

    def place(item: pytest.Item) -> int:
        if item.path in alone:
            return 2
        return 0 if item.nodeid.startswith(LONG) else 1

    items.sort(key=place)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """The time for which a test waits here is none of its own: its time limit begins inside."""
    is_alone = item.get_closest_marker("alone") is not None
    with _share(item.config, is_alone):
        if not is_alone:
            yield
            return
        # Python looks for garbage in all that a worker has kept of the tests before: with two thousand of them that
        # takes longer than what is measured.
        gc.freeze()
        yield
        gc.unfreeze()


@contextmanager
def _share(config: Any, is_alone: bool) -> Iterator[None]:
    if "PYTEST_XDIST_TESTRUNUID" not in os.environ:
        yield
        return
    folder = _folder(config)
    with (folder / "door").open("w") as door, (folder / "room").open("w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield


def _folder(config: Any) -> Path:
    """One folder for all workers of this run."""
    return Path(config._tmp_path_factory.getbasetemp()).parent
