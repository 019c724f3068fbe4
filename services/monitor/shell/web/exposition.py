"""`/metrics` as Prometheus reads it, by prometheus-client."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Final

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as MetricFamily
from prometheus_client.registry import Collector

from common.core.durations import BOUNDS_S
from services.monitor.core.metrics import exported
from services.monitor.core.metrics.collecting import Sample, Spread, Starts, samples_of
from services.monitor.core.metrics.metric import PREFIX, Metric
from services.monitor.shell.web.view import View

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_FAMILIES: Final = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
_LE: Final = (*map(str, BOUNDS_S), "+Inf")


class Exposition:
    """Makes the text of a scrape. There is no registry: what a library counts of itself is not the gateway's."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._starts = Starts()
        self._last: tuple[float, bytes] = (0.0, b"")

    def text(self) -> bytes:
        """The whole text; made once a snapshot, however many ask."""
        taken_s = self._view.snapshot.taken_s
        if self._last[0] != taken_s or not self._last[1]:
            self._last = taken_s, b"".join(self._parts())
        return self._last[1]

    def _parts(self) -> Iterator[bytes]:
        """The text of each metric that has samples. One at a time: what the library makes of a sample is ten times as
        large as the sample, and a process keeps what it has once needed."""
        said: dict[str, list[Sample | Spread]] = {}
        for sample in samples_of(self._view.snapshot, self._view.outside, self._starts):
            said.setdefault(sample.metric.name, []).append(sample)
        for metric in exported.ALL:
            if samples := said.pop(metric.name, None):
                yield generate_latest(_One(metric, samples))


class _One(Collector):
    """The family of one metric."""

    def __init__(self, metric: Metric, samples: list[Sample | Spread]) -> None:
        self._metric = metric
        self._samples = samples

    def collect(self) -> Iterator[MetricFamily]:
        metric = self._metric
        family: Any = _FAMILIES[metric.kind](PREFIX + metric.name, metric.help, labels=metric.labels)
        for sample in self._samples:
            if isinstance(sample, Sample):
                family.add_metric(sample.labels, sample.value)
            else:
                *counts, sum_s = sample.said
                family.add_metric(sample.labels, list(zip(_LE, accumulate(counts), strict=True)), sum_s)
        yield family
