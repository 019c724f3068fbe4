"""docs/performance.md's table and plots from the newest results. `python -m bench.report`."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import pygal

from bench.harness import RESULTS, ROOT

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
    "load64": "10,000 frames/s from 64 ports",
    "load1": "10,000 frames/s from 1 port",
    "idle8": "8 idle ports",
    "idle64": "64 idle ports",
}
LOAD_KEYS: Final = ("missing", "disordered", "p50_ms", "p99_ms", "cpu_us_a_frame")
SERVICES: Final = ("port_reader", "converter", "publisher", "broker", "monitor")


def newest(pattern: str) -> dict[str, Any]:
    """The newest result file of that name."""
    files = sorted(RESULTS.glob(pattern))
    if not files:
        sys.exit(f"no {pattern} in bench/results: run make bench and make bench-reference first")
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
        [WHAT[name], f"{row['frames_hz']:,}", *(row[key] for key in LOAD_KEYS), row["memory"]["port_reader"]]
        for name, row in rows.items()
        if name in WHAT and "frames_hz" in row
    ]
    return table("scenario|frames/s|missing|out of order|p50 ms|p99 ms|CPU µs a frame|PSS of a reader, MiB", found)


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
            facts = ", ".join(f"{key} {value}" for key, value in row.items() if isinstance(value, int | float))
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
    bench, reference = newest("2*.json"), newest("reference-*.json")
    PLOTS.mkdir(exist_ok=True)
    busy = {name: row for name, row in bench["rows"].items() if name in WHAT and "frames_hz" in row}
    plot_services("busy", "Processor time by process, busy", busy)
    idle = {name: row for name, row in bench["rows"].items() if name.startswith("idle")}
    waiting = ""
    if idle:
        plot_services("idle", "Processor time by process, idle", idle)
        waiting = of_idle(idle) + "\n![processor time, idle](performance/idle.svg)\n"
    plot_rates(reference)
    versions = ", ".join(
        f"{name} {version.removeprefix('mosquitto version ')}" for name, version in reference["versions"].items()
    )
    machine = f"{bench['machine']['cores']} cores, {bench['machine']['processor']}"
    figures = f"""
{machine}; {versions}. Commit {bench["commit"]}, {bench["at"][:10]}.

{of_load(bench["rows"])}
{waiting}
{of_others(bench["rows"])}
![processor time, busy](performance/busy.svg)

Beside others, in one run (commit {reference["commit"]}):

{of_reference(reference)}
![frames a second](performance/rates.svg)
"""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{figures}\n{END}{rest.partition(END)[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
