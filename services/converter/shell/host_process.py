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
from common.io.logs import LogHandler, handler_of, start_logs, take_loggers, take_streams
from common.io.parent import end_with_parent
from common.io.private import keep_private
from common.io.users_path import add_users_path
from common.io.users_process import let_go_in_children
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
"""How often a host at rest tries to tell what it could not."""
FIRST_VICTIM: Final = "500"
"""Where memory runs out, the kernel ends users' code before anything of ours."""


def main(arguments: list[str] | None = None) -> int:
    """Serves orders until the converter is gone; returns 0.

    Nothing here outlives the converter: the kernel ends this process when that dies, and the connection ends with it.
    """
    keep_private()
    options = _parser().parse_args(arguments)
    if not end_with_parent(options.parent, signal.SIGKILL):
        return 0
    logger = start_logs(options.name, options.log_level)
    take_streams(logger)
    take_loggers(logger)
    _offer_to_memory_killer()
    add_users_path()
    for descriptor in (options.socket, options.note):
        if descriptor is not None:
            # What users' code starts must not keep them open, nor what it forks: the converter sees by them that we are
            # gone.
            os.set_inheritable(descriptor, False)
    let_go_in_children(lambda: [one for one in (options.socket, options.note) if one is not None])
    record = None if options.note is None else HostRecord(options.note, options.host, options.life)
    code = UserCode(options.extension_dir, record, Watchdog(options.watchdog_s), logger)
    with socket.socket(fileno=options.socket) as connection:
        try:
            _serve(connection, code, logger)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The converter is gone.
    return 0


def _parser() -> argparse.ArgumentParser:
    """Arguments are written by the converter alone; nobody types them."""
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
    """Takes one order after the other: loads users' code if need be, performs the order, answers.

    Around loading it says so, because that may take its time and is no frame's fault.
    """
    log = handler_of(logger)
    devices: dict[str, Device] = {}
    messages = msgpack.Unpacker(max_buffer_size=0)
    while data := _receive(connection, log):
        messages.feed(data)
        for message in messages:
            if message[0] == "section":
                if len(devices) >= SECTIONS_KEPT:
                    del devices[next(iter(devices))]
                devices[message[1]] = device_of(message[2])
                continue
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
    """The order that a message says, with the device's own objects in the place of names."""
    if verb == "convert":
        journal, generation, first, frames, method = rest
        answer_to = None if method is None else rpc_of(device, method)
        return ConvertWithUserCode(job, device, section, journal, generation, first, frames, answer_to)
    rpc = rpc_of(device, rest[0])
    assert rpc is not None, "the converter has looked for it"
    if verb == "decode":
        return DecodeWithUserCode(job, device, section, rpc, rest[1])
    params, name, device_type = read_json(rest[1].encode()), rest[2], rest[3]
    return EncodeWithUserCode(job, device, section, rpc, params, called=(name, device_type))


def _perform(order: Order, code: UserCode) -> bytes:
    """Runs users' code for an order; the answer's bytes."""
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
    """Asks the kernel to end this process first if memory runs out; where that is not allowed it stays as it is."""
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
