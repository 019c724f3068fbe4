"""A gateway that is updated in place: what the release before it has journaled arrives."""

from __future__ import annotations

import shutil
from pathlib import Path

from common.io.journal.places import file_name
from tests.e2e.feeding import first_values
from tests.e2e.harness import Gateway, Line, Mosquitto, Platform, closing, needs_mosquitto, number_device, write_config

pytestmark = needs_mosquitto

KEPT = Path(__file__).parents[1] / "cases" / "journals" / "release-0.2.journal"
"""As release 0.2 left it: the entry of an opening, and frames that say 2 to 59."""


def test_the_backlog_of_release_0_2_arrives(tmp_path: Path) -> None:
    """Under the section that it was journaled with, in order, before what the line says now."""
    line, mosquitto = Line(tmp_path / "tty"), Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    device = number_device("press", line)
    gateway = Gateway(tmp_path, write_config(tmp_path / "config", mosquitto.port, [device]))
    journals = gateway.data_dir / "journals"
    journals.mkdir(mode=0o700)
    shutil.copy(KEPT, journals / file_name("press"))
    shutil.copy(f"{KEPT}.mark", journals / f"{file_name('press')}.mark")
    with closing(mosquitto, platform, line, gateway):
        gateway.start_all(["press"])
        platform.wait_telemetry("press", 58)
        line.write(b"60\n")
        platform.wait_for(lambda _: first_values(platform.telemetry("press"))[-1:] == [60], "a new frame")
        assert first_values(platform.telemetry("press")) == list(range(2, 61))
        assert "journal.damaged" not in gateway.log("press")
        assert set(gateway.stop().values()) == {0}
