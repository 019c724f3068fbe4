"""The demo from start to summary: five scenes, each of which shows one thing and says if it did not work."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from common.core.errors import LinkError
from common.io.clock import wall_ms
from services.cli.demo.devices import VirtualDevice, configurations
from services.cli.demo.heard import Came, Heard, setpoints
from services.cli.demo.processes import (
    HOST,
    START_LIMIT_S,
    STOP_LIMIT_S,
    end_process,
    free_port,
    own_environment,
    start_module,
    wait_for_port,
)
from services.cli.demo.subscriber import ATTRIBUTES, CONNECT, RPC, TELEMETRY, Arrival, Subscriber
from services.cli.text import clock, escape

FRAMES_PER_S: Final = 10
"""What each device says."""
STEP_S: Final = 0.005
"""The demo rests this long between two looks at devices and arrivals; latencies are exact all the same, since
the subscriber notes when something came."""
ARRIVE_LIMIT_S: Final = 15.0
"""The last readings, and the attributes, come within this."""
CALL_LIMIT_S: Final = 10.0
"""An answer comes within this, by whatever way."""
SHOWN_FRAMES: Final = 3
"""Frames of the first device that are shown one by one."""
OPENING_S: Final = 0.1
"""A reader takes what comes within 20 ms of its port's opening for the tail of a frame; so nobody speaks that soon."""
FIGURES_S: Final = 3
"""A line of figures comes this often."""
NEW_SETPOINT: Final = 25
"""Another value than the devices begin with, so that the change is seen."""


