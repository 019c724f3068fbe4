"""Applies what the platform wants configured: a process that `serialgw run` starts when there is something of that.

    python -m services.cli.supervise.configurator --config FILE --data-dir DIR

Each part is read first as `serialgw check` reads files, together with all others; what can't be used is refused with
the reason, and changes nothing. Then the active snapshot is written and the processes that are concerned start anew. If
one of them does not come up, everything returns to what it was. The user's files are never written: what the platform
has configured lies over them, in `remote/overlay.json` in the data directory.

It may be killed at any moment. `remote/previous.json` is there while something is being applied: who finds it returns
to it. `overlay.json` is written last, so a gateway that is started meanwhile starts with what was good before.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from common.config.active import ACTIVE_NAME, read_active, write_active
from common.config.findings import Findings, show
from common.config.json_files import read_json
from common.config.logs_reading import levels_in
from common.config.models import Gateway
from common.config.overlay import (
    ACTIVE_KEY,
    LOGS_KEY,
    OVERLAY_NAME,
    PREVIOUS_NAME,
    REMOTE_DIR,
    SECTIONS,
    TRYING_NAME,
    Laid,
    Overlay,
    Request,
    configured_attributes,
    read_configured,
    read_overlay,
    requests_in,
)
from common.config.reading import laid_over
from common.config.taken import hashes_of, write_taken
from common.config.task import files_of
from common.core.errors import ConfigError, GatewayError, LinkError
from common.core.events import Note
from common.io.arguments import service_parser
from common.io.client import Client
from common.io.clock import wall_ms
from common.io.endpoints import socket_dir
from common.io.logs import log_note
from common.io.private import write_private
from common.io.process import begin, refusals
from common.wire.calls import Configured as LookAtConfigured
from common.wire.calls import hosted_stream
from common.wire.messages import PUBLISHER
from services.cli.supervise.conf import PLAN_NAME, read_plan
from services.cli.supervise.difference import Difference, difference
from services.cli.supervise.prepare import write_configured
from services.cli.supervise.reloading import hold_lock
from services.cli.supervise.switching import COME_UP_S, Look, Switching, until
from services.cli.trial.loads import load_all
from services.cli.whole import read_whole

ENDED: Final = "whoever applied it was ended meanwhile; what ran before runs on: send it again"
REFUSED_KEY: Final = "configuration_refused"
"""The attribute that says why parts were refused: part → reason."""
LOAD_S: Final = 20.0
ALL_S: Final = 60.0
"""What users' classes may take to load, one and all: as for `check`, but nobody sits in front of it."""
MOST_REASONS: Final = 5
"""Problems that a refusal names."""
NO_CONNECTION: Final = (
    "host and port say how the platform is reached; they are not changed from the platform, since a mistake could not "
    "be taken back from there: change them in the gateway's own file"
)
NO_MOVE: Final = (
    "type and place of the storage are not changed while the gateway runs: what waits there would stay behind; change "
    "them in the gateway's own file and start it anew"
)
NOT_SERVED: Final = "; the rest runs"
"""How `check` ends its sentence on a connector that is not served: here the rest is not in question."""
NO_GRPC: Final = "connectors that attach over gRPC are not served: nothing listens for them"
NO_LEVELS: Final = (
    "`serialgw run` was started with --log-level, which counts for all processes; started without it, it takes levels "
    "from here"
)
NO_LOGGERS: Final = 'found no "loggers", expected an object in which loggers.NAME.level says how much is logged'


class Refused(Exception):  # noqa: N818 (it is an answer)
    """Why a part can't be applied: a sentence for the person who configures."""


def main(arguments: list[str] | None = None) -> int:
    """Looks at all requests; returns 0. Raises SystemExit where it can't work."""
    options = service_parser("configurator", "Applies what the platform wants configured.").parse_args(arguments)
    logger = begin("configurator", options.log_level)
    with refusals():
        lock = hold_lock(options.data_dir)
        configurator = Configurator(options.config, options.data_dir, logger)
    configurator.run()
    lock.release()
    return 0


