"""Log lines: `event key=value …`, one line each, whatever a device or a person put into a name."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from common.core.events import Note
from common.io.logs import log_note, start_logs
from common.io.outlet import LONGEST_TEXT, LogOutlet, OutletStream, Sink


class Lines:
    """What was written to standard error."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def take(self) -> str:
        return self._capsys.readouterr().err


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    yield Lines(capsys)
    logging.getLogger("serialgw").handlers.clear()


def note(level: Any = "info", **facts: Any) -> Note:
    return Note(level, "port.lost", facts)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("/dev/ttyUSB0", "/dev/ttyUSB0"),
        ("two words", '"two words"'),
        ("", '""'),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("two\nlines\r", '"two\\nlines\\r"'),
        ("a=b", '"a=b"'),
        (5, "5"),
        (0.5, "0.500"),
        (True, "True"),
        (None, "None"),
        (b"\x00", "\"b'\\\\x00'\""),
    ],
)
def test_a_fact_is_quoted_where_a_plain_word_would_be_ambiguous(lines: Lines, value: Any, text: str) -> None:
    """One line is one event: no value can break out of its place."""
    log_note(start_logs("port_reader:press1"), note(device=value))
    written = lines.take()
    assert written.endswith(f"INFO    [port_reader:press1] port.lost device={text}\n")
    assert written.count("\n") == 1


@pytest.mark.parametrize("control", ["\x1b[2J", "\x00", "\x85", "\u2028", "\x0b", "\x0c", "\x7f"])
def test_no_control_character_reaches_the_terminal(lines: Lines, control: str) -> None:
    """A device's bytes must not steer the terminal, nor split a line for those who split by Unicode's rules."""
    log_note(start_logs("x"), note(reason=f"a{control}b"))
    written = lines.take()
    assert control not in written
    assert len(written.splitlines()) == 1


def test_a_line_has_time_level_and_process(lines: Lines) -> None:
    """In this order, with milliseconds."""
    log_note(start_logs("broker:0"), note("warning", retry_in_s=1.0))
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d WARNING \[broker:0\] port\.lost retry_in_s=1\.000\n"
    assert re.fullmatch(pattern, lines.take())


def test_long_values_are_cut(lines: Lines) -> None:
    """A frame of 64 KiB is no log line."""
    log_note(start_logs("x"), note(frame="x" * 65_536))
    assert len(lines.take()) < 400


def test_levels_of_the_configuration_are_known(lines: Lines) -> None:
    """TRACE too, in any case; an unknown one is INFO."""
    for name, level in [("TRACE", 5), ("debug", 10), ("INFO", 20), ("WARNING", 30), ("ERROR", 40), ("what", 20)]:
        assert start_logs("x", name).level == level


def test_below_the_level_nothing_is_written(lines: Lines) -> None:
    """DEBUG is per frame and costs nothing when off."""
    log_note(start_logs("x", "INFO"), note("debug"))
    assert lines.take() == ""


def test_starting_again_writes_each_line_once(lines: Lines) -> None:
    """Handlers don't pile up."""
    start_logs("x")
    log_note(start_logs("x"), note())
    assert lines.take().count("port.lost") == 1


def test_a_text_without_end_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """Else it would be copied for each bit of it that a pipe takes: 50 MB took longer than users' code may."""
    said: list[bytes] = []
    outlet = LogOutlet(Sink(lambda data: said.append(data[:4096]) or len(data[:4096])), lambda count: b"")
    stream = OutletStream(outlet)
    start_s = time.process_time()
    assert stream.write("y" * 50_000_000) == 50_000_000
    assert time.process_time() - start_s < 5
    text = b"".join(said)
    assert text.endswith(b"... (49737856 more characters)\n")
    assert len(text) < LONGEST_TEXT + 100


class Unsayable:
    """An argument of users' code that can't be shown."""

    def __str__(self) -> str:
        raise AttributeError("no")

    __repr__ = __str__


@pytest.mark.parametrize(("text", "argument"), [("%(a)s", {"b": 1}), ("%s", Unsayable()), ("%d %d", 1)])
def test_a_line_that_can_not_be_put_together_costs_nobody_a_frame(lines: Lines, text: str, argument: object) -> None:
    """Users' code logs what it likes, in the middle of a conversion."""
    logger = start_logs("converter:0")
    logger.info(text, argument)
    assert "can't be put together" in lines.take()
