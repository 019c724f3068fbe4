"""What all mains share: how a start is refused, and what comes after the end."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from common.core.errors import ConfigError, LinkError
from common.core.events import Exit
from common.io.exits import EXIT_CONFIG, EXIT_CRASH, EXIT_UNAVAILABLE
from common.io.process import Refusal, make_identity, pulse_in, refusals, run_core
from common.io.sources import Sources


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError(["devices[0]: no name"]), EXIT_CONFIG, "devices[0]: no name"),
        (LinkError("held by 7"), EXIT_UNAVAILABLE, "broker: held by 7"),
        (OSError(28, "No space left on device", "/data"), EXIT_UNAVAILABLE, "broker: [Errno 28] No space left"),
        (Refusal(0, "nothing to serve"), 0, "nothing to serve"),
    ],
)
def test_what_can_not_be_had_is_said_and_has_its_code(
    error: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sentence and no traceback; the code tells a supervisor whether to try again."""
    with pytest.raises(SystemExit) as ended, refusals("broker: "):
        raise error
    assert ended.value.code == code
    assert said in (text := capsys.readouterr().err)
    assert "Traceback" not in text


def test_a_bug_is_no_refusal() -> None:
    """It is shown as what it is."""
    with pytest.raises(ZeroDivisionError), refusals():
        raise ZeroDivisionError


def test_an_instance_is_drawn_anew_and_the_address_is_not(tmp_path: Path) -> None:
    """By the one others know a successor from its predecessor, by the other they reach both."""
    one, two = make_identity("broker", lock=tmp_path / "x.lock"), make_identity("broker", lock=tmp_path / "x.lock")
    assert one.address == two.address == "broker:0"
    assert one.instance != two.instance
    assert one.lock == str(tmp_path / "x.lock")


class Core:
    """Ends at once, as told: with a code, or by a bug."""

    next_deadline_s = None

    def __init__(self, code: int | None) -> None:
        self._code = code

    def handle(self, event: Any, now_s: float) -> list[Any]:
        if self._code is None:
            raise ZeroDivisionError
        return [Exit(self._code)]


class Shell:
    """Has nothing to do."""

    def perform(self, effect: Any) -> Iterable[Any]:
        return ()


@pytest.mark.parametrize(("code", "found"), [(0, 0), (7, 7), (None, EXIT_CRASH)])
def test_the_end_comes_in_its_order_also_after_a_crash(tmp_path: Path, code: int | None, found: int) -> None:
    """Sockets first, while the lock still says that nobody else is there."""
    script = (
        "import sys, logging; from tests.unit.test_process import end; from pathlib import Path;"
        f"sys.exit(end({code!r}, Path({str(tmp_path)!r})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (found, "closed\nreleased\n"), done.stderr


def end(code: int | None, place: Path) -> int:
    """Runs a core in a process of its own: the loop keeps the signals that it has taken."""
    logger = logging.getLogger("test")
    ends = (lambda: sys.stdout.writelines(["closed\n"]), lambda: sys.stdout.writelines(["released\n"]))
    return run_core(Core(code), Shell(), Sources(), logger, pulse_in(place, logger, "broker:0"), ends=ends)
