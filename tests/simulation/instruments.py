"""Instruments at the end of a line that say nothing, or go no further, before the gateway has said something."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from common.config.models import Device
from common.core import modbus
from common.core.modbus import Protocol
from tests.simulation.asked_devices import CALLED_PLACE, POINTS, TIMEOUT_S, Kind
from tests.simulation.kernel import Clock

if TYPE_CHECKING:
    from tests.simulation.asked import AskedLine

FIRST_VALUE: Final = 100_000_000
"""The values of each line begin at a multiple of this: all have as many digits, and fit into two registers."""
IN_TIME_S: Final = (0.002, 0.01, 0.01, 0.05, 0.12)
LATE_S: Final = (0.05, 1.2 * TIMEOUT_S, 1.6 * TIMEOUT_S, 1.8 * TIMEOUT_S, None)
"""In bad times: so late that nobody waits any more but for a moment, or never."""
ENQ, ACK, NAK, EOT = b"\x05", b"\x06", b"\x15", b"\x04"
PATIENCE_S: Final = 4.0
"""An analyser says again what was not answered for so long, while the gateway runs."""
LOOK_S: Final = 1.0
COMES_BACK_S: Final = 0.5
"""So long after the port is open again it says again what it was saying, unless that is acknowledged after all."""
START_S: Final = 2.0
_CALL = re.compile(rb"S(\d+)\n")
_NUMBER = re.compile(rb"\d{9,}")
_RESULT = re.compile(rb"R\|(\d+)")


class Spoken(NamedTuple):
    """A value that was said: no other was ever the same."""

    device: str
    key: str
    asked_s: float
    """When the question had come that it answers."""


class Instrument:
    """What stands at the end of a line; what it has said, and what it was asked."""

    dies_with_reader: bool = False
    """True if what it still has to say is not said once its reader is gone."""

    def __init__(self, clock: Clock, devices: tuple[Device, ...], line: int) -> None:
        self.clock = clock
        self.devices = devices
        self.line: AskedLine
        self.said: dict[int, Spoken] = {}
        self.asked_s: dict[tuple[str, str], float] = {}
        """(device, what it is asked) → when that came last."""
        self.silent: set[str] = set()
        """Devices that do not answer now."""
        self.answers_after_s: tuple[float | None, ...] = IN_TIME_S
        self.problems: list[str] = []
        """What it has seen that must not be."""
        self._next = (line + 1) * FIRST_VALUE

    @property
    def questions(self) -> list[tuple[str, str]]:
        """(device, what it is to be asked again and again)."""
        raise NotImplementedError

    def hear(self, data: bytes) -> None:
        """What was written has come."""
        raise NotImplementedError

    def opened(self) -> None:
        """The gateway has opened the port."""

    def values_of(self, frame: bytes) -> Iterable[int]:
        """The values in one of its frames."""
        return map(int, _NUMBER.findall(frame))

    def is_call(self, data: bytes, call: int) -> bool:
        """True if this is what is written for the call `set` of this number."""
        return data == b"S%d\n" % call

    def new(self, device: str, key: str) -> int:
        """The next value."""
        self._next += 1
        self.said[self._next] = Spoken(device, key, self.clock.now_s)
        return self._next

    def answer(self, data: bytes) -> None:
        """Says this, after a while; or never."""
        after_s = self.clock.random.choice(self.answers_after_s)
        if after_s is not None:
            self.line.say(after_s, data)


class Gauge(Instrument):
    """One that is asked for its points in text. Its answers say what they are, or are numbers alone."""

    def __init__(self, clock: Clock, devices: tuple[Device, ...], line: int, *, is_telling: bool) -> None:
        super().__init__(clock, devices, line)
        self._is_telling = is_telling
        self._name = devices[0].name
        # Only the reader that asked knows what a number alone was the answer to.
        self.dies_with_reader = not is_telling

    @property
    def questions(self) -> list[tuple[str, str]]:
        return [(self._name, key) for key in POINTS]

    def hear(self, data: bytes) -> None:
        key = data.decode().strip()
        if key in POINTS:
            self.asked_s[self._name, key] = self.clock.now_s
            value = self.new(self._name, key)
            self.answer(b"%s %d\n" % (key.encode(), value) if self._is_telling else b"%d\n" % value)
        elif found := _CALL.fullmatch(data):
            self.answer(b"S%s done\n" % found[1])
        else:
            self.problems.append(f"{self._name}: {data!r} was written")


class Units(Instrument):
    """Modbus units on a bus. An answer says whose it is, and not which registers it holds."""

    def __init__(self, clock: Clock, devices: tuple[Device, ...], line: int, protocol: Protocol) -> None:
        super().__init__(clock, devices, line)
        self._protocol = protocol

    @property
    def questions(self) -> list[tuple[str, str]]:
        # One that is gone is probed with its first question alone.
        return [
            (device.name, ask.name)
            for device in self.devices
            if device.asking is not None
            for ask in (device.asking.asks[:1] if device.name in self.silent else device.asking.asks)
        ]

    def hear(self, data: bytes) -> None:
        if (read := self._read(data)) is None:
            # As units do with what they can't read.
            return
        number, pdu = read
        device = self.devices[number - 1].name
        first, size = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        is_read = pdu[0] == modbus.READS["input"]
        if is_read:
            self.asked_s[device, f"input:{first}+{size}"] = self.clock.now_s
        if device in self.silent:
            return
        if is_read:
            keys = ["get" if place == CALLED_PLACE else f"r{place}" for place in range(first, first + size, 2)]
            data_of = b"".join(self.new(device, key).to_bytes(4, "big") for key in keys)
            pdu = bytes((pdu[0], len(data_of))) + data_of
        # A write is answered by itself.
        self.answer(modbus.frame_of(self._protocol, number, pdu))

    def values_of(self, frame: bytes) -> Iterator[int]:
        _, pdu = modbus.pdu_of(self._protocol, frame)
        for place in range(2, len(pdu) if pdu[0] == modbus.READS["input"] else 0, 4):
            yield int.from_bytes(pdu[place : place + 4], "big")

    def is_call(self, data: bytes, call: int) -> bool:
        _, pdu = self._read(data) or (0, b"\0")
        return pdu[0] == modbus.WRITES_ONE["holding"] and int.from_bytes(pdu[3:5], "big") == call

    def is_get(self, data: bytes, device: str) -> bool:
        """True if this is what is written for the call `get` of a device."""
        number, pdu = self._read(data) or (0, b"\0")
        is_called = pdu[0] == modbus.READS["input"] and int.from_bytes(pdu[1:3], "big") == CALLED_PLACE
        return is_called and self.devices[number - 1].name == device

    def _read(self, data: bytes) -> tuple[int, bytes] | None:
        """(unit, what it is told) of what was written; None where that came damaged."""
        try:
            number, pdu = modbus.pdu_of(self._protocol, data)
        except ValueError:
            return None
        return (number, pdu) if modbus.frame_of(self._protocol, number, pdu) == data else None


class Analyser(Instrument):
    """One that says messages of results, frame by frame, each when the one before it was acknowledged."""

    def __init__(self, clock: Clock, devices: tuple[Device, ...], line: int, *, starts_over: bool) -> None:
        """`starts_over`: it begins a message again that was cut, as the standard has it; else it says the frame again
        that was not acknowledged."""
        super().__init__(clock, devices, line)
        self._starts_over = starts_over
        self._name = devices[0].name
        self.acknowledged: set[int] = set()
        """Results that it will not say again."""
        self.acknowledged_s = clock.now_s
        self.times: dict[int, list[float]] = {}
        """Result → when it was said."""
        self.stops = False
        """True once no further message is to begin."""
        self._frames: list[tuple[bytes, int]] = []
        """(what is said, the result in it or 0); what comes first waits for its acknowledgement."""
        self._at = 0
        self._is_waiting = False
        self._turn = 0
        """Rises with all that is said and heard, so that what was to be done then is not done later."""
        clock.after(START_S + clock.random.random(), self._begin)

    @property
    def questions(self) -> list[tuple[str, str]]:
        return []

    @property
    def is_busy(self) -> bool:
        """True within a message."""
        return bool(self._frames)

    @property
    def said_now(self) -> int:
        """The result that waits for its acknowledgement; 0 for none."""
        return self._frames[self._at][1] if self._is_waiting else 0

    def hear(self, data: bytes) -> None:
        if not self._is_waiting:
            # It is about to say something, and has forgotten what came before.
            return
        self._is_waiting = False
        if data == ACK:
            if value := self._frames[self._at][1]:
                self.acknowledged.add(value)
            self.acknowledged_s = self.clock.now_s
            self._at += 1
            self._later(0.3 * self.clock.random.random(), self._say if self._at < len(self._frames) else self._end)
        elif data == NAK:
            self._later(0.4, self._say)

    def opened(self) -> None:
        if self._frames:
            self._later(COMES_BACK_S, self._say_again)

    def values_of(self, frame: bytes) -> Iterator[int]:
        yield from map(int, _RESULT.findall(frame))

    def _later(self, after_s: float, action: object, *arguments: object) -> None:
        self._turn += 1
        self.clock.after(after_s, self._act, self._turn, action, arguments)

    def _act(self, turn: int, action: object, arguments: tuple[object, ...]) -> None:
        if turn == self._turn:
            action(*arguments)  # type: ignore[operator]

    def _begin(self) -> None:
        if self.stops:
            return
        results = [self.new(self._name, "result") for _ in range(self.clock.random.choice([1, 2, 4]))]
        texts = [(b"H|\\^&", 0), *((b"R|%d|5.4" % value, value) for value in results)]
        self._frames = [(ENQ, 0), *((_frame(at + 1, text), value) for at, (text, value) in enumerate(texts))]
        self._at = 0
        self._say()

    def _say_again(self) -> None:
        self._is_waiting = False
        # Whoever starts over because an acknowledgement was lost says a result that nobody knows for a repetition.
        if self._starts_over and not self.line.loss_heard:
            self.line.say(0.0, EOT)
            self._at = 0
            self._later(0.05, self._say)
        elif self._at < len(self._frames):
            self._say()
        else:
            self._end()

    def _say(self) -> None:
        frame, value = self._frames[self._at]
        if value:
            self.times.setdefault(value, []).append(self.clock.now_s)
        self.line.say(0.0, frame)
        self._is_waiting = True
        self._later(PATIENCE_S, self._give_up, False)

    def _give_up(self, was_idle: bool) -> None:
        """Nothing was answered. Whoever stands still, or has not read it yet, may still do so: it waits longer than
        that takes."""
        is_idle = self.line.is_heard
        if is_idle and was_idle:
            self._is_waiting = False
            self._say()
        else:
            self._later(LOOK_S, self._give_up, is_idle)

    def _end(self) -> None:
        self.line.say(0.0, EOT)
        self._frames, self._at = [], 0
        self._later(self.clock.random.random(), self._begin)


def instrument_of(kind: Kind, clock: Clock, devices: tuple[Device, ...], line: int, *, starts_over: bool) -> Instrument:
    """What stands at the end of a line of this kind."""
    match kind:
        case "points" | "numbers":
            return Gauge(clock, devices, line, is_telling=kind == "points")
        case "analyser":
            return Analyser(clock, devices, line, starts_over=starts_over)
        case _:
            return Units(clock, devices, line, kind)


def _frame(number: int, text: bytes) -> bytes:
    """A frame of ASTM E1381: its number, from 0 to 7, the text, and the sum of all of it behind."""
    body = b"%d%s\r\x03" % (number % 8, text)
    return b"\x02" + body + b"%02X\r\n" % (sum(body) & 0xFF)
