"""What a connector host journals: an entry says something of one of its devices, as a JSON object.

JSON, so that whoever looks at a dead letter or a tap can read it. Entries outlive an upgrade: an object may gain keys,
and who does not know them leaves them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import Raw, Struct

from common.core.errors import WireError
from common.wire.messages import UserReading

Mark = Literal["", "connect", "disconnect"]
"""`connect`: the device is there, `disconnect`: it is gone; "" says neither, though what has values is there."""
NOTHING: Final = Raw(b"")


class HostedEntry(Struct, frozen=True, omit_defaults=True):
    """One entry. What it says comes after its mark."""

    device: str
    type: str = ""
    mark: Mark = ""
    telemetry: list[tuple[int | None, Raw]] = []
    """(milliseconds or None for the entry's own time, JSON object of values)."""
    attributes: Raw = NOTHING
    """JSON object."""
    strategies: Raw = NOTHING
    """JSON object of keys to report strategies, for keys that brought one of their own."""


_decoder: Final = msgspec.json.Decoder(HostedEntry)


def pack_entry(
    device: str,
    device_type: str,
    *,
    mark: Mark = "",
    telemetry: Sequence[tuple[int | None, bytes]] = (),
    attributes: bytes = b"",
    strategies: bytes = b"",
) -> bytes:
    """An entry's bytes; `telemetry`, `attributes` and `strategies` are JSON already."""
    items = [(ts_ms, Raw(values)) for ts_ms, values in telemetry]
    said, by_key = (Raw(part) if part else NOTHING for part in (attributes, strategies))
    return msgspec.json.encode(HostedEntry(device, device_type, mark, items, said, by_key))


def unpack_entry(data: bytes) -> UserReading:
    """The reading that an entry stands for. Raises WireError for bytes that are none."""
    try:
        entry = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"no entry of a connector: {error}") from None
    telemetry: list[tuple[int | None, bytes]] = [(ts_ms, bytes(values)) for ts_ms, values in entry.telemetry]
    attributes, strategies = bytes(entry.attributes), bytes(entry.strategies)
    return UserReading(entry.device, entry.type, telemetry, attributes, strategies, mark=entry.mark)
