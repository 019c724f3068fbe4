"""Reads the `storage` section: the journal's place and limits. Each type has keys of its own, as in the reference."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

from common.config.json_object import JsonObject
from common.config.models import Storage
from common.config.strategy_reading import DAY_S

_TYPES = ("memory", "file", "sqlite")
"""The reference's stores. Here all are journals; the type says which keys limit them."""
_READ_BEHAVIOUR = (
    "read_records_count",
    "max_read_records_count",
    "messages_ttl_check_in_hours",
    "oversize_check_period",
    "writing_batch_size",
    "max_records_between_fsync",
)
"""Keys about how the reference reads its store, which has no counterpart here: known, and without effect."""
_MEGABYTE = 1024 * 1024


def read_storage(entry: JsonObject, folder: Path) -> Storage:
    """The storage; relative paths are taken from `folder`, the main file's. Keys of other types have no effect.

    All keys are read whatever the type is, so that what is wrong in one that has no effect is found too. A limit counts
    only where one of its keys is given.
    """
    kind = entry.choice("type", "sqlite", _TYPES)
    entry.knows(*_READ_BEHAVIOUR)
    per_file = entry.whole("max_records_per_file", 10_000, 1)
    files = entry.whole("max_file_count", 10, 1)
    size_mb = entry.whole("size_limit", 1024, 1)
    databases = entry.whole("max_db_amount", 10, 1)
    records = entry.maybe_whole("max_records_count", 1)
    ttl_days = entry.maybe_number("messages_ttl_in_days", 0, 36_500, above=True)
    folder_path = _folder(folder, entry.maybe_path("data_folder_path"))
    database_path = _folder(folder, entry.maybe_path("data_file_path"))
    durability = entry.choice("durability", "process", ("process", "power"))
    entry.warn_unknown()
    # Our journals are files whatever the type; it says only which of the reference's limits are meant.
    if kind == "memory":
        return Storage(type="memory", max_records=records, durability=durability)
    if kind == "file":
        limited = entry.values.keys() & {"max_records_per_file", "max_file_count"}
        return Storage(
            type="file",
            data_dir=folder_path or database_path,
            max_records=per_file * files if limited else None,
            durability=durability,
        )
    limited = entry.values.keys() & {"size_limit", "max_db_amount"}
    return Storage(
        data_dir=database_path or folder_path,
        max_bytes=size_mb * databases * _MEGABYTE if limited else None,
        ttl_s=None if ttl_days is None else ttl_days * DAY_S,
        durability=durability,
    )


def _folder(base: Path, name: str | None) -> str | None:
    """The absolute folder that `name` is, or that it stands in if it names a database file."""
    if name is None:
        return None
    folder = PurePath(name).parent if PurePath(name).suffix in (".db", ".sqlite") else PurePath(name)
    return os.path.abspath(base / folder)
