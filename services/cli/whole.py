"""A configuration with all that it names, read as the processes together will use it: what only one of them would find
out at its start is found before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from common.config.file_modes import file_warnings
from common.config.overlay import Overlay
from common.config.reading import Loaded, read_gateway
from common.core.errors import ConfigError


def read_whole(
    path: str | Path, environ: Mapping[str, str], *, with_secrets: bool = False, overlay: Overlay | None = None
) -> Loaded:
    """Reads a configuration like `read_gateway`; also looks into the TLS files, and at who may change or read what.

    Raises ConfigError with every problem.
    """
    loaded = read_gateway(path, environ, with_secrets=with_secrets, overlay=overlay)
    warnings = [*loaded.warnings, *file_warnings(loaded.gateway, environ)]
    if loaded.gateway.platform.security.uses_tls:
        from common.io.tls import tls_context  # Here: OpenSSL takes as long to load as all the rest.

        try:
            tls_context(loaded.gateway.platform)
        except ConfigError as error:
            raise ConfigError(error.problems, warnings) from None
    return Loaded(loaded.gateway, warnings)
