"""`serialgw capture PORT|DEVICE`: records what passes on a line, with its times, in a file that people can read.

A port is opened and listened to; nothing is written to it. A device of the running gateway is recorded through the
gateway, in both directions, and neither notices. `serialgw try` shows what a configuration makes of the file, and
`serialgw replay` plays it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TextIO

from common.config.ports import is_usb
from common.config.usb_ports import EXPECTED, find_port, read_selector
from common.core.errors import LinkError
from common.core.shown import harmless
from common.io.clock import iso_time, wall_ms
from common.io.exits import EXIT_UNAVAILABLE
from services.cli.arguments import Subparsers, add_data_dir, utf8_path, utf8_text, whole_number
from services.cli.captures.form import Chunk, end_line, head_of, lines_of
from services.cli.captures.recorder import LIMIT_BYTES, MOST_BYTES, MOST_SECONDS, SECONDS, Recorder
from services.cli.captures.stop import StopWish
from services.cli.capturing.gateway import DeviceSource
from services.cli.capturing.ports import SETTING, PortSource, configured_setting, profile_setting
from services.cli.identifying.port import holder_of
from services.cli.known import configured_device
from services.cli.parser import WARNING
from services.cli.text import compact, counted
from services.cli.usage import UsageError

EXIT_NOTHING: Final = 1
TELL_S: Final = 10.0
"""So often it is said how much has come."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds `capture` and its options."""
    parser = subparsers.add_parser(
        "capture",
        help="record what passes on a line, with its times",
        description="Records what passes on a line. PORT is opened and listened to, and nothing is written to it. "
        "DEVICE is one of the running gateway, which goes on: what it writes is recorded too. Ctrl-C ends it and "
        "keeps what there is. `serialgw try` and `serialgw replay` take the file, which is text, and may be edited.",
        epilog="examples:\n"
        "  serialgw capture /dev/ttyUSB0 -o meter.txt\n"
        "  serialgw capture /dev/ttyUSB0 --setting '2400 7E1' --seconds 20\n"
        "  serialgw capture /dev/ttyUSB0 --profile dsmr-p1 -o p1.txt\n"
        "  serialgw capture press1 -o press1.txt --seconds 3600\n\n"
        f"exit codes: 0 something was recorded, {EXIT_NOTHING} nothing came, or there is no such device, 2 wrong usage,"
        f" {EXIT_UNAVAILABLE} the port can't be opened, somebody has it, it was lost, or no gateway is running there",
    )
    parser.add_argument(
        "source", type=utf8_text, metavar="PORT|DEVICE", help="what begins with / or . is a port, and so is a URL"
    )
    parser.add_argument("-o", "--output", type=utf8_path, metavar="FILE", help="write there (default: to the terminal)")
    parser.add_argument("--force", action="store_true", help="replace a FILE that is there")
    settings = parser.add_mutually_exclusive_group()
    settings.add_argument("--setting", metavar="S", help=f'of a port, such as "2400 7E1" (default: {SETTING})')
    settings.add_argument("--config", type=utf8_text, metavar="FILE", help="take the settings of the device there")
    settings.add_argument("--profile", type=utf8_text, metavar="NAME", help="take those of a profile")
    parser.add_argument(
        "--seconds", type=_seconds, default=SECONDS, metavar="S", help="how long at most (default: %(default)g)"
    )
    parser.add_argument(
        "--bytes",
        type=whole_number(1, LIMIT_BYTES),
        default=MOST_BYTES,
        metavar="N",
        help="how many bytes of the line at most (default: %(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help="for programs: the chunks, if no FILE is named, and the end"
    )
    add_data_dir(parser)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.05 <= value <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected seconds from 0.05 to {MOST_SECONDS:g}")
    return value


def run(args: argparse.Namespace) -> int:
    """Records. Raises LinkError, GatewayError, UsageError, ConfigError."""
    output: Path | None = args.output
    if output is not None and output.exists() and not args.force:
        raise UsageError(f"{output} is there already: name another file, or --force to replace it")
    recording = _Recording(_source_of(args), args)
    with StopWish() as wish, ExitStack() as stack:
        recording.run(wish, stack)
    recording.tell()
    if recording.fault is not None:
        raise recording.fault
    return 0 if recording.recorder.chunks else EXIT_NOTHING


def _tell(text: str) -> None:
    """Progress goes where results don't."""
    print(harmless(text), file=sys.stderr, flush=True)


def _source_of(args: argparse.Namespace) -> PortSource | DeviceSource:
    """What is recorded. A device of this name counts more than its look. Raises as `run`."""
    name: str = args.source
    is_port = "://" in name or name.startswith(("/", "."))
    if not is_port or configured_device(args.data_dir, name) is not None:
        if args.setting or args.config or args.profile:
            raise UsageError("--setting, --config and --profile are for a PORT: the gateway has set the device's line")
        return DeviceSource(name, args.data_dir, _tell)
    if holder := holder_of(name, args.data_dir):
        raise LinkError(f"{name}: the running gateway reads it: serialgw capture {holder}")
    if args.config:
        setting = configured_setting(name, args.config, os.environ)
    else:
        setting = profile_setting(args.profile) if args.profile else args.setting or SETTING
    return PortSource(name, _path_of(name), setting)


