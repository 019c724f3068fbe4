"""Reads what a device section says of values: data points, RPCs, attribute updates.

The reference takes nearly everything here, and does something with it; so do we. What looks like a slip is a warning,
and a problem is only what can't mean anything.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection
from functools import partial

from msgspec.structs import replace

from common.config.device.places_reading import NO_CONTEXT, PLACES, Context, has_place, read_place
from common.config.device.register_reading import check_writable, read_register
from common.config.device.type_words import doubt_of_param_type, doubt_of_point_type
from common.config.findings import SHOWN_CHARS, choices, show
from common.config.json_object import JsonObject
from common.config.look_alikes import doubt_of
from common.config.models import AttributeUpdate, DataPoint, Decimal, Rpc
from common.config.point_models import Place
from common.config.strategy_reading import DAY_S, read_strategy
from common.core.byte_text import EXPECTED_HEX, HEX, bytes_of, parts_of, pattern_of
from common.core.control_names import protocol_text

_VARIABLE = re.compile(r"\$\{([^}]*)(\}?)")
"""A placeholder of a template, whether it is closed or not."""
_RPC_NAMES = ("params", "deviceName", "deviceType")
"""What a call's template may name, beside members of its params."""


def read_points(device: JsonObject, *keys: str, context: Context = NO_CONTEXT) -> tuple[DataPoint, ...]:
    """The data points of the lists under `keys` (one is an older spelling of the other), in order. `context` is
    what their message says for all of them.

    Two points with one key are allowed, as in the reference; where both find a value the later one wins.
    """
    points: list[DataPoint] = []
    first_places: dict[str, str] = {}
    for key in keys:
        for entry in device.items(key):
            point = _read_point(entry, context)
            if point.key in first_places:
                place = first_places[point.key]
                entry.warning("key", f"{show(point.key)} is also the key of {place}: one value hides the other")
            elif point.key:
                first_places[point.key] = entry.path
            points.append(point)
    return tuple(points)


def _read_point(entry: JsonObject, context: Context) -> DataPoint:
    """One data point; of those that a delimiter makes meaningless the byte positions are warned of."""
    placed = has_place(dict(entry.values))
    key = entry.required_text("key", meaning="the name of the value (a text)")
    point = DataPoint(
        key=key,
        type=_read_type(entry, "type", (lambda _: None) if placed else doubt_of_point_type),
        from_delimiter=entry.byte_text("fromDelimiter"),
        until_delimiter=entry.byte_text("untilDelimiter"),
        keep_delimiter=entry.flag("keepDelimiter", False),
        from_byte=entry.maybe_whole("fromByte"),
        to_byte=entry.maybe_whole("toByte"),
        report_strategy=read_strategy(entry),
        decimal=_read_decimal(entry),
        true_text=_read_words(entry, "trueText"),
        false_text=_read_words(entry, "falseText"),
    )
    _refuse_same_words(entry, point.true_text, point.false_text)
    if point.decimal and point.type not in ("float", "double"):
        entry.warning("decimal", 'has no effect: only "float" and "double" have a fraction')
    if (point.true_text or point.false_text) and point.type != "bool":
        used = "trueText" if point.true_text else "falseText"
        entry.warning(used, 'has no effect: only "bool" reads words for true and false')
    if point.from_delimiter is not None or point.until_delimiter is not None:
        for ignored in ("fromByte", "toByte"):
            if entry.values.get(ignored) is not None:
                entry.warning(ignored, "has no effect, because a delimiter is named")
    else:
        _warn_if_empty(entry, point.from_byte, point.to_byte, "toByte")
    place = read_place(entry, point.type, context)
    _refuse_slices(entry, place)
    point = replace(point, place=place)
    entry.warn_unknown()
    return point


def _refuse_slices(entry: JsonObject, place: Place | None) -> None:
    """Delimiters and byte positions beside a place would be a second one."""
    if place is None or place.by == "slice":
        return
    for key in ("fromDelimiter", "untilDelimiter", "fromByte", "toByte"):
        if entry.values.get(key) is not None:
            said = next(name for name in PLACES if entry.values.get(name) is not None or name in entry.values)
            entry.problem(key, f"{key} beside {said}", "one of them: both say where the value stands")


def _warn_if_empty(entry: JsonObject, start: int | None, end: int | None, key: str) -> None:
    """Warns of positions between which no byte can ever stand. Whether one is negative and one is not only a frame
    tells."""
    start = start or 0
    if end is not None and end <= start and (end >= 0) == (start >= 0):
        entry.warning(key, f"bytes {start} to {end} are none: the value is always empty")


def _read_type(entry: JsonObject, key: str, doubt_of: Callable[[str], str | None]) -> str:
    """A type name; any is allowed, as in the reference, but one that says nothing to us is warned of."""
    name = entry.maybe_text(key) or ""
    doubt = doubt_of(name)
    if doubt is not None:
        entry.warning(key, doubt)
    return name


