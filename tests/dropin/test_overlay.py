"""What the platform configures, laid over the user's files: what counts, what stays, and what is never told."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.config.active import ACTIVE_NAME, make_active, read_active, write_active
from common.config.overlay import (
    OVERLAY_NAME,
    PREVIOUS_NAME,
    REMOTE_DIR,
    TRYING_NAME,
    Overlay,
    configured_attributes,
    is_waiting,
    read_configured,
    read_overlay,
)
from common.config.reading import laid_over, read_gateway
from common.core.errors import ConfigError
from common.io.endpoints import socket_dir
from common.io.journal.places import file_name, journal_dir
from common.io.levels import FILE as LEVELS_FILE
from common.io.orders import APPLY_FILE, ORDERS
from services.cli.supervise import switching
from services.cli.supervise.conf import PLAN_NAME, Plan, read_plan, write_plan
from services.cli.supervise.configurator import ENDED, Configurator
from services.cli.supervise.difference import difference
from services.cli.supervise.prepare import write_files, write_remote

TOKEN = "token-that-nobody-is-told"
DEVICE = {"name": "A", "port": "/dev/ttyA", "telemetry": [{"key": "n", "type": "int"}]}
OTHER = {"name": "B", "port": "/dev/ttyB", "telemetry": [{"key": "n", "type": "int"}]}
ENTRY = {"name": "Serial", "type": "serial", "class": "CustomSerialConnector", "configuration": "serial.json"}


def write(folder: Path, **main: Any) -> Path:
    """A user's folder; the main file's path."""
    section = {"host": "localhost", "security": {"accessToken": TOKEN}, "remoteConfiguration": True}
    (folder / "tb_gateway.json").write_text(json.dumps({"thingsboard": section, "connectors": [ENTRY], **main}))
    (folder / "serial.json").write_text(json.dumps({"name": "Serial", "logLevel": "DEBUG", "devices": [DEVICE, OTHER]}))
    return folder / "tb_gateway.json"


def laid(config: Path, overlay: Overlay) -> Any:
    return laid_over(config, json.loads(config.read_text()), overlay)


def put(config: Path, key: str, value: Any, overlay: Overlay | None = None) -> Overlay:
    """The overlay with one part more, laid over what stands in the files now."""
    overlay = overlay or Overlay()
    return overlay.with_part(key, value, laid(config, overlay).base_of(key))


def test_the_class_of_a_users_connector_is_never_lost(tmp_path: Path) -> None:
    """The platform's dashboards send an empty one; whatever the platform does not say stays."""
    config = write(tmp_path)
    said = {"name": "Serial", "type": "serial", "class": "", "configurationJson": {"devices": [OTHER]}, "ts": 1}
    found = laid(config, put(config, "Serial", said))
    assert found.main["connectors"] == [ENTRY]
    assert found.files["serial.json"]["devices"] == [OTHER]
    assert found.left_out == []


def test_an_edited_file_counts_again(tmp_path: Path) -> None:
    """Who edits a file by hand means it; the part is left out, and it is said."""
    config = write(tmp_path)
    overlay = put(config, "Serial", {"name": "Serial", "type": "serial", "configurationJson": {"devices": [OTHER]}})
    overlay = put(config, "general_configuration", {"minPackSendDelayMS": 5}, overlay)
    gateway = read_gateway(config, {}, overlay=overlay).gateway
    assert [device.name for device in gateway.devices] == ["B"]
    assert gateway.platform.min_pack_send_delay_ms == 5
    (tmp_path / "serial.json").write_text(json.dumps({"devices": [DEVICE]}))
    loaded = read_gateway(config, {}, overlay=overlay)
    assert [device.name for device in loaded.gateway.devices] == ["A"]
    assert loaded.gateway.platform.min_pack_send_delay_ms == 5
    assert [warning for warning in loaded.warnings if warning.startswith("Serial: the files were edited")]


