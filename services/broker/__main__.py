"""The broker's process, to which all others connect: `python -m services.broker --config FILE [--data-dir DIR]`.

Nothing in the configuration concerns it; the option is there because every service has it. What starts it starts first.
Exit codes: 0 after SIGTERM, 69 if another broker holds the data directory or its folder can't be used, 70 for a bug.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import zmq

from common.core.events import Note
from common.io.arguments import service_parser
from common.io.endpoints import Endpoints, frames_name, socket_dir
from common.io.levels import LogLevels
from common.io.locks import FileLock
from common.io.logs import log_note
from common.io.process import begin, make_identity, pulse_in, refusals, run_core
from common.io.sources import Sources
from services.broker.core.core import BrokerCore
from services.broker.core.events import Event
from services.broker.shell.shell import BrokerShell, remove_leftovers

PURPOSE = "passes frames, readings, calls and events on between all processes"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the broker until SIGTERM; returns its exit code. Raises SystemExit where it can't serve."""
    options = service_parser("broker", PURPOSE, needs_config=False).parse_args(arguments)
    logger = begin("broker:0", options.log_level)
    with refusals("broker: "):
        sockets = socket_dir(options.data_dir)
        lock = FileLock(sockets / "broker.lock")
    # Only now: a broker that runs may have its sockets there.
    remove_leftovers(sockets)
    sources: Sources[Event] = Sources()
    shell = BrokerShell(zmq.Context(), Endpoints(sockets), sources, logger)
    identity = make_identity("broker", lock=lock.path)
    core = BrokerCore(identity, frames_name)
    log_note(logger, Note("info", "broker.started", {"directory": sockets}))
    ends, levels = (shell.close, lock.release), LogLevels(sockets, logger)
    pulse = pulse_in(sockets, logger, identity.address)
    return run_core(core, shell, sources, logger, pulse, ends=ends, levels=levels)


if __name__ == "__main__":
    sys.exit(main())
