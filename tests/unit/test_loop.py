"""The one loop: sources before timers, effects in order, signals, crashes."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import zmq

from common.core.events import Exit
from common.io.clock import monotonic_s
from common.io.exits import EXIT_CRASH
from common.io.loop import DRAIN_ROUNDS, Loop
from common.io.sources import Sources

Handler = Callable[[Any, float], list[Any]]


def name(event: Any) -> str:
    """Events without fields are all equal, being tuples: their types tell them apart."""
    return event if isinstance(event, str) else type(event).__name__


class Core:
    """Answers with what the test says, and remembers what it heard. Gives up after 10 s."""

    def __init__(self, react: Handler) -> None:
        self._react = react
        self.names: list[str] = []
        self.deadline_s: float | None = None
        self.loop: Loop
        self._end_s = monotonic_s() + 10

    def handle(self, event: Any, now_s: float) -> list[Any]:
        self.names.append(name(event))
        if now_s > self._end_s:
            return [Exit(99)]
        return self._react(event, now_s)

    @property
    def next_deadline_s(self) -> float | None:
        return min(self._end_s + 0.1, self.deadline_s or self._end_s + 0.1)


class Shell:
    """Remembers what it performed; `follow` says what comes of an effect."""

    def __init__(self, follow: dict[Any, list[Any]] | None = None) -> None:
        self.performed: list[Any] = []
        self._follow = follow or {}

    def perform(self, effect: Any) -> Iterable[Any]:
        self.performed.append(effect)
        return self._follow.get(effect, [])


class Records(logging.Handler):
    """Keeps log records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def logger(records: Records) -> logging.Logger:
    logger = logging.Logger("test")
    logger.addHandler(records)
    return logger


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """The loop keeps its signal handlers for the life of a process; tests give them back."""
    taken = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCONT)
    old = {number: signal.getsignal(number) for number in taken}
    yield
    for number, handler in old.items():
        signal.signal(number, handler)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe2(os.O_NONBLOCK)
    yield ends
    for end in ends:
        os.close(end)


def test_the_first_event_is_start_and_exit_ends_it(logger: logging.Logger) -> None:
    """What a core orders after Exit is not performed."""
    core = Core(lambda event, now_s: ["before", Exit(7), "after"])
    shell = Shell()
    assert Loop(core, shell, Sources(), logger).run() == 7
    assert core.names == ["Start"]
    assert shell.performed == ["before"]


def test_what_follows_from_an_effect_is_heard_in_order(logger: logging.Logger) -> None:
    """All effects of one event are performed before the events that follow from them are handled."""
    answers: dict[Any, list[Any]] = {"Start": ["a", "b"], "blocked a": ["c"], "blocked b": [Exit(0)]}
    core = Core(lambda event, now_s: answers[name(event)])
    shell = Shell({"a": ["blocked a"], "b": ["blocked b"]})
    assert Loop(core, shell, Sources(), logger).run() == 0
    assert shell.performed == ["a", "b", "c"]
    assert core.names == ["Start", "blocked a", "blocked b"]


def test_sources_are_drained_before_an_overdue_timer(logger: logging.Logger, pipe: tuple[int, int]) -> None:
    """A process that was stopped and continued hears what happened before it draws conclusions."""

    def react(event: Any, now_s: float) -> list[Any]:
        if name(event) == "Start":
            core.deadline_s = now_s - 60
        return [Exit(0)] if name(event) == "Tick" else []

    def read() -> Iterable[Any]:
        yield os.read(pipe[0], 1).decode()

    core = Core(react)
    loop = Loop(core, Shell(), Sources(), logger)
    loop._sources.add_reader(pipe[0], read)
    os.write(pipe[1], b"abc")
    assert loop.run() == 0
    assert core.names == ["Start", "a", "b", "c", "Tick"]


def test_a_flood_does_not_stop_the_clock(logger: logging.Logger, pipe: tuple[int, int]) -> None:
    """After some rounds an overdue timer fires all the same."""

    def react(event: Any, now_s: float) -> list[Any]:
        core.deadline_s = now_s
        return [Exit(0)] if name(event) == "Tick" else []

    core = Core(react)
    loop = Loop(core, Shell(), Sources(), logger)
    loop._sources.add_reader(pipe[0], lambda: ["more"])
    os.write(pipe[1], b"never read")
    assert loop.run() == 0
    assert core.names.count("more") == DRAIN_ROUNDS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_drain(logger: logging.Logger, number: signal.Signals) -> None:
    """SIGTERM and SIGINT wake the loop; a second one while draining kills nothing."""

    def react(event: Any, now_s: float) -> list[Any]:
        if name(event) == "Start":
            os.kill(os.getpid(), number)
        return [Exit(0)] if name(event) == "Drain" else []

    core = Core(react)
    assert Loop(core, Shell(), Sources(), logger).run() == 0
    assert core.names == ["Start", "Drain"]
    os.kill(os.getpid(), number)


