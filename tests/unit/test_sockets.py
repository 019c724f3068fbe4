"""Channels, endpoints and locks: what the shells of all processes rely on."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from common.core.errors import LinkError, WireError
from common.core.events import Arrived, Junk
from common.io.endpoints import Endpoints, find_socket_dir, socket_dir
from common.io.locks import FileLock
from common.io.sockets import HIGH_WATER, Channel, TapWatch, connect, connect_events, decode_call, open_socket
from common.wire import codec
from common.wire.messages import FrameBatch, Heartbeat, Plane, ReadingBatch, Registered, Request, Tap
from tests.support.waiting import wait_until

BATCH = FrameBatch("press", "j", 1, 10, 2, 8, "e1", 0, "hash", False, True, body=b"body")


@pytest.fixture
def endpoints(tmp_path: Path) -> Endpoints:
    return Endpoints(socket_dir(tmp_path))


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    context: zmq.Context[Any] = zmq.Context()
    yield context
    context.destroy(linger=0)


def bind(context: zmq.Context[Any], kind: int, endpoint: str) -> zmq.Socket[bytes]:
    socket = open_socket(context, kind)
    socket.bind(endpoint)
    return socket


def receive_all(channel: Channel, count: int) -> list[Any]:
    """The next `count` events of a channel."""
    events: list[Any] = []

    def has_all() -> bool:
        events.extend(channel.receive())
        return len(events) >= count

    wait_until(has_all, f"{count} events")
    return events


@pytest.mark.parametrize("kind", [zmq.PUSH, zmq.DEALER])
def test_with_nobody_connected_nothing_is_sent(context: zmq.Context[Any], endpoints: Endpoints, kind: int) -> None:
    """`False` is true: the message is not in a pipe to somebody who may never come."""
    channel = connect(context, kind, Plane.FRAMES, endpoints.frames_in)
    assert channel.send(BATCH) is False
    pull = Channel(Plane.FRAMES, bind(context, zmq.PULL if kind == zmq.PUSH else zmq.DEALER, endpoints.frames_in))
    wait_until(lambda: channel.send(BATCH), "connected")
    assert receive_all(pull, 1) == [Arrived(Plane.FRAMES, BATCH)]
    assert list(pull.receive()) == []
    # A poll may have said so before somebody else took it.
    assert list(pull.receive_ready()) == []


def test_at_the_high_water_mark_nothing_is_sent(context: zmq.Context[Any], endpoints: Endpoints) -> None:
    """A peer that doesn't read blocks nobody; what was sent before arrives whole."""
    pull = Channel(Plane.FRAMES, bind(context, zmq.PULL, endpoints.frames_in))
    push = connect(context, zmq.PUSH, Plane.FRAMES, endpoints.frames_in)
    large = BATCH.replace(body=bytes(1_000_000))
    wait_until(lambda: push.send(large), "connected")
    sent = 1
    while push.send(large):
        sent += 1
        assert sent <= 10 * HIGH_WATER
    assert len(receive_all(pull, sent)) == sent


def test_junk_is_an_event_among_good_messages(context: zmq.Context[Any], endpoints: Endpoints) -> None:
    """Nothing raises, and what comes after is received."""
    pull = Channel(Plane.FRAMES, bind(context, zmq.PULL, endpoints.frames_in))
    push = context.socket(zmq.PUSH)
    push.connect(endpoints.frames_in)
    junk = [[b""], [b"\xc1", b""], [b"a", b"b", b"c"], [os.urandom(100), os.urandom(100)]]
    for parts in [*junk, codec.encode(BATCH)]:
        push.send_multipart(parts)
    events = receive_all(pull, 5)
    assert [type(event) for event in events] == [Junk] * 4 + [Arrived]
    assert events[-1].message == BATCH


