"""Three complete configurations as somebody has them who comes from ThingsBoard's gateway, through all processes, a
mosquitto with passwords, TLS and client certificates, and pseudo-terminals: every topic and every payload.

The main file is the one that ThingsBoard ships, with a platform, a connector and what each case is about put in.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from common.core.version import RELEASE
from tests.dropin.certificates import Authority, needs_openssl
from tests.dropin.listeners import pair, start_listeners
from tests.e2e.harness import Gateway, Line, Platform, closing, free_port, needs_mosquitto
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.mosquitto,
    needs_mosquitto,
    needs_openssl,
    pytest.mark.skipif(shutil.which("mosquitto_passwd") is None, reason="mosquitto_passwd is not installed"),
]

CASES = Path(__file__).parent / "cases"
PASSWORD = "pa55w0rd-of-the-gateway"
OWN = "v1/devices/me/"
LIMITS = ("v1/devices/me/rpc/request/1", {"method": "getSessionLimits", "params": {"timeout": 5000}})


class Site(NamedTuple):
    folder: Path
    eyes: int
    password: int
    certificate: int


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """mosquitto: a plain port for the test, TLS with user names and passwords, TLS with client certificates."""
    folder = tmp_path_factory.mktemp("site")
    authority = Authority(folder, "ca")
    authority.sign("server")
    authority.sign("gateway")
    users = folder / "users"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(users), "gateway", PASSWORD], check=True, capture_output=True)
    eyes, password, certificate = (free_port() for _ in range(3))
    process = start_listeners(
        folder,
        {
            eyes: "allow_anonymous true",
            password: f"{pair(folder, 'server')}\nallow_anonymous false\npassword_file {users}",
            certificate: f"{pair(folder, 'server')}\nallow_anonymous false\nrequire_certificate true\n"
            f"use_identity_as_username true\ncafile {folder}/ca.pem",
        },
    )
    yield Site(folder, eyes, password, certificate)
    process.terminate()
    process.wait(10)


def write(folder: Path, site: Site, devices: list[dict[str, Any]], **thingsboard: Any) -> Path:
    """The shipped main file with a connector, as people change it; the certificates beside it."""
    folder.mkdir()
    main = json.loads((CASES / "tb_gateway.json").read_text())
    main["thingsboard"] |= {"host": "localhost", **thingsboard}
    main["connectors"] = [
        {"name": "Serial", "type": "serial", "configuration": "serial.json", "class": "CustomSerialConnector"}
    ]
    (folder / "tb_gateway.json").write_text(json.dumps(main))
    (folder / "serial.json").write_text(json.dumps({"name": "Serial", "devices": devices}))
    (folder / "logs.json").write_text((CASES / "logs.json").read_text())
    for name in ("ca.pem", "gateway.pem", "gateway.key"):
        (folder / name).write_bytes((site.folder / name).read_bytes())
    return folder / "tb_gateway.json"


def by_password(site: Site) -> dict[str, Any]:
    security = {"type": "usernamePassword", "username": "gateway", "password": PASSWORD, "clientId": "gw-1"}
    return {"port": site.password, "security": {"caCert": "ca.pem", **security}}


def introduced(device: str) -> dict[str, Any]:
    return {device: {"connectorType": "serial", "connectorName": "Serial"}}


def since(platform: Platform, start: int, prefix: str) -> list[tuple[str, Any]]:
    return [(one.topic, one.payload) for one in platform.seen[start:] if one.topic.startswith(prefix)]


def once(messages: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Each message once: a device is announced by its reader's heartbeat, and by its stream."""
    return [one for index, one in enumerate(messages) if one not in messages[:index]]


def attributes_of(platform: Platform, device: str) -> dict[str, Any]:
    """The attributes as the platform has them in the end."""
    return {key: value for one in platform.on("v1/gateway/attributes", device) for key, value in one.items()}