def test_a_terminal_that_closes_ends_nothing(logger: logging.Logger) -> None:
    """SIGHUP reaches all that was started by hand in it: nobody who logs out means the gateway."""

    def react(event: Any, now_s: float) -> list[Any]:
        if name(event) == "Start":
            os.kill(os.getpid(), signal.SIGHUP)
            core.deadline_s = now_s
        return [Exit(0)] if name(event) == "Tick" else []

    core = Core(react)
    assert Loop(core, Shell(), Sources(), logger).run() == 0
    assert core.names == ["Start", "Tick"]


def test_a_bug_is_logged_once_and_ends_the_process(logger: logging.Logger, records: Records) -> None:
    """With a traceback and the exit code after which the supervisor restarts."""

    def react(event: Any, now_s: float) -> list[Any]:
        raise KeyError("a bug")

    assert Loop(Core(react), Shell(), Sources(), logger).run() == EXIT_CRASH
    assert [record.getMessage() for record in records.records] == ["process.crashed"]
    assert records.records[0].exc_info is not None


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    context: zmq.Context[Any] = zmq.Context()
    yield context
    context.destroy(linger=0)


def test_a_writer_is_called_when_there_is_room(logger: logging.Logger, context: zmq.Context[Any]) -> None:
    """A socket with nobody connected is not writable, and is as soon as somebody is."""
    push = context.socket(zmq.PUSH)
    port = push.bind_to_random_port("tcp://127.0.0.1")
    pull = context.socket(zmq.PULL)

    def react(event: Any, now_s: float) -> list[Any]:
        if name(event) == "Start":
            core.deadline_s = now_s + 0.05
        elif name(event) == "Tick":
            core.deadline_s = None
            pull.connect(f"tcp://127.0.0.1:{port}")
        return [Exit(0)] if event == "writable" else []

    core = Core(react)
    loop = Loop(core, Shell(), Sources(), logger)
    loop._sources.add_writer(push, lambda: ["writable"])
    assert loop.run() == 0
    assert core.names == ["Start", "Tick", "writable"]


def test_a_removed_source_is_not_called(logger: logging.Logger, pipe: tuple[int, int]) -> None:
    """A handler may remove any source, even one that is ready in the same round."""

    def react(event: Any, now_s: float) -> list[Any]:
        if event == "read":
            loop._sources.remove_reader(pipe[0])
            core.deadline_s = now_s
        return [Exit(0)] if name(event) == "Tick" else []

    core = Core(react)
    loop = Loop(core, Shell(), Sources(), logger)
    loop._sources.add_reader(pipe[0], lambda: ["read"])
    os.write(pipe[1], b"never read")
    assert loop.run() == 0
    assert core.names == ["Start", "read", "Tick"]


def test_a_lazy_source_wakes_nobody_and_is_heard_before_the_timer(logger: logging.Logger) -> None:
    """What waits in it is handled when the deadline comes, all of it, and only then the tick."""
    waiting = [["one", "two"], ["three"]]
    core = Core(lambda event, now_s: [Exit(0)] if name(event) == "Tick" else [])
    core.deadline_s = monotonic_s() + 0.05
    loop = Loop(core, Shell(), Sources(), logger)
    loop._sources.add_lazy_reader(lambda: waiting.pop(0) if waiting else [])
    assert loop.run() == 0
    assert core.names == ["Start", "one", "two", "three", "Tick"]
    assert loop._sources.wakeups == 0


def test_the_tick_comes_though_a_lazy_source_has_moved_the_deadline(logger: logging.Logger) -> None:
    """A core that does one timer's work at any event still hears that time has passed: more may hang on its `Tick`."""
    waiting = [["beat"]]

    def react(event: Any, now_s: float) -> list[Any]:
        core.deadline_s = now_s + (60 if name(event) == "beat" else 0.05)
        return [Exit(0)] if name(event) == "Tick" else []

    core = Core(react)
    loop = Loop(core, Shell(), Sources(), logger)
    loop._sources.add_lazy_reader(lambda: waiting.pop(0) if waiting else [])
    assert loop.run() == 0
    assert core.names == ["Start", "beat", "Tick"]


