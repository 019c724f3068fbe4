"""Sections that are taken by readers at work: when a device is configured otherwise, and what must be true of it.

The swap number k of a device gives it a further data point `vK`, another bound of its frames, and so another section
and another framing. Each frame names by its readings which section it was converted under.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.config.models import DataPoint, Device, section_of
from common.io.journal.sections import section_name
from common.stream.blocks import Block
from common.stream.events import Append
from common.wire.calls import TakeDevices, TakeSection, pack_body, verb_of
from common.wire.messages import Entry, Plane, Reply, Request
from services.publisher.core.known import encode_known
from tests.simulation.kernel import arrived
from tests.simulation.source import enumerate_entries

if TYPE_CHECKING:
    from tests.simulation.faults import Faults
    from tests.simulation.reader import ReaderProcess
    from tests.simulation.scenario import Scenario
    from tests.simulation.world import PublisherProcess

ASKED: Final = "swap-"
"""Begins the id of the call by which a section is handed over."""
TOLD: Final = "told"
"""The id of the call by which the publisher hears which devices there are."""
AWAY_S: Final = 5.0
"""A device is not configured for so long at most; it goes on talking meanwhile."""
RECOVERY_S: Final = 12.0


def version_of(count: int) -> str:
    """The key by which a reading says under which section it was made."""
    return f"v{count}"


def swapped(device: Device, count: int) -> Device:
    """The device after so many swaps."""
    points = [point for point in device.telemetry if not point.key.startswith("v")]
    bound = device.framing.max_frame_bytes + (1 if count % 2 == 0 else -1)
    return msgspec.structs.replace(
        device,
        telemetry=(*points, DataPoint(key=version_of(count), type="int")),
        framing=msgspec.structs.replace(device.framing, max_frame_bytes=bound),
    )


class Book:
    """Which section each frame of one reader was journaled under, and which it had to be."""

    def __init__(self, section: str) -> None:
        self.versions: dict[str, str] = {section: ""}
        """Section → the key that its readings have; "" for the first."""
        self.promised = ""
        """What the reader has said that it goes by; "" while it has not said."""
        self.sections: dict[int, str] = {}
        """Value → the section that its frame was journaled under."""
        self.problems: list[str] = []

    def began(self, section: str) -> None:
        """A process begins with this section."""
        self.promised = section

    def replied(self, reply: Reply, section: str) -> None:
        """The reader has taken the section, or says why not."""
        if reply.error:
            self.problems.append(f"a section was refused: {reply.error}")
        self.promised = section

    def committed(self, effect: Append) -> None:
        """Blocks are journaled. What had no room on the disk was numbered before."""
        for block in effect.blocks:
            if block.kind in (Entry.FRAMES, Entry.ANSWER):
                self._take(block, is_retry=effect.is_retry)

    def _take(self, block: Block, *, is_retry: bool) -> None:
        if block.section != self.promised and not is_retry:
            self.problems.append(f"{block.first} is journaled under another section than the one that was taken")
        for frame in enumerate_entries(block).values():
            if not frame.strip().lstrip(b"-").isdigit():
                continue
            if self.sections.setdefault(int(frame), block.section) != block.section:
                self.problems.append(f"{frame!r} is journaled under two sections")


class Swaps:
    """Configures devices otherwise while they talk, as the scenario says."""

    def __init__(
        self, readers: list[ReaderProcess], publisher: PublisherProcess, scenario: Scenario, faults: Faults
    ) -> None:
        self._faults = faults
        self._publisher = publisher
        self._clock = readers[0].clock
        self._draw = random.Random(f"comes and goes {scenario.seed}")
        self._may_kill = bool(scenario.faults)
        for at_s, place in scenario.swaps:
            self._clock.after(at_s, self._swap, readers[place % len(readers)])

    def _swap(self, reader: ReaderProcess) -> None:
        """What a reload does: the file that the reader starts from first, then the reader itself. Now and then it dies
        in the middle of it."""
        reader.swaps += 1
        reader.device = swapped(reader.device, reader.swaps)
        section = section_of(reader.device)
        reader.section = section_name(section)
        reader.book.versions[reader.section] = version_of(reader.swaps)
        if self._may_kill and self._clock.random.random() < 0.2:
            self._faults.calm_from_s = max(self._faults.calm_from_s, self._clock.now_s + RECOVERY_S)
            self._faults._arm(reader, self._clock.random.randrange(6))
        call = f"{ASKED}{reader.section}-{reader.swaps}"
        body = pack_body(TakeSection(section))
        name = reader.device.name
        request = Request(call, "client:swaps", reader.name, verb_of(TakeSection), name, "", 10.0, body)
        reader.hear(arrived(Plane.CALLS, request))
        self._take_away(name)

    def _take_away(self, device: str) -> None:
        """The device is configured no more, to the publisher, and is again a moment later: nobody sees a difference."""
        self._publisher.gone.add(device)
        self._tell()
        self._clock.after(self._draw.random() * AWAY_S, self._bring_back, device)

    def _bring_back(self, device: str) -> None:
        self._publisher.gone.discard(device)
        self._tell()

    def _tell(self) -> None:
        body = pack_body(TakeDevices(encode_known(self._publisher.known)))
        to = self._publisher.name
        self._publisher.hear(
            arrived(Plane.CALLS, Request(TOLD, "client:swaps", to, verb_of(TakeDevices), "", "", 10.0, body))
        )


def section_asked(reply: Reply) -> str:
    """The section that a reply is about; "" where it is about something else."""
    return reply.id.removeprefix(ASKED).partition("-")[0] if reply.id.startswith(ASKED) else ""


def judge_swaps(reader: ReaderProcess, items: list[Any]) -> list[str]:
    """What is wrong: each frame is journaled under one section, the one that was taken last, and converted under it."""
    name, book = reader.device.name, reader.book
    found = [f"{name}: {problem}" for problem in book.problems]
    for item in items:
        if item.number in book.sections and not reader.device.has_user_converter:
            expected = book.versions[book.sections[item.number]]
            if item.versions != ((expected,) if expected else ()):
                found.append(f"{name}: {item.number} was converted under {item.versions}, expected {expected!r}")
    return found