def test_how_the_platform_is_reached_stays_the_files(tmp_path: Path) -> None:
    """Host, port and secrets are not taken from the platform, whatever it says."""
    config = write(tmp_path)
    said = {"host": "elsewhere", "port": 1, "security": {"accessToken": "x"}, "maxPayloadSizeBytes": 999}
    gateway = read_gateway(config, {}, with_secrets=True, overlay=put(config, "general_configuration", said)).gateway
    assert gateway.platform.host == "localhost"
    assert gateway.platform.security.access_token == TOKEN
    assert gateway.platform.max_payload_size_bytes == 999


def test_a_new_connector_and_the_list_of_those_that_run(tmp_path: Path) -> None:
    """A connector that the platform adds has a file of its own name that is on no disk; one that is not listed does
    not run; a problem in it names it."""
    config = write(tmp_path)
    device = {"name": "C", "port": "/dev/ttyC"}
    said = {
        "name": "Yard 2",
        "type": "serial",
        "configuration": "../../etc/x.json",
        "configurationJson": {"devices": [device]},
    }
    overlay = put(config, "Yard 2", said)
    gateway = read_gateway(config, {}, overlay=overlay).gateway
    assert [device.name for device in gateway.devices] == ["A", "B", "C"]
    assert laid(config, overlay).main["connectors"][1]["configuration"] == "yard_2.json"
    overlay = put(config, "active_connectors", ["Yard 2"], overlay)
    assert [device.name for device in read_gateway(config, {}, overlay=overlay).gateway.devices] == ["C"]
    wrong = put(config, "Yard 2", {**said, "configurationJson": {"devices": [{**device, "baudrate": "fast"}]}})
    with pytest.raises(ConfigError, match=r"yard_2.json \(as the platform has configured it\): devices\[0\].baudrate"):
        read_gateway(config, {}, overlay=wrong)


def test_what_the_gateway_says_of_its_configuration_has_no_secret(tmp_path: Path) -> None:
    """The attributes have the dashboards' names and shapes; `ts` is the platform's own where it has said the part."""
    config = write(tmp_path, storage={"type": "memory"})
    overlay = put(config, "Serial", {"name": "Serial", "type": "serial", "logLevel": "ERROR", "ts": 7})
    said = configured_attributes(laid(config, overlay), overlay, 99)
    assert TOKEN not in json.dumps(said)
    assert said["general_configuration"]["security"] == {"type": "accessToken"}
    assert said["storage_configuration"] == {"type": "memory", "ts": 99}
    assert said["active_connectors"] == ["Serial"]
    assert said["Serial"]["class"] == "CustomSerialConnector"
    assert said["Serial"]["logLevel"] == "ERROR"
    assert said["Serial"]["ts"] == 7
    assert said["Serial"]["configurationJson"] == {"name": "Serial", "devices": [DEVICE, OTHER]}


def test_only_who_is_concerned_starts_anew(tmp_path: Path) -> None:
    """A line's settings, and a call, concern its port reader alone, which takes them while it is at work; a port has it
    start anew; a call that is answered concerns the publisher too, which takes it; storage all readers."""
    config = write(tmp_path)

    def change(*devices: dict[str, Any], **main: Any) -> Any:
        before = read_gateway(write(tmp_path), {}).gateway
        write(tmp_path, **main)
        (tmp_path / "serial.json").write_text(json.dumps({"logLevel": "DEBUG", "devices": devices or [DEVICE, OTHER]}))
        return difference(before, read_gateway(config, {}).gateway)

    assert change().is_empty
    baud = change({**DEVICE, "baudrate": 19_200}, OTHER)
    assert (baud.swapped, baud.changed, baud.publisher, baud.monitor) == (("A",), (), False, False)
    port = change({**DEVICE, "port": "/dev/ttyS9"}, OTHER)
    assert (port.swapped, port.changed, port.publisher, port.monitor) == ((), ("A",), False, False)
    call = change(DEVICE, {**OTHER, "serverSideRpc": [{"method": "get"}]})
    assert (call.swapped, call.changed, call.publisher, call.monitor) == (("B",), (), False, False)
    answered = change(DEVICE, {**OTHER, "serverSideRpc": [{"method": "get", "withResponse": True}]})
    assert (answered.swapped, answered.changed, answered.known, answered.publisher) == (("B",), (), True, False)
    less = change(OTHER)
    assert (less.removed, less.changed, less.known, less.publisher, less.monitor) == (("A",), (), True, False, False)
    assert less.names
    assert change(storage={"type": "memory"}).changed == ("A", "B")


