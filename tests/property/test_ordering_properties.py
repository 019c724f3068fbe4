"""Any order, duplication and loss with resends: every number exactly once, in order, in bounded memory."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from common.core.counters import new_counts
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.ordering import STREAM_CREDIT_BYTES, Ordering
from services.publisher.core.outlet import Outlet
from services.publisher.core.stream import WINDOW, Release
from tests.support.publisher_driving import EPOCH, batch, points

cuts = st.lists(st.integers(1, 200), min_size=1, max_size=12)


def pieces(total: int, lengths: list[int]) -> list[tuple[int, int]]:
    """(first, length) pieces that cover 1..total."""
    found, first, index = [], 1, 0
    while first <= total:
        length = min(lengths[index % len(lengths)], total - first + 1)
        found.append((first, length))
        first, index = first + length, index + 1
    return found


@settings(max_examples=60)
@given(data=st.data(), total=st.integers(1, 800), lengths=cuts, again=cuts)
def test_every_number_once_and_in_order(data, total, lengths, again):
    """Batches are cut anyhow, shuffled, doubled, lost; what is missing or not received comes again."""
    counters = new_counts(PublisherCounts)
    ordering = Ordering(EPOCH, counters, Outlet())
    seen: list[int] = []
    wanted = data.draw(st.permutations(pieces(total, lengths) * 2))
    lost = data.draw(st.integers(0, len(wanted)))
    sends = wanted[lost:]
    rounds = 0
    while True:
        for first, length in sends:
            for release in ordering.take(batch(first, points(first, length)), 0.0):
                assert isinstance(release, Release)
                seen += range(release.run.first, release.run.end)
                release.run.done = release.run.end
                release.run.stream.advance()
        reports = ordering.all_reports(0.0)
        received = reports[0].received if reports else 1
        if received == total + 1:
            break
        rounds += 1
        assert rounds < 10
        missing = reports[0].missing if reports else []
        kept = missing[-1][1] if missing else received - 1
        sends = [(low, high - low + 1) for low, high in missing]
        sends += [(low + kept, length) for low, length in pieces(total - kept, again)]
        sends = data.draw(st.permutations(sends))
    assert seen == list(range(1, total + 1))
    assert ordering.all_reports(0.0)[0].settled == total + 1


@settings(max_examples=40)
@given(
    firsts=st.lists(st.integers(2, 3 * WINDOW), max_size=40),
    size=st.integers(0, STREAM_CREDIT_BYTES // 2),
)
def test_what_is_kept_is_bounded(firsts, size):
    """Whatever comes early: kept bytes stay within the credit, kept numbers within the window."""
    ordering = Ordering(EPOCH, new_counts(PublisherCounts), Outlet())
    template = batch(2, [{"s": "x" * size}])
    for first in firsts:
        ordering.take(template.replace(first=first, base=1), 0.0)
    kept = [item for stream in ordering._streams.values() for item in stream._early.batches]
    assert sum(len(item.batch.body) for item in kept) <= STREAM_CREDIT_BYTES
    assert all(item.end <= 1 + WINDOW for item in kept)
