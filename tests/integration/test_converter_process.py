"""The real converter process, with the test in the broker's place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from common.config.models import Device, Rpc, section_of
from common.io.endpoints import Endpoints, socket_dir
from common.wire import codec
from common.wire.messages import (
    Entry,
    FrameBatch,
    Heartbeat,
    Message,
    ReadingBatch,
    Register,
    Registered,
    Reply,
    Request,
    Tap,
)
from tests.support.converting import PRESS, body_of, call, frame_batch, hash_of
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until

FRAMES = "frames.00000000"
CONFIG = {"name": "serial", "devices": [{"name": "press", "port": "/dev/null", "telemetry": [{"key": "n"}]}]}
USER_CODE = """
import time

class Up:
    def __init__(self, config, logger):
        self.count = 0
        self.logger = logger

    def convert(self, config, data):
        if config is not None:
            return {"result": data.decode()}
        self.count += 1
        if data == b"raise":
            raise ValueError("no such thing")
        if data == b"hang":
            while True:
                pass
        if data == b"exit":
            raise SystemExit(3)
        if data == b"surrogate":
            raise ValueError("bad " + b"\\xff".decode(errors="surrogateescape"))
        if data == b"slow":
            open(__file__ + ".slow", "w").close()
            time.sleep(2)
        if data.startswith(b"large"):
            return {"telemetry": [{"text": "x" * (int(data[5:]) * 1_000_000)}]}
        if data == b"log":
            for number in range(1000):
                self.logger.info("line %d", number)
        return {"telemetry": [{"count": self.count}]}

class Down:
    def __init__(self, config, logger):
        pass

    def convert(self, config, data):
        return b"<%s>" % str(data).encode()

class Slow(Up):
    def __init__(self, config, logger):
        super().__init__(config, logger)
        time.sleep(2.5)

class Deadly(Up):
    def __init__(self, config, logger):
        import os
        os._exit(5)

class Broken:
    def __init__(self, config, logger):
        raise OSError("no licence")

    def convert(self, config, data):
        return None
"""
USER = Device(
    name="user", converter="Up", downlink_converter="Down", rpcs=(Rpc(method="ask", with_response=True),), raw={"k": 1}
)
BROKEN = Device(name="broken", converter="Broken")
SLOW = Device(name="slow", converter="Slow")
DEADLY = Device(name="deadly", converter="Deadly")


class FakeBroker:
    """Binds the broker's endpoints, registers whoever asks, answers questions for the sections that it was given."""

    def __init__(self, data_dir: Path) -> None:
        self.endpoints = Endpoints(socket_dir(data_dir))
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.calls = self._bind(zmq.ROUTER, self.endpoints.calls)
        self.readings_in = self._bind(zmq.PULL, self.endpoints.readings_in)
        self.frames = self._bind(zmq.PUSH, self.endpoints.at(FRAMES))
        self.beats = self._bind(zmq.SUB, self.endpoints.events_in)
        self.beats.setsockopt(zmq.SUBSCRIBE, b"beat.")
        self.publish = self._bind(zmq.PUB, self.endpoints.events_out)
        self.sections: dict[str, bytes] = {}
        self.answers_notes = True
        self.readings: list[ReadingBatch] = []
        self.requests: list[Request] = []
        self.replies: list[Reply] = []
        self.registrations: list[Register] = []
        self.heard: list[Heartbeat | Tap] = []
        self._peer = b""

    def _bind(self, kind: int, endpoint: str) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(endpoint)
        return socket

    def know(self, device: Device) -> None:
        self.sections[hash_of(device)] = section_of(device)

    def say(self, message: Message) -> None:
        self.calls.send_multipart([self._peer, *codec.encode(message)])

    def send(self, batch: FrameBatch) -> None:
        self.frames.send_multipart(codec.encode(batch))

    def step(self) -> None:
        """Takes what has come and answers it."""
        while self.calls.poll(0):
            self._peer, *parts = self.calls.recv_multipart()
            self._answer(codec.decode(parts))
        while self.readings_in.poll(0):
            message = codec.decode(self.readings_in.recv_multipart())
            assert isinstance(message, ReadingBatch)
            self.readings.append(message)
        while self.beats.poll(0):
            message = codec.decode(self.beats.recv_multipart()[1:])
            assert isinstance(message, Heartbeat | Tap)
            self.heard.append(message)

    def _answer(self, message: Message) -> None:
        match message:
            case Register():
                self.registrations.append(message)
                self.say(Registered(f"converter:{message.name}", True, "", "b1", FRAMES))
            case Request(verb="section", section=section) if section in self.sections:
                self.say(Reply(message.id, message.reply_to, "", codec.pack(self.sections[section])))
            case Request(verb="note"):
                self.requests.append(message)
                if self.answers_notes:
                    self.say(Reply(message.id, message.reply_to, "", codec.pack(None)))
            case Request():
                self.requests.append(message)
            case Reply():
                self.replies.append(message)

    def wait(self, condition: Any, what: str) -> Any:
        def look() -> Any:
            self.step()
            return condition()

        return wait_until(look, what)

    def wait_readings(self, count: int = 1) -> list[ReadingBatch]:
        """The next `count` reading batches."""
        self.wait(lambda: len(self.readings) >= count, f"{count} reading batches")
        taken, self.readings = self.readings[:count], self.readings[count:]
        return taken

    def close(self) -> None:
        self._context.destroy(linger=0)


