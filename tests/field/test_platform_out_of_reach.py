"""The platform can't be reached, or does not let us in: one sentence says why, and what to do. Nothing of a library's
words reaches a person, and nothing secret."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.config.models import Platform, Security
from common.io.tls import tls_context
from services.cli.__main__ import main
from services.publisher.core.events import LinkDown, LinkEvent, LinkRefused, LinkUp
from services.publisher.core.session.faults import Place, describe_failure, describe_refusal
from services.publisher.shell.mqtt import Connection
from services.publisher.shell.probe import probe
from tests.support.publisher_process import (
    MOSQUITTO,
    TOKEN,
    FakeBroker,
    Publisher,
    free_port,
    make_certificate,
    start_mosquitto,
    write_config,
)
from tests.support.waiting import wait_until

LIBRARIES: re.Pattern[str] = re.compile(r"Errno|_ssl|SSL:|\.c:\d|Unspecified|Traceback|Error\(")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

CLIENT = "a-client-id-of-ours"


def ended(config: Platform, protocol: int = 5) -> LinkEvent:
    """How one real attempt ends."""
    connection = Connection(1, protocol, config, CLIENT, context=tls_context(config), subscriptions=(("t", True),))
    if (fault := connection.open()) is not None:
        return fault
    # The core waits longer; none of the servers here does.
    silent_s = time.monotonic() + 1.0

    def look() -> LinkEvent | None:
        if time.monotonic() > silent_s:
            return LinkDown(1, "", reached=True, kind="silent")
        with contextlib.suppress(BlockingIOError):
            connection.read()
        found = [event for event in connection.take_events() if isinstance(event, LinkDown | LinkRefused | LinkUp)]
        return found[0] if found else None

    try:
        return wait_until(look, "the end of the attempt")
    finally:
        connection.close()


def sentence(config: Platform) -> str:
    """What a person is told of one real attempt that fails, after a look at the other side."""
    place, event = Place.of(config), ended(config)
    if isinstance(event, LinkRefused):
        text = describe_refusal(place, event.code, event.reason)
    else:
        assert isinstance(event, LinkDown), event
        text = describe_failure(place, event, probe(1, config.host, config.port, with_tls=config.security.uses_tls))
    assert not LIBRARIES.search(text), text
    assert TOKEN not in text
    return text


def plain(port: int, host: str = "127.0.0.1") -> Platform:
    return Platform(host=host, port=port, security=Security(type="accessToken", access_token=TOKEN))


def secure(port: int, folder: Path, host: str = "localhost", ca: str = "server") -> Platform:
    security = Security(type="tlsAccessToken", access_token=TOKEN, ca_cert=str(folder / f"{ca}.pem"))
    return Platform(host=host, port=port, security=security)


class Server:
    """Takes connections, says `greeting` at once, answers the first bytes with `answer`, and hangs up; with neither it
    keeps the connection and is mute."""

    def __init__(
        self, greeting: bytes = b"", answer: bytes = b"", tls: ssl.SSLContext | None = None, hangs_up: bool = True
    ) -> None:
        self._greeting, self._answer, self._tls, self._hangs_up = greeting, answer, tls, hangs_up
        self._kept: list[socket.socket] = []
        self.heard = b""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                if self._tls:
                    client = self._tls.wrap_socket(client, server_side=True)
                client.sendall(self._greeting)
                if not self._hangs_up:
                    self._kept.append(client)
                    continue
                self.heard += client.recv(4096)
                client.sendall(self._answer)
            client.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        for thing in (self._server, *self._kept):
            thing.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's certificate for localhost, another one, and one that has expired."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("server", "other"):
        make_certificate(folder, name)
    command = f"openssl req -new -key {folder}/server.key -subj /CN=localhost -out {folder}/old.csr"
    subprocess.run(command.split(), check=True, capture_output=True)
    (folder / "ca").write_text("subjectAltName=DNS:localhost\n")
    command = (
        f"openssl x509 -req -in {folder}/old.csr -signkey {folder}/server.key -days -1 -extfile {folder}/ca "
        f"-out {folder}/old.pem"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[tuple[int, int]]:
    """(port without TLS, port with TLS) of a real mosquitto."""
    folder, secured = tmp_path_factory.mktemp("mosquitto"), free_port()
    extra = f"allow_anonymous true\nlistener {secured} 127.0.0.1\n"
    extra += f"certfile {certificates}/server.pem\nkeyfile {certificates}/server.key"
    process, port = start_mosquitto(folder, extra)
    yield port, secured
    process.terminate()
    process.wait(10)


def server_context(certificates: Path, name: str = "server") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.pem", certificates / "server.key")
    return context


# TLS on one side only.


@needs_mosquitto
@needs_openssl
def test_tls_to_a_plain_port(brokers: tuple[int, int], certificates: Path) -> None:
    """mosquitto hangs up at a TLS greeting; a look shows that it speaks MQTT without TLS."""
    said = sentence(secure(brokers[0], certificates))
    assert said.startswith(f"localhost:{brokers[0]} speaks MQTT without TLS, and the gateway begins with TLS: set ")
    assert "8883" in said


@needs_mosquitto
@needs_openssl
def test_plain_to_a_tls_port(brokers: tuple[int, int]) -> None:
    """mosquitto hangs up at a plain CONNECT; a look shows that it speaks TLS."""
    said = sentence(plain(brokers[1]))
    assert said.startswith(f"127.0.0.1:{brokers[1]} speaks TLS, and the gateway does not: set ")
    assert '"caCert"' in said


@needs_openssl
def test_plain_to_a_server_that_answers_with_an_alert(certificates: Path) -> None:
    """OpenSSL itself answers what is no TLS with an alert: the first bytes are enough."""
    with Server(tls=server_context(certificates)) as server:
        assert "speaks TLS, and the gateway does not" in sentence(plain(server.port))


def test_an_alert_instead_of_connack_is_tls() -> None:
    """The bytes of a fatal alert, as a load balancer sends them."""
    with Server(answer=b"\x15\x03\x01\x00\x02\x02\x46") as server:
        assert "speaks TLS, and the gateway does not" in sentence(plain(server.port))


# Something else than MQTT.


@pytest.fixture
def web() -> Iterator[int]:
    """A real web server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@needs_openssl
