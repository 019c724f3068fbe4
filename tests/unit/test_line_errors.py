"""What is told of a line: errors that its driver counts, settings that its server refuses, why it is not open."""

from __future__ import annotations

import struct

import pytest

from common.config.models import Device, Line
from common.core.events import Start, Tick
from services.port_reader.core.events import ClosePort, LineDamaged, LineErrors, LineRefused
from services.port_reader.core.line_errors import COUNTS_BYTES, TELL_S, LineHealth, read_counts
from services.port_reader.core.opening import OPEN_TIMEOUT_S
from tests.support.port_reader_rig import Rig


def test_the_kernels_counts_are_read_from_their_places() -> None:
    """Linux has cts, dsr, rng, dcd, rx, tx before them; both kinds of lost bytes are one number."""
    data = struct.pack("20i", 1, 2, 3, 4, 5, 6, 70, 800, 9, 10, 11, *[0] * 9)
    assert len(data) == COUNTS_BYTES
    assert read_counts(data) == LineErrors(framing=70, parity=9, overruns=811, breaks=10)


def test_counts_that_fall_are_another_adapters() -> None:
    """They begin at 0, and nothing is taken back."""
    assert LineErrors(5, 2, 0, 7).since(LineErrors(3, 4, 0, 7)) == LineErrors(framing=2)


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (LineErrors(framing=1), "the driver counts framing errors: another baud rate"),
        (LineErrors(framing=1, parity=1), "framing errors and parity errors: another baud rate"),
        (LineErrors(parity=1), "parity errors: another parity?"),
        (LineErrors(overruns=1, breaks=1), ""),
    ],
)
def test_errors_say_which_setting_is_probably_wrong(errors: LineErrors, said: str) -> None:
    """As long as they go on, and for a minute."""
    health = LineHealth()
    health.add(errors, 100.0)
    assert said in health.fault(100.0 + TELL_S - 1)
    assert bool(health.fault(100.0)) is bool(said)
    assert not health.fault(100.0 + TELL_S)


def test_errors_are_counted_and_in_the_heartbeat() -> None:
    """Each kind has its counter, and the state says what they mean."""
    rig = Rig(Device(name="d"))
    assert rig.core._state(rig.now_s).line_errors == ""
    rig.give(LineDamaged(LineErrors(1, 2, 3, 4)))
    rig.give(LineDamaged(LineErrors(framing=10)))
    counts = [rig.count(name) for name in ("framing_errors", "parity_errors", "overruns", "breaks")]
    assert counts == [11, 2, 3, 4]
    assert "framing errors and parity errors" in rig.core._state(rig.now_s).line_errors


def test_a_setting_that_the_server_refuses_is_warned_of_once() -> None:
    """However often the line is opened; another one is told."""
    rig = Rig(Device(name="d"))
    for settings in (["parity E"], ["parity E"], ["parity E", "7 data bits"]):
        rig.give(LineRefused(settings))
    told = [note.facts["setting"] for note in rig.notes if note.event == "port.setting_refused"]
    assert told == ["parity E", "7 data bits"]


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ("rfc2217://h:1", "timed out: no connection, or a server that does not speak RFC 2217"),
        ("tcp-listen://:1", "no device has connected yet"),
        ("socket://h:1", "timed out"),
    ],
)
def test_a_port_that_takes_too_long_to_open_says_what_that_means(port: str, said: str) -> None:
    """Of each scheme its own; it is tried again."""
    rig = Rig(Device(name="d", line=Line(port=port)))
    core = rig.make_core()
    core.handle(Start(), 0.0)
    effects = core.handle(Tick(), OPEN_TIMEOUT_S)
    assert [effect for effect in effects if isinstance(effect, ClosePort)]
    assert said in core._state(OPEN_TIMEOUT_S).fault
