"""What a data point says beyond today's slices of text: where its value stands in a frame, and what the value means.

The words are those of the configuration (docs/configuration.md); `common.config.models` has the data point itself.
All of these leave out what is not said when they are written, so that a section has no more bytes than it needs.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

By = Literal["slice", "at", "field", "name", "regex", "obis", "mbus", "register", "path", "value"]
"""The ways to find a value. `slice` is the data point's own delimiters and byte positions, or the whole body where it
has none; every other one is a key of the configuration."""
Order = Literal["big", "little", "CDAB", "BADC"]
"""In which order the bytes of a number come; ABCD is big, DCBA is little."""
INTEGERS: Final[dict[str, tuple[int, bool]]] = {
    **{f"{sign}int{8 * size}": (size, not sign) for sign in ("", "u") for size in (1, 2, 4, 8)},
    **{f"{sign}int24": (3, not sign) for sign in ("", "u")},
}
"""Type of a whole number in binary → (bytes, whether it has a sign)."""
FLOATS: Final[dict[str, int]] = {"float32": 4, "float64": 8}
"""Type of an IEEE 754 number in binary → bytes."""
OTHER_TYPES: Final = ("bcd", "hexint", "bits", "time", "nmeaAngle")
"""Types that only points with a place of the new kind have, besides those above."""


class Exponent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A byte elsewhere in the frame that says by which power of ten a number is multiplied."""

    at: int
    sign_bit: int | None = None
    """The bit that makes the exponent negative; None: the byte is in two's complement."""
    negative_bit: int | None = None
    """The bit that makes the number itself negative; None: none does."""


class Meaning(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What becomes of what stands there. The steps are taken in the order of these fields."""

    byteorder: Order = "big"
    encoding: str = ""
    """Of text; "" is UTF-8."""
    format: str = ""
    """`time`: how a time is written."""
    zone: str = ""
    """`time`: where its clock stands; "" is UTC."""
    invalid: tuple[Any, ...] = ()
    """Numbers, and texts that stand for bytes: the device says by them that it has no value."""
    bits: tuple[int, int] | None = None
    """(highest, lowest) bit of those that are the value."""
    bit: int | None = None
    """The one bit that is true or false."""
    sign_bit: int | None = None
    """The bit that makes the number below it negative."""
    map: dict[str, Any] = {}
    """What stands there, as text → the value. Empty: what stands there is the value."""
    offset: float = 0
    scale: float = 1
    """(number + offset) times this is the value."""
    exponent: Exponent | None = None
    decimals: int | None = None
    """The value is rounded to so many digits behind the point."""
    minimum: float | None = None
    maximum: float | None = None
    """A value outside is none."""
    unit: str = ""
    """What it is measured in: cut off where it stands behind the number, and converted to where a decoder knows
    units."""


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the value stands."""

    by: By
    at: int = 0
    """`at`: the first byte, counted from 0; from the end where negative."""
    length: int | None = None
    """`at`: how many bytes; None: as many as the type has, or all up to the body's end."""
    fields: tuple[int, ...] = ()
    """`field`: numbers of the pieces of the body, from 0; from the end where negative."""
    text: str = ""
    """`name`, `regex`, `obis`, `mbus`, `register`, `path`: what the key says."""
    group: int = 0
    """`obis`: which of the brackets behind the code, from 0."""
    constant: Any = None
    """`value`: the value itself."""
    meaning: Meaning = Meaning()
    """What becomes of what stands there."""


class When(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which frames a message takes; without either, all of them."""

    pattern: str = ""
    """A regular expression on the frame's bytes, or `hex:` and the bytes to find."""
    at: int = 0
    same: bytes = b""
    """The bytes that stand at `at`."""


class Decode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Bytes that are written as text, or moved by a constant: points count in what they mean."""

    digits: Literal["", "hex", "decimal"] = ""
    minus: int = 0
    """Taken from each byte, modulo 256."""
    first: int | None = None
    """Positions in the frame; None: those of the body."""
    last: int | None = None


class DeviceTime(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The time at which the device took its values, in place of the time at which the frame was read."""

    place: Place
    format: str = "iso"
    zone: str = ""
    within_s: float = 86_400
    """A time further than this from ours is not taken: clocks without a battery say 2000."""


class Naming(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which device of the platform a frame's values belong to; `${key}` is the value of that data point."""

    name: str
    type: str = ""
    """"" is the type of the device that the frame came from."""
