"""What a configuration is, after reading and checking: frozen models with every default filled in.

The key names in the files are the reference's (camelCase, older spellings too); the reader maps them to these
fields. A section is one device's part, as JSON: see `section_of`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from common.config.asking import Asking, Register
from common.config.framing import Framing
from common.config.names import BUILTIN_DOWNLINK, BUILTIN_ENTRIES, BUILTIN_UPLINK
from common.config.point_models import Decode, DeviceTime, Meaning, Naming, Place, When
from common.core.company import period_within
from common.stream.limits import MAX_RECORDS
from common.wire.calls import hosted_stream

VERSION: Final = 3
"""How devices are written into tasks and snapshots. In version 1, which release 0.2 wrote, the fields of line and
framing stand side by side with the device's own. Version 3 may have messages and shapes of frames: who does not know
them would make nothing of the frames, and lose them."""
PLAIN: Final = 2
"""The version of a section without these: who knows no newer one reads it as it is meant."""

Decimal = Literal["", ","]
"""How fractions are written: with a point, or with a comma."""
ProvisioningType = Literal["ACCESS_TOKEN", "MQTT_BASIC", "X509_CERTIFICATE"]
StrategyType = Literal["ON_RECEIVED", "ON_CHANGE", "ON_REPORT_PERIOD", "ON_CHANGE_OR_REPORT_PERIOD", "DISABLED"]


class ReportStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """When a key's value is sent on; the publisher applies it (`services.publisher.core.strategies`)."""

    type: StrategyType = "ON_RECEIVED"
    report_period_ms: int = 10_000
    ttl_s: int = 86_400
    """How long a value is remembered that does not change; 0: for ever."""
    change_threshold: float | None = None
    """A number has changed that differs by so much from the one that was reported last; None: that differs."""


class DataPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One value and where in the frame it stands. If a delimiter is named, byte positions are ignored."""

    key: str
    type: str = ""
    """string, int, float, double, bool, json; anything else, or "", is a hexadecimal string. With a place also the
    types of `common.config.point_models`."""
    from_delimiter: str | None = None
    """This and all delimiters below: a text that stands for bytes, see `common.core.byte_text`."""
    until_delimiter: str | None = None
    keep_delimiter: bool = False
    from_byte: int | None = None
    to_byte: int | None = None
    report_strategy: ReportStrategy | None = None
    decimal: Decimal = ""
    """What stands before the fraction of a number; "" is the point."""
    true_text: tuple[str, ...] = ()
    """Words of the device's own for true, besides those that everybody knows; each may be `hex:…`."""
    false_text: tuple[str, ...] = ()
    place: Place | None = None
    """Where the value stands and what it means, if the point has a key that says more than those above."""

    @property
    def meaning(self) -> Meaning:
        """What becomes of what stands there."""
        return Meaning() if self.place is None else self.place.meaning


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One kind of frame of a device: which frames are of it, how they are taken apart, and what they say.

    The first message that fits a frame takes it. All parts of a frame but `when`, `at` and `regex` see its body: the
    frame without start, end and checksum.
    """

    name: str = ""
    when: When | None = None
    """None: every frame, as far as `pattern` and `regex` allow. Of what was asked for under a name refusals are looked
    for first, then the message of that name, then the others that are choosy."""
    fields: bytes = b""
    """What stands between two fields; b" " is any run of blanks; b"" : there are none."""
    pairs: tuple[bytes, bytes] | None = None
    """(what stands between two pairs, what stands between a name and its value)."""
    pattern: str = ""
    """A text with `{name}` where a value stands; a blank in it is any run of blanks."""
    regex: str = ""
    """A regular expression with named groups, as another way to name values."""
    decode: Decode | None = None
    telemetry: tuple[DataPoint, ...] = ()
    attributes: tuple[DataPoint, ...] = ()
    timestamp: DeviceTime | None = None
    error: str = ""
    """What such a frame means, where it is a refusal instead of values."""
    device: Naming | None = None
    """None: the values are those of the device that the frame came from."""
    framing: Framing | None = None
    """What such a frame looks like as the answer to its question, and it comes as nothing else; None: as all frames of
    the line."""


class Rpc(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `serverSideRpc`."""

    method: str
    type: str = "string"
    """int, float, double, hex, else text: how params become bytes. With a template it says what params must be."""
    template: str | None = None
    """A text that stands for bytes, with placeholders."""
    length: int | None = None
    signed: bool | None = None
    with_response: bool = False
    response_pattern: str | None = None
    """A regular expression on the frame's bytes (compiled from its UTF-8 form), or `hex:` and the bytes to find."""
    response_type: str = ""
    response_from_byte: int | None = None
    response_to_byte: int | None = None
    response_until_delimiter: str | None = None
    response_timeout_s: float = 5.0
    raw: dict[str, Any] = {}
    """The entry as it stands in the file: what users' downlink converters get as `config`."""
    decimal: Decimal = ""
    """How the device spells fractions, in what is written as text and in answers."""
    true_text: tuple[str, ...] = ()
    """How it spells true: the first is written, all are understood in answers."""
    false_text: tuple[str, ...] = ()
    register: Register | None = None
    """What it reads or writes in a Modbus device; then nothing else here says what is written."""


class AttributeUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `attributeUpdates`: what is written to the device when the platform changes an attribute."""

    attribute: str
    string_to_device: str
    decimal: Decimal = ""
    true_text: tuple[str, ...] = ()
    """As an RPC's: the first is what is written for true."""
    false_text: tuple[str, ...] = ()
    register: Register | None = None
    """Where it is written in a Modbus device; then `string_to_device` says nothing."""


class Rs485(msgspec.Struct, frozen=True, kw_only=True):
    """How the port's driver switches the direction of an RS-485 line by the pin RTS (the kernel's `serial_rs485`)."""

    rts_on_send: bool = True
    """How the pin is while something is sent; it is the other way round all the rest of the time."""
    delay_before_ms: int = 0
    """So long the pin is there before the first bit, 0 to 100."""
    delay_after_ms: int = 0
    """And so long after the last one, 0 to 100."""
    hears_itself: bool = False
    """True: the receiver stays on meanwhile, so what is written comes back."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """The serial line: which port, and how it is opened. Nothing here says what the bytes on it mean.

    Devices that share a line (a bus) have equal lines. The bounds of the numbers are pyserial's, or the kernel's.
    """

    port: str = "/dev/ttyUSB0"
    """A path, or `socket://host:port`: a TCP connection to a serial device server, to which the rest means nothing."""
    baudrate: int = 9600
    bytesize: int = 8
    """Data bits, 5 to 8."""
    stopbits: float = 1
    """1, 1.5 or 2."""
    parity: str = "N"
    """N(one), E(ven), O(dd), M(ark) or S(pace)."""
    xonxoff: bool = False
    rtscts: bool = False
    dsrdtr: bool = False
    write_timeout_s: float | None = None
    """A write that has not left the machine after this long has failed; None: after what its call has left."""
    inter_byte_timeout_s: float | None = None
    """Handed to pyserial as it is. Reads return at once here, so it changes nothing."""
    exclusive: bool = True
    """True keeps other programs from opening the port while it is ours."""
    dtr: bool | None = None
    """How the pin DTR is from the opening on; None: on while the port is open, as the kernel has it. True keeps it on
    also when the port is closed, so that a board that is reset by DTR is not reset when it is opened again."""
    rts: bool | None = None
    """The same of the pin RTS, which follows the kernel when the port is closed."""
    rs485: Rs485 | None = None
    """None: an RS-485 adapter switches its direction by itself, or the line has none."""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument on a serial line, with every default filled in."""

    name: str = "SerialDevice"
    type: str = "default"
    line: Line = Line()
    framing: Framing = Framing()
    byteorder: Literal["big", "little"] = "big"
    """The order of bytes in the numbers that calls write to the device."""
    converter: str = BUILTIN_UPLINK
    """The class that turns frames into readings: ours, or a user's."""
    downlink_converter: str | None = None
    """The class that turns what is to be written into bytes; None: only templates can be written."""
    telemetry: tuple[DataPoint, ...] = ()
    attributes: tuple[DataPoint, ...] = ()
    """These two are read from every frame. Without `messages` only: with them, each message has its own."""
    messages: tuple[Message, ...] = ()
    """The kinds of frames, where the section has a key that only these can carry; () for all other devices."""
    asking: Asking | None = None
    """What it is asked, told and answered; None for a device that the gateway only listens to."""
    units: dict[str, str] = {}
    """Key of a value → its unit, where the platform is to be told them as the attribute `units`; {}: it is not."""
    attribute_updates: tuple[AttributeUpdate, ...] = ()
    rpcs: tuple[Rpc, ...] = ()
    report_strategy: ReportStrategy | None = None
    connector_name: str = ""
    uplink_queue_size: int = MAX_RECORDS
    """How many frames its journal keeps at most."""
    log_level: str = "INFO"
    """What its users' converters log; the processes of the gateway have a level of their own."""
    raw: dict[str, Any] = {}
    """The device's section as it stands in the file: what users' converters get as `config`."""

    @property
    def all_telemetry(self) -> tuple[DataPoint, ...]:
        """The telemetry of all its frames."""
        return self.telemetry + tuple(point for message in self.messages for point in message.telemetry)

    @property
    def all_attributes(self) -> tuple[DataPoint, ...]:
        """The attributes of all its frames."""
        return self.attributes + tuple(point for message in self.messages for point in message.attributes)

    @property
    def has_user_uplink(self) -> bool:
        """True if a user's class makes the readings."""
        return self.converter not in (BUILTIN_UPLINK, BUILTIN_ENTRIES)

    @property
    def has_user_downlink(self) -> bool:
        """True if a user's class makes the bytes that are written."""
        return self.downlink_converter not in (None, BUILTIN_DOWNLINK)

    @property
    def has_user_converter(self) -> bool:
        """True if either converter is user code: such a device is pinned to one converter process."""
        return self.has_user_uplink or self.has_user_downlink


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """One serial connector: a file with its devices."""

    name: str
    id: str | None = None
    log_level: str = "INFO"
    uplink_queue_size: int = MAX_RECORDS
    devices: tuple[Device, ...] = ()
    file: str = ""
    report_strategy: ReportStrategy | None = None
    remote_logging: bool = False
    """True if the platform is told what is logged about its devices."""


