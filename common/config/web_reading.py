"""Reads the `web` section: where the monitor's page is, and what may be done there. The section is ours, not the
reference's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from common.config.findings import Findings, show
from common.config.json_object import JsonObject
from common.config.models import Web

VARIABLE: Final = "SERIALGW_WEB"
"""`off`, or ADDRESS:PORT: wins over the file, for containers and for a second gateway on one host."""
HOSTS_VARIABLE: Final = "SERIALGW_WEB_HOSTS"
"""Names, with commas between them, that come to those of the file: a container is called by its service's name."""
EXPECTED: Final = '"off", or an address and a port such as 127.0.0.1:8484 or [::1]:8484'
MOST_HOSTS: Final = 64


def read_web(top: JsonObject | None, environ: Mapping[str, str], findings: Findings) -> Web:
    """The section, or what counts without it."""
    entry = top.child("web") if top is not None else None
    web = Web() if entry is None else _read(entry)
    if names := tuple(filter(None, environ.get(HOSTS_VARIABLE, "").replace(" ", "").split(","))):
        web = msgspec.structs.replace(web, hosts=(*web.hosts, *names[:MOST_HOSTS]))
    said = environ.get(VARIABLE, "")
    return web if not said else _from_variable(web, said, findings)


def _read(entry: JsonObject) -> Web:
    found = Web(
        is_on=entry.flag("enable", True),
        address=entry.text("address", default=Web().address),
        port=entry.whole("port", Web().port, 1, 65_535),
        hosts=_hosts(entry),
        is_editable=entry.flag("edit", False),
        shows_frames=entry.flag("frames", True),
    )
    entry.warn_unknown()
    return found


def _hosts(entry: JsonObject) -> tuple[str, ...]:
    value = entry.values.get("hosts", [])
    entry.knows("hosts")
    if not isinstance(value, list) or len(value) > MOST_HOSTS or not all(isinstance(one, str) and one for one in value):
        entry.problem("hosts", show(value), f"a list of at most {MOST_HOSTS} host names")
        return ()
    return tuple(value)


def _from_variable(web: Web, said: str, findings: Findings) -> Web:
    if said.lower() == "off":
        return msgspec.structs.replace(web, is_on=False)
    address, _, port = said.rpartition(":")
    address = address.removeprefix("[").removesuffix("]")
    if not address or not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= 65_535:
        findings.problem("environment", VARIABLE, show(said), EXPECTED)
        return web
    return msgspec.structs.replace(web, is_on=True, address=address, port=int(port))
