"""A device as it is understood, in words: one block for a person, one object for a program."""

from __future__ import annotations

from typing import Final

from common.config.answer_ends import has_several_lines
from common.config.device.type_words import read_as, written_as
from common.config.framing import Framing
from common.config.models import AttributeUpdate, DataPoint, Device, Line, Message, Rpc
from common.config.ports import is_usb
from common.config.usb_ports import find_port, read_selector
from common.core.byte_text import bytes_of, spell
from common.core.control_names import named
from common.core.frame_words import words_of
from common.core.quoting import quoted, spelled
from services.cli.asked_words import describe_asking, describe_register
from services.cli.slices import describe_answer, describe_slice
from services.cli.text import spelled_out, table
from services.cli.understood import describe_message, describe_place, describe_type

_CONNECTIONS: Final = ("socket://", "tcp-listen://")
"""Ports whose speed and format are set elsewhere, where the line is."""
_LABEL_WIDTH: Final = len("telemetry")


def describe_port(port: str) -> str:
    """A port as it is written; of a USB adapter also which file it is now, or why none."""
    if not is_usb(port) or (selector := read_selector(port)) is None:
        return port
    try:
        return f"{port} (now {find_port(selector)})"
    except LookupError as error:
        return f"{port} ({error})"


def describe_line(line: Line) -> str:
    """`9600 8N1`, with flow control where there is one, and pins that are told how to be; "" for a TCP connection,
    which has none of it."""
    if line.port.startswith(_CONNECTIONS):
        return ""
    flow = [name for name in ("xonxoff", "rtscts", "dsrdtr") if getattr(line, name)]
    for name in ("dtr", "rts"):
        if (pin := getattr(line, name)) is not None:
            flow.append(f"{name.upper()} {'on' if pin else 'off'}")
    flow += [f"RTS {'on' if line.rs485.rts_on_send else 'off'} while sending"] if line.rs485 is not None else []
    return " ".join([f"{line.baudrate} {line.bytesize}{line.parity}{line.stopbits:g}", *flow])


def describe_framing(framing: Framing) -> str:
    """`frames end with "\\n"`, or what frames look like."""
    if not framing.shapes:
        return f"frames end with {spelled_out(framing.delimiter)}"
    name = f" ({framing.named})" if framing.named else ""
    return f"a frame{name} {words_of(framing.shapes, skip=framing.skip, mask=framing.mask)}"


def _frames_as_rows(framing: Framing) -> list[str]:
    """The same in rows: one for each shape, and what else there is to say."""
    if not framing.shapes:
        return [f"each ends with {spelled_out(framing.delimiter)}"]
    name = f"{framing.named}: " if framing.named else ""
    shapes = [words_of([shape]) for shape in framing.shapes]
    more = [words_of((), skip=framing.skip, mask=framing.mask).removeprefix("; ")]
    if len(shapes) == 1:
        return [f"{name}each {shapes[0]}", *filter(None, more)]
    numbered = [f"{name if number == 1 else ''}({number}) {words}" for number, words in enumerate(shapes, 1)]
    return [*numbered, *filter(None, more)]


def describe_device(device: Device) -> list[str]:
    """A device for a person, in one block: its line, its frames, its converters, and what is understood of these."""
    where = ", ".join(filter(None, [describe_port(device.line.port), describe_line(device.line)]))
    rows = _rows_of(device)
    width = max([_LABEL_WIDTH, *(len(row[0]) for row in rows)])
    frames = _frames_as_rows(device.framing)
    head = [("frames", frames[0]), *(("", more) for more in frames[1:])]
    head.append(("converter", f"{device.converter}, downlink {device.downlink_converter or 'none'}"))
    block = [f"{label:<{width}}  {words}" for label, words in head]
    block += table([(row[0].ljust(width), *row[1:]) for row in rows])
    return [f"{device.name} ({device.type}) on {where}", *(f"  {line}" for line in block)]


def describe_contents(device: Device) -> list[str]:
    """What is understood of a device's frames and calls, as the lines of a table; [] for nothing."""
    return table(_rows_of(device))


def _rows_of(device: Device) -> list[tuple[str, ...]]:
    """A row for each message, value, question, RPC and attribute update."""
    rows: list[tuple[str, ...]] = [("telemetry", point.key, *_value_of(point)) for point in device.telemetry]
    rows += [("attribute", point.key, *_value_of(point)) for point in device.attributes]
    for number, message in enumerate(device.messages, 1):
        rows += _message_rows(message, number, alone=len(device.messages) == 1 and not message.name)
    rows += describe_asking(device.asking) if device.asking is not None else []
    rows += [("rpc", rpc.method, "", _rpc_as_text(device, rpc)) for rpc in device.rpcs]
    return rows + [("update", one.attribute, "", _update_as_text(device, one)) for one in device.attribute_updates]


def _update_as_text(device: Device, update: AttributeUpdate) -> str:
    """What an attribute update writes."""
    if update.register is not None:
        return f"writes {update.register.table}:{update.register.first}, {update.register.type}"
    return f"writes {_added_to(device, spelled_out(update.string_to_device))}{_words_of(update)}"