class HostedConnector(msgspec.Struct, frozen=True, kw_only=True):
    """A connector that users wrote, which runs in a process of its own: an entry of the main file whose class stands in
    an extension folder."""

    name: str
    type: str
    """As the main file says it; its lower-case form names the folder inside the extension folders."""
    class_name: str
    class_file: str = ""
    """Where the class was found when the configuration was read."""
    id: str | None = None
    log_level: str = "INFO"
    """What the connector logs; the process has a level of its own."""
    remote_logging: bool = False
    """Whether the platform is told the lines of its process, from `log_level` up."""
    file: str = ""
    """The connector's own configuration file."""
    config: dict[str, Any] | None = None
    """What that file says, where it is a JSON object."""
    text: str = ""
    """What it says, where it is none: some connectors read other languages."""
    uplink_queue_size: int = MAX_RECORDS
    """How many entries its journal keeps at most."""
    report_strategy: ReportStrategy | None = None
    """Of what its devices say, but for keys that bring one."""
    memory_limit_mb: int | None = None
    """The process is started anew above so much memory; None: never."""


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
    """The client certificate by which the gateway proves who it is; with any type, as in the reference."""
    insecure: bool = False
    tls: bool = False
    """True where `tls` or the port asks for TLS, whatever the type is."""

    @property
    def uses_tls(self) -> bool:
        return self.tls or self.type in ("tlsAccessToken", "tlsPrivateKey") or self.ca_cert is not None


class Provisioning(msgspec.Struct, frozen=True, kw_only=True):
    """How a gateway that has no credentials gets some from the platform. Its texts are secrets, but for type and
    name: only the publisher keeps them."""

    type: ProvisioningType = "ACCESS_TOKEN"
    """What kind of credentials it asks for."""
    device_name: str | None = None
    """What the gateway is to be called on the platform; None: a name that is drawn."""
    key: str | None = None
    secret: str | None = None
    """Key and secret of the device profile that allows it."""
    access_token: str | None = None
    """The credentials that it wishes for; what is None is drawn."""
    username: str | None = None
    password: str | None = None
    client_id: str | None = None


