"""A device that a user's converter has named, called through the whole gateway, before and after `kill -9` of all."""

from __future__ import annotations

from pathlib import Path

from common.wire import codec
from common.wire.messages import Entry, UserReading
from tests.e2e.harness import Gateway, Line, Mosquitto, Platform, closing, needs_mosquitto, write_config
from tests.support.publisher_driving import batch
from tests.support.publisher_process import World

pytestmark = needs_mosquitto

CONVERTER = """
class Rooms:
    def __init__(self, config, logger):
        pass

    def convert(self, config, data):
        name, value = data.decode().split()
        return {"deviceName": name, "deviceType": "room", "telemetry": {"t": float(value)}}


class Sender:
    def __init__(self, config, logger):
        pass

    def convert(self, config, data):
        return f"{config['deviceName']} ({config['deviceType']}) {data}\\n".encode()
"""


def test_a_named_device_is_called_by_its_name_after_everything_was_killed(tmp_path: Path) -> None:
    """By template, by a user's downlink converter, by an attribute update, and from the command line."""
    line, mosquitto = Line(tmp_path / "ttyTest"), Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    hub = {
        "name": "hub",
        "port": str(line.path),
        "delimiter": "\n",
        "converter": "Rooms",
        "downlink_converter": "Sender",
        "serverSideRpc": [{"method": "set", "template": "${deviceName} ${params}\n"}, {"method": "own"}],
        "attributeUpdates": [{"attributeOnPlatform": "level", "stringToDevice": "${deviceName}=${level}\n"}],
    }
    config = write_config(tmp_path / "config", mosquitto.port, [hub])
    (config.parent / "extensions" / "serial").mkdir(parents=True)
    (config.parent / "extensions" / "serial" / "rooms.py").write_text(CONVERTER)
    gateway = Gateway(tmp_path, config)
    with closing(mosquitto, platform, line, gateway):
        gateway.start_all(["hub"])
        platform.wait_connected("hub")
        line.write(b"attic 21.5\n")
        platform.wait_telemetry("attic", 1)
        assert platform.call("attic", "set", 3, 1) == {"success": True}
        assert line.read_until(b"\n") == b"attic 3\n"
        for name in list(gateway.processes):
            gateway.kill(name)
        before = len(platform.on("v1/gateway/connect", "attic"))
        for name in list(gateway.processes):
            gateway.restart(name)
        # The platform would pass on no call to a device that was not announced to it.
        platform.wait_for(lambda _: len(platform.on("v1/gateway/connect", "attic")) > before, "attic is announced")
        assert platform.call("attic", "set", 4, 2) == {"success": True}
        assert line.read_until(b"\n") == b"attic 4\n"
        assert platform.call("attic", "own", 5, 3) == {"success": True}
        assert line.read_until(b"\n") == b"attic (room) 5\n"
        platform.say("v1/gateway/attributes", {"device": "attic", "data": {"level": 6}})
        assert line.read_until(b"\n") == b"attic=6\n"
        assert gateway.cli("rpc", "attic", "set", "7").returncode == 0
        assert line.read_until(b"\n") == b"attic 7\n"
        assert {item["values"]["t"] for item in platform.telemetry("attic")} == {21.5}


def test_a_publisher_that_was_killed_knows_who_serves_a_name(tmp_path: Path) -> None:
    """What was settled does not come again: nothing but its file says the name to the next publisher."""
    with World(tmp_path) as world:
        broker = world.broker
        broker.wait_link()
        user = {0: [UserReading("attic", "room", [(None, b'{"t":21.5}')], b"")]}
        broker.send(batch(1, [None], kind=Entry.OPENED, device_type="press"), batch(2, [None], user=user))
        # Both are settled, the opening and the reading: the publisher that is killed has heard the name.
        broker.wait_settled(3)
        world.restart()
        call = {"device": "attic", "data": {"id": 3, "method": "set", "params": 4}}
        world.eyes.say("v1/gateway/rpc", call)
        (request,) = broker.wait(lambda: broker.requests, "the call's first step")
        assert (request.target, request.device) == ("converter@press1", "press1")
        assert codec.unpack_map(request.body)["called"] == "attic"
        assert (tmp_path / "data" / "publisher.names").stat().st_mode & 0o777 == 0o600
