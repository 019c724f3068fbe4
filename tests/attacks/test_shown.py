"""What is shown is harmless: no character of a device, a file or a platform steers a terminal (attacks.md 10)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config.reading import read_gateway
from common.core.errors import ConfigError
from common.core.shown import harmless, harmless_lines, is_steering
from tests.attacks.rig import gateway
from tests.e2e.harness import ROOT, needs_mosquitto
from tests.support.waiting import wait_until

CORPUS = (
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\ufff9",
    "\U000e0001",
    "\U000e0041",
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
)
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT)}


def serialgw(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        capture_output=True,
        text=True,
        env=ENVIRON,
        timeout=60,
        check=False,
        cwd=cwd,
    )


def assert_harmless(text: str, where: str) -> None:
    """Only line feeds and what is simply shown."""
    found = {ascii(letter) for letter in text if letter != "\n" and not letter.isprintable()}
    assert not found, f"{where}: {found}"


@given(st.text())
def test_harmless_text_is_one_printable_line(text: str) -> None:
    """Whatever comes in; what was harmless before stays as it is."""
    shown = harmless(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()
    assert harmless(shown) == shown
    assert_harmless(harmless_lines(text), "lines")
    assert harmless_lines(text).count("\n") == text.count("\n")


@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner)))
def test_harmless_json_says_the_same(value: object) -> None:
    """The escapes are those of JSON: programs read what they would have read."""
    said = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert json.loads(harmless(said)) == value


def test_names_may_be_of_any_script_but_steer_nothing() -> None:
    """Joiners belong to Persian and to emoji; only what steers is refused."""
    for name in ("größe", "温度計", "می‌خواهم", "👩‍🔬", "press 1"):
        assert not is_steering(name)
    for letter in CORPUS:
        assert is_steering(f"a{letter}b") or not letter.isprintable()


@pytest.mark.parametrize("key", ["name", "deviceName", "type", "deviceType"])
def test_a_device_with_a_control_character_in_its_name_is_refused(key: str, tmp_path: Path) -> None:
    """A line feed would break `status`, a NUL the reader of a name (found in a file that passed `check`)."""
    path = tmp_path / "c.json"
    for letter in ("\n", "\0", "\x1b", "\x9b", "\u202e", "\u2028", "\x7f"):
        path.write_text(json.dumps({"name": "x", "devices": [{key: f"a{letter}b", "port": "/dev/ttyNOSUCH"}]}))
        with pytest.raises(ConfigError, match="expected a name without control characters") as caught:
            read_gateway(path, {})
        assert caught.value.problems[0].startswith(f"c.json: devices[0].{key}: found ")
    path.write_text(json.dumps({"name": "x\x1b", "devices": [{"name": "a"}]}))
    with pytest.raises(ConfigError, match=r"c.json: name: found .* expected a name without"):
        read_gateway(path, {})


@pytest.mark.parametrize("key", ["data_file_path", "data_folder_path"])
def test_a_path_with_a_nul_is_refused(key: str, tmp_path: Path) -> None:
    """Every key that names a file; it would else be a crash of whoever opens it, again and again."""
    entry = {"name": "s", "type": "serial", "configuration": "c.json"}
    (tmp_path / "c.json").write_text('{"name": "x", "devices": [{"name": "a"}]}')
    main = {"storage": {"type": "sqlite", key: "a\0b"}, "connectors": [entry], "thingsboard": {}}
    (tmp_path / "m.json").write_text(json.dumps(main))
    with pytest.raises(ConfigError, match="a name that a file can have"):
        read_gateway(tmp_path / "m.json", {})
    for security in ({"caCert": "a\0b"}, {"privateKey": "a\0b", "type": "tls"}, {"accessToken": "a\nb"}):
        main = {"thingsboard": {"security": security}, "connectors": [entry]}
        (tmp_path / "m.json").write_text(json.dumps(main))
        with pytest.raises(ConfigError):
            read_gateway(tmp_path / "m.json", {})


def test_check_and_try_show_no_control_character(tmp_path: Path) -> None:
    """Each of the corpus in each text of a configuration, and in the frame; JSON stays JSON."""
    odd = "".join(CORPUS).replace("\0", "")
    device = {
        "name": "a",
        "port": f"/dev/{odd}",
        "delimiter": "\n",
        "telemetry": [{"key": f"k{odd}", "type": "string", "untilDelimiter": "\n"}],
        "attributes": [{"key": odd, "type": "string", "fromDelimiter": odd}],
        "attributeUpdates": [{"attributeOnPlatform": odd, "stringToDevice": odd}],
        "serverSideRpc": [{"method": odd, "type": odd, "responsePattern": "a", "withResponse": True}],
        f"unknown{odd}": odd,
    }
    path = tmp_path / f"c{odd.replace('/', '')[:40]}.json"
    path.write_text(json.dumps({"name": "x", "devices": [device], "logLevel": "INFO"}))
    hexadecimal = odd.replace("\n", "").encode().hex() + "0a"
    for command in (
        ["check", str(path)],
        ["check", str(path), "--json"],
        ["try", str(path), "--hex", hexadecimal],
        ["try", str(path), "--hex", hexadecimal, "--json"],
        ["try", str(path), "--text", odd.replace("\\", "")],
        ["try", str(path), "--rpc", odd],
        ["try", str(path), "--device", odd, "--text", "x"],
        ["check", str(tmp_path / odd.replace("/", ""))],
        [odd],
        ["status", "--data-dir", str(tmp_path / odd.replace("/", "")[:30])],
    ):
        done = serialgw(*command)
        assert_harmless(done.stdout, str(command))
        assert_harmless(done.stderr, str(command))
        assert "Traceback" not in done.stderr, done.stderr
        if "--json" in command:
            for line in done.stdout.splitlines():
                json.loads(line)


CONVERTER = """
import sys
ODD = {odd!r}
class Odd:
    def __init__(self, config, logger):
        self._logger = logger
    def convert(self, config, data):
        number = int(data)
        print("says", ODD)
        print("err", ODD, file=sys.stderr)
        self._logger.warning("logs %s", ODD)
        if number % 3 == 1:
            raise ValueError(ODD)
        if number % 3 == 2:
            return {{"deviceName": "press0", "telemetry": [{{"n": number, ODD: ODD}}], "attributes": [{{ODD: ODD}}]}}
        return {{"deviceName": "x" + ODD, "telemetry": [{{"n": number}}]}}
