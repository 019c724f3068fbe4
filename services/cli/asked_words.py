"""Says in words what a device is asked, told and answered, for `serialgw check`."""

from __future__ import annotations

from common.config.asking import Ask, Asking, Register, Step
from common.core.control_names import named

_SHOWN_BYTES = 24
_SHOWN_ESCAPES = 8


def describe_asking(asking: Asking) -> list[tuple[str, str, str, str]]:
    """Rows of a table: what it is, its name, when, and how."""
    rows = []
    if asking.address is not None:
        rows.append(("bus", f"address {asking.address}", "", _bus_in_words(asking)))
    if asking.init:
        rows.append(("init", "", "after each opening", _steps_in_words(asking.init)))
    if asking.send_escapes or asking.send_cobs:
        rows.append(("escapes", "", "", _escapes_in_words(asking)))
    rows += [("asks", ask.name or "the device", _when(ask), _ask_in_words(ask)) for ask in asking.asks]
    rows += [
        ("replies", heard.name or "each frame", "once it is in the journal", _bytes(heard.reply))
        for heard in asking.heard
        if heard.reply
    ]
    if asking.on_bad_frame:
        rows.append(("replies", "a damaged frame", "", _bytes(asking.on_bad_frame)))
    return rows


def describe_register(register: Register) -> str:
    """`reads holding:28, or writes params there, float32`: what a call does with a register."""
    count = f", {register.count} of them" if register.count > 1 and register.type in ("bool", "string", "hex") else ""
    place = f"{register.table}:{register.first}{count}"
    if register.function in (1, 2, 3, 4) or register.table in ("input", "discrete"):
        return f"reads {place}, {register.type}"
    if register.function:
        return f"writes params to {place}, {register.type}, by function {register.function}"
    return f"reads {place} where there are no params, else writes them there, {register.type}"


def _escapes_in_words(asking: Asking) -> str:
    """What becomes of bytes that mean something to the framing, in all that is sent."""
    if asking.send_cobs:
        return "all that is sent is COBS"
    shown = [f"{byte:02X} as {data.hex(' ').upper()}" for byte, data in asking.send_escapes[:_SHOWN_ESCAPES]]
    more = len(asking.send_escapes) - _SHOWN_ESCAPES
    return "inside all that is sent stands " + ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _when(ask: Ask) -> str:
    """`every 5 s, on the clock, and after each opening`."""
    parts = []
    if ask.every_s is not None:
        parts.append(f"every {ask.every_s:g} s" + (", on the clock" if ask.aligned else ""))
    if ask.on_connect:
        parts.append("after each opening")
    return " and ".join(parts)


def _ask_in_words(ask: Ask) -> str:
    again = "" if not ask.retries else f", asked again {ask.retries} time{'s' if ask.retries > 1 else ''}"
    parts = f"; apart if it refuses them together: {', '.join(one.name for one in ask.parts)}" if ask.parts else ""
    return f"{_steps_in_words(ask.steps)}; an answer within {ask.timeout_s:g} s{again}{parts}"


def _steps_in_words(steps: tuple[Step, ...]) -> str:
    return ", then ".join(map(_step_in_words, steps))


def _step_in_words(step: Step) -> str:
    match step.kind:
        case "send":
            return f"sends {_bytes(step.data)}"
        case "expect":
            return f"awaits {step.message}"
        case "wait":
            return f"waits {step.value:g} s"
        case "baudrate":
            return f"sets {step.value:g} baud"
        case "dtr" | "rts":
            return f"switches {step.kind.upper()} {'on' if step.value else 'off'}"


def _bytes(data: bytes) -> str:
    return named(data) if len(data) <= _SHOWN_BYTES else f"{named(data[:_SHOWN_BYTES])} … ({len(data)} bytes)"


def _bus_in_words(asking: Asking) -> str:
    bus = asking.bus
    if bus is None:
        return "shares its line with those that name the same port"
    said = [f"gone after {bus.offline_after} turns without an answer, then tried each {bus.max_backoff_s:g} s at least"]
    said += [f"{bus.pause_s * 1000:g} ms between exchanges"] if bus.pause_s else []
    said += ["the line repeats what is written"] if bus.echo else []
    return "; ".join(said)
