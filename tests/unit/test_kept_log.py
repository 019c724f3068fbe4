"""What the processes log is kept in two files, in text or as JSON, and `serialgw logs` shows what is asked for."""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.events import Note
from common.core.facts import fact_text
from common.core.log_lines import plain_line, read_line
from common.core.shown import is_steering
from common.io.kept_log import FOLDER, NAME, OLDER
from common.io.log_json import json_line
from common.io.logs import FORMAT_VARIABLE, handler_of, log_note, start_logs
from services.cli.__main__ import main
from services.cli.commands.logs import Tail, Wanted
from services.cli.supervise.kept import KeptFile, keep_lines
from services.cli.supervise.lines import PublisherLines
from services.cli.supervise.log import SupervisordLog

HEAD = {"time": "2026-11-30T10:00:00.000+00:00", "level": "INFO", "process": "port_reader:press1", "device": ""}
TEXTS = st.text(max_size=40)
VALUES = st.one_of(TEXTS, st.integers(), st.booleans(), st.none(), st.floats(), st.binary(max_size=8))
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _own_streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What takes the streams gives them back at the end."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    yield
    logging.getLogger("serialgw").handlers.clear()


def line(process: str, text: str, level: str = "INFO") -> str:
    return f"2026-11-30T10:00:00.000+00:00 {level:7} [{process}] {text}"


LINES = [
    line("port_reader:press1", 'port.lost reason="hung up"', "WARNING"),
    line("port_reader:Press 2", "port.opened"),
    line("publisher:0", "call.begun id=c1 device=press1 method=get from=platform"),
    line("publisher:0", 'call.begun id=c2 device="Press 2" method=get from=platform'),
    line("converter:0 press1", "a line of users' code\nTraceback (most recent call last):\n  x = 1"),
    line("supervisord", "process.started name=port_reader-press1 pid=7"),
    line("connector_host:Own", "connector.failed reason=x", "ERROR"),
    line("supervisord", 'process.died name="connector_host-Own" reason="exit code 1"', "WARNING"),
    line("broker:0", "process.started"),
]


@pytest.mark.parametrize(
    ("device", "level", "numbers"),
    [
        (None, "TRACE", range(9)),
        ("press1", "TRACE", [0, 2, 4, 5]),
        ("Press 2", "TRACE", [1, 3]),
        ("connector:Own", "TRACE", [6, 7]),
        (None, "WARNING", [0, 6, 7]),
        ("press1", "WARNING", [0]),
        ("press", "TRACE", []),
    ],
)
def test_lines_are_chosen_by_device_and_level(device: str | None, level: str, numbers: list[int]) -> None:
    """Whichever process has said them; what has no head of its own goes with the line before."""
    all_lines = "\n".join(LINES).split("\n")
    chosen = "\n".join(Wanted(device, level).choose(all_lines))
    assert chosen == "\n".join(LINES[number] for number in numbers)


def test_two_files_of_so_many_bytes_are_kept(tmp_path: Path) -> None:
    """The newest lines are all there, none is in halves, and nobody else may read them."""
    tmp_path.chmod(0o700)
    file = KeptFile(tmp_path, most_bytes=1000)
    said = [f"line {number}\n".encode() for number in range(1000)]
    for one in said:
        assert file.put(one) == len(one)
    file.close()
    folder = tmp_path / FOLDER
    assert sorted(path.name for path in folder.iterdir()) == [NAME, OLDER]
    kept = (folder / OLDER).read_bytes() + (folder / NAME).read_bytes()
    assert b"".join(said).endswith(kept)
    assert 1000 <= len(kept) <= 2000
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / NAME)] == [0o700, 0o600]
    # Who starts again goes on behind what is there.
    KeptFile(tmp_path, most_bytes=1000).put(b"again\n")
    assert (folder / OLDER).read_bytes() + (folder / NAME).read_bytes() == kept + b"again\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_what_a_full_disk_does_not_take_is_counted_and_told(tmp_path: Path) -> None:
    """Nothing is raised, and nothing waits; a line says how many are missing when there is room again."""
    outlet = keep_lines(tmp_path, lambda count: f"{count} are missing\n".encode())
    (tmp_path / FOLDER).symlink_to("/dev/full")
    for number in range(3):
        outlet.write(f"{number}\n".encode())
    assert outlet.dropped == 3
    (tmp_path / FOLDER).unlink()
    outlet.write(b"3\n")
    assert (tmp_path / FOLDER / NAME).read_bytes() == b"3 are missing\n3\n"


