"""The command line itself: usage, exit codes, what `watch` and `rpc` print."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.wire import codec
from common.wire.messages import FrameBody, ReadingBody, Tap, UserReading
from services.cli.__main__ import main
from services.cli.command_line import COMMANDS
from services.cli.commands.rpc import error_of, parse_params
from services.cli.commands.watch import Presence, lines_of
from services.cli.text import clock, escape, moment


def test_help_names_every_command_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """`serialgw` alone prints the same as `serialgw --help`."""
    assert main([]) == 0
    text = capsys.readouterr().out
    for word in (*COMMANDS, "69", "78", "130"):
        assert word in text


def test_help_loads_no_command() -> None:
    """It must come at once: no zmq, serial, paho, asyncio or msgspec is imported for it."""
    code = "import sys, services.cli.__main__ as m; m.main([]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"zmq", "serial", "paho", "asyncio", "msgspec", "services.cli.commands.run"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["nosuch"],
        ["run", "--conf", "x"],
        ["run", "--config", "x", "--converters", "0"],
        ["run", "--config", "x", "--converters", "many"],
        ["demo", "--ports", "0"],
        ["demo", "--seconds", "ten"],
        ["rpc", "press1"],
        ["rpc", "press\udcff", "get"],
        ["rpc", "press1", "get\udcff"],
        ["watch", "press\udcff"],
        ["run", "--config", "x", "--data-dir", "data\udcff"],
        ["run", "--config", ""],
        ["run", "--config", "x", "--log-level", "LOUD"],
        ["init", "--baudrate", "-5"],
        ["init", "--host", "two words"],
        ["init", "--host", "tb.example.org:0"],
        ["init", "--host", ""],
        ["init", "socket://\udcff:1"],
        ["rpc", "press1", "get", "--timeout", "-1"],
        ["status", "--nosuch"],
    ],
)
def test_wrong_usage_is_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With a usage line on standard error."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: serialgw" in capsys.readouterr().err


def test_a_bare_word_as_params_is_told_how_to_be_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    """The line can be copied into the shell."""
    assert main(["rpc", "press1", "set", "on"]) == 2
    assert "'\"on\"'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["watch"], ["rpc", "press1", "get"]])
def test_no_gateway_is_exit_69_in_one_line(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether the data directory is there or not; and looking for it creates nothing."""
    for folder in (tmp_path, tmp_path / "nosuch"):
        assert main([*command, "--data-dir", str(folder)]) == 69
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert f"no gateway is running at {folder}" in lines[0]
    assert not (tmp_path / "nosuch").exists()


