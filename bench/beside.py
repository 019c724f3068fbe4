"""serialgw where little is said, beside the reference gateway and Node-RED, in one run. `python -m bench.beside`.

The same lines, feeder, MQTT broker and subscriber for each (see `bench.harness`), one gateway after the other in each
scenario: serialgw with readings that may wait 50 ms for company, the same with 0, the reference with its default, which
is 50, and Node-RED, which knows no waiting. The scenarios are those of the limits (`bench.limits`) and, for curves over
the rate, eight ports at more rates. Prints a row for each, then the limits; writes one file in bench/results/. Node-RED
is left out where it is not installed. Exit 1 if serialgw lost a frame.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from bench.__main__ import SCENARIOS, measure
from bench.harness import RESULTS, Scenario, facts
from bench.limits import Rows, add_port_sizes, judge_all
from bench.node_red import find_versions, start_node_red
from bench.others import measure_other, others_percent
from bench.thingsboard_gateway import find_package, start_reference
from tests.e2e.harness import ROOT

LIMITED: Final = ("slow8", "chorus8", "mid8", "slow64")
CURVE_HZ: Final = (1, 3, 30, 300)
"""Beside 10 and 100, which are slow8 and mid8."""
CURVE: Final = {f"rate{rate_hz}": Scenario(8, rate_hz, 0) for rate_hz in CURVE_HZ}
REFERENCE_HZ: Final = 800
"""On all lines together; a little above what it takes from eight ports."""
LEAD_S: Final = 3.0
GATEWAYS: Final = ("serialgw-50", "serialgw-0", "reference", "node-red")
SHOWN: Final = (
    "frames_hz",
    "p50_ms",
    "p99_ms",
    "lost",
    "cpu_us_a_frame",
    "cpu_percent",
    "pss_mib",
    "written_bytes_a_frame",
    "start_s",
    "others_percent",
    "load",
)
Measure = Callable[[Scenario], dict[str, Any]]


def measure_serialgw(scenario: Scenario, waiting_ms: int) -> dict[str, Any]:
    """serialgw's row; it waits until everything arrived."""
    row = measure(scenario._replace(waiting_ms=waiting_ms), LEAD_S)
    return {**row, "lost": row["missing"]}


def find_gateways(wanted: list[str]) -> tuple[dict[str, Measure], dict[str, str]]:
    """How each is measured, in the order in which they are, and the versions of what is not ours. Ends the program with
    what to do if the reference is wanted and not installed; says so where Node-RED is."""
    found: dict[str, Measure] = {}
    versions: dict[str, str] = {}
    for name in GATEWAYS:
        if name not in wanted:
            continue
        if name == "reference":
            package = find_package()
            versions["thingsboard-gateway"] = package.version
            found[name] = partial(measure_other, start=partial(start_reference, package), lead_s=LEAD_S)
        elif name == "node-red":
            installed = find_versions()
            if installed is None:
                print("Node-RED is not installed here: it is left out (make bench-node-red installs it)")
                continue
            versions |= installed
            found[name] = partial(measure_other, start=start_node_red, lead_s=LEAD_S)
        else:
            found[name] = partial(measure_serialgw, waiting_ms=int(name.rpartition("-")[2]))
    return found, versions


def is_too_much(name: str, scenario: Scenario) -> bool:
    """True for what the reference never takes: it would only be waited for."""
    return name == "reference" and scenario.lines * scenario.rate_hz > REFERENCE_HZ


def run(scenarios: dict[str, Scenario], gateways: dict[str, Measure]) -> Rows:
    """All rows, each printed when it is there."""
    rows: Rows = {name: {} for name in scenarios}
    for name, scenario in scenarios.items():
        for of, measure_one in gateways.items():
            if is_too_much(of, scenario):
                continue
            quiet = {"others_percent": others_percent(), "load": round(os.getloadavg()[0], 2)}
            rows[name][of] = {**scenario._asdict(), **measure_one(scenario), **quiet}
            print(
                json.dumps({"scenario": name, "of": of, **{key: rows[name][of].get(key) for key in SHOWN}}), flush=True
            )
    add_port_sizes(rows)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = {**{name: SCENARIOS[name] for name in LIMITED}, **CURVE}
    parser.add_argument("scenario", nargs="*", help=f"some of {', '.join(known)} (default: all)")
    parser.add_argument("--gateway", action="append", choices=GATEWAYS, help="only these; can be given several times")
    parser.add_argument("--seconds", type=float, default=8, help="each measurement (default: %(default)g)")
    parser.add_argument("--no-file", action="store_true", help="print only")
    arguments = parser.parse_args()
    if unknown := set(arguments.scenario) - known.keys():
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    gateways, versions = find_gateways(arguments.gateway or list(GATEWAYS))
    wanted = arguments.scenario or list(known)
    rows = run({name: known[name]._replace(seconds=arguments.seconds) for name in wanted}, gateways)
    limits = judge_all(rows)
    for limit in limits:
        print(json.dumps(limit))
    if not arguments.no_file:
        found = facts()
        found["versions"] |= versions
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"beside-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
        path.write_text(
            json.dumps({**found, "seconds": arguments.seconds, "rows": rows, "limits": limits}, indent=1) + "\n"
        )
        print(f"written to {path.relative_to(ROOT)}")
    ours = [row for of_scenario in rows.values() for of, row in of_scenario.items() if of.startswith("serialgw")]
    return int(any(row["lost"] or row["disordered"] for row in ours))


if __name__ == "__main__":
    sys.exit(main())
