"""Pairs of configurations with traffic: what a reload makes of them, by the plan, device by device."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from common.config.asking import Asking
from common.config.framing import Framing
from common.config.models import AttributeUpdate, Connector, DataPoint, Device, Gateway, Line, section_of
from common.core.events import Drain
from common.io.journal.sections import section_name
from common.wire import codec
from common.wire.messages import Entry, Request
from services.cli.supervise.difference import Difference, difference, together
from services.cli.supervise.steps import steps_of
from services.port_reader.core.core import LineMember, PortReaderCore
from tests.support.port_reader_rig import IDENTITY, Rig, frames_of

NAMES = ("a", "b", "c", "d")
SAID = b"1\n22;3\n4;5\n66\n;7\n"


def devices(name: str) -> st.SearchStrategy[Device | None]:
    """A device of this name, in one of many forms; None: it is not configured."""
    keys = st.lists(st.sampled_from("nmk"), max_size=2, unique=True)
    built = st.builds(
        lambda keys, baud, port, delimiter, kind, update, asks: Device(
            name=name,
            type=kind,
            line=Line(port=f"/dev/{name}{port}", baudrate=baud),
            framing=Framing(delimiter=delimiter, first_frame="keep", timeout_s=900.0),
            telemetry=tuple(DataPoint(key=key, type="int") for key in keys),
            attribute_updates=(AttributeUpdate(attribute="x", string_to_device="x=${x}\n"),) if update else (),
            asking=Asking() if asks else None,
        ),
        keys,
        st.sampled_from([9600, 19_200]),
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from([b"\n", b"\n", b";"]),
        st.sampled_from(["t", "t", "t", "u"]),
        st.booleans(),
        st.sampled_from([False] * 7 + [True]),
    )
    return st.one_of(st.none(), built, built, built)


GATEWAYS = st.builds(
    lambda *found: Gateway(connectors=(Connector(name="Serial", devices=tuple(d for d in found if d is not None)),)),
    *map(devices, NAMES),
)


class Reader(Rig):
    """The port reader of one device, which begins with that device's own section."""

    def make_core(self, **options: Any) -> Any:
        section = section_name(section_of(self.device))
        member = LineMember(self.device, section, self.journal.open())
        return PortReaderCore(IDENTITY, [member], **options)

    def take(self, device: Device) -> str | None:
        """What it says to a section."""
        body, name = codec.pack({"section": section_of(device)}), device.name
        self.give_call(Request("t", "client:1", f"port_reader:{name}", "take_section", name, "", 5.0, body))
        return self.ended("t")

    @property
    def sections(self) -> list[str]:
        """The section of each frame in the journal, in order."""
        rows = [row for row in self.journal.rows.values() if row.kind == Entry.FRAMES]
        return [row.section for row in rows for _ in frames_of(row)]

    @property
    def heard(self) -> bytes:
        """All that the device has said, in frames or in dead letters; the order of both together is not kept."""
        frames = [frame for row in self.journal.rows.values() if row.kind == Entry.FRAMES for frame in frames_of(row)]
        return b"".join(frames) + b"".join(letter.data for letter in self.journal.dead)


@settings(max_examples=100, deadline=None)
@given(before=GATEWAYS, after=GATEWAYS, cut=st.integers(0, len(SAID)))
def test_each_frame_is_of_one_section_and_nobody_else_is_touched(before: Gateway, after: Gateway, cut: int) -> None:
    """Untouched devices are in no list; those that take a section do so, and those that are to start anew would not;
    all bytes come out, and each frame is under the section that its reader had when it ended."""
    change = difference(before, after)
    old = {device.name: device for device in before.devices}
    new = {device.name: device for device in after.devices}
    assert set(change.added) == new.keys() - old.keys()
    assert set(change.removed) == old.keys() - new.keys()
    for name in old.keys() & new.keys():
        lists = [name in change.swapped, name in change.changed]
        assert sum(lists) == (old[name] != new[name])
        reader = Reader(old[name])
        reader.read(SAID[:cut])
        first = len(reader.sections)
        if old[name] != new[name]:
            assert (reader.take(new[name]) == "ok") == (name in change.swapped)
        if name in change.changed:
            reader.give(Drain())
            reader = Reader(new[name], reader.journal)
        assert reader.sections[first:] in ([], [section_name(section_of(new[name]))] * len(reader.sections[first:]))
        reader.read(SAID[cut:])
        reader.give(Drain())
        names = [section_name(section_of(one[name])) for one in (old, new)]
        assert reader.sections == [names[0]] * first + [names[1]] * (len(reader.sections) - first)
        assert sorted(reader.heard) == sorted(SAID)
    plan = {step.what: step.sign for step in steps_of(before, after, change, {}) if step.what in NAMES}
    assert plan.keys() == (old.keys() ^ new.keys()) | {
        name for name in old.keys() & new.keys() if old[name] != new[name]
    }


@given(first=GATEWAYS, second=GATEWAYS, wanted=GATEWAYS)
@settings(max_examples=100, deadline=None)
def test_who_does_not_know_what_runs_reaches_everybody(first: Gateway, second: Gateway, wanted: Gateway) -> None:
    """Whichever of two configurations a process has: each device that is another than the wanted one is in a list."""
    change = together(difference(first, wanted), difference(second, wanted))
    want = {device.name: device for device in wanted.devices}
    for running in (first, second):
        for device in running.devices:
            if device.name not in want:
                assert device.name in change.removed
            elif device != want[device.name]:
                assert device.name in {*change.swapped, *change.changed}
    assert together(difference(wanted, wanted), difference(wanted, wanted)) == Difference((), (), (), False, False)
