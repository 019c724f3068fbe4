"""Journals with random contents and random damage, at rest and while they are open: what can be read arrives as it was
written, what can't is told by number, and nothing else."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from common.stream.events import KeepJournal
from common.stream.limits import Limits
from tests.fuzz.memory import MIB, resident_bytes
from tests.support.journals import (
    DAMAGES,
    NARROW,
    PAGE_SIZES,
    WIDE,
    Account,
    account_for,
    append_commits,
    frame_of,
    journal_path,
    made_with_pages,
    restore,
    snapshot,
    write_journal,
)
from tests.support.port_reader_rig import Rig

GROWTH: Final = 96 * MIB
DEVICE: Final = "press0"
HURT: Final = ("", "", "-wal", "-wal", ".mark")


def fuzz(seconds: float, seed: int) -> str:
    """Damages journals for so long; what was done."""
    draw = random.Random(seed)
    done: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        other = write_journal(journal_path(Path(folder), "press1"), "press1", 50, draw)
        others = snapshot(other.path)
        other.close()
        path, before = journal_path(Path(folder), DEVICE), 0
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s or not done:
            restore(path, {})
            _one(path, others, draw, done)
            before = before or resident_bytes()
        assert resident_bytes() < before + GROWTH, "memory grows with each damaged journal"
    facts = ", ".join(f"{count} {name}" for name, count in sorted(done.items()))
    return f"{facts}: nothing wrong was sent, nothing vanished"


def _one(path: Path, others: dict[str, bytes], draw: random.Random, done: Counter[str]) -> None:
    """One journal, hurt in one to three places."""
    with made_with_pages(draw.choice(PAGE_SIZES)):
        journal = write_journal(path, DEVICE, draw.randrange(1, 120), draw)
    older = snapshot(path)
    if draw.random() < 0.4:
        journal.checkpoint()
    append_commits(journal, DEVICE, draw.randrange(0, 120), draw)
    assert journal.marked is not None
    end = journal.marked.next_number
    settled = draw.choice([1, 1, draw.randrange(1, end + 1)])
    journal.trim(settled, [])
    if draw.random() < 0.3:
        journal.close()
        files = snapshot(path)
    else:
        files = snapshot(path)
        journal.close()
    hurt = {draw.choice(HURT) for _ in range(draw.choice([1, 1, 1, 2, 3]))}
    restore(path, files)
    if draw.random() < 0.3:
        account = account_for(
            path, DEVICE, limits=NARROW, between=lambda rig: _hurt_open(rig, path, hurt, older, others, draw)
        )
        done["open"] += 1
    else:
        for ending in sorted(hurt):
            _hurt(path, ending, older, others, draw)
        account = account_for(path, DEVICE, limits=draw.choice([WIDE, NARROW, Limits(window_frames=16)]))
        done["at rest"] += 1
    done["lost something"] += bool(account.told)
    _check(account, settled, end, is_whole=".mark" not in hurt or hurt == {".mark"})


def _hurt(path: Path, ending: str, older: dict[str, bytes], others: dict[str, bytes], draw: random.Random) -> None:
    """Damages one file, or puts another in its place."""
    part = Path(f"{path}{ending}")
    if not part.exists():
        return
    if draw.random() < 0.25:
        data = draw.choice([older, others]).get(ending)
    else:
        data = DAMAGES[draw.choice(sorted(DAMAGES))](part.read_bytes(), draw)
    if data is None or draw.random() < 0.5:
        part.unlink()
    if data is not None:
        with part.open("r+b" if part.exists() else "wb") as file:
            file.write(data)
            file.truncate()


def _hurt_open(
    rig: Rig,
    path: Path,
    hurt: set[str],
    older: dict[str, bytes],
    others: dict[str, bytes],
    draw: random.Random,
) -> None:
    for ending in sorted(hurt):
        _hurt(path, ending, older, others, draw)
    if draw.random() < 0.7:
        rig.give_disk(KeepJournal(draw.random() < 0.5))


def _check(account: Account, settled: int, end: int, *, is_whole: bool) -> None:
    """`is_whole`: either the journal or its mark is as it was, so that nothing may vanish."""
    for number, frame in account.arrived.items():
        assert frame.startswith(frame_of(DEVICE, number)), f"{number} came as {frame!r}"
    assert not account.arrived.keys() & account.dead, "a number came twice, with other content"
    if is_whole:
        vanished = set(range(settled, end)) - account.arrived.keys() - account.told
        assert not vanished, f"neither came nor told: {sorted(vanished)[:9]}"
        assert account.next_number >= end, f"{account.next_number} is given out again, it had come to {end}"
