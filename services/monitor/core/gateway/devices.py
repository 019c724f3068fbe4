"""How each configured device is, in a word and a reason that a person can act on. Pure.

A device is looked at on its whole way: the process that reads its port, the port, the bytes, the frames, the values,
the platform. The first of these that is not as it should be is its state.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from common.core.liveness import Liveness
from common.wire.states import ConnectorHostState, PortReaderState, PublisherState, YieldSeen

DeviceWord = Literal[
    "unknown",
    "not_running",
    "connector_failed",
    "connector_restarted",
    "connector_opening",
    "connector_ended",
    "not_stored",
    "port_closed",
    "losing_data",
    "no_frame_end",
    "not_ready",
    "no_answer",
    "no_values",
    "not_accepted",
    "left_out",
    "slowed_down",
    "damaged_frames",
    "some_values_missing",
    "late_answers",
    "silent",
    "receiving",
    "idle",
]
SERVED: Final = frozenset(
    {
        "unknown",
        "left_out",
        "slowed_down",
        "damaged_frames",
        "some_values_missing",
        "late_answers",
        "silent",
        "receiving",
        "idle",
    }
)
"""States in which what the device says reaches the platform, as far as anybody knows, or is kept from it on purpose. In
all others the log has a warning, and `status` exits with 1."""
BARREN_FRAMES: Final = 5
"""So many frames in a row without a value are no accident: a line that was joined in the middle gives one or two."""
BARREN_S: Final = 20.0
"""Some devices say one thing in every few messages: nothing is wrong with frames without a value before this."""
UNACCEPTED_S: Final = 10.0
"""A platform that accepts nothing for so long will probably not do so by itself: a PUBACK takes milliseconds."""
ERROR_S: Final = 60.0
"""A data point that failed in the last minute is missing now."""
SILENT_S: Final = 60.0
"""A device that has never been silent for so long is silent now; others have the longest pause that was seen."""
PAUSES: Final = 3.0
"""So many times the longest pause that was seen are a silence."""
ASKED: Final = 0.95
"""A device that is asked less than this part of what is wanted is told: now and then a turn is missed on any line."""
LOSING_S: Final = 60.0
"""Frames that were dropped in the last minute are told as being lost now."""
OPENING_S: Final = 10.0
"""A connector that takes longer to be made and opened hangs, most likely."""
RESTARTED_S: Final = 60.0
"""The end of a connector's process is told for so long after it."""
NO_WORD: Final = "without a word, as after os._exit, a fault in code written in C, or a kill; its log may say more"
_ADVICE: Final = {
    "no such port": "; `serialgw ports` lists those that are there",
    "in use by another process": "; `sudo serialgw doctor {port}` says which",
}
"""What to do where a port can't be opened, for reasons that don't say so themselves."""
NOTHING_CAME: Final = (
    "the port is open, and nothing has come since: is the device on, is its cable right, and does it talk unasked?"
)


class Reader(NamedTuple):
    """A port reader as its last heartbeat showed it."""

    liveness: Liveness
    is_known: bool
    """False while nobody can have heard from it: the monitor has just started."""
    state: PortReaderState
    age_s: float
    """Seconds since that heartbeat, by which the ages in it have grown."""
    is_losing: bool
    """True if it has dropped frames lately."""
    dropped: int
    """How many it has dropped since it was started."""
    pause_s: float
    """The longest pause of the device that was seen."""

    @property
    def byte_age_s(self) -> float | None:
        """Seconds since the last byte; None if none has come."""
        return None if self.state.byte_s is None else self.state.byte_s + self.age_s

    @property
    def frame_age_s(self) -> float | None:
        """Seconds since the last frame; None if none has come."""
        return None if self.state.frame_s is None else self.state.frame_s + self.age_s


class Host(NamedTuple):
    """The process of a hosted connector as its last heartbeat showed it."""

    liveness: Liveness
    is_known: bool
    """As a reader's."""
    state: ConnectorHostState
    age_s: float
    is_losing: bool
    pause_s: float
    """The longest time between two entries that was seen."""
    ends: int
    """How often one of its processes has ended that was not told to."""
    ended_s: float | None
    """Seconds since the last of these ends; None if there was none."""
    ended_for: str
    """Why, as far as that process could say it; "" if it could not."""


