"""Runs a core in its shell: what the mains of all services share, from the first moment to the exit code.

A main reads like this, and says between these lines only what is its own:

    logger = begin(name, log_level)        its files are private, and its log waits for nobody
    with refusals():                       what it needs is there, or it ends with a sentence and an exit code
        sockets = socket_dir(data_dir)
        lock = FileLock(...)
    identity = make_identity(kind, name, lock.path)
    pulse = pulse_in(sockets, logger, identity.address)
    return run_core(core, shell, sources, logger, pulse, ends=(shell.close, lock.release))

Arguments stand in `arguments`, because a port reader that has its task in a file needs none.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

from common.core.errors import ConfigError, LinkError
from common.core.events import Core, Drain, Note, Start, Tick
from common.io.exits import EXIT_CONFIG, EXIT_UNAVAILABLE
from common.io.levels import LogLevels
from common.io.logs import log_note, start_logs, take_streams, unblocking_descriptor
from common.io.loop import Loop, Shell
from common.io.private import keep_private
from common.io.pulse import Pulse
from common.io.sources import Sources
from common.wire.messages import Identity

Event = TypeVar("Event")
Effect = TypeVar("Effect")


class Refusal(Exception):  # noqa: N818 (it is no error where its code is 0)
    """There is nothing to serve, or it can't be served now: a sentence for a person, and the exit code that says it."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def begin(name: str, log_level: str) -> logging.Logger:
    """The first thing that a process does: its files are for its user alone, and what it logs or prints from now on
    waits for nobody. Returns its logger; `name` stands in each line, and is the process's address where that is known
    already."""
    keep_private()
    logger = start_logs(name, log_level)
    take_streams(logger)
    return logger


@contextmanager
def refusals(prefix: str = "") -> Iterator[None]:
    """What can't be had meanwhile ends the process: its sentence goes to standard error, its kind decides the code.

    A ConfigError is EXIT_CONFIG, for a restart would find the same. LinkError and OSError are EXIT_UNAVAILABLE, for
    whatever holds the lock, or fills the disk, may be gone next time; their sentence follows the `prefix`. A `Refusal`
    says its code itself. Anything else is a bug, and passes. Raises SystemExit.
    """
    try:
        yield
    except ConfigError as error:
        _refuse(str(error), EXIT_CONFIG)
    except Refusal as refusal:
        _refuse(str(refusal), refusal.code)
    except (LinkError, OSError) as error:
        _refuse(f"{prefix}{error}", EXIT_UNAVAILABLE)


def _refuse(sentence: str, code: int) -> NoReturn:
    sys.stderr.write(f"{sentence}\n")
    raise SystemExit(code) from None


def draw() -> float:
    """A number in [0, 1), so that processes that were started together do not act together. From the system: `random`
    takes 80 KB in each process, for much that nobody here needs."""
    return int.from_bytes(os.urandom(6), "big") / 2**48


def make_identity(kind: str, name: str = "0", lock: Path | None = None) -> Identity:
    """Who this process is at this start. `kind` and `name` are its address, and the same at each start; the instance is
    drawn anew, so that others can tell a successor from its predecessor. `lock` is the file whose lock proves that
    nobody else has this address."""
    host = os.uname().nodename
    return Identity(kind, name, os.urandom(6).hex(), os.getpid(), host, str(lock.resolve()) if lock else "")


def pulse_in(sockets: Path, logger: logging.Logger, address: str) -> Pulse:
    """The pulse by which whoever has started the process of this address sees that it goes round. Tracebacks of one
    that does not go where its log goes."""
    return Pulse(sockets, unblocking_descriptor(logger), address)


def tell_old_configuration(logger: logging.Logger, reasons: Iterable[str]) -> None:
    """Warns that the process serves what its configuration last said, because it can't be read now. [] says nothing."""
    for reason in reasons:
        log_note(logger, Note("warning", "configuration.last_good", {"reason": reason}))


def run_core(
    core: Core[Event | Start | Tick | Drain, Effect],
    shell: Shell[Effect, Event],
    sources: Sources[Event],
    logger: logging.Logger,
    pulse: Pulse,
    *,
    ends: Iterable[Callable[[], None]],
    levels: LogLevels | None = None,
    signals: int | None = None,
) -> int:
    """Runs until the core says `Exit`, after SIGTERM or because there is nothing left to do; returns the exit code.
    `levels`: how much it logs, where that may change meanwhile. `signals`: where the numbers of signals are read, for a
    loop beside the main thread, which can't take them itself.

    `ends` are called afterwards, in their order, also after a crash: what was sent still leaves, and a lock is given
    back only when nothing is touched any more that it protects.
    """
    loop: Loop[Event, Effect] = Loop(core, shell, sources, logger, pulse, levels=levels)
    try:
        return loop.run() if signals is None else loop.run_beside(signals)
    finally:
        for end in ends:
            end()
