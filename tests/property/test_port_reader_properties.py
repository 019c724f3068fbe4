"""What holds for the reader's core whatever happens around it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from common.config.models import Device
from common.core.events import Blocked, Writable
from common.core.sequence import add_range, gaps
from common.stream.blocks import BATCH_BYTES, BATCH_FRAMES, Block, pack_runs, slice_block, split_block
from common.stream.keeping.upkeep import TRIM_S
from common.stream.ledger import Ledger
from common.stream.limits import Limits
from common.stream.numbers import AHEAD_MS, STEP_BACK_MS, Stream, StreamState
from common.wire import codec
from common.wire.messages import Entry, FrameBody, Plane
from tests.support.port_reader_rig import WALL_MS, Rig, frames_of


@given(
    st.lists(
        st.tuples(st.integers(1, 3000), st.integers(-5_000_000, 5_000_000) | st.integers(0, 2000)),
        max_size=30,
    )
)
def test_timestamps_never_fall_and_are_distinct_where_they_can_be(arrivals):
    """Never falling but for a step of more than 2 h; distinct while within 1 s of a clock that is not set back."""
    stream = Stream(StreamState("j", 1))
    clock_ms, last_ms, was_set_back = WALL_MS, 0, False
    for count, step_ms in arrivals:
        was_set_back |= step_ms < 0
        clock_ms += step_ms
        stamps = stream.stamp(count, clock_ms)
        assert len(stamps) == count
        assert stamps == sorted(stamps)
        if last_ms - clock_ms <= STEP_BACK_MS:
            assert stamps[0] >= last_ms
        else:
            assert stamps[0] == clock_ms
        assert stamps[0] >= clock_ms
        if not was_set_back:
            assert stamps[-1] <= clock_ms + AHEAD_MS
            room = clock_ms + AHEAD_MS - max(last_ms + 1, clock_ms) + 1
            assert len(set(stamps) - {last_ms}) == min(count, room)
        last_ms = stamps[-1]


@given(st.integers(AHEAD_MS + 1, STEP_BACK_MS - 1000), st.integers(1, 100))
def test_after_a_step_back_timestamps_go_on_from_the_last(step_ms, count):
    """Between 1 s and 2 h back: one millisecond after another, however far ahead of the clock that is."""
    stream = Stream(StreamState("j", 1))
    last_ms = stream.stamp(1, WALL_MS)[0]
    assert stream.stamp(count, WALL_MS - step_ms)[0] == last_ms + 1
    again = Stream(StreamState("j", 2, last_ts_ms=last_ms))
    assert again.stamp(count, WALL_MS - step_ms) == list(range(last_ms + 1, last_ms + 1 + count))


BODIES = st.lists(st.binary(max_size=40), min_size=1, max_size=30)


def _block(first, frames, section="s"):
    body = FrameBody(list(range(len(frames))), frames)
    return Block(first, len(frames), Entry.FRAMES, section, codec.pack_frames(body))


@given(BODIES, st.integers(-5, 40), st.integers(-5, 40), st.integers(0, 40), st.integers(0, 200))
def test_blocks_are_cut_without_loss(frames, low, high, max_frames, max_bytes):
    """A slice holds exactly its entries; a split is a fitting beginning (one entry at least) and the rest."""
    block = _block(10, frames)
    first, end = 10 + max(0, min(low, len(frames) - 1)), 10 + max(1, min(high, len(frames)))
    if first < end:
        assert frames_of(slice_block(block, first, end)) == frames[first - 10 : end - 10]
    head, rest = split_block(block, max_frames, max_bytes)
    assert frames_of(head) + (frames_of(rest) if rest else []) == frames
    assert head.length == 1 or (head.length <= max_frames and len(head.body) <= max_bytes)
    assert rest is None or rest.first == head.end


@given(st.lists(st.tuples(BODIES, st.sampled_from("st"), st.integers(0, 3)), max_size=40))
def test_runs_hold_the_same_entries_in_order(parts):
    """Joining keeps every entry, never mixes sections, never bridges a hole, and keeps the batch limits."""
    blocks, first = [], 1
    for frames, section, hole in parts:
        first += max(0, hole - 2)
        blocks.append(_block(first, frames, section))
        first += len(frames)
    wanted = {(b.section, b.first + at): frame for b in blocks for at, frame in enumerate(frames_of(b))}
    found = {(b.section, b.first + at): frame for b in pack_runs(blocks) for at, frame in enumerate(frames_of(b))}
    assert found == wanted
    assert all(block.length <= BATCH_FRAMES and len(block.body) <= BATCH_BYTES for block in pack_runs(blocks))


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 50_000)), max_size=50), st.integers(1, 10**6))
def test_the_ledger_finds_what_must_go(blocks, max_bytes):
    """Dropping what the ledger names leaves at most the limit, and the sum is always right."""
    ledger, end = Ledger(), 1
    for length, size in blocks:
        end += length
        ledger.add(end, size)
    assert ledger.total_bytes == sum(size for _, size in blocks)
    ledger.drop(ledger.base_within(max_bytes))
    assert ledger.total_bytes <= max_bytes
    ledger.drop(end)
    assert ledger.total_bytes == 0


class World:
    """A publisher behind a bad link: keeps what comes, reports holes, settles in order."""

    def __init__(self, rig: Rig, draw, credit_bytes: int) -> None:
        self.rig = rig
        self.draw = draw
        self.credit_bytes = credit_bytes
        self.epoch = "e1"
        self.kept: list[tuple[int, int]] = []
        self.received = 1
        self.settled = 1
        self.frames: dict[int, bytes] = {}
        rig.before_send = self.carry

    def carry(self, batch):
        """Checks a batch against the rules, and loses it, refuses it, or takes it in."""
        frames, size = self.rig.uplink._window.in_flight
        limits = self.rig.uplink._window._limits
        assert frames <= limits.window_frames
        assert size <= max(limits.window_bytes, len(batch.body))
        assert batch.first + batch.length > self.reported, "what was reported received came again"
        fates = ["lost", "refused", "taken", "taken", "taken", "taken"]
        fate = "taken" if self.is_good else self.draw(st.sampled_from(fates))
        if fate == "refused":
            return Blocked(Plane.FRAMES, batch)
        if fate == "taken" and batch.epoch == self.epoch:
            self.take(batch)
        return None

    reported = 1
    is_good = False

    def take(self, batch):
        self.received = max(self.received, batch.base)
        for at, frame in enumerate(frames_of(batch)):
            assert self.frames.setdefault(batch.first + at, frame) == frame, "a resend differs"
        self.kept = add_range(self.kept, batch.first, batch.first + batch.length - 1)
        holes = gaps(self.kept, self.received, self.kept[-1][1])
        self.received = holes[0][0] if holes else max(self.received, self.kept[-1][1] + 1)

    def report(self, settles: bool) -> None:
        if settles:
            self.settled = self.received
        last = self.kept[-1][1] if self.kept else 0
        self.reported = max(self.reported, self.received)
        self.rig.report(
            self.received,
            self.settled,
            epoch=self.epoch,
            credit_bytes=self.credit_bytes,
            missing=gaps(self.kept, self.received, last),
        )

    def restart(self) -> None:
        """A new publisher, which knows nothing."""
        self.epoch += "'"
        self.kept, self.received, self.reported = [], self.settled, 1


@settings(max_examples=60)
@given(st.data())
def test_every_frame_arrives_once_settled_in_order_whatever_happens(data):
    """Over a link that loses and refuses, with publishers that die and a small window: all frames, the same bytes."""
    limits = Limits(window_frames=data.draw(st.integers(1, 30)), window_bytes=data.draw(st.integers(50, 2000)))
    rig = Rig(Device(name="d"), limits=limits)
    world = World(rig, data.draw, data.draw(st.integers(1, 2000)))
    rig.now_s += 1
    count = 0
    for step in data.draw(st.lists(st.sampled_from("rrrrpswwknS"), min_size=10, max_size=60)):
        match step:
            case "r":
                lines = data.draw(st.integers(1, 8))
                rig.read(b"".join(b"%04d\n" % (count + at) for at in range(lines)), 0.01)
                count += lines
            case "p":
                rig.beat(world.epoch)
            case "s" | "S":
                world.report(step == "S")
            case "w":
                rig.wait(0.7, heartbeats=False)
            case "k":
                world.restart()
            case "n":
                rig.give(Writable(Plane.FRAMES))
    world.is_good = True
    for _ in range(3000):
        if world.settled == rig.uplink.stream.next_number:
            break
        rig.beat(world.epoch)
        rig.give(Writable(Plane.FRAMES))
        world.report(True)
        rig.wait(0.5, heartbeats=False)
    assert [world.frames[number] for number in sorted(world.frames)][1:] == [b"%04d\n" % at for at in range(count)]
    assert rig.uplink.backlog == 0
    rig.wait(TRIM_S, heartbeats=False)
    assert rig.journal.rows == {}
