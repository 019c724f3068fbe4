"""The man page and the shell's completion say what the parsers of the command line say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from docs.man_page import MAN_PAGE, man_page
from services.cli.__main__ import main
from services.cli.command_line import COMMANDS, build_parser
from services.cli.commands.completion import SHELLS, parsers_of

PAGE = MAN_PAGE.read_text("utf-8")
PARSERS = parsers_of(build_parser(whole=True))


def test_the_man_page_is_what_the_parsers_say() -> None:
    """`make docs` writes it anew."""
    assert man_page() == PAGE


@pytest.mark.parametrize("command", COMMANDS)
def test_the_man_page_has_every_option(command: str) -> None:
    """Of every command, with its help; nothing of this machine stands in it."""
    part = PAGE.partition(f"\n.SS {command}\n".replace("-", "\\-"))[2].partition("\n.SS ")[0]
    assert part
    for action in PARSERS[command]._actions:
        for option in action.option_strings:
            assert option in ("-h", "--help") or option.replace("-", "\\-") in part
    assert str(Path.home()) not in PAGE


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_troff_has_no_complaint() -> None:
    """With all its warnings on, and every command has its heading."""
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", str(MAN_PAGE)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert set(re.findall(r"^   (\S+)$", done.stdout, re.MULTILINE)) >= set(COMMANDS)


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
def test_each_script_knows_every_command_and_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys)
    for command, parser in PARSERS.items():
        assert command in text
        for action in parser._actions:
            for option in action.option_strings:
                assert option.lstrip("-") in text


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["st"], {"status"}),
        (["status", "--wa"], {"--watch"}),
        (["check", "tb_"], {"tb_gateway.json"}),
        (["run", "--log-format", ""], {"text", "json"}),
        (["completion", "z"], {"zsh"}),
    ],
)
def test_bash_completes(
    typed: list[str], offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands, options, files and words, in a real bash."""
    file = tmp_path / "completion.bash"
    file.write_text(script("bash", capsys))
    (tmp_path / "tb_gateway.json").touch()
    words = " ".join(f"'{word}'" for word in ["serialgw", *typed])
    call = (
        f"source {file}; COMP_WORDS=({words}); COMP_CWORD={len(typed)}; "
        '$(complete -p serialgw | sed "s/.*-F \\([^ ]*\\).*/\\1/") serialgw; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", call], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert set(done.stdout.split()) == offered, done.stderr