def test_one_device(site: Site, tmp_path: Path) -> None:
    """With name and password over TLS: every message from its connect to its goodbye, and the gateway's own."""
    line, platform = Line(tmp_path / "ttyOne"), Platform(site.eyes)
    start = len(platform.seen)
    device = {
        "name": "one",
        "type": "thermometer",
        "port": str(line.path),
        "converter": "SerialUplinkConverter",
        "downlink_converter": "SerialDownlinkConverter",
        "telemetry": [{"type": "float", "key": "humidity", "untilDelimiter": "\r"}],
        "attributes": [{"key": "SerialNumber", "type": "string", "fromByte": 3, "toByte": -1}],
        "attributeUpdates": [{"attributeOnPlatform": "attr1", "stringToDevice": "value = ${attr1}\n"}],
        "serverSideRpc": [
            {"method": "setValue", "type": "float", "withResponse": False},
            {"method": "getValue", "type": "string", "withResponse": True, "responseType": "string"},
        ],
    }
    statistics = {"enable": True, "statsSendPeriodInSeconds": 10, "customStatsSendPeriodInSeconds": 3600}
    config = write(tmp_path / "config", site, [device], **by_password(site), statistics=statistics)
    gateway = Gateway(tmp_path, config)
    with closing(platform, line, gateway):
        assert gateway.cli("check", str(config)).returncode == 0
        gateway.start_all(["one"])
        platform.wait_connected("one")
        line.write(b"48\r2430947595\n")
        (item,) = platform.wait_telemetry("one", 1)
        platform.wait_for(
            lambda _: attributes_of(platform, "one") == introduced("one")["one"] | {"SerialNumber": "2430947595"},
            "attributes",
        )
        platform.say("v1/gateway/attributes", {"device": "one", "data": {"attr1": 25}})
        assert line.read_until(b"\n") == b"value = 25\n"
        assert platform.call("one", "setValue", 1.5, 7) == {"success": True}
        assert line.read_until(b"\x00\x00") == b"\x3f\xc0\x00\x00"
        platform.say("v1/gateway/rpc", {"device": "one", "data": {"id": 8, "method": "getValue", "params": "ask\n"}})
        line.read_until(b"ask\n")
        line.write(b"answer\n")
        assert platform.reply("one", 8) == {"result": "answer"}
        assert platform.call("one", "none", 1, 9) == {"error": "Method not found", "success": False}
        platform.say(OWN + "rpc/request/50", {"method": "gateway_devices", "params": {}})
        platform.wait_for(
            lambda _: (
                (OWN + "rpc/response/50", {"code": 200, "resp": {"one": "Serial"}}) in since(platform, start, OWN)
            ),
            "the answer of the gateway",
        )
        own = platform.wait_for(lambda _: dict(since(platform, start, OWN + "telemetry")), "statistics", 30.0)
        assert gateway.stop()["publisher"] == 0
        goodbye = ("v1/gateway/disconnect", {"device": "one"})
        platform.wait_for(lambda _: goodbye in since(platform, start, "v1/gateway"), "the goodbye")
        seen = [one for one in since(platform, start, "v1/gateway") if not one[0].endswith(("/attributes", "/rpc"))]
        # Each announcement has its question.
        seen = [(topic, {**said, "id": 1} if topic.endswith("request") else said) for topic, said in seen]
        assert once(seen) == [
            ("v1/gateway/connect", {"device": "one", "type": "thermometer"}),
            ("v1/gateway/attributes/request", {"id": 1, "device": "one", "client": False, "keys": ["attr1"]}),
            ("v1/gateway/telemetry", {"one": [{"ts": item["ts"], "values": {"humidity": 48}}]}),
            goodbye,
        ]
        first = since(platform, start, OWN)
        assert first[0] == LIMITS
        (attributes,) = [payload for topic, payload in first if topic == OWN + "attributes"]
        assert attributes.keys() == {"Version", "totalMemory", "totalDisk", "cpuCount"}
        assert attributes["Version"] == RELEASE
        assert own[OWN + "telemetry"].keys() >= {"eventsProduced", "eventsSent", "machineStats", "serviceStats"}
        assert own[OWN + "telemetry"]["connectorsStats"]["Serial"]["connectorMsgsReceived"] == 1
        assert not any(PASSWORD in gateway.log(name) for name in gateway.processes)


