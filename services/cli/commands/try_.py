"""`serialgw try`: what a configuration makes of frames, calls and answers, without a device.

Exit codes: 0 all well; 1 a frame, params or an answer could not be converted; 2 usage; 78 configuration error.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO, TypedDict

import simplejson

from common.config.models import Device, Gateway, Rpc
from common.config.reading import read_gateway
from common.conversion.calls import convert_answer
from common.conversion.downlink import BUILTIN_DOWNLINK, encode_rpc
from common.conversion.points import PointResult
from common.conversion.rows import BUILTIN_UPLINK, compile_device
from common.conversion.values import encode_json, shorten, shown
from common.core.errors import ConversionError
from common.wire.calls import METHOD_NOT_FOUND
from common.wire.messages import UserReading
from services.cli.arguments import Subparsers
from services.cli.escapes import unescape
from services.converter.shell.extensions import load_converter

EXIT_CONVERSION = 1
EXIT_USAGE = 2

_READ_BYTES = 4096


class UsageError(Exception):
    """An argument that makes no sense; the text is for the person who typed it."""


class Piece(NamedTuple):
    """A frame to try. `partial` is what a file ends with behind its last delimiter; `note` says what else is odd.

    `dead` is why the framer makes it a dead letter instead of a frame, or "".
    """

    frame: bytes
    partial: bool = False
    note: str = ""
    dead: str = ""


class Outcome(NamedTuple):
    """What the configuration makes of one frame for one device name, ready for either form of output."""

    device_name: str
    device_type: str
    telemetry: dict[str, object]
    attributes: dict[str, object]
    errors: list[tuple[str, str]]
    failed: bool
    lines: list[str]


class Called(TypedDict, total=False):
    """What the configuration makes of a call, and of its answer, as `--json` prints it."""

    bytes_hex: str
    result: object
    error: str


def add_parser(subparsers: Subparsers) -> None:
    """Adds the command to the `serialgw` parser; its `run` default is `run`."""
    parser = subparsers.add_parser(
        "try",
        help="what the configuration makes of a frame or a call, without a device",
        description="Shows what a configuration makes of a frame, a file of frames, or a call and its answer.",
        epilog="examples:\n"
        "  serialgw try tb_gateway.json --device press1 --text '48\\r2430947595\\n'\n"
        "  serialgw try tb_gateway.json --device press1 --hex '34 38 0d 0a'\n"
        "  serialgw try tb_gateway.json --device press1 --file recorded.bin --json\n"
        "  serialgw try tb_gateway.json --device press1 --rpc setValue --params 25 --answer 'OK\\n'\n\n"
        "exit codes: 0 all well, 1 something could not be converted, 2 wrong usage, 78 problems in the configuration",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", metavar="FILE", help="tb_gateway.json or a serial connector file")
    parser.add_argument("--device", metavar="D", help="device name; may be left out if there is only one")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", metavar="T", help=r"one frame as text; \r \n \t \xNN and \\ work")
    what.add_argument("--hex", metavar="H", help="one frame as hexadecimal bytes")
    what.add_argument("--file", metavar="F", help="a file of raw bytes, cut into frames as on the line")
    what.add_argument("--rpc", metavar="METHOD", help="a call from the platform")
    parser.add_argument("--params", metavar="JSON", help="the call's params")
    parser.add_argument("--answer", metavar="T", help="what the device would answer, as --text")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command and returns its exit code. Raises ConfigError for a configuration that can't be used."""
    out = sys.stdout
    try:
        gateway = read_gateway(args.config, os.environ).gateway
        device = _pick_device(gateway, args.device)
        # What users' converters print must not get between the results, which may be piped on.
        with contextlib.redirect_stdout(sys.stderr):
            if args.rpc is not None:
                return _try_call(gateway, device, args, out)
            if args.params is not None or args.answer is not None:
                raise UsageError("--params and --answer go with --rpc")
            return _try_frames(gateway, device, args, out)
    except UsageError as error:
        print(f"serialgw try: {error}", file=sys.stderr)
        return EXIT_USAGE


def _pick_device(gateway: Gateway, name: str | None) -> Device:
    devices = gateway.devices
    if name is None and len(devices) == 1:
        return devices[0]
    found = next((device for device in devices if device.name == name), None)
    if found is None:
        names = ", ".join(device.name for device in devices)
        raise UsageError(f"--device: found {name or 'nothing'}, expected one of: {names}")
    return found


