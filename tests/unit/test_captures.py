"""The file of a capture, what is recorded, and what is played when."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.captures.files import chunks_in, is_capture, read_capture
from services.cli.captures.form import (
    FIRST_LINE,
    LONGEST_LINE,
    CaptureError,
    Chunk,
    End,
    end_line,
    head_of,
    lines_of,
    read_lines,
)
from services.cli.captures.recorder import MOST_CHUNK_BYTES, TOGETHER_S, Recorder
from services.cli.captures.score import MOST_DUE, MOST_HEARD_BYTES, WHOLE_S, Player, parts_of
from services.cli.usage import UsageError

chunks = st.lists(
    st.tuples(st.integers(0, 60_000), st.booleans(), st.binary(min_size=1, max_size=200)), min_size=1, max_size=12
)


@given(chunks)
def test_what_is_written_is_read_again(drawn: list[tuple[int, bool, bytes]]) -> None:
    """All bytes, both directions, to the millisecond; lines of one moment are one chunk again."""
    wanted = [
        Chunk(at_ms / 1000, is_written, data) for at_ms, is_written, data in sorted(drawn, key=lambda one: one[0])
    ]
    text = [head_of(["a comment\nof two lines"]), *(line for chunk in wanted for line in lines_of(chunk)), end_line(99)]
    read = list(read_lines("\n".join(text).splitlines()[1:]))
    assert read.pop() == End(99)
    assert [(one.at_s, one.is_written) for one in read] == [
        key for key, before in zip(keys_of(wanted), [None, *keys_of(wanted)], strict=False) if key != before
    ]
    assert b"".join(one.data for one in read) == b"".join(one.data for one in wanted)


def keys_of(found: list[Chunk]) -> list[tuple[float, bool]]:
    return [(one.at_s, one.is_written) for one in found]


def test_what_a_person_writes_is_read() -> None:
    """Text in quotes, comments, empty lines, digits close together, an end in the middle."""
    lines = [
        "",
        "# by hand",
        ' 0 < "T=21.5 # \\"\\xff\\\\\\r\\n"  # a reading',
        "1.5>0103  # asked",
        "2 end # enough",
        "3 < 00",
    ]
    assert list(read_lines(lines)) == [
        Chunk(0.0, False, b'T=21.5 # "\xff\\\r\n'),
        Chunk(1.5, True, b"\x01\x03"),
        End(2.0),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("soon < 00", 'line 3: found "soon < 00", expected SECONDS, < or >'),
        ("1.0 00", "expected SECONDS, < or >"),
        ("1.0 < 0", "expected SECONDS, < or >"),
        ("1.0 < xx", "expected SECONDS, < or >"),
        ("-1 < 00", "expected SECONDS, < or >"),
        ("0.5 < 00", "expected a time that is not before 1 s, that of a line above"),
        ('1.0 < "a', "expected text in quotes"),
        ('1.0 < "a" b', "expected text in quotes"),
        ('1.0 < "\\q"', "expected text with escapes"),
        ("999999999 < 00", "expected a time of at most 1e+07 s"),
        ("1.0 < " + "00 " * LONGEST_LINE, "expected SECONDS"),
    ],
)
def test_a_line_that_is_none_is_told_with_its_place(line: str, said: str) -> None:
    """What was found, and what would be right."""
    with pytest.raises(CaptureError, match=re.escape(said)):
        list(read_lines(["1.0 < 00", line]))
    found = read_lines(["1.0 < 00", line])
    assert next(found) == Chunk(1.0, False, b"\0")


@given(st.lists(st.one_of(st.text(), st.text('0123456789.<> end#"\\AFx')), max_size=5))
def test_no_line_is_more_than_wrong(lines: list[str]) -> None:
    """Whatever stands in a file."""
    with suppress(CaptureError):
        assert all(isinstance(one, Chunk | End) for one in read_lines(lines))


def test_a_file_that_is_no_capture_is_told(tmp_path: Path) -> None:
    """Not there, other bytes, a later form, too much of it; with the file's name."""
    path = tmp_path / "c.txt"
    for content, said in (
        (b"\xaa\xc0", "line 1: found '\\\\xaa\\\\xc0', expected \"serialgw capture 1\""),
        (b"serialgw capture 2\n", "line 1: found 'serialgw capture 2', expected"),
        (f"{FIRST_LINE}\n0 < 00 00\n".encode(), "found more than 1 bytes of a line"),
        (f"{FIRST_LINE}\nx\n".encode(), 'line 2: found "x", expected'),
    ):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=re.escape(f"{path}: {said}")):
            read_capture(path, 1)
    path.write_text(f"{FIRST_LINE}\n0 < 00\n1 < 00\n2 < 00\n")
    with pytest.raises(UsageError, match="found more than 1 chunks"):
        read_capture(path, 100, most_chunks=1)
    with pytest.raises(UsageError, match="No such file"):
        read_capture(tmp_path / "not-there", 1)
    assert is_capture(b"serialgw capture 2")
    assert not is_capture(b"serialgw")


