"""What the operator tells Prometheus; ``docs/metrics.md`` lists it, and a test compares."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from freehold.controller.queue import Key
from freehold.controller.scaling_metrics import ScalingMetrics

# A pass came to its end; or something could not be reached, and it is tried again; or it met an
# error that nobody foresaw.
PassOutcome = Literal["done", "retried", "crashed"]

# A pass that writes nothing takes a millisecond or two, one that creates a model some requests.
_PASS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All metrics of one operator process, in the registry that was given."""

    def __init__(self, registry: CollectorRegistry, *, version: str) -> None:
        """Register every metric.

        Args:
            registry: Where they are collected from.
            version: Freehold's.
        """
        self.registry = registry
        Info("freehold_build", "The operator's version.", registry=registry).info(
            {"version": version}
        )
        self._leader = Gauge(
            "freehold_leader",
            "1 while this process holds the lease and writes, 0 while it waits.",
            registry=registry,
        )
        self._queue_depth = Gauge(
            "freehold_queue_depth",
            "ModelDeployments that wait for a worker.",
            registry=registry,
        )
        self._queue_age = Gauge(
            "freehold_queue_oldest_seconds",
            "How long the first of them has waited.",
            registry=registry,
        )
        self._running = Gauge(
            "freehold_pass_longest_running_seconds",
            "How long the oldest pass that is under way has taken so far.",
            registry=registry,
        )
        self._passes = Histogram(
            "freehold_pass_duration_seconds",
            "Time of one pass over one ModelDeployment, by how it ended: "
            "done, retried later, or crashed by an error that nobody foresaw.",
            ["outcome"],
            buckets=_PASS_SECONDS,
            registry=registry,
        )
        self._requests = Counter(
            "freehold_api_requests_total",
            "Requests to the API server without the watches, by verb, resource and status code; "
            "code 0 where no answer came.",
            ["verb", "resource", "code"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "freehold_api_request_duration_seconds",
            "Time of one request to the API server.",
            ["verb", "resource"],
            buckets=_CALL_SECONDS,
            registry=registry,
        )
        self._conditions = _Conditions()
        registry.register(self._conditions)
        self._scaling = ScalingMetrics()
        registry.register(self._scaling)
        ProcessCollector(registry=registry)

    def api_call(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Count a request that has ended; ``KubeClient`` calls it."""
        self._requests.labels(verb, resource, str(code)).inc()
        self._request_seconds.labels(verb, resource).observe(seconds)

    def pass_ended(self, outcome: PassOutcome, seconds: float) -> None:
        """Count a pass."""
        self._passes.labels(outcome).observe(seconds)

    def model_seen(self, key: Key, status: Mapping[str, Any]) -> None:
        """Take a ModelDeployment's status in place of the one it had; {} where it is gone."""
        conditions = status.get("conditions") or ()
        self._conditions.replace(key, [(each["type"], each["status"]) for each in conditions])
        self._scaling.replace(key, status.get("scaling") or {})

    def model_gone(self, key: Key) -> None:
        """Forget a ModelDeployment."""
        self.model_seen(key, {})

    def read_leader(self, leads: Callable[[], bool]) -> None:
        """Ask at each scrape whether this process leads."""
        self._leader.set_function(leads)

    def read_queue(
        self,
        depth: Callable[[], int],
        oldest: Callable[[], float],
        longest_running: Callable[[], float],
    ) -> None:
        """Ask at each scrape how the queue stands; the last two are in seconds."""
        self._queue_depth.set_function(depth)
        self._queue_age.set_function(oldest)
        self._running.set_function(longest_running)


class _Conditions(Collector):
    """Counts ModelDeployments by condition, as they change: a scrape walks over no object."""

    def __init__(self) -> None:
        self._of_model: dict[Key, list[tuple[str, str]]] = {}
        self._counts: Counts[tuple[str, str]] = Counts()

    def replace(self, key: Key, conditions: list[tuple[str, str]]) -> None:
        self._counts.subtract(self._of_model.pop(key, []))
        if conditions:
            self._of_model[key] = conditions
            self._counts.update(conditions)

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "freehold_modeldeployment_conditions",
            "ModelDeployments by condition and its status.",
            labels=["type", "status"],
        )
        for (type_, status), count in sorted(self._counts.items()):
            family.add_metric([type_, status], count)
        yield family
