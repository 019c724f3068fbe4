"""Every configuration under tests/cases/config gets its messages word for word."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.config import extension_files
from common.config.reading import read_gateway
from common.core.errors import ConfigError
from services.cli.commands import check
from tests.support.config_cases import expected, names, prepare

RUN_CHECK = (
    "import argparse, sys; from services.cli.commands import check; "
    "sys.exit(check.run(argparse.Namespace(file=sys.argv[1], json=False, connect=False)))"
)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_shared_extensions(monkeypatch, tmp_path: Path):
    """What this machine has under /var/lib does not change the messages."""
    monkeypatch.setattr(extension_files, "SHARED_EXTENSIONS", str(tmp_path / "shared"))


def messages(path: Path, environ: dict[str, str]) -> tuple[bool, list[str]]:
    """Whether the configuration can be used, and all its messages."""
    try:
        problems, warnings = [], read_gateway(path, environ).warnings
    except ConfigError as error:
        problems, warnings = error.problems, error.warnings
    return not problems, [f"error: {one}" for one in problems] + [f"warning: {one}" for one in warnings]


@pytest.mark.parametrize("name", names("bad"))
def test_bad_configuration_is_refused_with_its_messages(name: str, tmp_path: Path):
    """A configuration that can't be used raises ConfigError with every problem, word for word."""
    path, environ = prepare("bad", name, tmp_path)
    usable, said = messages(path, environ)
    assert said == expected("bad", name, tmp_path)
    assert not usable
    assert "s3cretToken" not in "\n".join(said)


@pytest.mark.parametrize("name", names("good"))
def test_good_configuration_is_read_with_its_warnings(name: str, tmp_path: Path):
    """A configuration that can be used says in warnings, word for word, what has no effect."""
    path, environ = prepare("good", name, tmp_path)
    usable, said = messages(path, environ)
    assert said == expected("good", name, tmp_path)
    assert usable
    assert "s3cretToken" not in "\n".join(said)


@pytest.mark.parametrize("name", names("bad"))
def test_check_prints_the_messages_and_returns_78(name: str, tmp_path: Path, monkeypatch, capsys):
    """`serialgw check` prints each message on a line of its own and returns 78."""
    path, environ = prepare("bad", name, tmp_path)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    code = check.run(argparse.Namespace(file=str(path), json=False, connect=False))
    out = capsys.readouterr().out.splitlines()
    assert code == 78
    assert out[:-1] == expected("bad", name, tmp_path)


@pytest.mark.parametrize(
    "name", ["wrong_type_text_for_number", "broken_json_trailing_comma", "missing_file", "too_deep"]
)
def test_check_as_a_process_leaves_no_traceback(name: str, tmp_path: Path):
    """Run as a process, even in a locale without UTF-8, check writes nothing to standard error and exits with 78."""
    path, _ = prepare("bad", name, tmp_path)
    environ = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", RUN_CHECK, str(path)],
        capture_output=True,
        text=True,
        env=environ,
        timeout=60,
        check=False,
    )
    assert done.returncode == 78
    assert done.stderr == ""
    assert done.stdout.splitlines()[:-1] == expected("bad", name, tmp_path)


def test_check_shows_slices_and_json(tmp_path: Path, capsys):
    """For a good configuration check shows which bytes each data point takes, as text and as JSON."""
    path, _ = prepare("good", "example_both", tmp_path)
    path.chmod(0o600)
    assert check.run(argparse.Namespace(file=str(path), json=False, connect=False)) == 0
    text = capsys.readouterr().out
    assert 'telemetry  humidity      float   frame[:find("\\r")]' in text
    assert "attribute  SerialNumber  string  frame[3:-1]" in text
    assert "s3cretToken" not in text
    assert check.run(argparse.Namespace(file=str(path), json=True, connect=False)) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ok"] is True
    assert result["problems"] == result["warnings"] == []
    assert result["devices"][0]["attributes"] == [{"key": "SerialNumber", "type": "string", "slice": "frame[3:-1]"}]
