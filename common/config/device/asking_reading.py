"""Reads what a device is asked, told and answered: `ask`, `every`, `send`, `init`, `reply`, `bus` ….

All of these keys are ours, so everything is strict: what can't work is a problem. Text stands for bytes as in framing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from common.config.asking import (
    ASKING,
    MAX_BACKOFF_S,
    MOST_RETRIES,
    OFFLINE_AFTER,
    RETRIES,
    TIMEOUT_S,
    Ask,
    Asking,
    Bus,
    Heard,
    Step,
    Told,
)
from common.config.device.modbus_reading import Reads, has_registers, wanted_of
from common.config.device.places_reading import read_regex
from common.config.device.protocol_reading import read_bytes, text_bytes
from common.config.device.sending_reading import Sealing, read_send
from common.config.findings import show
from common.config.framing import Framing
from common.config.json_object import JsonObject
from common.config.models import Message
from common.conversion.grammar.patterns import compiled
from common.core.byte_text import pattern_of
from common.core.modbus import MOST_UNIT, Protocol

OF_DEVICES: Final = ("send", "init", "address", "bus", "onBadFrame", "dropRepeats", "merge")
"""Keys of a device alone."""
STEPS: Final = ("send", "expect", "wait", "baudrate", "dtr", "rts")
_EXPECTED_STEP: Final = (
    '{"send": text}, {"expect": message}, {"wait": seconds}, {"baudrate": N}, {"dtr": true} or {"rts": true}'
)
LEAST_EVERY_S: Final = 0.01
"""No serial device answers faster."""
_DAY_S: Final = 86_400
_MOST_S: Final = 366 * _DAY_S
_LEAST_MS: Final = 1
_HOUR_MS: Final = 3_600_000
_MOST_BAUD: Final = 20_000_000
_MOST_ADDRESS: Final = 65_535
_MOST_STEPS: Final = 64
_MOST_M_BUS: Final = 250
_POINT_TO_POINT: Final = 254
"""The address on M-Bus that every meter answers to, as who it is (EN 13757-2, 5.7.5): for one that is alone."""
_LONG_FRAME: Final = b"\x68"
"""What begins an answer with records; an acknowledgement is a byte of its own."""


def asks_something(entry: JsonObject) -> bool:
    """True if the device in this object, or one of its messages, says anything that only asking knows."""
    values = entry.values
    if any(values.get(key) is not None for key in (*ASKING, *OF_DEVICES)):
        return True
    messages = values.get("messages")
    listed = [one for one in messages if isinstance(one, dict)] if isinstance(messages, list) else []
    # A refusal ends a call at once: who reads the line must know it.
    keys = (*ASKING, "error") if values.get("serverSideRpc") else ASKING
    return any(one.get(key) is not None for one in listed for key in keys)


def read_asking(entry: JsonObject, messages: Sequence[Message], framing: Framing) -> Asking | None:
    """What the device in this object is asked; None where it is only listened to.

    `messages`: those that were read from it, in the order of its list; one, without a name, where it is one itself.
    """
    entry.knows(*ASKING, *OF_DEVICES)
    protocol = framing.named if framing.named in MODBUS else ""
    if protocol or has_registers(entry):
        return _read_modbus(entry, messages, protocol)
    if entry.values.get("merge") is not None:
        entry.warning("merge", "has no effect: only reads of Modbus registers are merged")
    if not asks_something(entry):
        return None
    names = {message.name: message.framing is not None for message in messages if message.name}
    sealing = read_send(entry, framing, names)
    every_s = _read_every(entry)
    listed = entry.values.get("messages") is not None
    objects = list(entry.items("messages")) if listed else [entry]
    heard: list[Heard] = []
    asks: list[Ask] = []
    pairs = zip(objects, messages, strict=False) if messages else ((one, Message()) for one in objects)
    for one, message in pairs:
        if listed:
            one.knows(*ASKING)
        ask = _read_ask(one, entry, message, every_s, sealing)
        if message.framing is not None and not framing.shapes:
            one.problem("framing", "a framing of its own on a line with a delimiter", '"framing" of the device, too')
        if message.framing is not None and not message.name:
            one.problem("framing", "a framing of its own, and no name", '"name": its answers are known by that')
        if ask is not None:
            asks.append(ask)
        reply = read_bytes(one, "reply") if one.values.get("reply") is not None else b""
        if ask is None and framing.named == M_BUS and not listed:
            ask = _m_bus_ask(entry, every_s)
            asks += [] if ask is None else [ask]
        heard.append(Heard(name=message.name, told=_told_of(message), reply=reply, is_error=bool(message.error)))
    if every_s is not None and not any(ask.every_s for ask in asks):
        entry.warning("every", 'has no effect: no message has "ask"')
    return Asking(
        asks=tuple(asks),
        init=_read_init(entry, sealing),
        heard=tuple(heard) if listed or heard[0].told != Told() or heard[0].reply else (),
        address=read_address(entry),
        bus=read_bus(entry),
        on_bad_frame=_read_bad_frame(entry),
        drops_repeats=_read_drops(entry, heard),
        send_start=sealing.start,
        send_end=sealing.end,
        send_checksum=sealing.checksum,
        send_escapes=sealing.escapes,
        send_cobs=sealing.is_cobs,
    )


def _read_modbus(entry: JsonObject, messages: Sequence[Message], protocol: str) -> Asking | None:
    """The same for a Modbus device: what is asked follows from the registers of its points."""
    for key in ("messages", "ask", "aligned", "on", "answer", "reply", "send", "onBadFrame", "dropRepeats"):
        if entry.values.get(key) is not None:
            entry.problem(key, f"{key} of a Modbus device", 'data points with a "register", and "every"')
    every_s, address, bus = _read_every(entry), read_address(entry), read_bus(entry)
    if not protocol:
        entry.problem("register", "registers without their framing", '"framing": "modbus-rtu" or "modbus-ascii"')
        return None
    if address is None and "address" not in entry.values:
        entry.problem("address", "nothing", f"the device's address (unit), from 1 to {MOST_UNIT}")
    timeout_s, retries = read_timeout(entry), entry.whole("retries", RETRIES, 0, MOST_RETRIES)
    kind: Protocol = "modbus-ascii" if protocol == "modbus-ascii" else "modbus-rtu"
    reads = Reads(kind, address or 1, merges=entry.flag("merge", True), timeout_s=timeout_s, retries=retries)
    telemetry = tuple(point for message in messages for point in message.telemetry)
    attributes = tuple(point for message in messages for point in message.attributes)
    wanted = wanted_of(entry, telemetry, attributes, every_s)
    return Asking(
        asks=tuple(reads.asks(wanted)),
        init=_read_init(entry, Sealing()),
        address=address,
        bus=bus,
        timeout_s=timeout_s,
        protocol=kind,
    )


MODBUS: Final = ("modbus-rtu", "modbus-ascii")
M_BUS: Final = "m-bus"


def _m_bus_ask(entry: JsonObject, every_s: float | None) -> Ask | None:
    """The question to a meter on M-Bus, which is the same for all of them (EN 13757-2: REQ_UD2, by primary address)."""
    address = entry.values.get("address")
    if every_s is None:
        return None
    if type(address) is not int or not (0 <= address <= _MOST_M_BUS or address == _POINT_TO_POINT):
        wanted = (
            f"the meter's primary address, from 0 to {_MOST_M_BUS}, or {_POINT_TO_POINT}, to which any meter answers"
        )
        entry.problem("address", show(address), f"{wanted} that has the line for itself")
        return None
    head = bytes((0x5B, address))
    data = b"\x10" + head + bytes((sum(head) & 0xFF, 0x16))
    is_any = address == _POINT_TO_POINT
    return Ask(
        name="",
        steps=(Step(kind="send", data=data),),
        every_s=every_s,
        answer=Told(at=0, same=_LONG_FRAME) if is_any else Told(at=5, same=bytes((address,))),
        timeout_s=read_timeout(entry),
        retries=entry.whole("retries", RETRIES, 0, MOST_RETRIES),
    )


# --- questions ---


def _read_ask(
    entry: JsonObject, device: JsonObject, message: Message, every_s: float | None, sealing: Sealing
) -> Ask | None:
    """The question of a message; None where it has none. `every_s` is what the device says for all of them."""
    period_s = every_s if entry is device or entry.values.get("every") is None else _read_every(entry)
    on_connect = entry.choice("on", "", ("", "connect")) == "connect"
    aligned = entry.flag("aligned", False)
    answer = _read_told(entry, "answer")
    timeout_s = read_timeout(entry)
    retries = entry.whole("retries", RETRIES, 0, MOST_RETRIES)
    if entry.values.get("ask") is None:
        for key in ("aligned", "on", "answer"):
            if entry.values.get(key) is not None:
                entry.warning(key, 'has no effect without "ask"')
        return None
    steps = _read_steps(entry, "ask", sealing)
    if period_s is None and not on_connect:
        entry.problem("ask", "a question that is never asked", '"every": seconds beside it, or "on": "connect"')
    if aligned and period_s is None:
        entry.warning("aligned", 'has no effect without "every"')
    if steps and steps[-1].kind == "expect":
        entry.problem("ask", "an expectation as the last step", "no such step: the message's own answer comes last")
    if steps and not any(step.kind == "send" for step in steps):
        entry.problem("ask", "steps that send nothing", 'at least one {"send": text}')
    return Ask(
        name=message.name,
        steps=steps,
        every_s=period_s,
        aligned=aligned and period_s is not None,
        on_connect=on_connect,
        answer=answer,
        timeout_s=timeout_s,
        retries=retries,
    )


def _read_every(entry: JsonObject) -> float | None:
    """Seconds from turn to turn."""
    return entry.maybe_number("every", LEAST_EVERY_S, _MOST_S)


def read_timeout(entry: JsonObject) -> float:
    """How long an answer may take, in seconds."""
    return entry.whole("timeoutMs", round(TIMEOUT_S * 1000), _LEAST_MS, _HOUR_MS) / 1000


def _read_told(entry: JsonObject, key: str) -> Told | None:
    """A regular expression that frames match; None where there is none."""
    text = entry.maybe_text(key)
    if text is None or read_regex(entry, key, text) is None:
        return None
    return Told(regex=pattern_of(text))


def _told_of(message: Message) -> Told:
    """How the frames of a message are told from others."""
    when = message.when
    if when is not None and when.pattern:
        return Told(regex=pattern_of(when.pattern))
    if when is not None and when.same:
        return Told(at=when.at, same=when.same)
    try:
        if message.pattern:
            return Told(regex=f"(?s:{compiled(message.pattern).pattern.decode()})", in_body=True)
    except (ValueError, re.error):
        # It was noted where the message was read.
        return Told()
    return Told(regex=pattern_of(message.regex)) if message.regex else Told()


def _read_steps(entry: JsonObject, key: str, sealing: Sealing) -> tuple[Step, ...]:
    """A text to send, or a list of steps."""
    said = entry.values.get(key)
    if isinstance(said, str):
        text = entry.maybe_text(key)
        data = b"" if text is None else text_bytes(entry, key, text)
        step = sealing.step(entry, key, data)
        return (step,) if step is not None else ()
    if not isinstance(said, list) or not said:
        entry.problem(key, show(said), f"a text to send, or a list of steps: {_EXPECTED_STEP}")
        return ()
    if len(said) > _MOST_STEPS:
        entry.problem(key, f"{len(said)} steps", f"at most {_MOST_STEPS}")
        return ()
    found = [_read_step(one, sealing) for one in entry.items(key)]
    return tuple(step for step in found if step is not None)


def _read_step(entry: JsonObject, sealing: Sealing) -> Step | None:
    """One step: an object with one of the keys; `ask` is another word for `send`."""
    entry.knows(*STEPS, "ask")
    named = [key for key in (*STEPS, "ask") if key in entry.values]
    if len(named) != 1:
        found = " beside ".join(named) or "no step"
        entry.findings.problem(entry.file, entry.path, found, f"one of {_EXPECTED_STEP}")
        return None
    entry.warn_unknown()
    match named[0]:
        case "send" | "ask":
            return sealing.step(entry, named[0], read_bytes(entry, named[0]))
        case "expect":
            name = entry.maybe_text("expect", nullable=False) or ""
            if name and name not in sealing.names:
                listed = ", ".join(sorted(sealing.names)) or "there is none with a name"
                entry.problem("expect", show(name), f"the name of a message: {listed}")
            elif name and sealing.names[name]:
                found = f'{name}, whose "framing" is in force only while its own question is answered'
                entry.problem("expect", found, "a message of frames as the line has them")
            return Step(kind="expect", message=name) if name else None
        case "wait":
            return Step(kind="wait", value=entry.number("wait", 0, 0, _DAY_S))
        case "baudrate":
            return Step(kind="baudrate", value=entry.whole("baudrate", 9600, 1, _MOST_BAUD))
        case pin:
            kind: Any = pin
            return Step(kind=kind, value=float(entry.flag(pin, False)))


# --- the device ---


def _read_init(entry: JsonObject, sealing: Sealing) -> tuple[Step, ...]:
    """What the device is told after each opening."""
    if entry.values.get("init") is None:
        return ()
    if not isinstance(entry.values["init"], list):
        entry.problem("init", show(entry.values["init"]), f"a list of steps: {_EXPECTED_STEP}")
        return ()
    return _read_steps(entry, "init", sealing) if entry.values["init"] else ()


def read_address(entry: JsonObject) -> int | None:
    """The device's place on its bus; None where it has its line for itself, as who answers to an address of all has."""
    is_modbus = entry.values.get("framing") in MODBUS
    if entry.values.get("framing") == M_BUS and entry.values.get("address") == _POINT_TO_POINT:
        entry.knows("address")
        return None
    return entry.maybe_whole("address", 1 if is_modbus else 0, MOST_UNIT if is_modbus else _MOST_ADDRESS)