# The process that applies.


class Gateway:
    """A gateway whose processes come up under new pids with each order to apply, unless told otherwise."""

    def __init__(self, data_dir: Path) -> None:
        self._run_dir = socket_dir(data_dir)
        os.mkfifo(self._run_dir / ORDERS)
        self._pipe = os.open(self._run_dir / ORDERS, os.O_RDWR | os.O_NONBLOCK)
        self._active = data_dir / ACTIVE_NAME
        self.comes_up = True
        self.unheard = self.late = 0
        """Looks before which nobody has been heard, and looks after an order that still show who was told to end."""
        self.faults: dict[str, str] = {}
        """Hosted connectors that can't go on."""
        self.applied: list[list[str]] = []
        """What was to start anew, order by order."""
        self._pid = self._ending = 0

    def look(self) -> dict[str, Any]:
        try:
            orders = os.read(self._pipe, 4096).split()
        except BlockingIOError:
            orders = []
        for _ in filter(b"apply".__eq__, orders):
            self.applied.append(json.loads((self._run_dir / APPLY_FILE).read_bytes()))
            self._pid, self._ending = self._pid + 1, self.late
        active = read_active(self._active)
        assert active is not None
        pid, self._ending = self._pid - (self._ending > 0), max(0, self._ending - 1)
        self.unheard, pid_or_none = max(0, self.unheard - 1), None if self.unheard else pid
        names = [f"port_reader:{device.name}" for device in active.gateway.devices]
        names += [f"connector_host:{connector.name}" for connector in active.gateway.hosted]
        rows = {
            name: {"pid": pid_or_none, "state": "alive", "facts": {"fault": self.faults.get(name, "")}}
            for name in names
            if self.comes_up
        }
        return rows | {"publisher:0": {"pid": self._pid, "state": "alive", "facts": {"link": "up"}}}

    def close(self) -> None:
        os.close(self._pipe)


class World:
    """A gateway that was started on a configuration, and what the platform wants of it."""

    def __init__(self, folder: Path, gateway: Gateway, config: Path) -> None:
        self.gateway, self.config = gateway, config
        self.data_dir = folder / "data"
        self.remote = self.data_dir / REMOTE_DIR

    def ask(self, **parts: Any) -> dict[str, Any]:
        """What is said of the configuration when the request was looked at."""
        self.remote.joinpath("request-000001.json").write_text(json.dumps({"parts": parts, "fingerprints": {}}))
        return self.run()

    def run(self) -> dict[str, Any]:
        Configurator(self.config, self.data_dir, logging.getLogger("test"), self.gateway.look).run()
        assert not is_waiting(self.remote)
        return read_configured(self.remote).attributes

    @property
    def devices(self) -> list[str]:
        active = read_active(self.data_dir / ACTIVE_NAME)
        assert active is not None
        return [device.name for device in active.gateway.devices]


@contextmanager
def _world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "config").mkdir()
    config = write(tmp_path / "config")
    data_dir = tmp_path / "data"
    active = make_active(read_gateway(config, {}, with_secrets=True).gateway)
    gateway = Gateway(data_dir)
    plan = Plan(config, data_dir, socket_dir(data_dir), ("A", "B"), 1, "python3", os.getuid())
    write_files(plan, active)
    write_remote(plan, active, Overlay())
    try:
        yield World(tmp_path, gateway, config)
    finally:
        gateway.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A gateway in which nothing takes long, and nobody hears the publisher being told."""
    for name, seconds in (("COME_UP_S", 0.2), ("HOLD_S", 0.0), ("LOOK_S", 0.01), ("HEARD_S", 0.2)):
        monkeypatch.setattr(switching, name, seconds)
    monkeypatch.setattr(Configurator, "_tell_publisher", lambda _: None)
    # What was read without an environment is to be found unchanged in this one.
    monkeypatch.delenv("SERIALGW_WEB", raising=False)
    with _world(tmp_path) as made:
        yield made


def serial(*devices: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "Serial", "type": "serial", "configurationJson": {"devices": list(devices)}, "ts": 5, **more}


def test_what_is_right_is_applied_and_kept(world: World) -> None:
    """To whom it concerns; the user's files stay."""
    before = (world.config.parent / "serial.json").read_bytes()
    said = world.ask(Serial=serial({**DEVICE, "baudrate": 19_200}, OTHER))
    assert said["configuration_refused"] == {}
    assert said["Serial"]["ts"] == 5
    assert world.gateway.applied == [["port_reader-A"]]
    overlay = read_overlay(world.remote / OVERLAY_NAME)
    again = read_gateway(world.config, {}, overlay=overlay).gateway
    assert again.devices[0].line.baudrate == 19_200
    assert (world.config.parent / "serial.json").read_bytes() == before


