"""The alerts of deploy/prometheus, tried by Prometheus' own tool: each fires where it should, and nowhere else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from services.monitor.core.metrics import exported

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES: Final = FOLDER / "serialgw.rules.yml"
HOUR: Final = 60
"""A sample a minute."""
UP: Final = {'platform_connected{job="g",instance="a"}': "1x60"}
DEVICE: Final = '{job="g",instance="a",device="press"}'


def buckets(*, late: int) -> dict[str, str]:
    """Readings a minute of which so many in a hundred take more than ten seconds."""
    name = 'delivery_duration_seconds_bucket{{job="g",instance="a",device="press",le="{}"}}'
    return {name.format("2.5"): f"0+{100 - late}x60", name.format("10.0"): "0+100x60", name.format("+Inf"): "0+100x60"}


def calls(*, failed: int) -> dict[str, str]:
    """Calls a minute of which so many in a hundred fail."""
    name = 'calls_total{{job="g",instance="a",outcome="{}"}}'
    return {name.format("ok"): f"0+{100 - failed}x60", name.format("no_answer"): f"0+{failed}x60"}


def dead(*, a_minute: str, reason: str = "joined") -> dict[str, str]:
    """Frames and dead letters."""
    letters = f'dead_letters_total{{job="g",instance="a",device="press",reason="{reason}"}}'
    return {f"frames_read_total{DEVICE}": "0+1000x60", letters: a_minute}


def noise(errors: str) -> dict[str, str]:
    """1,000 bytes a minute, of which some were damaged."""
    name = 'line_errors_total{job="g",instance="a",device="press",type="parity"}'
    return {name: errors, f"line_read_bytes_total{DEVICE}": "0+1000x60"}


FIRES: Final[dict[str, dict[str, str]]] = {
    "SerialgwDown": {'up{job="serialgw"}': "0x60", "build_info": "1x60"},
    "SerialgwPlatformDown": {"platform_connected": "1x50 0x10"},
    "SerialgwFramesLost": {f"frames_shed_total{DEVICE}": "0x55 7x5", f"frames_dropped_total{DEVICE}": "0x60"},
    "SerialgwJournalFillsUp": {
        f"journal_frames{DEVICE}": "0+1000x60",
        f"journal_limit_frames{DEVICE}": "100000x60",
        f"journal_bytes{DEVICE}": "0+1000x60",
        f"journal_limit_bytes{DEVICE}": "268435456x60",
    },
    "SerialgwJournalUnwritable": {f"journal_writable{DEVICE}": "1x55 0x5"},
    "SerialgwDiskFull": {"disk_free_bytes": "1000000x60"},
    "SerialgwBacklogOld": {f"journal_oldest_timestamp_seconds{DEVICE}": "600x60"},
    "SerialgwPortDisconnected": {f"port_connected{DEVICE}": "1x50 0x10"},
    "SerialgwDeviceSilent": {'device_state{device="press",state="silent"}': "0x50 1x10"},
    "SerialgwDeviceUnreadable": {'device_state{device="press",state="no_values"}': "0x30 1x30"},
    "SerialgwLineErrors": noise("0+50x60"),
    "SerialgwDeadLetters": dead(a_minute="0+20x60"),
    "SerialgwRefused": {'publishes_refused_total{code="151"}': "0+1x60"},
    "SerialgwProcessRestarts": {'process_start_time_seconds{kind="port_reader",name="press"}': "0x50 5 6 7 8 9 9x5"},
    "SerialgwProcessLost": {'process_alive{kind="converter",name="0"}': "1x55 0x5"},
    "SerialgwSlow": {**UP, **buckets(late=5)},
    "SerialgwCallsFail": calls(failed=50),
    "SerialgwReloadFailed": {"config_last_reload_successful": "1x50 0x10"},
    "SerialgwReloadPending": {"config_pending": "1x60"},
}
QUIET: Final[dict[str, list[dict[str, str]]]] = {
    "SerialgwDown": [
        {'up{job="serialgw"}': "1x60", "build_info": "1x60"},
        {'up{job="serialgw"}': "0 1x60", "build_info": "1x60"},
    ],
    "SerialgwPlatformDown": [{"platform_connected": "1x57 0x3"}],
    "SerialgwFramesLost": [{f"frames_shed_total{DEVICE}": "7x60", f"frames_dropped_total{DEVICE}": "0x60"}],
    "SerialgwJournalFillsUp": [
        {f"journal_frames{DEVICE}": "30000x60", f"journal_limit_frames{DEVICE}": "100000x60"},
        {f"journal_frames{DEVICE}": "0+1000x15 15000-1000x15 0x30", f"journal_limit_frames{DEVICE}": "100000x60"},
    ],
    "SerialgwJournalUnwritable": [{f"journal_writable{DEVICE}": "1x60"}],
    "SerialgwDiskFull": [{"disk_free_bytes": "1000000000x60"}],
    "SerialgwBacklogOld": [
        {f"journal_oldest_timestamp_seconds{DEVICE}": "0x60"},
        {f"journal_oldest_timestamp_seconds{DEVICE}": "0+60x60"},
    ],
    "SerialgwPortDisconnected": [{f"port_connected{DEVICE}": "1x58 0 1"}],
    "SerialgwDeviceSilent": [{'device_state{device="press",state="receiving"}': "1x60"}],
    "SerialgwDeviceUnreadable": [{'device_state{device="press",state="silent"}': "1x60"}],
    "SerialgwLineErrors": [noise("0+5x60"), noise("0x60")],
    "SerialgwDeadLetters": [dead(a_minute="0+5x60"), dead(a_minute="0x60")],
    "SerialgwRefused": [
        {'publishes_refused_total{code="151"}': "0x57 1x3"},
        {'publishes_refused_total{code="151"}': "9x60"},
    ],
    "SerialgwProcessRestarts": [{'process_start_time_seconds{kind="port_reader",name="press"}': "0x50 5x10"}],
    "SerialgwProcessLost": [{'process_alive{kind="converter",name="0"}': "1x60"}],
    "SerialgwSlow": [
        {**UP, **buckets(late=0)},
        {'platform_connected{job="g",instance="a"}': "0x60", **buckets(late=5)},
    ],
    "SerialgwCallsFail": [calls(failed=10), calls(failed=0)],
    "SerialgwReloadFailed": [
        {"config_last_reload_successful": "1x60"},
        {"config_last_reload_successful": "0x50 1x10"},
    ],
    "SerialgwReloadPending": [{"config_pending": "0x60"}, {"config_pending": "1x30 0 1x29"}],
}


def rules() -> list[dict[str, Any]]:
    """Each rule of the file."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def case(alert: str, series: dict[str, str], count: int) -> dict[str, Any]:
    """After an hour of these series, so many alerts of this name fire."""
    name = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    found = [{"labels": "{}", "value": count}] if count else []
    return {
        "interval": "1m",
        "input_series": [
            {"series": one if one.startswith("up{") else f"serialgw_{one}", "values": values}
            for one, values in series.items()
        ],
        "promql_expr_test": [{"expr": name, "eval_time": "60m", "exp_samples": found}],
    }


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What Prometheus' own tool says."""
    tool = shutil.which("promtool")
    assert tool, "promtool is missing: apt-get install prometheus"
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("alert", [rule["alert"] for rule in rules()])
def test_an_alert_fires_where_it_should_and_nowhere_else(tmp_path: Path, alert: str) -> None:
    """One gateway in trouble, and others in which the same figures mean none."""
    cases = [case(alert, FIRES[alert], 1), *(case(alert, series, 0) for series in QUIET[alert])]
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": cases}))
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_says_what_to_do_and_how_urgent_it_is() -> None:
    """Two kinds: to be woken for, and for the morning."""
    names = [rule["alert"] for rule in rules()]
    assert {*names} == {*FIRES} == {*QUIET}
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")
        assert len(rule["annotations"]["description"]) > 40


def test_promtool_accepts_the_files() -> None:
    """The rules, and the example of a configuration that names them."""
    done = promtool("check", "config", str(FOLDER / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules())} rules found" in done.stdout


def test_alerts_are_about_metrics_that_there_are() -> None:
    """A misspelt name would never fire."""
    known = {metric.full_name for metric in exported.ALL}
    known |= {f"{name}_bucket" for name in known}
    for rule in rules():
        words = rule["expr"].replace("(", " ").replace(")", " ").replace("{", " ").replace("[", " ").split()
        assert {word for word in words if word.startswith("serialgw_")} <= known
