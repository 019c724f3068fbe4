"""Users' converters in the simulated world: the real code around them, the real note file, and frames that hurt."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import ConversionError
from common.messages import UserReading
from services.converter import user_code
from services.converter.events import ConvertWithUserCode, DecodeWithUserCode
from services.converter.notes import NoteFile
from services.converter.watchdog import LIMIT_S
from tests.simulation.frames import says_for_another, value_of
from tests.simulation.kernel import Stall

if TYPE_CHECKING:
    from common.config.models import Rpc
    from tests.simulation.world import World

BESIDE = "-beside"
"""Ends the name of the device that users' converters speak for beside the one on the line."""


class Death(BaseException):
    """The process ends inside users' code."""


class Harm:
    """What a frame does to users' code: `raises`, `hangs`, or `kills` the process so many times."""

    def __init__(self, kind: str, times: int = 1_000_000) -> None:
        self.kind = kind
        self.times = times
        """How many times it hangs or kills; after that it converts like any other."""

    @property
    def makes_dead_letter(self) -> bool:
        return self.kind == "raises" or self.times > 100


class UserDevices:
    """What one converter process runs of users' code; one object per life."""

    def __init__(self, world: World, path: Path, instance: str) -> None:
        self._world = world
        self.notes = NoteFile(path, instance)
        self._code = _Code((), self.notes, nullcontext(), logging.getLogger("simulation"))  # type: ignore[arg-type]
        self._code.converter = self  # type: ignore[attr-defined]
        self._job: tuple[ConvertWithUserCode, float] | None = None
        self._device = ""
        self._spent_s = 0.0
        self._ends_s = float("inf")

    def begin(self, order: ConvertWithUserCode) -> Stall:
        """Users' code takes its time; what becomes of it is found out at the end of that."""
        self._job = order, self._world.clock.now_s
        return Stall(self._duration_s(order.frames), self._finish)

    def decode(self, order: DecodeWithUserCode) -> Iterable[Any]:
        """An answer's value."""
        return [self._code.decode(order)]

    def cut(self) -> None:
        """kill -9: a conversion under way stops where it is, and leaves its note."""
        job, self._job = self._job, None
        if job is not None:
            self._ends_s = self._world.clock.now_s - job[1]
            try:
                self._convert(job[0])
            except Death:
                pass
        self.notes.close()

    def _finish(self) -> Iterable[Any]:
        """The result, or [] if the code has ended its process; then `died` of the world has been told."""
        assert self._job is not None
        order = self._job[0]
        self._job = None
        try:
            return [self._convert(order)]
        except Death:
            self._world.converter_died(self)
            return []

    def _convert(self, order: ConvertWithUserCode) -> Any:
        self._spent_s, self._device = 0.0, order.device.name
        original = user_code.monotonic_s
        user_code.monotonic_s = lambda: self._spent_s
        try:
            return self._code.convert(order)
        finally:
            user_code.monotonic_s = original

    def _duration_s(self, frames: list[bytes]) -> float:
        spent_s = 0.0
        for index, frame in enumerate(frames):
            if index and spent_s >= user_code.SLICE_S:
                break
            harm = self._world.harms.get(frame)
            if harm and harm.times > 0 and harm.kind != "raises":
                return spent_s + (LIMIT_S if harm.kind == "hangs" else 0.0)
            spent_s += self._world.user_frame_s
        return spent_s

    # What the real `UserCode` finds as the user's object.

    def convert_frame(self, frame: bytes) -> list[UserReading]:
        """The number that the frame says."""
        self._spent_s += self._world.user_frame_s
        harm = self._world.harms.get(frame)
        is_deadly = harm is not None and harm.times > 0 and harm.kind != "raises"
        if self._spent_s > self._ends_s or is_deadly:
            if harm is not None and is_deadly and self._spent_s <= self._ends_s:
                harm.times -= 1
            self._world.died_in[frame] += 1
            raise Death
        if harm is not None and harm.kind == "raises":
            raise ConversionError("a frame that raises")
        value = value_of(frame)
        name = self._device + BESIDE if says_for_another(value) else self._device
        return [UserReading(name, "counter", [(None, b'{"n":%d}' % value)], b'{"last":%d}' % value)]

    def convert_answer(self, rpc: Rpc, frame: bytes) -> int:
        """The same."""
        return value_of(frame)


class _Code(user_code.UserCode):
    """The real one, but for where it finds the user's object."""

    def _find(self, *_: Any) -> Any:
        return self.converter  # type: ignore[attr-defined]
