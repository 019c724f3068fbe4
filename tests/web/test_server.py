"""The monitor's HTTP, asked over real sockets."""

from __future__ import annotations

import http.client
import inspect
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zmq

from common.config.history import read_contents, read_entry, record
from common.io.clock import iso_time, wall_ms
from common.io.endpoints import Endpoints, socket_dir
from common.wire.states import PortReaderState, facts_of
from services.cli.commands import config
from services.monitor.shell.web import configuration, routes
from services.monitor.shell.web.guard import MOST_BODY_BYTES
from services.monitor.shell.web.stream import MOST_STREAMS
from tests.integration.test_broker_process import Peer
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {"name": "serial", "devices": [{"name": "press", "port": "/dev/null", "telemetry": [{"key": "n"}]}]}
MAIN = {
    "thingsboard": {"host": "127.0.0.1", "security": {"accessToken": "hidden-token"}},
    "connectors": [{"name": "S", "type": "serial", "configuration": "serial.json"}],
}


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


class Gateway:
    """A broker and a monitor, with the test in the place of a port reader."""

    def __init__(self, folder: Path, **web: Any) -> None:
        self.folder = folder
        self.port = web.pop("port", 0) or free_port()
        (folder / "serial.json").write_text(json.dumps(CONFIG))
        (folder / "tb_gateway.json").write_text(json.dumps({**MAIN, "web": {"port": self.port, **web}}))
        self.data_dir = folder / "data"
        self.run_dir = socket_dir(self.data_dir)
        self.processes = [self.start(service) for service in ("broker", "monitor")]
        self.context: zmq.Context[Any] = zmq.Context()
        self.reader = Peer(self.context, Endpoints(self.run_dir), "port_reader", "press")

    def start(self, service: str) -> subprocess.Popen[bytes]:
        places = ["--config", str(self.folder / "tb_gateway.json"), "--data-dir", str(self.data_dir)]
        environ = {name: value for name, value in os.environ.items() if name != "SERIALGW_WEB"}
        with (self.folder / f"{service}.log").open("ab") as log:
            command = [sys.executable, "-m", f"services.{service}", *places]
            return subprocess.Popen(command, cwd=ROOT, stderr=log, env=environ)

    @property
    def monitor(self) -> subprocess.Popen[bytes]:
        return self.processes[1]

    def log(self) -> str:
        return (self.folder / "monitor.log").read_text()

    def token(self, role: str) -> dict[str, str]:
        token = (self.data_dir / "web" / f"{role}.token").read_text().strip()
        return {"Authorization": f"Bearer {token}"}

    def ask(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> tuple[int, str, Any]:
        """(status, text, headers) of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): it for name, it in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def wait(self) -> None:
        """Until the page answers."""
        wait_until(self.is_up, "the monitor listens")

    def is_up(self) -> bool:
        try:
            return self.ask("/healthz")[0] == 200
        except OSError:
            return False

    def beat(self, **fields: Any) -> None:
        """The port reader says how it is."""
        self.reader.beat(**facts_of(PortReaderState(device="press", port="/dev/null", **fields)))

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "services.cli", *arguments, "--data-dir", str(self.data_dir)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT, check=False)

    def close(self) -> None:
        self.context.destroy(linger=0)
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(10)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    found = Gateway(tmp_path)
    try:
        found.wait()
        yield found
    finally:
        found.close()


class Events:
    """A page that listens."""

    def __init__(self, gateway: Gateway) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
        self._connection.request("GET", "/api/stream")
        self.answer = self._connection.getresponse()

    def next(self) -> dict[str, Any]:
        """The data of the next event."""
        while not (line := self.answer.readline()).startswith(b"data: "):
            assert line, "the stream has ended"
        found: dict[str, Any] = json.loads(line[6:])
        return found

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


ROUTES = {
    "/": 200,
    "/page/main.js": 200,
    "/healthz": 200,
    "/readyz": 503,
    "/readyz/device/press": 200,
    "/metrics": 200,
    "/api/status": 200,
    "/api/device?name=press": 200,
    "/api/config": 200,
    "/api/config/history": 200,
    "/api/config/history?number=1": 404,
    "/api/events?device=press&kind=log&limit=5": 200,
    "/api/marks?name=press&hex=41": 200,
    "/api/letters?name=press": 503,
    "/api/ports": 200,
    "/nowhere": 404,
}
STREAMS = ("/api/live?name=press", "/api/stream")
"""Those that end when whoever listens goes."""
CHANGES = {
    "/api/status": 405,
    "/api/capture": 400,
    "/api/probe": 400,
    "/api/try": 400,
    "/api/add": 400,
    "/api/rpc": 400,
    "/api/attributes": 400,
    "/api/retry": 400,
}
"""Path → what a POST is answered that may change something."""
CONFIG_CHANGES = ("/api/config", "/api/config/check", "/api/config/back", "/api/reload")
"""Asked with a POST of which no part is right: whoever may ask is told so."""


def test_the_tables_have_every_route() -> None:
    """But for that by which logins are made, which is served to the gateway's own user alone, and that which takes
    them, which has tests of its own."""
    sources = [Path(inspect.getfile(module)).read_text() for module in (routes, configuration)]
    there = {path for source in sources for path in re.findall(r'Route\("([^"]+)"', source)} - {"/api/code", "/login"}
    asked = {path.partition("?")[0] for path in (*ROUTES, *STREAMS, *CHANGES, *CONFIG_CHANGES)}
    forms = {path: re.compile(re.sub(r"\{\w+(:path)?\}", ".+", path)) for path in there}
    assert [path for path, form in forms.items() if not any(map(form.fullmatch, asked))] == []


@pytest.mark.parametrize("web", [{}, {"address": "0.0.0.0", "hosts": ["gw.example.org"]}], ids=["loopback", "abroad"])
def test_every_route_with_every_token_and_host(tmp_path: Path, web: dict[str, Any]) -> None:
    """As the core decides, and with headers that let no page of others do anything with it; no token anywhere."""
    gateway = Gateway(tmp_path, **web)
    try:
        gateway.wait()
        for path, status in ROUTES.items():
            for token in ({}, {"Authorization": "Bearer x"}, gateway.token("view"), gateway.token("edit")):
                is_open = path in ("/healthz", "/readyz")
                found, text, headers = gateway.ask(path, **token)
                is_wrong = token.get("Authorization") == "Bearer x" or (bool(web) and not token)
                if found != 429:
                    assert found == (401 if is_wrong and not is_open else status), (path, token, text)
                assert "script-src 'self'" in headers["content-security-policy"]
                assert headers["x-content-type-options"] == "nosniff"
                foreign, _, _ = gateway.ask(path, Host="evil.example", **token)
                assert foreign == (status if is_open else 421), path
        for path in STREAMS:
            assert gateway.ask(path, **{"Authorization": "Bearer x"})[0] in (401, 429)
            assert gateway.ask(path, Host="evil.example", **gateway.token("view"))[0] == 421
            if web:
                assert gateway.ask(path)[0] in (401, 429)
        for path, method in itertools.product(CHANGES, ("POST", "PUT", "DELETE")):
            for token in ({}, gateway.token("view"), gateway.token("edit")):
                found, _, _ = gateway.ask(path, method, "{}", Content_Type="application/json", **token)
                assert found in ((401, 403, 429) if not token and web else (403, 429)), (path, method, token)
        json_type = {"Content_Type": "application/json"}
        for path in CONFIG_CHANGES:
            for token in ({}, {"Authorization": "Bearer x"}, gateway.token("view"), gateway.token("edit")):
                found, text, _ = gateway.ask(path, "POST", "[]", **json_type, **token)
                assert found in (401, 403, 429), (path, token, text)
                foreign, _, _ = gateway.ask(path, "POST", "[]", Host="evil.example", **json_type, **token)
                assert foreign == 421, path
                abroad, _, _ = gateway.ask(path, "POST", "[]", Origin="http://evil.example", **json_type, **token)
                assert abroad == 403, path
        secrets = [gateway.token(role)["Authorization"].split()[1] for role in ("view", "edit")] + ["hidden-token"]
        said = gateway.log() + "".join(gateway.ask(path, **gateway.token("view"))[1] for path in ROUTES)
        commands = Path(f"/proc/{gateway.monitor.pid}/cmdline").read_text()
        assert not [secret for secret in secrets if secret in said + commands]
        for role in ("view", "edit"):
            assert (gateway.data_dir / "web" / f"{role}.token").stat().st_mode & 0o777 == 0o600
    finally:
        gateway.close()


def test_the_files_are_shown_checked_and_saved(tmp_path: Path) -> None:
    """Without a secret, which stays; what can't be used, or was made from files that are others now, is not written."""
    gateway = Gateway(tmp_path, edit=True)
    try:
        gateway.wait()
        edit = {**gateway.token("edit"), "Content_Type": "application/json"}
        for path in CONFIG_CHANGES[1:]:
            wait_until(lambda path=path: gateway.ask(path, "POST", "[]", **edit)[0] == 400, path)
        status, text, headers = gateway.ask("/api/config", **gateway.token("view"))
        assert (status, "hidden-token" in text) == (200, False)
        told = json.loads(text)
        assert not told["is_editable"], "by a login that may look only"
        files = {file["name"]: file["text"] for file in told["files"]}
        assert list(files) == ["tb_gateway.json", "serial.json"]

        def post(path: str, body: object, **more: str) -> tuple[int, Any]:
            """Not more often than five times a second."""
            answered = wait_until(
                lambda: one if (one := gateway.ask(path, "POST", json.dumps(body), **edit, **more))[0] != 429 else None,
                "it is let through",
            )
            return answered[0], json.loads(answered[1])

        wrong = {"files": {"serial.json": files["serial.json"].replace('"/dev/null"', "5")}}
        status, found = post("/api/config/check", wrong)
        assert (status, found["ok"], found["problems"][0]["line"]) == (200, False, 1)
        assert post("/api/config", wrong)[0] == 428
        assert post("/api/config", wrong, If_Match=headers["etag"])[0] == 422
        assert post("/api/config", {"files": {"../x.json": "{}"}}, If_Match=headers["etag"])[0] == 409
        right = {"files": {**files, "serial.json": files["serial.json"].replace('"n"', '"m"')}}
        assert post("/api/config", right, If_Match='"other"')[0] == 412
        status, found = post("/api/config", right, If_Match=headers["etag"])
        assert (status, found["saved"]) == (200, True)
        assert post("/api/config", right, If_Match=headers["etag"])[0] == 412
        assert '"m"' in (tmp_path / "serial.json").read_text()
        assert "hidden-token" in (tmp_path / "tb_gateway.json").read_text()
        assert gateway.ask("/api/config")[2]["etag"] == f'"{found["tag"]}"'
        large = {"files": {"serial.json": files["serial.json"] + " " * MOST_BODY_BYTES}}
        assert post("/api/config/check", large)[0] == 200
        assert post("/api/reload", {"dry_run": " " * MOST_BODY_BYTES})[0] == 413
        assert post("/api/config/back", {"number": 9})[0] == 409
        assert "configuration.saved asked_by=page" in gateway.log()
        done = [f"{one['to']}: {one['text']}" for one in changes_of(gateway)]
        assert "done: configuration written, by 127.0.0.1" in done
        assert any(one.startswith("failed: configuration 9 brought back, by 127.0.0.1: ") for one in done)
        assert sum(one.startswith("failed: configuration written") for one in done) == 4
        assert "hidden-token" not in "".join(done)
        assert "hidden-token" not in gateway.log()
    finally:
        gateway.close()


def test_who_asks_the_page_knows_the_code_of_the_command() -> None:
    """The monitor imports nothing of the command line."""
    assert configuration.EXIT_CHANGED == config.EXIT_CHANGED


def test_the_link_that_a_person_asks_for_logs_in_once(gateway: Gateway) -> None:
    """And the cookie that comes of it is no script's and no other site's."""
    said = gateway.cli("web")
    assert said.returncode == 0, said.stderr
    link = said.stdout.splitlines()[0]
    assert link.startswith(f"http://127.0.0.1:{gateway.port}/login?code=")
    path = link.removeprefix(f"http://127.0.0.1:{gateway.port}")
    status, _, headers = gateway.ask(path)
    assert (status, headers["location"]) == (303, "./")
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in headers["set-cookie"].split(";")}
    assert gateway.ask(path)[0] == 401, "a second time"
    cookie = headers["set-cookie"].split(";")[0]
    assert gateway.ask("/api/status", Cookie=cookie)[0] == 200


