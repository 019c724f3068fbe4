"""A gateway without credentials gets some from the platform, keeps them, and uses them from then on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from common.config.models import Platform, Provisioning, Security
from common.core.errors import ConfigError
from services.publisher.core.dialects.provisioning import Ask, Denied
from services.publisher.core.dialects.thingsboard_provisioning import ThingsBoardProvisioning
from services.publisher.core.events import (
    ConnectPlatform,
    CredentialsKept,
    CredentialsRemoved,
    DisconnectPlatform,
    KeepCredentials,
    LinkDown,
    LinkRefused,
    LinkUp,
    PlatformMessage,
    Publish,
)
from services.publisher.shell.credentials import find_credentials, keep_credentials, make_ask, remove_credentials
from tests.dropin.certificates import Authority, needs_openssl
from tests.dropin.listeners import start_listeners
from tests.dropin.scripted_platform import ScriptedPlatform, TlsDoor
from tests.support.publisher_driving import Driver, batch, points
from tests.support.publisher_process import FakeBroker, Publisher, free_port, needs_mosquitto

needs_broker = needs_mosquitto[1]
KEY, SECRET, TOKEN = "k3y-of-the-profile", "s3cret-of-the-profile", "t0ken-that-is-wished-for"
ASKED = {"provisionDeviceKey": KEY, "provisionDeviceSecret": SECRET, "deviceName": "Gateway 7"}
SUCCESS = {"status": "SUCCESS"}
ACL = """user server
topic readwrite #
user provision
topic readwrite /provision/#
user {user}
topic readwrite v1/#
"""


class Site(NamedTuple):
    folder: Path
    port: int


# Through a real broker: whoever is not let in by the given credentials can't publish a reading.


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    port = free_port()
    (tmp_path / "acl").write_text(ACL.format(user=TOKEN) + "user gw-user\ntopic readwrite v1/#\n")
    process = start_listeners(tmp_path, {port: f"allow_anonymous true\nacl_file {tmp_path}/acl"})
    yield Site(tmp_path, port)
    process.terminate()
    process.wait(10)


def start(site: Site, port: int | None = None, **provisioning: Any) -> tuple[FakeBroker, Publisher]:
    (site.folder / "data").mkdir(exist_ok=True)
    broker = FakeBroker(site.folder / "data")
    config = {"host": "localhost", "port": port or site.port, "provisioning": {**ASKED, **provisioning}}
    return broker, Publisher(site.folder, config)


def deliver(broker: FakeBroker, platform: ScriptedPlatform, generation: int, first: int) -> None:
    """A reading goes all the way."""
    broker.send(batch(first, points(first, 1), base=first, generation=generation))
    broker.wait_settled(first + 1)
    broker.wait(lambda: {"n": first} in values(platform), "the reading")


def values(platform: ScriptedPlatform) -> list[Any]:
    said = platform.on("v1/gateway/telemetry")
    return [item["values"] for payload in said for item in payload.get("press1", [])]


@pytest.mark.parametrize("kind", ["ACCESS_TOKEN", "MQTT_BASIC"])
@needs_broker
@pytest.mark.mosquitto
def test_credentials_are_given_kept_and_used(site: Site, kind: str) -> None:
    """Asked for once; a publisher that was killed goes on with them; its file is private; no log has them."""
    wish = {"username": "gw-user", "password": "gw-pass", "client_id": "gw-id"}
    asked = {"access_token": TOKEN} if kind == "ACCESS_TOKEN" else wish
    platform = ScriptedPlatform(site.port, SUCCESS)
    broker, publisher = start(site, type=kind, **asked)
    try:
        broker.wait_link()
        deliver(broker, platform, 1, 1)
        kept = site.folder / "data" / "publisher.credentials"
        assert kept.stat().st_mode & 0o777 == 0o600
        publisher.process.send_signal(signal.SIGKILL)
        publisher.wait()
        log = publisher.said
        publisher = Publisher(site.folder, json.loads((site.folder / "tb_gateway.json").read_text())["thingsboard"])
        epoch = broker.epoch
        broker.wait(lambda: broker.epoch != epoch and broker.beat and broker.beat.state["link"] == "up", "link up")
        deliver(broker, platform, 2, 5)
        (request,) = platform.on("/provision/request")
        expected: dict[str, Any] = {"gateway": True, "credentialsType": kind, **ASKED}
        expected |= {"token": TOKEN} if kind == "ACCESS_TOKEN" else WISHED
        assert request == expected
        assert publisher.stop() == 0
        shown = log + publisher.said + repr(broker.beat)
        assert "gateway.provisioned" in log
        assert not any(secret in shown for secret in (KEY, SECRET, TOKEN, "gw-pass", "gw-user"))
        mosquitto = (site.folder / "mosquitto.log").read_text()
        assert f"u'{TOKEN if kind == 'ACCESS_TOKEN' else 'gw-user'}'" in mosquitto
        if kind == "MQTT_BASIC":
            assert " as gw-id " in mosquitto
    finally:
        publisher.close()
        broker.close()
        platform.close()


@needs_broker
@pytest.mark.mosquitto
def test_credentials_that_are_to_be_forgotten_are_asked_for_anew_at_the_next_start(site: Site) -> None:
    """The connection that stands goes on with them; a second call finds none."""
    platform = ScriptedPlatform(site.port, SUCCESS)
    broker, publisher = start(site, access_token=TOKEN)
    kept = site.folder / "data" / "publisher.credentials"
    try:
        broker.wait_link()
        assert kept.exists()
        for number, code in ((1, 200), (2, 404)):
            method = {"method": "gateway_remove_provisioned_credentials", "params": None}
            platform.say(f"v1/devices/me/rpc/request/{number}", method)
            topic = f"v1/devices/me/rpc/response/{number}"
            broker.wait(lambda topic=topic: platform.on(topic), "an answer")
            assert platform.on(topic)[0]["code"] == code
            assert not kept.exists()
        deliver(broker, platform, 1, 1)
        assert publisher.stop() == 0
        publisher = Publisher(site.folder, json.loads((site.folder / "tb_gateway.json").read_text())["thingsboard"])
        broker.wait(lambda: len(platform.on("/provision/request")) == 2 and kept.exists(), "credentials anew")
    finally:
        publisher.close()
        broker.close()
        platform.close()


def test_what_is_removed_of_given_credentials(tmp_path: Path) -> None:
    """Key and certificate with them; never the other gateway's file, which would take their place."""
    data, folder = tmp_path / "data", tmp_path / "config"
    data.mkdir()
    folder.mkdir()
    assert remove_credentials(data, folder) == (False, "")
    names = ("publisher.credentials", "publisher.key.pem", "publisher.cert.pem")
    for name in names:
        (data / name).write_text("x")
    (folder / ".credentials").write_text("{}")
    found, why = remove_credentials(data, folder)
    assert found
    assert "is the other gateway's" in why
    assert sorted(path.name for path in data.iterdir()) == sorted(names)
    (folder / ".credentials").unlink()
    assert remove_credentials(data, folder) == (True, "")
    assert list(data.iterdir()) == []


