"""A broker and a monitor of 64 devices, with the test in the place of all other processes: their heartbeats are its."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import zmq

from common.core.counters import described
from common.core.durations import Durations
from common.core.liveness import BEAT_S, CALM_BEAT_S
from common.io.endpoints import Endpoints, socket_dir
from common.io.sockets import connect_events
from common.stream.counters import JournalCounts
from common.wire.messages import Heartbeat
from common.wire.states import ConnectorHostState, ConverterState, PortReaderState, PublisherState, State, facts_of
from services.connector_host.core.counters import ConnectorHostCounts, UsersCounts
from services.converter.core.counters import ConverterCounts
from services.port_reader.core.counters import PortReaderCounts
from services.publisher.core.counters import PublisherCounts
from tests.integration.test_broker_process import Peer
from tests.support.waiting import wait_until
from tests.web.test_server import free_port

ROOT: Final = Path(__file__).resolve().parents[2]
TABLES: Final[dict[str, list[type[Any]]]] = {
    "publisher": [PublisherCounts],
    "converter": [ConverterCounts],
    "port_reader": [PortReaderCounts, JournalCounts],
    "connector_host": [ConnectorHostCounts, UsersCounts],
}
NAMES: Final = {kind: [name for table in tables for name in described(table)] for kind, tables in TABLES.items()}

BLIND_BEATS: Final = 8
"""So many are enough for a monitor that can't be asked whether it has heard them."""


class ManyDevices:
    """Two processes of ours, from the beginning of a `with` to its end; `beat` says how all the others are."""

    def __init__(self, folder: Path, devices: int = 64, *, web: bool = True) -> None:
        """Without `web` the monitor has no page."""
        self.devices = [f"device{number}" for number in range(devices)]
        self.has_web = web
        self.port = free_port()
        self._folder = folder
        self.data_dir = folder / "data"
        serial = {
            "name": "serial",
            "devices": [
                {"name": name, "port": f"/dev/tty{name}", "telemetry": [{"key": "n"}]} for name in self.devices
            ],
        }
        main = {
            "thingsboard": {"host": "127.0.0.1", "security": {"accessToken": "t"}},
            "connectors": [{"name": "S", "type": "serial", "configuration": "serial.json"}],
            "web": {"enable": web, "port": self.port},
        }
        (folder / "serial.json").write_text(json.dumps(serial))
        (folder / "tb_gateway.json").write_text(json.dumps(main))
        self._began_s = time.monotonic()
        self._beats = 0
        self._next_s = 0.0
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        places = ["--config", str(self._folder / "tb_gateway.json"), "--data-dir", str(self.data_dir)]
        environ = {name: value for name, value in os.environ.items() if name != "SERIALGW_WEB"}
        for service in ("broker", "monitor"):
            with (self._folder / f"{service}.log").open("ab") as log:
                command = [sys.executable, "-m", f"services.{service}", *places]
                self.processes[service] = subprocess.Popen(command, cwd=ROOT, stderr=log, env=environ)
        self._context: zmq.Context[Any] = zmq.Context()
        self._converter: Peer | None = None
        self._publish, _ = connect_events(self._context, Endpoints(socket_dir(self.data_dir)), [], 10_000)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.destroy(linger=0)
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(10)

    @property
    def link(self) -> str:
        """Where the page is."""
        return f"127.0.0.1:{self.port}"

    @property
    def beats(self) -> int:
        """How often everybody has said how it is."""
        return self._beats

    def beat(self) -> None:
        """Everybody says how it is, and something has happened everywhere."""
        self._beats += 1
        for name in self.devices:
            self._send_line(name, is_idle=False)
        self._send_others(self._beats)

    def beat_idle(self) -> None:
        """A second in which nothing happens: a tenth of the devices' processes beat, and all others."""
        self._beats += 1
        for name in self.devices[self._beats % 10 :: 10]:
            self._send_line(name, is_idle=True)
        self._send_others(1)

    def _send_line(self, name: str, *, is_idle: bool) -> None:
        count, now_s = 1 if is_idle else self._beats, time.monotonic() - self._began_s
        line = PortReaderState(
            device=name,
            port=f"/dev/tty{name}",
            connected=True,
            backlog=0 if is_idle else 3,
            byte_s=now_s if is_idle else 0.5,
            frame_s=now_s if is_idle else 0.5,
            since_s=now_s,
            oldest_s=None if is_idle else 2.0,
            most_backlog=100_000,
            most_backlog_bytes=2**28,
            delivered=_durations(count),
            dead={} if is_idle else {"joined": count},
        )
        self._send("port_reader", name, line, count, CALM_BEAT_S if is_idle else BEAT_S)

    def _send_others(self, count: int) -> None:
        said = _durations(count)
        publisher = PublisherState(
            epoch="e",
            link="up",
            protocol=5,
            host="example.org",
            port=1883,
            devices=len(self.devices),
            published=said,
            called=said,
            calls_ended={"ok": count, "no_answer": count},
            refused_codes={"151": count},
        )
        self._send("publisher", "0", publisher, count)
        self._send("converter", "0", ConverterState(slot="0", held=1), count)
        self._send("connector_host", "Own", ConnectorHostState(connector="Own", opened=True, delivered=said), count)

    def _send(self, kind: str, name: str, state: State, count: int, every_s: float = BEAT_S) -> None:
        counters = dict.fromkeys(NAMES[kind], count)
        uptime_s = time.monotonic() - self._began_s
        known = kind == "converter" and self._converter
        instance = known.identity.instance if known else f"{kind}-{name}"
        beat = Heartbeat(kind, name, instance, 42, "here", uptime_s, facts_of(state), counters, every_s)
        self._publish.send(beat)

    def wait(self) -> None:
        """Until the monitor has heard of all of them, as far as it can be asked; the converter registers, which the
        broker tells of."""
        self._converter = Peer(self._context, Endpoints(socket_dir(self.data_dir)), "converter")
        self._converter.register()
        wait_until(self._is_heard, "the monitor has heard of all devices", 30.0)

    def _is_heard(self) -> bool:
        if time.monotonic() < self._next_s:
            return False
        self._next_s = time.monotonic() + BEAT_S
        self.beat()
        if not self.has_web:
            return self._beats > BLIND_BEATS
        try:
            return self.text().count("serialgw_port_connected{") >= len(self.devices)
        except OSError:
            return False

    def text(self) -> str:
        """What a scrape says."""
        from http.client import HTTPConnection

        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()


def _durations(count: int) -> list[float]:
    durations = Durations()
    for took_s in (0.004, 0.03, 0.4, 20.0):
        durations.add(took_s, count)
    return durations.said