def test_readiness_names_what_is_missing(gateway: Gateway) -> None:
    """To whom may look; by one word to others. What is excluded is not looked at, and what is unknown is said."""
    wait_until(lambda: gateway.ask("/readyz")[0] == 503, "nobody but the broker is there")
    assert gateway.ask("/readyz")[1] == "not ready\n"
    status, text, _ = gateway.ask("/readyz?verbose")
    assert status == 503
    assert "[-]publisher has not been heard of\n" in text
    missing = ("publisher", "converters", "readers", "platform")
    wait_until(
        lambda: gateway.ask("/readyz?" + "&".join(f"exclude={name}" for name in missing))[0] == 200, "the rest is ready"
    )
    status, text, _ = gateway.ask("/readyz?exclude=nonsense")
    assert (status, "expected one of broker" in text) == (400, True)
    assert gateway.ask("/readyz/device/press")[0] in (200, 503)
    assert "there are: press" in gateway.ask("/readyz/device/other")[1]


def test_a_page_is_told_what_changes(gateway: Gateway) -> None:
    """All at first, then what is new, within a second or two."""
    gateway.reader.register(device="press")
    page = Events(gateway)
    first = page.next()
    assert [row["name"] for row in first["devices"]["changed"]] == ["press"]
    assert first["is_whole"]
    gateway.beat(connected=False, fault="no such port: /dev/null")

    def is_told() -> bool:
        gateway.beat(connected=False, fault="no such port: /dev/null")
        news = page.next()
        assert not news["is_whole"]
        changed = news.get("devices", {"changed": []})["changed"]
        return any(row["state"] == "port_closed" and "no such port" in row["reason"] for row in changed)

    wait_until(is_told, "the page hears of the port")
    page.close()


