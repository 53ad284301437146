"""The sums over all processes, in the formats of Prometheus.

Only the process that shows them imports this module, and with it prometheus_client: 25 ms of a start.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from server.telemetry.cells import Sources
from server.telemetry.instruments import MAX, MIN, SUM, Series

_MERGE: Mapping[str, Callable[[Iterable[float]], float]] = {SUM: sum, MAX: max, MIN: min}


class _Sums(Collector):
    """Adds up the rows of all processes."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        # By name and labels. While workers are renewed with other code, the same metric may be described in two ways:
        # the one that is found last, in the rows of workers, replaces the other.
        found: dict[tuple[str, tuple[Any, ...]], tuple[Series, list[list[float]]]] = {}
        for _, _, row in self._sources():
            for key, place, count in row.entries():
                series = Series.read(key)
                here = found.get((series.name, series.labels))
                if here is None or here[0] != series:
                    here = found[series.name, series.labels] = (series, [])
                here[1].append([*row.cells[place : place + count]])
        families: dict[str, Metric] = {}
        for series, values in found.values():
            family = families.get(series.name)
            if family is None:
                family = families[series.name] = _family(series)
            _add(family, series, values)
        yield from families.values()


class _Processes(Collector):
    """CPU time, memory and open files of each process, as `process_…` with the label `process`."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for name, pid, _ in self._sources():
            collector = ProcessCollector(pid=lambda pid=pid: pid, registry=None)  # type: ignore[misc]
            for read in collector.collect():
                family = families.setdefault(read.name, Metric(read.name, read.documentation, read.type))
                for sample in read.samples:
                    family.add_sample(sample.name, {"process": name}, sample.value)
        yield from families.values()


class Exposition:
    """What `/metrics` shows. First of `sources` is the process that keeps the counters of ended ones."""

    def __init__(self, sources: Sources) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Sums(sources))
        self._registry.register(_Processes(sources))

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """The text and its content type: OpenMetrics if the `Accept` header asks for it, else text format 0.0.4."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


def _family(series: Series) -> Metric:
    names = [name for name, _ in series.labels]
    kinds: dict[str, Any] = {
        "counter": CounterMetricFamily,
        "gauge": GaugeMetricFamily,
        "histogram": HistogramMetricFamily,
    }
    family: Metric = kinds[series.kind](series.name, series.description, labels=names)
    return family


def _add(family: Any, series: Series, values: list[list[float]]) -> None:
    labels = [value for _, value in series.labels]
    if series.kind == "histogram":
        *counts, total = (sum(each) for each in zip(*values, strict=True))
        buckets, sofar = [], 0.0
        for bound, count in zip([*series.extra, math.inf], counts, strict=True):
            sofar += count
            buckets.append(("+Inf" if math.isinf(bound) else str(float(bound)), sofar))
        family.add_metric(labels, buckets=buckets, sum_value=total)
    elif series.kind == "counter":
        family.add_metric(labels, sum(each[0] for each in values))
    else:
        known = [each[0] for each in values if not math.isnan(each[0])]
        if known:
            family.add_metric(labels, _MERGE[series.extra[0]](known))