# --- frames -----------------------------------------------------------------------------------------------------------


def _try_frames(gateway: Gateway, device: Device, args: argparse.Namespace, out: TextIO) -> int:
    convert = _converter_of(gateway, device)
    failed = False
    number = 0
    for number, piece in enumerate(_pieces(device, args), start=1):
        for outcome in [_failure_of(device, piece.dead)] if piece.dead else convert(piece.frame):
            failed = failed or outcome.failed
            print(_as_json(outcome, piece) if args.json else _as_text(outcome, piece, number), file=out)
    if number == 0:
        print("no frame: the input is empty", file=sys.stderr)
    return EXIT_CONVERSION if failed else 0


def _pieces(device: Device, args: argparse.Namespace) -> Iterator[Piece]:
    if args.file is None:
        frame = _from_text("--text", args.text) if args.text is not None else _from_hex(args.hex)
        yield Piece(frame, note=_note_on(frame, device.framing.delimiter))
        return
    yield from _cut_file(Path(args.file), device)


def _note_on(frame: bytes, delimiter: bytes) -> str:
    """Taken as one frame all the same; said because a line would cut it otherwise."""
    at = frame.find(delimiter)
    if at < 0:
        return f"without the delimiter {shown(delimiter)} at its end"
    if at + len(delimiter) < len(frame):
        return f"taken whole; a line would end the frame at the first {shown(delimiter)}"
    return ""


def _cut_file(path: Path, device: Device) -> Iterator[Piece]:
    from services.port_reader.core.framers.delimiter import DelimiterFramer

    framer = DelimiterFramer(device.framing.delimiter, device.framing.max_frame_bytes)
    try:
        with path.open("rb") as file:
            while chunk := file.read(_READ_BYTES):
                frames = framer.feed(chunk)
                yield from (Piece(piece.data, dead=piece.reason) for piece in framer.take_dead())
                yield from (Piece(frame) for frame in frames)
    except OSError as error:
        raise UsageError(f"--file {path}: {error.strerror or error}") from None
    if framer.partial:
        yield Piece(bytes(framer.partial), partial=True, note="partial: the delimiter has not come")


def _converter_of(gateway: Gateway, device: Device) -> Callable[[bytes], list[Outcome]]:
    """A function from a frame to its outcomes: one, or one per reading of a user's converter."""
    if device.converter == BUILTIN_UPLINK:
        converter = compile_device(device)
        return lambda frame: [_outcome_of(device, converter.explain(frame))]
    try:
        user = load_converter(device.converter, device, gateway.extension_dirs, _logger())
    except ConversionError as error:
        reason = str(error)
        return lambda frame: [_failure_of(device, reason)]

    def convert(frame: bytes) -> list[Outcome]:
        try:
            readings = user.convert_frame(frame)
        except ConversionError as error:
            return [_failure_of(device, str(error))]
        nothing = UserReading(device.name, device.type, [], b"")
        return [_outcome_of_reading(reading) for reading in readings or [nothing]]

    return convert


def _logger() -> logging.Logger:
    """Users' converters log to standard error, so that the results can be piped on."""
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s")
    return logging.getLogger("serialgw.converter")


def _outcome_of(device: Device, points: list[PointResult]) -> Outcome:
    telemetry = {p.key: p.value for p in points if p.status == "value" and p.kind == "telemetry"}
    attributes = {p.key: p.value for p in points if p.status == "value" and p.kind == "attribute"}
    errors = [(p.key, p.why if p.status == "error" else f"absent: {p.why}") for p in points if p.status != "value"]
    failed = any(point.status == "error" for point in points)
    lines = _point_lines(points) or ["no data points are configured"]
    return Outcome(device.name, device.type, telemetry, attributes, errors, failed, lines)


def _outcome_of_reading(reading: UserReading) -> Outcome:
    telemetry: dict[str, object] = {}
    lines = []
    for ts_ms, values in reading.telemetry:
        telemetry.update(simplejson.loads(values))
        lines.append(f"telemetry  {values.decode()}" + (f"  at {ts_ms} ms" if ts_ms is not None else ""))
    attributes = simplejson.loads(reading.attributes) if reading.attributes else {}
    if attributes:
        lines.append(f"attributes {reading.attributes.decode()}")
    lines = lines or ["the converter returned no values"]
    return Outcome(reading.device, reading.device_type, telemetry, attributes, [], False, lines)


