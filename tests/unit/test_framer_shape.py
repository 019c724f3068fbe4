"""How frames are found by their shape: the rules one by one."""

from __future__ import annotations

import pytest

from common.core.checksum import sealed
from services.port_reader.core.framers import shaped
from services.port_reader.core.framers.base import DeadPiece
from services.port_reader.core.framers.shape import NO_FRAME
from tests.support.framing import cut, frames_of, framing_of

SUMMED = {
    "framing": {"start": "hex:AA C0", "length": 10, "end": "hex:AB"},
    "checksum": {"type": "sum8", "from": 2, "at": 8},
}
GOOD = bytes.fromhex("AAC00600060058D93DAB")
BAD = bytes.fromhex("AAC00800060058D93DAB")


def test_a_false_start_costs_one_byte():
    """A start right before a frame, or in the middle of noise, does not hide it."""
    framing = framing_of(SUMMED)
    assert frames_of(framing, [b"\xaa\xc0\xaa" + GOOD]) == ([GOOD], [DeadPiece(NO_FRAME, b"\xaa\xc0\xaa")])
    assert frames_of(framing, [b"\xaa\xc0\x01\x02" + GOOD * 2])[0] == [GOOD] * 2


def test_a_frame_that_is_wrong_is_dead_with_both_numbers():
    """And the one behind it is found."""
    dead = [DeadPiece("checksum: the frame says 3D, its bytes give 3F", BAD)]
    assert frames_of(framing_of(SUMMED), [BAD + GOOD]) == ([GOOD], dead)


def test_a_frame_that_begins_inside_a_wrong_one_is_found():
    """The wrong one is dead as far as it is not the good one's."""
    framing = framing_of({"framing": {"start": "a", "length": 4, "end": "z"}, "checksum": {"type": "xor8", "at": 2}})
    good = sealed(framing.shapes[0].checksums[0], b"az", b"z")
    frames, dead = frames_of(framing, [b"a-" + good])
    assert (frames, [piece.data for piece in dead]) == ([good], [b"a-"])
    assert dead[0].reason.startswith("checksum: ")
    framing = framing_of({"framing": {"start": "a", "end": "z", "endPlus": 4}, "checksum": {"type": "xor8"}})
    good = sealed(framing.shapes[0].checksums[0], b"az123")
    frames, dead = frames_of(framing, [b"az" + good])
    assert (frames, [piece.data for piece in dead]) == ([good], [b"az"])
    assert dead[0].reason.startswith("checksum: ")


def test_the_search_waits_for_the_rest_of_a_length():
    """And no longer."""
    framer = shaped(framing_of({"framing": {"start": "B", "length": {"at": 1, "plus": 2}}}))
    assert framer.feed(b"B\x03ab") == []
    assert (framer.candidate_bytes, framer.missing_bytes) == (4, 1)
    assert framer.feed(b"cB") == [b"B\x03abc"]
    assert framer.candidate_bytes == 1


def test_a_length_that_no_frame_has_is_a_false_start():
    """Above maxFrameBytes, and below the header itself: nothing is waited for."""
    framing = framing_of({"framing": {"start": "B", "length": {"at": 1, "type": "uint16"}}, "maxFrameBytes": 100})
    line = b"B\x00\x65B\x00\x02B\x00\x05xy"
    assert frames_of(framing, [line]) == ([b"B\x00\x05xy"], [DeadPiece(NO_FRAME, b"B\x00\x65B\x00\x02")])


@pytest.mark.parametrize(
    ("length", "frame"),
    [
        ({"at": 1, "type": "uint16", "byteorder": "little", "mask": "0x0FFF", "plus": 3}, b"B\x02\xf0xy"),
        ({"at": 1, "type": "dec3"}, b"B006xy"),
        ({"at": 1, "type": "hex2", "times": 2, "plus": 3}, b"B0Aabcdefghijklmnopqrst"),
        ({"at": 1, "add": {"at": 3, "times": 2}, "plus": 4}, b"B\x01_\x02abcde"),
        ({"at": 2, "plus": 4, "headerChecksum": {"type": "xor8", "from": 1, "to": 3, "at": 3}}, b"B\x05\x02\x07xy"),
    ],
)
def test_lengths_are_read_as_devices_write_them(length, frame):
    """Numbers in either order, parts of them, digits, sums of two."""
    framing = framing_of({"framing": {"start": "B", "length": length}})
    assert frames_of(framing, [frame * 2]) == ([frame] * 2, [])


