"""What a keeper asks first, as `/metrics` shows it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from common.core.dead_kinds import KINDS
from common.core.durations import Durations
from common.wire.call_ends import ENDS
from common.wire.messages import Heartbeat
from common.wire.states import ConnectorHostState, PortReaderState, PublisherState
from services.monitor.core.metrics.collecting import Outside, Sample, Starts, samples_of
from services.monitor.shell.web.exposition import Exposition
from services.monitor.shell.web.view import View
from tests.web.snapshots import NOW_S, beat, healthy, snapshot_of

OUTSIDE = Outside(NOW_S + 4, 1_800_000_000.0, "3.11.2", 10**9, 1, 2)


def spread(*took_s: float) -> list[float]:
    """A histogram of these."""
    durations = Durations()
    for one_s in took_s:
        durations.add(one_s)
    return durations.said


def busy() -> list[Heartbeat]:
    """A gateway in which something has happened."""
    line = PortReaderState(
        device="press",
        connected=True,
        backlog=3,
        oldest_s=30.0,
        most_backlog=100,
        most_backlog_bytes=5_000,
        delivered=spread(0.004, 0.2, 700.0),
        dead={"joined": 2, "refused": 1},
    )
    publisher = PublisherState(
        link="up",
        calls=2,
        published=spread(0.003),
        refused_codes={"151": 4, "200": 1},
        interval_s=0.5,
        called=spread(1.5),
        calls_ended={"ok": 5, "no_answer": 1},
    )
    return [
        beat("port_reader", "press", line, cpu_ms=1_500, resident_bytes=10**7, dead_letters=3),
        beat("publisher", "0", publisher, publishes_refused=5, cpu_ms=10),
        beat("connector_host", "Own", ConnectorHostState(connector="Own", opened=True), cpu_ms=20, resident_bytes=9),
    ]


def lines_of(tmp_path: Path, *beats: Heartbeat) -> dict[str, float]:
    """Series → value, as a scrape has them."""
    view = View(tmp_path)
    view.show(snapshot_of(*beats))
    rows = [line for line in Exposition(view).text().decode().splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in (row.rpartition(" ") for row in rows)}


def test_histograms_are_cumulative_and_have_all_bounds(tmp_path: Path) -> None:
    """What takes long is in each bucket above, and nothing is left out."""
    found = lines_of(tmp_path, *busy())
    name = "serialgw_delivery_duration_seconds"
    assert found[f'{name}_bucket{{device="press",le="0.005"}}'] == 1
    assert found[f'{name}_bucket{{device="press",le="0.25"}}'] == 2
    assert found[f'{name}_bucket{{device="press",le="600.0"}}'] == 2
    assert found[f'{name}_bucket{{device="press",le="+Inf"}}'] == 3
    assert found[f'{name}_count{{device="press"}}'] == 3
    assert found[f'{name}_sum{{device="press"}}'] == 700.204
    assert found['serialgw_publish_duration_seconds_bucket{le="0.005"}'] == 1
    assert found['serialgw_call_duration_seconds_bucket{le="2.5"}'] == 1


def test_labels_of_closed_sets_are_there_at_0(tmp_path: Path) -> None:
    """The first dead letter of a kind would be no increase otherwise."""
    found = lines_of(tmp_path, *busy())
    dead = {reason: found[f'serialgw_dead_letters_total{{device="press",reason="{reason}"}}'] for reason in KINDS}
    assert {reason: count for reason, count in dead.items() if count} == {"joined": 2, "refused": 1}
    calls = {end: found[f'serialgw_calls_total{{outcome="{end}"}}'] for end in ENDS}
    assert {end: count for end, count in calls.items() if count} == {"ok": 5, "no_answer": 1}
    codes = {code: found[f'serialgw_publishes_refused_total{{code="{code}"}}'] for code in ("128", "151", "200")}
    assert codes == {"128": 0, "151": 4, "200": 1}


def test_ages_limits_and_usage_are_shown(tmp_path: Path) -> None:
    """In seconds and bytes, and moments on the wall clock; no memory where the system has not said any."""
    found = lines_of(tmp_path, *busy())
    assert found['serialgw_journal_limit_frames{device="press"}'] == 100
    assert found['serialgw_journal_limit_bytes{device="press"}'] == 5_000
    assert found["serialgw_rate_limit_interval_seconds"] == 0.5
    assert found["serialgw_calls_open"] == 2
    assert found['serialgw_process_cpu_seconds_total{kind="port_reader",name="press"}'] == 1.5
    assert found['serialgw_process_resident_memory_bytes{kind="port_reader",name="press"}'] == 10**7
    assert 'serialgw_process_resident_memory_bytes{kind="publisher",name="0"}' not in found
    samples = samples_of(snapshot_of(*busy(), later_s=4), OUTSIDE, Starts())
    oldest = [one for one in samples if one.metric.name.startswith("journal_oldest") and one.labels == ("press",)]
    assert [one.value for one in oldest if isinstance(one, Sample)] == [OUTSIDE.wall_s - 34]


def test_a_start_is_told_as_it_was_found_until_there_is_another(tmp_path: Path) -> None:
    """A heartbeat that came a little late is no restart; another instance is one."""
    starts = Starts()

    def started(late_s: float, instance: str) -> float:
        one = beat("publisher", "0", PublisherState()).replace(instance=instance)
        outside = OUTSIDE._replace(now_s=OUTSIDE.now_s + late_s)
        samples = samples_of(snapshot_of(one, later_s=4), outside, starts)
        return next(
            one.value for one in samples if isinstance(one, Sample) and one.metric.name.startswith("process_start")
        )

    first = started(0.0, "a")
    assert started(0.01, "a") == first
    assert started(0.01, "b") != first
    assert started(0.0, "b") != first


def test_a_process_of_several_devices_is_counted_once(tmp_path: Path) -> None:
    """It beats for each of them, with the same processor time."""
    first, *rest = busy()
    found = lines_of(tmp_path, first, first.replace(name="second"), *rest)
    rows = [series for series in found if series.startswith("serialgw_process_cpu_seconds_total")]
    assert sum('kind="port_reader"' in row for row in rows) == 1


def test_heartbeats_of_other_bounds_or_of_none_give_no_histogram(tmp_path: Path) -> None:
    """An older process says nothing of it, a newer one perhaps something else."""
    old = beat("port_reader", "press", PortReaderState(device="press"))
    odd = beat("publisher", "0", PublisherState(link="up", published=[1.0, 2.0]))
    found = lines_of(tmp_path, old, odd)
    assert not [series for series in found if "duration_seconds" in series]
    assert found['serialgw_dead_letters_total{device="press",reason="other"}'] == 0


def test_codes_are_bounded_whatever_a_heartbeat_says(tmp_path: Path) -> None:
    """Each would be a series."""
    found = lines_of(tmp_path, beat("publisher", "0", PublisherState(refused_codes={str(n): 1 for n in range(1000)})))
    assert len([series for series in found if series.startswith("serialgw_publishes_refused_total")]) == 32


def test_promtool_finds_nothing_to_say_about_histograms(tmp_path: Path) -> None:
    """With everything shown."""
    view = View(tmp_path)
    view.show(snapshot_of(*healthy(), *busy()))
    tool = shutil.which("promtool")
    assert tool, "promtool is missing: apt-get install prometheus"
    done = subprocess.run([tool, "check", "metrics"], input=Exposition(view).text(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
