"""Attributes that the platform changed while a device, or we, were away: asked for, and written if they are new. Pure.

The platform says an attribute once, when it is changed; who is away then does not hear of it. So each time a device's
announcement was accepted, the platform is asked for the attributes that its `attributeUpdates` name. A platform that
does not answer, such as a plain MQTT broker, leaves everything as it is. Of a hosted connector's devices the connector
says which attributes it wants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from services.publisher.core.dialects import AttributesAnswer, Dialect, Outgoing
from services.publisher.core.replies import Replies

MOST_SERVED: Final = 1_000
"""Devices named by users' converters for whose attributes the platform is asked: more are written to by hand. And as
many of hosted connectors."""
MOST_KEYS: Final = 100
"""Attributes that a hosted connector may want of a device; what is behind them is not asked for."""
_objects: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Question(NamedTuple):
    """What was asked for a device and has no answer yet."""

    request: int
    keys: list[str]
    """In the order of the configuration. One that the platform changes meanwhile is taken out: its answer may be
    older."""
    is_single: bool
    """True if only one was asked for."""
    message: Outgoing


class SharedAttributes:
    """One open question a device, and what was written last of each attribute.

    Memory is bounded by the configuration: nothing is kept of other attributes, and of MOST_SERVED devices that users'
    converters name.
    """

    def __init__(
        self,
        dialect: Dialect,
        keys: Mapping[str, Sequence[str]],
        replies: Replies,
        shown: Callable[[str], str],
        number: Callable[[], int],
    ) -> None:
        """`keys`: the attributes that each device can be told. Questions go out among the `replies`. `shown`: what the
        platform calls a device. `number` gives each question one that no other has."""
        self._dialect = dialect
        self._shown = shown
        self._keys = keys
        self._replies = replies
        self._number = number
        self._open: dict[str, _Question] = {}
        self._served: dict[str, str] = {}
        """Device that a user's converter has named → the configured device that serves it."""
        self._wanted: dict[str, list[str]] = {}
        """Device of a hosted connector → the attributes that this wants."""
        self._told: dict[str, str] = {}
        """Such a device → the process that was told of them."""
        self._written: dict[str, dict[str, bytes]] = {}
        """Device → attribute → its JSON value as it was written last, by this process."""

    def connected(self, device: str, source: str, now_s: float) -> None:
        """The platform has accepted the device's announcement: asks for its attributes. `source` serves the device:
        another name only where a user's converter has named it."""
        keys = list(dict.fromkeys(self._keys.get(source, ())))
        if not keys:
            return
        if source != device and device not in self._served:
            if len(self._served) >= MOST_SERVED:
                return
            self._served[device] = source
        self._ask(device, keys, now_s)

    def wanted(self, device: str, process: str, keys: Sequence[str], now_s: float) -> None:
        """A process of a hosted connector says which attributes it wants of a device that was announced: asks for them.
        What an earlier process of it has heard, this one does not know."""
        if device not in self._wanted and len(self._wanted) >= MOST_SERVED:
            return
        if self._told.get(device) != process:
            self._told[device] = process
            self._written.pop(device, None)
        self._wanted[device] = list(dict.fromkeys(keys))[:MOST_KEYS]
        if self._wanted[device]:
            self._ask(device, self._wanted[device], now_s)

    def forget(self, device: str) -> None:
        """This device is gone, and is configured no more."""
        for kept in (self._served, self._wanted, self._told, self._written):
            kept.pop(device, None)
        question = self._open.pop(device, None)
        if question is not None:
            self._replies.remove([question.message])

    def _ask(self, device: str, keys: Sequence[str], now_s: float) -> None:
        number = self._number()
        question = self._dialect.ask_attributes(number, self._shown(device), keys)
        if question is not None:
            self._open[device] = _Question(number, list(keys), len(keys) == 1, question)
            self._replies.add(question, now_s)

    def connection_begun(self) -> None:
        """Each connection has its own questions: those of the last one are not repeated before their devices are
        announced."""
        self._replies.remove([question.message for question in self._open.values()])
        self._open.clear()

    def changed(self, device: str, data: bytes) -> None:
        """The platform has said attributes by itself: an answer to an earlier question may hold older values."""
        question = self._open.get(device)
        if question is not None:
            for key in _values(data):
                if key in question.keys:
                    question.keys.remove(key)

    def answered(self, answer: AttributesAnswer) -> bytes:
        """The attributes in an answer that are new to the device, as a JSON object; b"" where there is nothing to
        write, also for an answer to no question of ours."""
        question = self._open.get(answer.device)
        if question is None or question.request != answer.request:
            return b""
        del self._open[answer.device]
        values = _values(answer.values)
        if answer.value and question.is_single:
            values = dict.fromkeys(question.keys, answer.value)
        written = self._written.get(answer.device, {})
        new = {
            key: msgspec.Raw(values[key])
            for key in question.keys
            if key in values and values[key] not in (b"null", written.get(key))
        }
        return msgspec.json.encode(new) if new else b""

    def written(self, device: str, data: bytes) -> None:
        """These attributes have been written to the device."""
        keys = self._wanted.get(device) or self._keys.get(self._served.get(device, device))
        if keys:
            values = {key: value for key, value in _values(data).items() if key in keys}
            self._written.setdefault(device, {}).update(values)


def names_of(data: bytes) -> list[str]:
    """The attributes in an update."""
    return list(_values(data))


def _values(data: bytes) -> dict[str, bytes]:
    """Each attribute's JSON value; none for what is no JSON object."""
    try:
        return {key: bytes(value) for key, value in _objects.decode(data).items()} if data else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
