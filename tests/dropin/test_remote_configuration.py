"""What the platform may ask of a gateway that runs: another configuration, right and wrong, and a restart.

A real gateway under `serialgw run`, mosquitto, and a client that answers as ThingsBoard does.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.harness import ROOT, Line, Mosquitto, Platform, Seen, closing, needs_mosquitto, write_config
from tests.e2e.test_run import children
from tests.support.hosting import CONNECTORS
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto

OWN = "v1/devices/me/attributes"
TOKEN = "token-in-the-file-77ab1"


class Server(Platform):
    """ThingsBoard, as far as the gateway's own attributes and calls go."""

    def __init__(self, port: int) -> None:
        self.shared: dict[str, Any] = {}
        """What somebody has set on the platform."""
        self.calls = 0
        super().__init__(port)

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        super()._on_message(client, userdata, message)
        head, _, number = message.topic.rpartition("/")
        if head == f"{OWN}/request":
            keys = json.loads(message.payload)["sharedKeys"].split(",")
            found = {key: self.shared[key] for key in keys if key in self.shared}
            self.say(f"{OWN}/response/{number}", {"shared": found} if found else {})
        elif head == "v1/devices/me/rpc/request" and b"getSessionLimits" in message.payload:
            self.say(f"v1/devices/me/rpc/response/{number}", {"maxPayloadSize": 65536})

    def set(self, **values: Any) -> None:
        """Somebody changes attributes on the platform."""
        self.shared |= values
        self.say(OWN, values)

    def said(self, key: str) -> list[Any]:
        """Each value of an attribute that the gateway has said of itself, and nobody else."""
        own = [seen.payload for seen in list(self.seen) if seen.topic == OWN]
        found = [payload[key] for payload in own if isinstance(payload, dict) and list(payload) == [key]]
        return [value for value in found if value != self.shared.get(key) or key in ("active_connectors",)]

    def wait_said(self, key: str, check: Callable[[Any], bool], deadline_s: float = 60.0) -> Any:
        """The first such value that is as expected."""
        return self.wait_for(
            lambda _: next(([value] for value in self.said(key) if check(value)), None),
            f"{key} as expected",
            deadline_s,
        )[0]

    def ask(self, method: str, params: Any = None) -> Any:
        """A call to the gateway itself, and its answer."""
        self.calls += 1
        topic = f"v1/devices/me/rpc/response/{100 + self.calls}"
        self.say(topic.replace("response", "request"), {"method": method, "params": params})

        def found(seen: list[Seen]) -> Any:
            return next((each.payload for each in seen if each.topic == topic), None)

        return self.wait_for(found, f"an answer to {method}")


class Talker:
    """A device that says a number every few milliseconds, and remembers the last."""

    def __init__(self, line: Line) -> None:
        self.said = 0
        self._line = line
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        while not self._stop.wait(0.02):
            self.said += 1
            self._line.write(b"%d\n" % self.said)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)


def device(name: str, line: Line, key: str = "n") -> dict[str, Any]:
    return {
        "name": name,
        "type": "counter",
        "port": str(line.path),
        "firstFrame": "keep",
        "telemetry": [{"type": "int", "key": key}],
    }


def connector(*devices: dict[str, Any], ts: int = 1, **more: Any) -> dict[str, Any]:
    """A connector as the platform's dashboards send it."""
    return {
        "name": "Serial",
        "type": "serial",
        "class": "",
        "logLevel": "INFO",
        "enableRemoteLogging": False,
        "configurationJson": {"devices": list(devices)},
        "ts": ts,
        **more,
    }


