"""Frame batches to reading batches: every number that goes in comes out. Pure; users' code runs elsewhere."""

from __future__ import annotations

from typing import Final

from common.conversion.calls import convert_answer, failure, success
from common.conversion.outcomes import BatchResult
from common.conversion.slices.rows import merge_attributes
from common.core.dead_kinds import MADE_TOO_LARGE
from common.core.errors import ConversionError, WireError, printable
from common.wire import codec
from common.wire.calls import METHOD_NOT_FOUND
from common.wire.messages import Entry, Faults, FrameBatch, FrameBody, Lacking, ReadingBatch, ReadingBody, UserReading
from services.converter.core.counters import ConverterCounts
from services.converter.core.events import ConvertWithUserCode, UserConverted
from services.converter.core.sections import Compiled

NEEDS_SECTION: Final = frozenset({Entry.FRAMES, Entry.ANSWER})
"""Entries whose frames are converted, by what the device's section says."""
PASSED: Final = frozenset({Entry.OPENED, Entry.LOST, Entry.DEAD})
"""Entries that only say something about the stream; they go through as they are."""
MOST_NEVER: Final = 16
"""Of so many data points that no frame has the keys are told: more than a person reads."""
READINGS_BYTES: Final = 8 * 1024 * 1024
"""A reading batch has at most so much; the broker cuts off who sends much more, and the frames would come for ever."""


def open_batch(batch: FrameBatch) -> FrameBody:
    """The entries of a batch. Raises WireError for a body that is none of `length` entries.

    The codec has looked at every field's type; here only what it can't know is asked: what the numbers mean together.
    """
    body = codec.unpack_frames(batch.body, batch.length)
    if batch.length < 1 or batch.first < 1:
        raise WireError(f"{batch.length} entries from number {batch.first}")
    if batch.kind == Entry.ANSWER and not (batch.length == 1 and len(body.extra) == 2):
        raise WireError("an answer without its correlation id and method, or with company")
    return body


def reading_batch(batch: FrameBatch, body: ReadingBody, converter: str, instance: str) -> ReadingBatch:
    """The answer to a batch, under the same numbers."""
    return ReadingBatch(
        batch.device,
        batch.journal,
        batch.generation,
        batch.first,
        batch.length,
        batch.base,
        batch.epoch,
        batch.kind,
        converter,
        instance,
        codec.pack_readings(body),
    )


def reading_batches(batch: FrameBatch, body: ReadingBody, converter: str, instance: str) -> list[ReadingBatch]:
    """The answer to a batch in as many parts as READINGS_BYTES asks for, mostly one, halves of halves otherwise.

    The attributes, which are those of the batch's end, and what went wrong go with the last part. One frame whose
    readings are too large by themselves is a dead letter.
    """
    answer = reading_batch(batch, body, converter, instance)
    if len(answer.body) <= READINGS_BYTES:
        return [answer]
    if batch.length == 1:
        why = f"{MADE_TOO_LARGE} {len(answer.body)} bytes, at most {READINGS_BYTES} can travel"
        reply = (body.answer[0], failure(why)) if body.answer else None
        return [reading_batch(batch, ReadingBody(body.ts_ms, [b""], dead={0: why}, answer=reply), converter, instance)]
    middle = batch.length // 2
    # Without faults it would say that each data point was found.
    looked = None if body.faults is None else Faults(lacking=[])
    parts = (0, middle, b"", looked), (middle, batch.length, body.attributes, body.faults)
    return [
        part
        for low, high, attributes, faults in parts
        for part in reading_batches(
            batch.replace(first=batch.first + low, length=high - low),
            _slice(body, low, high).replace(attributes=attributes, faults=faults),
            converter,
            instance,
        )
    ]


def _slice(body: ReadingBody, low: int, high: int) -> ReadingBody:
    """A run of the readings, with indices that count from its beginning."""
    return body.replace(
        ts_ms=body.ts_ms[low:high],
        telemetry=body.telemetry[low:high],
        dead={index - low: reason for index, reason in body.dead.items() if low <= index < high},
        user={index - low: readings for index, readings in body.user.items() if low <= index < high},
    )


def empty_batch(batch: FrameBatch, converter: str, instance: str) -> ReadingBatch:
    """The answer to a batch that only gives its credit back."""
    return reading_batch(batch.replace(length=0), ReadingBody([], []), converter, instance)


def pass_entry(batch: FrameBatch, body: FrameBody) -> ReadingBody:
    """OPENED, LOST and DEAD entries as readings without values."""
    empty = [b""] * batch.length
    if batch.kind == Entry.OPENED:
        return ReadingBody(body.ts_ms, empty, device_type=body.frames[-1].decode(errors="replace"))
    if batch.kind == Entry.DEAD:
        reasons = {index: frame.decode(errors="replace") for index, frame in enumerate(body.frames)}
        return ReadingBody(body.ts_ms, empty, dead=reasons)
    return ReadingBody(body.ts_ms, empty)