class DeviceFiltering(msgspec.Struct, frozen=True, kw_only=True):
    """Devices whose readings are not sent: by connector, regular expressions that a name has to match whole."""

    deny: dict[str, tuple[str, ...]] = {}
    allow: dict[str, tuple[str, ...]] = {}
    """Says nothing that `deny` does not: what is not denied is allowed."""


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway tells the platform of itself."""

    period_s: int = 60


DELAY_MS: Final = 50
"""How long readings wait for company where nothing is said; from here on a busy line rests as long as pays."""
MOST_GATHERING_S: Final = 0.08
"""No frame waits longer for company before the publisher, however long readings may: a reader asks after 250 ms."""
PAYLOAD_GUESS_BYTES = 8196
"""What the reference's files say, and it where they say nothing; the platform's own word replaces it."""


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How many of something may go out: all pairs hold; without any there is no limit."""

    pairs: tuple[tuple[int, int], ...] = ()
    """(how many, in how many seconds)."""
    is_guess: bool = False
    """True for what is known of the kind of platform only: its own word takes the place of it."""


class RateLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much the platform is sent at most.

    The platform counts apart what the gateway says of itself, and what it says of its devices, of all together.
    """

    messages: Rate = Rate()
    """Of the gateway itself: messages that are no data."""
    data: Rate = Rate()
    """Of the gateway itself: messages with telemetry or attributes."""
    points: Rate = Rate()
    """Of the gateway itself: values in these."""
    device_messages: Rate = Rate()
    """Of all devices: announcements, answers to calls, questions."""
    device_data: Rate = Rate()
    """Of all devices: telemetry or attributes of one device in one message."""
    device_points: Rate = Rate()
    """Of all devices: values in these."""


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """The `thingsboard` section: where readings go."""

    host: str = "localhost"
    port: int = 1883
    qos: int = 1
    security: Security = Security()
    min_pack_send_delay_ms: int = DELAY_MS
    """How long readings wait on purpose for others to travel with."""
    min_pack_size_to_send: int = 500
    max_payload_size_bytes: int = PAYLOAD_GUESS_BYTES
    rate_limits: RateLimits = RateLimits()
    report_strategy: ReportStrategy | None = None
    remote_configuration: bool = False
    """True if the platform may change the configuration."""
    provisioning: Provisioning | None = None
    """None where the gateway has credentials."""
    filtering: DeviceFiltering | None = None
    inactivity_timeout_s: int | None = None
    """A device that has said nothing for so long is disconnected on the platform; None: never."""
    inactivity_period_s: int = 1
    """So often the devices are looked at for that."""
    follows_renaming: bool = True
    """True: a device that is renamed on the platform has its data under the new name."""
    statistics: Statistics | None = None
    """None: nothing is sent."""

    @property
    def reader_company_s(self) -> float | None:
        """How much of the wait for company a port reader may spend: half of a time that is shorter than the default;
        None: as long as pays, which is what nobody has asked to shorten."""
        return self.min_pack_send_delay_ms / 2000 if self.min_pack_send_delay_ms < DELAY_MS else None

    @property
    def broker_company_s(self) -> float:
        """How much of it the broker may spend on frames that come alone, for which nobody has waited yet: a period of
        the common moments, four fifths of it at most."""
        return min(MOST_GATHERING_S, period_within(self.min_pack_send_delay_ms / 1000 * 0.8))

    @property
    def publisher_company_s(self) -> float:
        """How much of it the publisher may spend: what is left."""
        delay_s = self.min_pack_send_delay_ms / 1000
        return delay_s - self.broker_company_s if self.reader_company_s is None else delay_s / 2


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """The `storage` section: the journal's place and limits."""

    type: Literal["memory", "file", "sqlite"] = "sqlite"
    data_dir: str | None = None
    """Absolute folder of the journals, where the file names one; else the gateway's data directory."""
    max_records: int | None = None
    max_bytes: int | None = None
    ttl_s: float | None = None
    durability: Literal["process", "power"] = "process"


