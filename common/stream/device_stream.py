"""One device's stream, and what others ask about it: its dead letters, its sections, deaths in its frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, assert_never

from common.core.events import Note, Send, answer
from common.core.wall_clock import WallClock
from common.stream.counters import SourceCounts
from common.stream.dead_letters import find_page, find_retried, frames_among, page_of
from common.stream.events import (
    FetchFailed,
    GapsFound,
    JournalBack,
    JournalBlocks,
    JournalEvent,
    JournalFailed,
    LettersFound,
    LookUpSection,
    SectionFound,
    SectionKept,
    StreamEffect,
)
from common.stream.limits import Limits
from common.stream.numbers import StreamState
from common.stream.uplink import Uplink
from common.wire import calls
from common.wire.calls import UNKNOWN_SECTION, DiedIn, ListDeadLetters, RetryDeadLetters, body_of, refuse, reply
from common.wire.messages import Request

Asked = ListDeadLetters | RetryDeadLetters | calls.FindSection | DiedIn
"""What a stream is asked over the calls plane."""


class KeptDevice(NamedTuple):
    """One device as its source knows it: who it is, and what its journal said when it was opened."""

    device: str
    section_hash: str
    """Names the section that new entries are to be converted under."""
    section: Callable[[], bytes]
    """That section: canonical JSON."""
    state: StreamState
    is_pinned: bool = False
    """True where users' code converts: one converter gets all entries."""
    lock: str = ""
    """Names the flock that proves that no other process has this device; "" where the process's own does."""


class DeviceStream:
    """A device's way through its journal to the platform.

    What comes in and goes out is the uplink's; here stands what others ask about the stream over the calls plane. The
    journal answers such questions later, by an event that carries the request along: nothing is remembered meanwhile.
    """

    def __init__(
        self,
        kept: KeptDevice,
        *,
        limits: Limits,
        counters: SourceCounts,
        draw: Callable[[], float],
        clock: WallClock,
        is_left: bool,
    ) -> None:
        """`is_left`: the device is no longer configured; what its journal holds is sent, and nothing follows."""
        self.device = kept.device
        self._kept = kept
        self.uplink = Uplink(
            kept.device,
            kept.section_hash,
            kept.state,
            limits=limits,
            counters=counters,
            draw=draw,
            clock=clock,
            is_pinned=kept.is_pinned,
        )
        self._is_left = is_left

    def handle(self, event: JournalEvent, now_s: float) -> list[StreamEffect]:
        """Takes what the device's journal says: the answer to an earlier effect, or that an effect failed."""
        uplink = self.uplink
        match event:
            case JournalBlocks():
                return uplink.load(event, now_s)
            case JournalFailed():
                return [*uplink.journal_failed(event, now_s)]
            case FetchFailed():
                return [*uplink.fetch_failed(event, now_s)]
            case JournalBack(end=end):
                return uplink.journal_back(end, now_s)
            case GapsFound():
                return [*uplink.gaps_found(event)]
            case SectionFound(request=request, section=section):
                return [_section_reply(request, section)]
            case LettersFound():
                return self._letters_found(event, now_s)
            case SectionKept():
                # Whoever has ordered it takes it.
                return []
            case _:
                assert_never(event)

    def take_section(self, name: str, section: bytes) -> None:
        """New entries are to be converted under this section; the journal knows it by this name."""
        self._kept = self._kept._replace(section_hash=name, section=lambda: section)
        self.uplink.section = name

    def serve(self, request: Request, asked: Asked) -> list[StreamEffect]:
        """What is asked about the stream. Each question ends in one reply, now or when the journal has answered."""
        match asked:
            case ListDeadLetters():
                return [find_page(request, asked)]
            case RetryDeadLetters() if self._is_left:
                text = f"device {self.device} is no longer configured: there is nothing to retry with"
                return [answer(refuse(request, text))]
            case RetryDeadLetters():
                return [find_retried(request, asked)]
            case calls.FindSection(section=section):
                if section == self._kept.section_hash:
                    # The usual one: the journal need not be asked.
                    return [_section_reply(request, self._kept.section())]
                return [LookUpSection(section, request)]
            case DiedIn(journal=journal, generation=generation, numbers=numbers):
                effects = self.uplink.died_in(request.id, journal, generation, numbers)
                return [*effects, answer(reply(request, None))]
            case _:
                assert_never(asked)

    def _letters_found(self, event: LettersFound, now_s: float) -> list[StreamEffect]:
        """Answers with the page, or sends the letters through again. The reply to a retry says how many were sent
        again, how many can't be, and the last id that was looked at, from which the next request goes on."""
        if not body_of(event.request, RetryDeadLetters):
            return [answer(reply(event.request, page_of(event)))]
        frames = frames_among(event.letters)
        effects: list[StreamEffect] = []
        if frames:
            if refusal := self.uplink.refusal(frames):
                return [answer(refuse(event.request, refusal))]
            facts = {"device": self.device, "count": len(frames), "first": frames[0].id, "last": frames[-1].id}
            effects = [Note("info", "dead_letters.retried", facts), *self.uplink.revive(frames, now_s)]
        last = event.letters[-1].id if event.letters else 0
        result = {"retried": len(frames), "kept": len(event.letters) - len(frames), "last": last}
        return [*effects, answer(reply(event.request, result))]


def _section_reply(request: Request, section: bytes | None) -> Send:
    """The section as JSON, or an error if it is unknown here."""
    if section is None:
        return answer(refuse(request, UNKNOWN_SECTION))
    return answer(reply(request, section))
