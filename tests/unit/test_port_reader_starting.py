"""Tasks of processes that are started by hand, and what a start asks for."""

from __future__ import annotations

import os
import time

import pytest

from common.io.arguments import service_parser
from common.io.starting import OLD_S, keep_task


def test_old_tasks_of_a_journal_go_and_all_others_stay(tmp_path):
    """Each edit of the configuration makes one; another journal's, and one that somebody may be about to read, stay.

    That is so for port readers and connector hosts alike.
    """
    names = ("press.journal.00000001", "press.journal.00000002", "other.journal.00000001")
    for name in names:
        (tmp_path / name).write_text("{}")
    for name in (names[0], names[2]):
        os.utime(tmp_path / name, (time.time() - OLD_S - 10,) * 2)
    kept = keep_task(tmp_path, "press.journal", b"{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names[1:], kept.name])


def test_only_who_needs_a_configuration_asks_for_one(capsys):
    """The broker reads none; any other service ends with 2 without it."""
    assert service_parser("broker", "…", needs_config=False).parse_args([]).config is None
    with pytest.raises(SystemExit) as stop:
        service_parser("converter", "…").parse_args([])
    assert stop.value.code == 2
    assert "--config" in capsys.readouterr().err
