"""Blocks as the frame batches that travel: the fields that all batches of a stream share, and suspects alone."""

from __future__ import annotations

from common.core.events import Send
from common.stream.blocks import Block
from common.stream.counters import SourceCounts
from common.stream.numbers import StreamState
from common.stream.poison import Poison
from common.wire.messages import Entry, FrameBatch, Plane


def template_of(device: str, section: str, state: StreamState, is_pinned: bool) -> FrameBatch:
    """The fields that all batches of a stream share. `section`: the hash that names the device's configuration;
    `is_pinned`: users' code converts, so that one converter gets all batches."""
    return FrameBatch(
        device=device,
        journal=state.journal,
        generation=state.generation,
        first=state.settled,
        length=0,
        base=state.settled,
        epoch="",
        kind=Entry.FRAMES,
        section=section,
        pinned=is_pinned,
        alone=False,
        body=b"",
    )


class Batches:
    """Makes the batches of one stream for one publisher."""

    def __init__(self, template: FrameBatch, poison: Poison, counters: SourceCounts, *, may_wait: bool) -> None:
        """`template` has the fields that all batches share. `may_wait`: what comes alone waits for company anyway."""
        self._may_wait = may_wait
        self._template = template
        self._poison = poison
        self._counters = counters
        self.epoch = template.epoch
        """The publisher that batches are meant for; "" before its first heartbeat."""

    @property
    def identity(self) -> tuple[str, int, str]:
        """(journal, generation, epoch): what a report has to name to be about these batches."""
        mine = self._template
        return mine.journal, mine.generation, mine.epoch

    def name_publisher(self, epoch: str) -> None:
        """Batches are meant for this publisher from now on."""
        self.epoch = epoch
        self._template = self._template.replace(epoch=epoch)

    def name_generation(self, generation: int) -> None:
        """Batches are of this generation of the stream from now on."""
        self._template = self._template.replace(generation=generation)

    def of(self, block: Block, floor: int) -> list[Send]:
        """The block as one batch, or as several where a suspect in it travels alone. `floor` goes with each: the
        publisher waits for nothing below it."""
        pieces = self._poison.pieces(block) if self._poison.has_suspects else ((block, False),)
        sends = []
        for piece, alone in pieces:
            batch = self._template.replace(
                first=piece.first,
                length=piece.length,
                base=floor,
                kind=piece.kind,
                section=piece.section,
                alone=alone,
                origin=piece.origin,
                body=piece.body,
            )
            # A single frame is urgent: nothing else has come with it, so somebody may be waiting for it.
            sends.append(Send(Plane.FRAMES, batch, piece.length == 1 and not self._may_wait))
        self._counters["batches_sent"] += len(sends)
        return sends