class Web(msgspec.Struct, frozen=True, kw_only=True):
    """The `web` section: where the monitor listens for HTTP, and what may be done there."""

    is_on: bool = True
    address: str = "127.0.0.1"
    port: int = 8484
    hosts: tuple[str, ...] = ()
    """Names by which it is reached beside its address and those of the machine itself."""
    is_editable: bool = False
    """True if calls and changes may be made there, not only looked at things."""
    shows_frames: bool = True
    """True if what devices say is shown there, not only how much."""


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the configuration files say."""

    platform: Platform = Platform()
    storage: Storage = Storage()
    connectors: tuple[Connector, ...] = ()
    file: str = ""
    extension_dirs: tuple[str, ...] = ()
    """Folders that hold `serial/*.py` with users' converters and `<type>/*.py` with their connectors; the first one
    wins."""
    hosted: tuple[HostedConnector, ...] = ()
    log_levels: dict[str, str] = {}
    """Kind of process → how much it logs, where `logs.json` says so."""
    web: Web = Web()

    @property
    def devices(self) -> tuple[Device, ...]:
        return tuple(device for connector in self.connectors for device in connector.devices)

    @property
    def lines(self) -> tuple[tuple[Device, ...], ...]:
        """The devices by their lines, each of which is one process's: those with an address share one that they name,
        all others have theirs alone."""
        found: dict[tuple[str, str], list[Device]] = {}
        for device in self.devices:
            shares = device.asking is not None and device.asking.address is not None
            found.setdefault((device.line.port, "" if shares else device.name), []).append(device)
        return tuple(map(tuple, found.values()))

    @property
    def readers(self) -> tuple[str, ...]:
        """The names of the port readers: each is that of the first device on its line."""
        return tuple(devices[0].name for devices in self.lines)

    @property
    def streams(self) -> tuple[str, ...]:
        """The names of all streams, each with a journal: the devices', and those of hosted connectors."""
        return (*(device.name for device in self.devices), *(hosted_stream(one.name) for one in self.hosted))


def section_of(device: Device) -> bytes:
    """A device as canonical JSON: what is journaled with its frames, what converters ask for, and what is hashed.

    Equal devices give equal bytes. The fields that a converter reads stand at the top level under the names that they
    have had since release 0.2, so a converter of that release, still running after an update, reads them as they are
    meant.
    """
    version = VERSION if device.messages or device.framing.shapes or device.asking is not None else PLAIN
    fields = {"version": version, **msgspec.structs.asdict(device)}
    if device.framing.shapes:
        # A shape may have a table of bytes, and only keys that are text can be put in order.
        fields["framing"] = msgspec.to_builtins(device.framing, str_keys=True)
    return msgspec.json.encode(fields, order="deterministic")


def device_of(section: bytes) -> Device:
    """The device that `section_of` wrote, of this release or an older one: sections lie in journals for weeks.

    Raises msgspec.DecodeError for anything else, and for what a newer release wrote.
    """
    try:
        version = version_of(section)
        if version >= PLAIN:
            return msgspec.json.decode(section, type=Device)
        return msgspec.convert(updated(msgspec.json.decode(section, type=dict[str, Any]), version), Device)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from None


def version_of(content: bytes) -> int:
    """The version that a JSON object with devices in it says, 1 where it says none, as release 0.2 did.

    Who reads an object must ask first: msgspec leaves unknown fields out and fills missing ones in, so an object of
    another version would be read without an error, and wrongly. Raises msgspec.DecodeError for a newer one.
    """
    version = msgspec.json.decode(content, type=_Stamp).version
    if not 1 <= version <= VERSION:
        raise msgspec.DecodeError(f"its version is {version}, and this release reads versions 1 to {VERSION}")
    return version


def updated(device: dict[str, Any], version: int) -> dict[str, Any]:
    """The fields of a device as an older version wrote them, in the places where they stand now. All that is stored
    with devices in it is read by this, so a new version is a step here and nowhere else.

    1 → 2: the names are the same; line and framing became objects of their own. 2 → 3: there may be more.
    """
    if version < PLAIN:
        line = {name: device[name] for name in Line.__struct_fields__ if name in device}
        framing = {name: device[name] for name in Framing.__struct_fields__ if name in device}
        device = {**device, "line": line, "framing": framing}
    return device


class _Stamp(msgspec.Struct):
    """Only the version of an object; all else in it is passed over."""

    version: int = 1
