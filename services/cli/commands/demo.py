"""`serialgw demo`: shows the whole gateway at work without hardware; exit 0 only if all of it worked."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from common.core.errors import LinkError
from common.io.arguments import DATA_DIR_VARIABLE
from services.cli.arguments import Subparsers, whole_number
from services.cli.commands.watch import escape
from services.cli.demo.devices import VirtualDevice, configurations
from services.cli.demo.figures import Figures, readings_of
from services.cli.demo.subscriber import ATTRIBUTES, CONNECT, RPC, TELEMETRY, Arrival, Subscriber

HOST: Final = "127.0.0.1"
FRAMES_PER_S: Final = 10
STEP_S: Final = 0.005
START_LIMIT_S: Final = 30.0
ARRIVE_LIMIT_S: Final = 15.0
CALL_LIMIT_S: Final = 10.0
STOP_LIMIT_S: Final = 60.0
SHOWN_FRAMES: Final = 3
"""Frames of the first device that are shown one by one."""
OPENING_S: Final = 0.1
FIGURES_S: Final = 3
"""A line of figures comes this often."""
NEW_SETPOINT: Final = 25


def add_parser(subparsers: Subparsers) -> None:
    """Adds `demo` and its options."""
    parser = subparsers.add_parser(
        "demo",
        help="show it all at work, without any hardware",
        description="Starts virtual devices on pseudo-terminals, an MQTT broker on a free port, the gateway between "
        "them; shows frames, readings as they arrive, rates and latency, then an RPC and an attribute update with the "
        "device's answer. Touches nothing of yours, and cleans up after itself.",
        epilog="examples:\n"
        "  serialgw demo\n"
        "  serialgw demo --seconds 30 --ports 8\n\n"
        "exit codes: 0 all of it worked, 1 something did not",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds",
        type=whole_number(1, 86_400),
        default=10,
        metavar="N",
        help="how long to send (default: %(default)s)",
    )
    parser.add_argument(
        "--ports", type=whole_number(1, 64), default=2, metavar="N", help="virtual devices (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the demo: 0 if all of it worked, 1 with the reason if not."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with contextlib.ExitStack() as cleanup:
        demo = Demo(cleanup, args.ports)
        try:
            demo.start()
            demo.send_frames(args.seconds)
            demo.call_device()
            demo.update_attribute()
            demo.stop()
        except LinkError as error:
            print(f"\nFAILED: {error}")
            demo.print_log()
            return 1
    return 0


class Demo:
    """Everything that runs, from start to summary. Each step raises LinkError if it did not work."""

    def __init__(self, cleanup: contextlib.ExitStack, ports: int) -> None:
        self._cleanup = cleanup
        self._folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="serialgw-demo-")))
        self._log = self._folder / "gateway.log"
        self._environ = own_environment(os.environ)
        self._devices = [VirtualDevice(f"press{number}") for number in range(1, ports + 1)]
        for device in self._devices:
            cleanup.callback(device.close)
        self._figures = Figures()
        self._connected: set[str] = set()
        self._serials: set[str] = set()
        self._shown: dict[str, int] = {}
        self._answers: list[tuple[str, bytes, bytes]] = []
        self._others: list[Arrival] = []

    def start(self) -> None:
        """The MQTT broker, the subscriber, the gateway; until every device is announced."""
        port = free_port()
        print(
            f"serialgw demo: {len(self._devices)} virtual devices, an MQTT broker at {HOST}:{port}, "
            "and the gateway between them\n"
        )
        self._start_process("MQTT broker", ["services.cli.demo.mqtt_broker", str(port)], self._folder / "mqtt.log")
        wait_for_port(port)
        self._subscriber = Subscriber(HOST, port)
        self._cleanup.callback(self._subscriber.close)
        main, connector = configurations(self._devices, port)
        (self._folder / "tb_gateway.json").write_text(json.dumps(main), "utf-8")
        (self._folder / "custom_serial.json").write_text(json.dumps(connector), "utf-8")
        print("1. The gateway starts, opens the ports, and announces the devices")
        begin_s = time.monotonic()
        command = ["services.cli", "run", "--config", str(self._folder / "tb_gateway.json")]
        command += ["--data-dir", str(self._folder / "data")]
        self._gateway = self._start_process("gateway", command, self._log)
        names = {device.name for device in self._devices}
        self._wait(START_LIMIT_S, lambda: names <= self._connected, "a device was not announced")
        for device in self._devices[:SHOWN_FRAMES]:
            print(f"   {device.name} on {device.port}: {CONNECT}")
        print(f"   ready after {time.monotonic() - begin_s:.1f} s")

    def send_frames(self, seconds: int) -> None:
        """Frames from all devices, and what becomes of them."""
        print(f"\n2. Each device says {FRAMES_PER_S} frames a second; readings arrive at the MQTT broker")
        # A reader takes what comes within 20 ms of its port's opening for the tail of a frame.
        time.sleep(OPENING_S)
        begin_s = time.monotonic()
        due_s, next_line_s = begin_s, begin_s + FIGURES_S
        while (now_s := time.monotonic()) < begin_s + seconds:
            if now_s >= due_s:
                due_s += 1 / FRAMES_PER_S
                self._send_round()
            if now_s >= next_line_s:
                next_line_s += FIGURES_S
                self._print_figures(now_s - begin_s)
            self._step()
        self._wait(ARRIVE_LIMIT_S, lambda: self._figures.missing == 0, "readings are missing")
        names = {device.name for device in self._devices}
        self._wait(ARRIVE_LIMIT_S, lambda: names <= self._serials, "an attribute is missing")

    def _send_round(self) -> None:
        for device in self._devices:
            frame = device.send_frame()
            if frame is None:
                continue
            self._figures.wrote(device.name, device.sent, time.monotonic())
            if device.sent <= SHOWN_FRAMES and device is self._devices[0]:
                print(f'   {clock()}  {device.name} says  "{escape(frame)}"')

    def _print_figures(self, elapsed_s: float) -> None:
        figures = self._figures
        print(
            f"   {elapsed_s:3.0f} s  {figures.written} frames, {figures.arrived} readings, "
            f"{figures.arrived / elapsed_s:.1f}/s, latency {figures.latency_ms(50):.1f} ms (p50) "
            f"{figures.latency_ms(95):.1f} ms (p95)"
        )

    def call_device(self) -> None:
        """An RPC as the platform sends it, answered by the device."""
        device = self._devices[0]
        request = {"device": device.name, "data": {"id": 1, "method": "get", "params": "setpoint"}}
        print("\n3. The platform asks a device (RPC)")
        print(f"   {clock()}  platform      {RPC} {compact(request)}")
        begin_s = time.monotonic()
        self._subscriber.publish(RPC, request)
        answer = self._wait_for_other(lambda arrival: arrival.topic == RPC and "id" in arrival.value, "no RPC answer")
        self._print_answers()
        took_ms = 1000 * (answer.at_s - begin_s)
        print(f"   {clock()}  platform has  {RPC} {compact(answer.value)}  after {took_ms:.0f} ms")
        if answer.value.get("data") != {"result": device.setpoint} or answer.value.get("id") != 1:
            raise LinkError(f"the answer should be the set point, {device.setpoint}")

    def update_attribute(self) -> None:
        """A shared attribute changes on the platform; the device hears it, and answers with a frame."""
        device = self._devices[-1]
        update = {"device": device.name, "data": {"setpoint": NEW_SETPOINT}}
        print("\n4. An attribute changes on the platform, and the device takes it over")
        print(f"   {clock()}  platform      {ATTRIBUTES} {compact(update)}")
        begin_s = time.monotonic()
        self._subscriber.publish(ATTRIBUTES, update)
        expected = (device.name, NEW_SETPOINT)
        answer = self._wait_for_other(lambda arrival: expected in setpoints(arrival), "the device did not answer")
        self._print_answers()
        took_ms = 1000 * (answer.at_s - begin_s)
        print(f"   {clock()}  platform has  {TELEMETRY} {compact(answer.value)}  after {took_ms:.0f} ms")

    def stop(self) -> None:
        """SIGTERM, everything drains; the summary."""
        print("\n5. The gateway is told to stop, and drains")
        begin_s = time.monotonic()
        self._gateway.terminate()
        try:
            code = self._gateway.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise LinkError(f"the gateway did not stop in {STOP_LIMIT_S:.0f} s") from None
        if code != 0:
            raise LinkError(f"the gateway ended with exit code {code}, expected 0")
        print(f"   done after {time.monotonic() - begin_s:.1f} s, exit code 0\n")
        figures = self._figures
        print(
            f"All of it worked: {figures.written} frames written, {figures.arrived} readings arrived, "
            f"{figures.missing} missing, {figures.out_of_order} out of order;\n"
            f"from the write on the line to the arrival {figures.latency_ms(50):.1f} ms (p50), "
            f"{figures.latency_ms(95):.1f} ms (p95), {figures.latency_ms(100):.1f} ms (longest)."
        )
        if figures.out_of_order:
            raise LinkError("readings came out of order")

    def print_log(self) -> None:
        """The end of the gateway's log, for whoever has to find out why."""
        with contextlib.suppress(OSError):
            lines = self._log.read_text("utf-8", "replace").splitlines()[-25:]
            print("\n".join(["The end of the gateway's log:", *(f"  {line}" for line in lines)]))

    def _start_process(self, what: str, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C is ours to pass on, in order.
                start_new_session=True,
            )
        self._cleanup.callback(end_process, process)
        return process

    def _wait(self, limit_s: float, is_done: Callable[[], bool], otherwise: str) -> None:
        deadline_s = time.monotonic() + limit_s
        while not is_done():
            if self._gateway.poll() is not None:
                raise LinkError(f"the gateway ended with exit code {self._gateway.returncode}")
            if time.monotonic() > deadline_s:
                raise LinkError(f"{otherwise} in {limit_s:.0f} s")
            self._step()

    def _wait_for_other(self, is_wanted: Callable[[Arrival], bool], otherwise: str) -> Arrival:
        self._others.clear()
        self._wait(CALL_LIMIT_S, lambda: any(map(is_wanted, self._others)), otherwise)
        return next(filter(is_wanted, self._others))

    def _step(self) -> None:
        """Lets devices hear, takes what arrived, and rests for a moment."""
        for device in self._devices:
            self._answers += [(device.name, heard, said) for heard, said in device.serve()]
        for arrival in self._subscriber.arrivals():
            self._take(arrival)
        time.sleep(STEP_S)

    def _take(self, arrival: Arrival) -> None:
        if not isinstance(arrival.value, dict):
            return
        self._others.append(arrival)
        if arrival.topic == CONNECT:
            self._connected.add(str(arrival.value.get("device")))
        elif arrival.topic == ATTRIBUTES:
            self._serials |= {name for name, values in arrival.value.items() if isinstance(values, dict)}
        elif arrival.topic == TELEMETRY:
            for device, values in readings_of(arrival.value):
                if "count" in values:
                    self._take_reading(arrival, device, values)

    def _take_reading(self, arrival: Arrival, device: str, values: Mapping[str, Any]) -> None:
        latency_s = self._figures.came(device, values["count"], arrival.at_s)
        if latency_s is not None and device == self._devices[0].name and values["count"] <= SHOWN_FRAMES:
            print(
                f"   {clock()}  platform has  {TELEMETRY} {device} {compact(values)}  after {1000 * latency_s:.1f} ms"
            )

    def _print_answers(self) -> None:
        for name, heard, said in self._answers:
            print(f'   {clock()}  {name} hears "{escape(heard)}", says "{escape(said)}"')
        self._answers.clear()


def own_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would lead the demo's gateway to a real platform or data directory."""
    return {
        name: value for name, value in environ.items() if not name.startswith("TB_GW_") and name != DATA_DIR_VARIABLE
    }


def setpoints(arrival: Arrival) -> list[tuple[str, object]]:
    """(device, set point) of each reading in a message that has one."""
    if arrival.topic != TELEMETRY:
        return []
    return [(device, values["setpoint"]) for device, values in readings_of(arrival.value) if "setpoint" in values]


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on."""
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
    return port


def wait_for_port(port: int) -> None:
    """Returns once somebody listens. Raises LinkError after START_LIMIT_S."""
    deadline_s = time.monotonic() + START_LIMIT_S
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError as error:
            if time.monotonic() > deadline_s:
                raise LinkError(f"the demo's MQTT broker does not listen: {error}") from None
            time.sleep(0.05)


def end_process(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL if that does not do."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def clock() -> str:
    """The local time of day with milliseconds."""
    return f"{datetime.now():%H:%M:%S.%f}"[:-3]


def compact(value: object) -> str:
    """A value as JSON on one line."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
