"""What a device is asked, as models: its questions, what is said to it after each opening, and the bus it is on.

A process that only has a model loads nothing of the reading of files by this.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from common.core.frame_shape import Checksum

TIMEOUT_S: Final = 1.0
"""An instrument at 9600 baud that has not begun to answer after this long mostly will not."""
RETRIES: Final = 1
"""One disturbed question must not cost a turn; two in a row are no disturbance."""
MOST_RETRIES: Final = 10
OFFLINE_AFTER: Final = 3
"""Failed turns in a row after which a device counts as gone: one or two are noise."""
MAX_BACKOFF_S: Final = 30.0
"""A device that is back is found within this time."""
REPEAT_S: Final = 30.0
"""A frame that comes again within this time is a repetition, where `dropRepeats` is set: ASTM E1381 gives up
sooner."""

ASKING: Final = ("ask", "every", "aligned", "on", "answer", "timeoutMs", "retries", "reply")
"""Keys of a message, and of a device that is one message, about what is asked for it and said back."""

StepKind = Literal["send", "expect", "wait", "baudrate", "dtr", "rts"]


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of a dialogue."""

    kind: StepKind
    data: bytes = b""
    """`send`: the bytes, with the checksum and the end that `send` adds."""
    message: str = ""
    """`expect`: the name of the message that must come next."""
    value: float = 0.0
    """`wait`: seconds; `baudrate`: the new one; `dtr`, `rts`: 1 or 0."""


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a frame is told from others: all that is said here holds of it. Nothing said: every frame."""

    regex: str = ""
    """A regular expression that is found in the frame's bytes (compiled from its UTF-8 form)."""
    at: int = 0
    same: bytes = b""
    """The bytes that stand at `at`, which counts from the end where it is negative."""
    in_body: bool = False
    """True: the expression matches the frame's body from its beginning, without start, end and checksum."""


class Ask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question, and when it is asked."""

    name: str
    """The message's name: the origin of the frames that answer it."""
    steps: tuple[Step, ...]
    """At least one, the last of which leaves the device something to answer."""
    every_s: float | None = None
    """Seconds from the beginning of one turn to that of the next; None: not by itself again and again."""
    aligned: bool = False
    """True: its turns are at whole multiples of `every_s` on the clock, in UTC."""
    on_connect: bool = False
    """True: once after each opening of the port, and after each return of the device."""
    answer: Told | None = None
    """What its answer looks like; None: the message of its name says it, or it is the first frame that is no other."""
    refusal: Told | None = None
    """What a refusal looks like; None: messages that are errors are refusals."""
    timeout_s: float = TIMEOUT_S
    """How long the answer may take, counted from the end of the write."""
    retries: int = RETRIES
    """How often it is asked again in one turn."""
    parts: tuple[Ask, ...] = ()
    """What is asked instead from then on, if the device refuses it as a whole: a read of several places (Modbus)."""
    whole_refused: Told | None = None
    """What such a refusal looks like; None: like any."""


class Heard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One kind of frame that the device may say, as far as asking has to know it."""

    name: str
    told: Told = Told()
    reply: bytes = b""
    """What is sent back when such a frame is in the journal; b"" for nothing."""
    is_error: bool = False
    """True: it is a refusal of what was asked."""


class Register(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a call or an attribute update reads or writes in a Modbus device."""

    table: Literal["coil", "discrete", "input", "holding"]
    first: int
    count: int = 1
    """Registers, or coils."""
    type: str = "uint16"
    """Of the value in registers: a number in binary, `string` or `hex`. Coils are true or false."""
    byteorder: Literal["big", "little", "CDAB", "BADC"] = "big"
    offset: float = 0
    scale: float = 1
    """(number + offset) times this is the value; what is written goes the other way."""
    function: int = 0
    """The function code; 0: a read where there are no params, else the write that fits."""


class Bus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How several devices share a line. Any one of them says it for all."""

    pause_s: float = 0.0
    """So long nothing is written after an answer, or after the time for one."""
    echo: bool = False
    """True: the line repeats what is written (a two-wire RS-485 adapter whose receiver stays on)."""
    offline_after: int = OFFLINE_AFTER
    max_backoff_s: float = MAX_BACKOFF_S


class Asking(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that a device is asked, told and answered by the gateway itself."""

    asks: tuple[Ask, ...] = ()
    init: tuple[Step, ...] = ()
    """After each opening, before anything else."""
    heard: tuple[Heard, ...] = ()
    """In the order of the file: the first that fits a frame takes it."""
    address: int | None = None
    """Its place on the bus; None: it has the line for itself."""
    timeout_s: float = TIMEOUT_S
    """How long its answers may take, where nothing else is said of one."""
    bus: Bus | None = None
    on_bad_frame: bytes = b""
    """What is sent where a frame's checksum was wrong; b"" for nothing."""
    send_start: bytes = b""
    """What stands before everything that calls write, as it stands before what is asked."""
    send_end: bytes = b""
    """What follows it."""
    send_checksum: Checksum | None = None
    """What stands before that end."""
    send_escapes: tuple[tuple[int, bytes], ...] = ()
    """(a byte that may not stand between start and end, what is written instead), in order."""
    send_cobs: bool = False
    """True: what stands before the end is COBS."""
    drops_repeats: bool = False
    """True: a frame that is the one before it once more is answered, and not kept."""
    protocol: Literal["", "modbus-rtu", "modbus-ascii"] = ""
    """A protocol of which we know more than its frames: where the address stands, and what a refusal says."""
