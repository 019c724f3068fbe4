"""Virtual serial devices on pseudo-terminals, and the configuration that describes them."""

from __future__ import annotations

import math
import os
import re
import select
import tty
from typing import Final

FIRST_SETPOINT: Final = 20
"""What the devices are set to at the start."""
SERIAL_NUMBER: Final = 2430947595
"""The attribute of all devices: the number on the reference's own page."""
_GET: Final = re.compile(rb"GET (\w+)\n")
"""What the demo's RPC writes."""
_SET: Final = re.compile(rb"SET setpoint=(-?\d+)\n")
"""What the demo's attribute update writes."""


class VirtualDevice:
    """A press that tells its humidity, and has a set point that can be asked for and changed.

    The gateway sees a terminal like any other; only the baud rate means nothing on it.
    """

    def __init__(self, name: str) -> None:
        """Raises OSError if this host has no pseudo-terminal to give."""
        self.name = name
        self._master, self._slave = os.openpty()
        # Held open by us too, so that the line stays up while no reader is there.
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        self.sent = 0
        self.setpoint = FIRST_SETPOINT
        self._heard = b""

    def fileno(self) -> int:
        """The device's end of the line, for polling."""
        return self._master

    def send_frame(self) -> bytes | None:
        """Writes the next numbered frame; None if the line takes nothing at the moment."""
        humidity = 48 + 5 * math.sin(self.sent / 20)
        frame = b"humidity=%.1f serial=%d count=%d\n" % (humidity, SERIAL_NUMBER, self.sent + 1)
        if not self._write(frame):
            return None
        self.sent += 1
        return frame

    def serve(self) -> list[tuple[bytes, bytes]]:
        """Reads what the gateway wrote and answers it: (heard, said) pairs, complete lines only."""
        try:
            self._heard += os.read(self._master, 4096)
        except (BlockingIOError, OSError):
            return []
        *lines, self._heard = self._heard.split(b"\n")
        return [(line + b"\n", self._answer(line + b"\n")) for line in lines]

    def _answer(self, heard: bytes) -> bytes:
        """Does what it was told, and says its set point; b"" for what it does not understand."""
        if match := _SET.fullmatch(heard):
            self.setpoint = int(match[1])
        elif not _GET.fullmatch(heard):
            return b""
        said = b"setpoint=%d\n" % self.setpoint
        self._write(said)
        return said

    def _write(self, data: bytes) -> bool:
        """Writes all of it, or nothing if the line takes nothing at the moment: a device has no buffer to speak of."""
        _, writable, _ = select.select([], [self._master], [], 0)
        return bool(writable) and os.write(self._master, data) == len(data)

    def close(self) -> None:
        """Hangs up."""
        os.close(self._master)
        os.close(self._slave)


def configurations(devices: list[VirtualDevice], mqtt_port: int) -> tuple[dict[str, object], dict[str, object]]:
    """(main file, connector file) of the demo's gateway."""
    main = {
        "thingsboard": {"host": "127.0.0.1", "port": mqtt_port, "security": {"accessToken": "demo"}},
        "storage": {"type": "sqlite"},
        "connectors": [{"name": "Demo", "type": "serial", "configuration": "custom_serial.json"}],
    }
    return main, {"name": "Demo", "devices": [_section(device) for device in devices]}


def _section(device: VirtualDevice) -> dict[str, object]:
    """One device's section of the connector file."""
    return {
        "name": device.name,
        "type": "press",
        "port": device.port,
        "baudrate": 115200,
        "delimiter": "\n",
        "downlink_converter": "SerialDownlinkConverter",
        "telemetry": [
            {"key": "humidity", "type": "float", "fromDelimiter": "humidity=", "untilDelimiter": " "},
            {"key": "count", "type": "int", "fromDelimiter": "count="},
            {"key": "setpoint", "type": "int", "fromDelimiter": "setpoint="},
        ],
        "attributes": [
            {"key": "serial", "type": "string", "fromDelimiter": "serial=", "untilDelimiter": " "},
        ],
        "serverSideRpc": [
            {
                "method": "get",
                "template": "GET ${params}\n",
                "withResponse": True,
                "responsePattern": "^setpoint=",
                "responseType": "int",
                "responseFromByte": 9,
            }
        ],
        "attributeUpdates": [
            {"attributeOnPlatform": "setpoint", "stringToDevice": "SET setpoint=${setpoint}\n"},
        ],
    }
