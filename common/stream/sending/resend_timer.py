"""When what was sent and not received is sent again: one timer, a smoothed round trip, doubling."""

from __future__ import annotations

from collections import deque
from typing import Final

LEAST_S: Final = 0.25
MOST_S: Final = 5.0
ALL: Final = 1_000_000


class ResendTimer:
    """Runs while something is outstanding; starts anew with each progress of `received`.

    Without news of holes the first time-out repeats one batch, the next two, then four: what is only waiting in front
    of a slow converter is not sent all over again.
    """

    def __init__(self) -> None:
        self.due_s: float | None = None
        self._sent: deque[tuple[int, float]] = deque()
        self._smoothed_s = 0.0
        self._attempt = 0
        self._batches = 1

    @property
    def wait_s(self) -> float:
        """max(250 ms, 4 x smoothed round trip), doubled with each attempt without progress, up to 5 s."""
        return min(MOST_S, self._patience_s * 2.0 ** min(self._attempt, 10))

    @property
    def _patience_s(self) -> float:
        return max(LEAST_S, 4 * self._smoothed_s)

    def old_end(self, now_s: float) -> int:
        """What is numbered below this was sent long enough ago to be asked after; 0 for nothing."""
        if self._batches == ALL:
            return self._sent[-1][0] if self._sent else 0
        old_s = now_s - min(MOST_S, self._patience_s)
        old = 0
        for end, sent_s in self._sent:
            if sent_s > old_s:
                break
            old = end
        return old

    def sent(self, end: int, now_s: float) -> None:
        """Entries below `end` were sent for the first time."""
        self._sent.append((end, now_s))
        if self.due_s is None:
            self.due_s = now_s + self.wait_s

    def progress(self, received: int, is_outstanding: bool, now_s: float, listened_s: float) -> None:
        """`received` rose: takes the round trip's measure. Since `listened_s` nobody has listened: the news may have
        come at any time after it."""
        sent_s: float | None = None
        while self._sent and self._sent[0][0] <= received:
            sent_s = self._sent.popleft()[1]
        if sent_s is not None:
            # Measured from the first sending: after a loss that is too long, which is the safe side, and soon
            # forgotten. A real round trip may be longer, but we read pending reports before the timer fires.
            sample_s = max(0.0, listened_s - sent_s)
            smoothed_s = self._smoothed_s
            self._smoothed_s = smoothed_s + (sample_s - smoothed_s) / 8 if smoothed_s else sample_s
        if self._attempt == 0:
            self._batches = 1
        self._attempt = 0
        self.restart(now_s, is_outstanding)

    def settle(self, base: int) -> None:
        """What is below `base` needs no answer any more: without this a publisher that never receives anything would
        fill the memory while the journal sheds."""
        while self._sent and self._sent[0][0] <= base:
            self._sent.popleft()

    def restart(self, now_s: float, is_outstanding: bool) -> None:
        """Waits from now on."""
        self.due_s = now_s + self.wait_s if is_outstanding else None

    def stop(self) -> None:
        """Nothing is outstanding."""
        self.due_s = None
        self._sent.clear()

    def expect_loss(self, now_s: float, is_outstanding: bool) -> None:
        """Everything outstanding is probably lost."""
        if is_outstanding:
            self._attempt, self._batches = 0, ALL
            self.due_s = now_s + LEAST_S

    def fire(self, now_s: float) -> int:
        """It was due: how many batches to repeat."""
        batches = self._batches
        self._batches = 2 if batches == ALL else min(batches * 2, ALL)
        self._attempt += 1
        self.due_s = now_s + self.wait_s
        return batches
