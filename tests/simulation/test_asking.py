"""A bus under faults drawn from seeds: no answer is ever attributed to another register, unit or stream.

The real core of a port reader asks three Modbus units over a line that is late, silent, noisy and pulled out, and dies
at any step; its journals outlive it. Each register of each unit has a value of its own, so an answer shows whose it is.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from common.config.asking import Asking, Bus, Register
from common.config.device.modbus_reading import Reads
from common.config.device.named_framings import NAMED
from common.config.framing import Framing
from common.config.models import DataPoint, Device, Message, Rpc
from common.config.point_models import Place
from common.core import modbus
from common.core.modbus import Protocol, Span
from common.wire import codec
from common.wire.messages import Entry, Request
from services.port_reader.core.events import Chunk, PortLost
from tests.support.asked_rig import AskedRig
from tests.support.fake_journal import FakeJournal
from tests.support.port_reader_rig import SECTION, frames_of

UNITS = (1, 2, 3)
SPANS = (Span("input", 0, 2), Span("input", 20, 2), Span("input", 40, 2), Span("holding", 5, 2))
"""Reads of one length: only their time tells their answers apart."""
LIVES = 20
LIFE_S = 24.0
CALLS = 10
"""Between two things that go wrong."""
EXCHANGES = 1_250
"""Each of eight seeds has at least so many, over all of its lives."""


def value_of(unit: int, table: str, place: int) -> int:
    """The value of a register: of no other one."""
    return 10_000 * unit + (5_000 if table == "holding" else 0) + place


def unit_of(number: int, protocol: Protocol, bus: Bus | None) -> Device:
    reads = Reads(protocol, number, merges=False, timeout_s=0.1, retries=1)
    points = tuple(DataPoint(key=span.name, place=Place(by="register", text=span.name.split("+")[0])) for span in SPANS)
    asking = Asking(
        asks=tuple(reads.asks({0.05: list(SPANS)})), address=number, protocol=protocol, bus=bus, timeout_s=0.1
    )
    shapes = NAMED[protocol].shapes
    return Device(
        name=f"u{number}",
        framing=Framing(kind="shapes", named=protocol, shapes=shapes),
        messages=(Message(telemetry=points),),
        asking=asking,
        rpcs=(
            Rpc(
                method="get",
                register=Register(table="input", first=20, count=2, type="uint32"),
                with_response=True,
                response_timeout_s=0.1,
            ),
        ),
    )


class Units:
    """What the units say to a request, in good times and in bad ones."""

    def __init__(self, draw: random.Random, protocol: Protocol) -> None:
        self._draw = draw
        self._protocol = protocol
        self.silent: set[int] = set()

    def __call__(self, request: bytes) -> Sequence[tuple[float, bytes]]:
        draw = self._draw
        try:
            number, pdu = modbus.pdu_of(self._protocol, request)
        except ValueError:
            return []
        if number in self.silent or draw.random() < 0.02:
            return []
        table = next(name for name, function in modbus.READS.items() if function == pdu[0])
        first, size = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        data = b"".join(value_of(number, table, first + at).to_bytes(2, "big") for at in range(size))
        frame = modbus.frame_of(self._protocol, number, bytes((pdu[0], len(data))) + data)
        if draw.random() < 0.03:
            place = draw.randrange(len(frame))
            frame = frame[:place] + bytes((frame[place] ^ 1 << draw.randrange(8),)) + frame[place + 1 :]
        # In time, late, or so late that its unit is not waited for any more but for a moment.
        after_s = draw.choice([0.002, 0.01, 0.01, 0.05, 0.12, 0.19])
        noise = bytes(draw.randrange(256) for _ in range(draw.randrange(4))) if draw.random() < 0.05 else b""
        cut = draw.randrange(1, len(frame))
        return [(after_s, noise + frame[:cut]), (after_s + 0.002, frame[cut:])]


def check(journals: Sequence[FakeJournal], protocol: Protocol) -> int:
    """Every frame that was journaled is what its origin says, of the unit whose journal it is; how many there were."""
    count = 0
    for number, journal in zip(UNITS, journals, strict=True):
        for block in journal.rows.values():
            if block.kind != Entry.FRAMES:
                continue
            span = modbus.span_of(block.origin)
            assert span is not None, block.origin
            for frame in frames_of(block):
                unit, pdu = modbus.pdu_of(protocol, frame)
                assert unit == number
                if modbus.exception_of(pdu):
                    continue
                values = [value_of(unit, span.table, span.first + at).to_bytes(2, "big") for at in range(span.size)]
                assert modbus.bytes_of_answer(span, pdu) == b"".join(values), (block.origin, frame.hex())
                count += 1
    return count


@pytest.mark.parametrize("seed", range(8))
def test_no_answer_is_attributed_to_another_register(seed: int) -> None:
    """10,000 exchanges over all seeds: late answers, silence, flipped bits, noise, full disks, lost ports, calls in
    between, and deaths in the middle of exchanges."""
    draw = random.Random(f"asking {seed}")
    protocol: Protocol = "modbus-ascii" if seed % 4 == 3 else "modbus-rtu"
    bus = Bus(pause_s=draw.choice([0.0, 0.0, 0.005]), max_backoff_s=2.0)
    devices = [unit_of(number, protocol, bus if number == 1 else None) for number in UNITS]
    units = Units(draw, protocol)
    journals = [FakeJournal(), *(FakeJournal(f"j {device.name}") for device in devices[1:])]
    exchanges = answered = replied = cut = 0
    rig: _Bus | None = None
    for life in range(LIVES):
        # What the units were saying when the reader died comes to the next one.
        said = [] if rig is None else [(at - rig.now_s, data) for at, _, data in sorted(rig.said)]
        rig = _Bus(devices, journals, units)
        for after_s, data in said:
            rig.say(after_s, data)
        for _ in range(6):
            _hurt(rig, units, draw)
            for _ in range(CALLS):
                rig.run(LIFE_S / 6 / CALLS * draw.random())
                _call(rig, draw, f"{life}")
        replied += check_replies(rig)
        cut += rig.count("asks_cut")
        exchanges += rig.count("asks")
        answered += rig.count("asks_answered")
        # It dies here, wherever it is.
    assert check(journals, protocol) >= 200
    assert answered >= exchanges / 3
    assert replied >= 200
    assert cut >= 1, cut
    assert exchanges >= EXCHANGES


class _Bus(AskedRig):
    """A life of the reader on journals that outlive it."""

    def __init__(self, devices: list[Device], journals: list[FakeJournal], units: Units) -> None:
        self._journals = journals
        super().__init__(devices[0], units, more=devices[1:], journal=journals[0])

    def make_core(self, **options: Any) -> Any:
        self.journals = self._journals
        return super().make_core(**options)


def _hurt(rig: _Bus, units: Units, draw: random.Random) -> None:
    """Something goes wrong, or is right again."""
    match draw.randrange(6):
        case 0:
            units.silent = {draw.choice(UNITS)}
        case 1:
            units.silent = set()
        case 2:
            rig.give(PortLost("EIO", rig.wall_ms))
        case 3:
            journal = draw.choice(rig.journals)
            journal.is_full = not journal.is_full
        case 4:
            rig.give(Chunk(bytes(draw.randrange(256) for _ in range(draw.randrange(1, 30))), rig.wall_ms))
        case _:
            pass


def check_replies(rig: _Bus) -> int:
    """Every call has at most one reply, and one with a value has that of its own unit's register; how many had."""
    assert len({message.id for message in rig.calls}) == len(rig.calls)
    count = 0
    for message in rig.calls:
        if not message.error:
            number = int(message.id.split("-")[0])
            high, low = (value_of(number, "input", place) for place in (20, 21))
            assert json.loads(codec.unpack(message.body)) == {"result": high << 16 | low}
            count += 1
    return count


def _call(rig: _Bus, draw: random.Random, call_id: str) -> None:
    """A call to one of the units."""
    body = codec.pack({"method": "get", "params": b""})
    number = draw.choice(UNITS)
    device, call_id = f"u{number}", f"{number}-{call_id}-{draw.random()}"
    rig.give_call(Request(call_id, "publisher:0", f"port_reader:{device}", "encode", device, SECTION, 5.0, body))
