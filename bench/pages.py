"""Pages that are open: `python -m bench.pages PORT DEVICE PAGES`; prints how much they were told, as JSON, when its
input ends.

The first page is the overview, each other one a device's, which is shown live frames besides. One more listens and
reads nothing, as a phone does that is asleep.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from typing import Final

STREAM: Final = "/api/stream"
CONNECT_S: Final = 30.0


class Listening:
    """One stream of the monitor's, read to its end by a thread."""

    def __init__(self, port: int, path: str) -> None:
        self.bytes = 0
        self._connection = open_stream(port, path)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        answer = self._connection.getresponse()
        while part := answer.read1(65_536):
            self.bytes += len(part)


def open_stream(port: int, path: str) -> http.client.HTTPConnection:
    """A connection on which the path was asked for, once the monitor takes it."""
    end_s = time.monotonic() + CONNECT_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        try:
            connection.request("GET", path)
            return connection
        except ConnectionRefusedError:
            if time.monotonic() >= end_s:
                raise
            threading.Event().wait(0.1)


def main() -> int:
    port, device, pages = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    streams = [Listening(port, STREAM) for _ in range(pages)]
    live = [Listening(port, f"/api/live?name={device}") for _ in range(pages - 1)]
    asleep = open_stream(port, STREAM)
    sys.stdin.read()
    told = {"stream_bytes": [one.bytes for one in streams], "live_bytes": [one.bytes for one in live]}
    sys.stdout.write(json.dumps(told) + "\n")
    asleep.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
