"""Why the platform can't be reached, or refuses, or hangs up: one sentence each, with what to do. Pure.

The shell says what it has seen, as a kind (`LinkFault`), a number or the other side's first bytes. No library's word
and no error number of the operating system goes into a sentence: a person reads it in the log, in `serialgw status` and
in `serialgw check --connect`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from common.config.models import Platform
from common.core.byte_text import pairs_of
from common.core.errors import printable
from common.core.quoting import quoted
from services.publisher.core.dialects.provisioning import Denied
from services.publisher.core.events import LinkDown, LinkFault, Probed

UNCLEAR: Final[frozenset[LinkFault]] = frozenset({"no_tls", "tls_closed", "tls_silent", "closed", "silent"})
"""What may have several causes. A look at the other side (`Probe`) tells them apart."""
TAKEN_OVER: Final = 142
"""DISCONNECT of MQTT 5: another client has connected with our client id."""
SHOWN_BYTES: Final = 40
"""So much of what a server says that speaks no MQTT is shown."""
TLS_ALERT: Final = b"\x15\x03"
"""How a TLS server answers to what is no TLS: the type of an alert and the version's first byte (RFC 8446, 5.1)."""
WEB: Final = (b"HTTP/", b"<!DOCTYPE", b"<HTML")
"""How web servers answer, some of them without a head to what they don't understand."""

_EXPIRED, _NOT_YET, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64
"""OpenSSL's numbers of what is wrong with a certificate (X509_V_ERR_…)."""
_SELF_SIGNED: Final = (18, 19)

_REFUSALS: Final[dict[int, str]] = {
    129: "does not understand what the gateway sends",
    130: "does not understand what the gateway sends",
    136: "is not available at present: the gateway goes on trying",
    137: "is too busy at present: the gateway goes on trying",
    139: "is shutting down: the gateway goes on trying",
    141: "has heard nothing of the gateway for too long: look at the network between them",
    147: "says that too much is on its way at once",
    149: 'takes no message as large as this one: set "maxPayloadSizeBytes" lower',
    150: "says that the gateway sends too many messages: look at the rate limits of its profile on the platform",
    151: "says that a quota is used up: look at the limits of the tenant and of the gateway's profile on the platform",
    152: "was told by an administrator to close the connection",
    156: 'wants the gateway to use another server: ask who runs it, and set "host" to that',
    157: 'has moved: ask who runs it, and set "host" to the new server',
    159: "says that the gateway connects too often: the gateway waits longer",
}
"""Reason codes of MQTT 5, of a CONNACK or a DISCONNECT, that say why."""


class Place(NamedTuple):
    """What of the configuration a sentence may name. No secret is in it."""

    host: str
    port: int
    uses_tls: bool
    credentials: str
    """The type of security."""
    has_client_id: bool
    """True if a client id is configured."""
    has_ca: bool = False
    """True if a file with certificates to trust is configured."""
    is_provisioned: bool = False
    """True if the platform has given the gateway its credentials."""

    @classmethod
    def of(cls, config: Platform) -> Place:
        """The platform's, without its secrets."""
        security = config.security
        return cls(
            config.host,
            config.port,
            security.uses_tls,
            security.type,
            security.client_id is not None,
            security.ca_cert is not None,
            config.provisioning is not None,
        )

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def describe_failure(place: Place, event: LinkDown, found: Probed | None = None) -> str:
    """Why a connection could not be made, or ended before it was accepted. `found`: what a look at the other side has
    shown. A kind that is not known leaves the shell's own words."""
    if event.kind in UNCLEAR and found is not None and (looked := _describe_found(place, found)):
        return looked
    match event.kind:
        case "name":
            advice = 'check "host", and the name server of this machine'
            return f'the host name "{place.host}" is not known here: {advice}'
        case "refused":
            advice = 'check "host" and "port", and whether the platform runs'
            return f"{place} refuses connections, nothing listens there: {advice}"
        case "unreachable":
            return f'there is no way through the network to {place.host}: check this machine\'s network, and "host"'
        case "no_answer":
            return f'{place} does not answer: check "host" and "port", and whether a firewall is in between'
        case "late":
            return f'no connection to {place} could be made in time: check "host" and "port", and the network'
        case "certificate":
            return _describe_certificate(place, event.code)
        case "tls_alert":
            return _describe_alert(place, event.reason)
        case "no_tls":
            return f"{place} does not speak TLS, and the gateway does: {_plain_advice()}"
        case "tls_closed":
            return f"{place} hangs up when the gateway begins with TLS, as if it did not speak it: {_plain_advice()}"
        case "tls_silent":
            return f'{place} takes the connection, and does not answer to TLS: check "port"'
        case "foreign":
            return _describe_foreign(place, event.said)
        case "closed":
            return f"{place} hangs up before it has said a word of MQTT: {_port_advice(place)}"
        case "silent":
            return f"{place} takes the connection, and does not answer to MQTT: {_port_advice(place)}"
    return event.reason


