"""What converters that users write are made of: `from common.converters import Converter, ConvertedData`.

A converter is a class with `__init__(self, config, logger)` and `convert(self, config, data)`, in a file
`extensions/serial/NAME.py` beside the configuration; the configuration names the class. Deriving from `Converter` is
not required, nor is returning `ConvertedData`: a dict of the same shape will do.

Files written for the ThingsBoard IoT Gateway get the same classes under the names that they have there.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from common.core.entries import DatapointKey, split_entry

__all__ = ["Attributes", "ConvertedData", "Converter", "DatapointKey", "TelemetryEntry"]

Key = str | DatapointKey
_NOTHING: Final = object()
"""No second argument: None is a value that somebody may give."""


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


class TelemetryEntry:
    """Values of one moment. `ts` is milliseconds since 1970; where none is given the reading has the time at which the
    frame came, and `ts` shows the time at which this object was made.

    The values are a copy: whoever uses one dict for entry after entry changes none that is made.
    """

    def __init__(self, values: Mapping[Any, Any], ts: Any = None) -> None:
        """`values` is `{key: value}`, or `{"ts": ms, "values": {key: value}}`, whose time comes before the argument.
        Raises ValueError for a dict that is neither, and TypeError for what is no dict."""
        if not isinstance(values, Mapping):
            raise TypeError(f"found {type(values).__name__}, expected a dict of telemetry")
        said, self.values = split_entry(values)
        self.given_ts = ts if said is None else said
        """The time that somebody has given; None for the frame's own."""
        self.metadata: dict[str, Any] = {}
        self._made_ms = int(time.time() * 1000)

    @property
    def ts(self) -> Any:
        return self._made_ms if self.given_ts is None else self.given_ts

    @ts.setter
    def ts(self, ts: Any) -> None:
        self.given_ts = ts

    @property
    def data_size(self) -> int:
        """Bytes of the entry as JSON."""
        return size_of(self.to_dict())

    def to_dict(self, with_metadata: bool = False) -> dict[str, Any]:
        found = {"ts": self.ts, "values": {_name(key): value for key, value in self.values.items()}}
        return {**found, "metadata": self.metadata} if with_metadata and self.metadata else found

    def to_result(self) -> dict[str, Any]:
        """The entry for whoever sends it: with the time that was given, and keys as they are."""
        return {"ts": self.given_ts, "values": self.values}

    def __getitem__(self, item: str) -> Any:
        if item not in ("ts", "values", "metadata"):
            raise KeyError(item)
        return getattr(self, item)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TelemetryEntry):
            return False
        return (self.given_ts, self.values, self.metadata) == (other.given_ts, other.values, other.metadata)

    def __hash__(self) -> int:
        return hash((self.given_ts, tuple(self.values)))

    def __repr__(self) -> str:
        return f"TelemetryEntry(ts={self.ts}, metadata={self.metadata}, values={self.values})"


