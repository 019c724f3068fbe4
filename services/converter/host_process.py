"""`python -P -m services.converter.host_process …`: one host, the process in which users' code of one device runs.

A converter starts it and speaks with it over a socket pair (`services.converter.host_wire`); it ends with that.
Whatever users' code does to it, only that code's device waits: the converter ends a host that does not answer.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from typing import Any, Final

import msgpack

from common.config.models import Device, device_of
from common.conversion.calls import read_json, rpc_of
from common.io.logs import start_logs, take_streams
from common.io.parent import end_with_parent
from common.io.process import keep_private
from common.io.users_path import add_users_path
from services.converter.events import ConvertWithUserCode, DecodeWithUserCode, EncodeWithUserCode
from services.converter.host_wire import READY, pack_answered, pack_converted
from services.converter.notes import HostNote
from services.converter.user_code import UserCode
from services.converter.watchdog import Watchdog

READ_BYTES: Final = 1024 * 1024
SECTIONS_KEPT: Final = 16
"""A device has one section, and another after each change of its configuration."""
FIRST_VICTIM: Final = "500"
"""Where memory runs out, the kernel ends users' code before anything of ours."""


def main(arguments: list[str] | None = None) -> int:
    """Serves until the converter is gone; returns 0."""
    keep_private()
    options = _parser().parse_args(arguments)
    if not end_with_parent(options.parent, signal.SIGKILL):
        return 0
    logger = start_logs(options.name, options.log_level)
    take_streams(logger)
    _offer_to_memory_killer()
    add_users_path()
    note = None if options.note is None else HostNote(options.note, options.host, options.life)
    code = UserCode(options.extension_dir, note, Watchdog(options.watchdog_s), logger)
    with socket.socket(fileno=options.socket) as connection:
        try:
            _serve(connection, code, logger)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The converter is gone.
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.converter.host_process", description=__doc__)
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
    """Takes one order after the other."""
    devices: dict[str, Device] = {}
    orders = msgpack.Unpacker(max_buffer_size=0)
    connection.sendall(msgpack.packb(READY))
    while data := connection.recv(READ_BYTES):
        orders.feed(data)
        for order in orders:
            if order[0] == "section":
                if len(devices) >= SECTIONS_KEPT:
                    del devices[next(iter(devices))]
                devices[order[1]] = device_of(order[2])
                continue
            connection.sendall(_perform(order, devices[order[2]], code))
        for handler in logger.handlers:
            handler.flush()


def _perform(order: list[Any], device: Device, code: UserCode) -> bytes:
    verb, job, section, *rest = order
    if verb == "convert":
        journal, generation, first, frames, method = rest
        answer_to = None if method is None else rpc_of(device, method)
        return pack_converted(
            code.convert(ConvertWithUserCode(job, device, section, journal, generation, first, frames, answer_to))
        )
    rpc = rpc_of(device, rest[0])
    assert rpc is not None, "the converter has looked for it"
    if verb == "decode":
        return pack_answered("decoded", code.decode(DecodeWithUserCode(job, device, section, rpc, rest[1])))
    params = read_json(rest[1].encode())
    return pack_answered("encoded", code.encode(EncodeWithUserCode(job, device, section, rpc, params)))


def _offer_to_memory_killer() -> None:
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
