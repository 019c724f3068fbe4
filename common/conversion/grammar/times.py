"""Times as devices write them: text to milliseconds since 1970. Pure: no clock is read here."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

ReadTime = Callable[[str], int]
"""The text of a time to milliseconds since 1970. Raises ValueError for what is none."""
NAMED: Final = ("dsmr", "nmea", "iso", "epoch", "epochMs")
"""The formats that have a name; any other is in the notation of `strptime`, and has a % in it."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_DSMR: Final = re.compile(r"(\d{12})([WS]?)")
_NMEA: Final = re.compile(r"(\d{6})[ T]*(\d{6})(?:\.(\d{1,6})\d*)?")
_PIVOT: Final = 80
"""Two digits of a year from here on are of the last century, as GPS began in 1980."""
LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999."""


def zone_of(name: str) -> tzinfo:
    """A time zone by its name; "" is UTC. Raises ValueError for a name that this machine does not know."""
    if name in ("", "UTC"):
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # Here: nearly no device names one.

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no time zone {name}") from None


def time_reader(form: str, zone: str) -> ReadTime:
    """The reader of times in this format. Raises ValueError for a zone or a format that can't be used."""
    place = zone_of(zone)
    match form:
        case "dsmr":
            return lambda text: _milliseconds(_dsmr(text, place if zone else None))
        case "nmea":
            return lambda text: _milliseconds(_nmea(text))
        case "iso":
            return lambda text: _milliseconds(_placed(datetime.fromisoformat(text.strip()), place))
        case "epoch" | "epochMs":
            factor = 1000 if form == "epoch" else 1
            return lambda text: _bounded(round(_finite(text) * factor))
    if "%" not in form:
        raise ValueError("no format of ours, and no % in it")
    return lambda text: _milliseconds(_placed(datetime.strptime(text.strip(), form), place))


def iso_text(milliseconds: int) -> str:
    """`1994-11-19T22:54:46Z`, with milliseconds where there are some."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    digits = "milliseconds" if milliseconds % 1000 else "seconds"
    return moment.isoformat(timespec=digits).replace("+00:00", "Z")


def _finite(text: str) -> float:
    number = float(text)
    if not 0 <= number <= LAST_MS:
        raise ValueError("no number of seconds that is a time")
    return number


def _milliseconds(moment: datetime) -> int:
    return _bounded((moment - _EPOCH) // _MILLISECOND)


def _bounded(milliseconds: int) -> int:
    if not 0 <= milliseconds <= LAST_MS:
        raise ValueError("a time before 1970, or after the year 9999")
    return milliseconds


def _placed(moment: datetime, place: tzinfo) -> datetime:
    """A time that names no zone of its own is one of this place."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=place)


def _dsmr(text: str, place: tzinfo | None) -> datetime:
    """`YYMMDDhhmmssX` of DSMR 5.0.2, 6.4: X is W or S, winter or summer time; without a place that of the Netherlands
    and Belgium, an hour or two before UTC."""
    found = _DSMR.fullmatch(text.strip())
    if found is None:
        raise ValueError("no time as DSMR writes it")
    moment = datetime.strptime(found[1], "%y%m%d%H%M%S")
    is_summer = found[2] == "S"
    if place is None:
        return moment.replace(tzinfo=timezone(timedelta(hours=2 if is_summer else 1)))
    # An hour comes twice in autumn: the letter says which of them it is.
    either = [moment.replace(tzinfo=place, fold=fold) for fold in (0, 1)]
    return next((one for one in either if found[2] and bool(one.dst()) == is_summer), either[0])


def _nmea(text: str) -> datetime:
    """`ddmmyy hhmmss.sss`, both fields of an RMC sentence, in UTC."""
    found = _NMEA.fullmatch(text.strip())
    if found is None:
        raise ValueError("no date and time as NMEA 0183 writes them")
    date, clock, fraction = found.groups()
    year = int(date[4:]) + (1900 if int(date[4:]) >= _PIVOT else 2000)
    second = min(int(clock[4:]), 59)  # A leap second is written 60.
    moment = datetime(year, int(date[2:4]), int(date[:2]), int(clock[:2]), int(clock[2:4]), second, tzinfo=UTC)
    return moment + timedelta(microseconds=int((fraction or "0").ljust(6, "0")))
