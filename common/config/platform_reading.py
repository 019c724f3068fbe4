"""Reads the `thingsboard` section, with the environment variables that win over it.

Secrets pass through here: no message ever shows a value of `security`, only what kind of thing was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from common.config.findings import Findings, kind_of, show
from common.config.host_reading import TLS_PORT, read_host, read_port, warn_odd_port
from common.config.json_object import JsonObject
from common.config.models import PAYLOAD_GUESS_BYTES, Platform, Security
from common.config.provisioning_reading import is_asked_by, read_provisioning
from common.config.rates_reading import read_rate_limits
from common.config.secret_files import with_secret_files
from common.config.services_reading import read_filtering, read_inactivity, read_statistics
from common.config.strategy_reading import read_strategy

SecurityType = Literal["none", "accessToken", "usernamePassword", "tlsAccessToken", "tlsPrivateKey"]
"""How the gateway proves who it is, in the reference's words; the tls types bring certificates."""
SECURITY_TYPES: tuple[SecurityType, ...] = (
    "none",
    "accessToken",
    "usernamePassword",
    "tlsAccessToken",
    "tlsPrivateKey",
)
"""How the gateway may prove who it is, in the reference's words."""
PLATFORM_VARIABLES = (
    ("TB_GW_HOST", "host"),
    ("TB_GW_PORT", "port"),
    ("TB_GW_RATE_LIMITS", "rateLimits"),
    ("TB_GW_RATE_LIMITS", "messagesRateLimits"),
    ("TB_GW_RATE_LIMITS", "deviceRateLimits"),
    ("TB_GW_RATE_LIMITS", "deviceMessagesRateLimits"),
    ("TB_GW_DP_RATE_LIMITS", "dpRateLimits"),
    ("TB_GW_DP_RATE_LIMITS", "deviceDpRateLimits"),
    ("TB_GW_MESSAGES_RATE_LIMITS", "messagesRateLimits"),
    ("TB_GW_DEVICE_MESSAGES_RATE_LIMIT", "deviceMessagesRateLimits"),
    ("TB_GW_DEVICE_RATE_LIMITS", "deviceRateLimits"),
    ("TB_GW_DEVICE_DP_RATE_LIMITS", "deviceDpRateLimits"),
)
"""Environment variable, and a key of the section that it sets; a later one wins. As the reference has them: two
variables set several limits, and one is spelt without an S."""
SECURITY_VARIABLES = (
    ("TB_GW_SECURITY_TYPE", "type"),
    ("TB_GW_ACCESS_TOKEN", "accessToken"),
    ("TB_GW_CA_CERT", "caCert"),
    ("TB_GW_PRIVATE_KEY", "privateKey"),
    ("TB_GW_CERT", "cert"),
    ("TB_GW_CLIENT_ID", "clientId"),
    ("TB_GW_USERNAME", "username"),
    ("TB_GW_PASSWORD", "password"),
)
"""Environment variable, and the key of `security` that it sets: containers and services have their secrets there."""
PROXY_VARIABLES = ("TB_GW_PROXY_HOST", "TB_GW_PROXY_PORT")
"""Where the reference finds an HTTP proxy; here the platform is reached without one."""
_NO_PROXY = "has no effect: the platform is reached without a proxy"
TOKEN_PLACE = "YOUR_ACCESS_TOKEN"
"""What a starter configuration has where the access token belongs."""
_PLACE = re.compile(
    r"[.…*xX_-]+|<.*>|\[.*\]|\{.*\}|\$.+|(?:put|enter|insert|paste|replace|change|your)\b.*|changeme"
    r"|(?:.*[\s_-])?your[\s_-].*|(?:my[\s_-]?|gateway[\s_-]?)?(?:access[\s_-]?)?token(?:[\s_-]?here)?",
    re.IGNORECASE | re.DOTALL,
)
"""What examples and documents have where a secret belongs; no platform gives out tokens of these forms."""
LOGS_VARIABLE = "TB_GW_LOGS_PATH"
"""The folder of the reference's log files, of which there are none here."""
_UNSERVED = {
    "checkConnectorsConfigurationInSeconds": "has no effect: an edited file may be half written or wrong, so files are "
    "read when the gateway is started again, which loses nothing",
    "latencyDebugMode": "has no effect: no message says how long its readings were on their way; `serialgw watch` "
    "shows when each frame and each reading passes",
}
"""Keys of the reference without a counterpart here, and why."""


