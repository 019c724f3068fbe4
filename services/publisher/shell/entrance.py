"""How the platform is reached: by which credentials, over what, and as which client."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from common.config.models import Gateway, Platform
from common.io.tls import tls_context
from services.publisher.core.dialects.provisioning import Ask
from services.publisher.core.dialects.thingsboard import ThingsBoard
from services.publisher.core.dialects.thingsboard_provisioning import ThingsBoardProvisioning
from services.publisher.shell.credentials import (
    CERT_NAME,
    KEY_NAME,
    find_credentials,
    keep_credentials,
    make_ask,
    remove_credentials,
    security_of,
)
from services.publisher.shell.platform_link import Access

# What any MQTT broker takes: printable, without blanks.
_CLIENT_ID: Final = re.compile(r"[!-~]{1,128}")


class Entrance:
    """How the platform is reached: with the credentials that are configured, or with those that it has given."""

    def __init__(self, data_dir: Path, gateway: Gateway) -> None:
        self._data_dir = data_dir
        self._platform = gateway.platform
        self._folder = Path(gateway.file).parent
        self._dialect = ThingsBoard()

    def find(self) -> tuple[Access, Ask | None, str]:
        """(how it is reached, what is asked for first, a sentence on kept credentials that can't be used). Raises
        ConfigError for files that can't be used."""
        wanted = self._platform.provisioning
        if wanted is None:
            return self._access(self._platform), None, ""
        found = find_credentials(self._platform, self._data_dir, self._folder)
        if found.security is not None:
            return self._access(replace(self._platform, security=found.security)), None, found.fault
        return self._asking(), make_ask(wanted, self._data_dir), found.fault

    def keep(self, content: bytes) -> tuple[Access, str]:
        """Keeps what the platform has given: (how it is reached with that, why it is not on the disk or "")."""
        error = keep_credentials(self._data_dir, content)
        security = security_of(content, self._platform.security, self._data_dir / KEY_NAME, self._data_dir / CERT_NAME)
        return self._access(replace(self._platform, security=security)), error

    def forget(self) -> tuple[bool, str]:
        """Removes what the platform has given: (whether there was anything, why it is still there or "")."""
        return remove_credentials(self._data_dir, self._folder)

    def look(self, client_id: str) -> Access:
        """How it is reached by somebody who only tries. Changes nothing. Raises ConfigError."""
        platform = self._platform
        if platform.provisioning is not None:
            kept = find_credentials(platform, self._data_dir, self._folder, sets_aside=False).security
            platform = replace(platform, security=kept) if kept else self._asking().config
        return Access(platform, platform.security.client_id or client_id, tls_context(platform), ())

    def _access(self, platform: Platform) -> Access:
        client_id = platform.security.client_id or own_client_id(self._data_dir / "publisher.id")
        subscriptions = tuple(self._dialect.subscriptions)
        return Access(platform, client_id, tls_context(platform), subscriptions, self._dialect.will)

    def _asking(self) -> Access:
        words = ThingsBoardProvisioning()
        security = replace(self._platform.security, type="usernamePassword", username=words.user)
        platform = replace(self._platform, security=security)
        # Without a client id of its own: the server would take it for the gateway's.
        client_id = f"provision-{os.urandom(6).hex()}"
        return Access(platform, client_id, tls_context(platform), tuple(words.subscriptions))


def own_client_id(path: Path) -> str:
    """A client id for who has configured none: made once for a data directory and kept in this file, so that the
    platform takes each start for the same client. One that was damaged is made anew; on a full disk it lives as long
    as the process. Raises nothing."""
    try:
        known = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        known = ""
    if _CLIENT_ID.fullmatch(known):
        return known
    made = f"serialgw-{os.urandom(6).hex()}"
    try:
        path.write_text(f"{made}\n", encoding="ascii")
    except OSError:
        pass  # The platform takes another id at the next start as well.
    return made