def _read_decimal(entry: JsonObject) -> Decimal:
    """What stands before a fraction; "" for the point."""
    sign = entry.maybe_text("decimal")
    if sign not in (None, ".", ","):
        entry.problem("decimal", show(sign), choices((".", ",")))
    return "," if sign == "," else ""


def _read_words(entry: JsonObject, key: str) -> tuple[str, ...]:
    """A word of the device, or a list of them; each is a text that stands for bytes."""
    entry.knows(key)
    said = entry.values.get(key)
    words = said if isinstance(said, list) else [] if said is None else [said]
    for word in words:
        if not isinstance(word, str) or not word.strip():
            entry.problem(key, show(word), "a text that is not empty, or a list of such texts")
            return ()
        try:
            bytes_of(word)
        except ValueError:
            entry.problem(key, show(word), EXPECTED_HEX)
            return ()
        doubt = doubt_of(word, "plain")
        if doubt is not None:
            entry.warning(key, doubt)
    return tuple(words)


def _refuse_same_words(entry: JsonObject, true_text: tuple[str, ...], false_text: tuple[str, ...]) -> None:
    """A word for both could only be one of them: whichever way it is spelled."""
    for word in false_text:
        if any(_is_same_word(word, other) for other in true_text):
            entry.problem("falseText", show(word), 'a word that "trueText" does not have')


def _is_same_word(one: str, other: str) -> bool:
    """True if the device could say both in the same bytes: in any case, unless both are `hex:`."""
    first, second = bytes_of(one), bytes_of(other)
    if one.startswith(HEX) and other.startswith(HEX):
        return first == second
    return _folded(first) == _folded(second)


def _folded(word: bytes) -> str:
    """A word without its case; bytes that are no text become letters that no text has."""
    return word.decode(errors="surrogateescape").strip().casefold()


def _read_written_words(entry: JsonObject) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What true and false are called where values are written. One alone leaves the other as JSON has it."""
    true_text, false_text = _read_words(entry, "trueText"), _read_words(entry, "falseText")
    _refuse_same_words(entry, true_text, false_text)
    if true_text and not false_text:
        entry.warning("trueText", 'has no "falseText" beside it: false is written as the word false')
    if false_text and not true_text:
        entry.warning("falseText", 'has no "trueText" beside it: true is written as the word true')
    return true_text, false_text


def read_rpcs(device: JsonObject, *, users_answers: bool = False, users_params: bool = False) -> tuple[Rpc, ...]:
    """The entries of `serverSideRpc`; of two with one method the first counts, as in the reference.

    An entry that never counts is read too, so that what is wrong in it is found before it is the first one. Users'
    converters, where they read answers or write params, may know types of their own.
    """
    rpcs: dict[str, Rpc] = {}
    first_places: dict[str, str] = {}
    for entry in device.items("serverSideRpc"):
        rpc = _read_rpc(entry, users_answers, users_params)
        if rpc.method in rpcs:
            place = first_places[rpc.method]
            entry.warning("method", f"{show(rpc.method)} is also the method of {place}, which is the one that counts")
            continue
        rpcs[rpc.method] = rpc
        first_places[rpc.method] = entry.path
    return tuple(rpcs.values())


def _read_rpc(entry: JsonObject, users_answers: bool, users_params: bool) -> Rpc:
    """One entry of `serverSideRpc`. The entry itself is kept too: users' downlink converters get it as `config`."""
    if entry.values.get("register") is not None:
        return _read_register_rpc(entry)
    true_text, false_text = _read_written_words(entry)
    is_asked = entry.values.get("ask") is not None
    if is_asked and entry.values.get("template") is not None:
        entry.problem("template", 'template beside "ask"', "one of them: both say what is written")
    rpc = Rpc(
        method=entry.required_text("method", meaning="the name that the platform calls (a text)"),
        type=_read_type(entry, "type", partial(doubt_of_param_type, users=users_params)) or "string",
        template=_read_template(entry, "ask" if is_asked else "template", _RPC_NAMES, "params."),
        length=entry.maybe_whole("length", 1, 64),
        signed=entry.flag("signed", False) if entry.values.get("signed") is not None else None,
        with_response=entry.flag("withResponse", entry.values.get("answer") is not None),
        response_pattern=_read_pattern(entry),
        response_type=_read_type(entry, "responseType", partial(doubt_of_point_type, users=users_answers)),
        response_from_byte=entry.maybe_whole("responseFromByte"),
        response_to_byte=entry.maybe_whole("responseToByte"),
        response_until_delimiter=entry.byte_text("responseUntilDelimiter"),
        response_timeout_s=_read_response_time(entry),
        raw=dict(entry.values),
        decimal=_read_decimal(entry),
        true_text=true_text,
        false_text=false_text,
    )
    entry.knows("signed", "ask", "template", "answer")
    if rpc.response_pattern is not None and not rpc.with_response:
        entry.warning("responsePattern", 'has no effect without "withResponse": true')
    if rpc.response_until_delimiter is None:
        _warn_if_empty(entry, rpc.response_from_byte, rpc.response_to_byte, "responseToByte")
    else:
        for ignored in ("responseFromByte", "responseToByte"):
            if entry.values.get(ignored) is not None:
                entry.warning(ignored, "has no effect, because responseUntilDelimiter is named")
    entry.warn_unknown()
    return rpc