def read_platform(
    values: Mapping[str, Any],
    file: str,
    folder: Path,
    environ: Mapping[str, str],
    findings: Findings,
    *,
    read_secret_files: bool = True,
) -> Platform:
    """The platform, with its secrets. `values` is the `thingsboard` object, `folder` where relative files stand.

    Without `read_secret_files` the files that hold secrets are only opened, to see that they can be, and not read.
    """
    environ = with_secret_files(environ, folder, findings, read_them=read_secret_files)
    merged, places = _overlay(values, PLATFORM_VARIABLES, environ)
    # The environment knows texts only; a port from there is a number all the same.
    if isinstance(merged.get("port"), str) and "port" in places and merged["port"].strip().isascii():
        digits = merged["port"].strip()
        merged["port"] = int(digits) if digits.isdigit() and len(digits) < 10 else merged["port"]
    entry = JsonObject(merged, file, "thingsboard", findings, places)
    if environ.get(PROXY_VARIABLES[0]):
        findings.warning("environment", PROXY_VARIABLES[0], _NO_PROXY)
    if environ.get(LOGS_VARIABLE):
        sentence = "has no effect: the log goes to standard error, and whoever runs the gateway keeps it"
        findings.warning("environment", LOGS_VARIABLE, sentence)
    host, port, qos = read_host(entry), read_port(entry), _read_qos(entry)
    is_provisioned = is_asked_by(environ)
    security = _read_security(entry, folder, environ, port, is_provisioned=is_provisioned)
    provisioning = read_provisioning(entry, environ, has_credentials=_has_credentials(security))
    if provisioning is not None and (ca_cert := _read_provisioning_ca(entry, folder, environ)):
        security = msgspec.structs.replace(security, ca_cert=ca_cert)
    timeout_s, period_s = read_inactivity(entry)
    platform = Platform(
        host=host,
        port=port,
        qos=qos,
        security=security,
        min_pack_send_delay_ms=entry.whole("minPackSendDelayMS", 50, 0),
        min_pack_size_to_send=entry.whole("minPackSizeToSend", 500, 1),
        max_payload_size_bytes=entry.whole("maxPayloadSizeBytes", PAYLOAD_GUESS_BYTES, 1),
        provisioning=provisioning,
        filtering=read_filtering(entry, folder),
        inactivity_timeout_s=timeout_s,
        inactivity_period_s=period_s,
        follows_renaming=entry.flag("handleDeviceRenaming", True),
        statistics=read_statistics(entry),
        rate_limits=read_rate_limits(entry, host),
        report_strategy=read_strategy(entry),
        remote_configuration=entry.flag("remoteConfiguration", False),
    )
    warn_odd_port(entry, platform.port, uses_tls=platform.security.uses_tls)
    _warn_unserved(entry)
    entry.warn_unknown()
    return platform


