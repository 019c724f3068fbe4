"""The active snapshot: what `serialgw run` has read, checked and found good, as the processes start from it.

So nobody starts from a file that somebody is editing. A process that is started by hand, or in a container of its own,
reads the files; where they can't be used at that moment it starts from what it last could use. No snapshot holds a
secret: it names those that are needed, and the publisher has them from its environment or from files of their own.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from common.config.findings import Findings
from common.config.models import PLAIN, VERSION, Connector, Gateway, Platform, updated, version_of
from common.config.names import SECRET_FILE_SUFFIX
from common.config.secret_files import with_secret_files
from common.config.secrets import secrets_in, with_secrets_in, without_secrets
from common.core.errors import ConfigError, LinkError
from common.io.private import is_private

ACTIVE_NAME: Final = "active.json"
"""The snapshot's name in the data directory."""
LAST_GOOD: Final = "last-good"
"""Folder in the data directory: what processes on their own have last used, a file a kind."""


class Active(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot. A later version may have more fields, with defaults."""

    version: int = VERSION
    gateway: Gateway
    """Without secrets."""
    secrets: tuple[str, ...] = ()
    """The variables of SECRETS whose values belong to it."""


class _ActiveOfVersion1(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot whose devices have their lines' fields side by side with their own."""

    gateway: dict[str, Any]
    secrets: tuple[str, ...] = ()


class Found(NamedTuple):
    """What a process starts from, and the sentences that are worth a warning."""

    gateway: Gateway
    warnings: list[str]


def make_active(gateway: Gateway) -> Active:
    """The snapshot of a configuration that was read with its secrets."""
    needed = tuple(secrets_in(gateway.platform))
    return Active(gateway=msgspec.structs.replace(gateway, platform=without_secrets(gateway.platform)), secrets=needed)


def secrets_of(platform: Platform, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that hand a configuration's secrets on; without those that a `…_FILE` variable names: they stay in
    their files."""
    found = secrets_in(platform)
    return {name: value for name, value in found.items() if not environ.get(name + SECRET_FILE_SUFFIX)}


def write_active(path: Path, active: Active) -> None:
    """Writes a snapshot, whole, flushed to disk, readable by its user alone; not where it is there already. Raises
    OSError."""
    content = msgspec.json.encode(active)
    try:
        if path.read_bytes() == content:
            return
    except OSError:
        pass
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise


def read_active(path: Path) -> Active | None:
    """The snapshot in a file; None if there is none that can be used."""
    try:
        return _decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _decode(content: bytes) -> Active:
    """A snapshot of this release, or of the one before it: what was good last is needed most while people update."""
    version = version_of(content)
    if version >= PLAIN:
        return msgspec.structs.replace(msgspec.json.decode(content, type=Active), version=VERSION)
    old = msgspec.json.decode(content, type=_ActiveOfVersion1)
    connectors = tuple(_connector_of(fields, version) for fields in old.gateway.pop("connectors", ()))
    gateway = msgspec.convert(old.gateway, Gateway)
    return Active(gateway=msgspec.structs.replace(gateway, connectors=connectors), secrets=old.secrets)


def _connector_of(fields: dict[str, Any], version: int) -> Connector:
    """A connector of an older version, its devices as they are now."""
    devices = [updated(device, version) for device in fields.get("devices", ())]
    return msgspec.convert(fields | {"devices": devices}, Connector)


def find_gateway(
    config: Path,
    active: Path | None,
    data_dir: Path,
    kind: str,
    environ: Mapping[str, str],
    *,
    with_secrets: bool = False,
) -> Found:
    """What a process of this kind starts from: the active snapshot where it was told one, else the files, else what it
    last could use of them.

    Raises ConfigError where there is nothing to start from, LinkError for secrets that can't be had now.
    """
    if active is not None and (snapshot := read_active(active)) is not None:
        return Found(_completed(snapshot, config, environ) if with_secrets else snapshot.gateway, [])
    from common.config.reading import read_gateway  # Here: a process that `serialgw run` has started never needs it.

    last_good = data_dir / LAST_GOOD / f"{kind}.json"
    try:
        loaded = read_gateway(config, environ, with_secrets=with_secrets)
    except ConfigError as error:
        snapshot = read_active(last_good) if is_private(data_dir) else None
        if snapshot is None or snapshot.gateway.file != os.path.abspath(config):
            raise
        why = f"{config} can't be used, and what it said last is used instead: {error.problems[0]}"
        return Found(_completed(snapshot, config, environ) if with_secrets else snapshot.gateway, [why])
    _keep(last_good, make_active(loaded.gateway))
    return Found(loaded.gateway, [])


def _keep(path: Path, active: Active) -> None:
    """Keeps what was read as what was good last, where the folder is ours alone: others could plant a configuration
    there."""
    if not is_private(path.parent.parent):
        return
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_active(path, active)
    except OSError:
        pass  # A full disk; the next start may have more luck.


def _completed(active: Active, config: Path, environ: Mapping[str, str]) -> Gateway:
    """The gateway of a snapshot with the secrets that belong to it: from the environment and the files that it names,
    or from the configuration, if that can be read now."""
    findings = Findings()
    found = with_secret_files(environ, Path(active.gateway.file).parent, findings, read_them=True)
    missing = [name for name in active.secrets if not found.get(name)]
    if findings.problems or missing:
        from common.config.reading import read_gateway

        try:
            platform = read_gateway(config, environ, with_secrets=True).gateway.platform
        except ConfigError:
            reasons = findings.problems or [f"{missing[0]} is not in the environment, and {config} can't be used"]
            raise LinkError(f"a secret can't be had now: {reasons[0]}") from None
        found = {**found, **secrets_of(platform, {})}
    values = {name: found[name] for name in active.secrets if found.get(name)}
    return msgspec.structs.replace(active.gateway, platform=with_secrets_in(active.gateway.platform, values))
