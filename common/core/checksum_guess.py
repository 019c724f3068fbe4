"""Which checksum frames have, where the configured one is wrong in all of them. Pure.

To be imported only where somebody is to be told: a guess tries some thousand ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from common.core.byte_text import spell, spell_hex
from common.core.checksum import NAMES, Check, size_of, width_of
from common.core.control_names import protocol_bytes
from common.core.frame_shape import Checksum, Spelling

GUESS_BYTES: Final = 512
"""Longer frames are not guessed at: some thousand ways take a second of a small machine with 4 KiB each."""
SURE_BITS: Final = 32
"""So many bits of different frames must agree: of two thousand ways one in two million fits by chance then."""
_MOST_FROM: Final = 6
"""Checksums begin within the first bytes: behind a start of one to four, an address, a length."""


class Guess(NamedTuple):
    """A checksum that fits all of the frames that were looked at."""

    checksum: Checksum
    frames: int
    """How many different frames it fits."""

    @property
    def keys(self) -> dict[str, object]:
        """The keys of `checksum` in a device's section."""
        found, said = self.checksum, {"type": self.checksum.type}
        keys: dict[str, object] = dict(said)
        if found.from_byte:
            keys["from"] = found.from_byte
        if found.to_byte is not None:
            keys["to"] = found.to_byte
        if found.to_after:
            keys["toAfter"] = _text(found.to_after)
        if found.at_byte is not None:
            keys["at"] = found.at_byte
        if found.after:
            keys["after"] = _text(found.after)
        if found.spelling != "big":
            keys["as"] = found.spelling
        return keys


def guess_checksum(configured: Checksum, frames: Sequence[bytes]) -> Guess | None:
    """What fits all of these whole frames, which the configured checksum does not fit; None where nothing does, or too
    little was seen to be sure. Kinds whose place says more than one position (`each`, `result`) are not guessed."""
    if configured.each is not None or configured.result is not None or configured.hex_pairs:
        return None
    seen = sorted(set(frames))
    if not seen or len(seen[-1]) == 0 or max(map(len, seen)) > GUESS_BYTES:
        return None
    for candidate in _candidates(configured):
        if width_of(candidate) * len(seen) < SURE_BITS or not _can_be_said(candidate):
            continue
        check = Check(candidate)
        # What is over no byte at all says only that a place of the frames has always the same bytes.
        if all(map(check.is_right, seen)) and all(map(check.covered, seen)):
            return Guess(candidate, len(seen))
    return None


def _can_be_said(candidate: Checksum) -> bool:
    """False for what a configuration is refused for: three characters of a number that does not have 16 bits, and a
    checksum that stands among the bytes that it is over."""
    if candidate.spelling == "sdi12" and width_of(candidate) != 16:
        return False
    first, to, at = candidate.from_byte, candidate.to_byte, candidate.at_byte
    if to is None or at is None or len({first >= 0, to >= 0, at >= 0}) > 1:
        return True
    return at >= to or at + size_of(candidate) <= first


def _text(data: bytes) -> str:
    """Bytes as a configuration says them: as text where that is read as the same bytes, else in digits."""
    text = spell([data])
    return text if text.isascii() and protocol_bytes(text) == data else spell_hex([data])


def _candidates(configured: Checksum) -> Iterator[Checksum]:
    """Ways to have a checksum in the same place, those that differ least from the configured one first."""
    kinds = [*dict.fromkeys((configured.type, *NAMES))] if configured.type else list(NAMES)
    spellings: list[Spelling] = [*dict.fromkeys((configured.spelling, "big", "little", "hex"))]
    froms = [*dict.fromkeys((configured.from_byte, *range(_MOST_FROM)))]
    tos = [*dict.fromkeys((configured.to_byte, None))]
    size = size_of(configured)
    for kind in kinds:
        for spelling in spellings:
            bare = replace(configured, type=kind, crc=None, spelling=spelling, mask=None, plus=0, avoid=b"")
            for placed in _placed(bare, size_of(bare) - size):
                for first in froms:
                    yield from (replace(placed, from_byte=first, to_byte=to) for to in tos)


def _placed(bare: Checksum, wider: int) -> list[Checksum]:
    """The same place for one that has so many bytes more: it ends where the configured one does, or begins there."""
    at = bare.at_byte
    if at is None or not wider:
        return [bare]
    if at < 0:
        return [replace(bare, at_byte=at - wider)] if at - wider < 0 else []
    return [bare, *([replace(bare, at_byte=at - wider)] if at - wider > 0 else [])]