def _overlay(
    values: Mapping[str, Any], variables: Iterable[tuple[str, str]], environ: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    """Lays the environment's values over the file's; the places say of which key a message must name the variable
    instead."""
    given = {key: name for name, key in variables if environ.get(name)}
    merged = {**values, **{key: environ[name] for key, name in given.items()}}
    return merged, {key: ("environment", name) for key, name in given.items()}


def _read_qos(entry: JsonObject) -> int:
    """Always 1, whatever is written: with 0 the platform's acceptance could not be known, and 2 gains nothing."""
    qos = entry.whole("qos", 1, 0, 2)
    if qos == 0:
        entry.warning("qos", "0 is raised to 1: the server refuses 0 on gateway topics")
    elif qos == 2:
        entry.warning("qos", "2 is lowered to 1: the gateway itself drops what comes twice")
    return 1


def _has_credentials(security: Security) -> bool:
    """True if the gateway can say who it is."""
    return security.type != "none"


def _read_provisioning_ca(platform: JsonObject, folder: Path, environ: Mapping[str, str]) -> str | None:
    """The certificate that `provisioning` names for the platform, which counts from then on."""
    section = platform.values.get("provisioning")
    variables = (("TB_GW_PROVISIONING_DEVICE_CA_CERT_FILENAME", "caCert"),)
    merged, places = _overlay(section if isinstance(section, dict) else {}, variables, environ)
    return _read_file(JsonObject(merged, *platform.place("provisioning"), platform.findings, places), "caCert", folder)


def _read_security(
    platform: JsonObject, folder: Path, environ: Mapping[str, str], port: int, *, is_provisioned: bool
) -> Security:
    """Who the gateway is. Raises nothing; what is missing or wrong is noted without any value. `is_provisioned`: the
    environment asks for provisioning, and what the file says of who it is does not count."""
    platform.knows("security")
    values = platform.values.get("security", {})
    if not isinstance(values, dict):
        platform.problem("security", kind_of(values), "an object")
        values = {}
    if is_provisioned:
        values = {key: value for key, value in values.items() if key in ("caCert", "insecure", "tls")}
    # An empty variable counts as not set: unit files and compose files leave such behind.
    merged, places = _overlay(values, SECURITY_VARIABLES, environ)
    entry = JsonObject(merged, *platform.place("security"), platform.findings, places)
    security = Security(
        type=_security_type(entry, places),
        access_token=entry.secret("accessToken"),
        username=entry.secret("username"),
        password=entry.secret("password"),
        client_id=entry.secret("clientId"),
        ca_cert=_read_file(entry, "caCert", folder),
        private_key=_read_file(entry, "privateKey", folder),
        cert=_read_file(entry, "cert", folder),
        insecure=entry.flag("insecure", False),
        # The reference speaks TLS on this port whatever else is said.
        tls=entry.flag("tls", port == TLS_PORT),
    )
    entry.knows("checkCertPeriod", "certificateDaysLeft")
    _check_credentials(entry, security)
    entry.warn_unknown()
    return security


def _security_type(entry: JsonObject, places: Mapping[str, tuple[str, str]]) -> SecurityType:
    """The type that the environment's credentials imply, else the file's, else the one that its credentials imply.

    Whoever sets TB_GW_ACCESS_TOKEN means it, whatever type the file was written for. A type that is none is not shown
    in the message: somebody may have put the token there.
    """
    said = entry.values.get("type")
    if "type" not in places:
        if "accessToken" in places and said not in ("accessToken", "tlsAccessToken"):
            entry.knows("type")
            return "accessToken"
        if places.keys() & {"username", "password"} and "accessToken" not in places:
            entry.knows("type")
            return "usernamePassword"
    implied: SecurityType = "none"
    if "accessToken" in entry.values:
        implied = "accessToken"
    elif entry.values.keys() & {"username", "password", "clientId"}:
        implied = "usernamePassword"
    elif "privateKey" in entry.values:
        implied = "tlsPrivateKey"
    entry.used("type")
    if "type" not in entry.values:
        return implied
    if said in SECURITY_TYPES:
        kind: SecurityType = entry.choice("type", implied, SECURITY_TYPES)
        return kind
    # Someone may have put the token here: the value is not shown.
    entry.problem("type", kind_of(said), "one of " + ", ".join(f'"{name}"' for name in SECURITY_TYPES[1:]))
    return implied


def _check_credentials(entry: JsonObject, security: Security) -> None:
    """Notes what the type of security needs and does not have, and what is risky or has no effect."""
    if security.type in ("accessToken", "tlsAccessToken") and "accessToken" not in entry.values:
        entry.problem("accessToken", "nothing", "the gateway's access token")
    if security.access_token is not None and is_placeholder(security.access_token):
        entry.warning(
            "accessToken", "still the placeholder: put the gateway's access token there, or into TB_GW_ACCESS_TOKEN"
        )
    if security.type == "usernamePassword" and not entry.values.keys() & {"username", "clientId"}:
        entry.problem("username", "nothing", "the gateway's user name")
    if security.type == "tlsPrivateKey" and "cert" not in entry.values:
        entry.problem("cert", "nothing", "the file with the gateway's client certificate")
    if "privateKey" in entry.values and "cert" not in entry.values and security.type != "tlsPrivateKey":
        entry.warning("privateKey", 'a key without "cert", its certificate, has no effect')
    if security.cert and not security.uses_tls:
        entry.warning("cert", 'has no effect without TLS: "caCert", or "tls": true, switches it on')
    if security.insecure and security.uses_tls:
        entry.warning("insecure", "the server's certificate is not checked: anyone in between can read and answer")


def is_placeholder(secret: str) -> bool:
    """True for what stands in examples in place of a secret, such as `YOUR_ACCESS_TOKEN`, `…` or `<token>`."""
    return _PLACE.fullmatch(secret.strip()) is not None


def _read_file(entry: JsonObject, key: str, folder: Path) -> str | None:
    """The absolute path of a file that must be there and readable; None where there is none, or a problem was noted.

    A name is taken relative to the main file, and where nothing has it there, to the folder that we were started in, as
    the reference does it.
    """
    name = entry.maybe_path(key)
    if name is None:
        return None
    path = folder / name
    try:
        if not path.exists() and Path(name).exists():
            path = Path(name).absolute()
        with path.open("rb"):
            return str(path)
    except OSError as error:
        reason = error.strerror or "it can't be read"
    except ValueError:
        reason = "a name that no file can have"
    # Some put the key itself here, and nobody is to see that.
    said = "a key itself" if "PRIVATE KEY" in name else show(name)
    entry.problem(key, f"{said} ({reason})", "a readable file beside the main file, or an absolute path")
    return None


def _warn_unserved(entry: JsonObject) -> None:
    """Warns of keys that the reference knows and that have no effect here, where they are switched on.

    A section that is there and switched off asks for nothing, so it gets no warning; nor does 0 s.
    """
    for key, sentence in _UNSERVED.items():
        entry.knows(key)
        value = entry.values.get(key)
        if isinstance(value, dict):
            value = value.get("enable", False)
        if value not in (None, False, 0):
            entry.warning(key, sentence)
    entry.knows("proxy_host", "proxy_port", "keep_alive", "managerEnabled")
    if entry.values.get("proxy_host"):
        entry.warning("proxy_host", _NO_PROXY)
    if "keep_alive" in entry.values:
        entry.warning("keep_alive", "has no effect: the connection is tested every 30 s")
    if not entry.flag("syncDevicesSharedAttributesOnConnect", True):
        sentence = "has no effect: shared attributes are asked for whenever a device is announced"
        entry.warning("syncDevicesSharedAttributesOnConnect", sentence)
    if entry.flag("remoteShell", False):
        entry.warning("remoteShell", "the gateway never runs commands that come from the platform")
