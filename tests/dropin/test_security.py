"""Each way in which a gateway proves who it is, and each in which that fails: a sentence in the log and in `status`,
another attempt, and not a byte of a secret."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from common.config.models import Platform, Security
from common.config.reading import read_gateway
from common.core.errors import ConfigError
from common.io.tls import tls_context
from tests.dropin.certificates import Authority, needs_openssl
from tests.dropin.listeners import pair, start_listeners
from tests.support.publisher_driving import batch, points
from tests.support.publisher_process import (
    FakeBroker,
    Publisher,
    Subscriber,
    free_port,
    needs_mosquitto,
)

pytestmark = needs_mosquitto

PASSWORD = "pa55w0rd-of-the-gateway"
TOKEN = "t0ken-of-the-gateway"


class Site(NamedTuple):
    """A folder with certificates, and the ports of a real mosquitto that lets in who proves it."""

    folder: Path
    token: int
    """TLS, and a token as user name (or a user name with a password)."""
    certificate: int
    """TLS, with a certificate of the client."""
    expired: int
    """TLS, with a certificate that has expired."""
    eyes: int
    """Without anything, for the test itself."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    authority, stranger = Authority(folder, "ca"), Authority(folder, "stranger")
    authority.sign("server")
    authority.sign("old-server", days=-1)
    authority.sign("gateway")
    authority.sign("old-gateway", days=-1)
    stranger.sign("impostor")
    users = folder / "users"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(users), "gateway", PASSWORD], check=True, capture_output=True)
    token, certificate, expired, eyes = (free_port() for _ in range(4))
    rules = f"password_file {users}"
    process = start_listeners(
        folder,
        {
            eyes: "allow_anonymous true",
            token: f"{pair(folder, 'server')}\nallow_anonymous false\n{rules}",
            certificate: f"{pair(folder, 'server')}\nrequire_certificate true\nuse_identity_as_username true\n"
            f"cafile {folder}/ca.pem\nallow_anonymous false",
            expired: f"{pair(folder, 'old-server')}\nallow_anonymous true",
        },
    )
    yield Site(folder, token, certificate, expired, eyes)
    process.terminate()
    process.wait(10)


def run(folder: Path, thingsboard: dict[str, Any]) -> tuple[FakeBroker, Publisher]:
    (folder / "data").mkdir()
    broker = FakeBroker(folder / "data")
    return broker, Publisher(folder, {"host": "localhost", **thingsboard})


@needs_openssl
@pytest.mark.parametrize("kind", ["certificate", "password"])
def test_a_gateway_is_let_in_and_publishes(site: Site, tmp_path: Path, kind: str) -> None:
    """By a client certificate whose files stand beside the main file, and by a name with a password."""
    for name in ("ca.pem", "gateway.pem", "gateway.key"):
        (tmp_path / name).write_bytes((site.folder / name).read_bytes())
    security: dict[str, Any] = {"type": "tlsPrivateKey", "cert": "gateway.pem", "privateKey": "gateway.key"}
    if kind == "password":
        security = {"type": "usernamePassword", "username": "gateway", "password": PASSWORD, "clientId": "gw-1"}
    port = site.certificate if kind == "certificate" else site.token
    eyes = Subscriber(site.eyes)
    broker, publisher = run(tmp_path, {"port": port, "security": {"caCert": "ca.pem", **security}})
    try:
        broker.wait_link()
        broker.send(batch(1, points(1, 3)))
        broker.wait_settled(4)
        broker.wait(lambda: eyes.values("press1") == [1, 2, 3], "the readings")
        assert publisher.stop() == 0
        assert PASSWORD not in publisher.said
    finally:
        publisher.close()
        broker.close()
        eyes.close()


