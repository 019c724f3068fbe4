"""`serialgw config`, where no gateway runs: what is kept, what is written, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.config.history import blanking_key, read_contents, read_entry, record
from common.config.place import place_of
from services.cli.commands.config import EXIT_CHANGED
from services.cli.configuring.changing import check, names_of, put_back, save, texts_of

ROOT = Path(__file__).parents[2]
TOKEN = "s3cret-token"
MAIN = f"""{{
    "thingsboard": {{"host": "127.0.0.1", "security": {{"accessToken": "{TOKEN}"}}}},
    "connectors": [{{"name": "S", "type": "serial", "configuration": "serial.json"}}]
}}
"""
SERIAL = '{"name": "S",  "devices": [\n  {"name": "press", "port": "/dev/null", "telemetry": [{"key": "n"}]}\n]}\n'


class Folder:
    """A configuration and a data directory."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config"
        self.data_dir = folder / "data"
        self.config.mkdir()
        self.data_dir.mkdir(0o700)
        self.main, self.serial = self.config / "tb_gateway.json", self.config / "serial.json"
        self.main.write_text(MAIN)
        self.serial.write_text(SERIAL)

    def command(self, *words: str) -> list[str]:
        places = ["--config", str(self.main), "--data-dir", str(self.data_dir)]
        return [sys.executable, "-m", "services.cli", "config", *words, *places]

    def run(self, *words: str, code: int = 0, draft: Any = None) -> str:
        """What the command prints."""
        given = json.dumps(draft)
        command = self.command(*words)
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return done.stdout if code in (0, 78) else done.stderr

    def shown(self) -> dict[str, Any]:
        return dict(json.loads(self.run("files", "--json")))

    def record(self, by: str) -> int:
        return record(self.data_dir, by, ["~ press: 1 data point"], read_contents([str(self.main), str(self.serial)]))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_what_is_shown_can_be_saved_as_it_is(folder: Folder) -> None:
    """No byte changes, and the secret stays; one that is changed is written, and no other byte of the file."""
    shown = folder.shown()
    texts = {file["name"]: file["text"] for file in shown["files"]}
    assert list(texts) == ["tb_gateway.json", "serial.json"]
    assert json.loads(folder.run("save", draft={"files": texts, "tag": shown["tag"]}))["saved"]
    assert (folder.main.read_text(), folder.serial.read_text()) == (MAIN, SERIAL)
    folder.main.chmod(0o640)
    texts["tb_gateway.json"] = texts["tb_gateway.json"].replace('"127.0.0.1"', '"::1"')
    folder.run("save", draft={"files": texts, "tag": shown["tag"]})
    assert folder.main.read_text() == MAIN.replace('"127.0.0.1"', '"::1"')
    assert folder.main.stat().st_mode & 0o777 == 0o640


def test_what_somebody_else_has_changed_is_not_overwritten(folder: Folder) -> None:
    """In whichever of the files; the sentence says what to do."""
    shown = folder.shown()
    folder.main.write_text(MAIN + "\n")
    told = folder.run("save", draft={"files": {"serial.json": SERIAL + " "}, "tag": shown["tag"]}, code=EXIT_CHANGED)
    assert "somebody has changed the files" in told
    assert folder.serial.read_text() == SERIAL


def test_what_can_not_be_used_is_not_written(folder: Folder) -> None:
    """Each problem has its file and its line; JSON that is none, too; and no file outside is written."""
    tag = folder.shown()["tag"]
    for wrong, line in ((SERIAL.replace('"/dev/null"', "5"), 2), (SERIAL[:-3], 3)):
        found = json.loads(folder.run("save", draft={"files": {"serial.json": wrong}, "tag": tag}, code=78))
        assert (found["saved"], found["ok"]) == (False, False)
        assert (found["problems"][0]["file"], found["problems"][0]["line"]) == ("serial.json", line)
    for name in ("../serial.json", "/etc/x.json", "run.py"):
        assert "are edited from here" in folder.run("save", draft={"files": {name: "{}"}, "tag": tag}, code=1)
    assert folder.serial.read_text() == SERIAL
    assert sorted(os.listdir(folder.config)) == ["serial.json", "tb_gateway.json"]


def test_a_new_file_comes_with_the_one_that_names_it(folder: Folder) -> None:
    """In one go, since neither can be used without the other."""
    main = json.loads(MAIN)
    main["connectors"].append({"name": "T", "type": "serial", "configuration": "more.json"})
    other = json.dumps({"name": "T", "devices": [{"name": "b", "port": "/dev/zero", "telemetry": [{"key": "n"}]}]})
    files = {"tb_gateway.json": json.dumps(main), "more.json": other}
    folder.run("save", draft={"files": files, "tag": folder.shown()["tag"]})
    assert (folder.config / "more.json").read_text() == other
    assert [file["name"] for file in folder.shown()["files"]][-1] == "more.json"


def test_only_files_of_the_configuration_are_written(folder: Folder) -> None:
    """Not what a gateway starts from, where its data lies below the configuration; and no file that lies beside it and
    that nobody has seen here, also where the main file is to name it from now on."""
    folder.data_dir = folder.config / "data"
    folder.data_dir.mkdir(0o700)
    own, other = folder.data_dir / "active.json", folder.config / "notes.json"
    own.write_text("{}")
    other.write_text("[1]")
    tag = folder.shown()["tag"]
    main = json.loads(MAIN)
    main["connectors"].append({"name": "T", "type": "serial", "configuration": "notes.json"})
    text = json.dumps({"name": "T", "devices": [{"name": "b", "port": "/dev/zero", "telemetry": [{"key": "n"}]}]})
    for files, said in (
        ({"data/active.json": text}, "nothing is edited there"),
        ({"notes.json": text}, "does not name, expected one of tb_gateway.json, serial.json"),
        ({"tb_gateway.json": json.dumps(main), "notes.json": text}, "is there, and was not a part"),
    ):
        assert said in folder.run("save", draft={"files": files, "tag": tag}, code=1)
    assert (own.read_text(), other.read_text(), folder.main.read_text()) == ("{}", "[1]", MAIN)