class Converter(ServiceProcess):
    """The process, with the configuration in a folder."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        files = ["--config", str(folder / "config" / "serial.json"), "--data-dir", str(folder / "data")]
        super().__init__("converter", *files, *arguments)


class Scene:
    """A folder with a configuration and users' code, a broker, and converters started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.extensions = folder / "config" / "extensions" / "serial"
        self.extensions.mkdir(parents=True)
        (folder / "config" / "serial.json").write_text(json.dumps(CONFIG))
        (self.extensions / "mine.py").write_text(USER_CODE)
        self.broker = FakeBroker(folder / "data")
        for device in (PRESS, USER, BROKEN):
            self.broker.know(device)
        self.converters: list[Converter] = []

    def start(self, *arguments: str) -> Converter:
        # One that is known already may register again, when nobody has answered it in time.
        known = {registration.instance for registration in self.broker.registrations}
        converter = Converter(self.folder, *arguments)
        self.converters.append(converter)
        self.broker.wait(lambda: {each.instance for each in self.broker.registrations} - known, "the registration")
        return converter

    def close(self) -> None:
        for converter in self.converters:
            converter.close()
        self.broker.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def test_frames_become_readings_and_it_drains(scene: Scene) -> None:
    """Registration, an unknown section asked for, readings, a tap for who watches, SIGTERM and exit 0."""
    converter = scene.start("--slot", "0")
    broker = scene.broker
    assert broker.registrations[0].kind == "converter"
    assert broker.registrations[0].lock.endswith("converter-0.lock")
    broker.send(frame_batch(PRESS, [b"5", b"oh"], first=3))
    [batch] = broker.wait_readings()
    assert (batch.first, batch.length, batch.converter) == (3, 2, "0")
    assert body_of(batch).telemetry == [b'{"n":5}', b""]
    broker.beats.setsockopt(zmq.SUBSCRIBE, b"tap.press.")
    number = 5

    def tapped() -> Any:
        nonlocal number
        broker.send(frame_batch(PRESS, [b"6"], first=number))
        number += 1
        return [heard for heard in broker.heard if isinstance(heard, Tap)]

    assert broker.wait(tapped, "a tap")[0].device == "press"
    assert converter.stop() == 0
    broker.step()
    beats = [heard for heard in broker.heard if isinstance(heard, Heartbeat)]
    assert beats[-1].state["draining"] is True
    assert "Traceback" not in converter.said


def test_users_code_converts_keeps_state_and_makes_dead_letters(scene: Scene) -> None:
    """What it raises, SystemExit too, is the frame's fault; one object sees all frames; calls work."""
    scene.start("--slot", "0")
    broker = scene.broker
    broker.send(frame_batch(USER, [b"a", b"raise", b"exit", b"b"], first=1))
    [batch] = broker.wait_readings()
    body = body_of(batch)
    assert [body.user[index][0].telemetry for index in (0, 3)] == [[(None, b'{"count":1}')], [(None, b'{"count":4}')]]
    assert set(body.dead) == {1, 2}
    assert "Up: " in body.dead[1]
    assert "mine.py, line 14: ValueError: no such thing" in body.dead[1]
    broker.send(frame_batch(USER, [b"42"], first=5, kind=Entry.ANSWER, extra=["call-1", "ask"]))
    assert body_of(broker.wait_readings()[0]).answer == ("call-1", b'{"result":"42"}')
    broker.say(call(USER, "encode", {"method": "ask", "params": b"7"}))
    broker.wait(lambda: broker.requests, "the exchange")
    assert codec.unpack_map(broker.requests[0].body)["writes"] == [b"<7>"]
    broker.say(call(USER, "decode", {"method": "ask", "frame": b"abc"}))
    broker.wait(lambda: broker.replies, "the reply")
    assert codec.unpack(broker.replies[0].body) == b'{"result":"abc"}'