def describe_loss(place: Place, event: LinkDown) -> str:
    """Why a connection ended that had been accepted."""
    if event.code == TAKEN_OVER:
        return describe_taken(place)
    if event.code in _REFUSALS:
        return f"{place} {_REFUSALS[event.code]}"
    if event.kind == "unacknowledged":
        return (
            f"{place} accepts the connection, and never acknowledges what the gateway publishes: in ThingsBoard the "
            'access token has to be that of a device with "Is gateway" ticked'
        )
    if event.kind == "lost":
        return f"{place} does not answer any more: look at the network between, and whether the platform still runs"
    return f"{place} has closed the connection" if event.kind == "closed" else event.reason


def describe_taken(place: Place) -> str:
    """Another client pushes us out, and we it."""
    own = 'give this gateway a "clientId" of its own in "security"'
    if not place.has_client_id:
        own += " (a data directory that was copied brings the other's id along, in the file publisher.id)"
    return f"another client uses the same client id at {place}, and each pushes the other out: {own}"


def describe_restless(place: Place, *, was_published: bool) -> str:
    """Connections are accepted and lost again and again. `was_published`: each ended while the platform had not
    acknowledged the first that was published."""
    if was_published:
        return (
            f"{place} accepts the connection, and closes it when the gateway publishes: in ThingsBoard the access "
            'token has to be that of a device with "Is gateway" ticked'
        )
    return (
        f"{place} accepts the connection, and soon closes it, again and again: most probably another client uses the "
        "same client id or access token, or a limit of the platform is reached; if it can't take what some device "
        "says, the gateway finds that out"
    )


def describe_refusal(place: Place, code: int, reason: str) -> str:
    """Why CONNACK refused us. `reason` are the words for a code that is not known here."""
    if code == 133:
        return f'{place} refuses the client id: check "clientId" in "security"'
    if code == 138:
        return f"{place} has banned this client: ask who runs it"
    if code in (134, 135, 140):
        if place.credentials == "provisioning":
            advice = 'is it ThingsBoard, and "port" right? Else set "accessToken" in "security"'
            return f"{place} lets nobody ask for credentials: {advice}"
        if place.is_provisioned:
            return (
                f"{place} refuses the credentials that it had given this gateway: if the gateway was deleted there, "
                "remove the file publisher.credentials in the data directory, and it asks anew at its next start"
            )
        match place.credentials:
            case "accessToken" | "tlsAccessToken":
                advice = 'check "accessToken" in "security" (in ThingsBoard: Devices, the gateway, Copy access token)'
                return f"{place} refuses the access token of the gateway: {advice}"
            case "usernamePassword":
                advice = 'check "username", "password" and "clientId" in "security"'
                return f"{place} refuses the user name and password of the gateway: {advice}"
            case "tlsPrivateKey":
                advice = "in ThingsBoard the credentials of the gateway have to be this certificate (X.509)"
                return f'{place} does not know the certificate of the gateway ("cert" in "security"): {advice}'
            case _:
                advice = 'set "accessToken", or "username" and "password", in "security"'
                return f"{place} lets nobody in without credentials, and the gateway has none: {advice}"
    return f"{place} {_REFUSALS[code]}" if code in _REFUSALS else f"{place} refuses the gateway: {reason}"