def test_a_hosted_connector_keeps_its_journal(world: World) -> None:
    """It is not taken for one of a device that is configured no more, which somebody else would send to its end."""
    folder = world.config.parent
    (folder / "extensions" / "demo").mkdir(parents=True)
    text = "from thingsboard_gateway.connectors.connector import Connector\n\nclass Demo(Connector):\n    pass\n"
    (folder / "extensions" / "demo" / "demo.py").write_text(text)
    (folder / "demo.json").write_text("{}")
    hosted = {"name": "Demo", "type": "demo", "class": "Demo", "configuration": "demo.json"}
    write(folder, connectors=[ENTRY, hosted])
    active = make_active(read_gateway(world.config, {}, with_secrets=True).gateway)
    assert [connector.name for connector in active.gateway.hosted] == ["Demo"]
    write_active(world.data_dir / ACTIVE_NAME, active)
    journals = journal_dir(active.gateway.storage, world.data_dir)
    journals.mkdir(parents=True, exist_ok=True)
    for stream in (*active.gateway.streams, "gone"):
        (journals / file_name(stream)).touch()
    assert world.ask(Serial=serial({**DEVICE, "baudrate": 19_200}, OTHER))["configuration_refused"] == {}
    plan = read_plan((socket_dir(world.data_dir) / PLAN_NAME).read_bytes())
    assert plan.left_journals == (journals / file_name("gone"),)


# Hosted connectors.

DEMO = {"name": "Demo", "type": "demo", "class": "Demo", "configuration": "demo.json"}
TEXT = {"name": "Text", "type": "demo", "class": "Demo", "configuration": "demo.yaml"}
BASE = "from thingsboard_gateway.connectors.connector import Connector\n\n\nclass {name}(Connector):\n    pass\n"


def host(world: World) -> None:
    """The gateway has two hosted connectors beside its serial one; one of them reads another language than JSON."""
    folder = world.config.parent
    (folder / "extensions" / "demo").mkdir(parents=True)
    for name in ("Demo", "Other"):
        (folder / "extensions" / "demo" / f"{name.lower()}.py").write_text(BASE.format(name=name))
    (folder / "extensions" / "demo" / "broken.py").write_text(
        "import nothing_of_this_name\n" + BASE.format(name="Broken")
    )
    (folder / "demo.json").write_text('{"period": 5, "id": "own id"}')
    (folder / "demo.yaml").write_text("period: 5\n")
    write(folder, connectors=[ENTRY, DEMO, TEXT])
    active = make_active(read_gateway(world.config, {}, with_secrets=True).gateway)
    assert [connector.name for connector in active.gateway.hosted] == ["Demo", "Text"]
    write_active(world.data_dir / ACTIVE_NAME, active)


def hosted(world: World) -> dict[str, Any]:
    """The hosted connectors, by name, that the processes start from."""
    active = read_active(world.data_dir / ACTIVE_NAME)
    assert active is not None
    return {connector.name: connector for connector in active.gateway.hosted}


def demo(**more: Any) -> dict[str, Any]:
    """The connector as a dashboard sends it, without its class."""
    return {"name": "Demo", "type": "demo", "class": "", "configurationJson": {"period": 9}, "ts": 5, **more}


