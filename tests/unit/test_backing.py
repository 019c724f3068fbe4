"""Backups: what is in one, what is not believed of one, and what is never replaced by one."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from common.config.active import ACTIVE_NAME, make_active, write_active
from common.config.reading import read_gateway
from common.core.errors import GatewayError
from common.io.journal.files import JournalFile
from common.io.journal.journal import Journal
from common.io.journal.places import file_name
from common.io.locks import FileLock
from common.stream.blocks import Block
from common.stream.events import Append
from services.cli.__main__ import main
from services.cli.backing.archive import FORM, MANIFEST, Manifest, sum_of, unpack_archive, write_archive
from tests.e2e.harness import write_config
from tests.support.waiting import wait_until

Captured = pytest.CaptureFixture[str]
SECRET = "secret-of-the-file"
CLASS = "class Mine:\n    def convert(self, config, data):\n        return data\n"


def make_gateway(folder: Path, **sections: object) -> tuple[Path, Path]:
    """(configuration, data directory) of a gateway that has run, with all that one may have."""
    device = {"name": "press1", "port": "/dev/ttyUSB0", "telemetry": [{"key": "t", "type": "string"}]}
    config = write_config(folder / "etc", 1883, [device], {"security": {"type": "accessToken", "accessToken": SECRET}})
    config.write_text(json.dumps({**json.loads(config.read_text()), **sections}))
    for name, text in (("extensions/serial/mine.py", CLASS), ("profiles/own.json", '{"device": {}}')):
        (folder / "etc" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "etc" / name).write_text(text)
    (folder / "etc" / "extensions" / "serial" / "__pycache__").mkdir()
    (folder / "etc" / "extensions" / "serial" / "__pycache__" / "mine.pyc").write_bytes(b"x")
    (folder / "etc" / "unrelated.txt").write_text("x")
    data = folder / "data"
    for name in ("web/edit.token", "publisher.id", "remote/overlay.json", "run/leftover", "supervisord.log"):
        (data / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data / name).write_text(name)
    data.chmod(0o700)
    write_active(data / ACTIVE_NAME, make_active(read_gateway(config, {}, with_secrets=True).gateway))
    journal = Journal(JournalFile(made_folder(data / "journals") / file_name("press1"), "press1", "j1"))
    journal.put_section("s", b"{}")
    journal.append(Append([Block(1, 5, 0, "s", b"body")], 6, 7, 1, b"", revived=()))
    journal.close()
    return config, data


def made_folder(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


def keep(folder: Path, data: Path, capsys: Captured) -> tuple[Path, str]:
    """(a backup, what was said)."""
    kept = folder / "kept.tar.gz"
    assert main(["backup", str(kept), "--data-dir", str(data)]) == 0
    out, err = capsys.readouterr()
    return kept, out + err


def test_where_the_configuration_goes_has_to_be_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would else be laid wherever somebody happens to be."""
    monkeypatch.chdir(tmp_path)
    assert main(["restore", "kept.tar.gz", "--data-dir", "data"]) == 2
    assert "--dir says where the configuration goes" in capsys.readouterr().err


def test_more_than_is_allowed_does_not_come_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a small file there may come as much as a disk has; what to do where that is meant is said."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "config").mkdir(parents=True)
    (source / "config" / "tb_gateway.json").write_bytes(bytes(5_000_000))
    name = "config/tb_gateway.json"
    manifest = Manifest(at="", host="", main="tb_gateway.json", sums={name: sum_of(source / name)})
    kept = tmp_path / "kept.tar.gz"
    write_archive(kept, manifest, source)
    assert kept.stat().st_size < 100_000
    with pytest.raises(GatewayError, match="--most-gib N allows N GiB"):
        unpack_archive(kept, target, 4_999_999)
    assert unpack_archive(kept, tmp_path / "other", 5_000_000) == manifest
    monkeypatch.setattr("services.cli.backing.archive.MOST_FILES", 0)
    with pytest.raises(GatewayError, match="more than 0 files"):
        unpack_archive(kept, tmp_path / "third")


