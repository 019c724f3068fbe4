"""What a gateway is to be: the user's files, with what the platform has configured over them, and their secrets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from common.config.overlay import Overlay
from common.config.reading import Loaded
from common.core.errors import ConfigError
from common.io.variables import GATEWAY_VARIABLE
from services.cli.whole import read_whole

PUBLISHER: Final = b"services.publisher"
"""Stands in the publisher's command line."""


def read_laid(config: Path, environ: Mapping[str, str], overlay: Overlay) -> tuple[Overlay, Loaded]:
    """The configuration with what the platform has configured over it; without that, if both together can't be used:
    then it is said, and the files count. Raises ConfigError."""
    if not overlay.is_empty:
        try:
            whole = read_whole(config, environ, with_secrets=True, overlay=overlay)
            if whole.gateway.platform.remote_configuration:
                return overlay, whole
            why = "remoteConfiguration is not true any more"
        except ConfigError as error:
            why = error.problems[0]
        whole = read_whole(config, environ, with_secrets=True)
        return Overlay(), Loaded(
            whole.gateway, [*whole.warnings, f"what the platform has configured is left out: {why}"]
        )
    return overlay, read_whole(config, environ, with_secrets=True)


def new_secrets(
    wanted: Mapping[str, str], running: Mapping[str, str] | None, from_file: Iterable[str]
) -> dict[str, str]:
    """Variable → its value, of those that the publisher does not have yet; "" for one of `from_file` that the files say
    no more. `running`: its environment; None where it does not run, and so is to get all of them."""
    found = {name: value for name, value in wanted.items() if running is None or running.get(name) != value}
    return found | {name: "" for name in from_file if name not in wanted}


def publishers_environ(data_dir: Path) -> dict[str, str] | None:
    """The environment that the publisher of this gateway was started with; None if none is found."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if PUBLISHER in (folder / "cmdline").read_bytes() and (found := environ_in(folder, data_dir)) is not None:
                return found
        except OSError:
            continue
    return None


def environ_in(folder: Path, data_dir: Path) -> dict[str, str] | None:
    """The environment of the process in this folder of /proc, if it belongs to the gateway of this data directory; None
    if not, or if nobody may look."""
    try:
        words = (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    found = {name: value for name, _, value in (os.fsdecode(word).partition("=") for word in words if word)}
    return found if found.get(GATEWAY_VARIABLE) == str(data_dir.resolve()) else None
