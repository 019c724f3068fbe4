"""Streams put back in order, and what their readers are told."""

from __future__ import annotations

from common.core.counters import new_counts
from common.core.events import Note
from common.wire.messages import Entry, ReadingBatch
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.ordering import (
    RECEIVED_S,
    REPEAT_S,
    STREAM_CREDIT_BYTES,
    Ordering,
    Unwanted,
)
from services.publisher.core.outlet import Outlet
from services.publisher.core.stream import WINDOW, Release
from tests.support.publisher_driving import EPOCH, batch, points


class Bench:
    """An ordering whose runs are accepted at once, or kept."""

    def __init__(self) -> None:
        self.counters = new_counts(PublisherCounts)
        self.out = Outlet()
        self.ordering = Ordering(EPOCH, self.counters, self.out)
        self.open: list[Release] = []
        self.unwanted: list[Unwanted] = []
        self.numbers: list[int] = []

    def take(self, item: ReadingBatch, now_s: float = 0.0) -> list[tuple[int, int]]:
        found = self.ordering.take(item, now_s)
        self.unwanted += [said for said in found if isinstance(said, Unwanted)]
        released = [said for said in found if isinstance(said, Release)]
        self.open += released
        for release in released:
            assert len(release.body.telemetry) == release.run.end - release.run.first
            self.numbers += range(release.run.first, release.run.end)
        return [(release.run.first, release.run.end) for release in released]

    def accept(self) -> None:
        for release in self.open:
            release.run.done = release.run.end
            release.run.stream.advance()
        self.open = []

    def notes(self) -> list[Note]:
        self.out.end_turn()
        return [effect for effect in self.out.take() if isinstance(effect, Note)]

    def report(self):
        (report,) = self.ordering.all_reports(0.0)
        return report


def test_batches_in_order_are_released_as_they_come():
    """The normal case: each batch is one run, and `received` follows at once, `settled` with acceptance."""
    bench = Bench()
    assert bench.take(batch(1, points(1, 10))) == [(1, 11)]
    assert bench.take(batch(11, points(11, 5))) == [(11, 16)]
    assert (bench.report().received, bench.report().settled) == (16, 1)
    bench.accept()
    assert (bench.report().received, bench.report().settled) == (16, 16)


def test_early_batch_waits_and_its_hole_is_reported():
    """What comes early is kept, the hole stands in `missing`, and filling it releases everything in order."""
    bench = Bench()
    bench.take(batch(1, points(1, 2)))
    assert bench.take(batch(6, points(6, 2))) == []
    assert bench.take(batch(10, points(10, 1))) == []
    assert bench.report().missing == [(3, 5), (8, 9)]
    assert bench.take(batch(3, points(3, 3))) == [(3, 6), (6, 8)]
    assert bench.report().missing == [(8, 9)]
    assert bench.take(batch(8, points(8, 2))) == [(8, 10), (10, 11)]
    assert bench.report().missing == []


def test_partial_duplicate_is_sliced():
    """A batch that overlaps what came before gives only its new numbers, with what belongs to them."""
    bench = Bench()
    bench.take(batch(1, points(1, 5)))
    released = bench.ordering.take(batch(3, points(3, 5), dead={0: "old", 4: "bad"}), 0.0)
    (release,) = released
    assert (release.run.first, release.run.end) == (6, 8)
    assert [bytes(item) for item in release.body.telemetry] == [b'{"n": 6}', b'{"n": 7}']
    assert release.body.ts_ms == [1006, 1007]
    assert release.body.dead == {1: "bad"}
    assert bench.counters["duplicates"] == 3


def test_duplicate_is_answered_with_the_report():
    """A duplicate releases nothing and makes the report due again."""
    bench = Bench()
    bench.take(batch(1, points(1, 5)))
    assert [report.received for report in bench.ordering.changed_reports(RECEIVED_S)] == [6]
    assert bench.ordering.next_report_s is None
    assert bench.take(batch(1, points(1, 5))) == []
    assert bench.ordering.next_report_s == 0.0
    assert [report.received for report in bench.ordering.changed_reports(0.0)] == [6]