WISHED = {"username": "gw-user", "password": "gw-pass", "clientId": "gw-id"}


@needs_openssl
@needs_broker
@pytest.mark.mosquitto
def test_a_certificate_is_made_given_to_the_platform_and_shown_from_then_on(tmp_path: Path) -> None:
    """The key stays here, in a file of its user's alone."""
    Authority(tmp_path, "ca").sign("server")
    port = free_port()
    process = start_listeners(tmp_path, {port: "allow_anonymous true"})
    door = TlsDoor(tmp_path, "server", port)
    platform = ScriptedPlatform(port)
    broker, publisher = start(Site(tmp_path, port), door.port, type="X509_CERTIFICATE", caCert="ca.pem")
    try:
        broker.wait(lambda: platform.on("/provision/request"), "the question")
        (request,) = platform.on("/provision/request")
        assert request == {"gateway": True, "credentialsType": "X509_CERTIFICATE", "hash": request["hash"], **ASKED}
        door.trust(request["hash"])
        given = {"status": "SUCCESS", "credentialsType": "X509_CERTIFICATE", "credentialsValue": request["hash"]}
        platform.say("/provision/response", given)
        broker.wait_link()
        deliver(broker, platform, 1, 1)
        assert door.shown[0] is None
        assert door.shown[-1] == request["hash"]
        assert (tmp_path / "data" / "publisher.key.pem").stat().st_mode & 0o777 == 0o600
        assert "PRIVATE KEY" in (tmp_path / "data" / "publisher.key.pem").read_text()
        assert publisher.stop() == 0
    finally:
        publisher.close()
        broker.close()
        platform.close()
        door.close()
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (
            {"status": "NOT_FOUND", "errorMsg": "Provision data was not found!"},
            "does not know the key for provisioning",
        ),
        ({"status": "FAILURE", "errorMsg": "Failed to provision device!"}, "(Failed to provision device!)"),
        ({"status": "SUCCESS?"}, "knows the key for provisioning, and gives no credentials"),
    ],
)
@needs_broker
@pytest.mark.mosquitto
def test_a_refusal_is_said_in_log_and_status(site: Site, gives: dict[str, Any], said: str) -> None:
    """With what to do, and no secret; nothing is kept."""
    platform = ScriptedPlatform(site.port, gives)
    broker, publisher = start(site, access_token=TOKEN)
    try:
        broker.wait(lambda: broker.beat is not None and said in broker.beat.state["fault"], said)
        broker.wait(lambda: "gateway.not_provisioned" in publisher.said and "retry_in_s" in publisher.said, "the log")
        shown = publisher.said + repr(broker.beat)
        assert not any(secret in shown for secret in (KEY, SECRET, TOKEN))
        assert not (site.folder / "data" / "publisher.credentials").exists()
    finally:
        publisher.close()
        broker.close()
        platform.close()


