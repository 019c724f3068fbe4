"""The real parts that end-to-end tests are made of: lines, an MQTT broker, a platform's eyes, and the processes."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
needs_mosquitto = pytest.mark.skipif(
    MOSQUITTO is None,
    reason="mosquitto is not installed (apt-get install mosquitto)",
)


OPENING_S = 0.1
"""After its `connect` a port has been open for longer than 20 ms."""


def free_port() -> int:
    """A TCP port on the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Line:
    """A serial line: a pseudo-terminal whose slave has a name of ours, which can be unplugged and plugged in again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.master = -1
        self.plug_in()

    def plug_in(self) -> None:
        """The adapter comes back under the same name."""
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        name = os.ttyname(slave)
        os.close(slave)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(name)

    def unplug(self) -> None:
        """The adapter is pulled out: the device file goes and its reader gets an error."""
        self.path.unlink(missing_ok=True)
        os.close(self.master)
        self.master = -1

    def write(self, data: bytes) -> None:
        """The device says something; waits where the line is full."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.master, view) :]

    def read_until(self, end: bytes, deadline_s: float = 10.0) -> bytes:
        """What the gateway writes to the device, up to and with `end`."""
        said = b""
        os.set_blocking(self.master, False)
        try:

            def more() -> bool:
                nonlocal said
                try:
                    said += os.read(self.master, 4096)
                except BlockingIOError:
                    pass
                return said.endswith(end)

            wait_until(more, f"{end!r} written to {self.path.name}; so far {said!r}", deadline_s)
        finally:
            os.set_blocking(self.master, True)
        return said

    def close(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


class Mosquitto:
    """A real MQTT broker on a free port; keeps sessions over a restart."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        folder.mkdir(exist_ok=True)
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {folder}/\nmax_queued_messages 0\nmax_inflight_messages 0\nuser root\n{extra}\n"
        )
        self._log = (folder / "mosquitto.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
        assert program is not None
        process = subprocess.Popen([program, "-c", str(self._config)], stdout=self._log, stderr=subprocess.STDOUT)
        self._process = process
        wait_until(lambda: process.poll() is not None or self._answers(), "mosquitto listens")
        # Where another process has taken the port since it was free, that one answers, and ours ends.
        assert process.poll() is None, f"mosquitto has ended with {process.returncode}: {self._log.name}"

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


class DemoBroker:
    """The demo's MQTT broker, for tests that can do with MQTT 3.1.1 where mosquitto is missing."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        folder.mkdir(exist_ok=True)
        with (folder / "mqtt.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.cli.demo.mqtt_broker", str(self.port)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        wait_until(self._answers, "the demo's MQTT broker listens")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def any_mqtt_broker(folder: Path) -> Mosquitto | DemoBroker:
    """mosquitto, or what there is."""
    return Mosquitto(folder) if MOSQUITTO else DemoBroker(folder)


class Seen(NamedTuple):
    """One message as the platform's side saw it."""

    topic: str
    payload: Any
    at_s: float


class Platform:
    """A subscriber that keeps its session, sees everything that the gateway publishes, and can call devices."""

    def __init__(self, port: int) -> None:
        self.seen: list[Seen] = []
        self._told: dict[tuple[str, str], list[Any]] = {}
        """(topic, device) → what was said of it: whoever waits looks at each message, and must not look at all of them
        each time, for meanwhile no message is taken and each seems late."""
        self._news = threading.Condition()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="platform", clean_session=False, protocol=mqtt.MQTTv311
        )
        self._client.reconnect_delay_set(1, 1)
        self._subscribed = threading.Event()
        # A call is short, and is timed: it waits for no other packet's acknowledgement.
        self._client.on_socket_open = lambda _client, _data, sock: sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10), "the test's subscriber could not subscribe"

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe("v1/#", qos=1)

    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        seen = Seen(message.topic, json.loads(message.payload), time.time())
        with self._news:
            self.seen.append(seen)
            if isinstance(seen.payload, dict):
                self._keep(seen.topic, seen.payload)
            self._news.notify_all()

    def _keep(self, topic: str, payload: dict[str, Any]) -> None:
        """A message about one device names it; one about several has a part for each."""
        device = payload.get("device")
        if isinstance(device, str):
            self._told.setdefault((topic, device), []).append(payload)
        for name, part in payload.items():
            if name != device:
                self._told.setdefault((topic, name), []).append(part)

    def wait_connected(self, *devices: str, deadline_s: float = 20.0) -> None:
        """Until these devices are connected, and for long enough: what comes within 20 ms of a port's opening is taken
        for the tail of a frame."""
        for device in devices:
            self.wait_for(lambda _, device=device: self.on("v1/gateway/connect", device), "connect", deadline_s)
        end_s = time.monotonic() + OPENING_S
        wait_until(lambda: time.monotonic() > end_s, "the ports have been open for a while")

    def wait_for(self, condition: Callable[[list[Seen]], Any], what: str, deadline_s: float = 20.0) -> Any:
        """The first true value of `condition(seen)`."""
        end_s = time.monotonic() + deadline_s
        with self._news:
            while not (value := condition(self.seen)):
                if not self._news.wait(max(0.0, end_s - time.monotonic())):
                    raise AssertionError(f"not within {deadline_s:g} s: {what}; last seen {self.seen[-5:]}")
        return value

    def on(self, topic: str, device: str) -> list[Any]:
        """Payloads for one device on one of the gateway's topics: whole for connect and rpc, the device's part else."""
        return list(self._told.get((topic, device), ()))

    def telemetry(self, device: str) -> list[dict[str, Any]]:
        """All telemetry items of a device, in the order in which they came."""
        return [item for items in self.on("v1/gateway/telemetry", device) for item in items]

    def wait_telemetry(self, device: str, count: int, deadline_s: float = 20.0) -> list[dict[str, Any]]:
        """Waits until at least `count` items came."""
        return self.wait_for(
            lambda _: items if len(items := self.telemetry(device)) >= count else None,
            f"{count} telemetry items of {device}",
            deadline_s,
        )

    def say(self, topic: str, payload: Any) -> None:
        """The platform says something to the gateway."""
        self._client.publish(topic, json.dumps(payload), qos=1)

    def publish(self, topic: str, payload: bytes) -> None:
        """The same, byte for byte."""
        self._client.publish(topic, payload, qos=1)

    def call(self, device: str, method: str, params: Any, number: int, deadline_s: float = 20.0) -> Any:
        """An RPC and its reply."""
        self.say("v1/gateway/rpc", {"device": device, "data": {"id": number, "method": method, "params": params}})
        return self.reply(device, number, deadline_s)

    def replies(self, device: str, number: int) -> list[Any]:
        """All replies to a call: there must be one."""
        found = self.on("v1/gateway/rpc", device)
        return [reply["data"] for reply in found if reply.get("id") == number]

    def reply(self, device: str, number: int, deadline_s: float = 20.0) -> Any:
        """The reply to a call, when it has come."""
        self.wait_for(lambda _: self.replies(device, number), f"a reply to call {number}", deadline_s)
        return self.replies(device, number)[0]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Gateway:
    """The gateway's processes, started one by one as a supervisor would, so that a test can kill each."""

    def __init__(self, folder: Path, config: Path, environ: dict[str, str] | None = None) -> None:
        self.config = config
        self.data_dir = folder / "data"
        self.data_dir.mkdir(exist_ok=True)
        self._folder = folder
        self._environ = {**os.environ, **(environ or {}), "PYTHONPATH": str(ROOT)}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._arguments: dict[str, list[str]] = {}

    def start(self, name: str, service: str, *arguments: str) -> None:
        """Starts a process under a name of the test's; `restart` starts the same again."""
        self._arguments[name] = [service, *arguments]
        self.restart(name)

    def restart(self, name: str) -> None:
        service, *arguments = self._arguments[name]
        command = [sys.executable, "-m", f"services.{service}", "--config", str(self.config)]
        with (self._folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*command, "--data-dir", str(self.data_dir), *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environ,
                cwd=self._folder,
            )

    def start_all(self, devices: list[str], converters: int = 1) -> None:
        """The whole gateway, readers last."""
        self.start("broker", "broker")
        self.start("monitor", "monitor")
        self.start("publisher", "publisher")
        for slot in range(converters):
            self.start(f"converter{slot}", "converter", "--slot", str(slot))
        for device in devices:
            self.start(device, "port_reader", "--device", device)

    def kill(self, name: str) -> None:
        """kill -9, and waits until the kernel has cleaned up."""
        self.processes[name].kill()
        self.processes[name].wait(10)

    def log(self, name: str) -> str:
        """Everything that a process has logged."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def cli(self, *arguments: str, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Runs `serialgw` on this gateway's data directory."""
        return subprocess.run(
            [sys.executable, "-m", "services.cli", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env={**self._environ, "SERIALGW_DATA_DIR": str(self.data_dir)},
            cwd=self._folder,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """What `serialgw status --json` says; {} while nobody answers."""
        answer = self.cli("status", "--json")
        try:
            return dict(json.loads(answer.stdout))
        except ValueError:
            return {}

    def counters(self, kind: str) -> dict[str, int]:
        """The counters of all processes of a kind, added up, as of their last heartbeats."""
        total: dict[str, int] = {}
        for process in self.status().get("processes", []):
            if process["kind"] == kind:
                for name, value in process["counters"].items():
                    total[name] = total.get(name, 0) + value
        return total

    def stop(self, deadline_s: float = 15.0) -> dict[str, int]:
        """SIGTERM in the supervisor's order, readers first; the exit codes."""
        order = ["connector_host", "port_reader", "converter", "publisher", "monitor", "broker"]
        codes = {}
        for kind in order:
            names = [name for name, arguments in self._arguments.items() if arguments[0] == kind]
            for name in names:
                self.processes[name].send_signal(signal.SIGTERM)
            for name in names:
                codes[name] = self.processes[name].wait(deadline_s)
        return codes

    def close(self) -> None:
        """Ends whatever still runs."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait(10)


def write_config(
    folder: Path, mqtt_port: int, devices: list[dict[str, Any]], platform: dict[str, Any] | None = None
) -> Path:
    """A main file and a connector file with these devices; the main file's path."""
    folder.mkdir(exist_ok=True)
    main = {
        "thingsboard": {"host": "127.0.0.1", "port": mqtt_port, **(platform or {})},
        "connectors": [{"name": "Serial", "type": "serial", "configuration": "custom_serial.json"}],
    }
    (folder / "tb_gateway.json").write_text(json.dumps(main, indent=2))
    (folder / "custom_serial.json").write_text(json.dumps({"name": "Serial", "devices": devices}, indent=2))
    return folder / "tb_gateway.json"


def number_device(name: str, line: Line) -> dict[str, Any]:
    """A device that says a number a line; sent as telemetry `n`."""
    return {
        "name": name,
        "type": "counter",
        "port": str(line.path),
        "firstFrame": "keep",
        "telemetry": [{"type": "int", "key": "n"}],
    }


@contextmanager
def closing(*things: Any) -> Iterator[None]:
    """Closes everything at the end, in reverse, whatever happened."""
    try:
        yield
    finally:
        for thing in reversed(things):
            thing.close() if hasattr(thing, "close") else thing.stop()
