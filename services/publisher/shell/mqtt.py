"""One MQTT connection: a paho client of its own, driven by our poller. Of the processes, only this file imports paho.

paho never reconnects and never resends here (a new client per connection, clean start, no limit of its own in flight),
and has no thread: once the transport stands, `read`, `write` and `check` are called by the one loop. Only making the
transport (name, TCP, TLS) blocks; `open` does that in a short-lived thread.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Any, Final

from paho.mqtt.client import Client, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from common.config.models import Platform
from services.publisher.core.dialects import Outgoing
from services.publisher.core.events import (
    LinkDown,
    LinkEvent,
    LinkFault,
    LinkRefused,
    LinkUp,
    PacketRefused,
    PlatformMessage,
    PubAck,
    Publish,
)

KEEPALIVE_S: Final = 30
"""Seconds without a packet after which either side asks whether the other is there."""
STORED_PACKET_BYTES: Final = 2 * 1024 * 1024
"""Twice the largest call that is taken. Of a larger packet from the platform only the beginning is kept, to answer
whoever has sent it."""
MOST_PACKET_BYTES: Final = 100 * 1024 * 1024
"""A packet above this ends the connection before it is read. MQTT 5 is told beforehand."""
KEPT_BYTES: Final = 64 * 1024
"""The beginning of a packet that is not stored: it has the topic, and says whose call it is."""
MOST_UNACKNOWLEDGED: Final = 64
"""Calls that the platform may send before we have taken the first: the rest waits there. Data has its turn between."""
TRANSPORT_TIMEOUT_S: Final = 5.0
"""Seconds for each address of the host: TCP, and again for TLS."""
MOST_READS: Final = 64
"""Packets that are read in one go; then others have their turn."""
FIRST_BYTES: Final = 64
"""Of what comes before CONNACK so much is kept, to say who speaks there."""
_KEEP_ALIVE_TIMEOUT: Final = 141
"""What paho calls a connection on which nothing has come for twice the keepalive."""
_BEFORE_CONNACK: Final = (0x20, 0xE0, 0xF0)
"""First bytes with which an MQTT server may begin: CONNACK, DISCONNECT, AUTH."""
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP", "RECORD", "UNKNOWN_PROTOCOL", "PACKET_LENGTH", "BAD_PACKET")
"""In OpenSSL's words for an answer that is no TLS."""
_QOS_2: Final = 0xF4
"""The bits of a packet's first byte that say what it is, and whether its quality of service is above 1."""
_PUBLISH_QOS_2: Final = 0x34
Subscriptions = tuple[tuple[str, bool], ...]


def _send_at_once(_client: Client, _userdata: object, sock: Any) -> None:
    """Without this a second small PUBLISH waits for the peer's delayed acknowledgement of the first: 40 ms."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def is_no_tls(error: ssl.SSLError) -> bool:
    """True if the other side does not speak TLS at all; False if it refuses ours."""
    word = error.reason or ""
    return isinstance(error, ssl.SSLEOFError) or ("ALERT" not in word and any(part in word for part in _NO_TLS))


class _BoundedClient(Client):
    """paho's client, which would read and keep a packet of any size."""

    refused_bytes = 0
    """Size of the packet that ended the connection; 0: none did."""
    left_out_bytes = 0
    """Bytes of the packet that is being handled which were read past."""
    has_unasked_qos = False
    """True if the connection was ended because of a message above the quality of service that we subscribe with."""
    has_transport = False
    """True once TCP stands."""
    alert = ""
    """OpenSSL's word for why the other side refuses our TLS, where that comes after the handshake."""
    first_bytes: bytes | None = b""
    """What has come before CONNACK; None after it."""

    def _create_socket_connection(self) -> socket.socket:
        made = super()._create_socket_connection()
        self.has_transport = True
        return made

    def _sock_recv(self, bufsize: int) -> bytes:
        if self.first_bytes is not None:
            return self._first_recv(bufsize)
        if self._in_packet["command"] & _QOS_2 == _PUBLISH_QOS_2:
            # paho keeps each until the other side releases it, however many these are.
            self.has_unasked_qos = True
            raise ConnectionAbortedError("a message of a quality of service above 1")
        # paho asks for all that is left of a packet at once, and appends what it gets.
        size = self._in_packet["remaining_length"] if self._in_packet["have_remaining"] else 0
        if size <= STORED_PACKET_BYTES:
            self.left_out_bytes = 0
            return super()._sock_recv(bufsize)
        if size > MOST_PACKET_BYTES:
            self.refused_bytes = size
            raise ConnectionAbortedError(f"a packet of {size} bytes")
        kept = self._in_packet["packet"]
        del kept[KEPT_BYTES:]
        data = super()._sock_recv(min(bufsize, KEPT_BYTES))
        self.left_out_bytes = size - len(kept) - len(data)
        return data

    def _first_recv(self, bufsize: int) -> bytes:
        """Before CONNACK: what comes shows who is there, and it is little."""
        if self._in_packet["have_remaining"] and self._in_packet["remaining_length"] > STORED_PACKET_BYTES:
            raise ConnectionAbortedError("no CONNACK is so large")
        try:
            data = super()._sock_recv(bufsize)
        except ssl.SSLError as error:
            self.alert = error.reason or ""
            raise
        self.first_bytes = ((self.first_bytes or b"") + data)[:FIRST_BYTES]
        return data


