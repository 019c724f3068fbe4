"""What serialgw may take where little is said, beside the figures of other gateways of the same run."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

Rows = dict[str, dict[str, dict[str, Any]]]
"""By scenario, then by who was measured."""
KEEPS_UP: Final = 0.9
"""A gateway that takes less than this share of what is said to it is not measured at that rate, but overrun."""
FEW, MANY = "slow8", "slow64"


class Limit(NamedTuple):
    """A figure of serialgw's: at most so much, or, with a peer, at most so many times the peer's figure."""

    scenario: str
    gateway: str
    figure: str
    most: float
    peer: str = ""

    def judge(self, rows: Rows) -> dict[str, Any] | None:
        """The figure beside what it may be; None where one that is needed was not measured."""
        gateways = rows.get(self.scenario, {})
        value = gateways.get(self.gateway, {}).get(self.figure)
        beside = gateways.get(self.peer, {}).get(self.figure) if self.peer else 1.0
        if value is None or beside is None or (self.peer and not keeps_up(gateways[self.peer])):
            return None
        most = round(self.most * beside, 2)
        of = f"{self.most:g} times {self.peer}" if self.peer else ""
        found = {"scenario": self.scenario, "gateway": self.gateway, "figure": self.figure}
        return {**found, "value": value, "most": most, "of": of, "held": value <= most}


BUDGETS: Final = ("serialgw-50", "serialgw-0")
LIMITS: Final = (
    *(Limit(name, "serialgw-50", "cpu_us_a_frame", 1.5, "node-red") for name in ("slow8", "chorus8")),
    *(Limit(name, "serialgw-0", "cpu_us_a_frame", 1.0, "reference") for name in ("slow8", "chorus8")),
    Limit("slow8", "serialgw-0", "p50_ms", 3.5),
    Limit("chorus8", "serialgw-0", "p50_ms", 7.0),
    *(Limit("mid8", budget, "p50_ms", 3.0, "node-red") for budget in BUDGETS),
    *(Limit("mid8", budget, "cpu_us_a_frame", 1.0, "node-red") for budget in BUDGETS),
    Limit(MANY, "serialgw-50", "cpu_percent", 12.0),
    Limit(MANY, "serialgw-50", "written_bytes_a_frame", 4_096),
    Limit(MANY, "serialgw-50", "added_port_mib", 5.0),
    Limit(MANY, "serialgw-50", "start_s", 8.0),
)


def keeps_up(row: dict[str, Any]) -> bool:
    """True if the gateway took what was said to it."""
    return bool(row["frames_hz"] >= KEEPS_UP * row["lines"] * row["rate_hz"])


def add_port_sizes(rows: Rows) -> None:
    """Gives each gateway of the scenario with many ports `added_port_mib`: what one more port takes, by its memory with
    few ports."""
    for gateway, many in rows.get(MANY, {}).items():
        few = rows.get(FEW, {}).get(gateway)
        if few is not None:
            more = many["lines"] - few["lines"]
            many["added_port_mib"] = round((many["pss_mib"] - few["pss_mib"]) / more, 2)


def judge_all(rows: Rows) -> list[dict[str, Any]]:
    """Every limit for which there are the figures."""
    return [found for limit in LIMITS if (found := limit.judge(rows)) is not None]