def test_a_source_that_rests_is_read_when_its_time_comes(logger: logging.Logger, pipe: tuple[int, int]) -> None:
    """Meanwhile it wakes nobody, however much is there."""
    times_s: list[float] = []

    def react(event: Any, now_s: float) -> list[Any]:
        times_s.append(now_s)
        if event == "read" and len(times_s) < 4:
            loop._sources.rest(pipe[0], now_s + 0.05)
        return [Exit(0)] if len(times_s) == 4 else []

    core = Core(react)
    loop = Loop(core, Shell(), Sources(), logger)
    loop._sources.add_reader(pipe[0], lambda: ["read"])
    os.write(pipe[1], b"always there")
    assert loop.run() == 0
    assert core.names == ["Start", "read", "read", "read"]
    assert times_s[2] - times_s[1] >= 0.05
    assert times_s[3] - times_s[2] >= 0.05
    assert loop._sources.wakeups == 3


@pytest.mark.parametrize(("deep", "names"), [(False, ["Start", "read", "Tick"]), (True, ["Start", "Tick"])])
def test_a_timer_wakes_who_rests_unless_deeply(
    logger: logging.Logger, pipe: tuple[int, int], deep: bool, names: list[str]
) -> None:
    """Before its time-outs a core hears what there is; of a source that rests deeply it knows that it does."""
    core = Core(lambda event, now_s: [Exit(0)] if name(event) == "Tick" else [])
    core.deadline_s = monotonic_s() + 0.05
    loop = Loop(core, Shell(), Sources(), logger)
    loop._sources.add_reader(pipe[0], lambda: [os.read(pipe[0], 9).decode()])
    os.write(pipe[1], b"read")
    loop._sources.rest(pipe[0], monotonic_s() + 5, deep=deep)
    assert loop.run() == 0
    assert core.names == names


@pytest.mark.parametrize(
    ("ends_at", "names"), [("Tick", ["Start", "early", "Tick", "late"]), ("early", ["Start", "early", "late"])]
)
def test_who_was_heard_before_a_timer_rests_on(
    logger: logging.Logger, pipe: tuple[int, int], ends_at: str, names: list[str]
) -> None:
    """Whether the timer fired or was put off by what was heard: what comes later waits until the rest is over."""

    def react(event: Any, now_s: float) -> list[Any]:
        if name(event) == ends_at:
            core.deadline_s = None
            os.write(pipe[1], b"late")
        return [Exit(0)] if event == "late" else []

    core = Core(react)
    start_s = rest(core, logger, pipe, 0.2)
    assert core.names == names
    assert monotonic_s() >= start_s + 0.2


def test_a_source_that_is_gone_rests_no_more(logger: logging.Logger, pipe: tuple[int, int]) -> None:
    """Its descriptor may be another's by then, which is read at once."""

    def react(event: Any, now_s: float) -> list[Any]:
        if event == "early":
            core.loop._sources.remove_reader(pipe[0])
            core.loop._sources.add_reader(pipe[0], lambda: [os.read(pipe[0], 9).decode()])
        elif name(event) == "Tick":
            core.deadline_s = None
            os.write(pipe[1], b"at once")
        return [Exit(0)] if event == "at once" else []

    core = Core(react)
    start_s = rest(core, logger, pipe, 5)
    assert core.names == ["Start", "early", "Tick", "at once"]
    assert monotonic_s() < start_s + 4


def rest(core: Core, logger: logging.Logger, pipe: tuple[int, int], seconds: float) -> float:
    """Runs a loop whose one source says "early" and rests for so long, while a timer is due before; when it began."""
    start_s = monotonic_s()
    core.deadline_s = start_s + 0.02
    core.loop = loop = Loop(core, Shell(), Sources(), logger)
    loop._sources.add_reader(pipe[0], lambda: [os.read(pipe[0], 9).decode()])
    os.write(pipe[1], b"early")
    loop._sources.rest(pipe[0], start_s + seconds)
    assert loop.run() == 0
    return start_s


def test_the_end_of_a_round_is_said_once(logger: logging.Logger, pipe: tuple[int, int]) -> None:
    """After all sources that were ready, before any timer."""
    other = os.pipe()

    def react(event: Any, now_s: float) -> list[Any]:
        return [Exit(0)] if name(event) == "Tick" else []

    core = Core(react)
    core.deadline_s = monotonic_s() + 0.05
    loop = Loop(core, Shell(), Sources(), logger)
    for end, writing_end in (pipe, other):
        os.write(writing_end, b"read")
        loop._sources.add_reader(end, lambda end=end: [os.read(end, 9).decode()])
    loop._sources.round_end = lambda: ["over"]
    assert loop.run() == 0
    assert core.names == ["Start", "read", "read", "over", "Tick"]
    for end in other:
        os.close(end)
