"""Sections for a supervisord that somebody runs already: a program for each process of the gateway. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from common.io.exits import EXIT_CONFIG
from common.io.variables import WITHHELD
from services.cli.deploying.deployment import Deployment
from services.cli.deploying.yaml_text import service_names

CONVERTERS: Final = 2
_HEAD: Final = """\
; All processes of a gateway, for a supervisord that runs already: copy this into a file that its [include] finds, then
; `supervisorctl update`. supervisord sees who ends, not who stands still; `serialgw run`, which brings one of its own,
; also sees that.
"""


def supervisor_sections(deployment: Deployment) -> str:
    """The text of the file."""
    programs = list(_programs(deployment))
    names = ",".join(name for name, _ in programs)
    return (
        _HEAD
        + "".join(_section(deployment, *program) for program in programs)
        + (f"\n[group:serialgw]\nprograms={names}\n")
    )


def _programs(deployment: Deployment) -> Iterable[tuple[str, list[str]]]:
    """(name, arguments) of each."""
    for kind in ("monitor", "broker", "publisher"):
        yield f"serialgw-{kind}", [kind]
    for slot in range(CONVERTERS):
        yield f"serialgw-converter-{slot}", ["converter", "--slot", str(slot)]
    readers = service_names("serialgw-reader", (line.name for line in deployment.lines))
    for name, line in zip(readers, deployment.lines, strict=True):
        yield name, ["port_reader", f"--device={line.name}"]
    connectors = service_names("serialgw-connector", deployment.hosted)
    for name, connector in zip(connectors, deployment.hosted, strict=True):
        yield name, ["connector_host", f"--connector={connector}"]


def _section(deployment: Deployment, name: str, arguments: list[str]) -> str:
    kind, *more = arguments
    places = ["--config", str(deployment.config), "--data-dir", str(deployment.data_dir)]
    command = [str(deployment.python), "-P", "-m", f"services.{kind}", *places, *more]
    return f"""
[program:{name}]
command={" ".join(map(_word, command))}
{_environment(deployment.secret, is_publisher=kind == "publisher")}user={deployment.user}
autorestart=unexpected
exitcodes={EXIT_CONFIG}
startsecs=0
startretries=1000000000
stopsignal=TERM
stopwaitsecs=15
redirect_stderr=true
"""


def _environment(secret: str, *, is_publisher: bool) -> str:
    if not secret:
        return ""
    name = secret.removeprefix("TB_GW_").lower()
    value = f'{secret}_FILE="/etc/serialgw/{name}"' if is_publisher else f'{secret}="{WITHHELD}"'
    return f"environment={value}\n"


def _word(text: str) -> str:
    """A word of a command as supervisord splits it; `%` begins an expansion, ` ;` a comment."""
    plain = text.replace("%", "%%")
    if all(letter.isalnum() or letter in "/._-=:@+,%" for letter in plain):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
