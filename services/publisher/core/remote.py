"""What the platform may ask of the gateway as a whole: to restart, to tell its log, to be configured otherwise. Pure.

The publisher only talks. Who restarts and who applies is `serialgw run`, which looks after all processes; without one
the platform is told so. What is configured, and why something else is not, stands in a file that whoever applies
writes, and that is said to the platform as attributes of the gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from common.core.hashes import short_hash
from common.core.shown import harmless
from services.publisher.core.dialects import Dialect, ForgetCredentials, GatewayAttributes, GatewayRestart
from services.publisher.core.events import (
    AskSupervisor,
    ConfiguredRead,
    CredentialsRemoved,
    HearLogs,
    KeepRequest,
    ReadConfigured,
    RemoveCredentials,
    SupervisorAsked,
)
from services.publisher.core.outlet import Outlet
from services.publisher.core.remote_log import LEVELS, RemoteLog
from services.publisher.core.replies import Replies

LEVEL_KEY: Final = "RemoteLoggingLevel"
GENERAL_KEY: Final = "general_configuration"
SECTION_KEYS: Final = (
    GENERAL_KEY,
    "storage_configuration",
    "grpc_configuration",
    "logs_configuration",
    "active_connectors",
)
"""The reference's names for the parts of the main file."""
SECRET_KEYS: Final = ("security", "provisioning")
"""Parts of the general configuration that are never taken from the platform, and never written down."""
REFUSED_KEY: Final = "configuration_refused"
"""Ours: the attribute that says why a part of the configuration was not taken; {} when all was."""
MOST_REQUEST_BYTES: Final = 1024 * 1024
"""What one message of the platform may want configured: as many bytes as any call."""
REPEAT_S: Final = 60.0
"""What was told so short before a connection ended is told again on the next one: it may not have arrived."""
MOST_NEW_KEYS: Final = 64
"""Connectors that are asked for because the platform lists them and nobody knows them here."""

_objects: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class RemoteSetup(NamedTuple):
    """What the configuration says of all this."""

    keys: tuple[str, ...] = ()
    """The gateway's attributes that the platform is asked for on each connection; () asks nothing."""
    is_configurable: bool = False
    """True if the platform may change the configuration (`remoteConfiguration`)."""
    logged: Mapping[str, str] = {}
    """Connector → level, of those whose log the platform is told (`enableRemoteLogging`)."""
    hidden: tuple[str, ...] = ()
    """Secrets, which no line may hold."""


class _Configured(msgspec.Struct):
    """What the file says, which whoever applies writes. A later version may have more fields, with defaults."""

    attributes: dict[str, msgspec.Raw] = {}
    """What the gateway says of its configuration: key → JSON value."""
    handled: dict[str, str] = {}
    """Key → `fingerprint` of the value that was last applied or refused: the platform says it on each connection."""