"""


@needs_mosquitto
def test_a_running_gateway_shows_no_control_character(tmp_path: Path) -> None:
    """Users' code that prints, logs, raises and returns the whole corpus: the log, `watch`, `status`, `dead-letters`
    and `rpc`; what the platform gets is untouched."""
    odd = "".join(CORPUS)
    serial = tmp_path / "config" / "extensions" / "serial"
    serial.mkdir(parents=True)
    (serial / "odd.py").write_text(CONVERTER.format(odd=odd))
    section = {"converter": "Odd", "telemetry": []}
    with gateway(tmp_path, 1, sections=[section]) as (rig, lines, platform, _):
        rig.start("--log-level", "DEBUG")
        platform.wait_connected("press0", deadline_s=40)
        watch = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "watch", "--data-dir", str(rig.data_dir)],
            stdout=subprocess.PIPE,
            env=rig.environ,
        )
        assert watch.stdout is not None
        number = 0

        def watched() -> bool:
            nonlocal number
            number += 1
            lines[0].write(b"%d\n" % number)
            return len(platform.telemetry("press0")) > 5

        wait_until(watched, "some readings", 20, 0.1)
        assert platform.telemetry("press0")[0]["values"] == {"n": 2, odd: odd}
        watch.send_signal(signal.SIGINT)
        assert_harmless(watch.communicate(timeout=20)[0].decode(), "watch")
        for command in (["status"], ["status", "--json"], ["dead-letters"], ["dead-letters", "--json"]):
            done = rig.cli(*command)
            assert_harmless(done.stdout, str(command))
            assert_harmless(done.stderr, str(command))
        assert rig.cli("dead-letters").stdout.count("press0") > 2
        for words in (["press0", odd.replace("\0", "")], [odd.replace("\0", ""), "x"]):
            done = rig.cli("rpc", *words, json.dumps(odd), "--timeout", "3")
            assert_harmless(done.stdout + done.stderr, "rpc")
        assert rig.stop() == 0
        log = rig.log.read_text()
        assert "says " in log
        assert "logs " in log
        assert_harmless(log, "log")