def test_news_of_reception_alone_waits_for_news_of_acceptance():
    """It is said with the next acceptance, or after RECEIVED_S; never does a reader have to ask."""
    bench = Bench()
    ((run, _, _),) = bench.ordering.take(batch(1, points(1, 5)), 0.0)
    assert bench.ordering.next_report_s == RECEIVED_S
    assert bench.ordering.changed_reports(RECEIVED_S / 2) == []
    run.done = 3
    run.stream.advance()
    assert [(r.received, r.settled) for r in bench.ordering.changed_reports(RECEIVED_S / 2)] == [(6, 3)]
    assert bench.ordering.next_report_s is None


def test_another_epoch_and_a_lower_generation_are_dropped():
    """Ancient batches change nothing and are counted; a higher generation begins the stream anew."""
    bench = Bench()
    assert bench.take(batch(1, points(1, 2), epoch="older")) == []
    assert bench.take(batch(1, points(1, 2), generation=2)) == [(1, 3)]
    assert bench.take(batch(3, points(3, 2), generation=1)) == []
    assert bench.counters["stale_batches"] == 2
    assert bench.take(batch(2, points(2, 2), generation=3, base=2)) == [(2, 4)]
    assert bench.report().generation == 3


def test_base_raises_what_is_expected():
    """The expected number is the greater of ours and the reader's base."""
    bench = Bench()
    assert bench.take(batch(500, points(500, 2), base=500)) == [(500, 502)]
    assert bench.take(batch(600, points(600, 2), base=600)) == [(600, 602)]
    bench.accept()
    assert bench.report().settled == 602


def test_settled_never_passes_a_number_that_is_not_accepted():
    """Runs accepted out of order settle in order."""
    bench = Bench()
    bench.take(batch(1, points(1, 2)))
    bench.take(batch(3, points(3, 2)))
    first, second = bench.open
    second.run.done = second.run.end
    second.run.stream.advance()
    assert bench.report().settled == 1
    first.run.done = first.run.end
    first.run.stream.advance()
    assert bench.report().settled == 5


def test_held_run_settles_nothing_of_itself():
    """While attributes or other devices' readings of a run are not accepted, none of its numbers is settled."""
    bench = Bench()
    bench.take(batch(1, points(1, 4)))
    run = bench.open[0].run
    run.holds, run.done = 1, 5
    run.stream.advance()
    assert bench.report().settled == 1
    run.holds = 0
    run.stream.advance()
    assert bench.report().settled == 5


def test_dead_letters_are_reported_once_settled_until_the_base_has_passed():
    """A dead letter settles in its place, is repeated in each report, and ends when the reader says it has trimmed."""
    bench = Bench()
    bench.take(batch(1, [{"n": 1}, None, {"n": 3}], dead={1: "no number"}))
    assert bench.report().dead == []
    bench.accept()
    assert bench.report().dead == [(2, "no number")]
    assert bench.report().dead == [(2, "no number")]
    bench.take(batch(4, points(4, 1), base=4))
    assert bench.report().dead == []