class Platform(NamedTuple):
    """The publisher as its last heartbeat showed it."""

    is_alive: bool
    state: PublisherState


class DeviceState(NamedTuple):
    """A word, and the reason for it as a sentence: "" where there is nothing to say."""

    word: DeviceWord
    reason: str
    for_s: float = 0.0
    """For how long at least, as others have said."""
    is_own: bool = True
    """False where the cause is no device's, and is told without it."""

    @property
    def is_served(self) -> bool:
        return self.word in SERVED


def state_of_device(reader: Reader, platform: Platform, name: str) -> DeviceState:
    """How a device is now."""
    return (
        _of_process(reader)
        or _of_losses(reader, platform)
        or _of_bytes(reader)
        or _of_init(reader)
        or _of_answers(reader)
        or _of_port(reader)
        or _of_filter(platform, name)
        or _of_values(reader, platform.state.yields.get(name))
        or _of_platform(reader.state.backlog, platform, name)
        or _of_pace(reader)
        or _of_checksums(reader)
        or _of_points(platform.state.yields.get(name))
        or _of_questions(reader)
        or _of_lateness(reader)
        or _of_silence(reader)
    )


def state_of_connector(host: Host, platform: Platform, stream: str) -> DeviceState:
    """How a hosted connector is now; `stream` is its name among the devices."""
    return (
        _of_host(host) or _of_connector(host) or _of_platform(host.state.backlog, platform, stream) or _of_entries(host)
    )


def state_of_hosted_device(of_connector: DeviceState, platform: Platform, name: str, stream: str) -> DeviceState:
    """How a device is that a hosted connector serves: as that is, unless the platform does not take this device."""
    if name in platform.state.refused:
        return DeviceState("not_accepted", platform.state.refused[name])
    if of_connector.is_served and (left_out := _of_filter(platform, name)):
        return left_out
    reason = "" if of_connector.is_served else f"{stream}: {of_connector.reason}"
    return DeviceState(of_connector.word, reason, of_connector.for_s, is_own=False)


def _of_host(host: Host) -> DeviceState | None:
    """The connector's process."""
    state = host.state
    if not host.is_known:
        return DeviceState("unknown", "nothing has been heard of its process yet")
    if state.fault:
        return DeviceState("connector_failed", state.fault, is_own=True)
    if host.liveness == "lost":
        why = "its process does not run, or stands still: its log says why"
        return DeviceState("not_running", why)
    if host.ended_s is not None and host.ended_s < RESTARTED_S:
        times = "once" if host.ends == 1 else f"{host.ends} times"
        why = host.ended_for or NO_WORD
        return DeviceState("connector_restarted", f"its process has ended {times} and was started again, last {why}")
    return None


def _of_connector(host: Host) -> DeviceState | None:
    """The connector itself, and its journal."""
    state = host.state
    since_s = state.since_s + host.age_s
    if host.is_losing:
        why = "entries were dropped in the last minute: the journal is full or can't be written"
        return DeviceState("losing_data", f"{why}; {state.backlog} entries wait")
    if not state.journal_writable:
        return DeviceState("not_stored", "its journal can't be written: its log says why; send_to_storage says FAILURE")
    if not state.opened and since_s >= OPENING_S:
        why = f"its constructor or its open() has not come back for {since_s:.0f} s"
        return DeviceState("connector_opening", why, since_s)
    if state.warning:
        return DeviceState("connector_ended", state.warning)
    return None


def _of_entries(host: Host) -> DeviceState:
    """All is well, but nothing may come."""
    state = host.state
    since_s = state.since_s + host.age_s
    if state.entry_s is None:
        return DeviceState("idle", "the connector has stored nothing yet", since_s)
    age_s = state.entry_s + host.age_s
    if age_s < max(SILENT_S, PAUSES * host.pause_s):
        return DeviceState("receiving", "")
    return DeviceState("silent", "the connector runs, and has stopped storing anything", age_s)


