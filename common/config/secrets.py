"""Which of a platform's fields are secrets, and a copy of it with or without them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from common.config.models import Platform
from common.config.names import PROVISIONING_SECRETS, SECRETS


def secrets_in(platform: Platform) -> dict[str, str]:
    """The platform's secrets, each under the variable that it may come from."""
    found = {name: getattr(platform.security, field) for name, field in SECRETS.items()}
    if platform.provisioning is not None:
        found |= {name: getattr(platform.provisioning, field) for name, field in PROVISIONING_SECRETS.items()}
    return {name: value for name, value in found.items() if value is not None}


def with_secrets_in(platform: Platform, values: Mapping[str, str | None]) -> Platform:
    """A copy of the platform in which the secrets under these variables have these values."""
    security = {SECRETS[name]: value for name, value in values.items() if name in SECRETS}
    platform = msgspec.structs.replace(platform, security=msgspec.structs.replace(platform.security, **security))
    if platform.provisioning is None:
        return platform
    asked = {PROVISIONING_SECRETS[name]: value for name, value in values.items() if name in PROVISIONING_SECRETS}
    return msgspec.structs.replace(platform, provisioning=msgspec.structs.replace(platform.provisioning, **asked))


def without_secrets(platform: Platform) -> Platform:
    """A copy of the platform for those that don't speak to it: user name and client id can be credentials too.

    What a process does not have, no crash, heartbeat or log line of it can say.
    """
    return with_secrets_in(platform, dict.fromkeys((*SECRETS, *PROVISIONING_SECRETS)))
