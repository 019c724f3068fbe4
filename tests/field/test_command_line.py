"""What a person types who does not know the commands by heart, and what they say."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.config.models import Device, Rpc
from common.io.dead_letters import Page
from common.wire import codec
from common.wire.messages import FrameBody, ReadingBody, Tap, UserReading
from common.wire.taps import LEFT_OUT
from services.cli.__main__ import main
from services.cli.command_line import COMMANDS
from services.cli.commands.dead_letters import summary
from services.cli.commands.run import chosen_file
from services.cli.commands.watch import lines_of, objects_of
from services.cli.known import no_device, no_method
from services.cli.text import compact
from services.cli.trial.inputs import bytes_of_hex
from services.cli.usage import UsageError

Captured = pytest.CaptureFixture[str]
CONNECTOR = {"name": "x", "devices": [{"name": "a"}, {"name": "b", "port": "/dev/ttyUSB1"}]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a configuration of two devices."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.json").write_text(json.dumps(CONNECTOR))
    return tmp_path


def says(arguments: list[str], captured: Captured) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of a command line."""
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    out, err = captured.readouterr()
    return code, out, err


@pytest.mark.parametrize("columns", ["80", "200", "40"])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_into_80_columns(
    command: str, columns: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However wide the terminal is; also where it is narrower, as far as words are short enough."""
    monkeypatch.setenv("COLUMNS", columns)
    code, out, _ = says([*command.split(), "--help"], capsys)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "examples:" in out or not command


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_is_had_in_both_ways(command: str, capsys: Captured) -> None:
    """`serialgw help watch` as `serialgw watch --help`."""
    assert says(["help", command], capsys) == says([command, "--help"], capsys)


def test_help_alone_is_the_help(capsys: Captured) -> None:
    assert says(["help"], capsys) == says(["--help"], capsys)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("chek", "check"), ("statsu", "status"), ("deadletters", "dead-letters"), ("Watch", "watch"), ("hlep", "help")],
)
def test_a_command_that_is_none_is_told_its_nearest(typed: str, meant: str, capsys: Captured) -> None:
    code, _, err = says([typed], capsys)
    assert code == 2
    assert f'error: there is no command "{typed}"; did you mean "{meant}"?' in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nosuch"],
        ["help", "nosuch"],
        ["check", "nosuch.json"],
        ["run", "nosuch.json"],
        ["run"],
        ["run", "a.json", "--config", "b.json"],
        ["try", "c.json", "--text", "x"],
        ["try", "c.json", "--text", "x", "--device", "z"],
        ["try", "c.json", "a", "--device", "b", "--text", "x"],
        ["try", "c.json", "a", "--hex", "zz"],
        ["rpc", "a", "b", "on"],
        ["status", "--data-dir", "nosuch"],
        ["watch", "--data-dir", "nosuch"],
        ["rpc", "a", "b", "--data-dir", "nosuch"],
        ["dead-letters", "--data-dir", "nosuch"],
        ["init", "nosuch"],
        ["capture", "nosuch", "--data-dir", "nosuch"],
        ["capture", "/dev/nosuch", "--data-dir", "nosuch"],
        ["capture", "a", "--setting", "x", "--data-dir", "nosuch"],
        ["replay", "nosuch"],
        ["replay", "c.json"],
        ["init", "--host", "a:b:c"],
    ],
)
def test_every_error_begins_alike(arguments: list[str], folder: Path, capsys: Captured) -> None:
    """On standard error, so that it can be found in a log of several programs' words."""
    code, out, err = says(arguments, capsys)
    assert code in (1, 2, 69, 78)
    if arguments[0] != "check":
        assert any(line.startswith("error: ") for line in err.splitlines()), err
    assert "serialgw:" not in err
    assert "Traceback" not in out + err


def test_run_takes_its_file_as_check_does(folder: Path, capsys: Captured) -> None:
    """And the one in this folder where none is named; the option of old works on."""
    first, second = Path("c.json"), Path("d.json")
    assert chosen_file(SimpleNamespace(file=first, config=None)) == first
    assert chosen_file(SimpleNamespace(file=None, config=first)) == first
    assert chosen_file(SimpleNamespace(file=first, config=first)) == first
    with pytest.raises(UsageError, match="two configurations"):
        chosen_file(SimpleNamespace(file=first, config=second))
    with pytest.raises(UsageError, match=r"`serialgw init` writes one"):
        chosen_file(SimpleNamespace(file=None, config=None))
    (folder / "tb_gateway.json").touch()
    assert chosen_file(SimpleNamespace(file=None, config=None)) == Path("tb_gateway.json")
    code, _, err = says(["run", "--data-dir", str(folder / "data")], capsys)
    assert (code, "tb_gateway.json" in err) == (78, True)


def test_try_takes_the_device_in_both_places(folder: Path, capsys: Captured) -> None:
    """And says which there are where it is needed and not named."""
    assert says(["try", "c.json", "a", "--hex", "31"], capsys)[0] == 0
    assert says(["try", "c.json", "--device", "a", "--hex", "31"], capsys)[0] == 0
    assert says(["try", "c.json", "a", "--device", "a", "--hex", "31"], capsys)[0] == 0
    code, _, err = says(["try", "c.json", "--hex", "31"], capsys)
    assert (code, err) == (2, "error: there are several devices, choose one with --device: a, b\n")
    code, _, err = says(["try", "c.json", "z", "--hex", "31"], capsys)
    assert code == 2
    assert 'no device "z"' in err
    assert "there is: a, b" in err


def test_try_reads_standard_input(folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is what other programs mean by it."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"1\n2\n")))
    code, out, _ = says(["try", "c.json", "a", "--file", "-", "--json"], capsys)
    assert (code, len(out.splitlines())) == (0, 2)


@pytest.mark.parametrize(
    "typed",
    ["54 3a 0d", "543A0D", "54:3a:0d", "0x54 0x3a 0x0d", "0x54,0x3a,0x0d", "54-3A-0D", r"\x54\x3a\x0d", "0x54 3a\n0d"],
)
def test_hexadecimal_bytes_are_read_as_programs_print_them(typed: str) -> None:
    assert bytes_of_hex(typed) == b"T:\r"


@pytest.mark.parametrize("typed", ["5", "0x5", "54 3", "5g", "0x", "54::3", "T:"])
def test_what_is_no_byte_is_refused(typed: str) -> None:
    """Half a byte, for instance, is never filled up."""
    with pytest.raises(UsageError, match="pairs of hexadecimal digits"):
        bytes_of_hex(typed)


def test_counts_are_in_words_that_fit() -> None:
    assert summary("d", Page([(1, 1, 1, "x", b"")], 1, 1)) == "d: 1 dead letter, 1 byte"
    assert summary("d", Page([], 0, 0)) == "d: 0 dead letters, 0 bytes"
    assert summary("d", Page([], 2, 6)).startswith("d: 2 dead letters, 6 bytes")


def test_who_names_what_is_not_there_is_told_what_there_is() -> None:
    """Devices with a next step; methods with what they take, as it is typed in a shell."""
    assert no_device("z", ["a", "b"]) == (
        'there is no device "z"; there is: a, b (`serialgw status` shows how they are)'
    )
    assert "the gateway has none" in no_device("z", [])
    device = Device(
        name="a",
        downlink_converter="SerialDownlinkConverter",
        rpcs=(
            Rpc(method="ask", template="READ?"),
            Rpc(method="set", template="SET ${params}"),
            Rpc(method="limits", template="L ${params.low} ${params.high} ${params.low}"),
            Rpc(method="speed", type="int"),
            Rpc(method="say"),
        ),
    )
    assert no_method(device, "nosuch").splitlines() == [
        'a has no method "nosuch"; it has:',
        "  ask (without PARAMS)",
        "  set PARAMS",
        '  limits \'{"low": …, "high": …}\'',
        "  speed NUMBER",
        "  say '\"text\"'",
    ]
    assert "no serverSideRpc" in no_method(Device(name="b"), "x")


def frames(*data: bytes) -> Tap:
    return Tap("frames", "press", codec.pack_frames(FrameBody([1_000] * len(data), list(data))))


def test_watch_shows_bytes_in_three_forms() -> None:
    """Text, hexadecimal, or both side by side."""
    ends = [next(lines_of(frames(b"\xff1\n"), form)).split(" frame   ")[1] for form in ("text", "hex", "raw")]
    assert ends == ['"\\xff1\\n"', "ff 31 0a", 'ff 31 0a  "\\xff1\\n"']


def test_watch_speaks_to_programs() -> None:
    """One object a line, its values as exact as they came."""
    body = ReadingBody(
        [1_000, 2_000],
        [b'{"n":12345678901234567890.5}', b""],
        attributes=b'{"s":"x"}',
        dead={1: "why"},
        user={1: [UserReading("other", "default", [(3_000, b'{"a":1}')], b"")]},
    )
    lines = [*objects_of(frames(b"1\n")), *objects_of(Tap("readings", "press", codec.pack_readings(body)))]
    assert '"values":{"n":12345678901234567890.5}' in lines[1]
    found = [json.loads(line) for line in lines]
    assert [one["what"] for one in found] == ["frame", "reading", "dead", "reading", "attributes"]
    assert (found[0]["hex"], found[0]["bytes"], found[0]["ts"]) == ("310a", 2, 1_000)
    assert found[2]["reason"] == "why"
    assert (found[3]["deviceName"], found[3]["ts"]) == ("other", 3_000)
    (left_out,) = objects_of(Tap(LEFT_OUT, "press", codec.pack(7)))
    assert json.loads(left_out)["count"] == 7
    (damaged,) = objects_of(Tap("frames", "press", b"junk"))
    assert json.loads(damaged)["what"] == "not understood"


def test_json_is_spaced_alike(folder: Path, capsys: Captured) -> None:
    """On one line, without blanks between its parts, letters as they are."""
    assert compact({"ü": [1, 2]}) == '{"ü":[1,2]}'
    for arguments in (
        ["check", "c.json", "--json"],
        ["ports", "--json"],
        ["try", "c.json", "a", "--hex", "31", "--json"],
    ):
        _, out, _ = says(arguments, capsys)
        (line,) = out.splitlines()
        assert line == compact(json.loads(line))
