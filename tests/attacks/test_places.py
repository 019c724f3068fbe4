"""Nothing that we believe lies where another user of the machine could have put it (attacks.md 1, 8, 9, 21)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.config.file_modes import file_warnings
from common.config.models import Storage
from common.config.reading import read_gateway
from common.core.errors import ConversionError, LinkError
from common.core.hashes import short_hash
from common.io.endpoints import socket_dir
from common.io.journal.places import MEMORY_NOTE, journal_dir
from common.io.locks import FileLock
from common.io.private import is_private, make_private
from services.converter.shell.extensions import find_class
from services.publisher.__main__ import own_client_id
from tests.attacks.stranger import NOBODY, as_stranger, needs_root, shared_folder, tree
from tests.e2e.harness import ROOT
from tests.support.waiting import wait_until

ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT)}
CONFIG = '{"name": "x", "devices": [{"name": "a", "port": "/dev/ttyNOSUCH"}]}'
LONG = "x" * 200


@pytest.fixture
def like_tmp() -> Iterator[Path]:
    with shared_folder(0o1777) as folder:
        yield folder


def serialgw(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        capture_output=True,
        text=True,
        env=ENVIRON,
        timeout=60,
        check=False,
    )


@needs_root
@pytest.mark.parametrize(
    "trap",
    [
        pytest.param('mkdir -m 777 "$1"', id="folder"),
        pytest.param('mkdir -m 700 "$1"', id="closed folder"),
        pytest.param('mkdir -m 755 "$1.d" && ln -s "$1.d" "$1"', id="link to a folder of theirs"),
        pytest.param('ln -s /etc "$1"', id="link to a folder of ours"),
        pytest.param('ln -s /nowhere/at/all "$1"', id="link to nothing"),
    ],
)
def test_a_folder_that_somebody_else_made_first_is_refused(trap: str, like_tmp: Path) -> None:
    """As data directory, as anything below it, with a path too long for sockets: a sentence, and nothing written."""
    for data_dir in (like_tmp / "data", like_tmp / LONG):
        assert as_stranger(trap, data_dir).returncode == 0
        before, etc = tree(like_tmp), set(os.listdir("/etc"))
        for wanted in (data_dir, data_dir / "below" / "it"):
            with pytest.raises(LinkError, match=f"user id {NOBODY}"):
                make_private(wanted)
            with pytest.raises(LinkError, match=f"user id {NOBODY}"):
                socket_dir(wanted)
            assert not is_private(wanted)
        assert tree(like_tmp) == before
        assert set(os.listdir("/etc")) == etc


@needs_root
def test_the_gateway_says_so_and_ends(like_tmp: Path) -> None:
    """`run`, and each process by hand: exit 69 and one sentence that names the folder and its owner."""
    config = like_tmp / "c.json"
    config.write_text(CONFIG)
    data_dir = like_tmp / "data"
    assert as_stranger('mkdir -m 777 "$1"', data_dir).returncode == 0
    runs = [["services.cli", "run"]]
    runs += [[f"services.{name}"] for name in ("broker", "monitor", "publisher", "converter")]
    runs.append(["services.port_reader", "--device", "a"])
    for command in runs:
        done = subprocess.run(
            [sys.executable, "-m", *command, "--config", str(config), "--data-dir", str(data_dir)],
            capture_output=True,
            text=True,
            env=ENVIRON,
            timeout=60,
            check=False,
        )
        assert done.returncode == 69, command
        assert f"{data_dir} " in done.stderr
        assert f"belongs to user id {NOBODY}" in done.stderr
        assert "Traceback" not in done.stderr
    assert list(data_dir.iterdir()) == []


@needs_root
def test_a_folder_on_the_way_that_others_can_exchange_is_refused(like_tmp: Path) -> None:
    """Where anybody may write without the sticky bit, or in a stranger's folder, ours could be replaced at any time."""
    (like_tmp / "open").mkdir()
    (like_tmp / "open").chmod(0o777)
    with pytest.raises(LinkError, match="anybody may write in"):
        make_private(like_tmp / "open" / "data")
    assert as_stranger('mkdir -m 755 "$1"', like_tmp / "theirs").returncode == 0
    (like_tmp / "theirs" / "data").mkdir(mode=0o700)
    with pytest.raises(LinkError, match="who could exchange it"):
        make_private(like_tmp / "theirs" / "data")


