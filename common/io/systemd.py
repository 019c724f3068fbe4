"""Tells systemd how we are, where it has started us: sd_notify's protocol, one datagram a message."""

from __future__ import annotations

import os


def notify_systemd(message: str, address: str | None = None) -> None:
    """Says `READY=1`, `WATCHDOG=1` or the like to NOTIFY_SOCKET; nothing where there is none. Never waits, and raises
    nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
    if not address:
        return
    # Here: most processes are started by nobody who wants to know, and a port reader keeps what it has loaded.
    import socket

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            # A name that begins with @ is one of Linux's that stands in no folder.
            sender.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)
    except OSError:
        pass
