"""Everything that `serialgw doctor` looks at, in the order of the data's way: ports first, the platform last."""

from __future__ import annotations

import os
import shlex
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import simplejson

from common.config.active import ACTIVE_NAME, read_active
from common.config.models import Gateway, Storage
from common.core.errors import ConfigError, GatewayError
from common.io.client import Client, json_of
from common.wire.calls import Status
from common.wire.messages import MONITOR
from services.cli.commands.check import describe_platform
from services.cli.commands.ports import list_ports
from services.cli.diagnosis.clock import clock_finding
from services.cli.diagnosis.drivers import driver_findings
from services.cli.diagnosis.finding import Finding
from services.cli.diagnosis.holders import find_holders
from services.cli.diagnosis.host import Host, processes
from services.cli.diagnosis.ports import Seen, path_of, port_findings
from services.cli.diagnosis.room import room_findings
from services.cli.reaching import reach_platform
from services.cli.text import counted
from services.cli.whole import read_whole

ANSWER_S: Final = 5.0
"""The monitor answers at once, or is not there."""

SERVED: Final = "it was not tried, for a gateway runs and may have it: `serialgw status` says how it is"
OFFLINE: Final = "it was not tried (--offline)"


class Asked(NamedTuple):
    """What is to be looked at."""

    port: str | None
    """A port, or a device of the configuration; None for all, and for everything else too."""
    file: Path | None
    """The configuration; None for that of the gateway that runs, or none."""
    data_dir: Path
    connects: bool = True
    """False to leave the platform, and ports in a network, alone."""


def look(asked: Asked, host: Host, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """All findings. Raises nothing for what is wrong on the machine: that is what is found."""
    found, gateway = _configuration(asked, environ)
    status = _status(asked.data_dir)
    ports = _ports(asked, gateway)
    paths = [path for port in ports if isinstance(path := path_of(host, port), str)]
    running = processes(host)
    untried = "" if asked.connects else OFFLINE
    if status is not None:
        untried = SERVED
    seen = Seen(host, running, find_holders(host, paths), str(asked.data_dir.resolve()), untried)
    found += [finding for port in ports for finding in port_findings(seen, port)]
    found += driver_findings(host, running)
    if asked.port is not None:
        return found
    if not ports:
        found.append(
            Finding(
                "port", "ports", "warning", "no serial port is plugged in", "plug an adapter in, then\nserialgw ports"
            )
        )
    found += room_findings(asked.data_dir, gateway.storage if gateway is not None else Storage())
    found.append(clock_finding(asked.data_dir))
    told = {finding.subject for finding in found if finding.level == "fault"}
    found += _of_gateway(status, asked, told)
    if status is None and gateway is not None and asked.file is not None and asked.connects:
        found.append(_platform(gateway, asked))
    return found


def _configuration(asked: Asked, environ: Mapping[str, str]) -> tuple[list[Finding], Gateway | None]:
    """What is wrong with the configuration, and what it says."""
    if asked.file is None:
        active = read_active(asked.data_dir / ACTIVE_NAME)
        return [], None if active is None else active.gateway
    subject = str(asked.file)
    cure = f"serialgw check {shlex.quote(subject)}"
    try:
        loaded = read_whole(asked.file, environ)
    except ConfigError as error:
        return [Finding("configuration", subject, "fault", problem, cure) for problem in error.problems], None
    except OSError as error:
        return [Finding("configuration", subject, "fault", error.strerror or str(error), cure)], None
    if loaded.warnings:
        what = f"it can be used, with {counted(len(loaded.warnings), 'warning')}"
        return [Finding("configuration", subject, "warning", what, cure)], loaded.gateway
    return [Finding("configuration", subject, "ok", "it can be used")], loaded.gateway


def _ports(asked: Asked, gateway: Gateway | None) -> list[str]:
    """The ports to look at: the one that is named, or by a device's name; else all of the configuration, or of the
    machine."""
    lines = {device.name: device.line.port for device in gateway.devices} if gateway is not None else {}
    if asked.port is not None:
        return [lines.get(asked.port, asked.port)]
    return list(dict.fromkeys(lines.values())) or [port.by_id or port.path for port in list_ports()]


def _status(data_dir: Path) -> dict[str, Any] | None:
    """What the monitor of a gateway that runs says; None if none runs."""
    try:
        with Client(data_dir) as client:
            reply = client.call(MONITOR, "", Status(), ANSWER_S)
            document: dict[str, Any] = {} if reply.error else simplejson.loads(json_of(reply))
            return document
    except GatewayError:
        return None


def _of_gateway(status: Mapping[str, Any] | None, asked: Asked, told: Container[str]) -> Iterator[Finding]:
    """What the gateway says of itself, where one runs; of a port that it can't open nothing where more is `told`."""
    subject = str(asked.data_dir)
    if status is None:
        yield Finding("gateway", subject, "ok", "no gateway runs on this data directory")
        return
    devices: Sequence[Mapping[str, Any]] = status.get("devices", ())
    link = status.get("link", {})
    is_reached = link.get("state") == "up" and not link.get("fault")
    yield Finding("gateway", subject, "ok", f"a gateway runs, with {counted(len(devices), 'device')}")
    for device in devices:
        is_told = device["state"] == "port_closed" and device["port"] in told
        # The platform's own finding says it, with what mends it.
        is_told = is_told or (device["state"] == "not_accepted" and not is_reached)
        if not device["is_served"] and not is_told:
            what = f"{device['state'].replace('_', ' ')}: {device['reason']}"
            yield Finding(
                "device", device["name"], "fault", what, f"serialgw watch {shlex.quote(device['name'])} --raw"
            )
    place = f"{link.get('host', '')}:{link.get('port', '')}"
    if is_reached:
        yield Finding("platform", place, "ok", "the gateway that runs is connected")
    else:
        what, cure = _parted(str(link.get("fault") or link.get("state", "unknown")), place)
        yield Finding("platform", place, "fault", what, cure)


def _platform(gateway: Gateway, asked: Asked) -> Finding:
    """One attempt to connect."""
    assert asked.file is not None
    place = f"{gateway.platform.host}:{gateway.platform.port}"
    fault = reach_platform(asked.file, asked.data_dir)
    if fault:
        return Finding("platform", place, "fault", *_parted(fault, place))
    return Finding("platform", place, "ok", f"it lets the gateway in ({describe_platform(gateway.platform)})")


def _parted(sentence: str, place: str) -> tuple[str, str]:
    """A sentence of the publisher's, without the place that it begins with: what is wrong, and behind its first colon
    what to do."""
    sentence = sentence.removeprefix(f"{place} ")
    what, _, cure = sentence.partition(": ")
    return (what, cure) if cure else (sentence, "serialgw status")