def _of_process(reader: Reader) -> DeviceState | None:
    if not reader.is_known:
        return DeviceState("unknown", "nothing has been heard of its port reader yet")
    if reader.liveness == "lost":
        return DeviceState("not_running", "its port reader does not run: its log says why")
    return None


def _of_losses(reader: Reader, platform: Platform) -> DeviceState | None:
    """Frames are dropped, since there is no room for them."""
    if not reader.is_losing:
        return None
    cause = "more comes than the platform takes"
    if not platform.is_alive or platform.state.link != "up":
        cause = f"the platform is not reached ({platform.state.fault or 'the publisher does not run'})"
    where = "its journal is full (uplinkQueueSize, storage)"
    if not reader.state.journal_writable:
        where = "its journal can't be written"
    waiting = f"{reader.dropped} frames were dropped since its start, {reader.state.backlog} wait"
    return DeviceState("losing_data", f"{where}, and {cause}; {waiting}")


def _of_port(reader: Reader) -> DeviceState | None:
    state = reader.state
    if state.connected:
        return None
    why = f"{state.port}: {state.fault or 'it is being opened'}"
    advice = _ADVICE.get(state.fault, "").format(port=state.port)
    return DeviceState("port_closed", why + advice, state.since_s + reader.age_s)


def _of_bytes(reader: Reader) -> DeviceState | None:
    if not reader.state.unframed:
        return None
    return DeviceState("no_frame_end", "; ".join(filter(None, (reader.state.unframed, reader.state.line_errors))))


def _of_init(reader: Reader) -> DeviceState | None:
    """It did not take what it is told after an opening, so it is asked nothing."""
    state = reader.state
    return DeviceState("not_ready", f"{state.port}: {state.unready}") if state.unready and not state.connected else None


def _of_answers(reader: Reader) -> DeviceState | None:
    """It is asked, and says nothing, or something else."""
    state = reader.state
    if not state.unanswered or state.answers_some:
        return None
    reason = "; ".join(filter(None, (state.unanswered, _refused(state))))
    if state.probe_s is not None:
        reason += f"; asked again in {max(state.probe_s - reader.age_s, 0.0):.0f} s"
    return DeviceState("no_answer", reason)


def _of_checksums(reader: Reader) -> DeviceState | None:
    """Some frames are damaged, or are taken for it."""
    return DeviceState("damaged_frames", reader.state.damaged) if reader.state.damaged else None


def _of_filter(platform: Platform, name: str) -> DeviceState | None:
    """The platform is not to hear of this device."""
    connector = platform.state.left_out.get(name)
    if connector is None:
        return None
    why = f'deviceFiltering denies it for the connector "{connector}": it is not announced, and its readings are let go'
    return DeviceState("left_out", f"{why} (counted in readings_filtered)")


def _of_values(reader: Reader, seen: YieldSeen | None) -> DeviceState | None:
    """Frames come, and no value does."""
    if seen is None or seen.barren < BARREN_FRAMES:
        return None
    if seen.value_s is not None and seen.value_s < max(BARREN_S, PAUSES * seen.pause_s):
        return None
    parts = [f"{seen.barren} frames in a row gave no value"]
    if reader.state.line_errors:
        parts.append(reader.state.line_errors)
    if seen.error:
        parts.append(f"the last error: {seen.error}")
    if seen.looks:
        parts.append(seen.looks)
    if seen.absent:
        parts.append(f"no frame has {_points(seen.absent)}; `serialgw try` shows what each data point finds in a frame")
    return DeviceState("no_values", "; ".join(parts), seen.value_s or 0.0)