class Form(NamedTuple):
    """One device of eight: how it is configured, what it says, and what comes of that."""

    config: dict[str, Any]
    frame: bytes
    values: dict[str, Any]
    attributes: dict[str, Any]


FORMS = {
    "text": Form({"telemetry": [{"key": "t", "type": "string"}]}, b" warm \n", {"t": "warm"}, {}),
    "whole": Form({"timeseries": [{"key": "n", "type": "int"}]}, b"-12\n", {"n": -12}, {}),
    "fraction": Form({"telemetry": [{"key": "x", "type": "double"}]}, b"1.25\n", {"x": 1.25}, {}),
    "switch": Form({"telemetry": [{"key": "on", "type": "bool"}]}, b"1\n", {"on": True}, {}),
    "parsed": Form({"telemetry": [{"key": "j", "type": "json"}]}, b'{"a":[1,2]}\n', {"j": {"a": [1, 2]}}, {}),
    "digits": Form({"telemetry": [{"key": "h", "fromByte": 0, "toByte": 2}]}, b"\x01\xff\n", {"h": "01ff"}, {}),
    "between": Form(
        {"telemetry": [{"key": "v", "type": "int", "fromDelimiter": "=", "untilDelimiter": ";"}]},
        b"v=7;x\n",
        {"v": 7},
        {},
    ),
    "property": Form(
        {
            "telemetry": [{"key": "n", "type": "int", "toByte": 1}],
            "attributes": [{"key": "id", "type": "string", "fromByte": 2}],
        },
        b"3 AB\n",
        {"n": 3},
        {"id": "AB"},
    ),
}
CALLS: list[tuple[dict[str, Any], Any, bytes, bytes, Any]] = [
    # (the RPC, params, what is written, what the device answers, the reply)
    ({"method": "int", "type": "int"}, 258, b"\x01\x02", b"", {"success": True}),
    ({"method": "small", "type": "int"}, 7, b"\x07", b"", {"success": True}),
    ({"method": "float", "type": "float"}, 1.5, b"\x3f\xc0\x00\x00", b"", {"success": True}),
    ({"method": "text"}, "go\n", b"go\n", b"", {"success": True}),
    ({"method": "template", "template": "SET ${params.a}\r\n"}, {"a": 5}, b"SET 5\r\n", b"", {"success": True}),
    ({"method": "ask", "withResponse": True, "responseType": "int"}, "?\n", b"?\n", b"42\n", {"result": 42}),
    (
        {"method": "place", "withResponse": True, "responseType": "string", "responseFromByte": 2, "responseToByte": 4},
        "!\n",
        b"!\n",
        b"xxOKyy\n",
        {"result": "OK"},
    ),
    (
        {"method": "until", "withResponse": True, "responseType": "float", "responseUntilDelimiter": ";"},
        "#\n",
        b"#\n",
        b"2.5;rest\n",
        {"result": 2.5},
    ),
]
UPDATES: list[tuple[dict[str, Any], dict[str, Any], bytes]] = [
    ({"attributeOnPlatform": "a", "stringToDevice": "a=${a}\n"}, {"a": 25}, b"a=25\n"),
    ({"attributeOnThingsBoard": "b", "stringToDevice": "${deviceName}:${b}\n"}, {"b": "x"}, b"NAME:x\n"),
    ({"attributeOnPlatform": "c", "stringToDevice": "${deviceType} ${c}\n"}, {"c": True}, b"kind true\n"),
]


