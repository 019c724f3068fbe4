"""What `/metrics` shows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from common.core.counters import CommonCounts, described
from common.stream.counters import JournalCounts
from services.broker.core.counters import BrokerCounts
from services.connector_host.core.counters import ConnectorHostCounts, UsersCounts
from services.converter.core.counters import ConverterCounts
from services.monitor.core.counters import MonitorCounts
from services.monitor.core.metrics import exported
from services.monitor.core.metrics.collecting import Configuration, Outside, Sample, Starts, samples_of
from services.monitor.shell.web.exposition import Exposition
from services.monitor.shell.web.view import View
from services.port_reader.core.counters import PortReaderCounts
from services.publisher.core.counters import PublisherCounts
from tests.web.snapshots import NOW_S, healthy, snapshot_of

TABLES: dict[str, list[type[Any]]] = {
    "broker": [BrokerCounts],
    "publisher": [PublisherCounts],
    "converter": [ConverterCounts],
    "monitor": [MonitorCounts],
    "port_reader": [PortReaderCounts, JournalCounts],
    "connector_host": [ConnectorHostCounts, UsersCounts],
}
OUTSIDE = Outside(
    NOW_S + 4, 1_800_000_000.0, "3.11.2", 10**9, 1, 2, 3, Configuration(False, 1_700_000_000.0, True, 23, 3)
)


def values() -> dict[tuple[str, tuple[str, ...]], float]:
    """Each sample of a healthy gateway, four seconds after its last heartbeats."""
    samples = samples_of(snapshot_of(*healthy(), later_s=4), OUTSIDE, Starts())
    return {(one.metric.full_name, one.labels): one.value for one in samples if isinstance(one, Sample)}


@pytest.mark.parametrize("kind", TABLES)
def test_every_counter_of_every_process_is_exported(kind: str) -> None:
    """Under one name each: what is worth counting is worth being seen."""
    counters = {name for table in TABLES[kind] for name in described(table)} - {*described(CommonCounts)}
    assert counters - {*exported.FROM_COUNTERS[kind]} == exported.SHOWN_BY_KIND.get(kind, frozenset())
    assert {*exported.FROM_COUNTERS[kind]} <= counters
    gauges = {name for table in TABLES[kind] for name, it in described(table).items() if type(it).__name__ == "Gauge"}
    assert {name for name, metric in exported.FROM_COUNTERS[kind].items() if metric.kind == "gauge"} == gauges


def test_each_metric_has_one_name_and_one_meaning() -> None:
    """No two share one, and each says in a sentence what it is."""
    names = [metric.name for metric in exported.ALL]
    assert len(names) == len(set(names))
    for metric in exported.ALL:
        assert metric.help.endswith("."), metric
        assert len(metric.help) > 10, metric


def test_what_heartbeats_say_is_shown() -> None:
    """By device, by process and for the whole."""
    found = values()
    assert found["serialgw_frames_read_total", ("press",)] == 10
    assert found["serialgw_line_errors_total", ("press", "parity")] == 4
    assert found["serialgw_line_errors_total", ("press", "framing")] == 0
    assert found["serialgw_port_connected", ("press",)] == 1
    assert found["serialgw_journal_frames", ("press",)] == 3
    assert found["serialgw_connector_submissions_total", ("connector:Own",)] == 7
    assert found["serialgw_platform_connected", ()] == 1
    assert found["serialgw_process_alive", ("broker", "0")] == 0, "late by now"
    assert found["serialgw_converter_batches_held", ("0",)] == 1
    assert found["serialgw_device_state", ("press", "receiving")] == 0
    assert found["serialgw_config_last_reload_successful", ()] == 0
    assert found["serialgw_config_last_reload_success_timestamp_seconds", ()] == 1_700_000_000
    assert found["serialgw_config_pending", ()] == 1
    assert found["serialgw_config_changes_total", ()] == 23
    assert found["serialgw_config_history_dropped_total", ()] == 3


def test_moments_are_on_the_wall_clock() -> None:
    """The heartbeat is four seconds old, and the frame was two seconds old then."""
    found = values()
    assert found["serialgw_last_frame_timestamp_seconds", ("press",)] == OUTSIDE.wall_s - 6
    assert found["serialgw_process_start_time_seconds", ("publisher", "0")] == OUTSIDE.wall_s - 64


def test_a_process_that_never_beat_has_no_samples_but_that_it_is_not_alive() -> None:
    """A zero would be a value that nobody has seen."""
    found = {sample.metric.full_name for sample in samples_of(snapshot_of(), OUTSIDE, Starts())}
    assert "serialgw_frames_read_total" not in found
    assert {"serialgw_process_alive", "serialgw_platform_connected", "serialgw_device_served"} <= found


def test_promtool_finds_nothing_to_say(tmp_path: Path) -> None:
    """Names, units and types are as Prometheus' own linter wants them."""
    view = View(tmp_path)
    counted = [
        one.replace(counters={name: 1 for table in TABLES.get(one.kind, []) for name in described(table)})
        for one in healthy()
    ]
    view.show(snapshot_of(*counted))
    text = Exposition(view).text()
    assert text.count(b"# HELP ") > 100
    tool = shutil.which("promtool")
    assert tool, "promtool is missing: apt-get install prometheus"
    done = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
