"""A real Prometheus scrapes a monitor of 64 devices, and runs every rule and every expression of every dashboard."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import yaml

from common.config.taken import write_taken
from services.monitor.core.metrics import exported
from tests.support.waiting import wait_until
from tests.web.many import ManyDevices
from tests.web.test_rules import RULES
from tests.web.test_server import free_port

BOARDS: Final = sorted((Path(__file__).parents[2] / "deploy" / "grafana").glob("*.json"))
SCRAPES: Final = 5
"""After so many everything that rises has been seen to rise."""
MOST_SCRAPE_S: Final = 1.0
"""Of 64 devices, on a machine that does something else besides."""
PLACES: Final = {"$__rate_interval": "1m", "$__range": "5m", "$instance": ".+", "$device": ".+", "$datasource": "any"}


class Prometheus:
    """One that scrapes a monitor each second."""

    def __init__(self, folder: Path, target: str) -> None:
        self._port = free_port()
        scrape = {"job_name": "serialgw", "static_configs": [{"targets": [target]}]}
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [scrape],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        program = shutil.which("prometheus")
        assert program, "prometheus is missing: apt-get install prometheus"
        places = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        self._log = (folder / "prometheus.log").open("wb")
        self._process = subprocess.Popen(
            [program, *places, f"--web.listen-address=127.0.0.1:{self._port}"], stderr=self._log, stdout=self._log
        )

    def ask(self, path: str) -> Any:
        """The data of an answer, or why there is none."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request("GET", path)
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert answer["status"] == "success", f"{path}: {answer.get('error')}"
        return answer["data"]

    def query(self, expression: str) -> list[Any]:
        """What an expression gives now."""
        found: list[Any] = self.ask(f"/api/v1/query?query={quote(expression)}")["result"]
        return found

    def has_scraped(self) -> bool:
        try:
            found = self.query('count_over_time(up{job="serialgw"}[1m])')
        except (OSError, ValueError):
            return False  # It does not listen yet, or is not ready.
        return bool(found) and int(found[0]["value"][1]) >= SCRAPES

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    with ManyDevices(folder) as gateway:
        gateway.wait()
        write_taken(gateway.data_dir, {})  # As `serialgw run` does at its start.
        found = Prometheus(folder, gateway.link)
        next_s = 0.0

        def is_done() -> bool:
            nonlocal next_s
            if time.monotonic() >= next_s:
                next_s = time.monotonic() + 1.0
                gateway.beat()
            return found.has_scraped()

        try:
            wait_until(is_done, "Prometheus has scraped the monitor", 90.0)
            yield found
        finally:
            found.close()


def expressions_of(board: Path) -> list[tuple[str, str]]:
    """(title, expression) of each panel of a dashboard, with values for its variables."""
    found = []
    for panel in json.loads(board.read_text())["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for place, value in PLACES.items():
                expression = expression.replace(place, value)
            found.append((panel["title"], expression))
    return found


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.stem)
def test_every_panel_shows_something(prometheus: Prometheus, board: Path) -> None:
    """Each expression is understood, and finds what it asks for."""
    found = expressions_of(board)
    assert len(found) > 10
    for title, expression in found:
        assert "$" not in expression, title
        assert prometheus.query(expression), f"{title}: nothing for {expression}"


def test_every_rule_is_run(prometheus: Prometheus) -> None:
    """Without an error. None of them fires so soon but those that wait for nothing."""
    groups = prometheus.ask("/api/v1/rules")["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    assert len(found) > 15
    assert {rule["health"] for rule in found} <= {"ok", "unknown"}
    for rule in found:
        prometheus.query(rule["query"])
        assert not rule.get("lastError"), rule


def test_every_metric_is_scraped_with_its_type_and_its_help(prometheus: Prometheus) -> None:
    """All that the table has, for a gateway that has one of each kind of process."""
    known = prometheus.ask("/api/v1/metadata")
    for metric in exported.ALL:
        # Prometheus keeps what stands behind `# TYPE`, which is the name without `_total` in no format of ours.
        assert metric.full_name in known, metric.full_name
        assert known[metric.full_name][0]["type"] == metric.kind
        assert known[metric.full_name][0]["help"] == metric.help


def test_a_scrape_of_64_devices_is_quick_and_bounded(prometheus: Prometheus) -> None:
    """At most 100 series a device, beside what there is once."""
    (took,) = prometheus.query("max_over_time(scrape_duration_seconds[1m])")
    assert float(took["value"][1]) < MOST_SCRAPE_S
    (samples,) = prometheus.query("scrape_samples_scraped")
    assert 64 * 50 < int(samples["value"][1]) < 64 * 110 + 500


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.stem)
def test_dashboards_work_in_anybodys_grafana(board: Path) -> None:
    """The data source is a variable, as only so a provisioned dashboard finds one; identifiers stay; panels don't
    overlap."""
    text = board.read_text()
    found = json.loads(text)
    assert found["uid"] == f"serialgw-{board.stem}"
    assert "__inputs" not in found
    assert "${DS_" not in text
    variables = {one["name"]: one["type"] for one in found["templating"]["list"]}
    assert variables["datasource"] == "datasource"
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    for link in found["links"]:
        assert link["url"].removeprefix("/d/serialgw-") in {other.stem for other in BOARDS}
