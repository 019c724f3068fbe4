"""`serialgw watch`: frames and readings as they pass, live.

Processes publish what passes only while somebody watches, and of a flood only as much as a person can read. Watching
changes nothing: nobody waits for who watches.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Final, Literal, NamedTuple, TypeAlias

import zmq

from common.core.errors import GatewayError, LinkError, WireError
from common.core.events import Arrived
from common.core.shown import harmless
from common.io.client import ADVICE, FIND_S, NO_ANSWER, Client, find_gateway
from common.io.sockets import Channel, connect_events
from common.wire import codec
from common.wire.messages import Heartbeat, Message, ReadingBody, Tap
from common.wire.states import PortReaderState, state_of
from common.wire.taps import LEFT_OUT
from services.cli.arguments import Subparsers, add_data_dir, utf8_text
from services.cli.known import no_device, running_devices
from services.cli.parser import WARNING
from services.cli.text import compact, escape, moment

LEFT_OUT_WORD: Final = "left out"
Form: TypeAlias = Literal["text", "hex", "raw"]
"""How a frame's bytes are shown: as text with escapes, in hexadecimal, or both."""
AGAIN_S: Final = 5.0
"""Bytes that wait for the end of a frame are shown again after this, if there are more."""
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
        "  serialgw watch press1 --hex\n"
        "  serialgw watch press1 --raw\n"
        "  serialgw watch --json | jq .values\n\n"
        "exit codes: 0 ended by Ctrl-C, 1 there is no such device, 69 no gateway is running there",
    )
    parser.add_argument("device", type=utf8_text, nargs="?", metavar="DEVICE", help="this device only")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--hex", action="store_true", help="frames as hexadecimal bytes")
    form.add_argument("--raw", action="store_true", help="frames as hexadecimal bytes and as text")
    form.add_argument("--json", action="store_true", help="one JSON object a line")
    add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Prints until interrupted. Raises LinkError if no broker beats, GatewayError for a device that is not there.

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

    @property
    def is_heard(self) -> bool:
        """True once it has said something."""
        return self._heard_s is not None

    def is_missing(self, now_s: float) -> bool:
        """True if it has never been heard, although there was time enough."""
        return self._heard_s is None and now_s - self._started_s > FIND_S

    def change(self, now_s: float) -> str:
        """What to tell the user, once per change; "" if nothing has changed."""
        if self._heard_s is None or self._is_silent == (now_s - self._heard_s > SILENT_S):
            return ""
        self._is_silent = not self._is_silent
        return "the gateway is silent; waiting for it" if self._is_silent else "the gateway is back"


class LineNews:
    """What keeps a line from saying frames, once per change: a port that is closed, bytes that end no frame."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[str, float]] = {}
        """Device → what was said of it last, and when."""

    def tell(self, beat: Heartbeat, now_s: float) -> str:
        """What to say of a port reader's heartbeat; "" for nothing new. Waiting bytes are shown again as they grow."""
        state = state_of(beat, PortReaderState)
        if state is None:
            return ""
        is_closed = not state.connected and state.fault and not state.unanswered
        closed = f"the port is closed: {state.fault}" if is_closed else ""
        news = closed or state.unframed or state.unanswered or state.damaged
        said, said_s = self._said.get(beat.name, ("", now_s))
        if news == said or (news and said and not closed and now_s < said_s + AGAIN_S):
            return ""
        self._said[beat.name] = news, now_s
        return news or "the port is open"


def _watch(args: argparse.Namespace, events: Channel) -> None:
    """Prints what passes, and says when the gateway falls silent, or when the device that was asked for is not
    there."""
    show = objects_of if args.json else partial(lines_of, form="raw" if args.raw else "hex" if args.hex else "text")
    presence = Presence(time.monotonic())
    lines = LineNews()
    devices: set[str] = set()
    is_device_checked = args.device is None
    while True:
        events.socket.poll(500)
        for message in _messages(events):
            match message:
                case Heartbeat(kind="broker"):
                    presence.hear(time.monotonic())
                case Heartbeat(kind="port_reader", name=name) as beat:
                    devices.add(name)
                    if args.device in (None, name) and (news := lines.tell(beat, time.monotonic())):
                        _tell_line(name, news, as_json=args.json)
                case Tap(device=device) if args.device in (None, device):
                    presence.hear(time.monotonic())
                    devices.add(device)
                    for line in show(message):
                        print(line, flush=True)
        if presence.is_missing(time.monotonic()):
            raise LinkError(f"no gateway is running at {args.data_dir}: {NO_ANSWER}; {ADVICE}")
        if said := presence.change(time.monotonic()):
            print(f"{WARNING}{said}", file=sys.stderr)
        if not is_device_checked and presence.is_heard:
            is_device_checked = True
            if args.device not in devices:
                _check_device(args)


def _tell_line(device: str, news: str, *, as_json: bool) -> None:
    """Prints what a line has to say beside its frames."""
    now_ms = int(time.time() * 1000)
    if as_json:
        print(
            compact({"time": moment(now_ms), "ts": now_ms, "device": device, "what": "line", "news": news}), flush=True
        )
    else:
        print(f"{moment(now_ms)} {device} line    {harmless(news)}", flush=True)


