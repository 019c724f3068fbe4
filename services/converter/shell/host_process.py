"""`python -P -m services.converter.shell.host_process …`: a host, the process in which a device's users' code runs.

A converter starts it and speaks with it over a socket pair (`services.converter.core.host_wire`); it ends with that.
Whatever users' code does to it, only that code's device waits: the converter ends a host that does not answer.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from typing import Any, Final, assert_never

import msgpack

from common.config.models import Device, device_of
from common.conversion.calls import read_json, rpc_of
from common.io.logs import LogHandler, handler_of, start_logs, take_streams
from common.io.parent import end_with_parent
from common.io.private import keep_private
from common.io.users_path import add_users_path
from common.wire import codec
from services.converter.core.events import (
    ConvertWithUserCode,
    DecodeWithUserCode,
    EncodeWithUserCode,
    Order,
)
from services.converter.core.host_wire import (
    LOADING,
    READY,
    SECTIONS_KEPT,
    pack_answered,
    pack_converted,
)
from services.converter.shell.poison_file import HostRecord
from services.converter.shell.user_code import UserCode
from services.converter.shell.watchdog import Watchdog

READ_BYTES: Final = 1024 * 1024
"""An order with its frames is mostly smaller."""
CATCH_UP_S: Final = 1.0
"""Seconds between two tries of a host at rest to tell what it could not."""
FIRST_VICTIM: Final = "500"
"""Where memory runs out, the kernel ends users' code before anything of ours."""


def main(arguments: list[str] | None = None) -> int:
    """Serves until the converter is gone; returns 0. It is handed a connection and a note file, and nothing else of the
    gateway: no socket, no journal, no secret."""
    keep_private()
    options = _parser().parse_args(arguments)
    # A host whose converter was killed would serve nobody, and nobody would end it.
    if not end_with_parent(options.parent, signal.SIGKILL):
        return 0
    logger = start_logs(options.name, options.log_level)
    take_streams(logger)
    _offer_to_memory_killer()
    add_users_path()
    for descriptor in (options.socket, options.note):
        if descriptor is not None:
            # What users' code starts must not keep them open.
            os.set_inheritable(descriptor, False)
    record = None if options.note is None else HostRecord(options.note, options.host, options.life)
    code = UserCode(options.extension_dir, record, Watchdog(options.watchdog_s), logger)
    with socket.socket(fileno=options.socket) as connection:
        try:
            _serve(connection, code, logger)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The converter is gone.
    return 0


def _parser() -> argparse.ArgumentParser:
    # No help texts: only a converter starts this, and says everything.
    parser = argparse.ArgumentParser(prog="python -m services.converter.shell.host_process", description=__doc__)
    for name in ("socket", "host", "parent"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--note", type=int)
    parser.add_argument("--life", default="")
    parser.add_argument("--name", default="host")
    parser.add_argument("--watchdog-s", type=float, required=True)
    parser.add_argument("--log-level", default="INFO")
    parser.add_argument("--extension-dir", action="append", default=[])
    return parser


def _serve(connection: socket.socket, code: UserCode, logger: logging.Logger) -> None:
    """Takes one order after the other, until the converter hangs up. It reads the next only when the last is answered:
    what a host is in is one frame, or a slice of them, and never in doubt."""
    log = handler_of(logger)
    devices: dict[str, Device] = {}
    # By the hash of their sections, the oldest first: forgotten here when the converter forgets that we know it.
    messages = msgpack.Unpacker(max_buffer_size=0)
    while data := _receive(connection, log):
        messages.feed(data)
        for message in messages:
            if message[0] == "section":
                if len(devices) >= SECTIONS_KEPT:
                    del devices[next(iter(devices))]
                devices[message[1]] = device_of(message[2])
                continue
            # Loading may take long, and says so before and after: the converter's patience depends on it.
            order = _order_of(devices[message[2]], *message)
            if not code.is_loaded(order):
                connection.sendall(codec.pack(LOADING))
                code.load(order)
                connection.sendall(codec.pack(READY))
            connection.sendall(_perform(order, code))
            # Only now: what can't be said is the frame's fault too.
            code.clear()


def _receive(connection: socket.socket, log: LogHandler | None) -> bytes:
    """What comes next; b"" at the end. Meanwhile what could not be told is told."""
    while True:
        # Waits for ever where nothing is to be told, so that a host at rest costs nothing.
        if log is not None and log.is_behind:
            log.catch_up()
            connection.settimeout(CATCH_UP_S)
        else:
            connection.settimeout(None)
        try:
            data = connection.recv(READ_BYTES)
        except TimeoutError:
            continue
        connection.settimeout(None)
        return data


def _order_of(device: Device, verb: str, job: int, section: str, *rest: Any) -> Order:
    """The order in a message of our own converter, which is as `host_wire.pack_order` has made it."""
    if verb == "convert":
        journal, generation, first, frames, method = rest
        answer_to = None if method is None else rpc_of(device, method)
        return ConvertWithUserCode(job, device, section, journal, generation, first, frames, answer_to)
    rpc = rpc_of(device, rest[0])
    assert rpc is not None, "the converter has looked for it"
    if verb == "decode":
        return DecodeWithUserCode(job, device, section, rpc, rest[1])
    return EncodeWithUserCode(job, device, section, rpc, read_json(rest[1].encode()))


def _perform(order: Order, code: UserCode) -> bytes:
    """Runs users' code, and returns the answer as bytes. What the code raises is part of the answer."""
    match order:
        case ConvertWithUserCode():
            return pack_converted(code.convert(order))
        case DecodeWithUserCode():
            return pack_answered("decoded", code.decode(order))
        case EncodeWithUserCode():
            return pack_answered("encoded", code.encode(order))
        case _:
            assert_never(order)


def _offer_to_memory_killer() -> None:
    """Says which process is to die first. Where the system has no such thing, nothing happens."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(FIRST_VICTIM)
    except OSError:
        pass


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Threads that users' code has left running must not keep the process.
    os._exit(code)