def test_a_web_server(web: int, certificates: Path) -> None:
    """Spoken to with and without TLS."""
    for config in (plain(web), secure(web, certificates)):
        said = sentence(config)
        assert f":{web} is a web server and no MQTT broker: check " in said


@needs_openssl
def test_a_web_server_behind_tls(certificates: Path) -> None:
    """Spoken to with TLS, and without."""
    page = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    with Server(answer=page, tls=server_context(certificates)) as server:
        assert "is a web server and no MQTT broker" in sentence(secure(server.port, certificates))
        assert "is a web server and no MQTT broker" in sentence(plain(server.port))


@pytest.mark.parametrize(
    ("greeting", "shown"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", '"SSH-2.0-OpenSSH_9.2p1 Debian-2"'),
        (b"220 mail.example.org ESMTP\r\n", '"220 mail.example.org ESMTP"'),
        (b'220 "mail" \\o/\r\n', r'"220 \"mail\" \\o/"'),
        (b"\x01\x02\x80\xff", "01 02 80 FF"),
        (b"\n", "0A"),
    ],
)
def test_a_server_that_is_no_mqtt_broker(greeting: bytes, shown: str) -> None:
    """What it says is shown; bytes that are no text are shown as such."""
    with Server(greeting) as server:
        said = sentence(plain(server.port))
    assert said == f'127.0.0.1:{server.port} is no MQTT broker, it says {shown}: check "port" (usually 1883 for MQTT)'


def test_a_server_that_only_hangs_up() -> None:
    """Nothing is known but that."""
    with Server() as server:
        assert "hangs up before it has said a word of MQTT" in sentence(plain(server.port))


def test_nothing_secret_is_said_while_looking() -> None:
    """A look at the other side sends no token and no client id."""
    with Server() as server:
        for with_tls in (True, False):
            probe(1, "127.0.0.1", server.port, with_tls=with_tls)
        assert server.heard
        assert TOKEN.encode() not in server.heard
        assert CLIENT.encode() not in server.heard


# Names, ports, certificates.


def test_a_name_that_does_not_resolve() -> None:
    """Both that of no host, and that of none that there can be."""
    for host in ("no-such-host.invalid", "a..b"):
        said = sentence(plain(1883, host))
        assert said.startswith(f'the host name "{host}" is not known here: check "host"')


def test_a_port_where_nothing_listens() -> None:
    """Refused at once."""
    port = free_port()
    assert sentence(plain(port)).startswith(f"127.0.0.1:{port} refuses connections, nothing listens there: check ")


@needs_openssl
def test_certificates_that_are_not_taken(brokers: tuple[int, int], certificates: Path) -> None:
    """Of an authority that is not ours, for another name, and expired."""
    said = sentence(secure(brokers[1], certificates, ca="other"))
    assert said.startswith(f"the certificate of localhost:{brokers[1]} was not signed by the one in the file that ")
    assert '"caCert"' in said
    said = sentence(secure(brokers[1], certificates, host="127.0.0.1"))
    assert 'is for another name: set "host"' in said
    with Server(tls=server_context(certificates, "old")) as server:
        assert "has expired" in sentence(secure(server.port, certificates, ca="old"))


@needs_mosquitto
@needs_openssl
def test_a_server_that_wants_a_certificate_of_ours(tmp_path: Path, certificates: Path) -> None:
    """Over TLS 1.3 it says so only after the handshake."""
    extra = f"certfile {certificates}/server.pem\nkeyfile {certificates}/server.key\nrequire_certificate true\n"
    process, port = start_mosquitto(tmp_path, f"{extra}cafile {certificates}/other.pem")
    try:
        assert '"privateKey"' in sentence(secure(port, certificates))
    finally:
        process.terminate()
        process.wait(10)


