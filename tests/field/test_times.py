"""One clock in all output: local time with its offset, as the reader's own clock shows it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from common.io.clock import iso_time
from common.io.logs import LogHandler
from common.wire import codec
from common.wire.messages import FrameBody, Tap
from services.cli.commands.dead_letters import json_line, text_line
from services.cli.commands.watch import lines_of, objects_of
from services.cli.text import moment

AT_MS = 1_795_988_404_123
SUMMER_MS = 1_783_944_000_007
Zone = Callable[[str], None]


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    """Sets the time zone of this process."""

    def choose(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield choose
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("name", "ts_ms", "shown"),
    [
        ("America/New_York", AT_MS, "2026-11-29T16:40:04.123-05:00"),
        ("America/New_York", SUMMER_MS, "2026-07-13T08:00:00.007-04:00"),
        ("Europe/Berlin", AT_MS, "2026-11-29T22:40:04.123+01:00"),
        ("UTC", AT_MS, "2026-11-29T21:40:04.123+00:00"),
        ("Asia/Kathmandu", AT_MS, "2026-11-30T03:25:04.123+05:45"),
        ("America/St_Johns", AT_MS, "2026-11-29T18:10:04.123-03:30"),
    ],
)
def test_a_time_has_its_zone(name: str, ts_ms: int, shown: str, zone: Zone) -> None:
    """Also where it is no whole hour, and by the season of the time itself, not of now."""
    zone(name)
    assert iso_time(ts_ms) == shown


def test_all_output_shows_a_moment_alike(zone: Zone) -> None:
    """Logs, dead letters, what is watched; for people and for programs."""
    zone("America/New_York")
    shown = "2026-11-29T16:40:04.123-05:00"
    letter = (7, 4, AT_MS, "why", b"x")
    tap = Tap("frames", "press", codec.pack_frames(FrameBody([AT_MS], [b"1\n"])))
    assert text_line("press", letter).startswith(f"{shown} press ")
    assert json.loads(json_line("press", letter))["time"] == shown
    assert next(lines_of(tap)).startswith(f"{shown} press ")
    assert json.loads(next(objects_of(tap)))["time"] == shown
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: AT_MS * 1_000_000)
        assert LogHandler("broker:0")._line("INFO", "x").startswith(f"{shown} INFO ".encode())


@pytest.mark.parametrize("ts_ms", [2**62, -(2**62), 10**17])
def test_what_is_no_time_is_a_number(ts_ms: int) -> None:
    """Users' converters may name any; none of it ends a command."""
    assert moment(ts_ms) == str(ts_ms)
