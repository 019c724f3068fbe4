"""Finds the files of a gateway that runs, or has run, on a data directory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from common.config.active import ACTIVE_NAME, LAST_GOOD, Active, read_active
from common.config.history import blanking_key
from common.config.place import Place, place_of
from common.core.errors import LinkError
from services.cli.supervise.reloading import become_owner

NOTHING: Final = "nothing has run there yet: --config names the main file"


def find_place(data_dir: Path, config: Path | None) -> Place:
    """The place of the gateway of a data directory. Raises LinkError for one that is not known or not ours, OSError."""
    data_dir = data_dir.expanduser().absolute()
    become_owner(data_dir)
    if config is None:
        active = read_known(data_dir)
        if active is None or not active.gateway.file:
            raise LinkError(f"{data_dir}: {NOTHING}")
        config = Path(active.gateway.file)
    return place_of(config.absolute(), data_dir, blanking_key(data_dir))


def read_known(data_dir: Path) -> Active | None:
    """What runs, or was read last, as far as somebody has written it down."""
    for path in (data_dir / ACTIVE_NAME, data_dir / LAST_GOOD / "monitor.json"):
        if (active := read_active(path)) is not None:
            return active
    return None