# Refusals.


@needs_mosquitto
def test_a_wrong_token(tmp_path: Path) -> None:
    """On both protocols, in the words of what is configured."""
    process, port = start_mosquitto(tmp_path, "allow_anonymous false")
    try:
        for protocol in (5, 4):
            event = ended(plain(port), protocol)
            assert isinstance(event, LinkRefused), event
            said = describe_refusal(Place.of(plain(port)), event.code, event.reason)
            assert 'refuses the access token of the gateway: check "accessToken" in "security"' in said
        named = Platform(port=port, security=Security(type="usernamePassword", username="u", password="p"))
        assert 'check "username", "password"' in sentence(named)
        assert "the gateway has none" in sentence(Platform(port=port))
    finally:
        process.terminate()
        process.wait(10)


def test_every_refusal_has_a_sentence() -> None:
    """Codes of MQTT 5, known here or not: each names the place."""
    place = Place("tb", 1883, False, "accessToken", False)
    for code in range(128, 163):
        assert "tb:1883" in describe_refusal(place, code, "Some reason")


# The process: in its log, and in its heartbeat.


def test_one_sentence_in_log_and_heartbeat(tmp_path: Path) -> None:
    """A web server where the platform should be, and a server for remote shells: one warning each."""
    brokers: list[FakeBroker] = []
    publishers: list[Publisher] = []
    with Server(b"SSH-2.0-x\r\n") as ssh, Server(answer=b"HTTP/1.1 400 Bad Request\r\n\r\n") as web:
        try:
            for name, port, word in (("web", web.port, "is a web server"), ("ssh", ssh.port, "is no MQTT broker")):
                folder = tmp_path / name
                (folder / "data").mkdir(parents=True)
                brokers.append(FakeBroker(folder / "data"))
                publishers.append(Publisher(folder, {"host": "127.0.0.1", "port": port}))
                _wait_fault(brokers[-1], word)
                assert publishers[-1].said.count("link.failed") == 1
                assert word in publishers[-1].said
                assert not LIBRARIES.search(publishers[-1].said)
        finally:
            for thing in (*publishers, *brokers):
                thing.close()


@needs_mosquitto
@needs_openssl
def test_a_tls_mix_up_in_the_process(tmp_path: Path, brokers: tuple[int, int]) -> None:
    """The reason is looked for once, and said once, by the publisher itself."""
    (tmp_path / "data").mkdir()
    broker = FakeBroker(tmp_path / "data")
    publisher = Publisher(tmp_path, {"host": "127.0.0.1", "port": brokers[1]})
    try:
        _wait_fault(broker, "speaks TLS, and the gateway does not")
        assert publisher.said.count("link.failed") == 1
        assert not LIBRARIES.search(publisher.said)
        assert publisher.stop() == 0
    finally:
        publisher.close()
        broker.close()


def _wait_fault(broker: FakeBroker, word: str) -> Any:
    return broker.wait(lambda: broker.beat is not None and word in broker.beat.state["fault"], f"fault: {word}", 30)


# `serialgw check --connect`.


def checked(folder: Path, platform: dict[str, Any], capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    """(exit code, what was printed)."""
    path = write_config(folder, platform)
    path.chmod(0o600)
    code = main(["check", str(path), *flags])
    return code, capsys.readouterr().out


@needs_mosquitto
@needs_openssl
def test_check_connects_if_it_is_asked_to(
    tmp_path: Path, brokers: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The publisher's own sentence, and exit code 1; 0 where the platform lets us in."""
    code, said = checked(tmp_path, {"host": "127.0.0.1", "port": brokers[0]}, capsys, "--connect")
    assert (code, "connection: the platform lets the gateway in; whether it takes readings shows" in said) == (0, True)
    code, said = checked(tmp_path, {"host": "127.0.0.1", "port": brokers[1]}, capsys, "--connect", "--json")
    assert code == 1
    result = json.loads(said)
    assert (result["ok"], result["connected"]) == (True, False)
    assert result["fault"].startswith(f"127.0.0.1:{brokers[1]} speaks TLS, and the gateway does not: ")


def test_check_says_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No token is shown, nothing of a library's words, and without `--connect` nothing is opened."""
    port = free_port()
    platform = {"host": "127.0.0.1", "port": port, "security": {"accessToken": TOKEN}}
    code, said = checked(tmp_path, platform, capsys, "--connect")
    assert code == 1
    assert f"connection: 127.0.0.1:{port} refuses connections, nothing listens there" in said
    assert not LIBRARIES.search(said)
    assert TOKEN not in said
    assert checked(tmp_path, platform, capsys)[0] == 0