# By itself.


def made(answer_to: str = "ACCESS_TOKEN", **options: Any) -> Driver:
    ask = Ask("ACCESS_TOKEN", "Gateway 7", KEY, SECRET, access_token=TOKEN)
    config = Platform(provisioning=Provisioning(key=KEY, secret=SECRET))
    return Driver(config, provisioning=(ThingsBoardProvisioning(), ask), **options)


def answer(driver: Driver, payload: Any, topic: str = "/provision/response") -> list[Any]:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return driver.hear(PlatformMessage(driver.connection, topic, data))


GIVEN = {"status": "SUCCESS", "credentialsType": "ACCESS_TOKEN", "credentialsValue": TOKEN}


def test_nothing_else_is_said_before_there_are_credentials() -> None:
    """Readings wait; then the connection is made anew, and they go out."""
    driver = made()
    driver.take(batch(1, points(1, 2)))
    driver.hear(LinkUp(driver.connection, 5))
    assert [order.topic for order in driver.published] == ["/provision/request"]
    first = driver.connection
    effects = answer(driver, GIVEN)
    kinds = [
        type(effect) for effect in effects if isinstance(effect, DisconnectPlatform | KeepCredentials | ConnectPlatform)
    ]
    assert kinds == [DisconnectPlatform, KeepCredentials, ConnectPlatform]
    assert driver.connection == first + 1
    driver.hear(CredentialsKept())
    # Of the connection that is over nothing is heard any more.
    driver.hear(LinkDown(first, "closed", True))
    driver.up(limits={})
    driver.ack_all()
    assert driver.items() == points(1, 2)
    assert not driver.core._connecting.is_asking


def test_a_refusal_is_asked_again_more_and_more_slowly_and_said_once() -> None:
    """Until somebody has put it right."""
    driver = made()
    starts = []
    for _ in range(4):
        driver.hear(LinkUp(driver.connection, 5))
        answer(driver, {"status": "NOT_FOUND"})
        before = driver.now_s
        connection = driver.connection
        while driver.connection == connection:
            driver.wait(1.0)
        starts.append(driver.now_s - before)
    assert starts == sorted(starts)
    assert starts[0] >= 12
    assert starts[-1] <= 75
    assert len([note for note in driver.notes if note.event == "gateway.not_provisioned"]) == 1
    driver.hear(LinkUp(driver.connection, 5))
    assert any(isinstance(effect, KeepCredentials) for effect in answer(driver, GIVEN))


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff",
        [],
        {"status": 5},
        {"status": "SUCCESS"},
        {**GIVEN, "credentialsValue": ""},
        {**GIVEN, "credentialsValue": None},
        {**GIVEN, "credentialsType": "LWM2M_CREDENTIALS"},
        {"status": "SUCCESS", "credentialsType": "X509_CERTIFICATE", "credentialsValue": "x"},
    ],
)
def test_an_answer_that_cannot_be_used_is_a_refusal(payload: Any) -> None:
    """Also credentials of another kind than those that were asked for."""
    driver = made()
    driver.hear(LinkUp(driver.connection, 5))
    assert not any(isinstance(effect, KeepCredentials) for effect in answer(driver, payload))
    (note,) = [note for note in driver.notes if note.event == "gateway.not_provisioned"]
    assert "can't be understood" in str(note.facts["reason"])


def test_no_answer_is_said_and_asked_again() -> None:
    """A plain MQTT broker does not answer; one that hangs up says no more."""
    driver = made()
    driver.hear(LinkUp(driver.connection, 5))
    driver.wait(31)
    driver.hear(LinkUp(driver.connection, 5))
    driver.wait(20)
    driver.hear(LinkUp(driver.connection, 5))
    driver.hear(LinkDown(driver.connection, "closed", True))
    said = [str(note.facts["reason"]) for note in driver.notes if note.event == "gateway.not_provisioned"]
    assert "has not answered within 30 s when the gateway asks for credentials" in said[0]
    assert "hangs up when the gateway asks for credentials" in said[-1]


def test_a_platform_that_lets_nobody_ask_is_said() -> None:
    """As any refusal at CONNACK, in words that fit."""
    driver = made()
    driver.hear(LinkRefused(driver.connection, 135, "Not authorized"))
    (note,) = [note for note in driver.notes if note.event == "link.refused"]
    assert "lets nobody ask for credentials" in str(note.facts["reason"])


