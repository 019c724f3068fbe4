"""What devices say: numbers that carry a check, so that a part of a frame is never taken for a whole one."""

from __future__ import annotations

ANSWERS_FROM = 5_000_000
"""Numbers from here on are answers to calls."""

STATE_DIGITS = 7
"""So many characters of a frame say a state: the same for ten numbers in a row."""


def frame_of(device: int, number: int) -> bytes:
    """The frame in which device 0 to 8 says number 1 to 9,999,999: ten digits."""
    return b"%d\n" % _value(device, number)


def answer_of(device: int, call: int) -> bytes:
    """The frame in which a device answers the call with this id."""
    return b"-%d\n" % _value(device, ANSWERS_FROM + call)


def value_of(frame: bytes) -> int:
    """What a converter makes of a frame. Answers are negative."""
    return int(frame)


def state_of(value: int) -> int:
    """What changes less often than the value itself: what its first digits say."""
    return int(str(value)[:STATE_DIGITS])


def is_whole(value: object, device: int) -> bool:
    """True if this is a value that the device can have said."""
    if type(value) is not int:
        return False
    number = abs(value) // 100 % 10_000_000
    return abs(value) == _value(device, number) and (value < 0) == (number >= ANSWERS_FROM)


def says_for_another(value: int) -> bool:
    """True for the numbers that a user's converter gives to a device beside the one on the line."""
    return value > 0 and value // 100 % 4 == 0


def _value(device: int, number: int) -> int:
    body = (device + 1) * 10_000_000 + number
    return body * 100 + body * 31 % 97
