"""Configuration files: what people, editors and disks make of them. Read or refused, with file and place, in time."""

from __future__ import annotations

import copy
import json
import random
import time
from typing import Any

from tests.fuzz.memory import MIB, rounds
from tests.property.test_config_mutations import MAIN, SERIAL, paths_of, read_or_refuse

GROWTH = 48 * MIB
ONE_S = 5.0
"""So long may one reading take at most."""
ODD = (
    None,
    True,
    0,
    -1,
    2**63,
    2**70,
    1e308,
    "",
    "x" * 10_000,
    "\0",
    "\x1b[2J",
    "\u202e",
    "\ud800",
    "${}",
    "(" * 500,
    "(a+)+$",
    "../../etc/passwd",
    "/dev/zero",
    "socket://[::1",
    [],
    {},
    [[[[]]]],
    {"a": {"b": {"c": {}}}},
)


def fuzz(seconds: float, seed: int) -> str:
    runs, longest_s = 0, 0.0
    for number in rounds(seconds, GROWTH, every=200):
        draw = random.Random(f"{seed} {number}")
        began_s = time.monotonic()
        read_or_refuse(_spoiled(draw, MAIN), _spoiled(draw, SERIAL))
        longest_s = max(longest_s, time.monotonic() - began_s)
        assert longest_s < ONE_S, f"run {number} took {longest_s:.1f} s"
        runs = number + 1
    return f"{runs} pairs of files read or refused, the longest in {longest_s:.2f} s"


def _spoiled(draw: random.Random, original: Any) -> bytes:
    document = copy.deepcopy(original)
    for _ in range(draw.randrange(4)):
        document = _changed(draw, document)
    content = json.dumps(document).encode()
    for _ in range(draw.choice([0, 0, 1, 3])):
        place = draw.randrange(len(content) + 1)
        junk = draw.choice([b"", b"\xff", b"{", b"}", b'"', b",", b"\\u", b"//", draw.randbytes(3), b"[" * 2000])
        content = content[:place] + junk + content[place + draw.choice([0, 1, 5, 100]) :]
    return content[: draw.randrange(len(content) + 1)] if draw.random() < 0.1 else content


def _changed(draw: random.Random, document: Any) -> Any:
    path = draw.choice(paths_of(document))
    if not path:
        return copy.deepcopy(draw.choice(ODD))
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    match draw.randrange(4):
        case 0:
            del parent[path[-1]]
        case 1:
            parent[path[-1]] = copy.deepcopy(draw.choice(ODD))
        case 2 if isinstance(parent, dict):
            parent[draw.choice([*parent, "converter", "name", "x" * 300, "\0"])] = copy.deepcopy(parent[path[-1]])
        case _:
            parent[path[-1]] = copy.deepcopy(document) if len(json.dumps(document)) < 50_000 else 7
    return document
