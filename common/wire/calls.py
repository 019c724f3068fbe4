"""The verbs of the calls plane: what each of them carries, and the words in which a call is refused.

The body of a `Request` is a msgpack map of the fields of one of these structs; the verb says of which. A body may gain
fields, with defaults; who does not know them leaves them out. What a reply carries stands at each.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import asdict

from common.core.errors import WireError, printable
from common.wire import codec
from common.wire.messages import Reply, Request

MOST_ID: Final = 2**63 - 1
"""SQLite's largest integer: no dead letter has a larger id."""
Id = Annotated[int, Meta(ge=0, le=MOST_ID)]
AtLeastOne = Annotated[int, Meta(ge=1, le=MOST_ID)]


class Encode(Struct, frozen=True):
    """Publisher to whoever converts the device's calls: the params (JSON, b"" for none) of a method to what is written.
    Goes on as `Exchange`."""

    method: str
    params: bytes
    called: str = ""
    """The device as the caller named it, where a converter has made that name; "" for the configured device."""
    called_type: str = ""
    """The type of that device."""


class EncodeUpdate(Struct, frozen=True):
    """Step 2 of an attribute update: a JSON object of attributes. Goes on as `Exchange`."""

    data: bytes
    called: str = ""
    """As in `Encode`."""
    called_type: str = ""


class Exchange(Struct, frozen=True):
    """Converter to port reader: write this, and wait for an answer if one is wanted. The reply is JSON as bytes; an
    answer goes on as `Decode`."""

    writes: list[bytes]
    method: str = ""
    """"" for an attribute update."""
    with_response: bool = False
    timeout_s: float = 0.0
    """How long the answer may take, counted from the end of the write."""
    pattern: str = ""
    """A regular expression that is found in the answer, and in nothing else that the device says."""
    until: bytes = b""
    """Ends the answer besides the device's delimiter; b"" for nothing."""
    then: list[tuple[bytes, str]] = []
    """(what is written next, the pattern of its answer) of each further write of one call: each goes out once the
    answer to the one before has come, and the last answer is the call's."""
    good: str = ""
    """What an answer looks like after which `then` goes on; any other that fits `pattern` ends the call. "": any."""


class Decode(Struct, frozen=True):
    """Port reader to converter: the device's answer to a method. The reply is JSON `{"result": …}` as bytes."""

    method: str
    frame: bytes


class CallConnector(Struct, frozen=True):
    """Publisher to connector host: a method of the connector itself, called as `<type>_<method>` on the gateway. The
    reply is the JSON that the connector has returned, b"" where it has returned nothing."""

    method: str
    params: bytes
    """JSON."""
    request: str = ""
    """The call's id, as the platform has it."""


class SharedKeys(Struct, frozen=True):
    """Publisher to connector host: which shared attributes does the connector want of this device, which was announced?
    The reply is a JSON list of their names as bytes, b"" for none."""

    device: str


class AskAttributes(Struct, frozen=True):
    """Connector host to publisher: what has the platform of these attributes of one of the connector's devices? The
    request's device is the connector's stream. The reply is JSON as bytes: `{"id", "device"}`, with `"value"` or
    `"values"` as the platform has said it."""

    device: str
    keys: list[str]
    is_client: bool = False
    """True for what the device has said of itself, False for what the platform has set."""


class FindSection(Struct, frozen=True):
    """Converter to port reader: the device's section of this hash. The reply is its JSON as bytes."""

    section: str


class TakeSection(Struct, frozen=True):
    """Client to port reader: the request's device is configured so from the next frame on. The reply is nil; an error
    says why only a reader that is started anew can go by it, and this one goes on as before."""

    section: bytes
    """Canonical JSON (`common.config.models.section_of`)."""


class TakeLimits(Struct, frozen=True):
    """Client to whoever has journals: each of its journals keeps so much from now on, and drops at once, counted, what
    is more. The reply is nil."""

    max_records: AtLeastOne
    max_bytes: AtLeastOne
    ttl_s: Annotated[float, Meta(ge=0)] = 0.0
    """How old an entry may become; 0 for any age."""


class DiedIn(Struct, frozen=True):
    """Converter to port reader: a process died while it converted these numbers. The reply is nil."""

    journal: str
    generation: int
    numbers: list[int]