def test_a_file_is_read_as_it_comes() -> None:
    """One chunk after the other, so a long one needs no memory."""
    file = io.BytesIO(f"{FIRST_LINE}\n0 < 01\n1 < 02\nnonsense\n".encode())
    found = chunks_in(file, "c.txt")
    assert next(found) == Chunk(0.0, False, b"\x01")


def recorded(recorder: Recorder, *seen: Chunk) -> list[Chunk]:
    found = [recorder.take(one) for one in seen]
    return [one for one in [*found, recorder.end()] if one is not None]


def test_what_comes_together_is_one_chunk() -> None:
    """Byte by byte at 9,600 baud; not over a pause, nor over a change of direction, nor without end."""
    recorder = Recorder(1_000_000)
    bytes_apart = [Chunk(index * 0.001, False, b"x") for index in range(20)]
    assert recorded(recorder, *bytes_apart) == [Chunk(0.0, False, b"x" * 20)]
    answer = Chunk(0.0201, True, b"y"), Chunk(0.0202, False, b"z"), Chunk(0.0202 + 2 * TOGETHER_S, False, b"z")
    assert recorded(recorder, *answer) == list(answer)
    large = [Chunk(1.0, False, b"x" * MOST_CHUNK_BYTES), Chunk(1.0, False, b"x")]
    assert recorded(recorder, *large) == large
    assert (recorder.chunks, recorder.read_bytes, recorder.written_bytes) == (6, 23 + MOST_CHUNK_BYTES, 1)


def test_no_more_is_recorded_than_is_allowed() -> None:
    """To the byte; and times never fall, whatever a clock did."""
    recorder = Recorder(5)
    assert recorded(recorder, Chunk(2.0, False, b"abc"), Chunk(1.0, True, b"def"), Chunk(3.0, False, b"g")) == [
        Chunk(2.0, False, b"abc"),
        Chunk(2.0, True, b"de"),
    ]
    assert recorder.is_full


def said_by(player: Player, until_s: float, step_s: float = 0.01) -> list[tuple[float, bytes]]:
    """What it says by itself, and when, as of now."""
    found = []
    for number in range(round(until_s / step_s) + 1):
        now_s = number * step_s
        while data := player.say(now_s):
            found.append((round(now_s, 3), data))
    return found


def test_a_talker_says_it_at_its_time() -> None:
    """Once, or again and again, as fast as one likes; the round is as long as the recording was."""
    parts = parts_of([Chunk(0.1, False, b"a"), Chunk(0.5, False, b"b"), End(1.0)])
    once = Player(parts)
    once.begin(0.0)
    assert said_by(once, 3.0) == [(0.1, b"a"), (0.5, b"b")]
    assert (once.is_over, once.next_s) == (True, None)
    looped = Player(parts, speed=2.0, loops=True)
    looped.begin(0.0)
    assert [data for _, data in said_by(looped, 1.4)] == [b"a", b"b"] * 3
    assert not looped.is_over
    hasty = Player(parts, at_once=True)
    hasty.begin(5.0)
    assert (hasty.say(5.0), hasty.say(5.0), hasty.say(5.0)) == (b"a", b"b", b"")