def convert_batch(
    batch: FrameBatch, body: FrameBody, compiled: Compiled, counters: ConverterCounts
) -> tuple[ReadingBody, str]:
    """What the built-in converter makes of a batch, and its first error or "".

    A device whose data points can't be compiled makes a dead letter of every frame, with the reason.
    """
    answer = answer_of(batch, body, compiled)
    if compiled.converter is None:
        dead = dict.fromkeys(range(batch.length), compiled.fault)
        broken = Faults(batch.length, printable(compiled.fault))
        return ReadingBody(body.ts_ms, [b""] * batch.length, dead=dead, answer=answer, faults=broken), compiled.fault
    result = compiled.converter.convert_batch(body.frames, body.ts_ms, batch.origin)
    if answer is not None and (result.unfit or compiled.converter.refusal_of(body.frames[0])):
        # Whoever called is told of it, and what answers a call need not be a message.
        result = result._replace(dead={}, unfit=0)
    counters["conversion_errors"] += result.errors
    counters["points_absent"] += result.absent
    counters["points_without_value"] += result.nothing
    counters["frames_blank"] += result.blank
    counters["frames_unfit"] += result.unfit
    counters["times_refused"] += result.times_refused
    attributes = merge_attributes(result.attributes)
    counters["readings_made"] += sum(map(any, zip(result.telemetry, result.attributes, strict=True))) + len(result.user)
    sample = result.error_sample or next(iter(result.dead.values()), "")
    has_some = bool(result.errors or result.never or result.blank or result.dead or _lacks(result.lacking))
    # Of one message among several that took all of the frames, the others' data points were not looked for.
    is_whole = not result.lacking or not result.lacking[0][0]
    faults = None if is_whole and not has_some else _faults_of(result, body.frames, sample, has_some=has_some)
    readings = ReadingBody(
        body.ts_ms, result.telemetry, attributes, result.dead, result.user, answer=answer, faults=faults
    )
    return readings, sample


def _lacks(lacking: Lacking | None) -> bool:
    """True if some data points were in none of the frames of their message."""
    return lacking is not None and any(keys for _, _, keys in lacking)


def _faults_of(result: BatchResult, frames: list[bytes], sample: str, *, has_some: bool) -> Faults:
    """What went wrong in a batch, if anything (`has_some`), and where it was looked for data points."""
    looks = ""
    if has_some and (result.dead or not (result.user or any(result.telemetry))):
        # Here: most converters never need it.
        from common.core.looks import SAMPLE_BYTES, looks_of

        looks = looks_of(b"".join(frames[-SAMPLE_BYTES:]))
    # A frame that fits no message, or is a refusal, has no data point that could have failed.
    errors = result.errors or len(result.dead)
    never = list(result.never)[:MOST_NEVER]
    lacking = result.lacking and [(name, frames, keys[:MOST_NEVER]) for name, frames, keys in result.lacking]
    return Faults(errors, printable(sample), never, looks, result.blank, lacking)


def answer_of(batch: FrameBatch, body: FrameBody, compiled: Compiled) -> tuple[str, bytes] | None:
    """(correlation id, JSON reply) of an ANSWER entry by the built-in rules; None for other entries."""
    if batch.kind != Entry.ANSWER:
        return None
    correlation_id, method = body.extra
    asking = compiled.device.asking
    if asking is not None and asking.protocol:
        # Here: few devices speak it.
        from common.conversion.grammar.registers import call_answer

        try:
            value = call_answer(compiled.device, asking, method, body.frames[0])
        except ConversionError as error:
            return correlation_id, failure(str(error))
        return correlation_id, success(value)
    rpc = compiled.rpc(method)
    if rpc is None:
        return correlation_id, failure(METHOD_NOT_FOUND)
    refusal = compiled.converter.refusal_of(body.frames[0]) if compiled.converter is not None else ""
    if refusal:
        return correlation_id, failure(refusal)
    try:
        return correlation_id, success(convert_answer(rpc, body.frames[0]))
    except ConversionError as error:
        return correlation_id, failure(str(error))


class UserJob:
    """A batch on its way through users' code, in slices: between two of them calls get their turn.

    It keeps what was made so far, because one reading batch answers the whole frame batch.
    """

    def __init__(self, number: int, batch: FrameBatch, body: FrameBody, compiled: Compiled) -> None:
        self.number = number
        self.batch = batch
        self._body = body
        self._compiled = compiled
        self._done = 0
        self._user: dict[int, list[UserReading]] = {}
        self._dead: dict[int, str] = {}
        self._answer: tuple[str, bytes] | None = None
        self._rpc = compiled.rpc(body.extra[1]) if batch.kind == Entry.ANSWER else None

    @property
    def is_finished(self) -> bool:
        """True when every frame has its readings, or is dead."""
        return self._done == self.batch.length

    def order(self) -> ConvertWithUserCode:
        """What is still to be converted."""
        batch = self.batch
        first, frames = batch.first + self._done, self._body.frames[self._done :]
        where = (batch.journal, batch.generation, first)
        return ConvertWithUserCode(self.number, self._compiled.device, batch.section, *where, frames, self._rpc)

    def take(self, converted: UserConverted, counters: ConverterCounts) -> str:
        """Takes a slice of results, which users' code may have made longer than what was asked; the first error among
        them or ""."""
        sample = ""
        for index, frame in enumerate(converted.frames[: self.batch.length - self._done], self._done):
            if frame.error:
                self._dead[index] = printable(frame.error)
                sample = sample or frame.error
                counters["user_errors"] += 1
            elif frame.readings:
                self._user[index] = frame.readings
                counters["readings_made"] += 1
        self._done = min(self.batch.length, self._done + len(converted.frames))
        if self._rpc is not None and converted.answer is not None:
            value, error = converted.answer
            counters["user_errors"] += bool(error)
            self._answer = self._body.extra[0], failure(error) if error else success(value)
        return sample

    def readings(self) -> ReadingBody:
        """The finished batch's readings."""
        answer = self._answer
        if self.batch.kind == Entry.ANSWER and self._rpc is None:
            answer = self._body.extra[0], failure(METHOD_NOT_FOUND)
        empty = [b""] * self.batch.length
        faults = Faults(len(self._dead), next(iter(self._dead.values()))) if self._dead else None
        return ReadingBody(self._body.ts_ms, empty, b"", self._dead, self._user, answer, faults=faults)