def test_a_constructor_that_raises_is_that_devices_fault_alone(scene: Scene) -> None:
    """Its frames become dead letters that name the class, the file and the line; other devices go on."""
    scene.start("--slot", "0")
    broker = scene.broker
    broker.send(frame_batch(BROKEN, [b"1", b"2"]))
    broker.send(frame_batch(PRESS, [b"1"]))
    by_device = {batch.device: body_of(batch) for batch in broker.wait_readings(2)}
    assert set(by_device["broken"].dead) == {0, 1}
    assert "Broken: " in by_device["broken"].dead[0]
    assert "OSError: no licence" in by_device["broken"].dead[0]
    assert by_device["press"].telemetry == [b'{"n":1}']


def test_users_code_that_hangs_is_ended_and_reported(scene: Scene) -> None:
    """A traceback in the log, a death of its host; the reader is told which frame it was until it answers, by the next
    converter too; others' frames are converted all the time."""
    first = scene.start("--slot", "0", "--watchdog-s", "0.4")
    broker = scene.broker
    broker.answers_notes = False
    broker.send(frame_batch(USER, [b"a", b"b", b"hang", b"c"], first=100))
    broker.send(frame_batch(PRESS, [b"1"]))
    assert [batch.device for batch in broker.wait_readings()] == ["press"]
    broker.wait(lambda: broker.requests, "the note")
    assert [(batch.device, batch.length) for batch in broker.wait_readings()] == [("user", 0)]
    assert "Timeout" in first.said
    assert "mine.py" in first.said
    broker.send(frame_batch(USER, [b"d"], first=104))
    assert [(batch.first, batch.length) for batch in broker.wait_readings()] == [(104, 1)]
    assert first.stop() == 0
    second = scene.start("--slot", "0")
    broker.wait(lambda: len(broker.requests) >= 3, "the note, again and again")
    assert len({request.id for request in broker.requests}) == 1
    assert codec.unpack_map(broker.requests[0].body) == {"journal": "journal", "generation": 3, "numbers": [102]}
    broker.answers_notes = True
    broker.wait(lambda: "note.reported" in second.said, "the answer noted")
    assert second.stop() == 0
    assert "note.found" not in scene.start("--slot", "0").said


def test_what_users_code_says_can_always_travel(scene: Scene) -> None:
    """Text that is half a character, results that are larger than a message may be: a dead letter each, and the frames
    beside them are converted."""
    scene.start("--slot", "0")
    broker = scene.broker
    frames = [b"a", b"surrogate", b"large70", *[b"large7"] * 4, b"b"]
    broker.send(frame_batch(USER, frames, first=1))
    dead: dict[int, str] = {}
    arrived: set[int] = set()
    while len(dead) + len(arrived) < len(frames):
        [batch] = broker.wait_readings()
        body = body_of(batch)
        dead |= {batch.first + index: why for index, why in body.dead.items()}
        arrived |= {batch.first + index for index in body.user}
    assert arrived == {1, 4, 5, 6, 7, 8}
    assert "ValueError: bad" in dead[2]
    assert dead[3].endswith("at most 8388608 can travel")
    assert broker.requests == []


def test_to_load_slowly_is_no_frames_fault(scene: Scene) -> None:
    """Imports and constructors may take longer than a frame may; a constructor that ends the process is at fault."""
    converter = scene.start("--slot", "0", "--watchdog-s", "0.3")
    broker = scene.broker
    broker.know(SLOW)
    broker.know(DEADLY)
    broker.send(frame_batch(SLOW, [b"a"]))
    assert [(batch.device, batch.length) for batch in broker.wait_readings()] == [("slow", 1)]
    assert broker.requests == []
    broker.send(frame_batch(DEADLY, [b"a"], first=7))
    broker.wait(lambda: broker.requests, "the note")
    assert codec.unpack_map(broker.requests[0].body)["numbers"] == [7]
    assert converter.process.poll() is None


