"""`/metrics` as Prometheus reads it, by prometheus-client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as MetricFamily
from prometheus_client.registry import Collector

from common.core.durations import BOUNDS_S
from services.monitor.core.metrics import exported
from services.monitor.core.metrics.collecting import Outside, Sample, Starts, samples_of
from services.monitor.core.metrics.metric import PREFIX, Metric
from services.monitor.shell.web.view import View

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_Family = Any
"""The library's families have no base with the method that is used here."""
_FAMILIES: Final = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
_LE: Final = (*map(str, BOUNDS_S), "+Inf")


class Exposition(Collector):
    """Makes the text of a scrape. The registry is our own: what a library counts of itself is not the gateway's."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._starts = Starts()
        self._last: tuple[float, bytes] = (0.0, b"")

    def describe(self) -> Iterable[MetricFamily]:
        """Nothing: what there is depends on who is there."""
        return ()

    def collect(self) -> Iterator[MetricFamily]:
        """A family for each metric that has samples."""
        outside: Outside = self._view.outside
        families: dict[str, _Family] = {metric.name: _family_of(metric) for metric in exported.ALL}
        for sample in samples_of(self._view.snapshot, outside, self._starts):
            family = families[sample.metric.name]
            if isinstance(sample, Sample):
                family.add_metric(sample.labels, sample.value)
            else:
                *counts, sum_s = sample.said
                family.add_metric(sample.labels, list(zip(_LE, accumulate(counts), strict=True)), sum_s)
        yield from (family for family in families.values() if family.samples)

    def text(self) -> bytes:
        """The whole text; made once a snapshot, however many ask."""
        taken_s = self._view.snapshot.taken_s
        if self._last[0] != taken_s or not self._last[1]:
            self._last = taken_s, generate_latest(self._registry)
        return self._last[1]


def _family_of(metric: Metric) -> _Family:
    return _FAMILIES[metric.kind](PREFIX + metric.name, metric.help, labels=metric.labels)
