"""What `PublisherCore` hears and orders besides `common.core.events`.

A connection is a number that the core mints with each `ConnectPlatform`; what names an older one is ignored. A token
is a number that the core mints with each `Publish`; it is new for each publish, also for a repeated one.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from common.core.events import Arrived, Blocked, CommonEffect, Drain, Junk, Start, Tick, Writable

LinkFault = Literal[
    "",
    "name",
    "refused",
    "unreachable",
    "no_answer",
    "late",
    "no_tls",
    "tls_closed",
    "tls_silent",
    "tls_alert",
    "certificate",
    "foreign",
    "closed",
    "silent",
    "unacknowledged",
    "lost",
]
"""How a connection failed or ended:

- `name`, `refused`, `unreachable`, `no_answer`: no transport, for that reason; `late`: not in time;
- `no_tls`, `tls_closed`, `tls_silent`: to our TLS the other side said something else, hung up, or said nothing;
- `tls_alert`: it refused our TLS; `certificate`: we refused its certificate;
- `foreign`: it speaks something else than MQTT;
- `closed`: it hung up; `silent`: it does not answer to CONNECT; `unacknowledged`: no PUBACK;
- `lost`: it was accepted, and says nothing any more;
- "": no more is known than the words say.
"""
Found = Literal["tls", "no_certificate", "mqtt", "other", ""]
"""What a look at the other side shows: it speaks TLS; it does, and wants a certificate of ours; it speaks MQTT without
TLS; it speaks something else, a web server for instance; nothing that can be said."""


class RoundOver(NamedTuple):
    """Event: everything that ready sources had, within bounds, has been handed over. It decides nothing by time."""


class LinkUp(NamedTuple):
    """Event: CONNACK accepted us, and the subscriptions have been sent."""

    connection: int
    protocol: int
    """5 or 4 (MQTT 3.1.1), as ordered."""
    receive_maximum: int = 65_535
    """Unacknowledged publishes that the other side takes."""
    maximum_packet_bytes: int = 0
    """Largest packet that the other side takes; 0 where it says nothing."""


class LinkOpened(NamedTuple):
    """Event: the transport stands and CONNECT has been sent; CONNACK is due."""

    connection: int


class LinkDown(NamedTuple):
    """Event: the connection could not be made, or has ended without our doing."""

    connection: int
    reason: str
    reached: bool
    """True if the transport stood: a close before CONNACK then may mean that the protocol version is refused."""
    kind: LinkFault = ""
    code: int = 0
    """The reason code of the platform's DISCONNECT (MQTT 5); for `certificate`: OpenSSL's number; 0 where there is
    none."""
    said: bytes = b""
    """For `foreign`: the first bytes that came."""


class LinkRefused(NamedTuple):
    """Event: CONNACK refused us with a reason code of MQTT 5 (codes of 3.1.1 are translated by the shell)."""

    connection: int
    code: int
    reason: str


class Probed(NamedTuple):
    """Event: what a look at the other side has shown."""

    connection: int
    found: Found
    said: bytes = b""
    """For `other`: the first bytes that came."""


class PubAck(NamedTuple):
    """Event: PUBACK; `code` is always 0 on MQTT 3.1.1."""

    connection: int
    token: int
    code: int


class PlatformMessage(NamedTuple):
    """Event: a message on one of the subscribed topics, or pushed without subscription."""

    connection: int
    topic: str
    payload: bytes
    is_retained: bool = False
    """True for one that the MQTT broker has kept from before we subscribed."""
    size_bytes: int = 0
    """How large the whole payload is, where `payload` is only its beginning; else its length, or 0."""


class PacketRefused(NamedTuple):
    """Event: a packet was too large to be read, or of a quality of service nobody asked for. `LinkDown` follows."""

    connection: int
    size_bytes: int
    """0 where it is not for its size."""


class NamesKept(NamedTuple):
    """Event: a `KeepNames` was performed."""

    error: str = ""
    """Why the file is what it was before; "" if it was written."""


class MachineSeen(NamedTuple):
    """Event: what a look at the machine has shown; 0 for what can't be seen."""

    at_s: float
    """By the monotonic clock."""
    cpus: int
    load: float
    """Processes that run or want to, on average over fifteen minutes."""
    memory_bytes: int
    free_memory_bytes: int
    disk_bytes: int
    free_disk_bytes: int
    own_cpu_s: float
    """Processor time that the gateway's processes have used since they were started."""
    own_memory: dict[str, int]
    """Bytes that they have, by kind: rss, pss, uss, shared, swap."""