def test_a_reader_follows_while_files_are_exchanged(tmp_path: Path) -> None:
    """Each line once, in order, also where the end of one has not come yet."""
    file = KeptFile(tmp_path, most_bytes=200)
    file.put(b"begin\n")
    tail = Tail(tmp_path / FOLDER / NAME)
    found = tail.read()
    for number in range(100):
        file.put(f"{number} ".encode())
        found += tail.read()
        file.put(b"and its end\n")
        found += tail.read()
    assert found == ["begin", *(f"{number} and its end" for number in range(100))]


@given(
    event=st.from_regex(r"[a-z]+\.[a-z_]+", fullmatch=True),
    facts=st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), VALUES, max_size=4),
)
def test_both_forms_say_the_same(event: str, facts: dict[str, Any]) -> None:
    """A line as JSON is JSON on one line that steers nothing, and read it is the line as text."""
    data = json_line(HEAD, event, facts, "", "")
    text = data.decode()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert not is_steering(text[:-1])
    found = json.loads(text)
    assert (found["event"], found["process"], "device" in found) == (event, "port_reader:press1", False)
    assert found["facts"].keys() == facts.keys()
    read = read_line(text[:-1])
    assert read is not None
    assert (read.process, read.device) == ("port_reader:press1", "press1")
    assert not is_steering(plain_line(text[:-1]))
    sayable = {key: value for key, value in facts.items() if isinstance(value, str | int) and value == value}
    for key, value in sayable.items():
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
            continue
        assert fact_text(key, value) in read.said or len(str(value)) > 30 or not str(value).isascii()


def test_a_process_logs_json_where_the_environment_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    """Notes, what users' code logs with its traceback, what is printed, and what is said of the log itself: all in one
    form."""
    monkeypatch.setenv(FORMAT_VARIABLE, "json")
    logger = start_logs("converter:0")
    log_note(logger, Note("warning", "port.lost", {"retry_in_s": 0.5, "reason": "a\x1bb", "device": "ü"}))
    try:
        raise ValueError("bad")
    except ValueError:
        logger.getChild("device.press1").exception("it %s", "failed")
    handler = handler_of(logger)
    assert handler is not None
    handler.outlet.write(handler.printed("one\ntwo \x1b[2J\n"))
    handler.outlet.write(handler.printed(json.dumps({"time": "x"}, separators=(",", ":")) + "\n"))
    handler.outlet.write(handler.dropped_line(3))
    text = capsys.readouterr().err
    assert "\x1b" not in text
    note, users, one, two, kept, dropped = map(json.loads, text.splitlines())
    assert (note["level"], note["event"]) == ("WARNING", "port.lost")
    assert note["facts"] == {"retry_in_s": 0.5, "reason": "a\x1bb", "device": "ü"}
    assert (users["level"], users["device"], users["message"]) == ("ERROR", "press1", "it failed")
    assert "ValueError: bad" in users["exception"]
    assert [one["message"], two["message"]] == ["one", "two \x1b[2J"]
    assert kept == {"time": "x"}
    assert (dropped["event"], dropped["facts"]) == ("log.dropped", {"lines": 3})


def logs(tmp_path: Path, capsys: Captured, *arguments: str) -> tuple[int, list[str], str]:
    code = main(["logs", *arguments, "--data-dir", str(tmp_path)])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


def test_the_command_shows_the_newest_lines(tmp_path: Path, capsys: Captured) -> None:
    """Of both files; so many of those that are wanted."""
    assert logs(tmp_path, capsys)[0] == 69
    assert "docker-compose logs" in logs(tmp_path, capsys)[2]
    file = KeptFile(tmp_path, most_bytes=400)
    for one in LINES:
        file.put(f"{one}\n".encode())
    assert (tmp_path / FOLDER / OLDER).exists()
    _, shown, _ = logs(tmp_path, capsys)
    assert "\n".join(LINES).endswith("\n".join(shown))
    assert logs(tmp_path, capsys, "-n", "1")[1] == [LINES[-1]]
    assert logs(tmp_path, capsys, "connector:Own", "--level", "error")[1] == [LINES[6]]
    assert logs(tmp_path, capsys, "--device", "nobody")[:2] == (0, [])


