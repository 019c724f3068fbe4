"""Reads `provisioning`: how a gateway without credentials gets some, with the environment variables that win over it.

Secrets pass through here: no message ever shows one.
"""

from __future__ import annotations

from collections.abc import Mapping

from common.config.findings import choices, kind_of
from common.config.json_object import JsonObject
from common.config.models import Provisioning, ProvisioningType

TYPES: tuple[ProvisioningType, ...] = ("ACCESS_TOKEN", "MQTT_BASIC", "X509_CERTIFICATE")
"""Kinds of credentials, in ThingsBoard's words."""
PROVISIONING_VARIABLES = {
    "TB_GW_PROVISIONING_DEVICE_KEY": "provisionDeviceKey",
    "TB_GW_PROVISIONING_DEVICE_SECRET": "provisionDeviceSecret",
    "TB_GW_PROVISIONING_DEVICE_NAME": "deviceName",
    "TB_GW_PROVISIONING_DEVICE_ACCESS_TOKEN": "access_token",
    "TB_GW_PROVISIONING_DEVICE_USERNAME": "username",
    "TB_GW_PROVISIONING_DEVICE_PASSWORD": "password",
    "TB_GW_PROVISIONING_DEVICE_CLIENT_ID": "client_id",
    "TB_GW_PROVISIONING_DEVICE_CA_CERT_FILENAME": "caCert",
}
"""Environment variable → key of `provisioning`."""
_DECIDING = ("TB_GW_PROVISIONING_DEVICE_KEY", "TB_GW_PROVISIONING_DEVICE_SECRET")


def is_asked_by(environ: Mapping[str, str]) -> bool:
    """True if the environment asks for provisioning: with both key and secret, as in the reference."""
    return all(environ.get(name) for name in _DECIDING)


def read_provisioning(
    platform: JsonObject, environ: Mapping[str, str], *, has_credentials: bool
) -> Provisioning | None:
    """What the gateway asks for; None where nothing is asked for, or where it `has_credentials`, which go first."""
    platform.knows("provisioning")
    values = platform.values.get("provisioning")
    by_environment = is_asked_by(environ)
    if values is None and not by_environment:
        return None
    if values is not None and not isinstance(values, dict):
        platform.problem("provisioning", kind_of(values), "an object")
        return None
    given = {key: name for name, key in PROVISIONING_VARIABLES.items() if environ.get(name)} if by_environment else {}
    # As there: the environment's replaces the file's as a whole.
    merged = {key: environ[name] for key, name in given.items()} if by_environment else dict(values or {})
    places = {key: ("environment", name) for key, name in given.items()}
    entry = JsonObject(merged, *platform.place("provisioning"), platform.findings, places)
    found = Provisioning(
        type=_type_of(entry, is_given=not by_environment),
        device_name=entry.maybe_name("deviceName"),
        key=entry.secret("provisionDeviceKey"),
        secret=entry.secret("provisionDeviceSecret"),
        access_token=entry.secret(entry.used("access_token", "accessToken")),
        username=entry.secret("username"),
        password=entry.secret("password"),
        client_id=entry.secret(entry.used("client_id", "clientId")),
    )
    entry.knows("caCert")
    entry.warn_unknown()
    if has_credentials:
        if not by_environment:
            platform.warning("provisioning", 'has no effect: "security" has credentials already')
        return None
    for key in ("provisionDeviceKey", "provisionDeviceSecret"):
        if key not in merged:
            entry.problem(
                key, "nothing", "a text: the device profile on the platform has it, under Device provisioning"
            )
    return found


def _type_of(entry: JsonObject, *, is_given: bool) -> ProvisioningType:
    """The kind of credentials: as `type` says, in any case of letters; from the environment by what is set."""
    token, basic, certificate = TYPES
    if is_given:
        entry.used("type")
        said = entry.values.get("type", token)
        if isinstance(said, str) and said.upper() in TYPES:
            return next(kind for kind in TYPES if kind == said.upper())
        # Somebody may have put a key here: the value is not shown.
        entry.problem("type", kind_of(said), choices(TYPES))
        return token
    if "access_token" in entry.values:
        return token
    if entry.values.keys() & {"username", "password", "client_id"}:
        return basic
    return certificate if "caCert" in entry.values else token
