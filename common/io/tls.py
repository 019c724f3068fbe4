"""TLS towards the platform: the settings that the configuration asks for."""

from __future__ import annotations

import ssl

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
        if security.cert:
            context.load_cert_chain(security.cert, security.private_key)
    except (OSError, ValueError) as error:
        files = ", ".join(file for file in (security.ca_cert, security.cert, security.private_key) if file)
        raise ConfigError([f"thingsboard.security: {files} can't be used: {error}"]) from None
    if security.insecure:
        # Asked for in so many words (`insecure`): encrypted, but to whoever answers.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
