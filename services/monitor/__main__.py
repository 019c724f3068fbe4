"""`python -m services.monitor --config FILE [--data-dir DIR]`: knows how every process is, and says so when asked.

Exit codes: 0 after SIGTERM, 69 if another monitor holds the data directory or its folder can't be used, 70 for a bug,
78 for a configuration that can't be used. Of the configuration it needs the devices' names: their port readers are
missed even if they never came.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from common.config.active import find_gateway
from common.core.events import CommonEvent
from common.io.arguments import service_parser
from common.io.endpoints import Endpoints, socket_dir
from common.io.levels import LogLevels
from common.io.locks import FileLock
from common.io.process import begin, make_identity, pulse_in, refusals, run_core, tell_old_configuration
from common.io.sources import Sources
from common.io.variables import TOP_VARIABLE
from services.monitor.core.core import MonitorCore
from services.monitor.shell.shell import MonitorShell
from services.monitor.shell.web.server import WebServer

PURPOSE = "keeps every process's last heartbeat and answers `status`"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the monitor until SIGTERM; returns its exit code. Raises SystemExit where it can't serve."""
    options = service_parser("monitor", PURPOSE).parse_args(arguments)
    logger = begin("monitor:0", options.log_level)
    with refusals("monitor: "):
        sockets = socket_dir(options.data_dir)
        gateway, warnings = find_gateway(options.config, options.active, options.data_dir, "monitor", os.environ)
        lock = FileLock(sockets / "monitor.lock")
    tell_old_configuration(logger, warnings)
    identity = make_identity("monitor", lock=lock.path)
    core = MonitorCore(
        identity,
        [device.name for device in gateway.devices],
        [connector.name for connector in gateway.hosted],
        # Where systemd has started the gateway.
        tells=TOP_VARIABLE in os.environ and "NOTIFY_SOCKET" in os.environ,
    )
    sources: Sources[CommonEvent] = Sources()
    web = WebServer(gateway.web, options.config.absolute(), options.data_dir.absolute(), sockets, logger)
    shell = MonitorShell(Endpoints(sockets), sources, logger, web, sockets)
    ends, levels = (shell.close, lock.release), LogLevels(sockets, logger)
    pulse = pulse_in(sockets, logger, identity.address)
    return run_core(core, shell, sources, logger, pulse, ends=ends, levels=levels)


if __name__ == "__main__":
    sys.exit(main())
