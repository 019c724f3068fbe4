"""When a line is read again."""

from __future__ import annotations

from itertools import pairwise

import pytest

from common.stream.numbers import Progress
from services.port_reader.core.hold import LEAST_S, LONGEST_HELD_S, LONGEST_S
from services.port_reader.core.pace import (
    BUSY_S,
    PERIODS_S,
    READS_HZ,
    RESTING_BYTES,
    ReadPace,
)

BYTE_S = 10 / 115_200
WINDOW = 4_096


class Reads:
    """A line that is read whenever it may be, and what follows it."""

    def __init__(self, ports: int = 1, byte_s: float = BYTE_S) -> None:
        self.pace = ReadPace(byte_s, WINDOW, ports)
        self.now_s = 100.0
        self.read = self.received = self.settled = 1
        self.pace.rest_s(self.now_s - 1, 0, Progress(1, 1, 1, 0))

    def next(self, frames: int, size: int, late_s: float = 0.0) -> float:
        """One read, when it may be and has come; the rest after it."""
        self.read += frames
        rest_s = self.pace.rest_s(
            self.now_s, size, Progress(self.read, self.received, self.settled, self.read - self.settled)
        )
        self.now_s += rest_s + late_s
        return rest_s

    def is_in_step(self, period_s: float, late_s: float = 0.0) -> bool:
        """True if the last rest ended at a multiple of this."""
        periods = (self.now_s - late_s) / period_s
        return abs(periods - round(periods)) < 1e-6

    def settle(self, number: int | None = None) -> None:
        self.received = self.settled = self.read if number is None else min(number, self.read)


def test_a_line_that_says_little_is_read_at_once():
    """Ten frames a second, or what comes once in a while, never wait."""
    reads = Reads(ports=64)
    for late_s in (0.1, 1.0, 0.05, 60.0):
        assert reads.next(1, 24, late_s) == 0.0
        reads.settle()


def test_a_busy_line_rests_between_reads():
    """From the second read on, as long as there is more than a frame to take; then it is read at once again."""
    reads = Reads()
    assert reads.next(2, 48, 0.004) == 0.0
    reads.settle()
    for _ in range(5):
        assert BUSY_S / 2 < reads.next(5, 120, 0.002) < 2 * BUSY_S
        assert reads.is_in_step(BUSY_S, 0.002)
        reads.settle()
    reads.now_s += 0.1
    assert reads.next(1, 24) == 0.0


@pytest.mark.parametrize(
    ("ports", "period_s"), [(1, BUSY_S), (3, 0.020), (8, 0.040), (9, 0.080), (17, LONGEST_S), (64, LONGEST_S)]
)
def test_many_busy_lines_wake_up_no_more_often_than_a_few(ports: int, period_s: float):
    """The rest grows with the number of ports, and ends for all of them together."""
    reads = Reads(ports)
    reads.next(1, 24, 0.001)
    reads.settle()
    reads.next(30, 720)
    reads.settle()
    assert reads.next(30, 720) == pytest.approx(period_s, abs=LEAST_S)
    assert reads.is_in_step(period_s)
    assert period_s == LONGEST_S or ports / period_s <= READS_HZ


def test_who_rests_longer_is_read_together_with_all_others():
    """Each period is a multiple of those before it."""
    for shorter_s, longer_s in pairwise(PERIODS_S):
        assert longer_s / shorter_s == pytest.approx(round(longer_s / shorter_s))


def test_the_rest_grows_while_nobody_takes_what_was_read_and_shrinks_again():
    """Longer each time, once something waits for more than LATE_S, up to LONGEST_S; and back when the publisher
    is quick again."""
    reads = Reads()
    reads.next(1, 24, 0.001)
    rests = [reads.next(5, 120) for _ in range(24)]
    assert max(rests[:8]) < 1.5 * BUSY_S
    assert rests[-1] == pytest.approx(LONGEST_S)
    for _ in range(20):
        reads.settle()
        rest_s = reads.next(5, 120)
    assert rest_s == pytest.approx(BUSY_S)


def test_a_platform_far_away_makes_nobody_late():
    """Its acceptance takes 80 ms; news of reception comes after 50."""
    reads = Reads()
    reads.next(1, 24, 0.001)
    known: list[tuple[float, int]] = []
    for _ in range(200):
        known.append((reads.now_s + 0.05, reads.read))
        while known and known[0][0] <= reads.now_s:
            reads.received = known.pop(0)[1]
        assert reads.next(5, 120) < 1.5 * BUSY_S


def test_a_frame_in_pieces_is_not_kept_waiting():
    """A UART gives its bytes away in handfuls; one frame a second is no busy line."""
    reads = Reads(ports=64)
    for _ in range(5):
        rests = [reads.next(frames, 8, 0.0013) for frames in (0, 0, 1)]
        assert rests == [0.0, 0.0, 0.0]
        reads.settle()
        reads.now_s += 1.0


def test_a_line_that_fills_the_kernel_does_not_rest_for_company():
    """A read of half of what the kernel keeps: to rest would be to hold the line."""
    reads = Reads()
    for _ in range(5):
        reads.settle()
        assert reads.next(170, 4_080, 0.0005) == 0.0


def test_no_rest_is_longer_than_the_kernel_can_wait():
    """At 4 Mbaud 70 % of 4,096 bytes are there after 7 ms."""
    reads = Reads(ports=64, byte_s=10 / 4_000_000)
    reads.next(1, 24, 0.001)
    assert 0 < reads.next(10, 240) == RESTING_BYTES * 10 / 4_000_000


def test_a_line_faster_than_the_platform_is_held():
    """Read at the platform's speed, it ends with a window's backlog or so instead of a full journal."""
    reads = Reads()
    most = held = 0
    for _ in range(20_000):
        before_s = reads.now_s
        reads.next(170, 4_080, 0.001)
        # The platform takes 20,000 a second, the line would say 170,000.
        reads.settle(reads.settled + int(20_000 * (reads.now_s - before_s)))
        held += reads.pace.is_held
        most = max(most, reads.read - reads.settled)
    assert held > 10_000
    assert most < 12 * WINDOW


def test_a_backlog_that_shrinks_holds_nobody():
    """After an outage the line says 5,000 a second, and the platform takes 50,000: it rests as any busy line does."""
    reads = Reads()
    reads.read = 1_000_000
    while reads.read - reads.settled > WINDOW:
        rest_s = reads.next(100, 2_400, 0.02)
        assert rest_s <= BUSY_S + LEAST_S
        assert not reads.pace.is_held
        reads.settle(reads.settled + 1_000)


def test_without_a_platform_nobody_is_held():
    """Nothing is accepted: the journal is there for it, however long it takes."""
    reads = Reads()
    rests = [reads.next(170, 4_080, 0.001) for _ in range(5_000)]
    assert max(rests) == 0.0
    assert not reads.pace.is_held


def test_a_held_line_is_never_stopped():
    """However slowly the platform accepts, the line is read twenty times a second."""
    reads = Reads()
    for _ in range(3_000):
        before_s = reads.now_s
        assert reads.next(170, 4_080, 0.001) <= LONGEST_HELD_S
        reads.settle(reads.settled + (reads.now_s - before_s > 0.0005))
