"""The seam for platforms that give credentials to a gateway that has none: what is asked, and what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from common.config.models import ProvisioningType
from services.publisher.core.dialects import Outgoing


class Ask(NamedTuple):
    """What the gateway asks for. All of it but `type` and `device_name` is secret."""

    type: ProvisioningType
    device_name: str
    key: str
    secret: str
    access_token: str = ""
    """For ACCESS_TOKEN: the token that it wishes for."""
    username: str = ""
    """This and the next two for MQTT_BASIC."""
    password: str = ""
    client_id: str = ""
    certificate: str = ""
    """For X509_CERTIFICATE: its own, in PEM form."""


class Given(NamedTuple):
    """The platform gives credentials. `content` is the file in which they are kept; it is secret."""

    type: ProvisioningType
    content: bytes


class Denied(NamedTuple):
    """The platform gives none."""

    why: Literal["unknown", "refused", "unclear"]
    """It knows no such key; it knows the key, and refuses all the same; its answer can't be understood."""
    reason: str = ""
    """Its own words."""


class ProvisioningWords(Protocol):
    """How a kind of platform is asked for credentials, on a connection that is made for that."""

    user: str
    """The user name by which it knows such a connection."""
    subscriptions: Sequence[tuple[str, bool]]
    """As a dialect's."""

    def request(self, ask: Ask) -> Outgoing:
        """The question."""
        ...

    def answer(self, topic: str, payload: bytes) -> Given | Denied | None:
        """What a message says; None for one that is no answer. Raises nothing."""
        ...
