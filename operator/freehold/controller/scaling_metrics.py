"""What Prometheus is told of each model's scaling: what its status says, number by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from freehold.api.scalars import duration_seconds
from freehold.controller.queue import Key
from freehold.status.raw import count, mapping, text

_MODEL = ["namespace", "name"]
_RATES = {"prompt": "promptTokensPerSecond", "generated": "generatedTokensPerSecond"}


class ScalingMetrics(Collector):
    """The last scaling of every model that has one."""

    def __init__(self) -> None:
        """Begin without a model."""
        self._of_model: dict[Key, Mapping[str, Any]] = {}

    def replace(self, key: Key, scaling: Mapping[str, Any]) -> None:
        """Take a model's ``status.scaling``; {} where it has none or is gone."""
        self._of_model.pop(key, None)
        if scaling:
            self._of_model[key] = scaling

    def collect(self) -> Iterator[Metric]:
        """Return what is known now."""
        about = "Requests of a model that run and that wait."
        yield self._numbers("requests", about, ("queued", "running"))
        about = "Replicas of a model that were decided on, that answered then, and that start."
        yield self._numbers("replicas", about, ("desired", "ready", "starting"))
        yield self._rates()
        yield self._cold_starts()
        yield self._reasons()

    def _numbers(self, what: str, about: str, names: tuple[str, ...]) -> GaugeMetricFamily:
        family = _family(what, about, "state")
        for key, scaling in self._of_model.items():
            for name in names:
                if (number := count(scaling.get(name))) is not None:
                    family.add_metric([*key, name], number)
        return family

    def _rates(self) -> GaugeMetricFamily:
        about = "Tokens that a replica works off in a second, as was learned."
        family = _family("tokens_per_second", about, "kind")
        for key, scaling in self._of_model.items():
            for kind, name in _RATES.items():
                if (rate := count(mapping(scaling, "learned").get(name))) is not None:
                    family.add_metric([*key, kind], rate)
        return family

    def _cold_starts(self) -> GaugeMetricFamily:
        about = "Time until a replica that is asked for answers, as was learned."
        family = _family("cold_start_seconds", about)
        for key, scaling in self._of_model.items():
            if took := text(mapping(scaling, "learned").get("coldStart")):
                family.add_metric([*key], duration_seconds(took))
        return family

    def _reasons(self) -> GaugeMetricFamily:
        about = "1 for the reason of the last decision about a model's replicas."
        family = _family("scaling", about, "reason")
        for key, scaling in self._of_model.items():
            family.add_metric([*key, text(scaling.get("reason"))], 1)
        return family


def _family(what: str, about: str, *labels: str) -> GaugeMetricFamily:
    name = f"freehold_modeldeployment_{what}"
    return GaugeMetricFamily(name, about, labels=[*_MODEL, *labels])
