"""The numbers under which the kernel knows kinds of serial ports: what a container's rules and a unit's allow. Pure."""

from __future__ import annotations

from typing import Final

MAJORS: Final = {"ttyUSB": 188, "ttyACM": 166, "ttyS": 4, "ttyAMA": 204, "rfcomm": 216}
"""Kind of port → major device number (Linux, Documentation/admin-guide/devices.txt)."""
DYNAMIC: Final = range(234, 512)
"""Drivers without a number of their own are given one of these when they are loaded."""


def majors_of(kinds: tuple[str, ...], listed: str) -> tuple[dict[str, int], tuple[str, ...]]:
    """(kind → number, kinds whose number nobody knows). `listed` is what /proc/devices says, in which the drivers that
    are loaded now stand with theirs."""
    loaded = {}
    for row in listed.partition("Block devices")[0].splitlines():
        number, _, name = row.strip().partition(" ")
        if number.isdigit():
            loaded[name] = int(number)
    found = {kind: MAJORS.get(kind, loaded.get(kind)) for kind in kinds}
    known = {kind: number for kind, number in found.items() if number is not None}
    return known, tuple(kind for kind in kinds if kind not in known)
