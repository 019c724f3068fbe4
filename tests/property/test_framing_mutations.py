"""Whatever stands in a framing, it is read or refused, and what is read can be said, used and written down."""

from __future__ import annotations

import copy

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.config.models import Device, device_of, section_of
from common.core.frame_body import body_of
from common.core.frame_words import words_of
from services.port_reader.core.framers import shaped
from tests.support.framing import FRAMINGS, read

ODD = st.one_of(
    st.sampled_from([None, True, 0, -1, 1, 2, 3.5, 1e300, 10**30, 2**31]),
    st.sampled_from(["", "a", "0x7F", "hex:", "hex:00", "<STX>", "é", "\ud800", "nmea", "uint16", "hex2", "little"]),
    st.sampled_from([[], ["a"], {}, [1, 1], [[]], {"at": 1}, {"type": "sum8"}, {"byte": 0, "double": True}]),
)
KEYS = (
    *(
        "start",
        "end",
        "endPlus",
        "endUntil",
        "length",
        "escape",
        "decode",
        "restart",
        "skip",
        "strip",
        "partialMs",
        "mask",
    ),
    *(
        "silenceMs",
        "checksum",
        "at",
        "type",
        "byteorder",
        "times",
        "plus",
        "add",
        "headerChecksum",
        "byte",
        "xor",
        "map",
    ),
    *("double", "from", "to", "toAfter", "after", "as", "result", "unit", "each", "avoid", "width", "poly", "framing"),
)


def _objects(value):
    """All objects in a section, itself among them."""
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(one)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(FRAMINGS)),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(KEYS), ODD), min_size=1, max_size=4),
    st.lists(st.binary(max_size=40), max_size=8),
)
def test_a_framing_with_odd_values_is_read_or_refused(family, changes, chunks):
    """No value makes the reader fail; what it takes cuts any line, in bounded memory, and comes back from a section."""
    section = copy.deepcopy(FRAMINGS[family])
    for place, key, value in changes:
        objects = list(_objects(section))
        objects[place % len(objects)][key] = copy.deepcopy(value)
    section.setdefault("framing", "nmea")
    framing, findings = read(section)
    assert all(": found " in problem and ", expected " in problem for problem in findings.problems)
    if findings.problems or not framing.shapes:
        assert findings.problems
        return
    assert words_of(framing.shapes, skip=framing.skip, mask=framing.mask)
    device = Device(framing=framing)
    assert device_of(section_of(device)) == device
    framer, body = shaped(framing), body_of(framing.shapes)
    for chunk in chunks:
        for frame in framer.feed(chunk):
            assert len(body(frame)) <= len(frame)
    for frame in framer.rest():
        body(frame)
    assert framer.waiting_bytes == 0
    framer.take_dead()