def _path_of(port: str) -> str:
    """The device file of the USB adapter that is selected. Raises UsageError, LinkError."""
    if not is_usb(port):
        return port
    selector = read_selector(port)
    if selector is None:
        raise UsageError(f"found {port}, expected {EXPECTED}")
    try:
        return find_port(selector)
    except LookupError as error:
        raise LinkError(str(error)) from None


class _Recording:
    """One recording, from its first line to its last."""

    def __init__(self, source: PortSource | DeviceSource, args: argparse.Namespace) -> None:
        self.recorder = Recorder(args.bytes)
        self.fault: LinkError | None = None
        """Why it ended, where that was nobody's wish."""
        self._source = source
        self._args = args
        self._out: TextIO = sys.stdout
        self._is_text = not args.json or args.output is not None
        self._write = self._write_lines if self._is_text else self._write_json
        self._lasted_s = 0.0
        self._why = ""

    def run(self, wish: StopWish, stack: ExitStack) -> None:
        """Records until somebody wants it to end, the time is over, there is too much, or the line is lost. A file is
        made once the line is open, closed with `stack`, and written line by line: whatever ends us takes none."""
        args, recorder = self._args, self.recorder
        begun_s = told_s = None
        try:
            for seen in self._source.hear():
                now_s = time.monotonic()
                if begun_s is None or told_s is None:
                    begun_s = told_s = now_s
                    if args.output is not None:
                        self._out = stack.enter_context(args.output.open("w", encoding="utf-8", buffering=1))
                    self._begin()
                self._lasted_s = now_s - begun_s
                for chunk in self._finished(seen):
                    self._write(chunk)
                self._why = (
                    "Ctrl-C" if wish.is_set
                    else "--seconds" if self._lasted_s >= args.seconds
                    else "--bytes" if recorder.is_full
                    else ""
                )  # fmt: skip
                if self._why:
                    break
                if now_s >= told_s + TELL_S:
                    told_s = now_s
                    _tell(f"  {self._lasted_s:.0f} s: {self._counts()}")
        except LinkError as error:
            self.fault, self._why = error, "lost"
        if begun_s is not None:
            self._end()

    def _finished(self, seen: Chunk | None) -> list[Chunk]:
        """The chunks that are whole now."""
        finished = self.recorder.end() if seen is None else self.recorder.take(seen)
        return [finished] if finished else []

    def _begin(self) -> None:
        args = self._args
        _tell(f"recording {self._source.name}, for {args.seconds:g} s; Ctrl-C ends it")
        if self._is_text:
            print(head_of([f"{harmless(self._source.name)}, begun {iso_time(wall_ms())}"]), file=self._out)

    def _end(self) -> None:
        if chunk := self.recorder.end():
            self._write(chunk)
        if self._is_text:
            if self._source.missed:
                print(f"# {counted(self._source.missed, 'read')} missing", file=self._out)
            print(end_line(max(self._lasted_s, self.recorder.last_s)), file=self._out)

    def _write_lines(self, chunk: Chunk) -> None:
        for line in lines_of(chunk):
            print(line, file=self._out, flush=True)

    def _write_json(self, chunk: Chunk) -> None:
        what = "written" if chunk.is_written else "read"
        shape = {"what": what, "atS": round(chunk.at_s, 3), "bytes": len(chunk.data), "hex": chunk.data.hex()}
        print(compact(shape), file=self._out, flush=True)

    def _counts(self) -> str:
        recorder = self.recorder
        if not recorder.chunks:
            return "nothing yet"
        written = f", {recorder.written_bytes} of them written to the device" if recorder.written_bytes else ""
        return f"{counted(recorder.read_bytes + recorder.written_bytes, 'byte')}{written}"

    def tell(self) -> None:
        """Says what there is, for a person and for a program."""
        recorder, missed = self.recorder, self._source.missed
        if missed:
            _tell(f"{WARNING}{counted(missed, 'read')} missing: they came faster than they could be taken")
        where = f", in {self._args.output}" if self._args.output is not None else ""
        if recorder.chunks:
            _tell(f"recorded {self._counts()}, in {self._lasted_s:.1f} s{where}")
        elif self.fault is None:
            _tell(f"nothing came in {self._lasted_s:.1f} s; is the device on, and are its wires crossed (TX to RX)?")
        if not self._args.json:
            return
        end: dict[str, Any] = {
            "what": "end",
            "source": self._args.source,
            "seconds": round(self._lasted_s, 3),
            "chunks": recorder.chunks,
            "readBytes": recorder.read_bytes,
            "writtenBytes": recorder.written_bytes,
            "missed": missed,
            "endedBy": self._why,
        }
        print(compact({**end, "file": str(self._args.output)} if self._args.output is not None else end))