def _read_register_rpc(entry: JsonObject) -> Rpc:
    """A call that reads or writes a register of a Modbus device; its answer is always awaited."""
    rpc = Rpc(
        method=entry.required_text("method", meaning="the name that the platform calls (a text)"),
        register=read_register(entry),
        with_response=True,
        response_timeout_s=entry.whole("timeoutMs", 1000, 1, DAY_S * 1000) / 1000,
        raw=dict(entry.values),
    )
    entry.warn_unknown()
    return rpc


def _read_response_time(entry: JsonObject) -> float:
    """How long an answer may take, in seconds: `timeoutMs`, as questions have it, or the older key."""
    if entry.values.get("timeoutMs") is not None:
        entry.knows("responseTimeoutSec")
        return entry.whole("timeoutMs", 5000, 1, DAY_S * 1000) / 1000
    entry.knows("timeoutMs")
    return entry.number("responseTimeoutSec", 5.0, 0, DAY_S, above=True)


def _read_pattern(entry: JsonObject) -> str | None:
    """The regular expression of an answer, compiled once to see that it can be; None for none, or one that can't."""
    key = "responsePattern" if entry.values.get("answer") is None else "answer"
    pattern = entry.byte_text(key, "pattern")
    if pattern is None:
        return None
    try:
        # Python warns of patterns whose meaning may change; that is worth a word to whoever wrote one.
        with warnings.catch_warnings(record=True, action="always", category=FutureWarning) as doubts:
            re.compile(pattern_of(pattern).encode())
    except re.error as error:
        where = "" if error.pos is None else f" at position {error.pos}"
        entry.problem(key, f"{show(pattern)} ({error.msg}{where})", "a regular expression")
        return None
    except (OverflowError, RecursionError):
        entry.problem(key, f"{show(pattern)} (too large)", "a regular expression")
        return None
    for doubt in doubts:
        entry.warning(key, f"{show(pattern)} may mean something else ({doubt.message})")
    return pattern


def _read_template(entry: JsonObject, key: str, names: tuple[str, ...], prefix: str | None = None) -> str | None:
    """The text under `key`, whose placeholders all are among `names` or begin with `prefix`; None where there is
    none."""
    text = entry.maybe_text(key)
    if text is None:
        return None
    is_whole = True
    known = [f"${{{name[:SHOWN_CHARS]}}}" for name in names] + ([f"${{{prefix}NAME}}"] if prefix else [])
    for match in _VARIABLE.finditer(text):
        name, closed = match.groups()
        if not closed:
            is_whole = False
            entry.problem(key, f"{show(match.group())} without its closing bracket", choices_of(known))
        elif name not in names and not (prefix and name.startswith(prefix) and len(name) > len(prefix)):
            entry.problem(key, show(match.group()), choices_of(known))
    if is_whole and key == "ask":
        return _checked(entry, key, protocol_text(text))
    return entry.byte_text(key, "template") if is_whole else None


def _checked(entry: JsonObject, key: str, text: str) -> str | None:
    """A text that stands for bytes; None for a wrong one."""
    try:
        parts_of(text)
    except ValueError:
        entry.problem(key, show(text), EXPECTED_HEX)
        return None
    return text


def choices_of(names: Collection[str]) -> str:
    """The words between which a reader of the message may choose."""
    return "one of " + ", ".join(names)


def read_attribute_updates(device: JsonObject) -> tuple[AttributeUpdate, ...]:
    """The entries of `attributeUpdates`; several may name one attribute, and then all are written."""
    updates = []
    for entry in device.items("attributeUpdates"):
        attribute = entry.required_text(
            "attributeOnPlatform", "attributeOnThingsBoard", meaning="the name of the attribute (a text)"
        )
        if entry.values.get("register") is not None:
            register = read_register(entry)
            if register is not None:
                check_writable(entry, register)
            entry.warn_unknown()
            updates.append(AttributeUpdate(attribute=attribute, string_to_device="", register=register))
            continue
        entry.required_text("stringToDevice", meaning="the text to write (a text)")
        names = (attribute, "deviceName", "deviceType") if attribute else ("deviceName", "deviceType")
        # Reading the template again would repeat the message of a text that is none.
        is_text = isinstance(entry.values.get("stringToDevice"), str) and entry.values["stringToDevice"] != ""
        text = _read_template(entry, "stringToDevice", names) if is_text and attribute else None
        true_text, false_text = _read_written_words(entry)
        decimal = _read_decimal(entry)
        entry.warn_unknown()
        update = AttributeUpdate(
            attribute=attribute,
            string_to_device=text or "",
            decimal=decimal,
            true_text=true_text,
            false_text=false_text,
        )
        updates.append(update)
    return tuple(updates)
