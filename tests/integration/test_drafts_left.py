"""Drafts of a configuration that was checked: they may hold secrets, and nobody is to find them later."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from services.cli.edited import LEFT_S, as_it_would_be


def test_what_a_killed_check_has_left_goes_with_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for drafts that are new, which may be somebody's at this moment."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    config = tmp_path / "config" / "tb_gateway.json"
    config.parent.mkdir()
    config.write_text("{}")
    old, new = (tmp_path / "tmp" / f"serialgw-edit-{name}" for name in ("old", "new"))
    for left in (old, new):
        left.mkdir(parents=True)
        (left / "tb_gateway.json").write_text('{"accessToken": "secret"}')
        (left / "connector.json").symlink_to(config)
    past_s = time.time() - LEFT_S - 1
    os.utime(old, (past_s, past_s))
    with as_it_would_be(config, {"tb_gateway.json": b"{ }"}) as main:
        assert main.read_bytes() == b"{ }"
    assert sorted(path.name for path in (tmp_path / "tmp").iterdir()) == [new.name]
    assert config.read_text() == "{}"
