"""One serial port: whether it is there, whether this user may open it, who has it, and who may take it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from common.config.ports import port_hint
from common.config.usb_ports import find_port, read_selector, selector_of, usb_ports
from services.cli.commands.ports import by_id_links, kind_of_file
from services.cli.diagnosis.access import access_finding, gate
from services.cli.diagnosis.adapters import Adapter, adapter_of, is_hollow, is_known
from services.cli.diagnosis.finding import Finding
from services.cli.diagnosis.holders import Held, lock_files
from services.cli.diagnosis.host import Host, Process, process_of
from services.cli.diagnosis.network import network_finding
from services.cli.diagnosis.programs import Place, holder_finding, program_findings

_KERNEL_NAME: Final = re.compile(r"tty[A-Z]+\d+")
"""Numbers are given in the order of plugging in."""
DEV_MOUNT: Final = "in docker-compose.yml, at this service:\nvolumes: [/dev:/dev]"


class Seen(NamedTuple):
    """What was seen of the machine, once for all ports."""

    host: Host
    running: Sequence[Process]
    held: Held
    data_dir: str
    """Of the gateway that is looked at, without links."""
    untried: str
    """Why ports in a network are left alone; "" where they are not."""


def port_findings(seen: Seen, port: str) -> list[Finding]:
    """Everything about a port, as it stands in a configuration or on the command line."""
    if "://" in port and not port.lower().startswith("usb://"):
        if seen.untried:
            return [Finding("network", port, "ok", seen.untried)]
        return [network_finding(port)]
    path = path_of(seen.host, port)
    if isinstance(path, Finding):
        return [path]
    missing = _missing(seen.host, port, path)
    return [missing] if missing is not None else list(_of_file(seen, port, path))


def path_of(host: Host, port: str) -> str | Finding:
    """The device file of a port, or why there is none."""
    if not port.lower().startswith("usb://"):
        return port
    selector = read_selector(port)
    try:
        if selector is None:
            raise LookupError("it is no selector, such as usb://0403:6001")
        return find_port(selector, host.sys, host.dev)
    except LookupError as error:
        return Finding(
            "port", port, "fault", str(error), "plug it in, or take the name that is printed by:\nserialgw ports"
        )


def _missing(host: Host, port: str, path: str) -> Finding | None:
    """Why a path is no port; None for one that may be one."""
    try:
        kind = kind_of_file(path)
    except OSError as error:
        return _not_there(host, port, path, error)
    if is_hollow(host, path):
        what = "the kernel has this name, and no chip behind it on this machine"
        return Finding("port", port, "fault", what, "take one that is printed by:\nserialgw ports")
    if kind:
        return Finding(
            "port", port, "fault", f"it is {kind}, and no serial port", "take one that is printed by:\nserialgw ports"
        )
    return None


def _not_there(host: Host, port: str, path: str, error: OSError) -> Finding:
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        return Finding(
            "port", port, "fault", f"it can't be looked at: {error.strerror}", f"ls -ld {os.path.dirname(path)}"
        )
    if is_known(host, path):
        what = "the adapter is plugged in, and its file is not to be seen"
        where = "here: only the devices of the container's start are" if host.is_container else "here"
        cure = (
            DEV_MOUNT
            if host.is_container
            else "let udev make it:\nsudo udevadm trigger --action=add --subsystem-match=tty"
        )
        return Finding("port", port, "fault", f"{what} {where}", cure)
    if os.path.islink(path):
        what = "the link leads nowhere: the adapter that it is named after is not plugged in"
        return Finding("port", port, "fault", what, "plug it in, or take the name that is printed by:\nserialgw ports")
    meant = port_hint(port)
    if meant is not None and os.path.exists(meant):
        return Finding("port", port, "fault", "there is no such port", f'in the configuration:\n"port": "{meant}"')
    plugged = ", ".join(one.path for one in usb_ports(host.sys, host.dev))
    there = f"plugged in: {plugged}" if plugged else "no USB adapter that has a port is plugged in"
    cure = "plug it in, or take the name that is printed by:\nserialgw ports"
    if host.is_container:
        cure = f"{cure}\nif the host has it:\n{DEV_MOUNT}"
    return Finding("port", port, "fault", f"there is no such port; {there}", cure)


def _of_file(seen: Seen, port: str, path: str) -> Iterator[Finding]:
    """Of a port that is there."""
    host, adapter = seen.host, adapter_of(seen.host, path)
    yield access_finding(port, path, gate(path), in_container=host.is_container)
    holders = seen.held.holders.get(os.stat(path).st_rdev, ())
    found = [one for holder in holders if (one := holder_finding(port, holder, seen.data_dir)) is not None]
    found += program_findings(host, Place(port, path, adapter), seen.running, holders)
    known = {holder.process.pid for holder in holders}
    for file, pid in lock_files(host, path):
        process = process_of(host, pid) if pid else None
        if process is None:
            what = f"a program that has ended has left its lock file {file} behind, and others keep away from the port"
            found.append(Finding("holder", port, "warning", what, f"sudo rm {file}"))
        elif pid not in known:
            cure = f"end that program:\nsudo kill {pid}"
            found.append(Finding("holder", port, "fault", f"{process} claims it by its lock file {file}", cure))
    yield from found
    if not holders and not any(one.level == "fault" for one in found):
        yield _free(seen, port)
    if (name := _stable_name(host, path, adapter)) and not port.lower().startswith("usb://"):
        what = "this name may be another adapter's after the next start, or when one is plugged in"
        yield Finding("name", port, "warning", what, f'in the configuration:\n"port": "{name}"')


def _free(seen: Seen, port: str) -> Finding:
    """Nobody is known to have it, as far as could be looked."""
    if not seen.held.unseen:
        return Finding("holder", port, "ok", "no other process has it open")
    what = "no process has it open of those that this user may look into; to see all:"
    return Finding("holder", port, "ok", what, f"sudo serialgw doctor {port}")


def _stable_name(host: Host, path: str, adapter: Adapter | None) -> str:
    """The name that stays with an adapter; "" where the path is one, or there is none."""
    if adapter is None or not _KERNEL_NAME.fullmatch(os.path.basename(path)):
        return ""
    links = by_id_links(Path(host.dev) / "serial" / "by-id")
    if link := links.get(os.path.realpath(path)):
        return link
    ports = usb_ports(host.sys, host.dev)
    return next((str(selector_of(one, ports)) for one in ports if one.path == path), "")
