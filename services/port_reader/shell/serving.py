"""A port reader at work: its journal, its lock, its core and shell in the loop.

The journal comes first. It is opened under its lock, mended where it was damaged, and says what its predecessor left:
without it nothing is read, because what is read could not be kept. A reader without a port (a device that is no longer
configured) serves what waits in its journal, and ends when that is settled.
"""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from common.config.models import Device, Storage, device_of, section_of
from common.config.task import Task
from common.core.counters import new_counts
from common.core.events import Note
from common.io.bounded import BoundedSearch
from common.io.clock import monotonic_s, wall_ms
from common.io.endpoints import Endpoints, socket_dir
from common.io.exits import EXIT_CONFIG, EXIT_UNAVAILABLE
from common.io.journal.breath import Breathe
from common.io.journal.files import JournalError, JournalFile
from common.io.journal.journal import Journal
from common.io.journal.opening import OpenedJournal, open_journal
from common.io.journal.places import bytes_used, left_journals
from common.io.journal.seals import JournalNewerError
from common.io.journal.sections import section_name
from common.io.locks import FileLock
from common.io.logs import log_note, start_logs
from common.io.private import make_private
from common.io.process import Refusal, begin, draw, make_identity, pulse_in, refusals, run_core
from common.io.pulse import Pulse
from common.io.sources import Sources
from common.stream.counters import SourceCounts
from common.stream.keeping.losses import Losses
from common.stream.limits import MAX_BYTES, Limits
from services.port_reader.core.core import LineMember, PortReaderCore
from services.port_reader.core.events import Event
from services.port_reader.shell.shell import PortReaderShell

KIND: Final = "port_reader"
ALL_JOURNALS_BYTES: Final = 4 * 1024**3
"""All journals of a folder together take so much where nothing else is configured."""
LEAST_BYTES: Final = 1024 * 1024
"""A journal may take this much, however small the disk."""


