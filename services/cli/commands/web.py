"""`serialgw web`: a link that opens the gateway's page, logged in."""

from __future__ import annotations

import argparse
import http.client
import os
import socket
from typing import Any, Final
from urllib.parse import quote

import simplejson

from common.core.errors import GatewayError, LinkError
from common.io.client import ADVICE, find_gateway
from common.io.endpoints import socket_base
from services.cli.arguments import Subparsers, add_data_dir
from services.cli.text import compact

SOCKET: Final = "web.sock"
ANSWER_S: Final = 5.0
MOST_BYTES: Final = 65_536
OFF: Final = (
    "its page is switched off (web.enable, SERIALGW_WEB), or its monitor does not run: `serialgw status` says which"
)
NOWHERE: Final = "the page is reached over no address: the monitor's log says why (another program has its port?)"


def add_parser(subparsers: Subparsers) -> None:
    """Adds `web` and its options."""
    parser = subparsers.add_parser(
        "web",
        help="print a link that opens the gateway's page",
        description="Prints a link to the page of a running gateway. It logs you in once, within a minute; your "
        "browser stays logged in for a week. On this machine the page can be looked at without logging in.",
        epilog="examples:\n"
        "  serialgw web\n"
        "  serialgw web --view           a link for somebody who is to change nothing\n\n"
        "exit codes: 0 printed, 1 there is no page, 69 no gateway is running there",
    )
    parser.add_argument("--view", action="store_true", help="a login that can look, and change nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object, with the link and what it may")
    add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the link. Raises LinkError where no gateway runs, GatewayError where it has no page."""
    find_gateway(args.data_dir)
    role = "view" if args.view else "edit"
    found = ask(args, role)
    if not found.get("at"):
        raise GatewayError(NOWHERE)
    link = f"{found['at']}login?code={quote(str(found['code']))}"
    if args.json:
        print(compact({"link": link, "role": role, "editable": bool(found.get("editable"))}))
        return 0
    print(link)
    if role == "edit" and not found.get("editable"):
        print("it can be looked at, and nothing changed: web.edit in the configuration allows that")
    return 0


def ask(args: argparse.Namespace, role: str) -> dict[str, Any]:
    """The monitor's answer over its Unix socket. Raises LinkError, GatewayError."""
    connection = _Connection(os.path.join(socket_base(args.data_dir.absolute() / "run"), SOCKET))
    try:
        connection.request("POST", f"/api/code?role={role}", "{}", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        found = simplejson.loads(answer.read(MOST_BYTES))
    except (FileNotFoundError, ConnectionRefusedError):
        raise GatewayError(OFF) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise LinkError(f"the monitor can't be asked: {error}; {ADVICE}") from None
    finally:
        connection.close()
    if not isinstance(found, dict) or answer.status != 200:
        raise GatewayError(str(found.get("error", answer.status)) if isinstance(found, dict) else str(answer.status))
    return found


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_S)
        self.sock.connect(self._path)
