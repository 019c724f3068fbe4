"""`python -m services.monitor --config FILE [--data-dir DIR]`: knows how every process is, and says so when asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import zmq

from common.config.reading import read_gateway
from common.errors import ConfigError, LinkError
from common.io.endpoints import Endpoints, socket_dir
from common.io.locks import FileLock
from common.io.logs import start_logs, take_streams
from common.io.loop import Loop
from common.io.process import EXIT_CONFIG, EXIT_UNAVAILABLE, keep_private, make_identity, service_parser
from services.monitor.core import MonitorCore
from services.monitor.shell import MonitorShell


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the monitor until SIGTERM; returns its exit code."""
    keep_private()
    args = service_parser("monitor", "keeps every process's last heartbeat and answers `status`").parse_args(argv)
    logger = start_logs("monitor:0", args.log_level)
    take_streams(logger)
    try:
        gateway = read_gateway(args.config, os.environ).gateway
        directory = socket_dir(args.data_dir)
        lock = FileLock(directory / "monitor.lock")
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    except (LinkError, OSError) as error:
        sys.stderr.write(f"monitor: {error}\n")
        return EXIT_UNAVAILABLE
    core = MonitorCore(
        make_identity("monitor", lock=directory / "monitor.lock"), [device.name for device in gateway.devices]
    )
    shell = MonitorShell(zmq.Context(), Endpoints(directory), logger)
    loop = Loop(core, shell, logger)
    shell.attach(loop)
    code = loop.run()
    shell.close()
    lock.release()
    return code


if __name__ == "__main__":
    sys.exit(main())
