"""What converters that users write are made of: `from common.converters import Converter, ConvertedData`.

A converter is a class with `__init__(self, config, logger)` and `convert(self, config, data)`, in a file
`extensions/serial/NAME.py` beside the configuration; the configuration names the class. Deriving from `Converter` is
not required, nor is returning `ConvertedData`: a dict of the same shape will do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class Converter(ABC):
    """The base of uplink and downlink converters."""

    def __init__(self, config: dict[str, Any], logger: Any) -> None:
        """`config` is the device's section of the configuration file; `logger` has `trace` besides the usual levels."""
        self.config = config
        self.logger = logger

    @abstractmethod
    def convert(self, config: dict[str, Any] | None, data: Any) -> Any:
        """Uplink: `config` is None and `data` a frame's bytes; returns `ConvertedData`, a dict, or None for nothing.

        Uplink of an answer to an RPC: `config` describes the response; returns `{"result": value}`. Downlink: `config`
        is the RPC's section and `data` its params; returns the bytes to write, None or b"" for nothing to send.
        Whatever it raises makes that frame a dead letter, or that call an error, and nothing else.
        """


def split_entry(item: Mapping[Any, Any]) -> tuple[Any, dict[Any, Any]]:
    """(time or None, values) of one telemetry item; the time is as it stands there.

    An item is `{key: value}`, with `ts` among the keys or not, or `{"ts": ms, "values": {key: value}}`, where more keys
    may stand beside `values` if no key comes twice. Raises ValueError for anything else: `ts` and `values` are never
    taken for keys of telemetry.
    """
    if "values" not in item:
        return item.get("ts"), {key: value for key, value in item.items() if key != "ts"}
    values = {} if item["values"] is None else item["values"]
    if not isinstance(values, Mapping):
        raise ValueError(f"found {type(values).__name__} as values, expected values to be a dict of telemetry")
    others = {
        key: value for key, value in item.items() if key not in ("ts", "values", "metadata") and value is not None
    }
    twice = sorted(str(key) for key in others if key in values)
    if twice or (others and "ts" not in item):
        keys = ", ".join(map(str, item))
        why = f" ({twice[0]} stands beside values and in it)" if twice else ""
        raise ValueError(f'found keys {keys}{why}, expected {{"ts", "values"}} or plain keys')
    return item.get("ts"), {**others, **values}


class TelemetryEntry:
    """Values of one moment. `ts` is milliseconds since 1970; None takes the time at which the frame came."""

    def __init__(self, values: Mapping[str, Any], ts: int | None = None) -> None:
        """`values` is `{key: value}`, or `{"ts": ms, "values": {key: value}}`. Raises ValueError for a dict that is
        neither, and TypeError for what is no dict."""
        if not isinstance(values, Mapping):
            raise TypeError(f"found {type(values).__name__}, expected a dict of telemetry")
        said, self.values = split_entry(values)
        self.ts = said if ts is None else ts

    def to_dict(self) -> dict[str, Any]:
        return {"ts": self.ts, "values": self.values}


class ConvertedData:
    """What one frame says of one device."""

    def __init__(
        self, device_name: str, device_type: str = "default", metadata: Mapping[str, Any] | None = None
    ) -> None:
        self.device_name = device_name
        self.device_type = device_type
        self.metadata = dict(metadata or {})
        self.telemetry: list[TelemetryEntry] = []
        self.attributes: dict[str, Any] = {}

    def add_to_telemetry(
        self, entry: TelemetryEntry | Mapping[str, Any] | Sequence[TelemetryEntry | Mapping[str, Any]]
    ) -> None:
        """Adds one entry, or a list of them; a plain dict is a `TelemetryEntry`'s first argument. Raises ValueError or
        TypeError for what is none."""
        if isinstance(entry, TelemetryEntry):
            self.telemetry.append(entry)
        elif isinstance(entry, Mapping):
            self.telemetry.append(TelemetryEntry(entry))
        elif isinstance(entry, str | bytes) or not isinstance(entry, Iterable):
            raise TypeError(f"found {type(entry).__name__}, expected a TelemetryEntry, a dict, or a list of these")
        else:
            for item in entry:
                self.add_to_telemetry(item)

    def add_to_attributes(self, key: str | Mapping[str, Any] | Sequence[Mapping[str, Any]], value: Any = None) -> None:
        """Adds `key` with `value`, or all of a dict, or all of a list of dicts; the last value of a key wins."""
        if isinstance(key, str):
            self.attributes[key] = value
        elif isinstance(key, Mapping):
            self.attributes.update(key)
        else:
            for item in key:
                self.attributes.update(item)

    def add_to_metadata(self, metadata: Mapping[str, Any]) -> None:
        self.metadata.update(metadata)

    def to_dict(self) -> dict[str, Any]:
        return {
            "deviceName": self.device_name,
            "deviceType": self.device_type,
            "telemetry": [entry.to_dict() for entry in self.telemetry],
            "attributes": dict(self.attributes),
        }

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]