def test_who_opens_the_port_hears_it_from_the_beginning() -> None:
    """Whatever an earlier one had heard."""
    player = Player(parts_of([Chunk(0.0, False, b"a"), Chunk(1.0, False, b"b")]))
    player.begin(0.0)
    assert player.say(0.0) == b"a"
    player.begin(5.0)
    assert (player.say(5.0), player.say(5.0), player.next_s) == (b"a", b"", 6.0)


def test_a_device_answers_as_it_did() -> None:
    """In turn where it was asked several times, with its pauses; what it says unasked comes at the opening."""
    entries = [
        Chunk(0.0, False, b"hello"),
        *asked(1.0, b"Q", b"one"),
        *asked(2.0, b"Q", b"two"),
        *asked(3.0, b"R", b""),
    ]
    player = Player(parts_of(entries))
    player.begin(0.0)
    assert player.say(0.0) == b"hello"
    answers = []
    for turn in range(3):
        player.hear(b"?? Q", turn)
        assert player.say(turn) == b""
        answers.append(player.say(turn + 0.021))
    player.hear(b"R", 9.0)
    assert (answers, player.say(10.0)) == ([b"one", b"two", b"one"], b"")
    assert player.unknown_bytes == 9
    assert player.answers_questions


def asked(at_s: float, question: bytes, answer: bytes) -> list[Chunk]:
    return [Chunk(at_s, True, question), *([Chunk(at_s + 0.02, False, answer)] if answer else [])]


def test_a_request_that_begins_another_is_waited_for() -> None:
    """For a moment: then it was whole. Written in two pieces it is one request."""
    player = Player(parts_of([*asked(0.0, b"S", b"short"), *asked(1.0, b"SI\r", b"long")]))
    player.begin(0.0)
    player.hear(b"S", 1.0)
    assert player.say(1.0 + WHOLE_S / 2) == b""
    player.hear(b"I\r", 1.0 + WHOLE_S / 2)
    assert player.say(2.0) == b"long"
    player.hear(b"S", 3.0)
    assert player.next_s == 3.0 + WHOLE_S
    player.say(3.0 + WHOLE_S)
    assert player.say(4.0) == b"short"
    pieces = parts_of(
        [Chunk(0.0, True, b"AB"), Chunk(0.001, True, b"CD"), Chunk(0.1, False, b"x"), Chunk(1.0, True, b"E")]
    )
    assert list(pieces.answers) == [b"ABCD", b"E"]


def test_what_was_never_recorded_is_forgotten() -> None:
    """Counted, and bounded."""
    player = Player(parts_of(asked(0.0, b"Q", b"a")))
    player.begin(0.0)
    for _ in range(3):
        player.hear(b"x" * MOST_HEARD_BYTES, 1.0)
    assert player.say(2.0) == b""
    assert player.unknown_bytes == 3 * MOST_HEARD_BYTES
    player.hear(b"yyQ", 3.0)
    assert (player.unknown_bytes, player.say(4.0)) == (3 * MOST_HEARD_BYTES + 2, b"a")


def test_who_asks_and_never_reads_is_not_answered_for_ever() -> None:
    """What waits to be said is bounded, and what was left out counted."""
    player = Player(parts_of(asked(0.0, b"Q", b"a")))
    player.begin(0.0)
    for _ in range(MOST_DUE + 5):
        player.hear(b"Q", 1.0)
    assert player.unanswered == 5
    assert sum(player.say(9.0) == b"a" for _ in range(2 * MOST_DUE)) == MOST_DUE


def test_times_of_all_captures_rise() -> None:
    """Those that the tests play."""
    for path in (Path(__file__).parents[1] / "cases" / "captures").glob("*.txt"):
        times = [entry.at_s for entry in read_capture(path, 1_000_000)]
        assert all(earlier <= later for earlier, later in pairwise(times))