def _check_device(args: argparse.Namespace) -> None:
    """Raises GatewayError, which names the devices that there are, unless the one that was asked for is among them.
    Nothing is said where nobody knows."""
    try:
        with Client(args.data_dir) as client:
            known = running_devices(client)
    except GatewayError:
        return
    if args.device not in known:
        raise GatewayError(no_device(args.device, known))


def _messages(events: Channel) -> Iterator[Message]:
    """The messages that have arrived; what is none is passed over."""
    for event in events.receive():
        if isinstance(event, Arrived):
            yield event.message


def lines_of(tap: Tap, form: Form = "text") -> Iterator[str]:
    """What a tap says, one line for each frame or reading; one that can't be read says so, and the next is shown."""
    try:
        for entry in _entries(tap):
            yield _line(entry, form)
    except WireError as error:
        yield f"{tap.device} {tap.stage}: not understood: {error}"


def objects_of(tap: Tap) -> Iterator[str]:
    """The same for programs: a JSON object a line, with its time, in words and in milliseconds, its device and what it
    is; a frame's bytes in hexadecimal, a reading's values."""
    try:
        for entry in _entries(tap):
            yield _object(entry)
    except WireError as error:
        yield compact({"device": tap.device, "what": "not understood", "reason": str(error)})


class Entry(NamedTuple):
    """One thing that has passed."""

    ts_ms: int
    """0: it has no time of its own."""
    device: str
    what: str
    """frame, reading, attributes, answer, dead, or left out."""
    data: bytes
    """A frame's bytes, the JSON of values, the reason in UTF-8, or how many were left out."""
    named: str = ""
    """The device that a user's converter says the reading is of."""


def _entries(tap: Tap) -> Iterator[Entry]:
    """What a tap says. Raises WireError."""
    if tap.stage == LEFT_OUT:
        yield Entry(0, tap.device, LEFT_OUT_WORD, str(codec.unpack(tap.body)).encode())
    elif tap.stage == "frames":
        body = codec.unpack_frames(tap.body, _count(tap.body))
        for ts_ms, frame in zip(body.ts_ms, body.frames, strict=True):
            yield Entry(ts_ms, tap.device, "frame", frame)
    else:
        yield from _readings(tap.device, codec.unpack_readings(tap.body, _count(tap.body)))


def _count(body: bytes) -> int:
    """How many entries a body says it has; -1, which fits none, for what is no body."""
    value = codec.unpack(body)
    return len(value[0]) if isinstance(value, list) and value and isinstance(value[0], list) else -1


def _readings(device: str, body: ReadingBody) -> Iterator[Entry]:
    """An entry for each reading, dead letter and answer of a batch, and one for its attributes."""
    for index, ts_ms in enumerate(body.ts_ms):
        if body.telemetry[index]:
            yield Entry(ts_ms, device, "reading", body.telemetry[index])
        if index in body.dead:
            yield Entry(ts_ms, device, "dead", body.dead[index].encode(errors="backslashreplace"))
        for reading in body.user.get(index, ()):
            for own_ms, values in reading.telemetry:
                yield Entry(ts_ms if own_ms is None else own_ms, device, "reading", values, reading.device)
            if reading.attributes:
                yield Entry(ts_ms, device, "attributes", reading.attributes, reading.device)
    if body.attributes and body.ts_ms:
        yield Entry(body.ts_ms[-1], device, "attributes", body.attributes)
    if body.answer is not None and body.ts_ms:
        yield Entry(body.ts_ms[-1], device, "answer", body.answer[1])


def _line(entry: Entry, form: Form) -> str:
    """An entry for a person. Values are shown as they came; what is no UTF-8 in them is escaped."""
    if entry.what == LEFT_OUT_WORD:
        return f"{entry.device} … {entry.data.decode()} more, too much to show"
    shown = entry.data.decode("utf-8", "backslashreplace")
    if entry.what == "frame":
        text, as_hex = f'"{escape(entry.data)}"', entry.data.hex(" ")
        shown = {"text": text, "hex": as_hex, "raw": f"{as_hex}  {text}"}[form]
    named = f"{entry.named} " if entry.named else ""
    pad = " " * (len("reading") - len(entry.what))
    return f"{moment(entry.ts_ms)} {entry.device} {entry.what}{pad} {named}{shown}"


def _object(entry: Entry) -> str:
    """An entry for a program."""
    found: dict[str, object] = {"device": entry.device, "what": entry.what}
    if entry.what == LEFT_OUT_WORD:
        return compact({**found, "count": int(entry.data)})
    found = {"time": moment(entry.ts_ms), "ts": entry.ts_ms, **found}
    if entry.what == "frame":
        return compact({**found, "bytes": len(entry.data), "hex": entry.data.hex()})
    if entry.what == "dead":
        return compact({**found, "reason": entry.data.decode("utf-8", "backslashreplace")})
    if entry.named:
        found["deviceName"] = entry.named
    # Values are JSON already, and as exact as they came.
    return f'{compact(found)[:-1]},"values":{entry.data.decode("utf-8", "backslashreplace")}}}'