def test_eight_devices_with_every_form(site: Site, tmp_path: Path) -> None:
    """Each type of value, each form of a call, each form of an attribute update, older spellings among them."""
    names = list(FORMS)
    lines = {name: Line(tmp_path / f"tty{name}") for name in names}
    devices = []
    for number, (name, form) in enumerate(FORMS.items()):
        spelled = {"deviceName": name, "deviceType": "kind"} if number % 2 else {"name": name, "type": "kind"}
        updates = UPDATES[number % len(UPDATES)][0]
        common = {
            "port": str(lines[name].path),
            "baudrate": 115_200,
            "downlink_converter": "SerialDownlinkConverter",
            "serverSideRpc": [CALLS[number][0]],
            "attributeUpdates": [updates],
        }
        devices.append({**spelled, **common, **form.config})
    platform = Platform(site.eyes)
    start = len(platform.seen)
    gateway = Gateway(tmp_path, write(tmp_path / "config", site, devices, **by_password(site)))
    with closing(platform, *lines.values(), gateway):
        assert gateway.cli("check", str(gateway.config)).returncode == 0
        gateway.start_all(names)
        platform.wait_connected(*names, deadline_s=40.0)
        for number, (name, form) in enumerate(FORMS.items()):
            line = lines[name]
            line.write(form.frame)
            (item,) = platform.wait_telemetry(name, 1)
            assert (name, item["values"]) == (name, form.values)
            expected = introduced(name)[name] | form.attributes
            platform.wait_for(
                lambda _, name=name, expected=expected: attributes_of(platform, name) == expected, "attributes"
            )
            rpc, params, written, answer, reply = CALLS[number]
            asked = {"id": number, "method": rpc["method"], "params": params}
            platform.say("v1/gateway/rpc", {"device": name, "data": asked})
            assert line.read_until(written) == written
            line.write(answer)
            assert (name, platform.reply(name, number)) == (name, reply)
            update, data, update_written = UPDATES[number % len(UPDATES)]
            platform.say("v1/gateway/attributes", {"device": name, "data": data})
            assert line.read_until(b"\n") == update_written.replace(b"NAME", name.encode())
            key = update.get("attributeOnPlatform") or update["attributeOnThingsBoard"]
            question = {"device": name, "client": False, "keys": [key]}
            asked_for = platform.on("v1/gateway/attributes/request", name)
            assert [{**question, "id": one["id"]} for one in asked_for] == asked_for
        connects = [payload for topic, payload in since(platform, start, "v1/gateway/connect")]
        assert {one["device"] for one in connects} == set(names)
        assert {one["type"] for one in connects} == {"kind"}
        known = ("connect", "attributes", "attributes/request", "telemetry", "rpc")
        assert {topic for topic, _ in since(platform, start, "v1/gateway")} <= {f"v1/gateway/{one}" for one in known}
        assert set(gateway.stop().values()) == {0}
        wait_until(lambda: len(once(since(platform, start, "v1/gateway/disconnect"))) == len(names), "all goodbyes")


def test_client_certificates(site: Site, tmp_path: Path) -> None:
    """TLS both ways: nobody else is let in at that port."""
    line, platform = Line(tmp_path / "ttyOne"), Platform(site.eyes)
    start = len(platform.seen)
    device = {"name": "sealed", "port": str(line.path), "telemetry": [{"key": "n", "type": "int"}]}
    security = {"type": "tlsPrivateKey", "caCert": "ca.pem", "privateKey": "gateway.key", "cert": "gateway.pem"}
    config = write(tmp_path / "config", site, [device], port=site.certificate, security=security)
    gateway = Gateway(tmp_path, config)
    with closing(platform, line, gateway):
        check = gateway.cli("check", str(config), "--connect")
        assert (check.returncode, "the platform lets the gateway in" in check.stdout) == (0, True), check.stdout
        gateway.start_all(["sealed"])
        platform.wait_connected("sealed")
        line.write(b"5\n")
        (item,) = platform.wait_telemetry("sealed", 1)
        platform.wait_for(lambda _: attributes_of(platform, "sealed"), "whose it is")
        connect, *rest = once(since(platform, start, "v1/gateway"))
        assert connect == ("v1/gateway/connect", {"device": "sealed", "type": "default"})
        assert sorted(rest, key=lambda one: one[0]) == [
            ("v1/gateway/attributes", introduced("sealed")),
            ("v1/gateway/telemetry", {"sealed": [{"ts": item["ts"], "values": {"n": 5}}]}),
        ]
        assert "u'gateway'" in (site.folder / "mosquitto.log").read_text()
        assert set(gateway.stop().values()) == {0}
