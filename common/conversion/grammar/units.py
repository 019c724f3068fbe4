"""Units that meters name, and what one of them is in another. Pure.

A factor is a fraction, so that a number whose factor divides is divided: 2302 at a tenth is 230.2, and not
230.20000000000002.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

_OF: Final[dict[str, tuple[str, Fraction]]] = {}


def _add(quantity: str, **factors: Fraction | int) -> None:
    for unit, factor in factors.items():
        _OF[unit] = quantity, Fraction(factor)


_add("energy", Wh=1, kWh=1000, MWh=10**6, GWh=10**9)
_add("energy", J=Fraction(1, 3600), kJ=Fraction(1000, 3600), MJ=Fraction(10**6, 3600), GJ=Fraction(10**9, 3600))
_add("power", W=1, kW=1000, MW=10**6)
_OF["J/h"] = "power", Fraction(1, 3600)
_add("apparent power", VA=1, kVA=1000)
_add("reactive power", var=1, kvar=1000)
_add("reactive energy", varh=1, kvarh=1000)
_add("apparent energy", VAh=1, kVAh=1000)
_add("voltage", mV=Fraction(1, 1000), V=1, kV=1000)
_add("current", mA=Fraction(1, 1000), A=1, kA=1000)
_add("frequency", Hz=1, kHz=1000)
_add("mass", g=Fraction(1, 1000), kg=1, t=1000)
_add("duration", s=1, min=60, h=3600, d=86_400)
_add("pressure", Pa=Fraction(1, 10**5), hPa=Fraction(1, 1000), mbar=Fraction(1, 1000), kPa=Fraction(1, 100), bar=1)
for _litre in ("l", "L"):
    _OF[_litre] = "volume", Fraction(1, 1000)
for _cubic in ("m³", "m3"):
    _OF[_cubic] = "volume", Fraction(1)
    _OF[f"{_cubic}/h"] = "volume flow", Fraction(1)
    _OF[f"{_cubic}/min"] = "volume flow", Fraction(60)
    _OF[f"{_cubic}/s"] = "volume flow", Fraction(3600)
_OF["l/h"] = _OF["L/h"] = "volume flow", Fraction(1, 1000)
_OF["l/min"] = _OF["L/min"] = "volume flow", Fraction(60, 1000)
_OF["kg/h"] = "mass flow", Fraction(1)
_OF["t/h"] = "mass flow", Fraction(1000)
_OF["°C"] = "temperature", Fraction(1)
_OF["K"] = "temperature difference", Fraction(1)


def quantity_of(unit: str) -> str:
    """What is measured in this unit; "" for a unit that is not known here."""
    return _OF[unit][0] if unit in _OF else ""


def factor_of(found: str, wanted: str) -> Fraction | None:
    """What a number in the unit `found` is multiplied by to be one in `wanted`; None where that can't be."""
    if found == wanted:
        return Fraction(1)
    if found not in _OF or wanted not in _OF or _OF[found][0] != _OF[wanted][0]:
        return None
    return _OF[found][1] / _OF[wanted][1]


def times(number: float, factor: Fraction) -> int | float:
    """The number multiplied by the factor: whole where both are, and else as near as a number can be. Raises ValueError
    for one that is not finite."""
    if type(number) is float:
        # By its digits: 12345.6 divided by 1000 would be 12.345600000000001.
        return float(Fraction(str(number)) * factor) if factor != 1 else number
    if factor.denominator == 1:
        return number * factor.numerator
    return number * factor.numerator / factor.denominator if factor.numerator != 1 else number / factor.denominator
