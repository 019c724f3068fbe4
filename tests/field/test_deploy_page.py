"""docs/deploy.md: each command in it is one that there is, with options that it has, and each file is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from services.cli.command_line import COMMANDS, build_parser

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "deploy.md").read_text("utf-8")
SOURCE = "\n".join(path.read_text("utf-8") for path in (ROOT / "services").rglob("*.py"))
OURS = re.compile(rf"(?:^|[\s/`])serialgw ((?:{'|'.join(COMMANDS)})\b[^#|\n`]*)")
"""`serialgw COMMAND …`, up to a comment, a pipe or the end."""


def commands() -> list[str]:
    """All in the page; the ways to write one of several words are tried one by one."""
    found = []
    for text in OURS.findall(PAGE.replace("deploy compose|systemd|udev|supervisor", "deploy compose")):
        found.append(re.split(r" && | > |, and ", text)[0].strip())
    return sorted(set(found))


@pytest.mark.parametrize("words", commands())
def test_each_command_is_taken_as_it_stands_there(words: str) -> None:
    """What is no option, or lacks one, would end with 2."""
    arguments = shlex.split(words.replace(" …", ""))
    if len(arguments) > 1:
        build_parser(arguments[0]).parse_args(arguments)


def test_the_page_has_some() -> None:
    """Else nothing above would have been tried."""
    named = {words.split()[0] for words in commands()}
    assert {"run", "status", "web", "init", "check", "deploy", "backup", "restore", "ports"} <= named


def test_each_file_of_the_project_is_there() -> None:
    """Those below deploy/, and what the Compose file mounts."""
    for name in set(re.findall(r"deploy/[\w./-]*\w", PAGE)):
        assert (ROOT / name).exists(), name
    compose = (ROOT / "deploy" / "docker-compose.yml").read_text("utf-8")
    mounted = set(re.findall(r"- \./([\w./-]+):", compose)) - {"prometheus", "grafana"}
    assert mounted
    for name in mounted:
        assert (ROOT / "deploy" / name).is_file(), name


def test_the_gates_of_a_port_are_told_in_the_words_of_the_log() -> None:
    """A row for each."""
    part = PAGE.partition("| the log says |")[2].partition("\n\n")[0]
    said = re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE)
    assert len(said) == 3
    assert [text for text in said if text not in SOURCE] == []
