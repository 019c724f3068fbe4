"""What is remembered of the files that were taken, and who may change what runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.config.taken import TAKEN_NAME, Taken, hashes_of, read_taken, write_refused, write_taken
from common.core.errors import LinkError
from services.cli.supervise.reloading import become_owner, hold_lock

ROOT = Path(__file__).parents[2]


def test_an_edited_file_is_seen(tmp_path: Path) -> None:
    """Edited, put back as it was, and gone; a file that was not there is one that is, when it comes."""
    file, missing = tmp_path / "a.json", tmp_path / "b.json"
    file.write_text("{}")
    write_taken(tmp_path, hashes_of([str(file), str(missing)]))
    assert not read_taken(tmp_path).is_pending
    file.write_text("{ }")
    assert read_taken(tmp_path).is_pending
    file.write_text("{}")
    assert not read_taken(tmp_path).is_pending
    missing.touch()
    assert read_taken(tmp_path).is_pending
    missing.unlink()
    file.unlink()
    assert read_taken(tmp_path).is_pending


def test_a_refusal_keeps_what_was_taken(tmp_path: Path) -> None:
    """When, and which files; the next success forgets the reason. The file is its user's alone."""
    file = tmp_path / "a.json"
    file.write_text("{}")
    write_taken(tmp_path, hashes_of([str(file)]))
    first = read_taken(tmp_path)
    write_refused(tmp_path, "why")
    refused = read_taken(tmp_path)
    assert (refused.successful, refused.reason, refused.success_ms) == (False, "why", first.success_ms)
    assert refused.files == first.files
    write_taken(tmp_path, hashes_of([str(file)]))
    assert (read_taken(tmp_path).successful, read_taken(tmp_path).reason) == (True, "")
    assert (tmp_path / TAKEN_NAME).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"files": 5}', b"\xff"])
def test_a_record_that_can_not_be_read_is_none(content: bytes, tmp_path: Path) -> None:
    """And nobody fails for it."""
    (tmp_path / TAKEN_NAME).write_bytes(content)
    assert read_taken(tmp_path) == Taken()
    assert not read_taken(tmp_path).is_pending


def test_one_change_at_a_time(tmp_path: Path) -> None:
    """A second one waits, and says so when that takes too long."""
    lock = hold_lock(tmp_path)
    with pytest.raises(LinkError, match="another change is being applied"):
        hold_lock(tmp_path, 0.1)
    lock.release()
    hold_lock(tmp_path, 0.1).release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_becomes_the_user_whose_gateway_it_is(tmp_path: Path) -> None:
    """What root would write, the gateway's processes could not read."""
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, 65_534, 65_534)
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom services.cli.supervise.reloading import become_owner\n"
        f"become_owner(Path({str(folder)!r}))\nsys.stdout.write(f'{{os.geteuid()}} {{os.getegid()}}')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "65534 65534"


def test_a_folder_that_is_not_there_is_no_gateway(tmp_path: Path) -> None:
    """In the words of all commands."""
    with pytest.raises(LinkError, match="no gateway is running"):
        become_owner(tmp_path / "none")
