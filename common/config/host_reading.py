"""Reads where the platform is: `host` and `port`, and what people write there by mistake."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from common.config.findings import show
from common.config.json_object import JsonObject

DEFAULT_PORT: Final = 1883
PLAIN_PORT: Final = 1883
"""MQTT without TLS, by IANA's list."""
TLS_PORT: Final = 8883
"""MQTT with TLS, by the same."""
WEB_PORTS: Final = (80, 443, 8080, 8443, 9090)
"""Where web pages are, ThingsBoard's own among them."""
WEB_SOCKET_PORTS: Final = (8083, 8084, 9001)
"""Where MQTT brokers offer MQTT within web sockets."""
_URL: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[^/@]*@)?([^/?#]*).*", re.DOTALL)
"""Anything that a URL may be, whole or in part: its host with a port at most."""
_HOST_AND_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.%\w]*\]|[^:\[\]]*)(?::(\d{1,5}))?", re.ASCII)


def read_host(entry: JsonObject) -> str:
    """The platform's name or address. A URL, a path or a port in it is a problem, not looked up as a name."""
    host = entry.text("host", default="localhost")
    if _is_address(host):
        return host
    is_alone = not any(char in "/@?#[]:" for char in host)
    if is_alone and not any(char.isspace() or char < " " for char in host):
        return host
    # What stands before an @ may be a password.
    found = "a URL with credentials in it" if "@" in host else show(host)
    entry.problem("host", found, _would_be(host))
    return host


def _would_be(host: str) -> str:
    """What is to be written in the place of this, as far as that can be told."""
    general = "a host name or an address"
    authority = _URL.fullmatch(host.strip())
    parts = _HOST_AND_PORT.fullmatch(authority[1]) if authority else None
    if parts is None or not (name := parts[1].strip("[]")) or any(char.isspace() or char < " " for char in name):
        return general
    number = f', and "port": {parts[2]} as a key of its own' if parts[2] else ""
    return f"{general} alone: {show(name)}{number}"


def _is_address(host: str) -> bool:
    """True for an address of IPv4 or IPv6 as such."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def read_port(entry: JsonObject) -> int:
    """The platform's port."""
    return entry.whole("port", DEFAULT_PORT, 1, 65_535)


def warn_odd_port(entry: JsonObject, port: int, *, uses_tls: bool) -> None:
    """Warns of a port that is usually another service's than what is configured. Any port may be right."""
    if "port" not in entry.values:
        return
    usual = f"MQTT is usually {PLAIN_PORT}, or {TLS_PORT} with TLS"
    if port in WEB_PORTS:
        entry.warning("port", f"{port} is usually a web server: {usual}")
    elif port in WEB_SOCKET_PORTS:
        entry.warning("port", f"{port} is usually MQTT within web sockets, which the gateway does not speak: {usual}")
    elif port == TLS_PORT and not uses_tls:
        advice = '"caCert" in "security" switches it on'
        entry.warning("port", f"{port} is usually MQTT with TLS, and the configuration asks for none: {advice}")
    elif port == PLAIN_PORT and uses_tls:
        entry.warning("port", f'{port} is usually MQTT without TLS, and "security" asks for TLS (usually {TLS_PORT})')
