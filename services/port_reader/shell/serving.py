"""A port reader at work: its journal, its lock, its core and shell in the loop.

The journal comes first. It is opened under its lock, mended where it was damaged, and says what its predecessor left:
without it nothing is read, because what is read could not be kept. A reader without a port (a device that is no longer
configured) serves what waits in its journal, and ends when that is settled.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from common.config.models import Device, Storage, device_of, section_of
from common.config.task import Task
from common.core.counters import new_counts
from common.core.events import Note
from common.io.bounded import BoundedSearch
from common.io.clock import monotonic_s, wall_ms
from common.io.endpoints import Endpoints, socket_dir
from common.io.exits import EXIT_CONFIG
from common.io.journal.breath import Breathe
from common.io.journal.files import JournalFile
from common.io.journal.journal import Journal
from common.io.journal.opening import OpenedJournal
from common.io.journal.places import DEVICES_SUFFIX
from common.io.journal.sections import section_name
from common.io.journal.serving import limits_of, open_stream, show_breath, tell_opening
from common.io.levels import LogLevels
from common.io.locks import FileLock
from common.io.logs import log_note, start_logs
from common.io.private import make_private
from common.io.process import Refusal, begin, draw, make_identity, pulse_in, refusals, run_core
from common.io.sources import Sources
from common.stream.counters import SourceCounts
from common.stream.keeping.losses import Losses
from common.wire.calls import reader_of
from services.port_reader.core.core import LineMember, PortReaderCore
from services.port_reader.core.events import Event
from services.port_reader.shell.shell import PortReaderShell

KIND: Final = "port_reader"


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
        pulse = pulse_in(sockets, logger, _address_of(task))
        # It may be a damaged one, and large: whoever watches us is to see that we go on.
        breathe = partial(show_breath, pulse)
        opening = open_stream(_journal_file(task, task.storage), breathe)
        journal = opening.journal
        others = [_open_other(task, place, breathe) for place in range(len(task.others))]
    # Only now is it known whose reader this is.
    logger = start_logs(f"{KIND}:{journal.device}", task.log_level)
    tell_opening(opening, logger)
    for other in others:
        tell_opening(other.opening, logger)
    with refusals():
        device, section = _section_of(task, opening, logger)
    if (device.rpcs or device.attribute_updates) and not device.has_user_converter:
        import services.port_reader.core.calls  # noqa: F401 (loaded here, not at the first call)
    try:
        # What a hosted connector has left is sent under the name of its process, by which others ask for it.
        kind, _, name = reader_of(device.name).partition(":")
        sources: Sources[Event] = Sources()
        limits = limits_of(path.parent, task.devices, device.uplink_queue_size, task.storage)
        journals = [journal, *(other.opening.journal for other in others)]
        shell = PortReaderShell(device, journals, endpoints, sources, logger=logger, breathe=breathe)
        core = PortReaderCore(
            make_identity(kind, name, lock.path),
            [LineMember(device, section_name(section), journal.state), *(other.member for other in others)],
            limits=limits._replace(company_s=task.company_s),
            draw=draw,
            gauges=lambda: shell.gauges,
            has_port=task.device is not None,
            # The core knows one clock, and needs the other's time for what it reads.
            wall_offset_ms=wall_ms() - monotonic_s() * 1000,
            ports=len(task.devices),
            search=BoundedSearch(),
        )
        return run_core(core, shell, sources, logger, pulse, ends=(shell.close,), levels=LogLevels(sockets, logger))
    finally:
        _leave(task, journal, logger)
        lock.release()
        for other in others:
            other.opening.journal.close()
            other.lock.release()


class _Other(NamedTuple):
    """A further device on the line, and what it has of its own."""

    member: LineMember
    opening: OpenedJournal
    lock: FileLock


def _open_other(task: Task, place: int, breathe: Breathe) -> _Other:
    """The journal of a further device on the line, under its own lock. Raises as for the first one."""
    device, path = task.others[place], Path(task.other_journals[place])
    lock = FileLock(path.with_name(path.name + ".lock"))
    section = section_of(device)
    new_id = os.urandom(6).hex()
    file = JournalFile(path, device.name, new_id, task.storage.durability, (section_name(section), section))
    opening = open_stream(file, breathe)
    opening.journal.put_section(section_name(section), section)
    member = LineMember(device, section_name(section), opening.journal.state, str(lock.path))
    return _Other(member, opening, lock)


def _address_of(task: Task) -> str:
    """Who this is, as far as it is known before the journal is open."""
    return reader_of(task.device.name if task.device is not None else Path(task.journal).stem)


def _leave(task: Task, journal: Journal, logger: logging.Logger) -> None:
    """Closes the journal; one that was drained for good is deleted, unless it keeps dead letters."""
    if task.device is None and journal.is_empty:
        journal.remove()
        path = Path(task.journal)
        path.with_name(path.name + DEVICES_SUFFIX).unlink(missing_ok=True)
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
