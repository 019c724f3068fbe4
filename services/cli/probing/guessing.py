"""How likely it is that a line was heard at its own settings, by what came. Touches no port and knows no time.

People recognise their device at once, scores do not: so there is a sample beside every guess, and the person chooses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from common.config.profiles import settings_of
from common.core.looks import end_in, looks_of
from services.cli.identifying.candidates import Candidate

RATES: Final = (9600, 115200, 19200, 38400, 57600, 4800, 2400, 1200, 230400, 460800, 921600)
"""From the commonest on."""
FORMS: Final = ("8N1", "7E1", "8E1")
SETTINGS: Final = tuple(f"{rate} {form}" for form in FORMS for rate in RATES)
"""What is listened at, in this order: nearly everything is 8N1."""
ENOUGH_BYTES: Final = 64
"""So many tell what there is to tell of a setting."""
SURE: Final = 0.95
"""A guess that is as good as this ends the search: text, line by line, without an error."""
MOST_FRAMES: Final = 8
"""Frames of one guess that are shown."""
MOST_SAMPLE_BYTES: Final = 256
SILENCE_MS: Final = 50
"""A pause that ends a frame where nothing else does: adapters hand bytes over up to 16 ms late."""
_TEXT: Final = frozenset(b"\t\r\n\x02\x03") | frozenset(range(0x20, 0x7F))
_WORDS: Final = {b"\n": "line feed", b"\r\n": "CR LF", b"\r": "CR", b"\x03": "ETX", b";": "semicolon"}


class Heard(NamedTuple):
    """What came at one setting."""

    setting: str
    chunks: tuple[bytes, ...] = ()
    """As they came; b"" where the line fell silent in between."""
    line_errors: int = 0
    """Framing and parity errors and breaks that the port's driver counted meanwhile."""

    @property
    def data(self) -> bytes:
        return b"".join(self.chunks)


class Guess(NamedTuple):
    """One setting, and what frames would be at it."""

    setting: str
    score: float
    """From 0 to 1; to be compared with others of the same line only."""
    frames: tuple[bytes, ...]
    """The newest, whole ones, with their ends."""
    delimiter: bytes
    """What ends them; b"" where silence does."""
    profiles: tuple[str, ...]
    """Known devices whose frames these are, by their checksums; or by their form, where they have none."""
    sample: bytes
    reason: str
    """Why it is thought so, for a person."""

    def section(self, port: str, name: str, profile: str = "") -> dict[str, Any]:
        """A device section to begin with: of a profile, or with each frame as one text."""
        found: dict[str, Any] = {"name": name, "port": port}
        if profile:
            return {**found, "profile": profile}
        found |= settings_of(self.setting)
        if self.delimiter:
            found["delimiter"] = self.delimiter.decode("latin-1")
        else:
            found["framing"] = {"silenceMs": SILENCE_MS}
        return {**found, "telemetry": [{"type": "string", "key": "frame"}]}


def guess(heard: Heard, candidates: Iterable[Candidate] = ()) -> Guess:
    """What is thought of one setting. `candidates` have listened to the same bytes."""
    data = heard.data
    found = [one for one in candidates if one.is_found]
    checked = [one for one in found if one.is_checked]
    profiles = tuple(one.profile.name for one in sorted(checked or found, key=lambda one: -one.frames))
    delimiter = end_in(data) if not looks_of(data) else b""
    frames = _lines(data, delimiter) if delimiter else _between_silences(heard.chunks)
    score, reason = _score(data, delimiter, frames, heard.line_errors)
    if checked:
        score, reason = 1.0, f"checksums are right, as of {', '.join(profiles)}"
    elif found:
        score, reason = (
            max(score, SURE),
            f"the form is that of {', '.join(profiles)}; there is no checksum to be sure by",
        )
    shown = tuple(frames[-MOST_FRAMES:])
    return Guess(heard.setting, round(score, 3), shown, delimiter, profiles, data[-MOST_SAMPLE_BYTES:], reason)


def best(guesses: Iterable[Guess], most: int = 3) -> list[Guess]:
    """The likeliest, the best first; what said nothing is no guess. Of guesses that saw the same the one at the
    commoner setting, since nothing tells them apart."""
    ranked = sorted((one for one in guesses if one.sample), key=lambda one: -one.score)
    return ranked[:most]


def _score(data: bytes, delimiter: bytes, frames: Sequence[bytes], line_errors: int) -> tuple[float, str]:
    if not data:
        return 0.0, "nothing came"
    text = sum(byte in _TEXT for byte in data) / len(data)
    extremes = sum(byte in (0x00, 0xFF) for byte in data) / len(data)
    errors = min(1.0, line_errors * 4 / len(data))
    if delimiter:
        score = 0.6 * text + 0.4
        word = _WORDS.get(delimiter, repr(delimiter))
        reason = f"text, each frame ends with {word}"
    elif _is_regular(frames):
        score = 0.5 + 0.2 * text
        reason = f"binary frames of {len(frames[-1])} bytes, with pauses between them"
    else:
        score = 0.4 * text
        reason = "no text, and no frames that repeat: another setting, most likely"
    if errors:
        reason += f"; the driver counts {line_errors} line errors"
    return max(0.0, score - 0.3 * extremes - 0.6 * errors), reason


def _lines(data: bytes, delimiter: bytes) -> list[bytes]:
    """Whole lines; the first may have been joined in its middle."""
    return [line + delimiter for line in data.split(delimiter)[1:-1] if line]


def _between_silences(chunks: Sequence[bytes]) -> list[bytes]:
    """What came between two silences; the first and the last may be cut."""
    groups: list[bytes] = [b""]
    for chunk in chunks:
        if chunk:
            groups[-1] += chunk
        elif groups[-1]:
            groups.append(b"")
    whole = [group for group in groups if group]
    return whole[1:] if len(whole) > 2 else whole


def _is_regular(frames: Sequence[bytes]) -> bool:
    """True if most frames have one length, or begin alike."""
    if len(frames) < 2:
        return False
    (_, same_length), *_ = Counter(map(len, frames)).most_common(1)
    (_, same_begin), *_ = Counter(frame[:2] for frame in frames).most_common(1)
    return min(same_length, same_begin) * 3 >= len(frames) * 2
