"""Whether the files differ from what runs is known without reading them each second."""

from __future__ import annotations

from pathlib import Path

from common.config.taken import hashes_of, write_refused, write_taken
from services.monitor.shell.web.pending import LOOK_S, RECORD_S, Pending


def test_an_edited_file_is_noticed_in_time(tmp_path: Path) -> None:
    """Within LOOK_S; what was applied meanwhile at once, and a file that was put back, too."""
    file = tmp_path / "a.json"
    file.write_text("{}")
    pending = Pending(tmp_path)
    assert pending.look(0.0)[1] is False, "nothing is known yet"
    write_taken(tmp_path, hashes_of([str(file)]), 3)
    now_s = RECORD_S
    taken, is_pending = pending.look(now_s)
    assert (taken.changes, is_pending) == (3, False)
    file.write_text("{ }")
    assert pending.look(now_s + LOOK_S - 0.1)[1] is False
    assert pending.look(now_s + LOOK_S)[1] is True
    write_taken(tmp_path, hashes_of([str(file)]))
    assert pending.look(now_s + LOOK_S + RECORD_S)[1] is False
    file.write_text("{  }")
    pending.hurry()
    assert pending.look(now_s + LOOK_S + RECORD_S)[1] is True
    write_refused(tmp_path, "why")
    taken, is_pending = pending.look(now_s + LOOK_S + 2 * RECORD_S)
    assert (taken.reason, is_pending) == ("why", True)
    file.unlink()
    pending.hurry()
    assert pending.look(1000.0)[1] is True
