"""Credentials that the platform has given this gateway: a file for its user alone, and a key with its certificate.

Nothing here reaches a log or another process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import string
import subprocess
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from common.config.models import Platform, Provisioning, Security
from common.core.errors import ConfigError
from common.io.private import write_private
from services.publisher.core.dialects.provisioning import Ask

NAME: Final = "publisher.credentials"
"""In the data directory."""
KEY_NAME, CERT_NAME = "publisher.key.pem", "publisher.cert.pem"
"""Beside it, where a certificate proves who the gateway is."""
THEIRS: Final = ".credentials"
"""What the reference has kept beside the main file: used, and never written."""
THEIR_KEY, THEIR_CERT = "key.pem", "cert.pem"
ASIDE: Final = ".unreadable"
MOST_BYTES: Final = 64 * 1024
CERTIFICATE_DAYS: Final = 3_650
"""Nobody renews it: a new one is made by provisioning anew."""
OPENSSL_S: Final = 30.0


class Found(NamedTuple):
    """What was kept."""

    security: Security | None
    """None: nothing that can be used."""
    fault: str = ""
    """A sentence for the log, where something was there that can't be used."""


class _File(msgspec.Struct):
    """What the file says, in the reference's words. A later version may have more fields, with defaults."""

    credentialsType: str  # noqa: N815 (as the platform says it)
    credentialsValue: Any = None  # noqa: N815
    version: int = 1


def find_credentials(platform: Platform, data_dir: Path, config_folder: Path, *, sets_aside: bool = True) -> Found:
    """The platform's security with the credentials that were given: ours, else the reference's. Ours that can't be read
    are set aside, unless `sets_aside` is False. Raises nothing."""
    ours = data_dir / NAME
    fault = ""
    for path, key, cert in (
        (ours, data_dir / KEY_NAME, data_dir / CERT_NAME),
        (config_folder / THEIRS, config_folder / THEIR_KEY, config_folder / THEIR_CERT),
    ):
        try:
            with path.open("rb") as file:
                content = file.read(MOST_BYTES)
            return Found(security_of(content, platform.security, key, cert), fault)
        except FileNotFoundError:
            continue
        except OSError as error:
            fault = f"{path}: {error.strerror or error}; the gateway asks for credentials anew"
        except ValueError as error:
            fault = f"{path}: {error}; the gateway asks for credentials anew"
            if path == ours and sets_aside:
                # Kept, for a person may want to look: it holds what the platform knows this gateway by.
                with contextlib.suppress(OSError):
                    path.replace(path.with_name(path.name + ASIDE))
    return Found(None, fault)


def security_of(content: bytes, base: Security, key: Path, cert: Path) -> Security:
    """`base` with the credentials in such a file. Raises ValueError, with a sentence that shows none of it."""
    try:
        kept = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("it can't be read") from None
    if kept.version != 1:
        raise ValueError(f"its version is {kept.version}, and this release reads version 1")
    match kept.credentialsType, kept.credentialsValue:
        case "ACCESS_TOKEN", str(token):
            return msgspec.structs.replace(base, type="accessToken", access_token=token)
        case "MQTT_BASIC", dict(value):
            texts = [value.get(name) for name in ("userName", "password", "clientId")]
            username, password, client_id = (one if isinstance(one, str) and one else None for one in texts)
            return msgspec.structs.replace(
                base, type="usernamePassword", username=username, password=password, client_id=client_id
            )
        case "X509_CERTIFICATE", _:
            return msgspec.structs.replace(base, type="tlsPrivateKey", private_key=str(key), cert=str(cert))
    raise ValueError("it holds no credentials of a kind that is known")


def keep_credentials(data_dir: Path, content: bytes) -> str:
    """Writes the file whole or not at all, for this user alone, and on the disk before this returns; why not, or ""."""
    path = data_dir / NAME
    try:
        write_private(path, content.decode(), flush=True)
        return ""
    except OSError as error:
        return f"{path}: {error.strerror or error}"


def remove_credentials(data_dir: Path, config_folder: Path) -> tuple[bool, str]:
    """Removes the file, and key and certificate with it: (whether there was anything, why it is still there or "").
    The reference's own stays, and so ours does where that one would be used in its place. Raises nothing."""
    ours, theirs = data_dir / NAME, config_folder / THEIRS
    if theirs.exists():
        return True, f"{theirs} is the other gateway's, and is not changed: remove it, and call this again"
    try:
        # This one first: without its key it could not be used, and nobody would ask for another.
        ours.unlink()
        for path in (data_dir / KEY_NAME, data_dir / CERT_NAME):
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return False, ""
    except OSError as error:
        return True, f"{ours}: {error.strerror or error}"
    return True, ""


def make_ask(wanted: Provisioning, data_dir: Path) -> Ask:
    """What the platform is asked for: as it is configured, the rest drawn. Raises ConfigError where a certificate is
    wanted and can't be made."""
    has_certificate = wanted.type == "X509_CERTIFICATE"
    return Ask(
        type=wanted.type,
        device_name=wanted.device_name or f"Gateway {_letters(5)}",
        key=wanted.key or "",
        secret=wanted.secret or "",
        access_token=wanted.access_token or _letters(20),
        username=wanted.username or _letters(15),
        password=wanted.password or _letters(20),
        client_id=wanted.client_id or _letters(15),
        certificate=own_certificate(data_dir) if has_certificate else "",
    )


def _letters(count: int) -> str:
    """Letters that nobody can guess."""
    known = string.ascii_lowercase
    found = ""
    while len(found) < count:
        # What is above the last whole alphabet is left out, so that all letters are as probable.
        found += "".join(known[byte % 26] for byte in os.urandom(count) if byte < 234)
    return found[:count]


def own_certificate(data_dir: Path) -> str:
    """This gateway's certificate in PEM form, made with its key where there is none yet. Raises ConfigError."""
    key, cert = data_dir / KEY_NAME, data_dir / CERT_NAME
    try:
        if not (key.exists() and cert.exists()):
            _make_certificate(key, cert)
        return cert.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "what stands in it is no certificate"
        raise ConfigError([f"thingsboard.provisioning: {cert} can't be used: {reason}"]) from None


def _make_certificate(key: Path, cert: Path) -> None:
    command = shutil.which("openssl")
    if command is None:
        wanted = "X509_CERTIFICATE needs the command openssl, which is not there: install it, or choose another type"
        raise ConfigError([f"thingsboard.provisioning.type: {wanted}"])
    drafts = key.with_name(key.name + ".new"), cert.with_name(cert.name + ".new")
    arguments = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days {CERTIFICATE_DAYS}"
    files = ["-subj", "/CN=serialgw", "-keyout", str(drafts[0]), "-out", str(drafts[1])]
    # Before openssl writes it, the key's file is there with its mode.
    os.close(os.open(drafts[0], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        subprocess.run([command, *arguments.split(), *files], check=True, capture_output=True, timeout=OPENSSL_S)
    except subprocess.SubprocessError:
        raise ConfigError(["thingsboard.provisioning.type: the command openssl could not make a certificate"]) from None
    for draft, path in zip(drafts, (key, cert), strict=True):
        draft.replace(path)
