"""Which files make a gateway: those of its configuration, and those of its data directory that are not made anew."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from common.config.extension_files import extension_dirs_of
from common.config.logs_reading import NAME as LOGS_NAME
from common.config.models import Gateway
from common.config.overlay import CONFIGURED_NAME, OVERLAY_NAME, REMOTE_DIR
from common.config.profiles import USERS as PROFILES
from common.config.task import files_of
from common.core.errors import GatewayError

DATA: Final = (
    "publisher.names",
    "publisher.id",
    "publisher.credentials",
    "publisher.key.pem",
    "publisher.cert.pem",
    "web/view.token",
    "web/edit.token",
    f"{REMOTE_DIR}/{OVERLAY_NAME}",
    f"{REMOTE_DIR}/{CONFIGURED_NAME}",
)
"""Of the data directory, besides journals: what devices are called, who the gateway is, who may see its page, what the
platform has configured. All else is made anew at each start."""
MOST_FILES: Final = 10_000
"""More than any configuration has; a folder named by mistake, such as /, is no configuration."""
_NOT_KEPT: Final = frozenset({"__pycache__"})


def config_files(gateway: Gateway) -> tuple[list[Path], list[Path]]:
    """(the files below the configuration's folder, those that it names and that lie elsewhere). Raises GatewayError
    for more than MOST_FILES."""
    main = Path(gateway.file)
    folder, security = main.parent, gateway.platform.security
    named = [*files_of(gateway), security.ca_cert, security.private_key, security.cert]
    found = [Path(os.path.abspath(file)) for file in named if file]
    found += [folder / LOGS_NAME, folder / ".credentials"]
    for place in (folder / PROFILES, *map(Path, extension_dirs_of(main)[:1])):
        found += _below(place)
    found = [path for path in dict.fromkeys(found) if path.is_file()]
    if len(found) > MOST_FILES:
        raise GatewayError(f"found more than {MOST_FILES} files in {folder}, expected a configuration")
    inside = [path for path in found if path.is_relative_to(folder)]
    return inside, [path for path in found if path not in inside]


def _below(folder: Path) -> Iterable[Path]:
    """All files of a folder, without what Python makes by itself."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - _NOT_KEPT)
        yield from (Path(place) / name for name in sorted(names))


def data_files(data_dir: Path) -> list[Path]:
    """The files of the data directory that are kept, but for journals."""
    return [path for name in DATA if (path := data_dir / name).is_file() and not path.is_symlink()]
