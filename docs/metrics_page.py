"""docs/metrics.md: the metrics in sections, and the alerts, each with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from docs.metric_words import ADVICE, ALERTS_HEAD, HEAD, LABELS_HEAD, OUTCOMES, PARTS, REASONS, Part
from services.monitor.core.metrics import exported
from services.monitor.core.metrics.metric import Metric

METRICS_PAGE: Final = Path(__file__).with_name("metrics.md")
RULES: Final = METRICS_PAGE.parents[1] / "deploy" / "prometheus" / "serialgw.rules.yml"


def metrics_page() -> str:
    """The whole page."""
    sections = "\n".join(_section(part) for part in PARTS)
    return f"{HEAD}\n{ALERTS_HEAD}\n{_alerts()}\n{sections}\n{LABELS_HEAD}\n{_labels()}"


def part_of(metric: Metric) -> Part:
    """The section that a metric stands in."""
    return next(part for part in PARTS if metric.name.startswith(part.beginnings))


def rules() -> list[dict[str, Any]]:
    """Each rule of the file of alerts."""
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def _section(part: Part) -> str:
    head = "| metric | type | labels | what it is | what to do |\n|---|---|---|---|---|\n"
    rows = "\n".join(_row(metric) for metric in exported.ALL if part_of(metric) is part)
    return f"## {part.title}\n\n{part.text}\n\n{head}{rows}\n"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    cells = (f"`{metric.full_name}`", metric.kind, labels, metric.help, ADVICE.get(metric.name, ""))
    return "| " + " | ".join(cells) + " |"


def _alerts() -> str:
    head = "| alert | severity | it says | when | what to do |\n|---|---|---|---|---|\n"
    return head + "\n".join(_alert(rule) for rule in rules()) + "\n"


def _alert(rule: dict[str, Any]) -> str:
    said = rule["annotations"]
    when = f"`{rule['expr']}`" + (f" for {rule['for']}" if "for" in rule else "")
    place = said["runbook"].removeprefix("docs/")
    advice = f"{said['description']} [Step by step]({place})."
    cells = (rule["alert"], rule["labels"]["severity"], _plain(said["summary"]), when, advice)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _labels() -> str:
    head = "| label | value | what it means |\n|---|---|---|\n"
    rows = [("reason", value, text) for value, text in REASONS.items()]
    rows += [("outcome", value, text) for value, text in OUTCOMES.items()]
    return head + "\n".join(f"| `{label}` | `{value}` | {text} |" for label, value, text in rows) + "\n"


def _plain(summary: str) -> str:
    """A summary with words in the places of values."""
    for place, word in _PLACES.items():
        summary = summary.replace(place, word)
    return summary


_PLACES: Final = {
    "{{ $labels.device }}": "*device*",
    "{{ $labels.state }}": "*state*",
    "{{ $labels.code }}": "*code*",
    "{{ $labels.kind }} {{ $labels.name }}": "*process*",
    "{{ $value | humanizeDuration }}": "*so long*",
}