def journal_limits(device: Device, storage: Storage, journals: int, room_bytes: int) -> Limits:
    """The journal's bounds, the stricter of what is configured and of its share: all `journals` of a folder together
    take at most 4 GiB (or what is configured, if more) and a fifth of `room_bytes`, free or theirs already."""
    records = min(device.uplink_queue_size, storage.max_records or device.uplink_queue_size)
    together = min(max(ALL_JOURNALS_BYTES, storage.max_bytes or 0), room_bytes // 5)
    share = max(together // max(1, journals), LEAST_BYTES)
    most = min(storage.max_bytes or MAX_BYTES, share)
    return Limits(max_records=records, max_bytes=most, ttl_s=storage.ttl_s)


def serve(task: Task) -> int:
    """Serves until the end; returns the exit code. Raises SystemExit where there is nothing to serve, or it can't be
    served now.

    The order is that of what depends on what: the lock, then the pulse, for a large journal takes long to mend, then
    the journal, which knows the device's name where the task does not, then all that is made for that device.
    """
    logger = begin(KIND, task.log_level)
    path = Path(task.journal)
    with refusals():
        make_private(path.parent, close=True)
        lock = FileLock(path.with_name(path.name + ".lock"))
        sockets = socket_dir(Path(task.data_dir))
        endpoints = Endpoints(sockets)
        pulse = pulse_in(sockets, logger)
        # It may be a damaged one, and large: whoever watches us is to see that we go on.
        breathe = partial(_breathe, pulse)
        opening = _open_journal(task, breathe)
        journal = opening.journal
    # Only now is it known whose reader this is.
    logger = start_logs(f"{KIND}:{journal.device}", task.log_level)
    _tell(opening, journal.device, logger)
    with refusals():
        device, section = _section_of(task, opening, logger)
    if (device.rpcs or device.attribute_updates) and not device.has_user_converter:
        import services.port_reader.core.calls  # noqa: F401 (loaded here, not at the first call)
    try:
        sources: Sources[Event] = Sources()
        shell = PortReaderShell(device, [journal], endpoints, sources, logger=logger, breathe=breathe)
        core = PortReaderCore(
            make_identity(KIND, device.name, lock.path),
            [LineMember(device, section_name(section), journal.state)],
            limits=_limits(task, device, task.storage),
            draw=draw,
            gauges=lambda: shell.gauges,
            has_port=task.device is not None,
            # The core knows one clock, and needs the other's time for what it reads.
            wall_offset_ms=wall_ms() - monotonic_s() * 1000,
            ports=len(task.devices),
            search=BoundedSearch(),
        )
        return run_core(core, shell, sources, logger, pulse, ends=(shell.close,))
    finally:
        _leave(task, journal, logger)
        lock.release()


def _breathe(pulse: Pulse) -> None:
    """Shows that we go on. Called often by work on a large journal."""
    pulse.beat(monotonic_s())


def _open_journal(task: Task, breathe: Breathe) -> OpenedJournal:
    """The journal, salvaged where it was damaged. Raises Refusal; OSError where the disk does not let us."""
    try:
        return open_journal(_journal_file(task, task.storage), time.strftime("%Y%m%dT%H%M%S"), breathe)
    except JournalNewerError as error:
        raise Refusal(EXIT_CONFIG, str(error)) from None
    except JournalError as error:
        raise Refusal(EXIT_UNAVAILABLE, str(error)) from None


def _tell(opening: OpenedJournal, device: str, logger: logging.Logger) -> None:
    """What was wrong with the journal; the core tells which numbers it cost."""
    if opening.damage:
        from common.io.journal.asides import damaged_note

        log_note(logger, damaged_note(opening.journal.path, opening.aside, opening.damage))
    for fault in opening.journal.faults:
        log_note(logger, Note("warning", "journal.faulty", {"device": device, "reason": fault}))


def _limits(task: Task, device: Device, storage: Storage) -> Limits:
    """The journal's bounds at this start. What journals take already counts as room: a full one is no reason to give it
    less than an empty one."""
    folder = Path(task.journal).parent
    journals = len(task.devices) + len(left_journals(folder, task.devices))
    limits = journal_limits(device, storage, journals, _free_bytes(folder) + bytes_used(folder))
    return limits._replace(company_s=task.company_s)


def _free_bytes(folder: Path) -> int:
    """What a user without privileges may still write on the folder's disk."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _leave(task: Task, journal: Journal, logger: logging.Logger) -> None:
    """Closes the journal; one that was drained for good is deleted, unless it keeps dead letters."""
    if task.device is None and journal.is_empty:
        journal.remove()
        log_note(logger, Note("info", "journal.removed", {"path": task.journal}))
        return
    journal.close()


def _journal_file(task: Task, storage: Storage) -> JournalFile:
    """Where the journal is, and what it is to know of its device. The id is for one that is new, or whose own is
    lost."""
    path, new_id = Path(task.journal), os.urandom(6).hex()
    if task.device is None:
        return JournalFile(path, "", new_id, storage.durability)
    section = section_of(task.device)
    return JournalFile(path, task.device.name, new_id, storage.durability, (section_name(section), section))


def _section_of(task: Task, opening: OpenedJournal, logger: logging.Logger) -> tuple[Device, bytes]:
    """The device and its section: the configured one, or the last that the journal knows."""
    journal = opening.journal
    if task.device is not None:
        section = section_of(task.device)
        journal.put_section(section_name(section), section)
        return task.device, section
    last = journal.last_section()
    if last is None:
        raise _nothing_to_serve(task, opening, logger)
    # As the device was configured when it last ran: what waits in the journal was read under that.
    try:
        return device_of(last[1]), last[1]
    except msgspec.DecodeError as error:
        journal.close()
        raise Refusal(EXIT_CONFIG, f"{task.journal}: its section can't be read: {error}") from None


def _nothing_to_serve(task: Task, opening: OpenedJournal, logger: logging.Logger) -> Refusal:
    """What a journal that does not know its device any more ends with. One that had something in it is kept."""
    journal = opening.journal
    gaps, letters = list(journal.state.gaps), journal.letters_kept[0]
    if journal.is_empty and not gaps and not opening.damage:
        journal.remove()
        return Refusal(0, f"{task.journal} held nothing and was removed")
    for note in Losses(journal.device, new_counts(SourceCounts)).tell(gaps, journal.state.settled):
        log_note(logger, note)
    # Numbers that were given and not settled, less those of which the journal has no frame any more.
    numbers = journal.state.next_number - journal.state.settled
    waiting = max(0, numbers - sum(high - low + 1 for low, high in gaps))
    journal.close()
    return Refusal(
        EXIT_CONFIG,
        f"{task.journal}: what it knew of its device {journal.device!r} is lost, so nothing of it can be sent;"
        f" {waiting} frames and {letters} dead letters wait in it. To send what can still be read, stop the gateway,"
        " put the device back into the configuration as it was, and the newest file of this name that ends in"
        " .damaged-TIME, with its -wal, in the journal's place; to give it up, move all files of this name away. They"
        " were left as they are",
    )