def _message_rows(message: Message, number: int, *, alone: bool) -> list[tuple[str, ...]]:
    """A message, and what it says, for a person."""
    name = "each frame" if alone else message.name or f"number {number}"
    rows: list[tuple[str, ...]] = [("message", name, "", describe_message(message, alone=alone))]
    rows += [("  telemetry", point.key, *_value_of(point)) for point in message.telemetry]
    return rows + [("  attribute", point.key, *_value_of(point)) for point in message.attributes]


def _value_of(point: DataPoint) -> tuple[str, str]:
    """(type, place in the frame) of a data point, both in words."""
    if point.place is not None:
        return describe_type(point), describe_place(point) + _words_of(point)
    return read_as(point.type), describe_slice(point) + _words_of(point)


def _words_of(entry: DataPoint | Rpc | AttributeUpdate) -> str:
    """How the device spells fractions, true and false, where the configuration says so."""
    words = [f"{quoted(entry.decimal)} before a fraction"] if entry.decimal else []
    for texts, value in ((entry.true_text, "true"), (entry.false_text, "false")):
        if texts:
            words.append(f"{' or '.join(map(spelled, texts))} for {value}")
    return "".join(f", {word}" for word in words)


def _rpc_as_text(device: Device, rpc: Rpc) -> str:
    """What an RPC writes, and what it takes from the answer."""
    if rpc.register is not None:
        return f"{describe_register(rpc.register)}, answer within {rpc.response_timeout_s:g} s"
    sent = f"writes {_written_by(device, rpc)}{_words_of(rpc)}"
    if not rpc.with_response:
        return f"{sent}, no answer"
    matching = f" matching {quoted(rpc.response_pattern)}" if rpc.response_pattern is not None else ""
    answer = f"{read_as(rpc.response_type)} {describe_answer(rpc)}"
    if device.has_user_uplink:
        answer = f"as {device.converter} reads it"
    until = bytes_of(rpc.response_until_delimiter) if rpc.response_until_delimiter else b""
    lines = f" of all lines up to {spelled(until)}" if has_several_lines(until, device.framing) else ""
    return f"{sent}, answer{matching}{lines} within {rpc.response_timeout_s:g} s: {answer}"


def _written_by(device: Device, rpc: Rpc) -> str:
    """What becomes of a call's params, by whichever converter the device has."""
    if rpc.template is not None:
        kind = f" with params as {written_as(rpc.type)}" if written_as(rpc.type) != "text" else ""
        return _added_to(device, spelled_out(rpc.template) + kind)
    if device.downlink_converter is None:
        return 'nothing without "downlink_converter"'
    if device.has_user_downlink:
        return f"what {device.downlink_converter} makes of params"
    return _added_to(device, f"params as {written_as(rpc.type)}")


def _added_to(device: Device, written: str) -> str:
    """The same with what `send` adds to all that is written."""
    asking = device.asking
    if asking is None:
        return written
    start = [named(asking.send_start)] if asking.send_start else []
    added = [] if asking.send_checksum is None else ["its checksum"]
    added += [named(asking.send_end)] if asking.send_end else []
    words = ", then ".join([*start, written, *([" and ".join(added)] if added else [])])
    return words + (", escaped" if asking.send_escapes else ", as COBS" if asking.send_cobs else "")


def device_as_json(device: Device) -> dict[str, object]:
    """A device for a program, under the keys of the configuration where there are such."""
    return {
        "name": device.name,
        "type": device.type,
        "connector": device.connector_name,
        "port": device.line.port,
        "line": describe_line(device.line),
        **_framing_as_json(device.framing),
        "converter": device.converter,
        "downlinkConverter": device.downlink_converter,
        "telemetry": [_point_as_json(point) for point in device.telemetry],
        "attributes": [_point_as_json(point) for point in device.attributes],
        "messages": [_message_as_json(message) for message in device.messages],
        "asks": [
            {"what": what, "name": name, "when": when, "does": does}
            for what, name, when, does in (describe_asking(device.asking) if device.asking is not None else [])
        ],
        "rpcs": [{"method": rpc.method, "does": _rpc_as_text(device, rpc)} for rpc in device.rpcs],
        "attributeUpdates": [
            {"attribute": one.attribute, "stringToDevice": one.string_to_device} for one in device.attribute_updates
        ],
    }


def _message_as_json(message: Message) -> dict[str, object]:
    """A message for a program."""
    return {
        "name": message.name,
        "does": describe_message(message),
        "telemetry": [_point_as_json(point) for point in message.telemetry],
        "attributes": [_point_as_json(point) for point in message.attributes],
    }


def _framing_as_json(framing: Framing) -> dict[str, object]:
    """What ends frames, or what they look like."""
    if not framing.shapes:
        return {"delimiter": spell([framing.delimiter])}
    return {"framing": words_of(framing.shapes, skip=framing.skip, mask=framing.mask)}


def _point_as_json(point: DataPoint) -> dict[str, object]:
    """A data point for a program."""
    kind, taken = _value_of(point)
    return {"key": point.key, "type": kind, "slice": taken}
