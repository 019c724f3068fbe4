"""docs/metrics.md has every metric and every alert, and nothing else."""

from __future__ import annotations

import re

from common.core.dead_kinds import KINDS
from common.wire.call_ends import ENDS
from docs.metric_words import ADVICE, OUTCOMES, PARTS, REASONS
from docs.metrics_page import METRICS_PAGE, metrics_page, part_of, rules
from services.monitor.core.metrics import exported

TEXT = METRICS_PAGE.read_text("utf-8")


def test_the_page_is_as_it_is_generated() -> None:
    """`make docs` writes it."""
    assert metrics_page() == TEXT


def test_the_page_has_each_metric_once_and_no_other() -> None:
    """With its type and its labels."""
    rows = re.findall(r"^\| `(serialgw_\w+)` \| (\w+) \| ([^|]*) \|", TEXT, re.MULTILINE)
    assert len(rows) > 150
    labels = {metric.full_name: ", ".join(f"`{label}`" for label in metric.labels) for metric in exported.ALL}
    assert sorted(rows) == sorted((metric.full_name, metric.kind, labels[metric.full_name]) for metric in exported.ALL)


def test_what_to_do_is_said_of_metrics_that_there_are() -> None:
    """And of each that an alert is about."""
    names = {metric.name for metric in exported.ALL}
    assert {*ADVICE} <= names
    assert {part.title for part in PARTS} == {part_of(metric).title for metric in exported.ALL}
    alerted = {
        metric.name
        for rule in rules()
        for metric in exported.ALL
        if re.search(rf"\b{metric.full_name}\b", rule["expr"])
    }
    assert alerted - {*ADVICE} <= {"build_info", "frames_read", "line_read_bytes", "journal_bytes"}


def test_alerts_stand_in_the_page_in_plain_words() -> None:
    """Without the templates of Prometheus."""
    part = TEXT.partition("## Alerts")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (Serialgw\w+) \|", part, re.MULTILINE) == [rule["alert"] for rule in rules()]
    assert "{{" not in part


def test_each_value_of_a_label_of_a_fixed_set_is_explained() -> None:
    """In the order of the code, where the commonest stand first."""
    assert tuple(REASONS) == KINDS
    assert tuple(OUTCOMES) == ENDS
