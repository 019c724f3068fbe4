"""`serialgw check` says in words what a device is asked, told and answered."""

from __future__ import annotations

from common.config.asking import Ask, Asking, Bus, Heard, Register, Step
from services.cli.asked_words import describe_asking, describe_register

DIALOGUE = (
    'sets 300 baud, then sends "/?!\\r\\n", then awaits id, then waits 0.3 s, then switches DTR on; '
    "an answer within 15 s, asked again 2 times"
)
BUS = (
    "gone after 5 turns without an answer, then tried each 30 s at least; 30 ms between exchanges; "
    "the line repeats what is written"
)


def test_a_dialogue_is_told_step_by_step() -> None:
    """With the bytes as they go out, when, and how long its answer may take."""
    steps = (
        Step(kind="baudrate", value=300),
        Step(kind="send", data=b"/?!\r\n"),
        Step(kind="expect", message="id"),
        Step(kind="wait", value=0.3),
        Step(kind="dtr", value=1),
    )
    ask = Ask(name="readout", steps=steps, every_s=900, aligned=True, on_connect=True, timeout_s=15, retries=2)
    assert describe_asking(Asking(asks=(ask,))) == [
        (
            "asks",
            "readout",
            "every 900 s, on the clock and after each opening",
            DIALOGUE,
        )
    ]


def test_a_bus_and_acknowledgements_are_told() -> None:
    """Where it is, what holds for the line, and what is said back."""
    asking = Asking(
        address=7,
        bus=Bus(pause_s=0.03, echo=True, offline_after=5),
        heard=(Heard(name="result", reply=b"\x06"), Heard(name="end")),
        on_bad_frame=b"\x15",
    )
    assert describe_asking(asking) == [
        (
            "bus",
            "address 7",
            "",
            BUS,
        ),
        ("replies", "result", "once it is in the journal", "ACK (06)"),
        ("replies", "a damaged frame", "", "NAK (15)"),
    ]


def test_registers_of_calls_are_told() -> None:
    """What is read, what is written, and by which function."""
    assert describe_register(Register(table="input", first=3)) == "reads input:3, uint16"
    both = "reads holding:28 where there are no params, else writes them there, float32"
    assert describe_register(Register(table="holding", first=28, count=2, type="float32")) == both
    written = describe_register(Register(table="coil", first=1, count=3, type="bool", function=15))
    assert written == "writes params to coil:1, 3 of them, bool, by function 15"
