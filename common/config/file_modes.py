"""Who else may read or change the files of a configuration: worth a word, since they hold secrets and name code."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from common.config.findings import Findings
from common.config.json_files import read_json
from common.config.models import Gateway
from common.config.names import SECRET_FILE_SUFFIX, SECRET_VARIABLES

_SECRET_KEYS: Final = frozenset({"accessToken", "password", "provisionDeviceKey", "provisionDeviceSecret"})
"""Keys of `security` and `provisioning` whose values are secrets."""


def file_warnings(gateway: Gateway, environ: Mapping[str, str]) -> list[str]:
    """One finished sentence for each file that others may change, or that holds a secret which others may read.

    "Others" are all users of the machine. Files that can't be looked at get no sentence: whoever reads them says so.
    Raises nothing.
    """
    files = [gateway.file, *(connector.file for connector in gateway.connectors)]
    files += [connector.file for connector in gateway.hosted]
    named = [environ.get(name + SECRET_FILE_SUFFIX) for name in SECRET_VARIABLES]
    secrets = [str(Path(gateway.file).parent / name) for name in named if name]
    found = [_loose(file) for file in dict.fromkeys(filter(None, files))]
    if _holds_secret(gateway.file):
        secrets.append(gateway.file)
    return [text for text in [*found, *map(_readable, secrets)] if text]


def _holds_secret(file: str) -> bool:
    """True if the main file has a secret in it; the file is read once more, for the configuration has none any more."""
    value = read_json(Path(file), file, Findings())
    section = value.get("thingsboard") if isinstance(value, dict) else None
    parts = [section.get(name) for name in ("security", "provisioning")] if isinstance(section, dict) else []
    return any(isinstance(part, dict) and bool(_SECRET_KEYS & part.keys()) for part in parts)


def _mode(file: str) -> int:
    """The file's mode bits; 0, which allows nobody anything, where it can't be looked at."""
    try:
        return os.stat(file).st_mode
    except (OSError, ValueError):
        return 0


def _loose(file: str) -> str:
    """The sentence for a file that any user may change; "" for all others."""
    if not _mode(file) & stat.S_IWOTH:
        return ""
    return f"{file}: any user of this machine may change it, and with it what the gateway runs: chmod o-w"


def _readable(file: str) -> str:
    """The sentence for a file with a secret that any user may read; "" for all others."""
    if not _mode(file) & stat.S_IROTH:
        return ""
    return f"{file}: it holds a secret, and any user of this machine may read it: chmod o-rwx"