def test_a_file_that_is_named_no_more_is_what_it_was_where_the_way_back_fails(folder: Folder) -> None:
    """Somebody has it beside the others still, and has edited it: nothing of that is lost, and its secret counts."""
    main = MAIN.replace("}]", '}, {"name": "T", "type": "serial", "configuration": "more.json"}]')
    more, point = folder.config / "more.json", {"key": "n"}
    other = {"name": "T", "devices": [{"name": "b", "port": "/dev/zero", "telemetry": [point], "token": "s3cret-more"}]}
    folder.main.write_text(main)
    more.write_text(json.dumps(other))
    number = record(folder.data_dir, "start", [], read_contents(map(str, (folder.main, folder.serial, more))))
    folder.main.write_text(MAIN)
    more.write_text(json.dumps(other | {"edited": True}))
    entry = read_entry(folder.data_dir, number)
    assert entry is not None
    place = place_of(folder.main, folder.data_dir, blanking_key(folder.data_dir))
    place = place.with_files(names_of(place, entry))
    checked, contents = check(place, texts_of(place, entry))
    assert (checked.ok, list(contents)) == (True, ["tb_gateway.json", "more.json"])
    before = {name: place.contents.get(name) for name in contents}
    save(place, contents, place.tag)
    assert "s3cret-more" in more.read_text()
    assert "edited" not in more.read_text()
    put_back(place, contents, before)
    assert folder.main.read_text() == MAIN
    assert json.loads(more.read_text())["edited"]


def test_the_way_back(folder: Folder) -> None:
    """What changed since is shown; the files are what they were, but for the secret, which has changed since."""
    folder.record("start")
    folder.serial.write_text(SERIAL.replace('"n"', '"m"'))
    folder.main.write_text(MAIN.replace(TOKEN, f"{TOKEN}-2"))
    folder.record("page")
    history = folder.run("history").splitlines()
    assert [line.split()[0] for line in history] == ["2", "1"]
    assert history[0].endswith("page: ~ press: 1 data point")
    assert '-  {"name": "press", "port": "/dev/null", "telemetry": [{"key": "n"}]}' in folder.run("diff", "1")
    assert folder.run("diff", "2") == "no difference\n"
    assert "+++" in folder.run("diff", "1", "2")
    assert '"key": "m"' in folder.run("show", "2")
    entry = read_entry(folder.data_dir, 2)
    assert entry is not None
    told = folder.run("show", "2", "--json")
    assert not [one for one in entry.hashes.values() if one in told], "a short secret could be guessed by them"
    assert '+  {"name": "press"' in folder.run("back", "1", "--dry-run")
    assert '"m"' in folder.serial.read_text()
    assert "written: tb_gateway.json, serial.json" in folder.run("back", "1")
    assert folder.serial.read_text() == SERIAL
    assert folder.main.read_text() == MAIN.replace(TOKEN, f"{TOKEN}-2")
    assert "there are: 2, 1" in folder.run("back", "7", code=1)
    assert "expected a number" in folder.run("back", code=2)


def test_what_could_not_be_taken_gives_way_to_what_was_there(folder: Folder) -> None:
    """A file that was written anew goes; where somebody has edited it meanwhile, all stay as they are."""
    place = place_of(folder.main, folder.data_dir, blanking_key(folder.data_dir))
    main = MAIN.replace("}]", '}, {"name": "T", "type": "serial", "configuration": "more.json"}]')
    written = {"tb_gateway.json": main.encode(), "more.json": b"{}"}
    save(place, written, place.tag)
    before = {"tb_gateway.json": MAIN.encode(), "more.json": None}
    folder.main.write_text(main + " ")
    put_back(place, written, before)
    assert folder.main.read_text() == main + " "
    folder.main.write_text(main)
    put_back(place, written, before)
    assert folder.main.read_text() == MAIN
    assert not (folder.config / "more.json").exists()


STEPS = ("edited._draft", "pathlib.Path.replace")
KILLED = """
import os, pathlib, sys
from services.cli import edited
owner, _, name = sys.argv.pop(1).rpartition(".")
owner = eval(owner)
whole = getattr(owner, name)
def ended(*args, **options):
    whole(*args, **options)
    if "config" in str(args[0]) or name == "fsync":
        os.kill(os.getpid(), 9)
setattr(owner, name, ended)
from services.cli.command_line import run_command_line
sys.exit(run_command_line(sys.argv[1:]))
"""


@pytest.mark.parametrize("step", STEPS)
def test_a_save_that_is_killed_leaves_whole_files(folder: Folder, step: str) -> None:
    """kill -9 at each of its steps: each file is the old or the new one, and the next save goes on."""
    shown = folder.shown()
    changed = SERIAL.replace('"n"', '"m"')
    draft = json.dumps({"files": {"serial.json": changed}, "tag": shown["tag"]})
    command = [sys.executable, "-c", KILLED, step, *folder.command("save")[3:]]
    done = subprocess.run(command, input=draft, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert folder.serial.read_text() in (SERIAL, changed)
    folder.run("save", draft={"files": {"serial.json": changed}, "tag": folder.shown()["tag"]})
    assert folder.serial.read_text() == changed