class Configurator:
    """One run over all requests that are there."""

    def __init__(
        self,
        config: Path,
        data_dir: Path,
        logger: logging.Logger,
        look: Look | None = None,
    ) -> None:
        """`look` says what the monitor says of each process, by its address; None while nobody does. Raises OSError,
        msgspec.DecodeError where `serialgw run` has not planned anything here."""
        self._config = config
        self._data_dir = data_dir
        self._folder = self._data_dir / REMOTE_DIR
        self._logger = logger
        self._environ = dict(os.environ)
        plan = read_plan((socket_dir(data_dir) / PLAN_NAME).read_bytes())
        active = read_active(self._data_dir / ACTIVE_NAME)
        if active is None:
            raise LinkError(f"{data_dir} has no {ACTIVE_NAME}; `serialgw run` writes it")
        self._switching = Switching(plan, active, lambda note: log_note(logger, note), look)
        self._overlay = read_overlay(self._folder / OVERLAY_NAME)
        self._configured = read_configured(self._folder)

    def run(self) -> None:
        previous = read_active(self._folder / PREVIOUS_NAME)
        if previous is not None:
            # Another run has begun to apply something, and was ended.
            self._note("warning", "configuration.returning", reason="an earlier change was not completed")
            self._switching.switch(previous, difference(self._switching.active.gateway, previous.gateway))
            (self._folder / PREVIOUS_NAME).unlink(missing_ok=True)
        trying = self._folder / TRYING_NAME
        if (request := self._read_request(trying)) is not None:
            self._answer(request, dict.fromkeys(request.parts, ENDED))
        while requests := requests_in(self._folder):
            # Under another name: nothing is tried again and again that ends whoever tries it.
            requests[0].replace(trying)
            if (request := self._read_request(trying)) is not None:
                # A publisher that starts anew meanwhile hears it all again, and is to know that it is looked at.
                self._configured.handled |= request.fingerprints
                write_configured(self._folder, self._configured)
                self._answer(request, self._handle(request))
            trying.unlink(missing_ok=True)

    def _read_request(self, path: Path) -> Request | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Request)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._note("error", "configuration.unreadable", file=path.name, reason=str(error))
            return None

    def _answer(self, request: Request, refused: Mapping[str, str]) -> None:
        """What became of a request: in the log, and where the publisher finds it."""
        for key, sentence in refused.items():
            self._note("warning", "configuration.refused", part=key, reason=sentence, then="what ran before runs on")
        self._configured.handled |= request.fingerprints
        self._write_configured(refused)
        (self._folder / TRYING_NAME).unlink(missing_ok=True)
        self._tell_publisher()

    def _handle(self, request: Request) -> dict[str, str]:
        """Applies a request, or what can be used of it; part → why it was refused."""
        refused: dict[str, str] = {}
        parts = _in_order(request.parts)
        try:
            self._apply(parts)
        except Refused as reason:
            # Together they can't be used; those that can be by themselves are.
            if len(parts) == 1:
                refused[next(iter(parts))] = str(reason)
            else:
                for key, value in parts.items():
                    try:
                        self._apply({key: value})
                    except Refused as alone:
                        refused[key] = str(alone)
        return refused

    def _apply(self, parts: Mapping[str, Any]) -> None:
        """Takes these parts, all or none. Raises Refused."""
        overlay = self._overlay
        laid = self._lay(overlay)
        for key, value in parts.items():
            self._check_part(key, value, laid)
            overlay = overlay.with_part(key, value, laid.base_of(key))
        gateway = self._read(overlay, parts)
        change = difference(self._switching.active.gateway, gateway)
        self._check_classes(gateway, change)
        if not change.is_empty:
            self._change(gateway, change)
        # In this order: who is ended in between finds the request, and that nothing is left to be started.
        (self._folder / PREVIOUS_NAME).unlink(missing_ok=True)
        self._overlay = overlay
        write_taken(self._data_dir, hashes_of(files_of(gateway)))
        write_private(self._folder / OVERLAY_NAME, msgspec.json.encode(overlay).decode(), flush=True)
        self._note(
            "info",
            "configuration.applied",
            parts=", ".join(parts),
            started=_listed(change.added, change.hosts_added),
            stopped=_listed(change.removed, change.hosts_removed),
            started_anew=_listed(change.changed, change.hosts_changed),
        )

    def _check_part(self, key: str, value: Any, laid: Laid) -> None:
        """What no reader would find. Raises Refused."""
        platform, storage = self._switching.active.gateway.platform, self._switching.active.gateway.storage
        if key == ACTIVE_KEY:
            if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
                raise Refused("found no list, expected a list of connectors' names")
            return
        if not isinstance(value, dict):
            raise Refused(f"found {type(value).__name__}, expected an object")
        if key == LOGS_KEY:
            self._check_levels(value)
            return
        if key == "grpc_configuration" and value.get("enabled") is True:
            raise Refused(NO_GRPC)
        if key == "general_configuration":
            # The environment may say otherwise than the file; a dashboard sends back what it was told, the file's.
            file = laid.main.get(SECTIONS[key], {})
            for name, ours in (("host", platform.host), ("port", platform.port)):
                if value.get(name, ours) not in (ours, file.get(name, ours)):
                    raise Refused(NO_CONNECTION)
        if key == "storage_configuration" and value.get("type", storage.type) != storage.type:
            raise Refused(NO_MOVE)
        if key not in SECTIONS and value.get("name", key) != key:
            raise Refused(f"name: found {show(value['name'])}, expected {show(key)}, the name of its attribute")

    def _check_levels(self, value: Mapping[str, Any]) -> None:
        """What else is said of logs has no counterpart here, and is left alone. Raises Refused."""
        if self._switching.plan.is_level_given:
            raise Refused(NO_LEVELS)
        if not isinstance(value.get("loggers"), dict):
            raise Refused(NO_LOGGERS)
        findings = Findings()
        levels_in(value, findings)
        if findings.warnings:
            raise Refused(_shortened(findings.warnings))

    def _read(self, overlay: Overlay, parts: Mapping[str, Any]) -> Gateway:
        """The whole configuration with the overlay over it, checked as `check` does. Raises Refused."""
        try:
            gateway, warnings = read_whole(self._config, self._environ, overlay=overlay)
        except ConfigError as error:
            raise Refused(_shortened(error.problems)) from None
        # Nobody but the publisher has secrets, and the way to the platform stays as it is.
        known = self._switching.active.gateway.platform
        platform = msgspec.structs.replace(gateway.platform, security=known.security, provisioning=known.provisioning)
        gateway = msgspec.structs.replace(gateway, platform=platform)
        if gateway.storage.data_dir != self._switching.active.gateway.storage.data_dir:
            raise Refused(NO_MOVE)
        served = {one.name for one in gateway.connectors} | {one.name for one in gateway.hosted}
        active = overlay.active.value if overlay.active is not None else None
        for key, value in parts.items():
            if key in (*SECTIONS, ACTIVE_KEY, LOGS_KEY) or key in served or (active is not None and key not in active):
                continue
            about = f"connector {show(key)} of type "
            said = next((warning for warning in warnings if about in warning), "")
            raise Refused(said.removesuffix(NOT_SERVED) or f"{about}{show(value.get('type'))} is not served")
        return gateway

    def _check_classes(self, gateway: Gateway, change: Difference) -> None:
        """Loads users' classes of the devices and hosted connectors that are concerned, in a process of their own.
        Raises Refused."""
        wanted, hosts = {*change.added, *change.changed}, {*change.hosts_added, *change.hosts_changed}
        connectors = tuple(
            msgspec.structs.replace(
                connector, devices=tuple(device for device in connector.devices if device.name in wanted)
            )
            for connector in gateway.connectors
        )
        hosted = tuple(connector for connector in gateway.hosted if connector.name in hosts)
        concerned = msgspec.structs.replace(gateway, connectors=connectors, hosted=hosted)
        problems, _ = load_all(concerned, self._environ, load_s=LOAD_S, all_s=ALL_S)
        if problems:
            raise Refused(_shortened(problems))

    def _change(self, gateway: Gateway, change: Difference) -> None:
        """Switches the processes over; back again, if one of them does not come up. Raises Refused."""
        previous = self._switching.active
        write_active(self._folder / PREVIOUS_NAME, previous)
        why = self._switching.switch(msgspec.structs.replace(previous, gateway=gateway), change)
        if why:
            self._note("warning", "configuration.returning", reason=why)
            again = self._switching.switch(previous, difference(gateway, previous.gateway))
            (self._folder / PREVIOUS_NAME).unlink(missing_ok=True)
            if again:
                self._note("error", "configuration.not_returned", reason=again)
            raise Refused(f"{why}; what ran before runs again")

    def _tell_publisher(self) -> None:
        """Lets the publisher look at what is configured now. One that does not hear it now looks at its next start."""

        def has_told() -> bool:
            try:
                with Client(self._data_dir) as client:
                    return not client.call(PUBLISHER, "", LookAtConfigured(), 2.0).error
            except GatewayError:
                return False

        until(has_told, COME_UP_S)

    def _lay(self, overlay: Overlay) -> Laid:
        main = read_json(self._config, self._config.name, Findings())
        return laid_over(self._config, main if isinstance(main, dict) else {}, overlay)

    def _write_configured(self, refused: Mapping[str, str]) -> None:
        attributes = configured_attributes(self._lay(self._overlay), self._overlay, wall_ms())
        self._configured.attributes = {**attributes, REFUSED_KEY: dict(refused)}
        write_configured(self._folder, self._configured)

    def _note(self, level: Any, event: str, **facts: str) -> None:
        log_note(self._logger, Note(level, event, facts))


def _in_order(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Sections first, connectors next, and last which of these are to run."""
    sections = (*SECTIONS, LOGS_KEY)
    return dict(sorted(parts.items(), key=lambda part: (part[0] == ACTIVE_KEY, part[0] not in sections)))


def _listed(devices: Iterable[str], hosts: Iterable[str]) -> str:
    return ", ".join((*devices, *map(hosted_stream, hosts))) or "none"


def _shortened(problems: list[str]) -> str:
    more = f"; and {len(problems) - MOST_REASONS} more" if len(problems) > MOST_REASONS else ""
    return "; ".join(problems[:MOST_REASONS]) + more


if __name__ == "__main__":
    sys.exit(main())