class ListDeadLetters(Struct, frozen=True):
    """Client to port reader: a page of its dead letters, newest first, below the id `before` (0: from the newest on).
    The reply is `{"count", "bytes", "letters": [[id, number, ts_ms, reason, data]]}`."""

    before: Id
    most: Id


class RetryDeadLetters(Struct, frozen=True):
    """Client to port reader: send dead letters `after` < id ≤ `until` through again, one batch of them. The reply is
    `{"retried", "kept", "last": id, 0 when there are no more}`."""

    after: Id
    until: Id


class CallDevice(Struct, frozen=True):
    """Client to publisher: call a method as the platform would. The reply is the JSON that it would get, as bytes."""

    device: str
    method: str
    params: bytes


class UpdateAttributes(Struct, frozen=True):
    """Client to publisher: a JSON object of attributes, as if the platform had changed them."""

    device: str
    data: bytes


class Beat(Struct, frozen=True):
    """Anyone to anyone: beat now. The reply is nil."""


class Status(Struct, frozen=True):
    """Client to monitor. The reply is the state of everything, JSON as bytes."""


class Watched(Struct, frozen=True):
    """Whoever has changed the configuration to monitor: these are configured now. The reply is nil."""

    devices: list[str]
    connectors: list[str]


class TakeDevices(Struct, frozen=True):
    """Whoever has changed the configuration to publisher: these devices are configured now. The reply is nil; an error
    says why only a publisher that is started anew can go by it, and this one goes on as before."""

    devices: bytes
    """JSON (`services.publisher.core.known`)."""


class Configured(Struct, frozen=True):
    """Whoever has changed the configuration to publisher: look at what is configured now. The reply is nil."""


Body = (
    Encode
    | EncodeUpdate
    | Exchange
    | Decode
    | CallConnector
    | SharedKeys
    | AskAttributes
    | FindSection
    | TakeSection
    | TakeLimits
    | DiedIn
    | ListDeadLetters
    | RetryDeadLetters
    | CallDevice
    | UpdateAttributes
    | Beat
    | Status
    | Configured
    | Watched
    | TakeDevices
)
_SHAPES: Final[dict[str, type[Body]]] = {
    "encode": Encode,
    "encode_update": EncodeUpdate,
    "exchange": Exchange,
    "decode": Decode,
    "call_connector": CallConnector,
    "shared_keys": SharedKeys,
    "ask_attributes": AskAttributes,
    "section": FindSection,
    "take_section": TakeSection,
    "take_limits": TakeLimits,
    "note": DiedIn,
    "dead_letters": ListDeadLetters,
    "retry": RetryDeadLetters,
    "rpc": CallDevice,
    "attributes": UpdateAttributes,
    "beat": Beat,
    "status": Status,
    "configured": Configured,
    "watched": Watched,
    "take_devices": TakeDevices,
}
_VERBS: Final[dict[type[Body], str]] = {shape: verb for verb, shape in _SHAPES.items()}


def verb_of(kind: type[Body]) -> str:
    """What a request of this kind is called on the wire."""
    return _VERBS[kind]


def pack_body(body: Body) -> bytes:
    """A request's body."""
    # Releases before this one have asked for the status with nil.
    if isinstance(body, Status):
        return codec.pack(None)
    fields = asdict(body)
    if isinstance(body, Exchange) and not body.then:
        # Nearly every call is one write, and goes as it went before there were several.
        del fields["then"], fields["good"]
    return codec.pack(fields)


def body_of(request: Request, *served: type[Body]) -> Body | None:
    """What a request asks for; None for a verb that this version does not know, or, where some are named, that is none
    of the `served`: nobody looks into the body of such a one. Raises WireError, with the sentence for whoever asked, if
    its body is not what the verb says."""
    shape = _SHAPES.get(request.verb)
    if shape is None or (served and shape not in served):
        return None
    try:
        # A verb without arguments may come with nil.
        arguments = codec.unpack_map(request.body) if shape.__struct_fields__ else {}
        return msgspec.convert(arguments, shape, builtin_types=(bytes,))
    except (WireError, msgspec.ValidationError, RecursionError) as error:
        raise WireError(f"{MALFORMED}: {error}") from None


# To whom.

_CONVERTER_OF: Final = "converter@"