def test_a_stop_blames_no_frame(scene: Scene) -> None:
    """What users' code is in when the converter is told to stop is converted again, and nothing else."""
    converter = scene.start("--slot", "0")
    broker = scene.broker
    broker.send(frame_batch(USER, [b"a"]))
    broker.wait_readings()
    broker.send(frame_batch(USER, [b"slow", b"slow", b"slow"], first=2))
    wait_until((scene.extensions / "mine.py.slow").exists, "users' code to be in a slow frame")
    assert converter.stop() == 0
    again = scene.start("--slot", "0")
    broker.send(frame_batch(USER, [b"a"], first=9))
    broker.wait(lambda: [batch for batch in broker.readings if batch.first == 9], "the next batch")
    assert broker.requests == []
    assert "note.found" not in again.said


def test_what_users_code_logs_too_much_of_is_said(scene: Scene) -> None:
    """How many lines were left out, in one line, when there is room again."""
    converter = scene.start("--slot", "0")
    scene.broker.send(frame_batch(USER, [b"log"]))
    scene.broker.wait_readings()
    scene.broker.wait(lambda: "log.limited" in converter.said, "what was left out")
    assert "line 10" in converter.said


def test_junk_on_its_sockets_is_counted_and_survived(scene: Scene) -> None:
    """No bytes from a socket end the process."""
    scene.start("--slot", "0")
    broker = scene.broker
    junk = [b"", b"\xc1", b"\x00" * 100, codec.pack([99]), codec.pack([0, "x"]), b"\xff" * 5000]
    good = codec.encode(frame_batch(PRESS, [b"1"]))
    for parts in ([one] for one in junk):
        broker.frames.send_multipart(parts)
        broker.calls.send_multipart([broker._peer, *parts])
        broker.publish.send_multipart([b"beat.broker.0.", *parts])
    broker.frames.send_multipart([good[0], b"\xc1"])
    broker.frames.send_multipart([good[0][:-3], good[1]])
    broker.say(Reply("nobody", "converter:0", "", b"\xc1"))
    broker.say(call(PRESS, "encode", {}).replace(body=b"\xc1"))
    broker.say(call(PRESS, "dance", {}))
    broker.send(frame_batch(PRESS, [b"7"]))
    batches = broker.wait_readings(2)
    assert [batch.length for batch in batches] == [0, 1]
    broker.wait(
        lambda: [beat for beat in broker.heard if isinstance(beat, Heartbeat) and beat.counters["junk_messages"] >= 12],
        "the junk counted",
    )


def test_slots_and_locks(scene: Scene) -> None:
    """Without --slot the first free one; a slot that is taken is exit 69; a broken configuration is no obstacle."""
    scene.start()
    scene.start()
    assert {registration.name for registration in scene.broker.registrations} == {"0", "1"}
    refused = Converter(scene.folder, "--slot", "1")
    assert refused.wait() == 69
    assert "is held by the process with pid" in refused.said
    (scene.folder / "config" / "serial.json").write_text("{")
    scene.start()
    assert {registration.name for registration in scene.broker.registrations} == {"0", "1", "2"}
    assert "Traceback" not in refused.said


def test_a_broker_that_comes_back_gets_readings(scene: Scene) -> None:
    """Registered anew with the new instance; the same endpoints work again."""
    scene.start("--slot", "0")
    scene.broker.send(frame_batch(PRESS, [b"1"]))
    scene.broker.wait_readings()
    scene.broker.close()
    scene.broker = FakeBroker(scene.folder / "data")
    scene.broker.know(PRESS)
    beat = Heartbeat("broker", "0", "b2", 1, "here", 1.0, {}, {})

    def registered() -> bool:
        scene.broker.publish.send_multipart([b"beat.broker.0.", *codec.encode(beat)])
        return bool(scene.broker.registrations)

    scene.broker.wait(registered, "the second registration")
    scene.broker.send(frame_batch(PRESS, [b"2"], first=2))
    assert body_of(scene.broker.wait_readings()[0]).telemetry == [b'{"n":2}']
