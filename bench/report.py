"""docs/performance.md's table and plots from the newest results. `python -m bench.report`."""

from __future__ import annotations

import json
import sys
from math import ceil, floor, log10
from typing import Any, Final

import pygal

from bench.harness import RESULTS
from bench.limits import Rows, keeps_up
from tests.e2e.harness import ROOT

PAGE: Final = ROOT / "docs" / "performance.md"
PLOTS: Final = ROOT / "docs" / "performance"
BEGIN: Final = "<!-- figures: written by `make bench-report` -->\n"
END: Final = "<!-- end of figures -->\n"
WHAT: Final = {
    "flat8": "8 ports flat out, 2 converters",
    "shapes8": "8 ports flat out, ten binary points behind start, length and checksum",
    "flat1": "1 port flat out",
    "full64": "64 ports at 480 frames/s each",
    "full1": "1 port at 480 frames/s",
    "slow8": "8 ports at 10 frames/s",
    "chorus8": "8 ports at 10 frames/s, all at the same moments",
    "mid8": "8 ports at 100 frames/s",
    "slow64": "64 ports at 1 frame/s",
    "load64": "10,000 frames/s from 64 ports",
    "load1": "10,000 frames/s from 1 port",
    "idle8": "8 idle ports",
    "idle64": "64 idle ports",
}
LOAD_KEYS: Final = ("missing", "disordered", "p50_ms", "p99_ms", "cpu_us_a_frame")
SERVICES: Final = ("port_reader", "converter", "publisher", "broker", "monitor", "supervisor")
GATEWAYS: Final = {
    "serialgw-50": "serialgw, waiting 50 ms",
    "serialgw-0": "serialgw, waiting 0 ms",
    "reference": "the reference",
    "node-red": "Node-RED",
}
"""Those of `bench.beside`."""
BESIDE_KEYS: Final = ("p50_ms", "p99_ms", "lost", "cpu_us_a_frame", "cpu_percent")
BESIDE_MORE_KEYS: Final = ("written_bytes_a_frame", "pss_mib", "start_s", "added_port_mib")
FIGURES: Final = {
    "cpu_us_a_frame": "CPU µs a frame",
    "cpu_percent": "% of a core",
    "p50_ms": "p50 ms",
    "written_bytes_a_frame": "bytes written a frame",
    "added_port_mib": "PSS of an added port, MiB",
    "start_s": "start to all connected, s",
}


def newest(pattern: str) -> dict[str, Any]:
    """The newest result file of that name."""
    files = sorted(RESULTS.glob(pattern))
    if not files:
        sys.exit(f"no {pattern} in bench/results: run make bench, make bench-reference and make bench-beside first")
    found: dict[str, Any] = json.loads(files[-1].read_text())
    return found


def table(header: str, rows: list[list[Any]]) -> str:
    """A Markdown table."""
    columns = header.split("|")
    lines = [f"| {' | '.join(map(str, row))} |" for row in (columns, ["---"] * len(columns), *rows)]
    return "\n".join(lines) + "\n"


def of_load(rows: dict[str, Any]) -> str:
    """What was said and what arrived."""
    found = [
        [
            WHAT[name],
            f"{row['frames_hz']:,}",
            *(row[key] for key in LOAD_KEYS),
            row.get("written_bytes_a_frame", ""),
            row["memory"]["port_reader"],
        ]
        for name, row in rows.items()
        if name in WHAT and "frames_hz" in row
    ]
    header = "scenario|frames/s|missing|out of order|p50 ms|p99 ms|CPU µs a frame|bytes written a frame"
    return table(f"{header}|PSS of a reader, MiB", found)


def of_idle(rows: dict[str, Any]) -> str:
    """What waiting costs."""
    found = [
        [
            WHAT[name],
            row["cpu_percent"],
            *(row["cpu_percent_by_service"].get(service, 0) for service in SERVICES),
            row["memory"]["port_reader"],
        ]
        for name, row in rows.items()
    ]
    return table(f"scenario|% of a core|{'|'.join(SERVICES)}|PSS of a reader, MiB", found)


def of_others(rows: dict[str, Any]) -> str:
    """Scenarios of another kind, as they are."""
    lines = []
    for name, row in rows.items():
        if name not in WHAT:
            numbers = {key: value for key, value in row.items() if type(value) in (int, float)}
            facts = ", ".join(f"{key} {value}" for key, value in numbers.items())
            lines.append(f"- `{name}`: {facts}\n")
    return "".join(lines)


def of_reference(result: dict[str, Any]) -> str:
    """The same beside others."""
    rows = []
    for scenario, gateways in result["rows"].items():
        for name, row in gateways.items():
            cells = [row.get(key, "") for key in ("p50_ms", "p99_ms", "lost", "cpu_us_a_frame")]
            rows.append([WHAT[scenario], name, f"{row['frames_hz']:,}", *cells])
    ratios = [[row["ratio"], row["value"], row.get("least", row.get("most", ""))] for row in result["ratios"]]
    return (
        table("scenario|gateway|frames/s|p50 ms|p99 ms|lost|CPU µs a frame", rows)
        + "\n"
        + table("ratio|measured|at least, or at most", ratios)
    )


def of_beside(result: dict[str, Any]) -> str:
    """Where little is said: every gateway's figures, and what serialgw's may be."""
    rows = [
        [
            WHAT[scenario],
            GATEWAYS[name],
            f"{row['frames_hz']:,}",
            *(row.get(key, "") for key in (*BESIDE_KEYS, *BESIDE_MORE_KEYS)),
        ]
        for scenario, gateways in result["rows"].items()
        if scenario in WHAT
        for name, row in gateways.items()
    ]
    limits = [
        [
            WHAT[limit["scenario"]],
            GATEWAYS[limit["gateway"]],
            FIGURES[limit["figure"]],
            limit["value"],
            f"{limit['most']:g}",
            of_peer(limit["of"]),
            "yes" if limit["held"] else "no",
        ]
        for limit in result["limits"]
    ]
    header = "scenario|gateway|frames/s|p50 ms|p99 ms|lost|CPU µs a frame|% of a core"
    return (
        table(f"{header}|bytes written a frame|PSS of all, MiB|start, s|PSS of an added port, MiB", rows)
        + "\n"
        + table("scenario|gateway|figure|measured|at most|which is|held", limits)
    )