def test_a_hosted_connector_is_configured_and_keeps_its_class(world: World) -> None:
    """Its process alone starts anew; what the platform does not say stays; the user's files do, too."""
    host(world)
    before = {path.name: path.read_bytes() for path in world.config.parent.iterdir() if path.is_file()}
    said = world.ask(Demo=demo())
    assert said["configuration_refused"] == {}
    assert world.gateway.applied == [["connector_host-Demo"]]
    assert hosted(world)["Demo"].config == {"period": 9, "id": "own id", "name": "Demo"}
    assert hosted(world)["Demo"].class_name == "Demo"
    assert (said["Demo"]["class"], said["Demo"]["ts"]) == ("Demo", 5)
    assert said["Demo"]["configurationJson"] == {"period": 9, "name": "Demo"}
    assert {path.name: path.read_bytes() for path in world.config.parent.iterdir() if path.is_file()} == before
    again = read_gateway(world.config, {}, overlay=read_overlay(world.remote / OVERLAY_NAME)).gateway
    assert {connector.name: connector for connector in again.hosted} == hosted(world)


def test_a_file_that_is_no_json_stays_unless_another_text_is_said(world: World) -> None:
    """A dashboard that sends its other words does not take it away."""
    host(world)
    said = world.ask(Text={"name": "Text", "type": "demo", "logLevel": "DEBUG"})
    assert said["configuration_refused"] == {}
    assert (hosted(world)["Text"].text, hosted(world)["Text"].config) == ("period: 5\n", None)
    assert hosted(world)["Text"].log_level == "DEBUG"
    assert "configurationJson" not in said["Text"]
    said = world.ask(Text={"name": "Text", "type": "demo", "configurationJson": "period: 7\n"})
    assert said["configuration_refused"] == {}
    assert said["Text"]["configurationJson"] == hosted(world)["Text"].text == "period: 7\n"
    assert (world.config.parent / "demo.yaml").read_text() == "period: 5\n"
    # Who edits it by hand means it.
    (world.config.parent / "demo.yaml").write_text("period: 6\n")
    loaded = read_gateway(world.config, {}, overlay=read_overlay(world.remote / OVERLAY_NAME))
    assert [connector.text for connector in loaded.gateway.hosted if connector.name == "Text"] == ["period: 6\n"]
    assert [warning for warning in loaded.warnings if warning.startswith("Text: the files were edited")]


def test_hosted_connectors_come_go_and_change_their_class(world: World) -> None:
    """The publisher and the monitor, who know them by name, hear of who comes and goes."""
    host(world)
    more = {"name": "More", "type": "demo", "class": "Other", "configurationJson": {}}
    assert world.ask(More=more)["configuration_refused"] == {}
    assert list(hosted(world)) == ["Demo", "Text", "More"]
    assert world.gateway.applied == [["publisher", "monitor"]]
    assert world.ask(Demo=demo(**{"class": "Other"}))["configuration_refused"] == {}
    assert hosted(world)["Demo"].class_name == "Other"
    assert world.gateway.applied[1:] == [["connector_host-Demo"]]
    assert world.ask(active_connectors=["Serial", "More"])["configuration_refused"] == {}
    assert list(hosted(world)) == ["More"]
    plan = read_plan((socket_dir(world.data_dir) / PLAN_NAME).read_bytes())
    assert plan.hosted == ("More",)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (demo(**{"class": "Nowhere"}), 'its class "Nowhere" is in no file of extensions/demo/'),
        (demo(type="thermal"), 'connector "Demo" of type "thermal" is not served'),
        (demo(**{"class": "Broken"}), "nothing_of_this_name is not installed"),
        (demo(logLevel="LOUD"), "logLevel"),
        (demo(enableRemoteLogging="much"), "enableRemoteLogging"),
        (demo(name="Other"), "the name of its attribute"),
    ],
)
def test_a_hosted_connector_that_can_not_be_used_is_refused(world: World, said: dict[str, Any], words: str) -> None:
    """With the reason, and what runs runs on."""
    host(world)
    before = hosted(world)
    assert words in world.ask(Demo=said)["configuration_refused"]["Demo"]
    assert hosted(world) == before
    assert world.gateway.applied == []
    assert read_overlay(world.remote / OVERLAY_NAME).is_empty