class Running:
    """`serialgw run` on a folder."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.data_dir = folder / "data"
        self._log = folder / "run.log"
        command = [sys.executable, "-m", "services.cli", "run", "--config", str(config), "--converters", "1"]
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, "--data-dir", str(self.data_dir)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                cwd=folder,
            )

    def pid_of(self, part: str) -> int:
        """The process whose command line has this in it; 0 for none."""
        return next((pid for pid, command in children(self.process.pid).items() if part in command), 0)

    def pids(self) -> dict[str, int]:
        names = (
            "services.monitor",
            "services.broker",
            "services.publisher",
            "services.converter",
            "--device=A",
            "--device=B",
        )
        return {name: self.pid_of(name) for name in names}

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


@contextmanager
def gateway(folder: Path, names: str) -> Iterator[tuple[Server, dict[str, Line], Path]]:
    """mosquitto, the platform, lines, and a configuration whose devices are the first two."""
    mosquitto = Mosquitto(folder / "mosquitto")
    server = Server(mosquitto.port)
    lines = {name: Line(folder / f"tty{name}") for name in names}
    devices = [device(name, lines[name]) for name in names[:2]]
    platform = {"remoteConfiguration": True, "security": {"accessToken": TOKEN}}
    config = write_config(folder / "config", mosquitto.port, devices, platform)
    with closing(mosquitto, server, *lines.values()):
        yield server, lines, config


def values(server: Server, name: str, key: str) -> list[int]:
    return [item["values"][key] for item in server.telemetry(name) if key in item["values"]]


def test_what_the_platform_configures_is_applied_or_refused_and_kept(tmp_path: Path) -> None:
    """One gateway, step by step: what is right reaches the devices that are meant, what is wrong changes nothing and is
    answered with the reason; nothing that another device says meanwhile is lost; the user's files stay as they are;
    and a new start goes on with it."""
    with gateway(tmp_path, "ABC") as (server, lines, config):
        before = {path.name: path.read_bytes() for path in config.parent.iterdir()}
        run = Running(tmp_path, config)
        with closing(run):
            server.wait_connected("A", "B", deadline_s=60)
            # It says what is configured, and no secret.
            general = server.wait_said("general_configuration", lambda value: "host" in value)
            assert general["security"] == {"type": "accessToken"}
            assert server.wait_said("active_connectors", bool) == ["Serial"]
            assert server.wait_said("Serial", bool)["configurationJson"]["devices"][0]["name"] == "A"
            talker = Talker(lines["B"])
            with closing(talker):
                pids = run.pids()

                # Right: another key for A, and a device more.
                a, b, c = device("A", lines["A"], "m"), device("B", lines["B"]), device("C", lines["C"], "k")
                server.set(Serial=connector(a, b, c, ts=7))
                # What was set has no such key: it is the gateway's own word.
                echoed = server.wait_said("Serial", lambda value: value["ts"] == 7 and "configuration" in value)
                assert [each["name"] for each in echoed["configurationJson"]["devices"]] == ["A", "B", "C"]
                server.wait_connected("C")
                lines["A"].write(b"5\n")
                lines["C"].write(b"6\n")
                server.wait_for(lambda _: 5 in values(server, "A", "m"), "A's value under its new key")
                server.wait_for(lambda _: 6 in values(server, "C", "k"), "C's value")
                now = run.pids()
                assert now["--device=B"] == pids["--device=B"]
                assert now["services.broker"] == pids["services.broker"]
                assert now["services.converter"] == pids["services.converter"]
                # A takes its new section while it is at work.
                assert now["--device=A"] == pids["--device=A"] != 0

                # Wrong: the reason is said, and nobody is touched.
                wrong = {**c, "baudrate": "fast"}
                server.set(Serial=connector(a, b, wrong, ts=8))
                [why] = [server.wait_said("configuration_refused", lambda value: "Serial" in value)["Serial"]]
                assert "devices[2].baudrate: found" in why
                server.set(general_configuration={"host": "elsewhere.example.com", "port": 1883, "ts": 9})
                why = server.wait_said("configuration_refused", lambda value: "general_configuration" in value)
                assert "host and port say how the platform is reached" in why["general_configuration"]
                assert run.pids() == now

                # Whoever applies is killed in the middle: nothing stays half done, and it is said.
                previous = run.data_dir / "remote" / "previous.json"
                server.set(Serial=connector({**a, "baudrate": 19_200}, b, c, ts=9))
                wait_until(previous.exists, "a change is being applied", 60, every_s=0.001)
                os.kill(run.pid_of("supervise.configurator"), signal.SIGKILL)
                why = server.wait_said("configuration_refused", lambda value: "ended meanwhile" in str(value))
                assert list(why) == ["Serial"]
                wait_until(lambda: not previous.exists(), "nothing is left")
                assert "configuration.returning" in run.log
                assert run.pid_of("--device=B") == pids["--device=B"]

                # A device less, of a connector whose log the platform is told.
                server.set(Serial=connector(a, b, ts=10, enableRemoteLogging=True))
                server.wait_for(lambda _: server.on("v1/gateway/disconnect", "C"), "C is gone", 60)
                wait_until(lambda: run.pid_of("--device=C") == 0, "C's reader is gone")
                lines["A"].unplug()
                lines["A"].plug_in()
                server.wait_for(
                    lambda seen: any("Serial_LOGS" in json.dumps(each.payload) for each in seen), "log lines", 60
                )

                server.wait_said("Serial", lambda value: value["ts"] == 10 and "configuration" in value)

                # A restart, of all of it.
                old = run.pids()
                assert server.ask("gateway_restart", 1) == {"success": True}
                wait_until(
                    lambda: (new := run.pids()) and all(new.values()) and not set(new.values()) & set(old.values()),
                    "all processes are others",
                    60,
                )
                said = talker.said
                server.wait_for(lambda _: max(values(server, "B", "n")) > said, "B talks on", 60)
            last = talker.said
            server.wait_for(lambda _: max(values(server, "B", "n")) >= last, "the last that B has said", 60)
            assert set(values(server, "B", "n")) == set(range(1, last + 1))
            assert run.stop() == 0
            assert "Traceback" not in run.log
            assert TOKEN not in run.log

        assert {path.name: path.read_bytes() for path in config.parent.iterdir()} == before
        for path in (tmp_path / "data").rglob("*"):
            assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path

        # Started again, it goes on with what was configured, and applies nothing twice.
        connects = len(server.on("v1/gateway/connect", "A"))
        again = Running(tmp_path, config)
        with closing(again):
            server.wait_for(lambda _: len(server.on("v1/gateway/connect", "A")) > connects, "A again", 60)
            lines["A"].write(b"55\n")
            server.wait_for(lambda _: 55 in values(server, "A", "m"), "A's value under the platform's key")
            assert "what the platform has configured lies over the files: Serial" in again.log
            assert "name=configurator" not in again.log.rpartition("stop with Ctrl-C")[2]
            assert again.stop() == 0


def test_a_hosted_connector_is_configured_or_refused_and_loses_nothing(tmp_path: Path) -> None:
    """What is right reaches its process alone, what is wrong is answered with the reason, its own where it fails with
    what it was told; its class stays; and whatever it was told is stored arrives."""
    ledger = tmp_path / "ledger"

    def store(ts: int, class_name: str = "", **config: Any) -> dict[str, Any]:
        """The connector as a dashboard sends it."""
        settings = {"perCall": 1, "device": "Meter", "ledger": str(ledger), **config}
        said = {"name": "Store", "type": "storing", "class": class_name, "configurationJson": settings, "ts": ts}
        return {**said, "logLevel": "INFO", "enableRemoteLogging": False}

    with gateway(tmp_path, "A") as (server, _, config):
        folder = config.parent
        shutil.copytree(CONNECTORS / "extensions", folder / "extensions")
        main = json.loads(config.read_text())
        main["connectors"].append(
            {"name": "Store", "type": "storing", "class": "StoringConnector", "configuration": "store.json"}
        )
        config.write_text(json.dumps(main))
        (folder / "store.json").write_text(json.dumps(store(0, rate=50)["configurationJson"]))
        before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        run = Running(tmp_path, config)
        with closing(run):
            server.wait_connected("A", "Meter", deadline_s=60)
            assert server.wait_said("Store", bool)["configurationJson"]["rate"] == 50
            assert server.wait_said("active_connectors", bool) == ["Serial", "Store"]

            def pids() -> dict[str, int]:
                names = ("services.publisher", "services.broker", "services.monitor", "--device=A", "--connector=Store")
                return {name: run.pid_of(name) for name in names}

            first = pids()
            assert all(first.values())
            server.set(Store=store(5, rate=60, device="Meter 2"))
            echoed = server.wait_said("Store", lambda value: value["ts"] == 5 and "configuration" in value)
            assert (echoed["class"], echoed["configurationJson"]["rate"]) == ("StoringConnector", 60)
            server.wait_connected("Meter 2")
            second = pids()
            assert {name for name in first if first[name] != second[name]} == {"--connector=Store"}
            server.wait_for(lambda _: server.on("v1/gateway/disconnect", "Meter"), "the device that it has no more")

            # How much is logged changes while all go on.
            server.set(logs_configuration={"loggers": {"connector": {"level": "DEBUG"}}, "ts": 5})
            wait_until(lambda: "configuration.applied parts=logs_configuration" in run.log, "it is applied", 60)
            for who in ("port_reader:A", "connector_host:Store"):
                wait_until(lambda who=who: f"[{who}] log.level level=DEBUG" in run.log, f"{who} logs more")
            assert pids() == second
            server.set(logs_configuration={"loggers": {"connector": {"level": "LOUD"}}, "ts": 6})
            server.wait_said("configuration_refused", lambda value: '"LOUD" is no level' in str(value))

            # Wrong: no such class; then one with which the connector fails, by its own words.
            server.set(Store=store(6, "Nowhere", rate=60))
            why = server.wait_said("configuration_refused", lambda value: "Nowhere" in str(value))["Store"]
            assert "is in no file of extensions/storing/" in why
            assert pids() == second
            server.set(Store=store(7, device="Meter 3"))
            why = server.wait_said("configuration_refused", lambda value: "KeyError" in str(value))["Store"]
            assert "storing_connector.py, line" in why
            assert why.endswith("KeyError: 'rate'; what ran before runs again")
            wait_until(lambda: run.pid_of("--connector=Store") not in (0, second["--connector=Store"]), "it runs again")
            kept = len(server.telemetry("Meter 2"))
            server.wait_telemetry("Meter 2", kept + 20, 60)
            assert server.on("v1/gateway/connect", "Meter 3") == []
            assert pids()["--device=A"] == first["--device=A"]
            assert run.stop() == 0
            assert TOKEN not in run.log

            def arrived() -> set[int]:
                return {*values(server, "Meter", "n"), *values(server, "Meter 2", "n")}

            stored = {int(line) for line in ledger.read_bytes().split()}
            server.wait_for(lambda _: stored <= arrived(), "all that was stored")
        assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_configuration_that_is_off_is_not_changed_from_the_platform(tmp_path: Path) -> None:
    """Without remoteConfiguration nothing is asked, applied or told, but for one line in the log."""
    with gateway(tmp_path, "AB") as (server, lines, config):
        main = json.loads(config.read_text())
        del main["thingsboard"]["remoteConfiguration"]
        config.write_text(json.dumps(main))
        run = Running(tmp_path, config)
        with closing(run):
            server.wait_connected("A", "B", deadline_s=60)
            server.set(Serial=connector(device("A", lines["A"], "m")))
            wait_until(lambda: "configuration.refused" in run.log, "a line about it")
            assert "remoteConfiguration is not true" in run.log
            assert server.said("general_configuration") == []
            assert run.stop() == 0
