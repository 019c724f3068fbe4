"""How ThingsBoard is asked for credentials: over MQTT, by the user `provision`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from common.config.models import ProvisioningType
from common.core.errors import printable
from services.publisher.core.dialects import Outgoing
from services.publisher.core.dialects.provisioning import Ask, Denied, Given

REQUEST: Final = "/provision/request"
RESPONSE: Final = "/provision/response"
VERSION: Final = 1
SHOWN_CHARS: Final = 200
"""So much of the server's reason is shown."""
_UNCLEAR: Final = Denied("unclear")


class ThingsBoardProvisioning:
    """`services.publisher.core.dialects.provisioning.ProvisioningWords`."""

    user = "provision"
    subscriptions: Sequence[tuple[str, bool]] = ((RESPONSE, True),)

    def request(self, ask: Ask) -> Outgoing:
        asked: dict[str, Any] = {
            "deviceName": ask.device_name,
            "provisionDeviceKey": ask.key,
            "provisionDeviceSecret": ask.secret,
            "gateway": True,
            "credentialsType": ask.type,
        }
        match ask.type:
            case "ACCESS_TOKEN":
                asked["token"] = ask.access_token
            case "MQTT_BASIC":
                asked |= {"username": ask.username, "password": ask.password, "clientId": ask.client_id}
            case "X509_CERTIFICATE":
                asked["hash"] = ask.certificate
        return Outgoing(REQUEST, msgspec.json.encode(asked))

    def answer(self, topic: str, payload: bytes) -> Given | Denied | None:
        if topic != RESPONSE:
            return None
        try:
            said = msgspec.json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _UNCLEAR
        match said:
            case {"status": "SUCCESS", "credentialsType": str(kind), "credentialsValue": value}:
                return _given(kind, value)
            case {"status": "SUCCESS"}:
                return _UNCLEAR
            case {"status": "NOT_FOUND"}:
                return Denied("unknown", _reason_of(said))
            case {"status": str()}:
                return Denied("refused", _reason_of(said))
        return _UNCLEAR


def _reason_of(said: dict[str, Any]) -> str:
    reason = said.get("errorMsg")
    return printable(reason[:SHOWN_CHARS]) if isinstance(reason, str) else ""


def _given(kind: str, value: object) -> Given | Denied:
    """Credentials, as they are kept; those that can't be used are none."""
    kept = {"version": VERSION, "credentialsType": kind, "credentialsValue": value}
    given: ProvisioningType
    match kind, value:
        case "ACCESS_TOKEN", str() if value:
            given = "ACCESS_TOKEN"
        case "MQTT_BASIC", {"userName": str() | None} | {"clientId": str()}:
            given = "MQTT_BASIC"
        case "X509_CERTIFICATE", _:
            given = "X509_CERTIFICATE"
        case _:
            return _UNCLEAR
    return Given(given, msgspec.json.encode(kept))