def _of_platform(backlog: int, platform: Platform, name: str) -> DeviceState | None:
    """Readings are there, and the platform does not take them. `backlog`: how many."""
    state = platform.state
    if name in state.refused:
        return DeviceState("not_accepted", state.refused[name])
    if not backlog:
        return None
    if not platform.is_alive:
        return DeviceState("not_accepted", "the publisher does not run: its log says why", is_own=False)
    if state.link != "up":
        why = f"the platform is not reached: {state.fault or 'it is being connected'}"
        return DeviceState("not_accepted", why, is_own=False)
    if state.unaccepted_s >= UNACCEPTED_S:
        why = state.fault or f"the platform has accepted nothing for {state.unaccepted_s:.0f} s"
        return DeviceState("not_accepted", why, state.unaccepted_s, is_own=False)
    return None


def _of_pace(reader: Reader) -> DeviceState | None:
    if not reader.state.held:
        return None
    why = "the line says more than the platform takes, and is read as fast as that goes"
    return DeviceState("slowed_down", f"{why}; {reader.state.backlog} frames wait")


def _of_points(seen: YieldSeen | None) -> DeviceState | None:
    """Some data points have their values, others have not."""
    if seen is None:
        return None
    if seen.errors and seen.error_s < ERROR_S:
        return DeviceState("some_values_missing", seen.error)
    if seen.absent:
        advice = "`serialgw try` shows what each data point finds in a frame"
        return DeviceState("some_values_missing", f"no frame has {_points(seen.absent)}; {advice}")
    return None


def _of_questions(reader: Reader) -> DeviceState | None:
    """Some questions have their answers, others have not; or it is asked, and was not told its `init`."""
    state = reader.state
    why = state.unanswered if state.answers_some else state.unready
    return DeviceState("some_values_missing", why) if why else None


def _of_lateness(reader: Reader) -> DeviceState | None:
    """Answers come, and always too late."""
    why = reader.state.late_answers
    return DeviceState("late_answers", "; ".join(filter(None, (why, _missed(reader.state))))) if why else None


def _refused(state: PortReaderState) -> str:
    """Which settings the port does not take; "" for none."""
    return f"the port does not take {state.refused}" if state.refused else ""


def _missed(state: PortReaderState) -> str:
    """How often it is asked, where that is less than is wanted; "" where it is not."""
    if state.asked_hz >= ASKED * state.wanted_hz:
        return ""
    rates = f"asked {_rate(state.asked_hz, state.wanted_hz)} of {_rate(state.wanted_hz, state.wanted_hz)} wanted"
    return f'{rates}: the line has no time for more; a longer "every", a higher "baudrate", or fewer devices on it'


def _rate(rate_hz: float, of_hz: float) -> str:
    """`8.3/s`; a rate below one a minute as turns an hour, one below one a second as turns a minute."""
    unit, size = ("s", 1) if of_hz >= 1 else ("min", 60) if of_hz * 60 >= 1 else ("h", 3600)
    return f"{rate_hz * size:.2g}/{unit}" if rate_hz * size < 10 else f"{rate_hz * size:.0f}/{unit}"


def _of_silence(reader: Reader) -> DeviceState:
    """All is well, but nothing may come."""
    open_s, byte_s = reader.state.since_s + reader.age_s, reader.byte_age_s
    if byte_s is None or byte_s > open_s:
        if open_s < SILENT_S:
            return DeviceState("idle", "the port is open, and nothing has come yet", open_s)
        return DeviceState("silent", "; ".join(filter(None, (NOTHING_CAME, _refused(reader.state)))), open_s)
    if reader.frame_age_s is None and byte_s < SILENT_S:
        why = "bytes come, and no frame has ended yet"
        return DeviceState("receiving", "; ".join(filter(None, (why, reader.state.line_errors))))
    if byte_s < max(SILENT_S, PAUSES * reader.pause_s):
        said = reader.state.line_errors, _missed(reader.state), _refused(reader.state)
        return DeviceState("receiving", "; ".join(filter(None, said)))
    return DeviceState("silent", "the port is open, and the device has stopped talking", byte_s)


def _points(keys: list[str]) -> str:
    """`the data point T`, `the data points T, H`."""
    return f"the data point{'s' if len(keys) > 1 else ''} {', '.join(keys)}"
