"""What the gateway costs and how fast it is. `python -m bench [SCENARIO ...]`; `make bench` runs all.

The real gateway under supervisord on pseudo-terminals, with mosquitto, a feeder and a subscriber in processes of their
own, all on this machine; journal on, settled only by the platform's acceptance. One row for each scenario, and one file
in bench/results/ with the machine, the versions and the commit. Exit 1 if a frame was missing or
out of order, or a call went wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from datetime import UTC, datetime
from typing import Any, Final

from bench.calls import measure_calls
from bench.feeder import FRAME_BYTES, SHAPED_BYTES
from bench.harness import RESULTS, Scenario, Usage, facts, gateway
from bench.starts import measure_many_ports, measure_starts
from bench.tree import pss_kib, tree_pss_mib
from common.io.client import Client, json_of
from common.wire.calls import Status
from common.wire.messages import MONITOR
from tests.chaos.running import Running
from tests.e2e.harness import ROOT
from tests.support.waiting import wait_until

SCENARIOS: Final = {
    "flat8": Scenario(8, 0, 15),
    "flat1": Scenario(1, 0, 15),
    "shapes8": Scenario(8, 0, 15, shaped=True),
    "full64": Scenario(64, 480, 60),
    "pages64": Scenario(64, 480, 60, pages=3),
    "full1": Scenario(1, 480, 20),
    "slow8": Scenario(8, 10, 30),
    "chorus8": Scenario(8, 10, 30, together=True),
    "mid8": Scenario(8, 100, 20),
    "slow64": Scenario(64, 1, 30),
    "idle8": Scenario(8, -1, 30),
    "idle64": Scenario(64, -1, 30),
    "load1": Scenario(1, 10_000, 15),
    "load64": Scenario(64, 10_000 / 64, 15),
    "rpc8": Scenario(8, 100, 20),
    "start": Scenario(8, 100, 0),
    "start64": Scenario(64, -1, 0),
}
LEAD_S: Final = 5.0
"""The load is on for so long before it is measured: converters learn the devices, memory is warm. Losses count from the
beginning."""
CALM_S: Final = 20.0
"""After this idle readers have noticed that they are."""
OTHER_KINDS: Final = {"rpc8": measure_calls, "start": measure_starts, "start64": measure_many_ports}
"""Those in which it is not the frames that are timed."""


def measure(scenario: Scenario, lead_s: float = LEAD_S) -> dict[str, Any]:
    """One scenario's row; the load is on for `lead_s` before it is measured."""
    with gateway(scenario) as (running, place):
        if scenario.rate_hz < 0:
            threading.Event().wait(CALM_S)
            usage = Usage(running)
            threading.Event().wait(scenario.seconds)
            usage.look()
            return {**_cost(usage.by_service(), None), "memory": memory(running)}
        asker = place.asker
        pages = place.start_pages(scenario) if scenario.pages else None
        feeder = place.start_feeder(scenario._replace(seconds=lead_s + scenario.seconds))
        threading.Event().wait(lead_s)
        usage, before = Usage(running), asker.ask()
        threading.Event().wait(scenario.seconds)
        during = asker.ask()
        usage.look()
        cpu, written = usage.by_service(), usage.written_bytes()
        said = json.loads(feeder.communicate(timeout=60)[0])["said"]
        size, pss_mib = memory(running), tree_pss_mib(running.pid)
        told = json.loads(pages.communicate(timeout=60)[0]) if pages else {}
        wait_until(lambda: asker.ask()["highest"] == said, "everything arrived", 600, every_s=0.1)
        after = asker.ask()
        rate_hz = (during["frames"] - before["frames"]) / (during["at_s"] - before["at_s"])
        return {
            "frames_hz": round(rate_hz),
            "megabytes_hz": round(rate_hz * (SHAPED_BYTES if scenario.shaped else FRAME_BYTES) / 1e6, 2),
            "said": sum(said),
            "behind": sum(said) - during["frames"],
            "drained_s": round(after["at_s"] - during["at_s"], 2),
            **{key: during[key] for key in ("p50_ms", "p99_ms", "max_ms")},
            **{key: after[key] for key in ("missing", "disordered", "repeats")},
            "frames_a_message": round(during["frames"] / max(1, during["messages"]), 1),
            **_cost(cpu, rate_hz),
            "written_bytes_a_frame": round(written / max(1, during["frames"] - before["frames"])),
            "memory": size,
            "pss_mib": pss_mib,
            "start_s": _connected_s(running, after, scenario.lines),
            "counters": counters(running),
            **told,
        }


def _cost(cpu: dict[str, float], rate_hz: float | None) -> dict[str, Any]:
    total = sum(cpu.values())
    found: dict[str, Any] = {"cpu_percent": round(total, 2), "cpu_percent_by_service": cpu}
    return {**found, "cpu_us_a_frame": round(total * 10_000 / rate_hz, 2)} if rate_hz else found


def _connected_s(running: Running, report: dict[str, Any], lines: int) -> float | None:
    """From the start to the last device's being connected at the platform; None if not all are."""
    return round(report["connected_s"] - running.started_s, 2) if report["connected"] == lines else None


def memory(running: Running) -> dict[str, Any]:
    """PSS by service: the median process's, in MiB."""
    sizes: dict[str, list[float]] = {}
    for name, pid in running.processes().items():
        sizes.setdefault(name.split()[0], []).append(pss_kib(pid) / 1024)
    return {service: round(sorted(found)[len(found) // 2], 1) for service, found in sizes.items()}


def counters(running: Running) -> dict[str, dict[str, int]]:
    """The counters that tell how many messages and commits the frames took, by kind of process."""
    with Client(running.data_dir) as client:
        processes = json.loads(json_of(client.call(MONITOR, "", Status(), 5.0)))["processes"]
    total: dict[str, dict[str, int]] = {}
    for process in processes:
        of_kind = total.setdefault(process["kind"], {})
        for name, value in process["counters"].items():
            of_kind[name] = of_kind.get(name, 0) + value
    wanted = {
        "port_reader": ("frames_read", "journal_commits", "batches_sent", "frames_resent", "reports", "wakeups"),
        "publisher": ("readings_accepted", "publishes"),
        "broker": ("batches_in", "batches_out"),
    }
    return {kind: {name: total[kind].get(name, 0) for name in names} for kind, names in wanted.items() if kind in total}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", help=f"some of {', '.join(SCENARIOS)} (default: all)")
    parser.add_argument("--seconds", type=float, help="each, instead of its own")
    parser.add_argument("--no-file", action="store_true", help="print only")
    arguments = parser.parse_args()
    if unknown := set(arguments.scenario) - SCENARIOS.keys():
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    rows: dict[str, Any] = {}
    for name in arguments.scenario or SCENARIOS:
        scenario = SCENARIOS[name]
        if arguments.seconds:
            scenario = scenario._replace(seconds=arguments.seconds)
        rows[name] = {**scenario._asdict(), **OTHER_KINDS.get(name, measure)(scenario)}
        print(json.dumps({"scenario": name, **rows[name]}), flush=True)
    if not arguments.no_file:
        RESULTS.mkdir(exist_ok=True)
        found = {**facts(), "rows": rows}
        path = RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
        path.write_text(json.dumps(found, indent=1) + "\n")
        print(f"written to {path.relative_to(ROOT)}")
    return int(any(row.get(fault) for row in rows.values() for fault in ("missing", "disordered", "errors")))


if __name__ == "__main__":
    sys.exit(main())