def test_what_may_change_something_needs_an_edit_login_and_a_page_of_ours(tmp_path: Path) -> None:
    """Where editing is on; another site's page, or another host's name, never passes."""
    gateway = Gateway(tmp_path, edit=True)
    try:
        gateway.wait()
        for path, status in CHANGES.items():
            for role in ("view", "edit"):
                for more, wanted in (({}, status), ({"Origin": "http://evil.example"}, 403), ({"Host": "evil"}, 421)):
                    ask = partial(gateway.ask, path, "POST", "{}", Content_Type="application/json")
                    found = wait_until(
                        lambda ask=ask, role=role, more=more: (  # type: ignore[misc]
                            one if (one := ask(**gateway.token(role), **more)[0]) != 429 else None
                        ),
                        "its turn comes",
                    )
                    assert found == (403 if role == "view" and wanted == status else wanted), (path, role, more)
    finally:
        gateway.close()


def test_what_happens_is_kept_and_told(tmp_path: Path) -> None:
    """A port that is lost, a line of the log and what a page has changed: asked for, and told to who listens."""
    gateway = Gateway(tmp_path, edit=True)
    page: Events | None = None
    try:
        gateway.wait()
        gateway.reader.register(device="press")
        (gateway.data_dir / "log").mkdir()
        page = Events(gateway)
        gateway.beat(connected=False, fault="no such port: /dev/null")
        wait_until(lambda: "port_closed" in json.dumps(events_of(gateway, "&kind=port")), "the port is an event")
        with (gateway.data_dir / "log" / "gateway.log").open("a") as log:
            log.write(f"{iso_time(wall_ms())} ERROR   [publisher:0] users.error device=press\n")
        (logged,) = wait_until(lambda: events_of(gateway, "&kind=log"), "the log's line is one")
        assert (logged["level"], logged["device"], logged["process"]) == ("error", "press", "publisher:0")
        body = json.dumps({"device": "press", "method": "secretly", "params": "hidden-params", "timeout_s": 0.1})
        gateway.ask("/api/rpc", "POST", body, Content_Type="application/json", **gateway.token("edit"))
        (change,) = wait_until(lambda: events_of(gateway, "&kind=change"), "the call is one", 30)
        assert change["text"].startswith("called secretly, by 127.0.0.1: ")
        assert (change["to"], "hidden-params" in json.dumps(change)) == ("failed", False)
        told: list[str] = []
        wait_until(lambda: {"log", "port", "change"} <= {*told, *_kinds(page, told)}, "the page was told of all")
        first, second = events_of(gateway, "&limit=1"), events_of(gateway, f"&limit=1&before={change['id']}")
        assert (first, second[0]["id"] < change["id"]) == ([change], True)
        for wrong in ("kind=odd", "limit=0", "limit=501", "before=x", "limit=-1"):
            status, text, _ = gateway.ask(f"/api/events?{wrong}")
            assert (status, "expected" in text) == (400, True), wrong
    finally:
        if page is not None:
            page.close()
        gateway.close()


