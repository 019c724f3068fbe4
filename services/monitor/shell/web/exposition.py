"""`/metrics` as Prometheus reads it, by prometheus-client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.monitor.core.metrics import exported
from services.monitor.core.metrics.collecting import Outside, samples_of
from services.monitor.core.metrics.exported import PREFIX
from services.monitor.shell.web.view import View

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


class Exposition(Collector):
    """Makes the text of a scrape. The registry is our own: what a library counts of itself is not the gateway's."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._last: tuple[float, bytes] = (0.0, b"")

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is depends on who is there."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """A family for each metric that has samples."""
        outside: Outside = self._view.outside
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for metric in exported.ALL:
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            families[metric.name] = kind(PREFIX + metric.name, metric.help, labels=metric.labels)
        for sample in samples_of(self._view.snapshot, outside):
            families[sample.metric.name].add_metric(sample.labels, sample.value)
        yield from (family for family in families.values() if family.samples)

    def text(self) -> bytes:
        """The whole text; made once a snapshot, however many ask."""
        taken_s = self._view.snapshot.taken_s
        if self._last[0] != taken_s or not self._last[1]:
            self._last = taken_s, generate_latest(self._registry)
        return self._last[1]