def test_the_command_goes_on_until_ctrl_c(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes while it runs is shown as it comes."""
    file = KeptFile(tmp_path)
    file.put(b"before\n")
    seen: list[int] = []

    def pause(_: float) -> None:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        file.put(f"{LINES[len(seen)]}\n".encode())

    monkeypatch.setattr("services.cli.commands.logs.time.sleep", pause)
    code, shown, _ = logs(tmp_path, capsys, "--follow")
    assert (code, shown) == (0, LINES[1:3])


def test_lines_are_shown_in_either_form_whichever_they_were_logged_in(tmp_path: Path, capsys: Captured) -> None:
    """Text by itself, JSON with `--json`; a traceback stays with its line."""
    file = KeptFile(tmp_path)
    file.put(f"{LINES[4]}\n{LINES[0]}\n".encode())
    file.put(json_line({**HEAD, "level": "WARNING"}, "port.lost", {"reason": "hung up", "retry_in_s": 0.5}, "", ""))
    file.put(json_line({**HEAD, "device": "press1"}, "", {}, "a line of users' code", "Traceback\n  x = 1"))
    _, shown, _ = logs(tmp_path, capsys)
    assert shown[3] == LINES[0]
    assert shown[4] == line("port_reader:press1", 'port.lost reason="hung up" retry_in_s=0.500', "WARNING")
    assert shown[5:] == [line("port_reader:press1 press1", "a line of users' code"), "Traceback", "  x = 1"]
    _, shown, _ = logs(tmp_path, capsys, "--json")
    users, lost, note, logged = map(json.loads, shown)
    assert users["message"] == "a line of users' code\nTraceback (most recent call last):\n  x = 1"
    assert (users["process"], users["device"]) == ("converter:0", "press1")
    assert (lost["level"], lost["message"]) == ("WARNING", 'port.lost reason="hung up"')
    assert note["facts"] == {"reason": "hung up", "retry_in_s": 0.5}
    assert logged["exception"] == "Traceback\n  x = 1"


def test_what_only_begins_like_an_object_steers_no_terminal(tmp_path: Path, capsys: Captured) -> None:
    """Somebody's print is of the line before it, whatever it begins with; an object keeps what it says, but for what a
    terminal would obey."""
    file = KeptFile(tmp_path)
    file.put(f"{LINES[0]}\n{{\x1b[2J no object\n".encode())
    file.put(json_line(HEAD, "", {}, "an object", "")[:-2] + ', "more": "\x9b2J"}\n'.encode())
    _, shown, _ = logs(tmp_path, capsys, "--json")
    first, second = map(json.loads, shown[-2:])
    assert first["message"].endswith("\n{\x1b[2J no object")
    assert second["more"] == "\x9b2J"
    _, plain, _ = logs(tmp_path, capsys)
    assert "{\\u001b[2J no object" in plain
    assert not any(is_steering(one) for one in (*shown, *plain))


def test_the_publisher_is_told_text_in_either_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """It reads the head of each line; what is no object yet becomes one for all others."""
    monkeypatch.setenv(FORMAT_VARIABLE, "json")
    told: list[bytes] = []
    lines = PublisherLines(tmp_path)
    monkeypatch.setattr(lines, "put", told.append)
    log = SupervisordLog(lines, tmp_path)
    process = SimpleNamespace(config=SimpleNamespace(name="port_reader-press1", exitcodes=()), pid=7)
    data = json_line(HEAD, "port.opened", {"port": "/dev/x"}, "", "") + b"printed \x1b[2J by a library\n"
    log.output(SimpleNamespace(process=process, data=data))
    log.started(SimpleNamespace(process=process))
    opened, printed, started = b"".join(told).decode().splitlines()
    assert opened == line("port_reader:press1", "port.opened port=/dev/x")
    assert printed.endswith("INFO    [port_reader:press1] printed \\u001b[2J by a library")
    assert started.endswith("INFO    [supervisord] process.started name=port_reader-press1 pid=7")
    shown = [json.loads(one) for one in (tmp_path / FOLDER / NAME).read_text().splitlines()]
    assert [one["process"] for one in shown] == ["port_reader:press1", "port_reader:press1", "supervisord"]
    assert capsys.readouterr().err == (tmp_path / FOLDER / NAME).read_text()


def test_what_a_process_prints_as_it_crashes_is_known_as_its_own(tmp_path: Path, capsys: Captured) -> None:
    """A traceback has no head, and may come behind another process's line."""
    log = SupervisordLog(PublisherLines(tmp_path), tmp_path)
    press, other = (SimpleNamespace(config=SimpleNamespace(name=f"port_reader-{name}")) for name in ("press1", "x"))
    log.output(SimpleNamespace(process=other, data=f"{line('port_reader:x', 'port.opened')}\n".encode()))
    log.output(SimpleNamespace(process=press, data=b"Traceback (most recent call last):\n  x = 1\n"))
    assert "printed:" not in capsys.readouterr().err
    kept = (tmp_path / FOLDER / NAME).read_text().splitlines()
    head, *traceback = Wanted("press1", "TRACE").choose(kept)
    assert head.endswith("INFO    [port_reader:press1] printed:")
    assert traceback == ["Traceback (most recent call last):", "  x = 1"]
    assert list(Wanted("x", "TRACE").choose(kept)) == [line("port_reader:x", "port.opened")]
