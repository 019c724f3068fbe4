"""Reads `escape`: how bytes that mean something to the framing stand inside a frame."""

from __future__ import annotations

from common.config.device.protocol_reading import read_byte
from common.config.json_object import JsonObject
from common.core.frame_shape import Escape


def read_escape(entry: JsonObject, *known: str) -> Escape | None:
    """How bytes are escaped, by the key `escape`; None where none are, or in no way that can be understood. `known`:
    keys in it that somebody else reads."""
    child = entry.child("escape")
    if child is None:
        return None
    child.knows(*known)
    byte, xor, is_double = read_byte(child, "byte"), read_byte(child, "xor"), child.flag("double", False)
    pairs = _read_map(child)
    child.warn_unknown()
    if "byte" not in child.values:
        child.problem("byte", "nothing", 'the escape byte, such as "hex:7D"')
    ways = [key for key in ("xor", "map", "double") if key in child.values]
    if len(ways) != 1 or (ways == ["double"] and not is_double):
        found = " and ".join(ways) if ways else "nothing that says what is meant"
        child.findings.problem(child.file, child.path, found, 'one of "xor", "map" and "double": true')
    return None if byte is None else Escape(byte=byte, xor=xor or 0, pairs=pairs, double=is_double)


def _read_map(entry: JsonObject) -> tuple[tuple[int, int], ...]:
    """(the byte behind the escape, what is meant)."""
    child = entry.child("map")
    pairs: list[tuple[int, int]] = []
    if child is None:
        return ()
    for key in child.values:
        meant = read_byte(child, key)
        written = read_byte(JsonObject({key: key}, child.file, child.path, child.findings), key)
        if meant is not None and written is not None:
            pairs.append((written, meant))
    return tuple(pairs)