def test_junk_on_the_events_plane_is_an_event_too(context: zmq.Context[Any], endpoints: Endpoints) -> None:
    """There a topic comes before the two parts; one part alone is junk."""
    publish = bind(context, zmq.XPUB, endpoints.events_out)
    subscribe = open_socket(context, zmq.SUB)
    subscribe.setsockopt(zmq.SUBSCRIBE, b"beat.")
    subscribe.connect(endpoints.events_out)
    assert publish.recv() == b"\x01beat."
    beat = Heartbeat("broker", "0", "i", 1, "h", 1.0, {}, {})
    for parts in [[b"beat."], [b"beat.", b"x"], [b"beat.", b"x", b"", b""]]:
        publish.send_multipart(parts)
    Channel(Plane.EVENTS, publish).send(beat)
    events = receive_all(Channel(Plane.EVENTS, subscribe), 4)
    assert [type(event) for event in events] == [Junk] * 3 + [Arrived]
    sent = events[-1].message
    assert {*sent.counters} >= {"cpu_ms", "resident_bytes"}
    assert sent.replace(counters={}) == beat


def test_time_on_the_way_counts_for_a_call(context: zmq.Context[Any], endpoints: Endpoints) -> None:
    """A request that lay in the socket of a process that stood still has that much less time left; what a clock of
    another machine says, or nobody, changes nothing."""
    router = bind(context, zmq.ROUTER, endpoints.calls)
    dealer = connect(context, zmq.DEALER, Plane.CALLS, endpoints.calls)
    request = Request("id", "client:1", "publisher:0", "rpc", "press", "", 5.0, b"body")
    wait_until(lambda: dealer.send(request), "connected")
    route, header, body, stamp = router.recv_multipart()
    (sent_s,) = struct.unpack_from("<d", stamp)
    earlier = struct.pack("<d", sent_s - 3.0)
    late = decode_call([header, body, earlier + stamp[8:]])
    assert isinstance(late, Request)
    assert 1.0 < late.time_left_s <= 2.0
    for parts in ([header, body], [header, body, earlier + b"elsewhere"], [header, body, b""]):
        assert decode_call(parts) == request
    router.send_multipart([route, header, body, earlier + stamp[8:]])
    (event,) = receive_all(dealer, 1)
    assert event.message.time_left_s <= 2.0
    with pytest.raises(WireError):
        decode_call([*codec.encode(BATCH), stamp])


def test_taps_are_watched_for(context: zmq.Context[Any], endpoints: Endpoints) -> None:
    """A process sees through the proxy whether somebody subscribes to a device, to all, or to none any more."""
    into, out = bind(context, zmq.XSUB, endpoints.events_in), bind(context, zmq.XPUB, endpoints.events_out)
    publish, _ = connect_events(context, endpoints, [])
    watch = TapWatch(publish)
    _, subscribe = connect_events(context, endpoints, [])

    def pass_on() -> None:
        while out.poll(0):
            into.send(out.recv())
        watch.receive()

    def sees(device: str, expected: bool) -> bool:
        pass_on()
        return (device in watch) is expected

    assert "press1" not in watch
    for topic, device in ((b"tap.press1.", "press1"), (b"tap.", "other")):
        subscribe.socket.setsockopt(zmq.SUBSCRIBE, topic)
        wait_until(lambda device=device: sees(device, True), "subscription seen")
        assert ("press10" in watch) is (topic == b"tap.")
        subscribe.socket.setsockopt(zmq.UNSUBSCRIBE, topic)
        wait_until(lambda device=device: sees(device, False), "end of subscription seen")
    assert not watch.has_any
    subscribe.socket.setsockopt(zmq.SUBSCRIBE, b"line.press1.")
    wait_until(lambda: sees("press1", False) and watch.has_line("press1"), "a recording seen")
    assert not watch.has_line("press10")
    publish.send(Tap("frames", "press1", b"nobody listens"))


def test_sockets_live_in_a_private_directory(tmp_path: Path) -> None:
    """`run` below the data directory, 0700 even if it was there with more that others may read."""
    (tmp_path / "run").mkdir(mode=0o755)
    place = socket_dir(tmp_path)
    assert place == tmp_path / "run"
    assert place.stat().st_mode & 0o777 == 0o700


