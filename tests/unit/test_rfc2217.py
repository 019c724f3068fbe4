"""The client of RFC 2217: what it says to a server, and what it takes from what that says."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config.models import Line
from services.port_reader.core.events import LineErrors
from services.port_reader.core.rfc2217 import MAX_SUBNEGOTIATION_BYTES, Rfc2217

DO_COM_PORT = b"\xff\xfd\x2c"


def said(command: int, value: bytes) -> bytes:
    """A subnegotiation of COM-PORT."""
    return bytes([255, 250, 44, command]) + value.replace(b"\xff", b"\xff\xff") + b"\xff\xf0"


def ready(line: Line | None = None) -> Rfc2217:
    """A connection whose server has taken all settings."""
    client = Rfc2217(line or Line())
    client.receive(DO_COM_PORT)
    client.receive(said(101, (line or Line()).baudrate.to_bytes(4, "big")))
    client.take_output()
    return client


def test_it_offers_the_option_first_and_sends_settings_when_it_is_taken() -> None:
    """In the numbers of the standard, the baud rate last; its answer ends the opening, whatever else is answered."""
    client = Rfc2217(Line(baudrate=255, bytesize=7, parity="E", stopbits=2, rtscts=False, dtr=False))
    assert client.take_output() == b"\xff\xfb\x00\xff\xfb\x03\xff\xfb\x2c\xff\xfd\x00\xff\xfd\x03"
    assert client.receive(b"early" + DO_COM_PORT) == b""
    assert client.take_output() == b"".join(
        [
            said(10, b"\x1e"),
            said(11, b"\x00"),
            said(2, b"\x07"),
            said(3, b"\x03"),
            said(4, b"\x02"),
            said(5, b"\x01"),
            said(5, b"\x09"),
            said(5, b"\x0b"),
            said(1, b"\x00\x00\x00\xff"),
        ]
    )
    assert not client.is_ready
    assert client.receive(b"early" + said(101, b"\x00\x00\x00\xff") + b"payload") == b"payload"
    assert client.is_ready
    assert client.take_refused() == []


def test_settings_that_the_server_answers_otherwise_are_told_once() -> None:
    """With what it has instead; the answer of a pin is none of flow control."""
    client = Rfc2217(Line(baudrate=9600, parity="E"))
    client.receive(DO_COM_PORT + said(103, b"\x01") + said(105, b"\x08") + said(101, (19_200).to_bytes(4, "big")))
    assert client.is_ready
    assert client.take_refused() == ["parity E", "baud rate 9600 (it has 19200)"]
    assert client.take_refused() == []


def test_a_server_without_the_option_is_of_no_use() -> None:
    """It is told what takes such a line."""
    client = Rfc2217(Line())
    client.receive(b"\xff\xfe\x2c")
    assert "socket://" in client.fault


def test_each_option_is_answered_once() -> None:
    """Others are refused; two sides that answer each other's answers would never end."""
    client = ready()
    for _ in range(3):
        client.receive(b"\xff\xfb\x01\xff\xfd\x18\xff\xfb\x00\xff\xfd\x00")
    assert client.take_output() == b"\xff\xfe\x01\xff\xfc\x18"


def test_changes_are_said_in_their_order() -> None:
    """Pins, speed, and throwing away; no answer is waited for."""
    client = ready()
    client.adjust(300, True, False)
    client.purge_output()
    assert client.take_output() == said(5, b"\x08") + said(5, b"\x0c") + said(1, b"\x00\x00\x01\x2c") + said(
        12, b"\x02"
    )
    assert client.receive(b"on") == b"on"


def test_line_states_are_counted_and_modem_states_say_nothing() -> None:
    """Framing, parity, overrun, break; that bytes have come is no error."""
    client = ready()
    client.receive(said(106, b"\x1f") + said(106, b"\x08") + said(106, b"\x61") + said(107, b"\xff"))
    assert client.take_errors() == LineErrors(framing=2, parity=1, overruns=1, breaks=1)
    assert client.take_errors() == LineErrors()


def test_a_server_without_room_is_waited_for() -> None:
    """FLOWCONTROL-SUSPEND and -RESUME."""
    client = ready()
    client.receive(said(108, b""))
    assert client.is_suspended
    client.receive(said(109, b""))
    assert not client.is_suspended


def test_a_subnegotiation_without_an_end_does_not_grow() -> None:
    """It is passed over, and what comes behind it is payload again."""
    client = ready()
    client.receive(bytes([255, 250, 44, 100]) + b"x" * 100_000)
    assert len(client._told) <= MAX_SUBNEGOTIATION_BYTES + 1
    assert client.receive(b"\xff\xf0ab") == b"ab"


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=8).map(Rfc2217.escaped),
        st.tuples(st.integers(0, 120), st.binary(max_size=6)).map(lambda one: said(*one)),
        st.tuples(st.sampled_from([251, 252, 253, 254]), st.integers(0, 254)).map(lambda one: bytes([255, *one])),
        st.sampled_from([b"\xff\xf1", b"\xff\xf9", b"\xff\xfa\x18\x01\xff\xf0", b"\xff\xfa\x2c\xff\xfb\x01"]),
        st.binary(max_size=4),
    ),
    max_size=12,
).map(b"".join)


@given(stream=PIECES, cuts=st.lists(st.integers(1, 200), max_size=8))
def test_any_cut_of_the_stream_gives_the_same(stream: bytes, cuts: list[int]) -> None:
    """Payload, answers, refusals, errors: whole, a byte at a time, and cut anywhere."""
    stream = DO_COM_PORT + said(101, (9600).to_bytes(4, "big")) + stream

    def outcome(chunks: list[bytes]) -> object:
        client = Rfc2217(Line())
        payload = b"".join(map(client.receive, chunks))
        state = client.is_ready, client.fault, client.is_suspended
        return payload, client.take_output(), client.take_refused(), client.take_errors(), state

    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:end] for start, end in pairwise(places)]
    whole = outcome([stream])
    assert outcome(pieces) == whole
    assert outcome([bytes([byte]) for byte in stream]) == whole


@pytest.mark.parametrize("size", [1, 7, 4096])
@given(data=st.binary(max_size=300))
def test_payload_comes_through_as_it_is(size: int, data: bytes) -> None:
    """All values of a byte, there as here."""
    client = ready()
    sent = Rfc2217.escaped(data)
    assert b"".join(client.receive(sent[at : at + size]) for at in range(0, len(sent), size)) == data