def restore(kept: Path, folder: Path, *more: str) -> int:
    """The exit code."""
    return main(["restore", str(kept), "--dir", str(folder / "etc"), "--data-dir", str(folder / "data"), *more])


def test_all_that_is_needed_is_kept_and_nothing_else(tmp_path: Path, capsys: Captured) -> None:
    """For the gateway's user alone; what makes a configuration, an identity and a queue, and no log or socket."""
    _, data = make_gateway(tmp_path)
    kept, said = keep(tmp_path, data, capsys)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert SECRET not in said
    assert "1 journal with 5 frames that wait" in said
    with tarfile.open(kept) as archive:
        names = set(archive.getnames())
    journal = f"journals/{file_name('press1')}"
    assert names == {
        MANIFEST,
        "config/tb_gateway.json",
        "config/custom_serial.json",
        "config/extensions/serial/mine.py",
        "config/profiles/own.json",
        "data/publisher.id",
        "data/remote/overlay.json",
        "data/web/edit.token",
        journal,
        f"{journal}.mark",
    }
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_it_comes_back_as_it_was(tmp_path: Path, capsys: Captured) -> None:
    """Byte for byte, for its user alone; a second time it changes nothing but is refused, for the journal is there."""
    config, data = make_gateway(tmp_path)
    kept, _ = keep(tmp_path, data, capsys)
    there = tmp_path / "there"
    assert restore(kept, there) == 0
    assert (there / "etc" / "tb_gateway.json").read_bytes() == config.read_bytes()
    assert (there / "etc" / "extensions" / "serial" / "mine.py").read_text() == CLASS
    assert (there / "data" / "web" / "edit.token").read_text() == "web/edit.token"
    places = [path for path in (there / "data").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o077 for path in places} == {0}
    journal = Journal(JournalFile(there / "data" / "journals" / file_name("press1"), "press1", "other"))
    assert (journal.state.journal, journal.state.next_number, journal.faults) == ("j1", 6, [])
    journal.close()
    assert restore(kept, there, "--anyway") == 1
    assert "what waits in it would be lost" in capsys.readouterr().err


def test_a_configuration_that_is_there_is_replaced_only_when_that_is_said(tmp_path: Path, capsys: Captured) -> None:
    """And then whole."""
    _, data = make_gateway(tmp_path)
    kept, _ = keep(tmp_path, data, capsys)
    there = tmp_path / "there"
    (there / "etc").mkdir(parents=True)
    (there / "etc" / "custom_serial.json").write_text("mine")
    assert restore(kept, there) == 1
    assert "--anyway replaces it" in capsys.readouterr().err
    assert [path.name for path in (there / "etc").iterdir()] == ["custom_serial.json"]
    assert restore(kept, there, "--anyway") == 0
    assert "devices" in (there / "etc" / "custom_serial.json").read_text()


def test_nothing_is_brought_back_under_a_gateway_that_runs(tmp_path: Path, capsys: Captured) -> None:
    """Exit 69, as for all that a running gateway is in the way of."""
    _, data = make_gateway(tmp_path)
    kept, _ = keep(tmp_path, data, capsys)
    there = tmp_path / "there"
    (there / "data").mkdir(parents=True, mode=0o700)
    lock = FileLock(there / "data" / "gateway.lock")
    assert restore(kept, there) == 69
    lock.release()
    assert not (there / "etc").exists()
    assert restore(kept, there, "--list") == 0
    assert not (there / "etc").exists()


def test_a_place_of_journals_that_is_relative_comes_along(tmp_path: Path, capsys: Captured) -> None:
    """The configuration names it relative to itself, and it is found beside the one that was brought back."""
    config, data = make_gateway(tmp_path, storage={"type": "file", "data_folder_path": "./queue"})
    shutil.move(data / "journals", config.parent / "queue")
    kept, said = keep(tmp_path, data, capsys)
    assert "5 frames that wait" in said
    assert restore(kept, tmp_path / "there") == 0
    assert (tmp_path / "there" / "etc" / "queue" / file_name("press1")).is_file()


