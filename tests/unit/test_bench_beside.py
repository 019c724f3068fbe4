"""serialgw beside other gateways: the flow that Node-RED gets, what is judged, and what is drawn."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import bench.report
from bench.feeder import first_moments_s, frames_due
from bench.limits import LIMITS, Limit, add_port_sizes, judge_all, keeps_up
from bench.node_red import make_flow
from bench.report import curves, of_beside, plot_curves, scale
from bench.tree import Spent, cpu_clock_s, descendants, tree_pss_mib


def row(rate_hz: float, **more: Any) -> dict[str, Any]:
    """A row of eight lines that kept up."""
    figures = {"p50_ms": 5.0, "p99_ms": 9.0, "lost": 0, "cpu_us_a_frame": 1_000.0, "cpu_percent": 8.0, "pss_mib": 100.0}
    said = {"lines": 8, "rate_hz": rate_hz, "together": False, "frames_hz": round(8 * rate_hz)}
    return {**said, **figures, "written_bytes_a_frame": 0, "start_s": 1.0, **more}


def test_each_line_of_the_flow_ends_at_the_one_mqtt_connection() -> None:
    """Serial in → function → MQTT out with QoS 1, and every wire leads to a node that is there."""
    nodes = {node["id"]: node for node in make_flow([Path("/dev/a"), Path("/dev/b")], 1883)}
    assert [node["port"] for node in nodes.values() if node["type"] == "mqtt-broker"] == ["1883"]
    for index, path in enumerate(["/dev/a", "/dev/b"]):
        first = nodes[f"line{index}-in"]
        assert nodes[first["serial"]]["serialport"] == path
        second = nodes[first["wires"][0][0]]
        assert f"line{index}:" in second["func"]
        last = nodes[second["wires"][0][0]]
        assert (last["type"], last["qos"], last["broker"]) == ("mqtt out", "1", "broker")


def test_lines_speak_spread_over_a_step_or_at_the_same_moments() -> None:
    """What each waits for before its first frame."""
    assert first_moments_s(4, 0.1, together=False) == pytest.approx([0.0, 0.025, 0.05, 0.075])
    assert first_moments_s(4, 0.1, together=True) == [0.0] * 4


def test_a_frame_is_said_at_the_moment_at_which_it_is_due() -> None:
    """A tenth of a second added to the time since the machine's start, and that taken away again, is a little less."""
    start_s = 1_234.567
    due_s = start_s
    for step in range(1, 1_000):
        due_s += 0.1
        assert frames_due(due_s - start_s, 10) == step


def test_a_limit_is_a_number_or_so_many_times_a_peers_figure() -> None:
    """What is on the limit is held."""
    rows = {"slow8": {"serialgw-50": row(10, cpu_us_a_frame=1_500.0), "node-red": row(10)}}
    judged = Limit("slow8", "serialgw-50", "cpu_us_a_frame", 1.5, "node-red").judge(rows)
    assert judged is not None
    assert (judged["value"], judged["most"], judged["held"]) == (1_500.0, 1_500.0, True)
    alone = Limit("slow8", "serialgw-50", "p50_ms", 3.5).judge(rows)
    assert alone is not None
    assert (alone["most"], alone["held"]) == (3.5, False)


def test_nothing_is_judged_beside_what_was_not_measured_or_did_not_keep_up() -> None:
    """Node-RED may be missing; a peer that is overrun is no measure."""
    limit = Limit("mid8", "serialgw-50", "p50_ms", 3.0, "node-red")
    assert limit.judge({}) is None
    assert limit.judge({"mid8": {"serialgw-50": row(100)}}) is None
    overrun = row(100, frames_hz=400)
    assert not keeps_up(overrun)
    assert limit.judge({"mid8": {"serialgw-50": row(100), "node-red": overrun}}) is None


def whole_run() -> dict[str, dict[str, dict[str, Any]]]:
    """Rows of every scenario that is judged."""
    names = ("serialgw-50", "serialgw-0", "reference", "node-red")
    rows = {name: {of: row(10) for of in names} for name in ("slow8", "chorus8")}
    for of in rows["chorus8"].values():
        of["together"] = True
    rows["mid8"] = {of: row(100) for of in names}
    rows["slow64"] = {of: row(1, lines=64, frames_hz=64, pss_mib=380.0) for of in names}
    add_port_sizes(rows)
    return rows


def test_every_limit_is_judged_in_a_whole_run() -> None:
    """One more port takes what 56 more take, by 56."""
    rows = whole_run()
    assert rows["slow64"]["serialgw-50"]["added_port_mib"] == 5.0
    assert len(judge_all(rows)) == len(LIMITS)


def test_curves_have_the_rates_at_which_a_gateway_kept_up() -> None:
    """In the order of the rate; neither lines that speak together, nor more lines, nor what was overrun."""
    rows = whole_run()
    rows["rate3"] = {"serialgw-50": row(3, p50_ms=2.0)}
    rows["rate300"] = {"reference": row(300, frames_hz=1_000)}
    found = curves(rows, "p50_ms")
    assert found["serialgw-50"] == [(3, 2.0), (10, 5.0), (100, 5.0)]
    assert found["reference"] == [(10, 5.0), (100, 5.0)]


def test_the_scale_reaches_as_far_as_the_values() -> None:
    """Marks at 1, 2 and 5 of each power of ten, also where a value is on one."""
    assert scale([0.29, 96.0]) == [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]
    assert scale([10.0]) == [10]
    assert scale([6.0, 7.0]) == [5, 10]


def test_the_page_has_every_gateway_and_every_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of each, and a picture that names all gateways."""
    rows = whole_run()
    text = of_beside({"rows": rows, "limits": judge_all(rows)})
    assert text.count("| Node-RED |") == 4
    assert "| 1.5 times Node-RED's |" in text
    assert "| the reference's |" in text
    assert "| 64 ports at 1 frame/s | serialgw, waiting 50 ms | start to all connected, s | 1.0 | 8 |" in text
    monkeypatch.setattr(bench.report, "PLOTS", tmp_path)
    plot_curves("cpu", "Processor time", rows, "cpu_us_a_frame")
    picture = (tmp_path / "cpu.svg").read_text("utf-8")
    assert all(name in picture for name in ("waiting 50 ms", "waiting 0 ms", "reference", "Node-RED"))


def test_what_a_process_and_its_children_use_is_counted() -> None:
    """Processor time by the kernel's own clock of a process, and a child's memory beside its parent's."""
    assert cpu_clock_s(os.getpid()) == pytest.approx(time.process_time(), abs=0.5)
    spent = Spent(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert set(descendants(os.getpid())) >= {os.getpid(), child.pid}
        assert tree_pss_mib(os.getpid()) > tree_pss_mib(child.pid) > 0
        spent.look()
        assert child.pid in spent.cpu_s_by_process
        assert 0 < spent.cpu_s <= spent.seconds * (os.cpu_count() or 1) + 0.5
        child.communicate(b"\n")
