"""`serialgw watch`: frames and readings as they pass, live.

Processes publish what passes only while somebody watches, and of a flood only as much as a person can read. Watching
changes nothing: nobody waits for who watches.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Final

import zmq

from common.core.errors import LinkError, WireError
from common.core.events import Arrived
from common.io.sockets import Channel, connect_events
from common.wire import codec
from common.wire.messages import FrameBody, Heartbeat, Message, ReadingBody, Tap
from common.wire.taps import LEFT_OUT
from services.cli.arguments import Subparsers, add_data_dir, utf8_text
from services.cli.client import ADVICE, FIND_S, find_gateway
from services.cli.text import clock, escape

DEVICE_WAIT_S: Final = 3.0
"""A port reader that is alive has beaten within this."""
SILENT_S: Final = 3.0
"""The broker beats each second."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds `watch` and its options."""
    parser = subparsers.add_parser(
        "watch",
        help="show frames and readings as they pass",
        description="Shows what a running gateway reads from its serial lines, and what it makes of it, until Ctrl-C. "
        "The time is the frame's own.",
        epilog="examples:\n"
        "  serialgw watch\n"
        "  serialgw watch press1 --hex\n\n"
        "exit codes: 0 ended by Ctrl-C, 69 no gateway is running there",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("device", type=utf8_text, nargs="?", metavar="DEVICE", help="this device only")
    parser.add_argument("--hex", action="store_true", help="frames as hexadecimal bytes")
    add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Prints until interrupted. Raises LinkError if no broker beats.

    It registers with nobody, so it needs nothing but the events.
    """
    endpoints = find_gateway(args.data_dir)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    topic = f"tap.{args.device}." if args.device else "tap."
    _, events = connect_events(context, endpoints, [topic.encode(), b"beat.broker.", b"beat.port_reader."])
    try:
        _watch(args, events)
    except KeyboardInterrupt:
        return 0
    finally:
        context.destroy(linger=0)
    return 0


class Presence:
    """Notices when the gateway falls silent, and when it is back: without a word a silent line looks like a dead
    gateway."""

    def __init__(self, now_s: float) -> None:
        self._started_s = now_s
        self._heard_s: float | None = None
        self._is_silent = False

    def hear(self, now_s: float) -> None:
        """The gateway said something."""
        self._heard_s = now_s

    def is_missing(self, now_s: float) -> bool:
        """True if it has never been heard, although there was time enough."""
        return self._heard_s is None and now_s - self._started_s > FIND_S

    def change(self, now_s: float) -> str:
        """What to tell the user, once per change; "" if nothing has changed."""
        if self._heard_s is None or self._is_silent == (now_s - self._heard_s > SILENT_S):
            return ""
        self._is_silent = not self._is_silent
        return "the gateway is silent; waiting for it" if self._is_silent else "the gateway is back"


def _watch(args: argparse.Namespace, events: Channel) -> None:
    """Prints what passes, and says when the gateway falls silent, or when the device that was asked for is not
    there."""
    started_s = time.monotonic()
    presence = Presence(started_s)
    devices: set[str] = set()
    is_device_checked = args.device is None
    while True:
        events.socket.poll(500)
        for message in _messages(events):
            match message:
                case Heartbeat(kind="broker"):
                    presence.hear(time.monotonic())
                case Heartbeat(kind="port_reader", name=name):
                    devices.add(name)
                case Tap(device=device) if args.device in (None, device):
                    presence.hear(time.monotonic())
                    for line in lines_of(message, args.hex):
                        print(line, flush=True)
        now_s = time.monotonic()
        if presence.is_missing(now_s):
            raise LinkError(f"no gateway is running at {args.data_dir}: its broker is silent; {ADVICE}")
        if said := presence.change(now_s):
            print(f"warning: {said}", file=sys.stderr)
        if not is_device_checked and now_s - started_s > DEVICE_WAIT_S:
            is_device_checked = True
            if args.device not in devices:
                known = ", ".join(sorted(devices)) or "none"
                print(f"warning: no device {args.device} is being read; there is: {known}", file=sys.stderr)


def _messages(events: Channel) -> Iterator[Message]:
    """The messages that have arrived; what is none is passed over."""
    for event in events.receive():
        if isinstance(event, Arrived):
            yield event.message


def lines_of(tap: Tap, as_hex: bool) -> Iterator[str]:
    """What a tap says, one line for each frame or reading; one that can't be read says so, and the next is shown."""
    try:
        if tap.stage == LEFT_OUT:
            yield f"{' ' * 12} {tap.device} … {codec.unpack(tap.body)} more, too much to show"
        elif tap.stage == "frames":
            yield from _frame_lines(tap.device, codec.unpack_frames(tap.body, _count(tap.body)), as_hex)
        else:
            yield from _reading_lines(tap.device, codec.unpack_readings(tap.body, _count(tap.body)))
    except WireError as error:
        yield f"{tap.device} {tap.stage}: not understood: {error}"


def _count(body: bytes) -> int:
    """How many entries a body says it has; -1, which fits none, for what is no body."""
    value = codec.unpack(body)
    return len(value[0]) if isinstance(value, list) and value and isinstance(value[0], list) else -1


def _frame_lines(device: str, body: FrameBody, as_hex: bool) -> Iterator[str]:
    """A line for each frame, under its own time."""
    for ts_ms, frame in zip(body.ts_ms, body.frames, strict=True):
        shown = frame.hex(" ") if as_hex else f'"{escape(frame)}"'
        yield f"{clock(ts_ms)} {device} frame   {shown}"


def _reading_lines(device: str, body: ReadingBody) -> Iterator[str]:
    """A line for each reading, dead letter and answer of a batch, and one for its attributes."""
    for index, ts_ms in enumerate(body.ts_ms):
        start = f"{clock(ts_ms)} {device}"
        if body.telemetry[index]:
            yield f"{start} reading {_text(body.telemetry[index])}"
        if index in body.dead:
            yield f"{start} dead    {body.dead[index]}"
        for reading in body.user.get(index, ()):
            for _, values in reading.telemetry:
                yield f"{start} reading {reading.device} {_text(values)}"
            if reading.attributes:
                yield f"{start} attributes {reading.device} {_text(reading.attributes)}"
    if body.attributes and body.ts_ms:
        yield f"{clock(body.ts_ms[-1])} {device} attributes {_text(body.attributes)}"
    if body.answer is not None and body.ts_ms:
        yield f"{clock(body.ts_ms[-1])} {device} answer  {_text(body.answer[1])}"


def _text(data: bytes) -> str:
    """JSON as it came; what is no UTF-8 in it is escaped."""
    return data.decode("utf-8", "backslashreplace")
