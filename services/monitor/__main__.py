"""The monitor's process: `python -m services.monitor --config FILE [--data-dir DIR]`.

It hears everyone's heartbeats and says how they are when it is asked. Nobody needs it to work: a gateway without it
delivers all the same, and only `serialgw status` has nobody to ask.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import zmq

from common.config.active import find_gateway
from common.core.errors import ConfigError, LinkError
from common.core.events import CommonEffect, CommonEvent, Note
from common.io.endpoints import Endpoints, socket_dir
from common.io.locks import FileLock
from common.io.logs import log_note, start_logs, take_streams, unblocking_descriptor
from common.io.loop import Loop
from common.io.process import EXIT_CONFIG, EXIT_UNAVAILABLE, keep_private, make_identity, service_parser
from common.io.pulse import Pulse
from common.io.sources import Sources
from services.monitor.core.core import MonitorCore
from services.monitor.shell.shell import MonitorShell


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the monitor until SIGTERM; returns its exit code.

    The code is 0 after SIGTERM, 69 if another monitor runs here or the data directory can't be used, 78 if there is no
    configuration to start from, and 70 for a bug.
    """
    keep_private()
    args = service_parser("monitor", "keeps every process's last heartbeat and answers `status`").parse_args(argv)
    logger = start_logs("monitor:0", args.log_level)
    take_streams(logger)
    try:
        directory = socket_dir(args.data_dir)
        gateway, warnings = find_gateway(args.config, args.active, args.data_dir, "monitor", os.environ)
        lock = FileLock(directory / "monitor.lock")
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    except (LinkError, OSError) as error:
        sys.stderr.write(f"monitor: {error}\n")
        return EXIT_UNAVAILABLE
    for warning in warnings:
        log_note(logger, Note("warning", "configuration.last_good", {"reason": warning}))
    core = MonitorCore(
        make_identity("monitor", lock=directory / "monitor.lock"), [device.name for device in gateway.devices]
    )
    sources: Sources[CommonEvent] = Sources()
    shell = MonitorShell(zmq.Context(), Endpoints(directory), sources, logger)
    pulse = Pulse(directory, unblocking_descriptor(logger))
    loop: Loop[CommonEvent, CommonEffect] = Loop(core, shell, sources, logger, pulse)
    code = loop.run()
    shell.close()
    lock.release()
    return code


if __name__ == "__main__":
    sys.exit(main())
