"""`python -m services.publisher --config FILE [--data-dir DIR]`: the process that talks to the platform.

Exit codes: 0 after a drain, 69 if another publisher holds the data directory, 70 for a bug, 78 for a configuration that
can't be used. The only process that reads the platform's secrets.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from common.config.active import find_gateway
from common.config.models import Connector, Gateway, HostedConnector, Platform, Provisioning
from common.config.names import SECRET_VARIABLES
from common.core.events import Note
from common.core.version import RELEASE
from common.io.arguments import service_parser
from common.io.endpoints import Endpoints, socket_dir
from common.io.levels import LogLevels
from common.io.locks import FileLock
from common.io.logs import log_note, start_logs
from common.io.process import begin, make_identity, pulse_in, refusals, run_core, tell_old_configuration
from common.io.sources import Sources
from common.wire.messages import Identity
from services.publisher.core.core import PublisherCore
from services.publisher.core.dialects.provisioning import Ask
from services.publisher.core.dialects.thingsboard import ThingsBoard
from services.publisher.core.dialects.thingsboard_provisioning import ThingsBoardProvisioning
from services.publisher.core.events import Event
from services.publisher.core.known import KnownParts, known_of
from services.publisher.core.remote import LEVEL_KEY, SECTION_KEYS, RemoteSetup
from services.publisher.shell.attempt import try_platform
from services.publisher.shell.entrance import Entrance, own_client_id
from services.publisher.shell.names_file import NAME, KeptFile, read_names
from services.publisher.shell.remote_files import RemoteFiles
from services.publisher.shell.shell import PublisherShell

__all__ = ("main", "own_client_id")
PURPOSE: Final = "Publishes readings to the platform, and takes its calls."


def main(arguments: list[str] | None = None) -> int:
    """Runs the publisher; returns its exit code. Raises SystemExit where it can't serve."""
    parser = service_parser("publisher", PURPOSE)
    parser.add_argument(
        "--try", action="store_true", dest="tries", help="connect once, say on standard output why not, and end"
    )
    options = parser.parse_args(arguments)
    if options.tries:
        return _try(options.config, options.data_dir)
    begin("publisher", options.log_level)
    with refusals():
        sockets = socket_dir(options.data_dir)
        gateway, warnings = find_gateway(
            options.config, options.active, options.data_dir, "publisher", os.environ, with_secrets=True
        )
        # What it starts, and what reads its environment later, sees no secret.
        for name in SECRET_VARIABLES:
            os.environ.pop(name, None)
        lock = FileLock(options.data_dir / "publisher.lock")
        entrance = Entrance(options.data_dir, gateway)
        access, ask, fault = entrance.find()
    identity = make_identity("publisher", lock=lock.path)
    logger = start_logs(identity.address, options.log_level)
    tell_old_configuration(logger, warnings)
    if fault:
        log_note(logger, Note("warning", "credentials.unreadable", {"reason": fault}))
    # Drawn, not counted: a count would have to be kept on a disk, and this process keeps only names there.
    epoch = os.urandom(16).hex()
    dialect = ThingsBoard()
    kept = read_names(options.data_dir / NAME)
    if kept.fault:
        log_note(logger, Note("warning", "names.unreadable", {"reason": kept.fault}))
    core = _make_core(identity, epoch, gateway, dialect, platform=access.config, kept=kept, ask=ask)
    sources: Sources[Event] = Sources()
    remote = RemoteFiles(sockets, options.data_dir, sources)
    names = options.data_dir / NAME
    shell = PublisherShell(
        Endpoints(sockets),
        access,
        sources,
        logger,
        names=names,
        remote=remote,
        renew=entrance.keep,
        forget=entrance.forget,
    )
    facts = {"pid": identity.pid, "epoch": epoch, "host": gateway.platform.host, "port": gateway.platform.port}
    log_note(logger, Note("info", "process.started", facts))
    ends, levels = (shell.close, lock.release), LogLevels(sockets, logger)
    pulse = pulse_in(sockets, logger, identity.address)
    return run_core(core, shell, sources, logger, pulse, ends=ends, levels=levels)


def _try(config: Path, data_dir: Path) -> int:
    """`--try`: 0 if the platform lets us in; 1 if not, and the reason on standard output. A publisher that runs keeps
    its connection, unless a client id is configured, which both have then."""
    from common.config.reading import read_gateway

    with refusals():
        gateway = read_gateway(config, os.environ, with_secrets=True).gateway
        access = Entrance(data_dir, gateway).look(f"serialgw-check-{os.urandom(6).hex()}")
    fault = try_platform(access)
    sys.stdout.write(f"{fault}\n")
    return 1 if fault else 0


def _make_core(
    identity: Identity,
    epoch: str,
    gateway: Gateway,
    dialect: ThingsBoard,
    *,
    platform: Platform,
    kept: KeptFile,
    ask: Ask | None,
) -> PublisherCore:
    """The core. `epoch` names this run of the publisher: port readers send again what an earlier one had not settled.
    Devices may come and go while it is at work (`TakeDevices`); all else is taken once, so a change of it takes effect
    at the next start."""
    known = KnownParts.of(known_of(gateway))
    return PublisherCore(
        identity,
        epoch,
        platform,
        dialect,
        known.types,
        draw=random.random,
        shared=known.shared,
        connectors=known.connectors,
        units=known.units,
        version=RELEASE,
        names=kept.names,
        renamed=kept.renamed,
        provisioning=(ThingsBoardProvisioning(), ask) if ask else None,
        answer_times=known.answer_times,
        strategies=known.strategies,
        remote=remote_setup(replace(gateway, platform=platform)),
        hosts=hosts_of(gateway),
    )


def remote_setup(gateway: Gateway) -> RemoteSetup:
    """What the platform may ask of the gateway as a whole, and what it is told of the log."""
    is_configurable = gateway.platform.remote_configuration
    connectors: list[Connector | HostedConnector] = [*gateway.connectors, *gateway.hosted]
    names = tuple(connector.name for connector in connectors)
    security, asked = gateway.platform.security, gateway.platform.provisioning or Provisioning()
    wished = (asked.key, asked.secret, asked.access_token, asked.password)
    return RemoteSetup(
        keys=(LEVEL_KEY, *SECTION_KEYS, *names) if is_configurable else (LEVEL_KEY,),
        is_configurable=is_configurable,
        logged={connector.name: connector.log_level for connector in connectors if connector.remote_logging},
        hidden=tuple(secret for secret in (security.access_token, security.password, *wished) if secret),
    )


def hosts_of(gateway: Gateway) -> dict[str, list[str]]:
    """The names of the hosted connectors of each type."""
    found: dict[str, list[str]] = {}
    for connector in gateway.hosted:
        found.setdefault(connector.type, []).append(connector.name)
    return found


if __name__ == "__main__":
    sys.exit(main())