def test_window_and_credit_bound_what_is_kept():
    """Numbers 4,096 or more ahead, and bytes above the credit, are dropped and counted."""
    bench = Bench()
    bench.take(batch(1, points(1, 1)))
    assert bench.take(batch(2 + WINDOW, points(0, 1))) == []
    assert bench.counters["out_of_order_dropped"] == 1
    large = "x" * (STREAM_CREDIT_BYTES // 2)
    for first in (10, 20, 30):
        bench.take(batch(first, [{"s": large}]))
    assert bench.counters["out_of_order_dropped"] == 3
    assert bench.report().missing == [(2, 9)]
    assert bench.take(batch(2, points(2, 8))) == [(2, 10), (10, 11)]


def test_credit_is_shared_by_active_streams():
    """64 MiB are divided among the streams, at most 1 MiB each."""
    bench = Bench()
    for index in range(128):
        bench.take(batch(1, points(1, 1), journal=f"j{index}"))
    assert {report.credit_bytes for report in bench.ordering.all_reports(1.0)} == {512 * 1024}


def test_silent_stream_is_forgotten_and_begins_anew():
    """After ten silent minutes a settled stream leaves the reports; its next batch is taken as ever."""
    bench = Bench()
    bench.take(batch(1, points(1, 3)))
    bench.accept()
    assert len(bench.ordering.all_reports(REPEAT_S)) == 1
    assert bench.ordering.all_reports(1_000.0) == []
    assert bench.take(batch(4, points(4, 1), base=4), 1_001.0) == [(4, 5)]


def test_unreadable_body_is_counted_and_releases_nothing():
    """A batch whose body is no reading body leaves the stream as it was."""
    bench = Bench()
    assert bench.take(batch(1, points(1, 2)).replace(body=b"\xc1")) == []
    assert bench.take(batch(1, points(1, 2)).replace(kind=9)) == []
    assert bench.counters["bad_batches"] == 2
    assert bench.take(batch(1, points(1, 2))) == [(1, 3)]


def test_kinds_come_out_as_entries():
    """OPENED, LOST and ANSWER keep their kind and place."""
    bench = Bench()
    opened = bench.ordering.take(batch(1, [None], kind=Entry.OPENED, device_type="press"), 0.0)
    assert opened[0].kind is Entry.OPENED
    assert opened[0].body.device_type == "press"


def test_credit_only_batch_changes_nothing():
    """A batch of length 0 gives only the converter's credit back."""
    bench = Bench()
    assert bench.take(batch(5, [])) == []
    assert bench.ordering.all_reports(0.0) == []


def test_unreadable_batch_is_dead_letters_in_the_end():
    """A body that can't be read comes again; the fifth time its numbers are dead letters and the stream goes on. One
    warning names the device at first, one in the end."""
    bench = Bench()
    bad = batch(1, points(1, 3)).replace(body=b"junk")
    for _ in range(4):
        assert bench.take(bad) == []
    assert bench.report().received == 1
    assert bench.take(bad) == [(1, 4)]
    bench.accept()
    assert [number for number, _ in bench.report().dead] == [1, 2, 3]
    assert bench.take(batch(4, points(4, 1))) == [(4, 5)]
    assert bench.counters["bad_batches"] == 5
    notes = [(note.event, note.facts["device"]) for note in bench.notes()]
    assert notes == [("readings.unreadable", "press1"), ("readings.given_up", "press1")]


def test_readable_resend_forgives_an_unreadable_batch():
    """A resend that can be read is taken as if nothing had been."""
    bench = Bench()
    for first in range(1, 10, 2):
        bad = batch(first, points(first, 2)).replace(body=b"junk")
        for _ in range(4):
            bench.take(bad)
        bench.take(batch(first, points(first, 2)))
    bench.accept()
    assert bench.numbers == list(range(1, 11))
    assert bench.report().dead == []


def test_streams_with_something_here_share_the_credit_however_long_they_are_silent():
    """Without a platform nothing more comes, but everything stays: it counts."""
    bench = Bench()
    for number in range(128):
        bench.take(batch(1, points(1, 1), device=f"d{number}"))
    assert bench.ordering.all_reports(10_000.0)[0].credit_bytes == STREAM_CREDIT_BYTES // 2
    bench.accept()
    bench.take(batch(2, points(2, 1), device="d0"), 20_000.0)
    assert {report.credit_bytes for report in bench.ordering.all_reports(20_000.0)} == {STREAM_CREDIT_BYTES}


def test_a_settled_stream_is_reported_for_a_while_only():
    """Each second for REPEAT_S after its last batch; one with something here for as long as that is here."""
    bench = Bench()
    bench.take(batch(1, points(1, 1), device="settled"))
    bench.accept()
    bench.take(batch(1, points(1, 1), device="waiting"))
    assert len(bench.ordering.all_reports(0.0)) == 2
    assert len(bench.ordering.all_reports(REPEAT_S)) == 2
    assert [report.journal for report in bench.ordering.all_reports(100.0)] == ["journal-waiting"]
    bench.accept()
    late = [len(bench.ordering.all_reports(at_s)) for at_s in (101.0, 101.0 + REPEAT_S, 102.0 + REPEAT_S)]
    assert late == [1, 1, 0], "acceptance that comes late is news, also in a beat's turn"


def test_what_the_reader_has_shed_is_settled_and_not_wanted():
    """A base above what is accepted: runs below it wait for nothing, the others still do."""
    bench = Bench()
    bench.take(batch(1, points(1, 5)))
    bench.take(batch(6, points(6, 5)))
    assert bench.unwanted == []
    bench.take(batch(11, points(11, 5), base=6))
    ((stream, end),) = bench.unwanted
    assert (stream.device, end) == ("press1", 6)
    assert (bench.report().received, bench.report().settled) == (16, 6)