def test_run_lists_all_problems_and_is_exit_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started, nothing is written."""
    (tmp_path / "c.json").write_text('{"name": "x", "devices": [{"baudrate": "fast"}, {"bytesize": 12}]}')
    assert main(["run", "--config", str(tmp_path / "c.json"), "--data-dir", str(tmp_path / "data")]) == 78
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert any("devices[0].baudrate" in line for line in errors)
    assert any("devices[1].bytesize" in line for line in errors)
    assert not (tmp_path / "data").exists()


def test_a_data_directory_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An operating system's error is a sentence with the path, and with what to do."""
    (tmp_path / "c.json").write_text('{"name": "x", "devices": [{"name": "a"}]}')
    (tmp_path / "file").touch()
    assert main(["run", "--config", str(tmp_path / "c.json"), "--data-dir", str(tmp_path / "file" / "data")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"error: {tmp_path}/file/data: Not a directory; --data-dir names a folder that this user may write"


def test_a_closed_pipe_is_no_error() -> None:
    """`serialgw --help | true` says nothing on standard error."""
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen([sys.executable, "-m", "services.cli"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&-", ">/dev/full"])
@pytest.mark.parametrize("arguments", ["--help", "check nosuch.json", "nosuch"])
def test_a_stream_that_is_closed_or_full_is_no_traceback(redirection: str, arguments: str) -> None:
    """Whatever the shell did to standard input, output and error."""
    command = f"{sys.executable} -m services.cli {arguments} {redirection}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=30)
    assert "Traceback" not in done.stderr + done.stdout
    assert done.returncode in (0, 1, 2, 78)


def test_ctrl_c_while_the_command_is_being_loaded_is_quiet() -> None:
    """The interrupt comes in the first import that the console command makes."""
    code = (
        "import sys, os, signal\n"
        "from services.cli.__main__ import main\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "sys.exit(main(['--help']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_params_are_compact_json() -> None:
    """What is no JSON is None; NaN is none."""
    assert parse_params(' {"low": 1, "high": [2, null]} ') == b'{"low":1,"high":[2,null]}'
    assert parse_params('"ü"') == '"ü"'.encode()
    for text in ("on", "", "NaN", "{", "[" * 100_000):
        assert parse_params(text) is None


def test_which_replies_are_errors() -> None:
    """Anything with `error`, and what is no JSON."""
    assert error_of(b'{"error":"x","success":false}') == "x"
    assert error_of(b"x")
    assert not error_of(b'{"result":"error"}')
    assert not error_of(b'{"success":true}')


def test_watch_shows_frames_as_text_and_as_hex() -> None:
    """With the escapes that `try --text` takes, and the frame's own time."""
    tap = Tap("frames", "press1", codec.pack_frames(FrameBody([1_700_000_000_123], [b'48\r"\\\x002430\n'])))
    [line] = lines_of(tap)
    assert line == moment(1_700_000_000_123) + ' press1 frame   "48\\r\\"\\\\\\x002430\\n"'
    [line] = lines_of(tap, "hex")
    assert line.endswith(" press1 frame   34 38 0d 22 5c 00 32 34 33 30 0a")
    assert clock(1_700_000_000_123).endswith(".123")


def test_watch_shows_readings_attributes_dead_letters_and_users_readings() -> None:
    """One line each."""
    body = ReadingBody(
        [1_000, 2_000, 3_000],
        [b'{"humidity":48.0}', b"", b""],
        attributes=b'{"SerialNumber":"2430947595"}',
        dead={1: "no value: x"},
        user={2: [UserReading("other", "default", [(None, b'{"a":1}')], b'{"b":2}')]},
    )
    ends = [line.split(" ", 1)[1] for line in lines_of(Tap("readings", "press1", codec.pack_readings(body)))]
    assert ends == [
        'press1 reading {"humidity":48.0}',
        "press1 dead    no value: x",
        'press1 reading other {"a":1}',
        'press1 attributes other {"b":2}',
        'press1 attributes {"SerialNumber":"2430947595"}',
    ]


@pytest.mark.parametrize("body", [b"", b"junk", codec.pack(1), codec.pack([[1], [b"x", b"y"], []]), codec.pack([])])
@pytest.mark.parametrize("stage", ["frames", "readings"])
def test_watch_says_what_it_does_not_understand(stage: str, body: bytes) -> None:
    """A damaged tap is a line, not an end."""
    [line] = lines_of(Tap(stage, "press1", body))
    assert "not understood" in line


def test_watch_says_once_that_the_gateway_is_silent_and_once_that_it_is_back() -> None:
    """And that it never was there, if nothing came in time."""
    presence = Presence(10.0)
    assert not presence.is_missing(11.0)
    assert presence.is_missing(13.0)
    presence.hear(13.0)
    assert not presence.is_missing(99.0)
    assert [presence.change(now_s) for now_s in (14.0, 17.0, 18.0)] == ["", "the gateway is silent; waiting for it", ""]
    presence.hear(19.0)
    assert [presence.change(now_s) for now_s in (19.0, 19.5)] == ["the gateway is back", ""]


def test_a_storage_folder_that_cannot_be_written_is_said_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path beside the main file, as in the reference, may be where a service may not write."""
    (tmp_path / "file").touch()
    main_file = tmp_path / "tb_gateway.json"
    main_file.write_text(
        '{"thingsboard": {}, "storage": {"type": "file", "data_folder_path": "./file/data"},'
        ' "connectors": [{"type": "serial", "configuration": "c.json"}]}'
    )
    (tmp_path / "c.json").write_text('{"name": "x", "devices": [{"name": "a"}]}')
    assert main(["run", "--config", str(main_file), "--data-dir", str(tmp_path / "data")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: storage: journals can't be kept in {tmp_path}/file/data: Not a directory; leave")
    assert not (tmp_path / "data").exists()


def test_odd_times_are_shown_as_numbers() -> None:
    """A timestamp beyond the calendar does not end `watch`."""
    assert clock(10**18) == str(10**18)
    assert escape(b"\xff") == "\\xff"