HOSTED: Final = "connector:"
"""Begins the name of a hosted connector's stream, where those of port readers have a device's name: connectors and
devices may have the same names."""


def hosted_stream(connector: str) -> str:
    """The name of a hosted connector's stream."""
    return HOSTED + connector


def hosted_connector(stream: str) -> str | None:
    """The hosted connector that a stream belongs to; None for a device's stream."""
    return stream.removeprefix(HOSTED) if stream.startswith(HOSTED) else None


def host_of(connector: str) -> str:
    """The address of a hosted connector's process."""
    return f"connector_host:{connector}"


def reader_of(device: str) -> str:
    """The address of the source of a stream: a device's port reader, or the process of a hosted connector."""
    connector = hosted_connector(device)
    return f"port_reader:{device}" if connector is None else host_of(connector)


def converter_of(device: str) -> str:
    """Whoever converts this device's calls: the broker knows."""
    return f"{_CONVERTER_OF}{device}"


def converted_device(target: str) -> str | None:
    """The device of a `converter_of`; None for every other address."""
    return target.removeprefix(_CONVERTER_OF) if target.startswith(_CONVERTER_OF) else None


# How a call ends.

MALFORMED: Final = "malformed request"
EXPIRED: Final = "expired while waiting"
QUEUE_FULL: Final = "queue full"
SHUTTING_DOWN: Final = "shutting down"
NO_CONVERTER: Final = "no converter is running"
NO_PUBLISHER: Final = "the publisher is not running"
METHOD_NOT_FOUND: Final = "Method not found"
"""The reference's own words, as `NO_DATA` is."""
NO_DATA: Final = "No data to send"
UNKNOWN_SECTION: Final = "unknown section"
TOO_SLOW_PATTERN: Final = "the responsePattern takes too long on what the device says"


def unknown_device(name: str) -> str:
    """No device of this name is configured; or no connector, of a hosted one's stream."""
    connector = hosted_connector(name)
    return f"unknown device {name}" if connector is None else f"unknown connector {connector}"


def not_connected(name: str) -> str:
    """The device is configured, and its port is closed or its reader is not there; or a hosted connector does not
    run."""
    connector = hosted_connector(name)
    return f"device {name} is not connected" if connector is None else f"connector {connector} is not running"


def named_error(error: str, device: str, source: str) -> str:
    """An error text about `source`, for who has called `device`, which a converter has named in that one's readings."""
    connector = hosted_connector(source)
    if connector is not None and error in (unknown_device(source), not_connected(source)):
        return f"{error}, and it serves {device}"
    if error == unknown_device(source):
        return f"unknown device {source}, which serves {device}"
    if error == not_connected(source):
        return f"device {source}, which serves {device}, is not connected"
    return error


def unknown_verb(verb: str) -> str:
    """A newer version may know it."""
    return f"unknown verb {verb}"


RESPONSE_TIME: Final = "responseTimeoutSec"
PLATFORM_TIME: Final = "so long a call from the platform may take; a longer responseTimeoutSec extends it"
CALLER_TIME: Final = "so long its caller waits; serialgw rpc has --timeout for it"
WRITE_TIME: Final = "writeTimeout"
CALL_TIME: Final = "so long the call may take; writeTimeout may be less"
ANSWER_ROOM_S: Final = 2.0
"""What a call takes beside the device's own time: on its way there and back, and to convert the answer."""


def no_answer(timeout_s: float, bound: str) -> str:
    """The device said nothing that is an answer within the time that `bound` names."""
    return f"no answer in {timeout_s:g} s ({bound})"


def not_written(time_s: float) -> str:
    """A call has waited for others until its time was over."""
    return f"not written within {time_s:g} s: the device was still busy with a call before it"


def timed_out(time_s: float, bound: str) -> str:
    """Why a write has failed that did not leave the machine."""
    return f"timed out after {time_s:g} s ({bound})"


def write_failed(reason: str) -> str:
    """The call may have been written in part."""
    return f"write failed: {reason}"


def reply(request: Request, value: object) -> Reply:
    """The good end of a call; `value` is what msgpack can carry."""
    return Reply(request.id, request.reply_to, "", codec.pack(value))


def refuse(request: Request, error: str) -> Reply:
    """The bad end of a call: an error text, which the platform's user reads."""
    return Reply(request.id, request.reply_to, printable(error), b"")