def test_a_folder_of_ours_in_which_others_may_write_is_refused(tmp_path: Path) -> None:
    """What is in it may be theirs; the sentence says how to go on."""
    for name, mode in (("group", 0o770), ("all", 0o707), ("sticky", 0o1777)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
        with pytest.raises(LinkError, match=f"chmod go-w {tmp_path / name}"):
            make_private(tmp_path / name)
        with pytest.raises(LinkError, match="others may write in it"):
            socket_dir(tmp_path / name)
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o733)
    with pytest.raises(LinkError, match="others may write in it"):
        socket_dir(tmp_path)


def test_links_of_our_own_are_followed(tmp_path: Path) -> None:
    """A data directory on another disk, behind a link that this user has made; one that turns in a circle ends."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to("disk")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    assert socket_dir(tmp_path / "data").resolve() == tmp_path / "disk" / "run"
    with pytest.raises(LinkError, match="more than 40 links"):
        make_private(tmp_path / "round")


@needs_root
def test_shared_memory_is_ours_alone_and_nobody_can_be_first(like_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`storage: memory` goes into a folder with a name that can't be known; whoever makes the former name, or the noted
    one after a reboot, changes nothing but that name."""
    monkeypatch.setattr("common.io.journal.places.SHARED_MEMORY", like_tmp)
    memory, data_dir = Storage(type="memory"), like_tmp / "data"
    first = journal_dir(memory, data_dir)
    assert is_private(first)
    assert first == journal_dir(memory, data_dir), "all processes of a gateway find the same one"
    first.rmdir()
    assert as_stranger('mkdir -m 777 "$1"', first).returncode == 0
    second = journal_dir(memory, data_dir)
    assert second != first
    assert is_private(second)
    (data_dir / MEMORY_NOTE).write_text("../../etc\n")
    third = journal_dir(memory, data_dir)
    assert third.parent == like_tmp
    assert is_private(third)


def test_a_backlog_in_shared_memory_under_the_former_name_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update leaves no journal behind."""
    monkeypatch.setattr("common.io.journal.places.SHARED_MEMORY", tmp_path)
    data_dir = tmp_path / "data"
    former = tmp_path / f"serialgw-{os.getuid()}-{short_hash(os.fsencode(data_dir / 'journals'), 16)}"
    former.mkdir(mode=0o700)
    assert journal_dir(Storage(type="memory"), data_dir) == former


@needs_root
@pytest.mark.parametrize("command", ["status", "watch", "rpc a b", "dead-letters"])
def test_who_only_looks_makes_nothing(command: str, like_tmp: Path) -> None:
    """root asks after a service of another user that has never run: nothing of root's stands in its way later."""
    home = like_tmp / "service"
    assert as_stranger('mkdir -m 700 "$1"', home).returncode == 0
    for data_dir in (home, home / "not there"):
        before = tree(like_tmp)
        done = serialgw(*command.split(), "--data-dir", str(data_dir))
        assert done.returncode == 69
        assert "no gateway is running" in done.stderr
        assert tree(like_tmp) == before


@needs_root
def test_who_only_looks_follows_nobody(like_tmp: Path) -> None:
    """`run` is a link into a folder of root's: `status` does nothing there, and says so."""
    target = like_tmp / "roots"
    target.mkdir(mode=0o755)
    (target / "frames.01234567").touch()
    assert as_stranger('mkdir -m 777 "$1" && ln -s "$2" "$1/run"', like_tmp / "data", target).returncode == 0
    before = tree(like_tmp)
    done = serialgw("status", "--data-dir", str(like_tmp / "data"))
    assert (done.returncode, "is a link" in done.stderr) == (69, True)
    assert tree(like_tmp) == before