@needs_openssl
@pytest.mark.parametrize(
    ("port", "security", "said"),
    [
        ("expired", {"accessToken": TOKEN, "caCert": "ca.pem"}, "has expired: it is to be renewed there"),
        ("token", {"accessToken": TOKEN, "caCert": "stranger.pem"}, "was not signed by the one in the file that"),
        ("token", {"accessToken": TOKEN, "caCert": "ca.pem"}, "refuses the access token of the gateway: check"),
        (
            "token",
            {"username": "gateway", "password": PASSWORD + "!", "caCert": "ca.pem"},
            "refuses the user name and password of the gateway",
        ),
        ("certificate", {"accessToken": TOKEN, "caCert": "ca.pem"}, "wants a certificate of the gateway, or another"),
        (
            "certificate",
            {"type": "tlsPrivateKey", "caCert": "ca.pem", "cert": "impostor.pem", "privateKey": "impostor.key"},
            "wants a certificate of the gateway, or another",
        ),
        (
            "certificate",
            {"type": "tlsPrivateKey", "caCert": "ca.pem", "cert": "old-gateway.pem", "privateKey": "old-gateway.key"},
            "says that the certificate of the gateway has expired: renew",
        ),
        (
            "eyes",
            {"accessToken": TOKEN, "caCert": "ca.pem"},
            "speaks MQTT without TLS, and the gateway begins with TLS",
        ),
        ("token", {"accessToken": TOKEN}, "speaks TLS, and the gateway does not"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_keeps_a_gateway_out_is_said(
    site: Site, tmp_path: Path, port: str, security: dict[str, Any], said: str
) -> None:
    """In the log and in the heartbeat that `status` shows; it is tried again, and no secret is shown."""
    for name in ("ca.pem", "stranger.pem", "impostor.pem", "impostor.key", "old-gateway.pem", "old-gateway.key"):
        (tmp_path / name).write_bytes((site.folder / name).read_bytes())
    broker, publisher = run(tmp_path, {"port": getattr(site, port), "security": security})
    try:
        broker.wait(lambda: broker.beat is not None and said in broker.beat.state["fault"], said, 40.0)
        broker.wait(lambda: said in publisher.said and "retry_in_s" in publisher.said, "the line in the log")
        assert broker.beat is not None
        shown = publisher.said + repr(broker.beat)
        assert TOKEN not in shown
        assert PASSWORD not in shown
    finally:
        publisher.close()
        broker.close()


@needs_openssl
def test_a_wrong_host_name_is_said(site: Site, tmp_path: Path) -> None:
    """The certificate is for localhost, and the configuration names the address."""
    (tmp_path / "ca.pem").write_bytes((site.folder / "ca.pem").read_bytes())
    security = {"accessToken": TOKEN, "caCert": "ca.pem"}
    broker, publisher = run(tmp_path, {"host": "127.0.0.1", "port": site.token, "security": security})
    said = 'is for another name: set "host" to the name that stands in it'
    try:
        broker.wait(lambda: broker.beat is not None and said in broker.beat.state["fault"], said)
    finally:
        publisher.close()
        broker.close()


def test_files_are_found_as_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the main file; where nothing has the name there, where the gateway was started; by path."""
    (tmp_path / "here").mkdir()
    config = tmp_path / "config"
    config.mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for place in (
        config / "ca.pem",
        tmp_path / "here" / "cert.pem",
        tmp_path / "here" / "ca.pem",
        tmp_path / "key.pem",
    ):
        place.touch()
    security = {
        "type": "tlsPrivateKey",
        "caCert": "ca.pem",
        "cert": "cert.pem",
        "privateKey": str(tmp_path / "key.pem"),
    }
    main = config / "tb_gateway.json"
    main.write_text(
        f'{{"thingsboard": {{"security": {json.dumps(security)}}}, "connectors": {json.dumps(CONNECTORS)}}}'
    )
    (config / "c.json").write_text('{"name": "x", "devices": [{"name": "a"}]}')
    found = read_gateway(main, {}).gateway.platform.security
    assert (found.ca_cert, found.cert, found.private_key) == (
        str(config / "ca.pem"),
        str(tmp_path / "here" / "cert.pem"),
        str(tmp_path / "key.pem"),
    )


CONNECTORS = [{"name": "x", "type": "serial", "configuration": "c.json"}]


@needs_openssl
@pytest.mark.parametrize(
    ("cert", "key", "said"),
    [
        ("gateway.pem", "impostor.key", "found the key of another certificate, expected the key of "),
        ("gateway.pem", "locked.key", "found a key with a password, expected one without"),
        ("gateway.pem", None, "expected a certificate and its private key, both in PEM form"),
        ("gateway.key", "gateway.key", "expected a certificate and its private key, both in PEM form"),
    ],
)
def test_files_that_do_not_fit_are_refused(site: Site, cert: str, key: str | None, said: str) -> None:
    """Before anything starts, with the key of the configuration; nobody is asked for a password on a terminal."""
    command = ["openssl", "pkey", "-aes128", "-passout", "pass:x", "-in", "gateway.key", "-out", "locked.key"]
    subprocess.run(command, check=True, capture_output=True, cwd=site.folder)
    security = Security(
        type="tlsPrivateKey", cert=str(site.folder / cert), private_key=str(site.folder / key) if key else None
    )
    with pytest.raises(ConfigError) as refused:
        tls_context(Platform(security=security))
    (problem,) = refused.value.problems
    assert problem.startswith("thingsboard.security.")
    assert said in problem
