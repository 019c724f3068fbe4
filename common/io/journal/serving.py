"""How every process that journals opens its journal, and how large that may become."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from common.config.models import Storage
from common.core.events import Note
from common.io.clock import monotonic_s
from common.io.exits import EXIT_CONFIG, EXIT_UNAVAILABLE
from common.io.journal.breath import Breathe
from common.io.journal.files import JournalError, JournalFile
from common.io.journal.opening import OpenedJournal, open_journal
from common.io.journal.places import bytes_used, left_journals
from common.io.journal.seals import JournalNewerError
from common.io.logs import log_note
from common.io.process import Refusal
from common.io.pulse import Pulse
from common.stream.limits import MAX_BYTES, Limits

ALL_JOURNALS_BYTES: Final = 4 * 1024**3
"""All journals of a folder together take so much where nothing else is configured."""
LEAST_BYTES: Final = 1024 * 1024
"""A journal may take this much, however small the disk."""


def journal_limits(uplink_queue_size: int, storage: Storage, journals: int, room_bytes: int) -> Limits:
    """The journal's bounds, the stricter of what is configured and of its share: all `journals` of a folder together
    take at most 4 GiB (or what is configured, if more) and a fifth of `room_bytes`, free or theirs already."""
    records = min(uplink_queue_size, storage.max_records or uplink_queue_size)
    together = min(max(ALL_JOURNALS_BYTES, storage.max_bytes or 0), room_bytes // 5)
    share = max(together // max(1, journals), LEAST_BYTES)
    most = min(storage.max_bytes or MAX_BYTES, share)
    return Limits(max_records=records, max_bytes=most, ttl_s=storage.ttl_s)


def show_breath(pulse: Pulse) -> None:
    """Shows that we go on. Called often by work on a large journal."""
    pulse.beat(monotonic_s())


def open_stream(file: JournalFile, breathe: Breathe) -> OpenedJournal:
    """The journal, salvaged where it was damaged. Raises Refusal; OSError where the disk does not let us."""
    try:
        return open_journal(file, time.strftime("%Y%m%dT%H%M%S"), breathe)
    except JournalNewerError as error:
        raise Refusal(EXIT_CONFIG, str(error)) from None
    except JournalError as error:
        raise Refusal(EXIT_UNAVAILABLE, str(error)) from None


def tell_opening(opening: OpenedJournal, logger: logging.Logger) -> None:
    """What was wrong with the journal; the core tells which numbers it cost."""
    journal = opening.journal
    if opening.damage:
        from common.io.journal.asides import damaged_note

        log_note(logger, damaged_note(journal.path, opening.aside, opening.damage))
    for fault in journal.faults:
        log_note(logger, Note("warning", "journal.faulty", {"device": journal.device, "reason": fault}))


def limits_of(folder: Path, streams: Sequence[str], uplink_queue_size: int, storage: Storage) -> Limits:
    """The bounds of a journal in this folder at this start; `streams`: all that are configured. What journals take
    already counts as room: a full one is no reason to give it less than an empty one."""
    journals = len(streams) + len(left_journals(folder, streams))
    return journal_limits(uplink_queue_size, storage, journals, _free_bytes(folder) + bytes_used(folder))


def _free_bytes(folder: Path) -> int:
    """What a user without privileges may still write on the folder's disk."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
