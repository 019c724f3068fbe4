"""Secrets in files of their own: read for the publisher, only opened for everyone else, shown to nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.config.models import Security
from common.config.reading import read_gateway
from common.core.errors import ConfigError

SECRET = "s3cretToken"


def read(folder: Path, environ: dict[str, str], *, with_secrets: bool = True, **security: str) -> Security:
    main = {"thingsboard": {"security": security}, "connectors": [{"type": "serial", "configuration": "c.json"}]}
    (folder / "tb_gateway.json").write_text(json.dumps(main))
    (folder / "c.json").write_text('{"name": "x", "devices": [{"name": "a"}]}')
    return read_gateway(folder / "tb_gateway.json", environ, with_secrets=with_secrets).gateway.platform.security


def test_the_publisher_gets_what_stands_in_the_file(tmp_path: Path) -> None:
    """Without the line's end; named by a path, or beside the main file; it wins over the main file."""
    (tmp_path / "token").write_text(f"{SECRET}\n")
    for name in ("token", str(tmp_path / "token")):
        found = read(tmp_path, {"TB_GW_ACCESS_TOKEN_FILE": name}, accessToken="other")
        assert (found.type, found.access_token) == ("accessToken", SECRET)
    (tmp_path / "password").write_text(SECRET)
    found = read(tmp_path, {"TB_GW_USERNAME": "ada", "TB_GW_PASSWORD_FILE": "password"})
    assert (found.type, found.username, found.password) == ("usernamePassword", "ada", SECRET)


def test_the_variable_itself_wins(tmp_path: Path) -> None:
    """So `withheld` in a process' environment keeps it from the file."""
    found = read(tmp_path, {"TB_GW_ACCESS_TOKEN": "withheld", "TB_GW_ACCESS_TOKEN_FILE": "nosuch"})
    assert found.access_token == "withheld"


def test_nobody_else_reads_the_file(tmp_path: Path) -> None:
    """For the others it is enough that it is there: what stands in it is not even looked at."""
    (tmp_path / "token").write_bytes(b"\xff")
    found = read(tmp_path, {"TB_GW_ACCESS_TOKEN_FILE": "token"}, with_secrets=False)
    assert (found.type, found.access_token) == ("accessToken", None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"\xff" + SECRET.encode(), "what stands in it is not UTF-8"),
        (SECRET.encode() + b"\nmore\n", "more than one line, or too long"),
        (SECRET.encode() * 10_000, "more than one line, or too long"),
    ],
)
def test_a_file_that_holds_no_secret_is_a_problem(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """One problem that names the variable and the file, and shows nothing of the content."""
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, {"TB_GW_ACCESS_TOKEN_FILE": "token"})
    place = "environment: TB_GW_ACCESS_TOKEN_FILE: "
    expected = "expected a readable file that holds the secret alone"
    assert caught.value.problems == [f'{place}found "token" ({reason}), {expected}']


def test_a_file_that_is_not_there_is_a_problem_for_everyone(tmp_path: Path) -> None:
    """`check` and `run` say so before anything is started."""
    with pytest.raises(ConfigError, match="TB_GW_PASSWORD_FILE"):
        read(tmp_path, {"TB_GW_PASSWORD_FILE": "nosuch", "TB_GW_USERNAME": "a"}, with_secrets=False)


def test_the_placeholder_is_warned_of(tmp_path: Path) -> None:
    """A starter configuration whose token nobody filled in would only be refused by the platform."""
    read(tmp_path, {}, accessToken="YOUR_ACCESS_TOKEN")
    warnings = read_gateway(tmp_path / "tb_gateway.json", {}).warnings
    [warning] = warnings
    assert warning.startswith("tb_gateway.json: thingsboard.security.accessToken: still the placeholder: ")
    assert read_gateway(tmp_path / "tb_gateway.json", {"TB_GW_ACCESS_TOKEN": "t"}).warnings == []