def test_a_configuration_that_is_broken_is_kept_all_the_same(tmp_path: Path, capsys: Captured) -> None:
    """A backup is wanted most when something is wrong: what ran last says which files there are."""
    config, data = make_gateway(tmp_path)
    config.write_text("{broken")
    kept, _ = keep(tmp_path, data, capsys)
    there = tmp_path / "there"
    assert restore(kept, there) == 0
    assert "can't be used" in capsys.readouterr().err
    assert (there / "etc" / "tb_gateway.json").read_text() == "{broken"
    assert (there / "data" / "journals" / file_name("press1")).is_file()


def test_what_lies_elsewhere_is_named(tmp_path: Path, capsys: Captured) -> None:
    """It is not kept, and whoever brings the rest back has to know."""
    config, data = make_gateway(tmp_path)
    elsewhere = tmp_path / "elsewhere.json"
    shutil.move(config.parent / "custom_serial.json", elsewhere)
    config.write_text(config.read_text().replace("custom_serial.json", str(elsewhere)))
    _, said = keep(tmp_path, data, capsys)
    assert f"{elsewhere} is not below {config.parent}" in said


def test_without_any_gateway_it_is_said_what_is_missing(tmp_path: Path, capsys: Captured) -> None:
    """And nothing is written."""
    assert main(["backup", str(tmp_path / "kept"), "--data-dir", str(tmp_path)]) == 2
    assert "--config FILE names it" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def packed(path: Path, *members: tuple[str, bytes], links: tuple[str, ...] = ()) -> Path:
    """An archive that somebody else has made."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    return path


def manifest(**fields: object) -> tuple[str, bytes]:
    """The first member of one."""
    whole = {"at": "now", "host": "h", "main": "m.json", **fields}
    return MANIFEST, msgspec.json.encode(Manifest(**whole))  # type: ignore[arg-type]


HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: packed(path, manifest(), ("../outside", b"x")), "'../outside'"),
        (lambda path: packed(path, manifest(), ("/config/x", b"x")), "'/config/x'"),
        (lambda path: packed(path, manifest(), ("config/../../x", b"x")), "x"),
        (lambda path: packed(path, manifest(), ("other/x", b"x")), "'other/x'"),
        (lambda path: packed(path, manifest(), (".", b"x")), "'.'"),
        (lambda path: packed(path, manifest(), ("", b"x")), "''"),
        (lambda path: packed(path, manifest(), links=("config/x",)), "'config/x'"),
        (lambda path: packed(path, manifest(), ("config/x", b"x")), "which its list does not have"),
        (lambda path: packed(path, manifest(sums={"config/x": HELLO}), ("config/x", b"other")), "not as it was kept"),
        (lambda path: packed(path, manifest(sums={"config/x": HELLO})), "config/x is missing"),
        (lambda path: packed(path, ("config/x", b"x")), "no list of what is in it"),
        (lambda path: packed(path, (MANIFEST, b"{}")), "no list of what is in it"),
        (lambda path: packed(path, manifest(form=FORM + 1, release="9.9")), "serialgw 9.9 has written it"),
        (lambda path: path.write_bytes(b"no archive at all") and path, "expected a file that"),
        (lambda path: path.write_bytes(b"") or path, "expected a file that"),
    ],
)
def test_what_is_no_backup_of_ours_is_refused(
    make: Callable[[Path], Path], said: str, tmp_path: Path, capsys: Captured
) -> None:
    """Nothing of it is written anywhere; what it wants to say is never a path of the machine."""
    path = make(tmp_path / "given.tar.gz")
    assert restore(path, tmp_path / "there") == 1
    out, err = capsys.readouterr()
    assert said in err
    assert "Traceback" not in out + err
    assert not (tmp_path / "there").exists()
    assert not (tmp_path / "outside").exists()


def test_one_that_was_cut_or_has_flipped_bits_is_refused(tmp_path: Path, capsys: Captured) -> None:
    """Wherever that is, but behind the last file: then all of it is there."""
    _, data = make_gateway(tmp_path)
    kept, _ = keep(tmp_path, data, capsys)
    whole, refused = kept.read_bytes(), 0
    for place in range(1, len(whole) - 8, len(whole) // 23):
        flipped = bytearray(whole)
        flipped[place] ^= 0x10
        for name, content in (("cut", whole[:place]), ("flipped", flipped)):
            (tmp_path / name).write_bytes(content)
            target = made_folder(tmp_path / f"{name}{place}")
            try:
                found = unpack_archive(tmp_path / name, target)
            except (GatewayError, OSError):
                refused += 1
                continue
            assert all(sum_of(target / one) == wanted for one, wanted in found.sums.items())
    assert refused > 30


def test_a_member_that_is_longer_than_the_disk_is_no_reason_to_lose_what_is_there(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up while files are put in their places leaves those that were there."""
    _, data = make_gateway(tmp_path)
    kept, _ = keep(tmp_path, data, capsys)
    there = tmp_path / "there"
    (there / "etc").mkdir(parents=True)
    (there / "etc" / "custom_serial.json").write_text("mine")
    copy = shutil.copyfile

    def full(source: Path, target: Path) -> None:
        if ".journal" in target.name:
            raise OSError(28, os.strerror(28), str(target))
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    assert restore(kept, there, "--anyway") == 1
    assert "make room" in capsys.readouterr().err
    assert (there / "etc" / "custom_serial.json").read_text() == "mine"
    assert [path for path in there.rglob("*") if path.name.endswith(".new")] == []