def _failure_of(device: Device, reason: str) -> Outcome:
    return Outcome(device.name, device.type, {}, {}, [("", reason)], True, [f"error      {reason}"])


def _point_lines(points: list[PointResult]) -> list[str]:
    """One line a data point: kind, key, type, slice, bytes taken, value or why not, in columns."""
    rows = [
        (
            point.kind,
            point.key,
            point.type,
            f"[{point.span[0]}:{point.span[1]}]" if point.span else "-",
            shown(point.field) if point.span else "-",
            f"= {encode_json(point.value).decode()}" if point.status == "value" else f"{point.status}: {point.why}",
        )
        for point in points
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)] if rows else []
    return ["  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[5]]) for row in rows]


def _as_json(outcome: Outcome, piece: Piece) -> str:
    shape: dict[str, object] = {
        "deviceName": outcome.device_name,
        "deviceType": outcome.device_type,
        "telemetry": outcome.telemetry,
        "attributes": outcome.attributes,
        "errors": [{"key": key, "error": error} for key, error in outcome.errors],
    }
    if piece.partial:
        shape["partial"] = True
    return encode_json(shape).decode()


def _as_text(outcome: Outcome, piece: Piece, number: int) -> str:
    head = f"frame {number}, {len(piece.frame)} bytes: {shown(piece.frame)}" + (
        f" ({piece.note})" if piece.note else ""
    )
    who = f"  {outcome.device_name} ({outcome.device_type})"
    return "\n".join([head, who, *(f"    {line}" for line in outcome.lines)])


# --- calls ------------------------------------------------------------------------------------------------------------


def _try_call(gateway: Gateway, device: Device, args: argparse.Namespace, out: TextIO) -> int:
    params = _parse_params(args.params)
    answer = _from_text("--answer", args.answer) if args.answer is not None else None
    reply: Called = {}
    try:
        rpc = next((rpc for rpc in device.rpcs if rpc.method == args.rpc), None)
        if rpc is None:
            raise ConversionError(METHOD_NOT_FOUND)
        reply["bytes_hex"] = _encode(gateway, device, rpc, params).hex()
        if answer is not None:
            reply["result"] = _convert_answer(gateway, device, rpc, answer)
    except ConversionError as error:
        reply["error"] = str(error)
    print(encode_json(reply).decode() if args.json else _call_text(device, reply), file=out)
    return EXIT_CONVERSION if "error" in reply else 0


def _encode(gateway: Gateway, device: Device, rpc: Rpc, params: object) -> bytes:
    if rpc.template is None and device.downlink_converter not in (None, BUILTIN_DOWNLINK):
        user = load_converter(device.downlink_converter, device, gateway.extension_dirs, _logger())
        return user.encode_rpc(rpc, params)
    return encode_rpc(device, rpc, params)


def _convert_answer(gateway: Gateway, device: Device, rpc: Rpc, answer: bytes) -> object:
    if rpc.response_pattern is not None and not re.search(rpc.response_pattern.encode(), answer):
        raise ConversionError(f"found {shown(answer)}, which does not match responsePattern {rpc.response_pattern}")
    if device.converter == BUILTIN_UPLINK:
        return convert_answer(rpc, answer)
    return load_converter(device.converter, device, gateway.extension_dirs, _logger()).convert_answer(rpc, answer)


def _call_text(device: Device, reply: Called) -> str:
    lines = []
    if "bytes_hex" in reply:
        written = bytes.fromhex(reply["bytes_hex"])
        lines.append(f"written to {device.name}, {len(written)} bytes: {shown(written)}  (hex {reply['bytes_hex']})")
    if "result" in reply:
        lines.append(f"result: {encode_json(reply['result']).decode()}")
    if "error" in reply:
        lines.append(f"error: {reply['error']}")
    return "\n".join(lines)


# --- arguments --------------------------------------------------------------------------------------------------------


def _from_text(option: str, text: str) -> bytes:
    try:
        return unescape(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UsageError(f"--hex: found {shorten(text)}, expected pairs of hexadecimal digits") from None


def _parse_params(text: str | None) -> object:
    if text is None:
        return None
    try:
        return simplejson.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f'--params: found {shorten(text)}, expected JSON such as 5 or "on" ({error})') from None