class Demo:
    """Everything that runs. Each scene raises LinkError if it did not work; `cleanup` ends what was started."""

    def __init__(self, cleanup: contextlib.ExitStack, ports: int) -> None:
        self._cleanup = cleanup
        self._folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="serialgw-demo-")))
        self._devices = [VirtualDevice(f"press{number}") for number in range(1, ports + 1)]
        for device in self._devices:
            cleanup.callback(device.close)
        self._heard = Heard()
        self._answers: list[tuple[str, bytes, bytes]] = []
        """(device, what it heard, what it said), not shown yet."""

    def start(self) -> None:
        """Starts the MQTT broker, the subscriber and the gateway, and waits until every device is announced.

        The configuration is written into the demo's own folder: it is an example of one, too.
        """
        port = free_port()
        print(
            f"serialgw demo: {len(self._devices)} virtual devices, an MQTT broker at {HOST}:{port}, "
            "and the gateway between them\n"
        )
        self._start_module(["services.cli.demo.mqtt_broker", str(port)], "mqtt.log")
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
        self._gateway = self._start_module(command, "gateway.log")
        names = {device.name for device in self._devices}
        self._wait(START_LIMIT_S, lambda: names <= self._heard.connected, "a device was not announced")
        for device in self._devices[:SHOWN_FRAMES]:
            print(f"   {device.name} on {device.port}: {CONNECT}")
        print(f"   ready after {time.monotonic() - begin_s:.1f} s")

    def send_frames(self, seconds: int) -> None:
        """Frames from all devices, and what becomes of them: none may be missing, and each device must have its
        attribute."""
        print(f"\n2. Each device says {FRAMES_PER_S} frames a second; readings arrive at the MQTT broker")
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
        heard, names = self._heard, {device.name for device in self._devices}
        self._wait(ARRIVE_LIMIT_S, lambda: heard.figures.missing == 0, "readings are missing")
        self._wait(ARRIVE_LIMIT_S, lambda: names <= heard.with_attributes, "an attribute is missing")

    def call_device(self) -> None:
        """An RPC as the platform sends it, answered by the device."""
        device = self._devices[0]
        request = {"device": device.name, "data": {"id": 1, "method": "get", "params": "setpoint"}}
        print("\n3. The platform asks a device (RPC)")
        answer, took_ms = self._ask(RPC, request, _is_rpc_answer, "no RPC answer")
        print(f"   {_now()}  platform has  {RPC} {compact(answer.value)}  after {took_ms:.0f} ms")
        if answer.value.get("data") != {"result": device.setpoint} or answer.value.get("id") != 1:
            raise LinkError(f"the answer should be the set point, {device.setpoint}")

    def update_attribute(self) -> None:
        """A shared attribute changes on the platform; the device hears it, and answers with a frame."""
        device = self._devices[-1]
        update = {"device": device.name, "data": {"setpoint": NEW_SETPOINT}}
        print("\n4. An attribute changes on the platform, and the device takes it over")
        expected = (device.name, NEW_SETPOINT)

        def is_taken_over(arrival: Arrival) -> bool:
            return expected in setpoints(arrival)

        answer, took_ms = self._ask(ATTRIBUTES, update, is_taken_over, "the device did not answer")
        print(f"   {_now()}  platform has  {TELEMETRY} {compact(answer.value)}  after {took_ms:.0f} ms")

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
        figures = self._heard.figures
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
            lines = (self._folder / "gateway.log").read_text("utf-8", "replace").splitlines()[-25:]
            print("\n".join(["The end of the gateway's log:", *(f"  {line}" for line in lines)]))

    def _start_module(self, module: Sequence[str], log: str) -> subprocess.Popen[bytes]:
        """Starts a process that ends with the demo; what it says goes into a log file."""
        process = start_module(module, own_environment(os.environ), self._folder / log)
        self._cleanup.callback(end_process, process)
        return process

    def _ask(
        self, topic: str, message: object, is_answer: Callable[[Arrival], bool], otherwise: str
    ) -> tuple[Arrival, float]:
        """Publishes as the platform would: (what came back, after how many milliseconds). Raises LinkError."""
        print(f"   {_now()}  platform      {topic} {compact(message)}")
        begin_s = time.monotonic()
        self._subscriber.publish(topic, message)
        self._heard.forget_messages()
        self._wait(CALL_LIMIT_S, lambda: self._heard.find(is_answer) is not None, otherwise)
        answer = self._heard.find(is_answer)
        assert answer is not None  # `_wait` returns only then.
        self._print_answers()
        return answer, 1000 * (answer.at_s - begin_s)

    def _wait(self, limit_s: float, is_done: Callable[[], bool], otherwise: str) -> None:
        """Goes on until it is done. Raises LinkError with `otherwise` after the limit, and if the gateway ends."""
        deadline_s = time.monotonic() + limit_s
        while not is_done():
            if self._gateway.poll() is not None:
                raise LinkError(f"the gateway ended with exit code {self._gateway.returncode}")
            if time.monotonic() > deadline_s:
                raise LinkError(f"{otherwise} in {limit_s:.0f} s")
            self._step()

    def _step(self) -> None:
        """Lets devices hear, takes what arrived, and rests for a moment. Every wait of the demo consists of these."""
        for device in self._devices:
            self._answers += [(device.name, heard, said) for heard, said in device.serve()]
        for arrival in self._subscriber.arrivals():
            for came in self._heard.take(arrival):
                self._print_reading(came)
        time.sleep(STEP_S)

    def _send_round(self) -> None:
        """Lets each device say one frame; a device whose line takes nothing at the moment says it in the next round."""
        for device in self._devices:
            frame = device.send_frame()
            if frame is None:
                continue
            self._heard.figures.wrote(device.name, device.sent, time.monotonic())
            if device.sent <= SHOWN_FRAMES and device is self._devices[0]:
                print(f'   {_now()}  {device.name} says  "{escape(frame)}"')

    def _print_figures(self, elapsed_s: float) -> None:
        """How many frames and readings there are by now, and how long a reading takes."""
        figures = self._heard.figures
        print(
            f"   {elapsed_s:3.0f} s  {figures.written} frames, {figures.arrived} readings, "
            f"{figures.arrived / elapsed_s:.1f}/s, latency {figures.latency_ms(50):.1f} ms (p50) "
            f"{figures.latency_ms(95):.1f} ms (p95)"
        )

    def _print_reading(self, came: Came) -> None:
        """One line for each of the first readings of the first device; all others are only counted."""
        device, number, values, latency_s = came
        if device == self._devices[0].name and number <= SHOWN_FRAMES:
            print(f"   {_now()}  platform has  {TELEMETRY} {device} {compact(values)}  after {1000 * latency_s:.1f} ms")

    def _print_answers(self) -> None:
        """What devices have heard and said since the last call."""
        for name, heard, said in self._answers:
            print(f'   {_now()}  {name} hears "{escape(heard)}", says "{escape(said)}"')
        self._answers.clear()


def _is_rpc_answer(arrival: Arrival) -> bool:
    """True for a device's answer as the platform gets it; the call itself passes on the same topic."""
    return arrival.topic == RPC and "id" in arrival.value


def _now() -> str:
    """The time of day, as each line of the demo begins with it."""
    return clock(wall_ms())


def compact(value: object) -> str:
    """A value as JSON on one line."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
