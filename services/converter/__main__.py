"""One converter process: `python -m services.converter --config FILE [--data-dir DIR] [--slot N]`.

Exit codes: 0 after a drain, 69 if the slot (or every slot) is taken or its folder unusable, 70 for a bug.

A slot is the number of a converter among all of its gateway. It is held by a lock and has a file of notes, in which a
converter finds what its predecessor in the slot was in when it died, and reports it.

Of the configuration only its place matters, for the folder of users' converters beside it: devices' sections
come from port readers. So a converter that dies while somebody edits the configuration comes back all the same.
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
from common.io.arguments import service_parser
from common.io.endpoints import Endpoints, socket_dir
from common.io.levels import LogLevels
from common.io.locks import FileLock
from common.io.logs import log_note, start_logs
from common.io.process import begin, make_identity, pulse_in, refusals, run_core
from common.io.sources import Sources
from common.wire.messages import Identity
from services.converter.core.core import ConverterCore
from services.converter.core.events import Event
from services.converter.core.lanes import GRACE_S
from services.converter.shell.hosts import Hosts, HostSetup
from services.converter.shell.poison_file import PoisonFile
from services.converter.shell.shell import ConverterShell
from services.converter.shell.watchdog import LIMIT_S

SLOTS: Final = 256
"""Converters of one gateway at most, when they choose their slots themselves."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one converter; returns its exit code. Raises SystemExit where it can't serve."""
    options = _parser().parse_args(arguments)
    begin("converter", options.log_level)
    with refusals():
        sockets = socket_dir(options.data_dir)
        slot, lock = _take_slot(sockets, options.slot)
    identity = make_identity("converter", slot, lock.path)
    logger = start_logs(identity.address, options.log_level)
    poison = _open_poison_file(options.data_dir / f"converter-{slot}.notes", logger)
    core = _make_core(identity, poison, options.watchdog_s)
    # Hosts get what users' code needs, and of the environment nothing that is secret.
    dirs = extension_dirs_of(options.config)
    setup = HostSetup(identity.address, identity.instance, dirs, options.watchdog_s, options.log_level)
    sources: Sources[Event] = Sources()
    hosts = Hosts(setup, poison, sources, os.environ)
    shell = ConverterShell(Endpoints(sockets), hosts, poison, sources, logger)
    log_note(logger, Note("info", "process.started", {"slot": slot, "pid": identity.pid}))
    ends, levels = (shell.close, lock.release), LogLevels(sockets, logger)
    pulse = pulse_in(sockets, logger, identity.address)
    return run_core(core, shell, sources, logger, pulse, ends=ends, levels=levels)


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


def _take_slot(sockets: Path, wanted: int | None) -> tuple[str, FileLock]:
    """The slot's name and its lock. Raises LinkError if it, or every slot, is taken."""
    for slot in map(str, range(SLOTS) if wanted is None else [wanted]):
        try:
            return slot, FileLock(sockets / f"converter-{slot}.lock")
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


def _make_core(identity: Identity, poison: PoisonFile | None, watchdog_s: float) -> ConverterCore:
    """The core, which reports first what the poison file of this slot's last process says. It leaves a host GRACE_S
    beyond what the host's own watchdog leaves users' code, so that the host can still say what it was in."""
    numbers = count(1)
    reports = poison.reports if poison is not None else ()
    return ConverterCore(identity, lambda: f"{identity.instance}-{next(numbers)}", reports, watchdog_s + GRACE_S)


if __name__ == "__main__":
    sys.exit(main())
