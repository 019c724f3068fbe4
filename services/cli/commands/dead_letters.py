"""`serialgw dead-letters`: what will not be retried by itself, and `--retry`, which sends it through again.

Port readers keep dead letters in their journals and are asked for them; so it works while the gateway does, and nobody
else opens a journal.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Mapping
from typing import Final

from common.core.errors import GatewayError, LinkError
from common.io.client import Client
from common.io.dead_letters import MOST_KEPT, Letter, Page, fetch_letters, retry_letters
from common.wire.calls import unknown_device
from services.cli.arguments import Subparsers, add_data_dir, add_device, one_device, whole_number
from services.cli.known import no_device, running_devices
from services.cli.parser import ERROR
from services.cli.text import compact, counted, escape, moment

SHOWN_BYTES: Final = 60
"""How much of a dead letter the text shows; `--json` has all of it."""
DEFAULT_LAST: Final = 100


def add_parser(subparsers: Subparsers) -> None:
    """Adds `dead-letters` and its options."""
    parser = subparsers.add_parser(
        "dead-letters",
        help="list frames that could not be delivered, or send them again",
        description="Lists what a running gateway has put aside because it can't be converted or the platform refuses "
        "it: time, number in its device's stream (- for pieces of the line that never were frames), reason and bytes; "
        "newest last. --retry sends the frames through again, with the current configuration and their old "
        "timestamps; those that fail again are put aside again.",
        epilog="examples:\n"
        "  serialgw dead-letters\n"
        "  serialgw dead-letters press1 --last 10 --json\n"
        "  serialgw dead-letters press1 --retry\n\n"
        "exit codes: 0 done, 1 a device could not be asked or took nothing back, 69 no gateway is running there",
    )
    add_device(parser, "of this device only")
    parser.add_argument(
        "--last",
        type=whole_number(1, MOST_KEPT),
        default=DEFAULT_LAST,
        metavar="N",
        help="the newest N of each device (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with all bytes in hexadecimal")
    parser.add_argument("--retry", action="store_true", help="send all frames among them through again")
    add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Lists, or sends again: 0, or 1 if a device could not be asked. Raises LinkError if no gateway is running.

    One device that can't be asked does not keep the others from being listed.
    """
    faults = 0
    with Client(args.data_dir) as client:
        named = one_device(args)
        for device in [named] if named is not None else find_devices(client):
            try:
                faults += retry_device(client, device, args.json) if args.retry else list_device(client, device, args)
            except GatewayError as error:
                print(f"{ERROR}{_explained(client, device, str(error))}", file=sys.stderr)
                faults += 1
    return 1 if faults else 0


def find_devices(client: Client) -> list[str]:
    """The devices with a port reader. Raises LinkError."""
    try:
        return running_devices(client)
    except GatewayError as error:
        raise LinkError(f"{error}; name a device to ask it without") from None


def _explained(client: Client, device: str, error: str) -> str:
    """Why a device could not be asked; where there is none of this name, those that there are."""
    if error == unknown_device(device):
        with contextlib.suppress(GatewayError):
            return no_device(device, running_devices(client))
    return f"{device}: {error}"


def list_device(client: Client, device: str, args: argparse.Namespace) -> int:
    """Prints the newest dead letters of a device; the count goes to standard error, as it is no letter. Raises
    LinkError."""
    page = fetch_letters(client, device, args.last)
    for letter in page.letters:
        print(json_line(device, letter) if args.json else text_line(device, letter))
    if not args.json:
        print(summary(device, page), file=sys.stderr)
    return 0


def retry_device(client: Client, device: str, as_json: bool) -> int:
    """Sends a device's dead letters through again and says what became of them: 1 if it ended early.

    Pieces of the line that never were frames stay: nothing could convert them.
    """
    done = retry_letters(client, device)
    if as_json:
        print(compact({"device": device, **done._asdict()}))
        return 1 if done.error else 0
    stays = f"; {done.kept} stay, which never were frames" if done.kept else ""
    print(f"{device}: {done.retried} sent again{stays}")
    if done.error:
        print(f"{ERROR}{device}: {done.error}; the rest stays, try again later", file=sys.stderr)
    return 1 if done.error else 0


def text_line(device: str, letter: Letter) -> str:
    """One dead letter for a person."""
    _, number, ts_ms, reason, data = letter
    more = f"… ({len(data)} bytes)" if len(data) > SHOWN_BYTES else ""
    return f'{moment(ts_ms)} {device} {number or "-"} {escape(reason.encode())}: "{escape(data[:SHOWN_BYTES])}"{more}'


def json_line(device: str, letter: Letter) -> str:
    """One dead letter for a program. `number` is null for pieces of the line that never were frames."""
    letter_id, number, ts_ms, reason, data = letter
    fields: Mapping[str, object] = {
        "device": device,
        "id": letter_id,
        "time": moment(ts_ms),
        "ts": ts_ms,
        "number": number or None,
        "reason": reason,
        "bytes": len(data),
        "hex": data.hex(),
    }
    return compact(fields)


def summary(device: str, page: Page) -> str:
    """How many there are, and whether all were shown."""
    hidden = page.total - len(page.letters)
    older = f", {hidden} older not shown (--last)" if hidden > 0 else ""
    return f"{device}: {counted(page.total, 'dead letter')}, {counted(page.total_bytes, 'byte')}{older}"
