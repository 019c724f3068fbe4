"""The broker's process, to which all others connect: `python -m services.broker --config FILE [--data-dir DIR]`.

Nothing in the configuration concerns it; the option is there because every service has it. So a configuration that is
broken, or being edited, keeps no broker from starting. Of all processes it is started first.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import zmq

from common.core.errors import LinkError
from common.core.events import Note
from common.io.endpoints import Endpoints, frames_name, socket_dir
from common.io.locks import FileLock
from common.io.logs import log_note, start_logs, take_streams, unblocking_descriptor
from common.io.loop import Loop
from common.io.process import EXIT_UNAVAILABLE, keep_private, make_identity, service_parser
from common.io.pulse import Pulse
from common.io.sources import Sources
from services.broker.core.core import BrokerCore
from services.broker.core.events import Effect, Event
from services.broker.shell.shell import BrokerShell, remove_leftovers


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the broker until SIGTERM; returns its exit code.

    The code is 0 after a drain, 69 if another broker has the data directory's lock or the directory can't be used, and
    70 for a bug.
    """
    keep_private()
    args = service_parser("broker", "passes frames, readings, calls and events on between all processes").parse_args(
        argv
    )
    logger = start_logs("broker:0", args.log_level)
    take_streams(logger)
    try:
        directory = socket_dir(args.data_dir)
        lock = FileLock(directory / "broker.lock")
    except (LinkError, OSError) as error:
        sys.stderr.write(f"broker: {error}\n")
        return EXIT_UNAVAILABLE
    # We hold the lock: whoever made these files is dead.
    remove_leftovers(directory)
    endpoints = Endpoints(directory)
    sources: Sources[Event] = Sources()
    shell = BrokerShell(zmq.Context(), endpoints, sources, logger)
    core = BrokerCore(make_identity("broker", lock=directory / "broker.lock"), frames_name)
    loop: Loop[Event, Effect] = Loop(core, shell, sources, logger, Pulse(directory, unblocking_descriptor(logger)))
    log_note(logger, Note("info", "broker.started", {"directory": directory}))
    code = loop.run()
    shell.close()
    lock.release()
    return code


if __name__ == "__main__":
    sys.exit(main())