def test_sockets_work_below_a_path_that_is_too_long_for_one(tmp_path: Path, context: zmq.Context[Any]) -> None:
    """A Unix socket's path has 107 bytes at most; they are where they always are, named by a descriptor."""
    data_dir = tmp_path / ("x" * 200) / ("y" * 200)
    place = socket_dir(data_dir)
    assert place == data_dir / "run"
    pull = Channel(Plane.READINGS, bind(context, zmq.PULL, Endpoints(place).readings_out))
    push = connect(context, zmq.PUSH, Plane.READINGS, Endpoints(find_socket_dir(data_dir)).readings_out)
    bind(context, zmq.PULL, Endpoints(place).at("frames.01234567"))
    batch = ReadingBatch("press", "j", 1, 1, 1, 1, "e", 0, "0", "i", b"")
    wait_until(lambda: push.send(batch), "a connection")
    wait_until(lambda: list(pull.receive()), "the batch has come")
    assert {path.name for path in place.iterdir()} == {"readings.out", "frames.01234567"}


def test_an_endpoint_is_a_name_not_a_path(tmp_path: Path) -> None:
    """Whatever a broker says, nobody connects outside the folder; the whole path of an older broker is understood."""
    endpoints = Endpoints(socket_dir(tmp_path))
    assert endpoints.at("ipc:///elsewhere/run/frames.01234567") == f"ipc://{tmp_path}/run/frames.01234567"
    for name in ("", "calls", "frames.0123456", "frames.01234567/..", "../frames.0123456x", "tcp://host:1"):
        with pytest.raises(LinkError, match="expected frames"):
            endpoints.at(name)


def test_the_longest_path_still_binds(tmp_path: Path, context: zmq.Context[Any]) -> None:
    """The limit leaves room for every file name of ours."""
    short = Path("/tmp") / f"serialgw-test-{os.getpid()}"
    data_dir = short / ("x" * (90 - len(str(short)) - len("//run")))
    place = socket_dir(data_dir)
    assert len(str(place)) == 90
    endpoints = Endpoints(place)
    for endpoint in (endpoints.at("frames.01234567"), endpoints.readings_out, endpoints.events_out):
        bind(context, zmq.PULL, endpoint)
    context.destroy(linger=0)
    for path in place.iterdir():
        path.unlink()
    for folder in (place, data_dir, short):
        folder.rmdir()


def test_a_lock_is_held_by_one_and_names_its_holder(tmp_path: Path) -> None:
    """In another process too; free again after release."""
    path = tmp_path / "x.lock"
    lock = FileLock(path)
    with pytest.raises(LinkError, match=f"held by the process with pid {os.getpid()}$"):
        FileLock(path)
    program = f"from common.io.locks import FileLock\nfrom pathlib import Path\nFileLock(Path({str(path)!r}))"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert f"pid {os.getpid()}" in other.stderr
    lock.release()
    FileLock(path).release()


def test_a_lock_is_free_after_its_holder_was_killed(tmp_path: Path) -> None:
    """The kernel gives it back; the pid that is left in the file doesn't matter, even a longer one."""
    path = tmp_path / "x.lock"
    program = (
        f"from common.io.locks import FileLock\nfrom pathlib import Path\nlock = FileLock(Path({str(path)!r}))\n"
        "print('held', flush=True)\ninput()"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(LinkError, match=f"pid {holder.pid}$"):
        FileLock(path)
    holder.kill()
    holder.communicate()
    path.write_text("99999999999\n")
    lock = FileLock(path)
    assert path.read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_message_on_the_wrong_plane_is_junk(context: zmq.Context[Any], endpoints: Endpoints) -> None:
    """Nobody is registered, or called, by a word on the events plane."""
    bound = Channel(Plane.EVENTS, bind(context, zmq.PULL, endpoints.frames_in))
    with context.socket(zmq.PUSH) as push:
        push.connect(endpoints.frames_in)
        push.send_multipart([b"beat.broker.0.", *codec.encode(Registered("x:0", True, "", "b", ""))])
        push.send_multipart([b"beat.broker.0.", *codec.encode(BATCH)])
        assert receive_all(bound, 2) == [
            Junk(Plane.EVENTS, "found Registered, which does not travel here"),
            Junk(Plane.EVENTS, "found FrameBatch, which does not travel here"),
        ]