def read_bus(entry: JsonObject) -> Bus | None:
    """How the line is shared; None where this device does not say it."""
    child = entry.child("bus") if entry.values.get("bus") is not None else None
    if child is None:
        return None
    child.knows("rs485")
    bus = Bus(
        pause_s=child.whole("pauseMs", 0, 0, 60_000) / 1000,
        echo=child.flag("echo", False),
        offline_after=child.whole("offlineAfter", OFFLINE_AFTER, 1, 1000),
        max_backoff_s=child.number("maxBackoff", MAX_BACKOFF_S, 1, _DAY_S),
    )
    child.warn_unknown()
    return bus


def _read_bad_frame(entry: JsonObject) -> bytes:
    """What is said where a frame was damaged."""
    child = entry.child("onBadFrame") if entry.values.get("onBadFrame") is not None else None
    if child is None:
        return b""
    if "send" not in child.values:
        child.problem("send", "nothing", 'what is sent, such as "<NAK>"')
    data = read_bytes(child, "send")
    child.warn_unknown()
    return data


def _read_drops(entry: JsonObject, heard: Sequence[Heard]) -> bool:
    """Whether a frame that comes twice is kept once."""
    drops = entry.flag("dropRepeats", False)
    if drops and not any(one.reply for one in heard):
        entry.problem("dropRepeats", "no message with a reply", 'a "reply", without which no device repeats its frames')
    if drops and entry.values.get("address") is not None:
        entry.problem("dropRepeats", "dropRepeats on a bus", "it on a device that has its line for itself")
    return drops