def test_given_credentials_that_are_refused_later_are_said() -> None:
    """With the file that is to be removed."""
    driver = Driver(Platform(provisioning=Provisioning(), security=Security(type="accessToken", access_token=TOKEN)))
    driver.hear(LinkRefused(driver.connection, 134, "Bad user name or password"))
    (note,) = [note for note in driver.notes if note.event == "link.refused"]
    assert "remove the file publisher.credentials" in str(note.facts["reason"])


def test_credentials_that_cannot_be_written_serve_and_are_written_later() -> None:
    """A full disk is said once; the gateway works meanwhile."""
    driver = made()
    driver.hear(LinkUp(driver.connection, 5))
    answer(driver, GIVEN)
    driver.hear(CredentialsKept("publisher.credentials: No space left on device"))
    driver.up(limits={})
    driver.take(batch(1, points(1, 1)))
    driver.ack_all()
    assert driver.items() == points(1, 1)
    effects = driver.wait(31)
    assert [effect for effect in effects if isinstance(effect, KeepCredentials)]
    driver.hear(CredentialsKept("publisher.credentials: No space left on device"))
    effects = driver.wait(31)
    driver.hear(CredentialsKept())
    assert not [effect for effect in driver.wait(100) if isinstance(effect, KeepCredentials)]
    assert len([note for note in driver.notes if note.event == "credentials.not_kept"]) == 1
    assert not any(isinstance(effect, Publish) and effect.topic == "/provision/request" for effect in effects)


def test_credentials_that_are_forgotten_before_they_were_written_are_not_written_later() -> None:
    """Else they were there again at the next start."""
    driver = made()
    driver.hear(LinkUp(driver.connection, 5))
    answer(driver, GIVEN)
    driver.hear(CredentialsKept("publisher.credentials: No space left on device"))
    driver.up(limits={})
    driver.say("v1/devices/me/rpc/request/8", {"method": "gateway_remove_provisioned_credentials"})
    driver.hear(CredentialsRemoved("8", False))
    assert not [effect for effect in driver.wait(100) if isinstance(effect, KeepCredentials)]


def test_what_the_reference_has_kept_is_used(tmp_path: Path) -> None:
    """Its file beside the main file; our own goes first."""
    (tmp_path / "data").mkdir()
    platform = Platform(security=Security(ca_cert="/ca.pem"))
    theirs = {"credentialsType": "MQTT_BASIC", "credentialsValue": {"clientId": "c", "userName": "u", "password": "p"}}
    (tmp_path / ".credentials").write_text(json.dumps({**theirs, "status": "SUCCESS"}))
    found = find_credentials(platform, tmp_path / "data", tmp_path)
    assert found.security == Security(
        type="usernamePassword", username="u", password="p", client_id="c", ca_cert="/ca.pem"
    )
    keep_credentials(tmp_path / "data", json.dumps({**GIVEN, "version": 1}).encode())
    found = find_credentials(platform, tmp_path / "data", tmp_path)
    assert found.security == Security(type="accessToken", access_token=TOKEN, ca_cert="/ca.pem")


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"{}", b'{"credentialsType":"X"}', b'{"credentialsType":"ACCESS_TOKEN"}']
)
def test_kept_credentials_that_cannot_be_read_are_set_aside(tmp_path: Path, content: bytes) -> None:
    """The gateway asks anew, and the log says so without a word of what stands there."""
    (tmp_path / "publisher.credentials").write_bytes(content)
    found = find_credentials(Platform(), tmp_path, tmp_path / "none")
    assert found.security is None
    assert found.fault.endswith("the gateway asks for credentials anew")
    assert (tmp_path / "publisher.credentials.unreadable").read_bytes() == content


def test_what_is_not_wished_for_is_drawn(tmp_path: Path) -> None:
    """Anew each time, of letters."""
    one, other = (make_ask(Provisioning(type="MQTT_BASIC", key=KEY, secret=SECRET), tmp_path) for _ in range(2))
    assert one.device_name.startswith("Gateway ")
    assert one.password != other.password
    assert len(one.password) == 20
    assert one.password.isalpha()
    assert (one.key, one.certificate) == (KEY, "")


def test_without_openssl_a_certificate_is_refused_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything starts."""
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(ConfigError, match="needs the command openssl, which is not there"):
        make_ask(Provisioning(type="X509_CERTIFICATE", key=KEY, secret=SECRET), tmp_path)


def test_no_answer_on_another_topic_counts() -> None:
    """Only what comes on the topic of answers is one."""
    assert ThingsBoardProvisioning().answer("v1/gateway/rpc", json.dumps(GIVEN).encode()) is None
    assert ThingsBoardProvisioning().answer("/provision/response", b"{") == Denied("unclear")
