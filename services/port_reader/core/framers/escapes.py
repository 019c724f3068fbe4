"""Bytes that mean something to the framing, undone inside a frame. Pure."""

from __future__ import annotations

import re

from common.core.frame_shape import Escape


class Unescaper:
    """One kind of escape."""

    def __init__(self, escape: Escape) -> None:
        self.is_double = escape.double
        """True where the escape byte can only mean itself, twice, or begin something else."""
        self._byte = escape.byte
        self._text = bytes((escape.byte,))
        self._pair = re.compile(re.escape(self._text) + rb"(.)?", re.DOTALL)
        self._xor, self._map = escape.xor, dict(escape.pairs)

    def undo(self, data: bytes) -> tuple[bytes, str]:
        """(what the bytes stand for, "" or what is wrong with them)."""
        if self._byte not in data:
            return data, ""
        fault = ""

        def meant(found: re.Match[bytes]) -> bytes:
            nonlocal fault
            following = found.group(1)
            if following is None:
                fault = fault or f"an escape {self._byte:02X} stands last"
                return b""
            byte = following[0]
            if self.is_double:
                known = byte == self._byte
                fault = fault or ("" if known else f"the escape {self._byte:02X} is not doubled")
                return following
            if byte in self._map:
                return bytes((self._map[byte],))
            if self._xor:
                return bytes((byte ^ self._xor,))
            fault = fault or f"{self._byte:02X} {byte:02X} is no escape that is known"
            return following

        return self._pair.sub(meant, data), fault

    def end_of(self, data: bytes | bytearray, first: int, count: int) -> int:
        """The place behind `count` bytes, escapes undone, that begin at `first`: beyond the data if they are not all
        there; then it is the least that must be."""
        end = first + count
        while end <= len(data):
            pairs = self._pair.findall(bytes(data[first:end]))
            # A pair takes two bytes for one; one that is cut takes one for none.
            found = end - first - len(pairs)
            if found == count:
                return end
            end += count - found
        return end

    def find_end(self, data: bytes | bytearray, first: int, ends: tuple[bytes, ...]) -> tuple[int, int]:
        """The first of `ends` at `first` or behind it that no doubled escape byte is part of: (place, size); (-1, 0)
        if there is none yet."""
        at, size = first, len(data)
        others = [end for end in ends if end[0] != self._byte]
        while at < size:
            following = data.find(self._text, at)
            stop = size if following < 0 else following
            found = [(place, len(end)) for end in others if 0 <= (place := data.find(end, at)) < stop]
            if found:
                return min(found)
            if following < 0:
                return -1, 0
            if data.startswith(self._text, following + 1):
                at = following + 2
                continue
            for end in ends:
                if data.startswith(end, following):
                    return following, len(end)
            if following + 1 >= size or any(end.startswith(bytes(data[following:])) for end in ends):
                return -1, 0
            at = following + 1
        return -1, 0
