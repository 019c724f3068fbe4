"""What a configuration is, after reading and checking: frozen models with every default filled in.

The key names in the files are the reference's (camelCase, older spellings too); the reader maps them to these
fields. A section is one device's part, as JSON: see `section_of`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

StrategyType = Literal["ON_RECEIVED", "ON_CHANGE", "ON_REPORT_PERIOD", "ON_CHANGE_OR_REPORT_PERIOD", "DISABLED"]


class ReportStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """When a key's value is sent on. Not applied yet: the reader warns."""

    type: StrategyType = "ON_RECEIVED"
    report_period_ms: int = 10_000
    ttl_s: int = 86_400
    change_threshold: float | None = None


class DataPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One value and where in the frame it stands. If a delimiter is named, byte positions are ignored."""

    key: str
    type: str = ""
    """string, int, float, double, bool, json; anything else, or "", is a hexadecimal string."""
    from_delimiter: str | None = None
    until_delimiter: str | None = None
    keep_delimiter: bool = False
    from_byte: int | None = None
    to_byte: int | None = None
    report_strategy: ReportStrategy | None = None


class Rpc(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `serverSideRpc`."""

    method: str
    type: str = "string"
    """int, float or double, else text: how params become bytes."""
    template: str | None = None
    length: int | None = None
    signed: bool | None = None
    with_response: bool = False
    response_pattern: str | None = None
    """A regular expression on the frame's bytes (compiled from its UTF-8 form)."""
    response_type: str = ""
    response_from_byte: int | None = None
    response_to_byte: int | None = None
    response_until_delimiter: str | None = None
    response_timeout_s: float = 5.0
    raw: dict[str, Any] = {}
    """The entry as it stands in the file: what users' downlink converters get as `config`."""


class AttributeUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `attributeUpdates`: what is written to the device when the platform changes an attribute."""

    attribute: str
    string_to_device: str


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One serial device with every default filled in."""

    name: str = "SerialDevice"
    type: str = "default"
    port: str = "/dev/ttyUSB0"
    baudrate: int = 9600
    bytesize: int = 8
    stopbits: float = 1
    parity: str = "N"
    timeout_s: float = 1.0
    """Seconds of silence that end a frame on a line that has never sent the delimiter."""
    xonxoff: bool = False
    rtscts: bool = False
    dsrdtr: bool = False
    write_timeout_s: float | None = None
    inter_byte_timeout_s: float | None = None
    exclusive: bool = True
    delimiter: bytes = b"\n"
    max_frame_bytes: int = 65_536
    first_frame: Literal["discard", "keep"] = "discard"
    """`keep` takes what comes before the first delimiter after joining a talking line as a frame."""
    byteorder: Literal["big", "little"] = "big"
    converter: str = "SerialUplinkConverter"
    downlink_converter: str | None = None
    telemetry: tuple[DataPoint, ...] = ()
    attributes: tuple[DataPoint, ...] = ()
    attribute_updates: tuple[AttributeUpdate, ...] = ()
    rpcs: tuple[Rpc, ...] = ()
    report_strategy: ReportStrategy | None = None
    connector_name: str = ""
    connector_type: str = "serial"
    uplink_queue_size: int = 100_000
    log_level: str = "INFO"
    raw: dict[str, Any] = {}
    """The device's section as it stands in the file: what users' converters get as `config`."""

    @property
    def has_user_converter(self) -> bool:
        """True if either converter is user code: such a device is pinned to one converter process."""
        return self.converter != "SerialUplinkConverter" or self.downlink_converter not in (
            None,
            "SerialDownlinkConverter",
        )


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """One serial connector: a file with its devices."""

    name: str
    id: str | None = None
    log_level: str = "INFO"
    uplink_queue_size: int = 100_000
    devices: tuple[Device, ...] = ()
    file: str = ""


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """How the gateway proves who it is. Secrets live here: only the publisher keeps this object."""

    type: Literal["none", "accessToken", "usernamePassword", "tlsAccessToken", "tlsPrivateKey"] = "none"
    access_token: str | None = None
    username: str | None = None
    password: str | None = None
    client_id: str | None = None
    ca_cert: str | None = None
    private_key: str | None = None
    cert: str | None = None
    insecure: bool = False

    @property
    def uses_tls(self) -> bool:
        return self.type in ("tlsAccessToken", "tlsPrivateKey") or self.ca_cert is not None


PAYLOAD_GUESS_BYTES = 8196
"""What the reference's files say, and it where they say nothing; the platform's own word replaces it."""


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """The `thingsboard` section: where readings go."""

    host: str = "localhost"
    port: int = 1883
    qos: int = 1
    security: Security = Security()
    min_pack_send_delay_ms: int = 50
    min_pack_size_to_send: int = 500
    max_payload_size_bytes: int = PAYLOAD_GUESS_BYTES


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """The `storage` section: the journal's place and limits."""

    type: Literal["memory", "file", "sqlite"] = "sqlite"
    data_dir: str | None = None
    """Absolute folder of the journals, where the file names one; else the gateway's data directory."""
    max_records: int | None = None
    max_bytes: int | None = None
    ttl_s: float | None = None
    durability: Literal["process", "power"] = "process"


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the configuration files say."""

    platform: Platform = Platform()
    storage: Storage = Storage()
    connectors: tuple[Connector, ...] = ()
    file: str = ""
    extension_dirs: tuple[str, ...] = ()
    """Folders that hold `serial/*.py` with users' converters, first one wins."""

    @property
    def devices(self) -> tuple[Device, ...]:
        return tuple(device for connector in self.connectors for device in connector.devices)


def section_of(device: Device) -> bytes:
    """A device's section as canonical JSON: what is journaled with frames and what converters ask for."""
    return msgspec.json.encode(device, order="deterministic")


def device_of(section: bytes) -> Device:
    """The device that `section_of` wrote. Raises msgspec.DecodeError for anything else."""
    try:
        return msgspec.json.decode(section, type=Device)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from None