def test_a_hosted_connector_that_fails_with_what_it_was_told_gets_back_what_it_had(world: World) -> None:
    """The reason is its own."""
    host(world)
    world.gateway.faults = {"connector_host:Demo": "Demo: its constructor: demo.py, line 5: KeyError: 'devices'"}
    before = hosted(world)
    why = world.ask(Demo=demo())["configuration_refused"]["Demo"]
    assert (
        why == "connector Demo: Demo: its constructor: demo.py, line 5: KeyError: 'devices'; what ran before runs again"
    )
    assert hosted(world) == before
    assert world.gateway.applied == [["connector_host-Demo"]] * 2


@pytest.mark.parametrize(
    ("parts", "key", "words"),
    [
        ({"Serial": serial({**DEVICE, "baudrate": "fast"})}, "Serial", "devices[0].baudrate: found"),
        ({"Serial": serial()}, "Serial", "at least one device"),
        ({"Serial": serial({**DEVICE, "converter": "Nowhere"})}, "Serial", "Nowhere"),
        ({"Serial": serial(DEVICE, name="Other")}, "Serial", "the name of its attribute"),
        ({"Serial": [1]}, "Serial", "expected an object"),
        ({"active_connectors": []}, "active_connectors", "no serial connector"),
        ({"active_connectors": "Serial"}, "active_connectors", "a list of connectors' names"),
        ({"M": {"name": "M", "type": "modbus", "configurationJson": {}}}, "M", 'type "modbus" is not served'),
        ({"general_configuration": {"host": "elsewhere"}}, "general_configuration", "how the platform is reached"),
        ({"general_configuration": {"minPackSendDelayMS": -1}}, "general_configuration", "minPackSendDelayMS"),
        ({"storage_configuration": {"type": "memory"}}, "storage_configuration", "would stay behind"),
        ({"grpc_configuration": {"enabled": True}}, "grpc_configuration", "nothing listens"),
        ({"logs_configuration": {}}, "logs_configuration", 'found no "loggers"'),
        ({"logs_configuration": [1]}, "logs_configuration", "expected an object"),
        (
            {"logs_configuration": {"loggers": {"connector": {"level": "LOUD"}}}},
            "logs_configuration",
            'loggers.connector.level: "LOUD" is no level, expected',
        ),
    ],
)
def test_what_is_wrong_is_refused_with_the_reason_and_changes_nothing(
    world: World, parts: dict[str, Any], key: str, words: str
) -> None:
    """Nobody is asked to start anew, and the next start finds what was good."""
    said = world.ask(**parts)
    assert words in said["configuration_refused"][key]
    assert world.devices == ["A", "B"]
    assert world.gateway.applied == []
    assert read_overlay(world.remote / OVERLAY_NAME).is_empty


LOGGERS = {"loggers": {"connector": {"level": "DEBUG", "handlers": ["x"]}, "storage": {"level": "?"}}}


def levels_of(world: World) -> dict[str, str]:
    """What each kind of process finds that it is to log."""
    return dict(json.loads((socket_dir(world.data_dir) / LEVELS_FILE).read_bytes()))


def test_levels_of_the_log_are_taken_while_processes_run(world: World) -> None:
    """Nobody starts anew; those that start later find them too; a file that is edited later counts again."""
    assert set(levels_of(world).values()) == {"INFO"}
    said = world.ask(logs_configuration={**LOGGERS, "ts": 8})
    assert said["configuration_refused"] == {}
    assert said["logs_configuration"] == {**LOGGERS, "ts": 8}
    world.gateway.look()
    assert world.gateway.applied == [[]]
    assert {kind for kind, level in levels_of(world).items() if level == "DEBUG"} == {"port_reader", "connector_host"}
    overlay = read_overlay(world.remote / OVERLAY_NAME)
    assert overlay.keys == ("logs_configuration",)
    found = read_gateway(world.config, {}, overlay=overlay).gateway.log_levels
    assert found == {"port_reader": "DEBUG", "connector_host": "DEBUG"}
    (world.config.parent / "logs.json").write_text('{"loggers": {"service": {"level": "ERROR"}}}')
    loaded = read_gateway(world.config, {}, overlay=overlay)
    assert loaded.gateway.log_levels == {"broker": "ERROR", "monitor": "ERROR"}
    assert [warning for warning in loaded.warnings if warning.startswith("logs_configuration: the files were edited")]


