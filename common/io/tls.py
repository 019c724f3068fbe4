"""TLS towards the platform: the settings that the configuration asks for."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NoReturn

from common.config.models import Platform
from common.core.errors import ConfigError


def tls_context(config: Platform) -> ssl.SSLContext | None:
    """The TLS settings; None where none are wanted. Raises ConfigError for files that can't be used.

    Files are read once, at the start: a certificate that is renewed takes effect when the publisher starts again.
    """
    security = config.security
    if not security.uses_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=security.ca_cert)
    except (OSError, ValueError) as error:
        _refuse("caCert", security.ca_cert or "", error, "a file with certificates in PEM form")
    if security.cert:
        try:
            # A key with a password would be asked for on the terminal: nobody is there.
            context.load_cert_chain(security.cert, security.private_key, password="")
        except (OSError, ValueError) as error:
            _refuse_pair(security.cert, security.private_key, error)
    if security.insecure:
        # Asked for in so many words (`insecure`): encrypted, but to whoever answers.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _refuse_pair(cert: str, key: str | None, error: Exception) -> NoReturn:
    """Says what is wrong with a client certificate and its key. OpenSSL says little: the key's file is looked at."""
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        _refuse("privateKey", key or cert, "the key of another certificate", f"the key of {cert}")
    if _is_locked(key or cert):
        _refuse("privateKey", key or cert, "a key with a password", "one without: the gateway starts with nobody there")
    _refuse("cert", f"{cert} and {key}" if key else cert, error, "a certificate and its private key, both in PEM form")


def _is_locked(file: str) -> bool:
    """True for a private key that is encrypted, in either of the forms that PEM has for that."""
    try:
        return b"ENCRYPTED" in Path(file).read_bytes()
    except OSError:
        return False


def _refuse(key: str, file: str, found: str | Exception, expected: str) -> NoReturn:
    if isinstance(found, ssl.SSLError | ValueError):
        found = "something else"
    elif isinstance(found, OSError):
        found = f"nothing that can be read ({found.strerror})"
    raise ConfigError(
        [f"thingsboard.security.{key}: {file} can't be used: found {found}, expected {expected}"]
    ) from None
