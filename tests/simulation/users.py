"""Users' converters in the simulated world: the real code around them, the real poison file, and frames that hurt."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.core.errors import ConversionError
from common.wire.messages import UserReading
from services.converter.core.events import (
    ConvertWithUserCode,
    DecodeWithUserCode,
    HostEnded,
    HostReady,
)
from services.converter.shell import user_code
from services.converter.shell.poison_file import HostRecord, PoisonFile
from tests.simulation.frames import says_for_another, state_of, value_of

if TYPE_CHECKING:
    from common.config.models import Rpc
    from tests.simulation.world import ConverterProcess, World

BESIDE = "-beside"
"""Ends the name of the device that users' converters speak for beside the one on the line."""
START_S = 0.05
"""A host's process has started after this."""
SLOW_S = 7.0
"""What a slow frame takes."""


class Death(BaseException):
    """The host ends inside users' code."""


class Harm:
    """What a frame does to users' code: `raises`, `hangs`, is `slow`, or `kills` the process, so many times."""

    def __init__(self, kind: str, times: int = 1_000_000) -> None:
        self.kind = kind
        self.times = times
        """How many times it hangs, is slow or kills; after that it converts like any other."""

    @property
    def makes_dead_letter(self) -> bool:
        return self.kind == "raises" or (self.kind in ("hangs", "kills") and self.times > 100)

    @property
    def is_deadly(self) -> bool:
        return self.kind in ("hangs", "kills") and self.times > 0


class UserDevices:
    """The hosts of one converter process; one object per life."""

    def __init__(self, world: World, process: ConverterProcess, path: Path) -> None:
        self._world = world
        self._process = process
        self.poison = PoisonFile(path)
        self._hosts: dict[int, _Host] = {}
        self._starts = 0

    def ask(self, order: ConvertWithUserCode | DecodeWithUserCode) -> Iterable[Any]:
        """Users' code takes its time; what becomes of it is found out at the end of that, if it ends."""
        host = self._hosts.get(order.host)
        if host is None:
            self._starts += 1
            life = f"{self._process.name}#{self._process.life}-{self._starts}"
            host = self._hosts[order.host] = _Host(self._world, HostRecord(self.poison.descriptor, order.host, life))
            self._process.later(START_S, HostReady(order.host))
        host.order, host.since_s = order, self._world.clock.now_s
        duration_s = host.duration_s(order.frames) if isinstance(order, ConvertWithUserCode) else 0.001
        host.is_stuck = duration_s is None
        if duration_s is not None:
            self._world.clock.after(START_S + duration_s, self._finish, order.host, host, order)
        return ()

    def end(self, number: int, why: str) -> Iterable[Any]:
        """A host is ended from outside. What it was about to say may have been said already, and be heard later."""
        clock = self._world.clock
        host = self._hosts.pop(number)
        order = host.order
        host.cut()
        if isinstance(order, ConvertWithUserCode) and clock.random.random() < 0.5:
            frames = [user_code.UserFrame([], "said too late") for _ in order.frames]
            late = user_code.UserConverted(order.job, frames, None, number)
            self._process.later(clock.random.random() * 5, late)
        return [HostEnded(number, self.poison.take(number), why)]

    def cut(self) -> None:
        """kill -9 of the converter: its hosts end with it, where they are, and leave their records."""
        for host in self._hosts.values():
            host.cut()
        self._hosts.clear()
        self.poison.close()

    def _finish(self, number: int, host: _Host, order: ConvertWithUserCode | DecodeWithUserCode) -> None:
        """The result is there, or the code has ended its process."""
        if self._hosts.get(number) is not host or host.order is not order:
            return
        host.order = None
        event: Any
        try:
            event = host.perform(order)
        except Death:
            del self._hosts[number]
            event = HostEnded(number, self.poison.take(number), "it was ended by SIGKILL")
        self._process.hear(event)


class _Host:
    """One host: the real `UserCode` around a converter that says what a frame says."""

    def __init__(self, world: World, record: HostRecord) -> None:
        self._world = world
        self._code = _Code((), record, nullcontext(), logging.getLogger("simulation"))  # type: ignore[arg-type]
        self._code.converter = self  # type: ignore[attr-defined]
        self.order: ConvertWithUserCode | DecodeWithUserCode | None = None
        self.since_s = 0.0
        self.is_stuck = False
        """True for one that never comes back from its order, whatever becomes of that frame elsewhere meanwhile."""
        self._device = ""
        self._spent_s = 0.0
        self._ends_s = float("inf")

    def perform(self, order: ConvertWithUserCode | DecodeWithUserCode) -> Any:
        """What the real code makes of an order. Raises Death."""
        self._spent_s, self._device = 0.0, order.device.name
        original = user_code.monotonic_s
        user_code.monotonic_s = lambda: self._spent_s
        try:
            if isinstance(order, DecodeWithUserCode):
                return self._code.decode(order)._replace(host=order.host)
            converted = self._code.convert(order)._replace(host=order.host)
            self._code.clear()
            return converted
        finally:
            user_code.monotonic_s = original

    def cut(self) -> None:
        """It ends where it is, and leaves its record."""
        order, self.order = self.order, None
        if isinstance(order, ConvertWithUserCode):
            self._ends_s = self._world.clock.now_s - self.since_s - START_S
            try:
                self.perform(order)
            except Death:
                pass

    def duration_s(self, frames: list[bytes]) -> float | None:
        """How long users' code is at these; None for ever."""
        spent_s = 0.0
        for index, frame in enumerate(frames):
            if index and spent_s >= user_code.SLICE_S:
                break
            harm = self._world.harms.get(frame)
            if harm and harm.is_deadly:
                return None if harm.kind == "hangs" else spent_s
            spent_s += self._frame_s(frame)
        return spent_s

    def _frame_s(self, frame: bytes) -> float:
        harm = self._world.harms.get(frame)
        return SLOW_S if harm and harm.kind == "slow" and harm.times > 0 else self._world.user_frame_s

    # What the real `UserCode` finds as the user's object.

    def convert_frame(self, frame: bytes) -> list[UserReading]:
        """The number that the frame says."""
        self._spent_s += self._frame_s(frame)
        harm = self._world.harms.get(frame)
        is_deadly = harm is not None and (harm.is_deadly or (self.is_stuck and harm.kind == "hangs"))
        if self._spent_s > self._ends_s or is_deadly:
            if harm is not None and is_deadly and self._spent_s <= self._ends_s:
                harm.times -= 1
            self._world.died_in[frame] += 1
            raise Death
        if harm is not None and harm.kind == "slow":
            harm.times -= 1
        if harm is not None and harm.kind == "raises":
            raise ConversionError("a frame that raises")
        value = value_of(frame)
        name = self._device + BESIDE if says_for_another(value) else self._device
        said = b'{"n":%d,"s":%d}' % (value, state_of(value)) if self._world.has_states else b'{"n":%d}' % value
        return [UserReading(name, "counter", [(None, said)], b'{"last":%d}' % value)]

    def convert_answer(self, rpc: Rpc, frame: bytes) -> int:
        """The same."""
        return value_of(frame)


class _Code(user_code.UserCode):
    """The real one, but for where it finds the user's object."""

    def _find(self, *_: Any) -> Any:
        return self.converter  # type: ignore[attr-defined]