def test_a_header_that_is_wrong_is_not_believed():
    """EnOcean: a length of 65,535 bytes in noise would be waited for."""
    length = {"at": 1, "type": "uint16", "plus": 4, "headerChecksum": {"type": "crc8", "from": 1, "to": 3, "at": 3}}
    framer = shaped(framing_of({"framing": {"start": "U", "length": length}}))
    assert framer.feed(b"U\x10\x00\x00") == []
    assert framer.candidate_bytes == 0
    assert framer.feed(b"U\x00\x01\x07x") == [b"U\x00\x01\x07x"]


def test_an_end_and_what_follows_it():
    """One of several ends, bytes whatever they are, or all up to a text."""
    framing = framing_of({"framing": {"start": "a", "end": ["y", "z"], "endPlus": 1, "restart": False}})
    assert frames_of(framing, [b"a1yza2zya3"])[0] == [b"a1yz", b"a2zy"]
    framing = framing_of({"framing": {"start": "/", "end": "!", "endUntil": "\r\n", "restart": True}})
    assert frames_of(framing, [b"/1!A\r\n/2!BCD\r\n/3!"])[0] == [b"/1!A\r\n", b"/2!BCD\r\n"]


def test_a_start_inside_begins_anew_where_it_is_said():
    """The line end between two frames is damaged: what is left of the first is dead, and no part of the second."""
    damaged = b"(1 2\xff(3 4\r"
    assert frames_of(framing_of({"framing": {"start": "(", "end": "\r", "restart": True}}), [damaged]) == (
        [b"(3 4\r"],
        [DeadPiece(NO_FRAME, b"(1 2\xff")],
    )
    assert frames_of(framing_of({"framing": {"start": "(", "end": "\r", "restart": False}}), [damaged])[0] == [damaged]


@pytest.mark.parametrize("size", [1, 2, 100])
def test_of_two_flags_only_the_first_is_passed_over(size):
    """A line that was joined between frames, and one on which two frames share a flag."""
    framing = framing_of(
        {"framing": {"start": "hex:7E", "end": "hex:7E", "strip": [1, 1]}, "checksum": {"type": "sum8", "at": -2}}
    )
    one, two = (sealed(framing.shapes[0].checksums[0], b"\x7e" + text)[1:] for text in (b"ab", b"cd"))
    for line in (b"\x7e%b\x7e\x7e%b\x7e", b"x\x7e\x7e%b\x7e%b\x7e", b"\x7e\x7e\x7e%b\x7e\x7e\x7e%b\x7e\x7e"):
        assert frames_of(framing, cut(line % (one, two), size))[0] == [one, two]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_flags_are_shared_where_the_length_tells(size):
    """DLMS meters push frames with one flag between them, and flags in them."""
    frames = [bytes.fromhex("A00801020110378D")] * 3
    line = b"\x7e" + b"\x7e".join(frames) + b"\x7e"
    assert frames_of(framing_of({"framing": "hdlc"}), cut(line, size)) == (frames, [])
    assert frames_of(framing_of({"framing": "hdlc"}), cut(b"\x7e\x7e" + line * 2, size)) == (frames * 2, [])


@pytest.mark.parametrize("size", [1, 2, 100])
def test_escapes_are_undone(size):
    """By XOR, by a table, by doubling; where an end or a length says how long the frame is."""
    framing = framing_of(
        {"framing": {"start": "<DLE><STX>", "end": "<DLE><ETX>", "escape": {"byte": "<DLE>", "double": True}}}
    )
    line = b"\x10\x02a\x10\x10\x03b\x10\x03" + b"\x10\x02\x10\x10\x10\x10\x10\x03"
    assert frames_of(framing, cut(line, size))[0] == [b"\x10\x02a\x10\x03b\x10\x03", b"\x10\x02\x10\x10\x10\x03"]
    framing = framing_of(
        {"framing": {"start": "S", "length": {"at": 1, "plus": 2}, "escape": {"byte": "x", "xor": "0x20"}}}
    )
    assert frames_of(framing, cut(b"S\x03aXxXb" + b"Sx\x21xsQ", size))[0] == [b"S\x03aXx", b"S\x01S"]


def test_an_escape_that_is_none_is_said():
    """SLIP allows two; the frame is dead, and the next one is found."""
    frames, dead = frames_of(framing_of({"framing": "slip"}), [b"a\xdbb\xc0cd\xc0"])
    assert (frames, dead) == ([b"cd"], [DeadPiece("DB 62 is no escape that is known", b"a\xdbb\xc0")])
    assert frames_of(framing_of({"framing": "cobs"}), [b"\x05a\0\x02b\0"]) == (
        [b"b"],
        [DeadPiece("these bytes are no COBS", b"\x05a\0")],
    )


def test_lines_end_with_either_character_or_both():
    """CR LF is one end, as between it nothing stands; and nothing is no frame."""
    assert frames_of(framing_of({"framing": "lines"}), [b"a\r\nb\rc\n\n\r\nd\n"]) == (
        [b"a\r", b"b\r", b"c\n", b"d\n"],
        [],
    )