def test_a_level_that_was_given_at_the_start_counts(world: World) -> None:
    """Whoever has typed it wants it."""
    place = socket_dir(world.data_dir) / PLAN_NAME
    place.write_bytes(write_plan(read_plan(place.read_bytes())._replace(is_level_given=True)))
    said = world.ask(logs_configuration=LOGGERS)
    assert "was started with --log-level" in said["configuration_refused"]["logs_configuration"]
    assert set(levels_of(world).values()) == {"INFO"}


def test_a_host_that_the_environment_says_is_no_other_host(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dashboard sends the file's host back, as it was told it."""
    monkeypatch.setenv("TB_GW_HOST", "inside")
    active = read_active(world.data_dir / ACTIVE_NAME)
    assert active is not None
    gateway = read_gateway(world.config, {"TB_GW_HOST": "inside"}).gateway
    write_active(world.data_dir / ACTIVE_NAME, msgspec.structs.replace(active, gateway=gateway))
    for host in ("localhost", "inside"):
        said = world.ask(general_configuration={"host": host, "minPackSizeToSend": 9})
        assert said["configuration_refused"] == {}


def test_of_several_parts_those_that_are_right_are_taken(world: World) -> None:
    """The others are named."""
    said = world.ask(general_configuration={"minPackSizeToSend": 7}, Serial=serial({**DEVICE, "parity": "?"}))
    assert list(said["configuration_refused"]) == ["Serial"]
    assert said["general_configuration"]["minPackSizeToSend"] == 7
    assert world.gateway.applied == [["publisher"]]


def test_who_does_not_come_up_brings_back_what_was_good(world: World) -> None:
    """The snapshot, the processes and the overlay are what they were; the reason names who it was."""
    world.gateway.comes_up = False
    said = world.ask(Serial=serial({**DEVICE, "name": "C"}, OTHER))
    assert "port_reader:C has not come up" in said["configuration_refused"]["Serial"]
    assert "what ran before runs again" in said["configuration_refused"]["Serial"]
    assert world.devices == ["A", "B"]
    assert len(world.gateway.applied) == 2
    assert read_overlay(world.remote / OVERLAY_NAME).is_empty


def test_a_change_that_comes_before_the_monitor_has_heard_everybody_is_no_failure(world: World) -> None:
    """Who was running is known before anybody is told to end: else the old process would be taken for the new one, and
    its end for a failure."""
    world.gateway.unheard = world.gateway.late = 1
    said = world.ask(Serial=serial({**DEVICE, "baudrate": 19_200}, OTHER))
    assert said["configuration_refused"] == {}
    assert world.gateway.applied == [["port_reader-A"]]


def test_who_was_killed_while_it_applied_leaves_nothing_half_done(world: World) -> None:
    """The next one returns to what was good, says so, and does not try what had ended its predecessor."""
    good = read_active(world.data_dir / ACTIVE_NAME)
    assert good is not None
    (world.remote / PREVIOUS_NAME).write_bytes(msgspec.json.encode(good))
    request = {"parts": {"Serial": serial(OTHER)}, "fingerprints": {"Serial": "f"}}
    (world.remote / TRYING_NAME).write_text(json.dumps(request))
    gateway = read_gateway(world.config, {}, overlay=put(world.config, "Serial", serial(OTHER))).gateway
    write_active(world.data_dir / ACTIVE_NAME, msgspec.structs.replace(good, gateway=gateway))
    assert world.devices == ["B"]
    said = world.run()
    assert world.devices == ["A", "B"]
    assert said["configuration_refused"] == {"Serial": ENDED}
    assert read_configured(world.remote).handled == {"Serial": "f"}
