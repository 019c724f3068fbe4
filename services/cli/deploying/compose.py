"""The Compose file of a gateway: a container for each process, hardened alike. Pure.

docker-compose 1.29 and `docker compose` 2 take it. What is the same for all stands once, under `x-process`; a port is
three lines. deploy/docker-compose.yml is what this prints for deploy/example, with an MQTT broker and dashboards added.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from common.io.alive import OLD_S
from services.cli.deploying.deployment import Deployment, Line
from services.cli.deploying.numbers import majors_of
from services.cli.deploying.yaml_text import service_names, words

ALIVE_FILE: Final = "/tmp/alive"
"""Each container's own, in memory."""
CHECK: Final = f"test $$(( $$(date +%s) - $$(stat -c %Y {ALIVE_FILE} || echo 0) )) -lt {OLD_S}"
"""Costs a shell and two small programs; a Python would cost thirty times that, in each container, each half minute."""
MEMORY: Final = {"broker": "256m", "monitor": "192m", "publisher": "256m", "converter": "512m", "reader": "128m"}
"""Several times what each has under load (docs/performance.md): a leak ends one process, which loses nothing, and
not the machine. Converters, and connectors, run users' code."""
PIDS: Final = {"converter": 512}
"""Processes and threads; each device whose converter is a user's has a process of its own. Others have PIDS_OF_ALL."""
PIDS_OF_ALL: Final = 64
WEB_PORT: Final = 8484

_HEAD: Final = """\
# One container per process: docker-compose up -d     (or: docker compose up -d)
#
#   SERIALGW_IMAGE       the image (default: serialgw:latest)
#   SERIALGW_CONFIG      the folder of the configuration (default: {folder})
{secret_line}#   DIALOUT_GID          the group of the serial ports: stat -c %g /dev/ttyUSB0 (default: {group_id})
#
# Processes start in any order, and each may be restarted at any time, so there is no depends_on. Sockets and journals
# share one volume. Docker can't tell exit 78 (a configuration error) from a crash: such a container is restarted, ever
# more slowly; its log says what is wrong. Nor does it restart a container that is unhealthy, it shows it:
# docker-compose ps
"""
_PROCESS: Final = """
x-process: &process
  image: ${{SERIALGW_IMAGE:-serialgw:latest}}
  restart: unless-stopped
  stop_grace_period: 15s
  # A first process of its own: until Python has its handlers, a SIGTERM to the container would be ignored.
  init: true
  read_only: true
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  pids_limit: {pids}
  tmpfs: ["/tmp:mode=1777,size=16m"]
  environment: &environment
{withheld}    SERIALGW_ALIVE_FILE: {alive}
  volumes: &volumes
    - data:/data
    - ${{SERIALGW_CONFIG:-{folder}}}:/config:ro
  healthcheck:
    # Without Python: each process touches this file while it goes round.
    test: ["CMD-SHELL", {check}]
    interval: 30s
    timeout: 5s
    retries: 2
    start_period: 120s
  logging:
    driver: json-file
    options:
      max-size: 10m
      max-file: "3"

x-reader: &reader
  <<: *process
  network_mode: none
  mem_limit: {reader_memory}
  group_add: ["${{DIALOUT_GID:-{group_id}}}"]
  # With all of /dev mounted, an adapter that is plugged in later, or comes back under another number, is there too;
  # `devices:` would freeze what was there at the start. The rules say which of it may be opened.
  device_cgroup_rules:
{rules}  volumes:
    - data:/data
    - ${{SERIALGW_CONFIG:-{folder}}}:/config:ro
    - /dev:/dev

volumes:
  data: {{}}

networks:
  platform: {{}}
  page: {{}}
{secrets}
services:
  broker:
    <<: *process
    network_mode: none
    mem_limit: {broker_memory}
    command: {broker}

  monitor:
    <<: *process
    networks: [page]
    mem_limit: {monitor_memory}
    command: {monitor}
    # Its page, for this machine alone: `docker-compose exec monitor serialgw web` prints a link that logs you in.
    ports: ["127.0.0.1:{web_port}:{web_port}"]
    environment:
      <<: *environment
      SERIALGW_WEB: 0.0.0.0:{web_port}
      SERIALGW_WEB_HOSTS: monitor

  publisher:
    <<: *process
    # The only one that speaks to the platform, and has the secret: the others are content that there is one.
    networks: [platform]
    mem_limit: {publisher_memory}
    command: {publisher}
{publisher_secret}    environment:
      SERIALGW_ALIVE_FILE: {alive}
      TB_GW_HOST: ${{TB_GW_HOST:-}}
{secret_variable}
  # As many as you want: docker-compose up -d --scale converter=4; each takes the first place that is free.
  converter:
    <<: *process
    network_mode: none
    mem_limit: {converter_memory}
    pids_limit: {converter_pids}
    command: {converter}
"""


