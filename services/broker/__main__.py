"""`python -m services.broker --config FILE [--data-dir DIR]`: the process that all others connect to."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import zmq

from common.config.reading import read_gateway
from common.errors import ConfigError, LinkError
from common.events import Note
from common.io.locks import FileLock
from common.io.logs import log_note, start_logs
from common.io.loop import Loop
from common.io.process import EXIT_CONFIG, EXIT_UNAVAILABLE, make_identity, service_parser
from common.io.sockets import Endpoints, socket_dir
from services.broker.core import BrokerCore
from services.broker.shell import BrokerShell, remove_leftovers


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the broker until SIGTERM; returns its exit code."""
    args = service_parser("broker", "passes frames, readings, calls and events on between all processes").parse_args(
        argv
    )
    logger = start_logs("broker:0", args.log_level)
    try:
        read_gateway(args.config, os.environ)
        directory = socket_dir(args.data_dir)
        lock = FileLock(directory / "broker.lock")
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    except (LinkError, OSError) as error:
        sys.stderr.write(f"broker: {error}\n")
        return EXIT_UNAVAILABLE
    remove_leftovers(directory)
    endpoints = Endpoints(directory)
    shell = BrokerShell(zmq.Context(), endpoints, logger)
    core = BrokerCore(make_identity("broker", lock=directory / "broker.lock"), endpoints.frames_out)
    loop = Loop(core, shell, logger)
    shell.attach(loop)
    log_note(logger, Note("info", "broker.started", {"directory": directory}))
    code = loop.run()
    shell.close()
    lock.release()
    return code


if __name__ == "__main__":
    sys.exit(main())
