"""`python -m services.publisher --config FILE [--data-dir DIR]`: the process that talks to the platform.

Exit codes: 0 after a drain, 69 if another publisher holds the data directory, 70 for a bug, 78 for a configuration that
can't be used. The only process that reads the platform's secrets.
"""

from __future__ import annotations

import os
import random
import re
import sys
from pathlib import Path
from typing import Final

from common.config.active import find_gateway
from common.config.secret_files import SECRET_VARIABLES
from common.core.errors import ConfigError, LinkError
from common.core.events import Note
from common.core.version import RELEASE
from common.io.endpoints import Endpoints, socket_dir
from common.io.locks import FileLock
from common.io.logs import log_note, start_logs, take_streams, unblocking_descriptor
from common.io.loop import Loop
from common.io.process import EXIT_CONFIG, EXIT_UNAVAILABLE, keep_private, make_identity, service_parser
from common.io.pulse import Pulse
from common.io.sources import Sources
from common.io.tls import tls_context
from services.publisher.core.core import PublisherCore
from services.publisher.core.dialects.thingsboard import ThingsBoard
from services.publisher.core.events import Effect, Event
from services.publisher.shell.shell import PublisherShell

_CLIENT_ID: Final = re.compile(r"[!-~]{1,128}")


def main(arguments: list[str] | None = None) -> int:
    """Runs the publisher; returns its exit code."""
    keep_private()
    options = service_parser("publisher", "Publishes readings to the platform, and takes its calls.").parse_args(
        arguments
    )
    take_streams(start_logs("publisher", options.log_level))
    try:
        sockets = socket_dir(options.data_dir)
        gateway, warnings = find_gateway(
            options.config, options.active, options.data_dir, "publisher", os.environ, with_secrets=True
        )
        for name in SECRET_VARIABLES:
            os.environ.pop(name, None)
        context = tls_context(gateway.platform)
        lock_path = options.data_dir / "publisher.lock"
        lock = FileLock(lock_path)
        client_id = gateway.platform.security.client_id or own_client_id(options.data_dir / "publisher.id")
    except ConfigError as error:
        return _refuse(str(error), EXIT_CONFIG)
    except (LinkError, OSError) as error:
        return _refuse(str(error), EXIT_UNAVAILABLE)
    identity = make_identity("publisher", lock=lock_path)
    logger = start_logs(identity.address, options.log_level)
    for warning in warnings:
        log_note(logger, Note("warning", "configuration.last_good", {"reason": warning}))
    epoch = os.urandom(16).hex()
    dialect = ThingsBoard()
    core = PublisherCore(
        identity,
        epoch,
        gateway.platform,
        dialect,
        {device.name: device.type for device in gateway.devices},
        draw=random.random,
        connectors={device.name: device.connector_name for device in gateway.devices},
        version=RELEASE,
    )
    sources: Sources[Event] = Sources()
    shell = PublisherShell(
        Endpoints(sockets),
        gateway.platform,
        client_id,
        context=context,
        subscriptions=dialect.subscriptions,
        will=dialect.will,
        sources=sources,
        logger=logger,
    )
    loop: Loop[Event, Effect] = Loop(core, shell, sources, logger, Pulse(sockets, unblocking_descriptor(logger)))
    facts = {"pid": identity.pid, "epoch": epoch, "host": gateway.platform.host, "port": gateway.platform.port}
    log_note(logger, Note("info", "process.started", facts))
    code = loop.run()
    shell.close()
    lock.release()
    return code


def own_client_id(path: Path) -> str:
    """The client id of this data directory: made once, kept in a file. One that was damaged is made anew; on a full
    disk it lives as long as the process."""
    try:
        known = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        known = ""
    if _CLIENT_ID.fullmatch(known):
        return known
    made = f"serialgw-{os.urandom(6).hex()}"
    try:
        path.write_text(f"{made}\n", encoding="ascii")
    except OSError:
        pass
    return made


def _refuse(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