@needs_root
def test_under_any_umask_nobody_else_can_speak_to_a_process(like_tmp: Path) -> None:
    """Started by hand with umask 0: folders and sockets are for their user alone."""
    data_dir = like_tmp / "a" / "data"
    config = like_tmp / "c.json"
    config.write_text(CONFIG)
    broker = subprocess.Popen(
        [sys.executable, "-m", "services.broker", "--config", str(config), "--data-dir", str(data_dir)],
        env=ENVIRON,
        umask=0,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until((data_dir / "run" / "calls").exists, "the broker listens")
        found = tree(like_tmp)
        assert {name for name, (mode, _, _) in found.items() if mode & 0o077} == {"c.json"}
        assert as_stranger('ls "$1"', data_dir / "run").returncode != 0
    finally:
        broker.kill()
        broker.wait(10)


def test_a_lock_follows_no_link(tmp_path: Path) -> None:
    """A lock's file is written to: a link in its place must not lead elsewhere."""
    (tmp_path / "precious").write_text("untouched")
    (tmp_path / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        FileLock(tmp_path / "lock")
    assert (tmp_path / "precious").read_text() == "untouched"


def test_code_that_anybody_may_change_is_never_run(tmp_path: Path) -> None:
    """A converter's file, or its folder, that all may write: `check` refuses it, and so does who would run it."""
    serial = tmp_path / "extensions" / "serial"
    serial.mkdir(parents=True)
    file = serial / "mine.py"
    taking = "    def __init__(self, config, logger):\n        pass\n"
    file.write_text(f"class Mine:\n{taking}    def convert(self, config, data):\n        return {{}}\n")
    device = {"name": "a", "port": "/dev/ttyNOSUCH", "converter": "Mine"}
    (tmp_path / "c.json").write_text(json.dumps({"name": "x", "devices": [device]}))
    assert serialgw("check", str(tmp_path / "c.json")).returncode == 0
    assert find_class("Mine", [str(tmp_path / "extensions")]).__name__ == "Mine"
    for place in (file, serial, serial.parent):
        mode = place.stat().st_mode
        place.chmod(mode | 0o002)
        checked = serialgw("check", str(tmp_path / "c.json"))
        assert (checked.returncode, "other users of this machine may change" in checked.stdout) == (78, True)
        with pytest.raises(ConversionError, match="other users of this machine may change it, so it is not run"):
            find_class("Mine", [str(tmp_path / "extensions")])
        place.chmod(mode)


@needs_root
def test_code_of_another_user_is_run_only_where_the_configuration_is_theirs(tmp_path: Path) -> None:
    """Whoever may write the configuration says what is run; an extension file of anybody else, or of their group, is
    refused."""
    serial = tmp_path / "extensions" / "serial"
    serial.mkdir(parents=True)
    file = serial / "mine.py"
    file.write_text("class Mine:\n    def convert(self, config, data):\n        return {}\n")
    folders = [str(tmp_path / "extensions")]
    assert find_class("Mine", folders).__name__ == "Mine"
    for place in (file, serial, serial.parent):
        os.chown(place, NOBODY, 0)
        with pytest.raises(ConversionError, match="other users of this machine may change it"):
            find_class("Mine", folders)
        os.chown(place, 0, NOBODY)
        assert find_class("Mine", folders).__name__ == "Mine"
        mode = place.stat().st_mode
        place.chmod(mode | 0o020)
        with pytest.raises(ConversionError, match="other users of this machine may change it"):
            find_class("Mine", folders)
        place.chmod(mode)
        os.chown(place, 0, 0)
    for place in (tmp_path, file, serial, serial.parent):
        os.chown(place, NOBODY, NOBODY)
    assert find_class("Mine", folders).__name__ == "Mine"


def test_a_folder_in_shared_memory_that_can_not_be_noted_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: each start would leave another one behind. Where the name is noted already, nothing has to be
    written, and the journals are there."""
    monkeypatch.setattr("common.io.journal.places.SHARED_MEMORY", tmp_path)
    memory, data_dir = Storage(type="memory"), tmp_path / "data"
    first = journal_dir(memory, data_dir)
    first.rmdir()

    def is_full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", is_full)
        assert journal_dir(memory, data_dir) == first, "after a reboot"
        (data_dir / MEMORY_NOTE).unlink()
        first.rmdir()
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                journal_dir(memory, data_dir)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_files_that_others_may_read_or_change_get_a_word(tmp_path: Path) -> None:
    """A token that all may read, a configuration that all may change; nothing where all is well."""
    main, connector, token = tmp_path / "tb_gateway.json", tmp_path / "c.json", tmp_path / "token"
    entry = {"name": "s", "type": "serial", "configuration": "c.json"}
    security = {"accessToken": "hidden"}
    main.write_text(json.dumps({"thingsboard": {"security": security}, "connectors": [entry]}))
    connector.write_text(CONFIG)
    token.write_text("hidden too")
    for path, mode in ((main, 0o600), (connector, 0o644), (token, 0o600)):
        path.chmod(mode)
    environ = {"TB_GW_PASSWORD_FILE": str(token)}
    gateway = read_gateway(main, {}).gateway
    assert file_warnings(gateway, environ) == []
    for path, mode in ((main, 0o646), (connector, 0o666), (token, 0o604)):
        path.chmod(mode)
    may_change = "any user of this machine may change it, and with it what the gateway runs: chmod o-w"
    may_read = "it holds a secret, and any user of this machine may read it: chmod o-rwx"
    assert file_warnings(gateway, environ) == [
        f"{main}: {may_change}",
        f"{connector}: {may_change}",
        f"{token}: {may_read}",
        f"{main}: {may_read}",
    ]
    assert f"warning: {main}: {may_read}" in serialgw("check", str(main)).stdout


def test_a_ca_file_that_is_none_is_found_by_check(tmp_path: Path) -> None:
    """Not only by the publisher, when all else runs already."""
    (tmp_path / "ca.pem").write_text("no certificate")
    entry = {"name": "s", "type": "serial", "configuration": "c.json"}
    main = {"thingsboard": {"security": {"caCert": "ca.pem"}}, "connectors": [entry]}
    (tmp_path / "tb_gateway.json").write_text(json.dumps(main))
    (tmp_path / "c.json").write_text(CONFIG)
    done = serialgw("check", str(tmp_path / "tb_gateway.json"))
    assert done.returncode == 78
    assert f"error: thingsboard.security.caCert: {tmp_path}/ca.pem can't be used" in done.stdout


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a b\n", b"x" * 200, b"\x1b[31m"])
def test_a_damaged_client_id_is_made_anew(content: bytes, tmp_path: Path) -> None:
    """What stands in a file of ours is looked at before it is believed; it is kept from then on."""
    (tmp_path / "publisher.id").write_bytes(content)
    made = own_client_id(tmp_path / "publisher.id")
    assert made.startswith("serialgw-")
    assert own_client_id(tmp_path / "publisher.id") == made


def test_a_gateway_runs_below_a_path_that_is_too_long_for_sockets(tmp_path: Path) -> None:
    """supervisord's socket and everyone's; `status` and `supervisorctl` reach it, and nothing of it is elsewhere."""
    (tmp_path / "c.json").write_text(CONFIG)
    data_dir = tmp_path / LONG
    outside = set(Path("/tmp").glob("serialgw-*"))
    command = [sys.executable, "-m", "services.cli", "run", "--config", "c.json", "--data-dir", str(data_dir)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, env=ENVIRON, cwd=tmp_path)
    try:

        def processes() -> list[dict[str, object]]:
            said = serialgw("status", "--json", "--data-dir", str(data_dir)).stdout
            return [one for one in json.loads(said)["processes"] if one["state"] == "alive"] if said else []

        wait_until(lambda: len(processes()) >= 5, "five processes alive", 40, 0.3)
        control = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(data_dir / "supervisord.conf"), "status"]
        shown = subprocess.run(control, capture_output=True, text=True, check=False, timeout=30).stdout
        assert shown.count("RUNNING") >= 5
        assert set(Path("/tmp").glob("serialgw-*")) == outside
    finally:
        process.terminate()
        assert process.wait(30) == 0