class Attributes:
    """Attributes of one device, the last value of each key."""

    def __init__(self, values: Mapping[Any, Any] | None = None) -> None:
        self.values: dict[Any, Any] = dict(values or {})

    def update(self, attributes: Attributes | Mapping[Any, Any]) -> None:
        """Adds all of a dict, or of other attributes. Raises AttributeError for anything else."""
        self.values.update(attributes.values if isinstance(attributes, Attributes) else dict(attributes.items()))

    def to_dict(self) -> dict[str, Any]:
        return {_name(key): value for key, value in self.values.items()}

    def to_result(self) -> dict[Any, Any]:
        """The attributes for whoever sends them: keys as they are."""
        return self.values

    def items(self) -> ItemsView[Any, Any]:
        return self.values.items()

    def get(self, key: Any, default: Any = None) -> Any:
        return self.values.get(key, default)

    def __getitem__(self, key: Any) -> Any:
        return self.values[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.values[key] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        return self.values == (other.values if isinstance(other, Attributes) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Attributes(values={self.values})"


class ConvertedData:
    """What one frame says of one device.

    Two are equal if they say the same. No value is lost: entries of one time are put together only where no key comes
    twice.
    """

    __slots__ = ("attributes", "device_name", "device_type", "metadata", "telemetry", "ts_index")

    def __init__(
        self, device_name: str, device_type: str = "default", metadata: Mapping[str, Any] | None = None
    ) -> None:
        self.device_name = device_name
        self.device_type = device_type
        self.metadata = dict(metadata or {})
        self.telemetry: list[TelemetryEntry] = []
        self.attributes = Attributes()
        self.ts_index: dict[Any, int] = {}
        """Time that was given → place in `telemetry` of the entry that takes more values of that time."""

    @property
    def telemetry_datapoints_count(self) -> int:
        return sum(len(entry.values) for entry in self.telemetry)

    @property
    def attributes_datapoints_count(self) -> int:
        return len(self.attributes)

    def add_to_telemetry(
        self,
        telemetry_entry: TelemetryEntry | Mapping[Any, Any] | Sequence[TelemetryEntry | Mapping[Any, Any]] | Key,
        value: Any = _NOTHING,
    ) -> None:
        """Adds one entry, a list of them, or a key with its value; a plain dict is a `TelemetryEntry`'s first argument.

        Raises ValueError or TypeError for what is none.
        """
        if value is not _NOTHING:
            self._add_entry(TelemetryEntry({telemetry_entry: value}))
        elif isinstance(telemetry_entry, TelemetryEntry):
            self._add_entry(telemetry_entry)
        elif isinstance(telemetry_entry, Mapping):
            self._add_entry(TelemetryEntry(telemetry_entry))
        elif _is_pair(telemetry_entry):
            pair: Any = telemetry_entry
            self._add_entry(TelemetryEntry(dict([pair])))
        elif isinstance(telemetry_entry, str | bytes) or not isinstance(telemetry_entry, Iterable):
            found = type(telemetry_entry).__name__
            raise TypeError(f"found {found}, expected a TelemetryEntry, a dict, or a list of these")
        else:
            for item in telemetry_entry:
                self.add_to_telemetry(item)

    def _add_entry(self, entry: TelemetryEntry) -> None:
        """Puts values of one time together, in a new entry: the one that was given stays its author's."""
        index = self.ts_index.get(entry.given_ts, len(self.telemetry))
        there = self.telemetry[index] if index < len(self.telemetry) else None
        if (
            there
            and there.given_ts == entry.given_ts
            and not there.metadata
            and there.values.keys().isdisjoint(entry.values)
        ):
            self.telemetry[index] = TelemetryEntry({}, there.given_ts)
            self.telemetry[index].values = {**there.values, **entry.values}
            return
        self.ts_index[entry.given_ts] = len(self.telemetry)
        self.telemetry.append(entry)

    def add_to_attributes(
        self, key_or_entry: Key | Mapping[Any, Any] | Sequence[Mapping[Any, Any]], value: Any = None
    ) -> None:
        """Adds a key with its value, all of a dict, or all of a list of dicts; the last value of a key wins.

        Raises ValueError for a key without a value, or with None, which is none.
        """
        if isinstance(key_or_entry, str | DatapointKey):
            if value is None:
                raise ValueError(f"Invalid arguments for add_to_attributes: no value for {_name(key_or_entry)}")
            self.attributes[key_or_entry] = value
        elif isinstance(key_or_entry, list | tuple):
            for item in key_or_entry:
                if not isinstance(item, Mapping):
                    raise ValueError(f"found {type(item).__name__} in a list of attributes, expected dicts")
                self.attributes.update(item)
        else:
            self.attributes.update(key_or_entry)  # type: ignore[arg-type]

    def add_to_metadata(self, key_value_entry: Mapping[str, Any]) -> None:
        self.metadata.update(key_value_entry)

    def extend(self, other: ConvertedData) -> None:
        """Adds all that another one says; its device's name and type are of no account."""
        if not isinstance(other, ConvertedData):
            raise ValueError("Can only extend with another ConvertedData object.")
        for entry in other.telemetry:
            self._add_entry(entry)
        self.attributes.update(other.attributes)
        self.metadata.update(other.metadata)

    def get_size(self) -> int:
        """Bytes of all of it as JSON."""
        return size_of(self.to_dict())

    def convert_to_objects_with_maximal_size(self, max_data_size: int) -> list[ConvertedData]:
        """The same in as many objects as it takes, in order, none of them larger than so many bytes of JSON, unless a
        single value is. Raises ValueError where no value at all would fit."""
        empty = ConvertedData(self.device_name, self.device_type, self.metadata)
        base = size_of({**empty.to_dict(), "metadata": self.metadata})
        if base > max_data_size:
            raise ValueError("Maximal data size is too small even for general info, please adjust maxPayloadSize")
        parts: list[ConvertedData] = []
        size = max_data_size
        for ts, key, value in self._values():
            # With the comma, or braces and time of an entry of its own.
            added = size_of({_name(key): value}) + (0 if ts is _NOTHING else size_of({"ts": ts, "values": {}}))
            if not parts or size + added > max_data_size:
                parts.append(ConvertedData(self.device_name, self.device_type, self.metadata))
                size = base
            size += added
            if ts is _NOTHING:
                parts[-1].attributes[key] = value
            else:
                parts[-1].add_to_telemetry(TelemetryEntry({key: value}, ts))
        return parts

    def _values(self) -> Iterator[tuple[Any, Any, Any]]:
        """(time, key, value) of each value; of an attribute with no time."""
        yield from ((_NOTHING, key, value) for key, value in self.attributes.items())
        for entry in self.telemetry:
            yield from ((entry.given_ts, key, value) for key, value in entry.values.items())

    def to_dict(self, debug_enabled: bool = False) -> dict[str, Any]:
        """What it says under the names of the gateway's API; with `metadata` where that is asked for."""
        found = {
            "deviceName": self.device_name,
            "deviceType": self.device_type,
            "telemetry": [entry.to_dict() for entry in self.telemetry],
            "attributes": self.attributes.to_dict(),
        }
        return {**found, "metadata": self.metadata} if debug_enabled else found

    def to_result(self) -> dict[str, Any]:
        """What it says for whoever sends it: times that were given alone, keys as they are."""
        return {
            "deviceName": self.device_name,
            "deviceType": self.device_type,
            "telemetry": self.telemetry,
            "attributes": self.attributes,
        }

    def __getitem__(self, item: str) -> Any:
        match item:
            case "telemetry" | "timeseries":
                return self.telemetry
            case "attributes" | "metadata":
                return getattr(self, item)
            case "deviceName" | "deviceType":
                return self.to_result()[item]
        raise KeyError(f"{item} - Item not found!")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConvertedData):
            return False
        return (self.to_result(), self.metadata) == (other.to_result(), other.metadata)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"ConvertedData(deviceName={self.device_name}, deviceType={self.device_type}, telemetry={self.telemetry}, "
            f"attributes={self.attributes}, metadata={self.metadata})"
        )


def size_of(data: Any) -> int:
    """Bytes of a value as compact JSON; what JSON can't carry counts as its text."""
    return len(json.dumps(data, separators=(",", ":"), ensure_ascii=False, skipkeys=True, default=str).encode())


def _name(key: Any) -> Any:
    """The key itself, without what a `DatapointKey` says besides."""
    return key.key if isinstance(key, DatapointKey) else key


def _is_pair(entry: Any) -> bool:
    """True for `(key, value)`."""
    return isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str | DatapointKey)