def _kinds(page: Events, told: list[str]) -> list[str]:
    told += [event["kind"] for event in page.next().get("events", [])]
    return told


def test_an_entry_of_the_history_says_nothing_of_secrets(tmp_path: Path) -> None:
    """Not by the hash of a file whose text is shown but for a short one."""
    gateway = Gateway(tmp_path)
    try:
        gateway.wait()
        record(gateway.data_dir, "start", [], read_contents([str(tmp_path / "tb_gateway.json")]))
        entry = read_entry(gateway.data_dir, 1)
        assert entry is not None
        status, text, _ = gateway.ask("/api/config/history?number=1")
        assert (status, "tb_gateway.json" in text, "hidden-token" in text) == (200, True, False)
        assert not [one for one in entry.hashes.values() if one in text]
    finally:
        gateway.close()


def changes_of(gateway: Gateway) -> list[dict[str, Any]]:
    """What pages have changed of no device, once it has all been heard of."""

    def found() -> list[dict[str, Any]] | None:
        events: list[dict[str, Any]] = json.loads(gateway.ask("/api/events?kind=change")[1])["events"]
        return events if any(event["text"].startswith("configuration 9") for event in events) else None

    return wait_until(found, "the last change is an event") or []


def events_of(gateway: Gateway, more: str) -> list[dict[str, Any]]:
    """What `/api/events` says of the device."""
    found: list[dict[str, Any]] = json.loads(gateway.ask(f"/api/events?device=press{more}")[1])["events"]
    return found