class Connection:
    """One connection. `open` runs in a thread of its own; everything else in the loop's.

    What happens is kept as events; `take_events` gives them away. Nothing here calls the core.
    """

    def __init__(
        self,
        number: int,
        protocol: int,
        config: Platform,
        client_id: str,
        *,
        context: ssl.SSLContext | None,
        subscriptions: Subscriptions,
        will: Outgoing | None = None,
    ) -> None:
        """`will`: what the MQTT broker says for us when this connection breaks; None: nothing."""
        self.number = number
        self._protocol = protocol
        self._has_tls = context is not None
        self._subscriptions = subscriptions
        self._tokens: dict[int, int] = {}
        """The core's token of each publish that is not acknowledged, by paho's number of it."""
        self._events: list[LinkEvent] = []
        self._unacknowledged: list[tuple[int, int]] = []
        """(number, quality of service) of the platform's messages that have come and are not acknowledged."""
        self._client = self._make_client(config, client_id, context)
        if will is not None:
            self._client.will_set(will.topic, will.payload, qos=1, retain=will.retain)

    def _make_client(self, config: Platform, client_id: str, context: ssl.SSLContext | None) -> _BoundedClient:
        is_5 = self._protocol == 5
        client = _BoundedClient(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if is_5 else True,
            protocol=MQTTProtocolVersion.MQTTv5 if is_5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        security = config.security
        if security.type == "usernamePassword":
            client.username_pw_set(security.username, security.password)
        elif security.access_token is not None:
            # ThingsBoard takes the access token as the user name, without a password.
            client.username_pw_set(security.access_token)
        if context is not None:
            client.tls_set_context(context)
            client.tls_insecure_set(security.insecure)
        client.connect_timeout = TRANSPORT_TIMEOUT_S
        client.max_inflight_messages = 0  # Ours is the only bound.
        client.on_socket_open = _send_at_once
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        properties = None
        if is_5:
            # The session ends with the connection: what it did not acknowledge we send again ourselves.
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
            properties.ReceiveMaximum = MOST_UNACKNOWLEDGED
            properties.MaximumPacketSize = MOST_PACKET_BYTES
        client.connect_async(config.host, config.port, KEEPALIVE_S, clean_start=True, properties=properties)
        return client

    def open(self) -> LinkDown | None:
        """Makes the transport and sends CONNECT; None, or why that failed. Blocks."""
        try:
            self._client.reconnect()
        except (OSError, ValueError) as error:
            return self._failure(error)
        return None

    def _failure(self, error: Exception) -> LinkDown:
        """What went wrong with the transport."""
        kind: LinkFault = ""
        code, reason = 0, str(error) or type(error).__name__
        match error:
            case socket.gaierror() | UnicodeError():
                kind = "name"
            case ssl.SSLCertVerificationError():
                kind, code = "certificate", error.verify_code
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
                kind = "tls_closed"
            case ssl.SSLError():
                reason = error.reason or reason
                kind = "no_tls" if is_no_tls(error) else "tls_alert"
            case TimeoutError():
                kind = "tls_silent" if self._client.has_transport else "no_answer"
            case ConnectionRefusedError():
                kind = "refused"
            case ConnectionError() if self._client.has_transport:
                kind = "tls_closed" if self._has_tls else "closed"
            case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH | errno.ENETDOWN | errno.EADDRNOTAVAIL):
                kind = "unreachable"
        return LinkDown(self.number, reason, reached=False, kind=kind, code=code)

    @property
    def descriptor(self) -> int:
        """What to poll; -1 once the transport is closed."""
        sock = self._client.socket()
        return -1 if sock is None else sock.fileno()

    @property
    def wants_write(self) -> bool:
        """True while something waits that the transport has not taken."""
        return self._client.want_write()

    def read(self) -> None:
        """Takes what is there, also what TLS has decrypted already and no poll would tell of; within bounds."""
        for _ in range(MOST_READS):
            try:
                self._client.loop_read()
            except Exception as error:  # noqa: BLE001 (paho before 2.2 raises anything for a packet that is none)
                self._break(f"the platform sent a packet that is none: {error!r}")
                return
            if self._client.first_bytes and self._client.first_bytes[0] not in _BEFORE_CONNACK:
                self._break("the other side speaks no MQTT")
                return
            pending = getattr(self._client.socket(), "pending", None)
            if pending is None or not pending():
                break
        self.write()

    def _break(self, reason: str) -> None:
        """Ends a connection that has not ended by itself."""
        if (sock := self._client.socket()) is not None:
            sock.close()
            self._events.append(self._ended(reason))

    def _ended(self, reason: str, code: int = 0, *, is_silent: bool = False) -> LinkDown:
        """The end of a connection whose transport stood; `is_silent`: we have ended it, since nothing came any more."""
        said = self._client.first_bytes
        kind: LinkFault = "lost" if is_silent else "closed"
        if self._client.alert:
            kind, reason = "tls_alert", self._client.alert
        elif said and said[0] not in _BEFORE_CONNACK:
            kind = "foreign"
        elif reason:
            kind = ""
        return LinkDown(self.number, reason, reached=True, kind=kind, code=code, said=said or b"")

    def write(self) -> None:
        """Sends what could not be sent before."""
        if self._client.want_write():
            self._client.loop_write()

    def check(self) -> None:
        """Keeps the connection alive, and notices when it isn't."""
        self._client.loop_misc()

    def publish(self, order: Publish) -> None:
        """Sends PUBLISH, or keeps it until the transport takes it. On a connection that has ended it does nothing:
        `LinkDown` is on its way."""
        info = self._client.publish(order.topic, order.payload, order.qos, order.retain)
        self._tokens[info.mid] = order.token

    def close(self) -> None:
        """Sends DISCONNECT and ends the connection; nothing that has happened on it is told any more."""
        self._client.disconnect()
        if (sock := self._client.socket()) is not None:
            # DISCONNECT could not be written: the other side does not read.
            sock.close()
        self._events.clear()

    def acknowledge(self) -> bool:
        """Tells the platform that its messages have come; to be called once they are on their way. False if none."""
        arrived, self._unacknowledged = self._unacknowledged, []
        for mid, qos in arrived:
            self._client.ack(mid, qos)
        return bool(arrived)

    def take_events(self) -> list[LinkEvent]:
        """What has happened since the last call."""
        events, self._events = self._events, []
        return events

    # paho calls these from within the methods above.

    def _on_connect(
        self, client: Client, userdata: object, flags: object, code: ReasonCode, properties: object
    ) -> None:
        self._client.first_bytes = None
        if code.value != 0:
            self._events.append(LinkRefused(self.number, code.value, str(code)))
            return
        # What the MQTT broker keeps is old: it is not asked for where that can be said, and told by its flag elsewhere.
        if not self._subscriptions:
            pass
        elif self._protocol == 5:
            client.subscribe(
                [
                    (topic, SubscribeOptions(qos=1, noLocal=no_local, retainHandling=2))
                    for topic, no_local in self._subscriptions
                ]
            )
        else:
            client.subscribe([(topic, 1) for topic, _ in self._subscriptions])
        receive_maximum = getattr(properties, "ReceiveMaximum", 65_535)
        maximum_packet = getattr(properties, "MaximumPacketSize", 0)
        self._events.append(LinkUp(self.number, self._protocol, receive_maximum, maximum_packet))

    def _on_disconnect(
        self, client: Client, userdata: object, flags: DisconnectFlags, code: ReasonCode, properties: object
    ) -> None:
        # Where the other side has sent no DISCONNECT, paho's code says no more than that the connection is over.
        said = code.value if flags.is_disconnect_packet_from_server else 0
        is_silent = not said and code.value == _KEEP_ALIVE_TIMEOUT
        reason = f"the platform has closed the connection: {code}" if said else ""
        if self._client.refused_bytes:
            reason = f"the platform sent {self._client.refused_bytes} bytes in one packet, at most {MOST_PACKET_BYTES}"
            reason += " are taken"
            self._events.append(PacketRefused(self.number, self._client.refused_bytes))
        elif self._client.has_unasked_qos:
            reason = "the platform sent a message of quality of service 2, which nobody subscribed with"
            self._events.append(PacketRefused(self.number, 0))
        self._events.append(self._ended(reason, said, is_silent=is_silent))

    def _on_publish(self, client: Client, userdata: object, mid: int, code: ReasonCode, properties: object) -> None:
        token = self._tokens.pop(mid, None)
        if token is not None:
            self._events.append(PubAck(self.number, token, code.value))

    def _on_message(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        # Acknowledged whatever it says: a message that nobody understands would come again and again.
        self._unacknowledged.append((message.mid, message.qos))
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        size = len(message.payload) + self._client.left_out_bytes
        self._events.append(PlatformMessage(self.number, topic, bytes(message.payload), message.retain, size))