class Remote:
    """The gateway's side of what its platform asks of it; `log` has the lines that the platform is told."""

    def __init__(
        self, setup: RemoteSetup, dialect: Dialect, replies: Replies, connectors: Mapping[str, str], out: Outlet
    ) -> None:
        """`connectors`: each device's connector."""
        self._setup = setup
        self._dialect = dialect
        self._replies = replies
        self._out = out
        self.log = RemoteLog(dialect, replies, connectors, setup.logged, setup.hidden)
        self._hears_logs = False
        self._count = 0
        self._restarts: dict[str, GatewayRestart] = {}
        self._said: dict[str, bytes] = {}
        """What the platform was told of the configuration: key → JSON value."""
        self._unsaid: dict[str, bytes] = {}
        self._said_s: dict[str, float] = {}
        self._handled: dict[str, str] = {}
        self._is_read = not setup.is_configurable
        self._early: list[bytes] = []
        """Attributes that have come before it was known which of them were applied already."""
        self._is_off_noted = False

    def start(self) -> None:
        """The process has begun."""
        if self._setup.is_configurable:
            self._out.order(ReadConfigured())
        self._hear_logs()

    def connection_begun(self, now_s: float) -> None:
        """The connection stands: asks for what the platform has set while nobody was there."""
        self._unsaid |= {key: self._said[key] for key, at_s in self._said_s.items() if now_s - at_s < REPEAT_S}
        self._ask(self._setup.keys, now_s)

    def _ask(self, keys: tuple[str, ...], now_s: float) -> None:
        if keys:
            self._count += 1
            question = self._dialect.ask_own_attributes(self._count, keys)
            if question is not None:
                self._replies.add(question, now_s)

    # Restarts.

    def restart(self, call: GatewayRestart) -> None:
        """The platform wants the processes restarted: whoever looks after them is asked."""
        self._restarts[call.request] = call
        self._out.order(AskSupervisor(call.request, f"restart {call.after_s:g}"))

    def asked(self, event: SupervisorAsked, now_s: float) -> None:
        """Somebody looks after the processes, or nobody does."""
        call = self._restarts.pop(event.request, None)
        if call is not None:
            self._replies.add(self._dialect.gateway_done(call.request, event.error), now_s)
            if event.error:
                self._out.note("warning", "gateway.not_restarted", asked_by="the platform", reason=event.error)
            else:
                then = "nothing is lost: journals keep what waits"
                self._out.note("info", "gateway.restarting", asked_by="the platform", in_s=call.after_s, then=then)
        elif event.error:
            self._refuse(event.error)

    # Credentials.

    def forget_credentials(self, call: ForgetCredentials) -> None:
        """The platform wants the credentials forgotten that it has given."""
        self._out.order(RemoveCredentials(call.request))

    def forgotten(self, event: CredentialsRemoved, now_s: float) -> None:
        """They are gone, or there were none, or they can't be removed."""
        self._replies.add(self._dialect.credentials_forgotten(event.request, event.found, event.error), now_s)
        if event.error:
            self._out.note("warning", "credentials.not_removed", asked_by="the platform", reason=event.error)
        elif event.found:
            then = "they serve until the gateway is started again, which asks for new ones"
            self._out.note("warning", "credentials.removed", asked_by="the platform", then=then)

    # Attributes.

    def hear(self, said: GatewayAttributes, now_s: float) -> None:
        """The platform has set attributes of the gateway, or repeats them."""
        try:
            values = _objects.decode(said.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if LEVEL_KEY in values:
            self._set_level(bytes(values.pop(LEVEL_KEY)))
        if values and not self._is_read:
            self._early.append(said.data)
        elif values:
            self._configure({key: bytes(value) for key, value in values.items()}, now_s)

    def _set_level(self, value: bytes) -> None:
        try:
            word = msgspec.json.decode(value, type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            word = ""
        if not self.log.set_level(word):
            expected = ", ".join(LEVELS)
            self._out.note("warning", "remote_log.level_unknown", found=harmless(word[:40]), expected=expected)
            return
        self._out.note("info", "remote_log.level", level=word.strip().upper(), asked_by="the platform")
        self._hear_logs()

    def _hear_logs(self) -> None:
        if self.log.is_wanted != self._hears_logs:
            self._hears_logs = self.log.is_wanted
            self._out.order(HearLogs(self._hears_logs))

    def _configure(self, values: dict[str, bytes], now_s: float) -> None:
        """Has what is new among the attributes looked at. What is no part of a configuration is left alone: a platform
        may keep anything in the gateway's attributes."""
        wanted = {key: value for key, value in values.items() if self._is_ours(key, value)}
        new = {key: value for key, value in wanted.items() if self._is_new(key, value)}
        if not new:
            return
        if not self._setup.is_configurable:
            if not self._is_off_noted:
                self._is_off_noted = True
                reason = "remoteConfiguration is not true in the gateway's own configuration"
                self._out.note("warning", "configuration.refused", parts=", ".join(new), reason=reason)
            return
        if listed := new.get("active_connectors"):
            self._ask_unknown(listed, now_s)
        fingerprints = {key: fingerprint(value) for key, value in new.items()}
        self._handled |= fingerprints
        parts = {key: msgspec.Raw(_bare(key, value)) for key, value in new.items()}
        content = msgspec.json.encode({"parts": parts, "fingerprints": fingerprints})
        if len(content) > MOST_REQUEST_BYTES:
            self._refuse(f"it has {len(content)} bytes, at most {MOST_REQUEST_BYTES} are taken")
            return
        self._count += 1
        self._out.note("info", "configuration.asked", parts=", ".join(new), asked_by="the platform")
        general = _decoded(new.get(GENERAL_KEY, b"null"))
        if isinstance(general, dict) and (left := [key for key in SECRET_KEYS if key in general]):
            reason = "how the gateway proves who it is stays as its own files and environment say"
            self._out.note("info", "configuration.left_out", parts=", ".join(left), reason=reason)
        self._out.order(KeepRequest(f"configure-{self._count}", content))

    def _is_ours(self, key: str, value: bytes) -> bool:
        """A part of the main file, or a connector: those that are known, and what looks like one."""
        if key in SECTION_KEYS or key in self._setup.keys:
            return True
        connector = _decoded(value)
        return isinstance(connector, dict) and {"name", "type"} <= connector.keys() and "deleted" not in key

    def _is_new(self, key: str, value: bytes) -> bool:
        """Not what was handled last, nor what we have said ourselves: a plain MQTT broker sends that back."""
        said = self._said.get(key)
        return self._handled.get(key) != fingerprint(value) and (
            said is None or fingerprint(said) != fingerprint(value)
        )

    def _ask_unknown(self, listed: bytes, now_s: float) -> None:
        names = _decoded(listed)
        if isinstance(names, list):
            unknown = [name for name in names if isinstance(name, str) and name not in self._setup.keys]
            self._ask(tuple(unknown[:MOST_NEW_KEYS]), now_s)

    def _refuse(self, reason: str) -> None:
        self._out.note("warning", "configuration.refused", reason=reason)
        if self._setup.is_configurable:
            self._unsaid[REFUSED_KEY] = msgspec.json.encode({"*": reason})

    # What is configured.

    def changed(self) -> None:
        """Somebody has applied something, or refused it."""
        self._out.order(ReadConfigured())

    def read(self, event: ConfiguredRead, now_s: float) -> None:
        """The file says what is configured."""
        try:
            found = msgspec.json.decode(event.content, type=_Configured) if event.content else _Configured()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = _Configured()
        self._handled |= found.handled
        values = {key: bytes(value) for key, value in found.attributes.items()}
        self._unsaid |= {key: value for key, value in values.items() if self._said.get(key) != value}
        self._is_read = True
        early, self._early = self._early, []
        for data in early:
            self.hear(GatewayAttributes(data), now_s)

    @property
    def has_news(self) -> bool:
        """True while `work` may have something to do."""
        return bool(self._unsaid) or self.log.next_deadline_s is not None

    def work(self, now_s: float, limit_bytes: int) -> None:
        """Tells what is to be told. `limit_bytes`: how large a message may be; 0: nothing may go out now."""
        if not limit_bytes:
            return
        unsaid, self._unsaid = self._unsaid, {}
        for key, value in unsaid.items():
            message = self._dialect.own_attributes({key: value})
            if message is None:
                continue
            self._said[key], self._said_s[key] = value, now_s
            if len(message.payload) > limit_bytes:
                size, reason = len(message.payload), "the platform takes no message so large"
                self._out.note(
                    "warning",
                    "configuration.not_told",
                    attribute=key,
                    bytes=size,
                    limit_bytes=limit_bytes,
                    reason=reason,
                )
                continue
            self._replies.add(message, now_s)
        self.log.publish(now_s)

    @property
    def next_deadline_s(self) -> float | None:
        """When `work` may have something to do, while the connection stands."""
        return self.log.next_deadline_s


def fingerprint(value: bytes) -> str:
    """The same for JSON that says the same, whatever its order and blanks."""
    return short_hash(msgspec.json.encode(_decoded(value), order="deterministic"), 32)


def _decoded(value: bytes) -> Any:
    """JSON as plain objects; None for what is none."""
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _bare(key: str, value: bytes) -> bytes:
    """The value as it may be written down: without what may be secret."""
    found = _decoded(value)
    if key != GENERAL_KEY or not isinstance(found, dict):
        return value
    return msgspec.json.encode({name: each for name, each in found.items() if name not in SECRET_KEYS})
