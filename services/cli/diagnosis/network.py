"""Ports at the other end of a network: whether somebody is there, or whether ours is free to listen at."""

from __future__ import annotations

import errno
import os
import socket
from typing import Final
from urllib.parse import urlsplit

from services.cli.diagnosis.finding import Finding

CONNECT_S: Final = 3.0
"""A server on a network of machines answers within; `no answer` is said after it."""
LISTEN_SCHEME: Final = "tcp-listen"


def network_finding(port: str) -> Finding:
    """Connects and hangs up at once, or listens and stops at once. Not for a port that a running gateway serves: most
    servers take one client, and an address is listened at by one program."""
    parts = urlsplit(port)
    try:
        if parts.scheme.lower() == LISTEN_SCHEME:
            return _listen(port, parts.hostname or "", parts.port or 0)
        with socket.create_connection((parts.hostname, parts.port or 0), CONNECT_S):
            return Finding("network", port, "ok", "somebody listens there")
    except (OSError, ValueError) as error:
        return Finding("network", port, "fault", *_explain(error, parts.hostname or "", parts.port))


def _listen(port: str, host: str, number: int) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, number))
        server.listen(1)
    return Finding("network", port, "ok", "it is free to listen at")


def _explain(error: Exception, host: str, number: int | None) -> tuple[str, str]:
    """What was found, and what mends it."""
    if isinstance(error, socket.gaierror):
        return (
            f'the host name "{host}" is not known here',
            f"the name in the port, or the name server:\ngetent hosts {host}",
        )
    match getattr(error, "errno", None):
        case errno.ECONNREFUSED:
            cure = f"start the server there (ser2net), or mend the number in the port:\nnc -zv {host} {number}"
            return "the machine answers, and nothing listens at that number", cure
        case errno.EADDRINUSE:
            return "another program listens at that number", f"it is shown by:\nsudo ss -ltnp 'sport = :{number}'"
        case errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine", "ip -brief address"
        case errno.EACCES:
            return "this user may not listen below 1024", "a number from 1024 up, here and in the device"
    if isinstance(error, TimeoutError):
        cure = f"its power, its cable, its address, and a firewall in between:\nping -c 3 {host}"
        return f"there is no answer within {CONNECT_S:g} s", cure
    code = getattr(error, "errno", None)
    return os.strerror(code) if code else str(error), f"ip route get {host}"