def test_events_of_a_gateway_that_shows_no_frames(tmp_path: Path) -> None:
    """What a device has said is in none, also where the log has it."""
    (tmp_path / "data" / "log").mkdir(parents=True)
    (tmp_path / "data" / "log").chmod(0o700)
    (tmp_path / "data").chmod(0o700)
    line = "WARNING [converter:0] conversion.failed device=press reason=\"found 'secret'\""
    (tmp_path / "data" / "log" / "gateway.log").write_text(f"2026-11-30T10:00:00.000+00:00 {line}\n")
    gateway = Gateway(tmp_path, frames=False)
    try:
        gateway.wait()
        (found,) = wait_until(lambda: events_of(gateway, "&kind=log"), "the line of before is there")
        assert found["text"] == "conversion.failed device=press reason=…"
    finally:
        gateway.close()


def test_a_page_that_reads_nothing_costs_nothing(gateway: Gateway) -> None:
    """As a phone that sleeps: what it misses is counted, and the others go on."""
    asleep = Events(gateway)
    awake = Events(gateway)
    for _ in range(3):
        awake.next()
    assert gateway.ask("/api/status")[0] == 200
    awake.close()
    asleep.close()
    wait_until(lambda: "serialgw_web_streams 0.0" in gateway.ask("/metrics")[1], "both are forgotten")


def test_only_so_many_pages_listen(gateway: Gateway) -> None:
    """One more is told so, and has a place when another is closed."""
    pages = [Events(gateway) for _ in range(MOST_STREAMS)]
    for page in pages:
        page.next()
    assert gateway.ask("/api/stream")[0] == 503
    pages.pop().close()
    wait_until(lambda: f"serialgw_web_streams {MOST_STREAMS - 1}.0" in gateway.ask("/metrics")[1], "one is gone")
    for page in pages:
        page.close()


@pytest.mark.parametrize("length", [MOST_BODY_BYTES + 1, 10**8])
def test_a_large_body_is_refused(gateway: Gateway, length: int) -> None:
    """Before it is read."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as line:
        head = f"GET /api/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        line.sendall(head.encode())
        assert line.recv(64).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "junk", [b"\x00" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", b"A"]
)
def test_junk_hurts_nobody(gateway: Gateway, junk: bytes) -> None:
    """The monitor goes on."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as line:
        line.sendall(junk)
    assert gateway.ask("/healthz")[0] == 200
    assert gateway.monitor.poll() is None


def test_a_monitor_ends_while_pages_listen(gateway: Gateway) -> None:
    """Within its time, with 0, and without a traceback."""
    page = Events(gateway)
    page.next()
    gateway.monitor.send_signal(signal.SIGTERM)
    assert gateway.monitor.wait(5) == 0
    assert "Traceback" not in gateway.log()
    page.close()


def test_a_port_that_is_taken_is_not_worth_the_monitor(tmp_path: Path) -> None:
    """The log says so, the Unix socket answers, and `serialgw web` says what is wrong."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        gateway = Gateway(tmp_path, port=taken.getsockname()[1])
        try:
            wait_until(lambda: "web.not_listening" in gateway.log(), "the log says so")
            said = wait_until(lambda: one if (one := gateway.cli("web")).returncode == 1 else None, "it says so")
            assert "the page is reached over no address" in said.stderr
        finally:
            gateway.close()


def test_a_page_that_is_off_is_not_there(tmp_path: Path) -> None:
    """And what HTTP needs is not loaded."""
    gateway = Gateway(tmp_path, enable=False)
    try:
        wait_until(lambda: "process.registered address=monitor:0" in (tmp_path / "broker.log").read_text(), "it runs")
        assert not gateway.is_up()
        assert "uvicorn" not in Path(f"/proc/{gateway.monitor.pid}/maps").read_text()
        assert "its page is switched off" in gateway.cli("web").stderr
    finally:
        gateway.close()
