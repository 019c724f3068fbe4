"""What others see of a process that was forked, and which processes are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.supervise import forking
from services.cli.supervise.forking import FORKED, Forks
from services.cli.supervise.launch import LAUNCHER
from services.cli.supervise.shown import ROOM_OPTION, Places, find_places, laid_out

ARGV = ["/usr/bin/python3", "-P", "-m", LAUNCHER, "/run/stamp"]

SHOWN = """
import os, sys
from services.cli.supervise.shown import find_places, show_command, show_environ
places = find_places()
show_environ(places, {"SERIALGW_TOP": "7", "NAME": "\\udcff é", "LONG": "x" * 1_000_000})
show_command(places, ["python", "-m", "services.port_reader", "--device=a b", "y" * 1_000_000])
print(repr(open("/proc/self/cmdline", "rb").read()))
print(repr(open("/proc/self/environ", "rb").read()))
print(os.environ["SECRET"])
"""


@given(words=st.lists(st.binary(max_size=20).filter(lambda word: b"\0" not in word)), room=st.integers(0, 100))
def test_words_are_whole_and_fill_their_room(words, room):
    """What is there before them is written over to its last byte; a word that has no room is left out whole."""
    found = laid_out(words, room)
    assert len(found) == room
    left = iter(words)
    for word in found.rstrip(b"\0").split(b"\0"):
        assert not word or word in left


def test_the_kernel_shows_what_was_written():
    """A command line and an environment, in words; what is too long is left out, and nothing of the old is left."""
    found = subprocess.run(
        [sys.executable, *ROOM_OPTION, "-c", SHOWN],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "SECRET": "hush"},
    )
    command, environ, secret = found.stdout.splitlines()
    assert eval(command).rstrip(b"\0").split(b"\0") == [b"python", b"-m", b"services.port_reader", b"--device=a b"]
    assert eval(environ).rstrip(b"\0").split(b"\0") == [b"SERIALGW_TOP=7", b"NAME=\xff \xc3\xa9"]
    assert secret == "hush"


def test_this_process_has_places():
    """The kernel says where its command line stands, and its environment behind that."""
    assert find_places().are_sound


class Served(Exception):  # noqa: N818 (it is no error)
    """The child would be the service now."""


@pytest.fixture
def became(monkeypatch):
    """The argv of each child that became a new program; one that is forked raises Served."""

    def serve(*_words):
        raise Served

    forking._load.cache_clear()
    loaded = forking._Loaded(int, Places(1, 2, 2, 3), {__file__: forking._stamp(__file__)})
    monkeypatch.setattr(forking, "_load", lambda: loaded)
    monkeypatch.setattr(forking, "_serve", serve)
    return []


def forks_into(became, told=None):
    return Forks(lambda _file, argv, _environ: became.append(argv), [].append if told is None else told.append)


def start(forks, *words):
    forks.prepare(" ".join(words))
    forks.execve(words[0], list(words), {})


def test_only_port_readers_are_forked(became):
    """Whoever runs users' code becomes a new program, and so does what is not started by our launcher."""
    forks = forks_into(became)
    others = [(*ARGV, f"services.{name}") for name in ("converter", "connector_host", "publisher", "broker", "monitor")]
    for words in (*others, ("/bin/true", FORKED), (*ARGV, "services.cli.supervise.reloader", FORKED)):
        start(forks, *words)
        assert became[-1] == list(words)
    with pytest.raises(Served):
        start(forks, *ARGV, FORKED)


def test_a_reader_whose_files_an_update_has_changed_starts_anew(became, monkeypatch):
    """What is loaded here does not fit what it may still load."""
    forks = forks_into(became)
    with pytest.raises(Served):
        start(forks, *ARGV, FORKED)
    monkeypatch.setattr(forking, "_stamp", lambda _path: (1, 2, 3))
    start(forks, *ARGV, FORKED)
    assert became == [[*ARGV, FORKED]]


SERVED = """
import os, sys
from services.cli.supervise import forking
from services.cli.supervise.shown import find_places

def main():
    print([open(f"/proc/self/{name}", "rb").read().strip(b"\\0").split(b"\\0") for name in ("cmdline", "environ")])
    print(sys.argv, sorted(os.environ))
    raise SystemExit("no such port")

loaded = forking._load()
assert forking._load() is loaded and loaded.is_current and forking.__file__ in loaded.files
loaded = loaded._replace(main=main)
if not os.fork():
    words = [sys.argv[1], forking.FORKED, "--device=a b"]
    environ = {"SERIALGW_TOP": str(os.getppid()), "SERIALGW_GATEWAY": "/" + "x" * 60, "A": "1"}
    forking._serve(loaded, ["python", "-m"], words, environ)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_forked_reader_is_what_a_new_program_would_be(tmp_path):
    """Its words and its environment are its own, from outside too, where the old environment was shorter; it ends with
    the exit code that Python would give it."""
    found = subprocess.run(
        [sys.executable, *ROOM_OPTION, "-c", SERVED, str(tmp_path / "stamp")],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "SECRET": "h" * 90},
    )
    shown, own, code = found.stdout.splitlines()
    command, environ = eval(shown)
    assert command == [b"python", b"-m", FORKED.encode(), b"--device=a b"]
    assert b"SERIALGW_GATEWAY=/" + b"x" * 60 in environ
    assert b"SECRET" not in b"".join(environ)
    assert own == "['services.port_reader', '--device=a b'] ['A', 'SERIALGW_GATEWAY', 'SERIALGW_TOP']"
    assert (code, found.stderr) == ("1", "no such port\n")


def test_what_keeps_us_from_forking_is_told_once(became, monkeypatch):
    """Then a reader starts as all others do."""

    def fails():
        raise ImportError("No module named 'zmq'")

    told = []
    monkeypatch.setattr(forking, "_load", fails)
    forks = forks_into(became, told)
    for _ in range(2):
        start(forks, *ARGV, FORKED)
    assert became == [[*ARGV, FORKED]] * 2
    assert [note.event for note in told] == ["forks.unavailable"]


def test_an_exit_code_is_what_python_makes_of_it(capsys):
    """None is 0, a sentence is printed and is 1, a number is its last eight bits."""
    assert [forking._ended(code) for code in (None, 0, 78, 256, "no such thing")] == [0, 0, 78, 0, 1]
    assert capsys.readouterr().err == "no such thing\n"