def test_a_line_whose_checksum_is_wrong_is_dead_whole():
    """Without a start nothing says where another one would begin."""
    framing = framing_of({"framing": {"end": "\n"}, "checksum": {"type": "xor8", "as": "hex", "at": -3}})
    line = b"a61\nb61\nc63\n"
    assert frames_of(framing, [line]) == (
        [b"a61\n", b"c63\n"],
        [DeadPiece("checksum: the frame says 61, its bytes give 62", b"b61\n")],
    )


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_line_without_an_end_is_dead_in_pieces(size):
    """All up to the next end, and no more is held than a frame may have."""
    framing = framing_of({"framing": {"end": "\r\n"}, "maxFrameBytes": 8})
    frames, dead = frames_of(framing, cut(b"123456789012345678\r\nab\r\n", size))
    assert frames == [b"ab\r\n"]
    assert dead == [
        DeadPiece("no end of a frame within 8 bytes", piece) for piece in (b"12345678", b"90123456", b"78\r\n")
    ]


def test_skipped_bytes_are_no_dead_letters():
    """A preamble, and line ends between frames that have another end; inside a frame they are its own."""
    framing = framing_of({"framing": {"start": "h", "length": 3, "skip": "hex:FE 0D 0A"}})
    assert frames_of(framing, [b"\xfe\xfeh\xfe1\r\nh12\xfe\xfe"]) == ([b"h\xfe1", b"h12"], [])
    assert frames_of(framing, [b"\xfe?\xfeh12"])[1] == [DeadPiece(NO_FRAME, b"?")]


def test_a_parity_bit_is_cleared():
    """7E1 read as 8N1, where the adapter can't do 7E1."""
    framing = framing_of({"framing": {"start": "<STX>", "end": "<ETX>", "mask": "0x7F", "restart": True}})
    assert frames_of(framing, [bytes((0x82, 0xB1, 0xB2, 0x03))])[0] == [b"\x0212\x03"]


def test_noise_is_told_in_pieces_of_a_frame():
    """One for each run, and one for each maxFrameBytes of a long one."""
    framing = framing_of({"framing": {"start": "S", "length": 2}, "maxFrameBytes": 10})
    _, dead = frames_of(framing, [b"n" * 25 + b"S1" + b"m" * 3])
    assert [len(piece.data) for piece in dead] == [10, 10, 5, 3]


def test_after_a_gap_a_checksum_decides():
    """What has one is a frame if it is right; what has none is not taken for whole once."""
    framer = shaped(framing_of(SUMMED))
    framer.feed(GOOD[:4])
    framer.interrupt("a gap")
    assert framer.feed(GOOD[4:] + b"x" + GOOD) == [GOOD, GOOD]
    framer = shaped(framing_of({"framing": {"start": "<", "end": ">", "restart": True}}))
    framer.feed(b"<1")
    framer.interrupt("a gap")
    assert framer.feed(b"2><3>") == [b"<3>"]
    assert framer.take_dead() == [DeadPiece("a gap", b"<12>")]
    framer = shaped(framing_of({"framing": {"end": "\n"}}))
    framer.interrupt("a gap")
    assert framer.feed(b"1\n2\n") == [b"2\n"]
    assert framer.take_dead() == [DeadPiece("a gap", b"1\n")]


def test_frames_that_were_hidden_are_told_apart():
    """A false start had them wait: their places say when they had come."""
    framer = shaped(
        framing_of({"framing": {"start": "S", "length": {"at": 1, "plus": 2}}, "checksum": {"type": "xor8"}})
    )
    good = sealed(framer._matchers[0]._checks[0]._checksum, b"S\x02a")
    assert framer.feed(b"S\x09" + good + good) == []
    assert framer.feed(b"xyz") == [good, good]
    assert framer.late_ends == [2 + len(good), 2 + 2 * len(good)]


def test_a_line_of_nothing_but_starts_takes_bounded_work():
    """Each of its bytes might be looked at as often as a frame is long: beyond a bound whole candidates are passed
    over, and the frame behind them is found all the same."""
    framing = framing_of(
        {"framing": {"start": "(", "end": ")"}, "checksum": {"type": "crc16-modbus", "at": -3}, "maxFrameBytes": 60_000}
    )
    good = sealed(framing.shapes[0].checksums[0], b"(1", b")")
    framer = shaped(framing)
    looked_at = 0

    def count(frame):
        nonlocal looked_at
        looked_at += len(frame)
        return right(frame)

    matcher = framer._matchers[0]
    right, matcher._is_right = matcher._is_right, count
    assert framer.feed(b"(" * 50_000 + b")" + good) == [good]
    assert looked_at < 20_000_000