def compose_file(deployment: Deployment, listed: str = "", folder: str = "") -> str:
    """The text of the file. `listed`: what /proc/devices says; `folder`: the configuration's, as the file is to name
    it."""
    majors = majors_of(deployment.kinds, listed)[0]
    parts = {
        **_secret_parts(deployment.secret),
        **{kind: _command(deployment, kind) for kind in ("broker", "monitor", "publisher", "converter")},
        **{f"{kind}_memory": limit for kind, limit in MEMORY.items()},
        "folder": (folder or str(deployment.config.parent)).replace("$", "$$"),
        "group_id": deployment.group_id,
        "rules": "".join(f'    - "c {number}:* rmw" # {kind}\n' for kind, number in majors.items()),
        "pids": PIDS_OF_ALL,
        "converter_pids": PIDS["converter"],
        "alive": ALIVE_FILE,
        "check": f'"{CHECK}"',
        "web_port": WEB_PORT,
    }
    whole = (_HEAD + _PROCESS).format_map(parts)
    return whole + "".join(_readers(deployment)) + "".join(_connectors(deployment))


def _secret_parts(secret: str) -> dict[str, str]:
    """How a secret comes from a file of the host's to the publisher, and into no environment."""
    names = ("secret_line", "withheld", "secrets", "publisher_secret", "secret_variable")
    if not secret:
        return dict.fromkeys(names, "")
    what = _what(secret)
    texts = (
        f"#   SERIALGW_SECRET_FILE a file with the {what.replace('_', ' ')} alone (default: ./secrets/{what})\n",
        f"    {secret}: withheld\n",
        (
            f"\nsecrets:\n  {what}:\n    # For user 1000 to read: install -o 1000 -m 400 …\n"
            f"    file: ${{SERIALGW_SECRET_FILE:-./secrets/{what}}}\n"
        ),
        f"    secrets: [{what}]\n",
        f"      {secret}_FILE: /run/secrets/{what}\n",
    )
    return dict(zip(names, texts, strict=True))


def _what(secret: str) -> str:
    """`access_token` of TB_GW_ACCESS_TOKEN."""
    return secret.removeprefix("TB_GW_").lower()


def _command(deployment: Deployment, kind: str, *more: str) -> str:
    place = f"/config/{deployment.config.name}"
    return words(["python", "-P", "-m", f"services.{kind}", "--config", place, "--data-dir", "/data", *more])


def _readers(deployment: Deployment) -> Iterable[str]:
    """One for each line: name, what it shares with all, its command."""
    names = service_names("reader", (line.name for line in deployment.lines))
    for service, line in zip(names, deployment.lines, strict=True):
        yield f"\n  {service}:\n" + _reader(line, _command(deployment, "port_reader", f"--device={line.name}"))


def _reader(line: Line, command: str) -> str:
    if not line.is_remote:
        return f"    <<: *reader\n    command: {command}\n"
    # No device, but a network.
    ports = "" if line.listens_at is None else f'    ports: ["{line.listens_at}:{line.listens_at}"]\n'
    shared = f"    <<: *process\n    networks: [platform]\n    mem_limit: {MEMORY['reader']}\n"
    return f"{shared}{ports}    command: {command}\n"


def _connectors(deployment: Deployment) -> Iterable[str]:
    """One for each hosted connector, which mostly needs a network."""
    names = service_names("connector", deployment.hosted)
    for service, name in zip(names, deployment.hosted, strict=True):
        command = _command(deployment, "connector_host", f"--connector={name}")
        memory, pids = MEMORY["converter"], PIDS["converter"]
        yield (
            f"\n  {service}:\n    <<: *process\n    networks: [platform]\n    mem_limit: {memory}\n"
            f"    pids_limit: {pids}\n    command: {command}\n"
        )
