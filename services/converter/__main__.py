"""One converter process: `python -m services.converter --config FILE [--data-dir DIR] [--slot N]`.

Exit codes: 0 after a drain, 69 if the slot (or every slot) is taken or its folder unusable, 70 for a bug. Of the
configuration only its place matters, for the folder of users' converters beside it: devices' sections come from port
readers. So a converter that dies while somebody edits the configuration comes back all the same.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from itertools import count
from pathlib import Path
from typing import Final

from common.config.extension_files import extension_dirs_of
from common.core.errors import LinkError
from common.core.events import Note
from common.io.endpoints import Endpoints, socket_dir
from common.io.locks import FileLock
from common.io.logs import log_note, start_logs, take_streams, unblocking_descriptor
from common.io.loop import Loop
from common.io.process import EXIT_UNAVAILABLE, keep_private, make_identity, service_parser
from common.io.pulse import Pulse
from common.io.sources import Sources
from services.converter.core.core import ConverterCore
from services.converter.core.events import Effect, Event
from services.converter.core.lanes import GRACE_S
from services.converter.shell.hosts import Hosts, HostSetup
from services.converter.shell.poison_file import PoisonFile
from services.converter.shell.shell import ConverterShell
from services.converter.shell.watchdog import LIMIT_S

SLOTS: Final = 256
"""More converters than a machine has cores for; a bound for the search of a free one."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one converter; returns its exit code.

    The slot's lock is held as long as the process lives: whoever gets it knows that the one before is dead, and takes
    over its address, its poison file and what it has not reported.
    """
    keep_private()
    options = _parser().parse_args(arguments)
    take_streams(start_logs("converter", options.log_level))
    try:
        sockets = socket_dir(options.data_dir)
        slot, lock, lock_path = _take_slot(sockets, options.slot)
    except (LinkError, OSError) as error:
        return _refuse(str(error), EXIT_UNAVAILABLE)
    identity = make_identity("converter", slot, lock_path)
    logger = start_logs(identity.address, options.log_level)
    poison = _open_poison_file(options.data_dir / f"converter-{slot}.notes", logger)
    numbers = count(1)
    core = ConverterCore(
        identity,
        lambda: f"{identity.instance}-{next(numbers)}",
        poison.reports if poison is not None else (),
        options.watchdog_s + GRACE_S,
    )
    dirs = extension_dirs_of(options.config)
    setup = HostSetup(identity.address, identity.instance, dirs, options.watchdog_s, options.log_level)
    sources: Sources[Event] = Sources()
    hosts = Hosts(setup, poison, sources, os.environ)
    shell = ConverterShell(Endpoints(sockets), hosts, poison, sources, logger)
    loop: Loop[Event, Effect] = Loop(core, shell, sources, logger, Pulse(sockets, unblocking_descriptor(logger)))
    log_note(logger, Note("info", "process.started", {"slot": slot, "pid": identity.pid}))
    code = loop.run()
    shell.close()
    lock.release()
    return code


def _parser() -> argparse.ArgumentParser:
    parser = service_parser("converter", "Turns frames into readings, and calls into bytes for devices.")
    parser.add_argument(
        "--slot", type=int, metavar="N", help="this converter's number (default: the first that is free)"
    )
    parser.add_argument(
        "--watchdog-s",
        type=float,
        default=LIMIT_S,
        metavar="S",
        help="a user's converter may take this long over one frame, then its process ends (default: %(default)g)",
    )
    return parser


def _take_slot(sockets: Path, wanted: int | None) -> tuple[str, FileLock, Path]:
    """Takes the wanted slot, or the first that is free: its name, its lock and the lock's path. Raises LinkError if it,
    or every slot, is taken."""
    for slot in map(str, range(SLOTS) if wanted is None else [wanted]):
        path = sockets / f"converter-{slot}.lock"
        try:
            return slot, FileLock(path), path
        except LinkError:
            if wanted is not None:
                raise
    raise LinkError(f"all {SLOTS} converter slots of {sockets} are taken")


def _open_poison_file(path: Path, logger: logging.Logger) -> PoisonFile | None:
    """The slot's poison file; None, with a warning, where there is no room for one: frames matter more than blame."""
    try:
        poison = PoisonFile(path)
    except OSError as error:
        log_note(logger, Note("warning", "notes.unavailable", {"path": path, "reason": str(error)}))
        return None
    for death in poison.reports:
        numbers = ",".join(map(str, death.numbers))
        facts = {"device": death.device, "journal": death.journal, "numbers": numbers, "id": death.id}
        # The core tells the reader; this line tells whoever reads logs.
        log_note(logger, Note("warning", "note.found", facts))
    return poison


def _refuse(text: str, code: int) -> int:
    """Says why there is no converter, before there is a log that could."""
    sys.stderr.write(f"{text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
