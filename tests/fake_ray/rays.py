"""All the Ray clusters that the fake stands for, and the models that they serve."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fake_ray import details
from tests.fake_ray.serve import Application, declared, phase
from tests.fake_ray.steering import Asked, Steering

# KubeRay names a RayService's clusters after it, with five random characters.
_CLUSTER = re.compile(r"(?P<model>.+)-[bcdfghjklmnpqrstvwxz2456789]{5}$")


@dataclass(slots=True)
class Cluster:
    """One Ray cluster, under the name of its RayCluster."""

    namespace: str
    name: str
    born: float
    put: dict[str, Any] | None = None
    applications: dict[str, Application] = field(default_factory=dict)

    @property
    def model(self) -> str:
        match = _CLUSTER.match(self.name)
        return match["model"] if match else self.name


class Rays:
    """The state of the fake.

    Args:
        seconds: How long an application takes from DEPLOYING to RUNNING.
        clock: Seconds that only grow.
    """

    def __init__(self, seconds: float = 0.2, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        self.clusters: dict[tuple[str, str], Cluster] = {}
        self.hosts: dict[str, int] = {}
        self._steering: dict[tuple[str, str], Steering] = {}
        self._as_before: dict[tuple[str, str], Steering] = {}
        self._asked: dict[tuple[str, str], Asked] = {}

    def steering(self, namespace: str, model: str) -> Steering:
        """Return how one model is steered."""
        return self._steering.get((namespace, model), Steering())

    def steering_of(self, cluster: Cluster) -> Steering:
        """Return how one cluster of a model is steered."""
        before = self._as_before.get((cluster.namespace, cluster.name))
        return before or self.steering(cluster.namespace, cluster.model)

    def steer(self, namespace: str, model: str, steering: Steering) -> None:
        """Steer one model, from the next answer on."""
        for cluster in self._of(namespace, model):
            place = (namespace, cluster.name)
            before = self.steering_of(cluster)
            self._as_before.pop(place, None)
            if steering.next_only:
                self._as_before[place] = before
        self._steering[(namespace, model)] = steering
        if steering.target is not None:
            for cluster in self._of(namespace, model):
                self._scale(cluster, steering.target)

    def asked(self, namespace: str, model: str) -> Asked:
        """Return the counts of one model."""
        return self._asked.setdefault((namespace, model), Asked())

    def cluster(self, namespace: str, name: str) -> Cluster:
        """Return a cluster by its name; one that nothing was put into is empty."""
        found = self.clusters.get((namespace, name))
        return found or Cluster(namespace, name, self._clock())

    def serving(self, namespace: str, model: str) -> Cluster | None:
        """Return the newest cluster of a model that runs all it was given, else the newest."""
        found = sorted(self._of(namespace, model), key=lambda item: item.born)
        running = [item for item in found if self._runs(item)]
        return next(reversed(running or found), None)

    def restart_head(self, namespace: str, model: str) -> None:
        """Forget the applications of a model's clusters, as a new head without storage does."""
        for cluster in self._of(namespace, model):
            cluster.put, cluster.applications = None, {}

    def put(self, cluster: Cluster, config: dict[str, Any]) -> None:
        """Take a Serve config: applications that it does not list are gone."""
        self.clusters.setdefault((cluster.namespace, cluster.name), cluster)
        self.asked(cluster.namespace, cluster.model).declared += 1
        old, now = cluster.applications, self._clock()
        cluster.put = config
        refuses = self.steering_of(cluster).refuses
        cluster.applications = {
            item["name"]: declared(
                old.get(item["name"]),
                item,
                now,
                self.seconds,
                refused=bool(refuses) and refuses in json.dumps(item),
            )
            for item in config.get("applications") or []
        }

    def details(self, cluster: Cluster) -> dict[str, Any]:
        """Return what the cluster's dashboard says."""
        steering = self.steering_of(cluster)
        applications = {
            name: details.application(
                item, phase(item, steering, self._clock(), self.seconds), steering
            )
            for name, item in cluster.applications.items()
        }
        return details.instance(applications, cluster.put)

    def models(self, cluster: Cluster) -> list[str]:
        """Return the names under which a cluster's applications serve models."""
        return [
            item["model_loading_config"]["model_id"]
            for application in (it.running for it in cluster.applications.values())
            if application is not None
            for item in (application.config.get("args") or {}).get("llm_configs") or []
        ]

    def wake(self, cluster: Cluster) -> None:
        """Have one replica at least, as Serve has when a request comes."""
        for application in cluster.applications.values():
            for part in application.deployments:
                part.scale(max(1, len(part.replicas)))

    def _of(self, namespace: str, model: str) -> list[Cluster]:
        found = self.clusters.values()
        return [item for item in found if (item.namespace, item.model) == (namespace, model)]

    def _runs(self, cluster: Cluster) -> bool:
        steering, now = self.steering_of(cluster), self._clock()
        found = cluster.applications.values()
        phases = [phase(item, steering, now, self.seconds) for item in found]
        return bool(phases) and all(item.status == "RUNNING" for item in phases)

    def _scale(self, cluster: Cluster, target: int) -> None:
        for application in cluster.applications.values():
            for part in application.deployments:
                if part.serves_the_model:
                    part.scale(target)
