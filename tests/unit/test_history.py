"""What was applied lately is kept, whole or not at all, and without secrets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.config.history import FOLDER, KEY_NAME, MOST_FILE_BYTES, MOST_KEPT, read_entry, read_history, record

ROOT = Path(__file__).parents[2]


def test_the_last_ones_are_kept(tmp_path: Path) -> None:
    """Each with who, when and what; the same files twice are one; how many have gone is to be seen by the numbers."""
    for number in range(MOST_KEPT + 3):
        assert record(tmp_path, "page", ["~ a: 1 data point"], {"/c/a.json": b'{"n": %d}' % number}) == number + 1
    assert record(tmp_path, "SIGHUP", [], {"/c/a.json": b'{"n": %d}' % number}) == MOST_KEPT + 3
    found = read_history(tmp_path)
    assert [entry.number for entry in found] == list(range(MOST_KEPT + 3, 3, -1))
    assert (found[0].by, found[0].summary) == ("page", ("~ a: 1 data point",))
    assert found[0].files == {"/c/a.json": '{"n": 22}'}
    assert read_entry(tmp_path, 1) is None


def test_no_secret_is_kept_and_nobody_else_may_look(tmp_path: Path) -> None:
    """Programs and what is too large are known by their hashes only."""
    contents = {"a": b'{"accessToken": "s3cret"}', "c.py": b"s3cret", "large": b" " * (MOST_FILE_BYTES + 1)}
    record(tmp_path, "start", [], contents, ["c.py"])
    folder = tmp_path / FOLDER
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert b"s3cret" not in path.read_bytes()
    entry = read_history(tmp_path)[0]
    assert (list(entry.files), entry.left_out, sorted(entry.hashes)) == (["a"], ("large",), ["a", "c.py", "large"])
    record(tmp_path, "start", [], {**contents, "c.py": b"other"}, ["c.py"])
    assert len(read_history(tmp_path)) == 2, "a program has changed"


@pytest.mark.parametrize("step", ["os.open", "os.fdopen", "os.fsync", "pathlib.Path.replace"])
def test_an_entry_is_there_whole_or_not_at_all(tmp_path: Path, step: str) -> None:
    """kill -9 at each step of its writing: what is found can be read, and the next one goes on."""
    record(tmp_path, "start", [], {"a": b"1"})
    script = f"""
import os, pathlib, sys
from common.config import history
owner, _, name = {step!r}.rpartition(".")
whole = getattr(eval(owner), name)
def ended(*args, **options):
    if any("new" in str(arg) for arg in args) or {step!r} in ("os.fsync", "os.fdopen"):
        os.kill(os.getpid(), 9)
    return whole(*args, **options)
setattr(eval(owner), name, ended)
history.record(pathlib.Path({str(tmp_path)!r}), "page", [], {{"a": b"2"}})
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [entry.number for entry in read_history(tmp_path)] == [1]
    assert record(tmp_path, "page", [], {"a": b"2"}) == 2
    assert sorted(os.listdir(tmp_path / FOLDER)) == ["1.json", "2.json", KEY_NAME]


@pytest.mark.parametrize("content", [b"", b'{"number": 2', b"[]", b"\xff"])
def test_what_can_not_be_read_is_left_out(tmp_path: Path, content: bytes) -> None:
    """And its number is not used again."""
    record(tmp_path, "start", [], {"a": b"1"})
    (tmp_path / FOLDER / "2.json").write_bytes(content)
    (tmp_path / FOLDER / "x.json").write_bytes(content)
    assert [entry.number for entry in read_history(tmp_path)] == [1]
    assert record(tmp_path, "page", [], {"a": b"2"}) == 3


def test_where_nothing_can_be_kept_nobody_fails(tmp_path: Path) -> None:
    """What was applied is applied."""
    (tmp_path / FOLDER).write_text("")
    assert record(tmp_path, "page", [], {"a": b"2"}) == 0
    assert read_history(tmp_path) == []
