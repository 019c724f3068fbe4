"""What somebody finds who installs, builds or looks around for the first time."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from common.config.profiles import OURS
from common.core.version import RELEASE
from services.cli.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs make where nothing is set up yet."""
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    # These tests are run by make themselves, which would tell the inner one so.
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=own, capture_output=True, text=True, timeout=60, check=False
    )


def test_make_alone_says_what_it_can_do(tmp_path: Path) -> None:
    """Every target, within 80 columns; and it sets nothing up for that."""
    alone, helped = make(tmp_path), make(tmp_path, "help")
    assert (alone.returncode, alone.stdout) == (0, helped.stdout)
    [phony] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    listed = re.findall(r"^  ([a-z-]+) ", alone.stdout, re.MULTILINE)
    assert sorted(listed) == sorted(phony.split())
    assert max(map(len, alone.stdout.splitlines())) <= 80
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("python", ["python9", "./nosuch", "pyhton3"])
def test_a_python_that_is_not_there_is_named(python: str, tmp_path: Path) -> None:
    """And not called an empty version."""
    said = make(tmp_path, f"PYTHON={python}", "venv").stdout
    assert f"There is no program called {python}." in said
    assert "make PYTHON=python3.12 venv" in said


def test_make_does_not_echo_long_commands() -> None:
    """What pip is told is nothing for a newcomer to read."""
    assert not re.findall(r"^\t\$\(PIP\)", MAKEFILE, re.MULTILINE)


def test_a_gateway_is_installed_with_few_packages() -> None:
    """The monitor's page brings five others (anyio, click, h11, idna, typing-extensions); the demo's MQTT broker would
    bring two dozen."""
    names = [re.split(r"[^a-z-]", text)[0] for text in PROJECT["dependencies"]]
    data = ["pyzmq", "pyserial", "msgpack", "paho-mqtt", "simplejson", "msgspec", "supervisor"]
    assert names == [*data, "starlette", "uvicorn", "prometheus-client", "shtab"]
    assert [re.split(r"[^a-z-]", text)[0] for text in PROJECT["optional-dependencies"]["demo"]] == ["amqtt"]


def test_the_demo_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Before it starts anything."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert main(["demo"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: the demo needs an MQTT broker (amqtt), which a gateway does not")
    assert "make demo" in err


def test_the_changelog_knows_this_release() -> None:
    assert f"## {RELEASE} " in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_metadata_say_who_and_for_what() -> None:
    assert PROJECT["authors"] == [{"name": "serialgw developers"}]
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)} <= set(PROJECT["classifiers"])
    assert "serial" in PROJECT["keywords"]


def test_the_image_gets_what_it_copies_and_little_else() -> None:
    """All of what deploy/Dockerfile copies is let through; neither .venv nor .git is."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    let_through = {line[1:] for line in lines if line.startswith("!")}
    copied: set[str] = set()
    for line in re.findall(
        r"^COPY (?!--from)(.*) \S+$", (ROOT / "deploy" / "Dockerfile").read_text("utf-8"), re.MULTILINE
    ):
        copied |= set(line.split())
    assert copied == let_through
    assert "*" in lines


def test_the_source_archive_has_what_make_needs() -> None:
    manifest = (ROOT / "MANIFEST.in").read_text("utf-8")
    for word in ("Makefile", "constraints.txt", "CHANGELOG.md", "graft docs", "graft deploy", "graft tests"):
        assert word in manifest
    assert "prune bench/results" in manifest


def test_the_wheel_has_the_profiles_and_the_man_page(tmp_path: Path) -> None:
    """They are no modules, and would be left out without a word."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "serialgw.py"):
        shutil.copy(ROOT / name, source)
    for name in ("common", "services"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "import setuptools.build_meta as backend; print(backend.build_wheel('..'))"
    built = subprocess.run(
        [sys.executable, "-c", build], cwd=source, capture_output=True, text=True, timeout=100, check=True
    )
    with zipfile.ZipFile(tmp_path / built.stdout.split()[-1]) as wheel:
        assert [name for name in wheel.namelist() if name.endswith(".data/data/share/man/man1/serialgw.1")]
        names = {Path(name).name for name in wheel.namelist() if name.startswith("common/config/profiles/")}
    assert names == {path.name for path in OURS.iterdir()}