def describe_denial(place: Place, denied: Denied, device: str) -> str:
    """Why the platform gives no credentials to a gateway that asks for them; `device` is what it is to be called."""
    where = 'in ThingsBoard they stand in the device profile of gateways, under "Device provisioning"'
    match denied.why:
        case "unknown":
            return (
                f'{place} does not know the key for provisioning: check "provisionDeviceKey" and '
                f'"provisionDeviceSecret" in "provisioning" ({where})'
            )
        case "refused":
            words = f" ({denied.reason})" if denied.reason else ""
            return (
                f"{place} knows the key for provisioning, and gives no credentials{words}: if a device of the name "
                f'"{printable(device)}" is there already, delete it or choose another "deviceName"; else look at how '
                "the device profile allows provisioning"
            )
    return f"{place} answers to the request for credentials, and the answer can't be understood"


def describe_unanswered(place: Place, waited_s: float | None) -> str:
    """The request for credentials has no answer; `waited_s` None: the platform hung up instead."""
    how = "hangs up" if waited_s is None else f"has not answered within {waited_s:g} s"
    return f"{place} {how} when the gateway asks for credentials: is it ThingsBoard, and does it know provisioning?"


def _plain_advice() -> str:
    return 'set "port" to the one for MQTT with TLS (usually 8883), or take "caCert" and the tls type out of "security"'


def _tls_advice() -> str:
    return 'set "port" to the one for MQTT without TLS (usually 1883), or "caCert" in "security" for TLS'


def _port_advice(place: Place) -> str:
    usual = "8883 for MQTT with TLS" if place.uses_tls else "1883 for MQTT"
    return f'check "port" (usually {usual})'


def _describe_found(place: Place, found: Probed) -> str:
    """What a look at the other side has shown; "" for nothing."""
    match found.found:
        case "tls":
            return f"{place} speaks TLS, and the gateway does not: {_tls_advice()}"
        case "no_certificate":
            return _describe_alert(place, "CERTIFICATE_REQUIRED")
        case "mqtt":
            return f"{place} speaks MQTT without TLS, and the gateway begins with TLS: {_plain_advice()}"
        case "other":
            return _describe_foreign(place, found.said)
    return ""


def _describe_foreign(place: Place, said: bytes) -> str:
    """Something else than MQTT listens there; `said` are its first bytes."""
    if said.upper().startswith(WEB):
        return f"{place} is a web server and no MQTT broker: {_port_advice(place)}"
    if said.startswith(TLS_ALERT):
        return f"{place} speaks TLS, and the gateway does not: {_tls_advice()}"
    line = said[:SHOWN_BYTES].split(b"\r")[0].split(b"\n")[0]
    is_text = bool(line) and all(0x20 <= byte < 0x7F for byte in line)
    shown = quoted(line.decode()) if is_text else pairs_of(said[:8])
    return f"{place} is no MQTT broker, it says {shown}: {_port_advice(place)}"


def _describe_certificate(place: Place, code: int) -> str:
    if code == _EXPIRED:
        return f"the certificate of {place} has expired: it is to be renewed there; check the clock of this machine too"
    if code == _NOT_YET:
        return f"the certificate of {place} is not valid yet: check the clock of this machine"
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return f'the certificate of {place} is for another name: set "host" to the name that stands in it'
    if place.has_ca:
        return (
            f'the certificate of {place} was not signed by the one in the file that "caCert" in "security" names: take '
            "the file of whoever has signed it, or the certificate itself where it is self-signed"
        )
    whose = "is self-signed" if code in _SELF_SIGNED else "is from an authority that is not trusted here"
    return f'the certificate of {place} {whose}: set "caCert" in "security" to the file of whoever has signed it'


def _describe_alert(place: Place, reason: str) -> str:
    """`reason` is OpenSSL's word for the alert."""
    word = reason.upper()
    if "CERTIFICATE_EXPIRED" in word:
        return (
            f'{place} says that the certificate of the gateway has expired: renew the file of "cert" in "security", '
            "and start the gateway again; check the clock of this machine too"
        )
    if "CERTIFICATE" in word or "UNKNOWN_CA" in word or "DECRYPT_ERROR" in word:
        return f'{place} wants a certificate of the gateway, or another: check "cert" and "privateKey" in "security"'
    if "PROTOCOL" in word or "VERSION" in word:
        return f"{place} speaks no version of TLS that this machine takes: it has to be brought up to date"
    if "NAME" in word:
        return f'{place} does not serve the name "{place.host}": set "host" to the name in its certificate'
    return f"{place} and the gateway can't agree on how to encrypt: look at the TLS settings of the server"