def of_peer(words: str) -> str:
    """`1.5 times node-red` as a person writes it."""
    times, _, peer = words.rpartition(" ")
    return f"{times} {GATEWAYS[peer]}'s".removeprefix("1 times ") if peer else ""


def curves(rows: Rows, figure: str) -> dict[str, list[tuple[float, float]]]:
    """By gateway: frames a second on each of the eight lines, and the figure. Scenarios in which all speak at the same
    moments are not on it, nor rates at which a gateway did not keep up."""
    found: dict[str, list[tuple[float, float]]] = {}
    for gateways in rows.values():
        for name, row in gateways.items():
            if row["lines"] == 8 and not row["together"] and keeps_up(row) and row[figure]:
                found.setdefault(name, []).append((row["rate_hz"], row[figure]))
    return {name: sorted(found[name]) for name in GATEWAYS if name in found}


def scale(values: list[float]) -> list[float]:
    """1, 2, 5, 10, 20 and so on, as far as these values reach; all are above 0, and there is one at least."""
    lowest, highest = floor(log10(min(values))), ceil(log10(max(values)))
    marks = [mark * 10.0**power for power in range(lowest, highest + 1) for mark in (1, 2, 5)]
    first = max((mark for mark in marks if mark <= min(values)), default=marks[0])
    last = min((mark for mark in marks if mark >= max(values)), default=marks[-1])
    return [round(mark, 6) for mark in marks if first <= mark <= last]


def plot_curves(name: str, title: str, rows: Rows, figure: str) -> None:
    """The figure over the rate, on scales of powers of ten."""
    chart = pygal.XY(js=[], width=760, height=420, logarithmic=True, legend_at_bottom=True, title=title)
    chart.x_title, chart.y_title = "frames/s on each of 8 lines", FIGURES[figure]
    found = curves(rows, figure)
    chart.x_labels = sorted({rate_hz for points in found.values() for rate_hz, _ in points})
    chart.y_labels = scale([value for points in found.values() for _, value in points])
    for gateway, points in found.items():
        chart.add(GATEWAYS[gateway], points)
    chart.render_to_file(str(PLOTS / f"{name}.svg"))


def of_versions(result: dict[str, Any]) -> str:
    """What was measured, with what."""
    versions = result["versions"].items()
    return ", ".join(f"{name} {version.removeprefix('mosquitto version ')}" for name, version in versions)


def plot_services(name: str, title: str, rows: dict[str, Any]) -> None:
    """Who uses the processor, a bar for each scenario."""
    chart = pygal.StackedBar(js=[], width=760, height=360, legend_at_bottom=True, title=title, y_title="% of a core")
    chart.x_labels = list(rows)
    for service in SERVICES:
        chart.add(service, [row["cpu_percent_by_service"].get(service, 0) for row in rows.values()])
    chart.render_to_file(str(PLOTS / f"{name}.svg"))


def plot_rates(result: dict[str, Any]) -> None:
    """Frames a second of each gateway, on a scale of powers of ten."""
    chart = pygal.Bar(js=[], width=760, height=360, logarithmic=True, legend_at_bottom=True, y_title="frames/s")
    chart.title = "Frames a second, flat out"
    scenarios = [name for name in result["rows"] if name.startswith("flat")]
    chart.x_labels = [WHAT[name] for name in scenarios]
    for gateway in ("reference", "mosquitto_pub", "serialgw"):
        chart.add(gateway, [result["rows"][name].get(gateway, {}).get("frames_hz") for name in scenarios])
    chart.render_to_file(str(PLOTS / "rates.svg"))


def main() -> int:
    bench, reference, beside = newest("2*.json"), newest("reference-*.json"), newest("beside-*.json")
    PLOTS.mkdir(exist_ok=True)
    busy = {name: row for name, row in bench["rows"].items() if name in WHAT and "frames_hz" in row}
    plot_services("busy", "Processor time by process, busy", busy)
    idle = {name: row for name, row in bench["rows"].items() if name.startswith("idle")}
    waiting = ""
    if idle:
        plot_services("idle", "Processor time by process, idle", idle)
        waiting = of_idle(idle) + "\n![processor time, idle](performance/idle.svg)\n"
    plot_rates(reference)
    plot_curves("cpu-over-rate", "Processor time a frame", beside["rows"], "cpu_us_a_frame")
    plot_curves("p50-over-rate", "Latency, half of all frames", beside["rows"], "p50_ms")
    machine = f"{bench['machine']['cores']} cores, {bench['machine']['processor']}"
    figures = f"""
{machine}; {of_versions(reference)}. Commit {bench["commit"]}, {bench["at"][:10]}.

{of_load(bench["rows"])}
{waiting}
{of_others(bench["rows"])}
![processor time, busy](performance/busy.svg)

Beside others, in one run (commit {reference["commit"]}):

{of_reference(reference)}
![frames a second](performance/rates.svg)

Where little is said, beside the reference and Node-RED, in one run (commit {beside["commit"]}; {of_versions(beside)}):

![processor time over the rate](performance/cpu-over-rate.svg)

![latency over the rate](performance/p50-over-rate.svg)

{of_beside(beside)}"""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{figures}\n{END}{rest.partition(END)[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
