"""Runs users' converters, in a host: finds them, keeps their objects, writes down what they are at, and watches that
they come back.

Objects live as long as the process, one per device, section and direction. A converter that doesn't load makes dead
letters of its device's frames and errors of its calls, and touches nothing else; loading is tried again after RELOAD_S.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, Literal

from common.config.models import Device
from common.core.errors import ConversionError, printable
from common.core.events import Note
from common.io.clock import monotonic_s
from common.io.logs import log_note
from services.converter.core.batches import READINGS_BYTES
from services.converter.core.events import (
    ConvertWithUserCode,
    DecodeWithUserCode,
    EncodeWithUserCode,
    Order,
    UserAnswered,
    UserConverted,
    UserFrame,
)
from services.converter.shell.extensions import UserConverter, load_converter
from services.converter.shell.poison_file import HostRecord
from services.converter.shell.watchdog import Watchdog

SLICE_S: Final = 0.25
"""Users' code gives way after this, so that calls get their turn, and what is done is known, during a long batch."""
SLICE_BYTES: Final = 1024 * 1024
"""Users' code gives way too when it has made so much of the frames so far: that is to be sent, and held at the other
end."""
RELOAD_S: Final = 5.0
"""A class that did not load is tried again after this: somebody may have mended its file, or installed its package."""

_Direction = Literal["uplink", "downlink"]
_Key = tuple[str, str, _Direction]
"""(device, hash of its section, direction): another section is another object, with another `config`."""


class UserCode:
    """The one place from which users' converters run, guarded by a watchdog.

    It knows no sockets and no numbers beyond the order at hand, so the simulation runs it as it is.
    """

    def __init__(
        self, extension_dirs: Sequence[str], record: HostRecord | None, watchdog: Watchdog, logger: logging.Logger
    ) -> None:
        self._extension_dirs = extension_dirs
        self._record = record
        self._watchdog = watchdog
        self._logger = logger
        self._converters: dict[_Key, UserConverter] = {}
        self._broken: dict[_Key, tuple[ConversionError, float]] = {}

    def is_loaded(self, order: Order) -> bool:
        """True if the user's object for this order is there, or is known not to load."""
        key = _key_of(order)
        return key in self._converters or monotonic_s() < self._broken.get(key, (None, 0.0))[1]

    def load(self, order: Order) -> None:
        """Loads it: imports and constructors take their time, and nobody waits for a frame meanwhile.

        Code that ends the process here is written down like code that does it at its first frame.
        """
        self.begin(order)
        try:
            self._find(_name_of(order), order.device, order.section, _key_of(order)[2])
        except ConversionError:
            pass  # the order says so
        self.clear()

    def begin(self, order: Order) -> None:
        """Writes down that users' code touches what the order says; of a call there is nothing to write."""
        if self._record is not None and isinstance(order, ConvertWithUserCode):
            device, length = order.device.name, len(order.frames)
            self._record.begin(device, order.journal, order.generation, order.first, length)

    def clear(self) -> None:
        """Nothing is touched any more, and what was made of it has been said."""
        if self._record is not None:
            self._record.clear()

    def convert(self, order: ConvertWithUserCode) -> UserConverted:
        """Converts frames until the slice is over, at least one. The record stays, for whoever says the result."""
        self.begin(order)
        with self._watchdog:
            return self._convert(order)

    def encode(self, order: EncodeWithUserCode) -> UserAnswered:
        """The bytes that a user's downlink converter makes of params."""
        with self._watchdog:
            try:
                converter = self._find(_name_of(order), order.device, order.section, "downlink")
                return UserAnswered(order.job, converter.encode_rpc(order.rpc, order.params, *order.called))
            except ConversionError as error:
                return UserAnswered(order.job, None, printable(str(error)))

    def decode(self, order: DecodeWithUserCode) -> UserAnswered:
        """The value that a user's uplink converter makes of an answer."""
        with self._watchdog:
            try:
                converter = self._find(_name_of(order), order.device, order.section, "uplink")
                return UserAnswered(order.job, converter.convert_answer(order.rpc, order.frame))
            except ConversionError as error:
                return UserAnswered(order.job, None, printable(str(error)))

    def _convert(self, order: ConvertWithUserCode) -> UserConverted:
        end_s = monotonic_s() + SLICE_S
        try:
            converter = self._find(_name_of(order), order.device, order.section, "uplink")
        except ConversionError as error:
            why = printable(str(error))
            answer = None if order.answer_to is None else (None, why)
            return UserConverted(order.job, [UserFrame([], why)] * len(order.frames), answer)
        frames: list[UserFrame] = []
        size = 0
        for index, frame in enumerate(order.frames):
            if index:
                if monotonic_s() >= end_s or size >= SLICE_BYTES:
                    break
                if self._record is not None:
                    self._record.mark(index)
            made = self._convert_frame(converter, frame)
            size += _size_of(made)
            frames.append(made)
        return UserConverted(order.job, frames, self._answer(converter, order))

    def _convert_frame(self, converter: UserConverter, frame: bytes) -> UserFrame:
        """What a user's class makes of one frame; a failure, or a result too large to travel, makes a dead letter of
        it."""
        try:
            made = UserFrame(converter.convert_frame(frame))
        except ConversionError as error:
            return UserFrame([], printable(str(error)))
        size = _size_of(made)
        if size > READINGS_BYTES:
            return UserFrame([], f"what the converter made of it has {size} bytes, at most {READINGS_BYTES} can travel")
        return made

    def _answer(self, converter: UserConverter, order: ConvertWithUserCode) -> tuple[object, str] | None:
        """The frame as the answer of a call too, where the order says so."""
        if order.answer_to is None:
            return None
        try:
            return converter.convert_answer(order.answer_to, order.frames[0]), ""
        except ConversionError as error:
            return None, printable(str(error))

    def _find(self, name: str, device: Device, section: str, direction: _Direction) -> UserConverter:
        """The object of a device's class. Raises ConversionError with file, class and line where it doesn't load."""
        key = device.name, section, direction
        if (converter := self._converters.get(key)) is not None:
            return converter
        error, again_s = self._broken.get(key, (None, 0.0))
        if error is not None and monotonic_s() < again_s:
            raise error
        try:
            converter = load_converter(name, device, self._extension_dirs, self._device_logger(device))
        except ConversionError as failure:
            self._broken[key] = failure, monotonic_s() + RELOAD_S
            if error is None or str(error) != str(failure):
                facts = {"device": device.name, "converter": name, "reason": str(failure)}
                log_note(self._logger, Note("error", "converter.broken", facts))
            raise
        self._broken.pop(key, None)
        self._converters[key] = converter
        return converter

    def _device_logger(self, device: Device) -> logging.Logger:
        """A child of ours, at the device's level."""
        logger = self._logger.getChild(f"device.{device.name}")
        logger.setLevel(device.log_level)
        return logger


def _name_of(order: Order) -> str:
    """The name of the user's class."""
    device = order.device
    return device.downlink_converter or "" if isinstance(order, EncodeWithUserCode) else device.converter


def _key_of(order: Order) -> _Key:
    """Which of the device's objects an order needs."""
    direction: _Direction = "downlink" if isinstance(order, EncodeWithUserCode) else "uplink"
    return order.device.name, order.section, direction


def _size_of(made: UserFrame) -> int:
    """Bytes of what was made of one frame, but for a few of each value."""
    return sum(
        len(reading.attributes) + len(reading.strategies) + sum(len(values) for _, values in reading.telemetry)
        for reading in made.readings
    )
