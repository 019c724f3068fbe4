"""What threads hand to the loop."""

from __future__ import annotations

import select
import threading

from common.io.inbox import Inbox

WAIT_S = 10.0


def test_what_a_thread_puts_wakes_the_loop_and_comes_in_order() -> None:
    """All that is there with one wake-up; then the descriptor is silent again."""
    inbox: Inbox[int] = Inbox()

    def work() -> None:
        for number in range(3):
            inbox.put(number)

    thread = threading.Thread(target=work)
    thread.start()
    assert select.select([inbox.descriptor], [], [], WAIT_S)[0] == [inbox.descriptor]
    thread.join()
    assert list(inbox.take()) == [0, 1, 2]
    assert select.select([inbox.descriptor], [], [], 0)[0] == []


def test_a_loop_that_does_not_come_holds_no_thread() -> None:
    """The pipe holds fewer wake-ups than this; nothing waits, and nothing is lost."""
    inbox: Inbox[int] = Inbox()
    for number in range(100_000):
        inbox.put(number)
    assert list(inbox.take()) == list(range(100_000))
