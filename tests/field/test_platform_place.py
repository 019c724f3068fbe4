"""Where the platform is, as people write it: `check` says what belongs into which key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.config.reading import read_gateway
from common.core.errors import ConfigError
from services.cli.whole import read_whole


def problems(folder: Path, environ: dict[str, str] | None = None, **thingsboard: Any) -> list[str]:
    """What `check` says of this section: problems, else warnings."""
    path = folder / "tb_gateway.json"
    connectors = [{"name": "lines", "type": "serial", "configuration": "lines.json"}]
    path.write_text(json.dumps({"thingsboard": thingsboard, "connectors": connectors}))
    path.chmod(0o600)
    device = {"name": "d", "port": "/dev/ttyS0", "telemetry": [{"key": "t", "type": "float"}]}
    (folder / "lines.json").write_text(json.dumps({"name": "lines", "devices": [device]}))
    try:
        return read_whole(str(path), environ or {})[1]
    except ConfigError as error:
        return error.problems


@pytest.mark.parametrize(
    ("host", "right"),
    [
        ("tb.example.org:1883", '"tb.example.org", and "port": 1883 as a key of its own'),
        ("mqtt://tb.example.org:1883", '"tb.example.org", and "port": 1883 as a key of its own'),
        ("https://tb.example.org", '"tb.example.org"'),
        ("tb.example.org/mqtt", '"tb.example.org"'),
        ("http://tb.example.org:8080/dashboards?x=1#y", '"tb.example.org", and "port": 8080 as a key of its own'),
        ("10.0.0.5:1883", '"10.0.0.5", and "port": 1883 as a key of its own'),
        ("[::1]:1883", '"::1", and "port": 1883 as a key of its own'),
        ("[fe80::1]", '"fe80::1"'),
        (" tb.example.org", '"tb.example.org"'),
    ],
)
def test_more_than_a_host_in_host(tmp_path: Path, host: str, right: str) -> None:
    """The sentence has what is to be written instead."""
    (problem,) = problems(tmp_path, host=host)
    expected = f"expected a host name or an address alone: {right}"
    assert problem.endswith(f"thingsboard.host: found {json.dumps(host)}, {expected}")


@pytest.mark.parametrize("host", ["a:b:c", "tb example", "mqtt://", ":1883"])
def test_what_can_be_no_host(tmp_path: Path, host: str) -> None:
    """Nothing is guessed where there is nothing to guess."""
    (problem,) = problems(tmp_path, host=host)
    assert problem.endswith("expected a host name or an address")


def test_credentials_in_a_url_are_not_shown(tmp_path: Path) -> None:
    """What stands before the @ may be the token."""
    (problem,) = problems(tmp_path, host="mqtt://s3cret:pa55@tb.example.org:1883")
    assert "s3cret" not in problem
    assert "pa55" not in problem
    assert '"tb.example.org", and "port": 1883' in problem


def test_the_environment_is_read_alike(tmp_path: Path) -> None:
    """TB_GW_HOST is the same mistake in another place."""
    (problem,) = problems(tmp_path, {"TB_GW_HOST": "tb:1883"})
    assert "TB_GW_HOST" in problem
    assert '"port": 1883' in problem


@pytest.mark.parametrize("host", ["localhost", "tb.example.org", "tb_1", "10.0.0.5", "::1", "fe80::1%eth0", "tb."])
def test_hosts_are_taken(tmp_path: Path, host: str) -> None:
    """Names, and addresses of both kinds."""
    assert problems(tmp_path, host=host) == []


@pytest.mark.parametrize(
    ("port", "security", "word"),
    [
        (80, {}, "80 is usually a web server: MQTT is usually 1883, or 8883 with TLS"),
        (443, {}, "443 is usually a web server"),
        (8080, {}, "8080 is usually a web server"),
        (9001, {}, "9001 is usually MQTT within web sockets"),
        (8883, {"tls": False}, "8883 is usually MQTT with TLS, and the configuration asks for none"),
        (1883, {"type": "tlsAccessToken"}, "1883 is usually MQTT without TLS"),
    ],
)
def test_ports_of_other_services(tmp_path: Path, port: int, security: dict[str, Any], word: str) -> None:
    """A warning, for any port may be right."""
    (warning,) = problems(tmp_path, port=port, security={"accessToken": "s", **security})
    assert f"thingsboard.port: {word}" in warning


@pytest.mark.parametrize(
    ("port", "security"), [(1883, {}), (8883, {"type": "tlsAccessToken"}), (8883, {}), (11883, {})]
)
def test_usual_ports(tmp_path: Path, port: int, security: dict[str, Any]) -> None:
    """Nothing is said of what fits, nor of a default that nobody wrote."""
    assert problems(tmp_path, port=port, security={"accessToken": "s", **security}) == []
    assert problems(tmp_path, security={"accessToken": "s", **security}) == []


def test_port_8883_is_tls_unless_the_configuration_says_otherwise(tmp_path: Path) -> None:
    """As in ThingsBoard's gateway, which speaks TLS there whatever else is said."""
    assert problems(tmp_path, port=8883, security={"accessToken": "s"}) == []
    main = tmp_path / "tb_gateway.json"
    assert read_gateway(main, {}).gateway.platform.security.uses_tls
    problems(tmp_path, port=8883, security={"accessToken": "s", "tls": False})
    assert not read_gateway(main, {}).gateway.platform.security.uses_tls