@pytest.mark.parametrize(
    "name",
    ["journals/authorized_keys", "journals/a/b.journal", "data/active.json", "data/run/x", "data/../x", "config"],
)
def test_only_what_a_backup_keeps_is_brought_back(tmp_path: Path, name: str) -> None:
    """Where journals go is said in the same file: whoever has written it could else name any folder, and any file."""
    content = b"x"
    sums = {name: hashlib.sha256(content).hexdigest()}
    crafted = tmp_path / "crafted.tar"
    with tarfile.open(crafted, "w") as archive:
        manifest = msgspec.json.encode(Manifest(at="", host="", main="tb_gateway.json", sums=sums))
        for member, body in ((MANIFEST, manifest), (name, content)):
            info = tarfile.TarInfo(member)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(GatewayError, match="found"):
        unpack_archive(crafted, tmp_path / "unpacked")


@pytest.mark.parametrize("main_name", ["../../etc/passwd", "/etc/passwd", "", ".."])
def test_the_main_file_is_one_of_the_configuration(tmp_path: Path, main_name: str) -> None:
    """It is read to find the journals' place."""
    crafted = tmp_path / "crafted.tar"
    with tarfile.open(crafted, "w") as archive:
        body = msgspec.json.encode(Manifest(at="", host="", main=main_name))
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(body)
        archive.addfile(info, io.BytesIO(body))
    with pytest.raises(GatewayError, match="main file"):
        unpack_archive(crafted, tmp_path)


def test_a_damaged_file_of_another_packer_is_a_sentence(tmp_path: Path) -> None:
    """Not a traceback."""
    damaged = tmp_path / "damaged.tar.xz"
    content = bytearray(lzma.compress(os.urandom(200_000)))
    content[1000:1100] = bytes(100)
    damaged.write_bytes(content)
    with pytest.raises(GatewayError, match="expected"):
        unpack_archive(damaged, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_backup_that_is_ended_leaves_no_secrets_behind(tmp_path: Path, number: signal.Signals) -> None:
    """The folder in which it is put together is taken away."""
    config, data = make_gateway(tmp_path)
    with (config.parent / "profiles" / "large.bin").open("wb") as large:
        large.truncate(500_000_000)  # Sparse: it takes its time, and no room.
    place = tmp_path / "backups"
    place.mkdir()
    command = [sys.executable, "-m", "services.cli", "backup", str(place / "kept.tar.gz"), "--data-dir", str(data)]
    backup = subprocess.Popen(command, stderr=subprocess.PIPE)
    wait_until(lambda: [*place.glob(".*/config/tb_gateway.json")], "it is at work")
    backup.send_signal(number)
    _, said = backup.communicate(timeout=30)
    assert (backup.returncode, said) == (128 + number, b"")
    assert os.listdir(place) == []
