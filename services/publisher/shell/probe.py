"""A look at what listens at the platform's address, after an attempt that failed without a reason.

At most three short connections, one after the other. Nothing is said on them but the beginning of a protocol: a TLS
handshake, CONNECT without a name and without credentials, a question for the head of a web page. The certificate is not
checked, for nothing is trusted to whoever answers.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Final

from services.publisher.core.events import Probed
from services.publisher.shell.mqtt import is_no_tls

STEP_S: Final = 2.0
"""Seconds for each step: a server that is there answers within."""
ALERT_S: Final = 0.5
"""Seconds for what a TLS server says unasked."""
NO_CERTIFICATE: Final = b"\x15certificate"
"""Stands for the alert of a server that wants a certificate of ours."""
SAID_BYTES: Final = 64
"""So much of an answer is read."""
CONNECT: Final = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x05\x00\x00"
"""MQTT 3.1.1: a clean session, 5 s, no client id, no credentials (MQTT 3.1.1, 3.1). Any answer will do."""
HEAD: Final = b"HEAD / HTTP/1.0\r\n\r\n"
_CONNACK: Final = 0x20


def probe(connection: int, host: str, port: int, *, with_tls: bool) -> Probed:
    """What listens at this address, found in four times `STEP_S` at most if the name resolves in time.

    `with_tls`: the attempt that failed began with TLS. Raises nothing; finds "" where nothing can be said.
    """
    with contextlib.suppress(OSError, ValueError):
        speaks_tls, answer = _greet(host, port)
        if answer == NO_CERTIFICATE:
            return Probed(connection, "no_certificate")
        if answer:
            return Probed(connection, "other", answer)
        if speaks_tls:
            # To a gateway that speaks TLS too, that alone says nothing.
            return Probed(connection, "" if with_tls else "tls")
    for question in (CONNECT, HEAD) if with_tls else (HEAD,):
        with contextlib.suppress(OSError, ValueError):
            said = _ask(host, port, question)
            if said[:1] == bytes([_CONNACK]):
                return Probed(connection, "mqtt")
            if said:
                return Probed(connection, "other", said)
    return Probed(connection, "")


def _greet(host: str, port: int) -> tuple[bool, bytes]:
    """(True if it speaks TLS, what it says there when asked for the head of a web page)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, port), STEP_S) as plain:
        plain.settimeout(STEP_S)
        try:
            speaker = context.wrap_socket(plain, server_hostname=host)
        except ssl.SSLError as error:
            # One that refuses our TLS speaks it all the same.
            return not is_no_tls(error), b""
        with speaker:
            try:
                # Over TLS 1.3 who misses a certificate says so now, and what is sent to it meanwhile hides that.
                speaker.settimeout(ALERT_S)
                with contextlib.suppress(TimeoutError):
                    return True, speaker.recv(SAID_BYTES)
                speaker.settimeout(STEP_S)
                speaker.sendall(HEAD)
                said = speaker.recv(SAID_BYTES)
                return True, said if said.startswith(b"HTTP/") else b""
            except ssl.SSLError as error:
                return True, NO_CERTIFICATE if "CERTIFICATE" in (error.reason or "") else b""
            except OSError:
                pass
    return True, b""


def _ask(host: str, port: int, question: bytes) -> bytes:
    """What it says to this without TLS; b"" for nothing."""
    with socket.create_connection((host, port), STEP_S) as plain:
        plain.settimeout(STEP_S)
        plain.sendall(question)
        return plain.recv(SAID_BYTES)