class LookAtMachine(NamedTuple):
    """Effect: look at the machine; `MachineSeen` follows soon."""


class CredentialsKept(NamedTuple):
    """Event: a `KeepCredentials` was performed."""

    error: str = ""
    """Why they are not on the disk; "" if they are."""


class KeepCredentials(NamedTuple):
    """Effect: write the credentials that the platform has given, and use them for each connection from now on;
    `CredentialsKept` follows."""

    content: bytes
    """Secret: nobody logs this effect."""


class RemoveCredentials(NamedTuple):
    """Effect: remove the credentials that the platform has given; `CredentialsRemoved` follows. The connection that
    stands, and those that this process makes, go on with them."""

    request: str
    """By which the event is known."""


class CredentialsRemoved(NamedTuple):
    """Event: a `RemoveCredentials` was performed."""

    request: str
    found: bool
    """False where there were none."""
    error: str = ""
    """Why they are still there; "" if they are not."""


class KeepNames(NamedTuple):
    """Effect: write the file of the names that users' converters have given, before anything that is ordered later;
    `NamesKept` follows."""

    content: bytes


class AskSupervisor(NamedTuple):
    """Effect: give an order (`common.io.orders`) to whoever looks after the gateway's processes; `SupervisorAsked`
    follows."""

    request: str
    """By which the event is known."""
    order: str


class SupervisorAsked(NamedTuple):
    """Event: an `AskSupervisor` was performed."""

    request: str
    error: str
    """"" or why the order could not be given."""


class HearLogs(NamedTuple):
    """Effect: hear what all processes log from now on (`LogLines`), or no more."""

    is_wanted: bool


class LogLines(NamedTuple):
    """Event: whole lines that processes have logged."""

    data: bytes
    at_ms: int
    """When they were heard."""


class KeepRequest(NamedTuple):
    """Effect: keep what the platform wants configured, and have it looked at; `SupervisorAsked` follows."""

    request: str
    """By which the event is known."""
    content: bytes


class ReadConfigured(NamedTuple):
    """Effect: read what is configured, as the platform is to see it; `ConfiguredRead` follows."""


class ConfiguredRead(NamedTuple):
    """Event: a `ReadConfigured` was performed."""

    content: bytes
    """b"" where nothing could be read."""


class ConnectPlatform(NamedTuple):
    """Effect: begin a connection with a new client object; `LinkUp`, `LinkRefused` or `LinkDown` follows."""

    connection: int
    protocol: int


class Probe(NamedTuple):
    """Effect: find out what listens at the platform's address, after an attempt that failed without a reason. `Probed`
    follows soon. Nothing secret is said to it."""

    connection: int
    """The attempt that failed."""


class DisconnectPlatform(NamedTuple):
    """Effect: say DISCONNECT if it still can be said, and close. No event need follow."""

    connection: int


class CheckLink(NamedTuple):
    """Effect, each second: send what keeps the connection alive, notice when it isn't (`LinkDown`)."""

    connection: int


class Publish(NamedTuple):
    """Effect: PUBLISH now; `PubAck` follows, unless the connection ends first."""

    connection: int
    token: int
    topic: str
    payload: bytes
    retain: bool = False
    """True if the MQTT broker is to keep it for whoever subscribes later."""
    qos: int = 1
    """Always 1: what is settled has a PUBACK."""


LinkEvent = LinkOpened | LinkUp | LinkDown | LinkRefused | Probed | PacketRefused | PlatformMessage | PubAck
"""What names a connection."""
OwnEvent = NamesKept | CredentialsKept | CredentialsRemoved | MachineSeen | SupervisorAsked | LogLines | ConfiguredRead
"""What the publisher's own shell has done or heard beside the platform."""
Event = Start | Tick | Drain | Arrived | Blocked | Writable | Junk | RoundOver | OwnEvent | LinkEvent
"""Not `Reconnected`: this shell does not watch for it; the broker's heartbeat says when it is another."""
OwnEffect = (
    KeepNames
    | KeepCredentials
    | RemoveCredentials
    | LookAtMachine
    | AskSupervisor
    | HearLogs
    | KeepRequest
    | ReadConfigured
)
Effect = CommonEffect | ConnectPlatform | Probe | DisconnectPlatform | CheckLink | Publish | OwnEffect
