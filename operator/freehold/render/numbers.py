"""The numbers of a model's objects that the user owns, laid over objects that are frozen.

Objects are rendered and kept with one replica. How many there shall be, and whether the model is
suspended, is written into them last, so that a change of it touches nothing else.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freehold.api.modeldeployment import ModelDeployment, ModelDeploymentSpec
from freehold.render.scaling import replica_bounds
from freehold.render.serve_config import from_yaml, to_yaml

# Reading and writing YAML is most of what a pass without a change would cost.
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the user decides without a new revision.

    Attributes:
        least: Replicas at least.
        most: Replicas at the most; at 0 there is no application at all.
        suspend: Whether the hardware is released.
        initial: Replicas that a cluster which takes over from another one begins with: as many as
            that has, or it falls over. None for a cluster that serves: Serve would go back to them
            at the next change of the spec.
    """

    least: int
    most: int
    suspend: bool = False
    initial: int | None = None

    @property
    def first(self) -> int:
        """Return the replicas to begin with."""
        wanted = self.least if self.initial is None else self.initial
        return min(max(wanted, self.least), self.most)


def numbers_of(spec: ModelDeploymentSpec, initial: int | None = None) -> Numbers:
    """Return the numbers that a spec asks for; a suspended model has no replicas."""
    least, most = replica_bounds(spec)
    return Numbers(least, most, spec.suspend, initial)


def canonical_model(model: ModelDeployment) -> ModelDeployment:
    """Return the model as it is rendered to be frozen: one replica, at work."""
    spec = model.spec
    if spec.autoscaling is None:
        counts: dict[str, Any] = {"replicas": 1}
    else:
        one = {"min_replicas": 1, "max_replicas": 1}
        counts = {"autoscaling": spec.autoscaling.model_copy(update=one)}
    changed = spec.model_copy(update={"suspend": False, **counts})
    return model.model_copy(update={"spec": changed})


def with_numbers(
    service: Mapping[str, Any], numbers: Numbers, deployment: str, group: str
) -> dict[str, Any]:
    """Return a RayService with the user's numbers.

    Args:
        service: The RayService, with any numbers.
        numbers: The user's.
        deployment: Name of the Serve deployment that runs the engine.
        group: Name of the worker group that it runs on.
    """
    spec = service["spec"]
    cluster = spec["rayClusterConfig"]
    groups = [
        {**item, **_group_counts(numbers)} if item["groupName"] == group else item
        for item in cluster["workerGroupSpecs"]
    ]
    overlaid = {
        # left out where it is false, as KubeRay does
        **({"suspend": True} if numbers.suspend else {}),
        **{name: value for name, value in spec.items() if name != "suspend"},
        "serveConfigV2": _serve_text(spec["serveConfigV2"], numbers, deployment),
        "rayClusterConfig": {**cluster, "workerGroupSpecs": groups},
    }
    return {**service, "spec": overlaid}


def with_scaling_settings(
    service: Mapping[str, Any], settings: Mapping[str, Any], deployment: str
) -> dict[str, Any]:
    """Return a RayService whose engine's deployment has another block of scaling settings."""
    config = from_yaml(service["spec"]["serveConfigV2"])
    changed = _with_block(config, settings, deployment)
    return {**service, "spec": {**service["spec"], "serveConfigV2": to_yaml(changed)}}


def first_of(service: Mapping[str, Any], group: str) -> int | None:
    """Return the replicas that a RayService's next cluster begins with, None without the group."""
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return next((it.get("replicas") for it in groups if it["groupName"] == group), None)


def _group_counts(numbers: Numbers) -> dict[str, int]:
    return {
        "replicas": numbers.first,
        "minReplicas": numbers.least,
        "maxReplicas": numbers.most,
    }


@functools.lru_cache(_REMEMBERED)
def _serve_text(text: str, numbers: Numbers, deployment: str) -> str:
    config = from_yaml(text)
    if numbers.most == 0:
        return to_yaml({**config, "applications": []})
    counts = {"min_replicas": numbers.least, "max_replicas": numbers.most}
    if numbers.first > numbers.least:
        counts["initial_replicas"] = numbers.first
    return to_yaml(_with_block(config, counts, deployment))


def _with_block(
    config: Mapping[str, Any], block: Mapping[str, Any], deployment: str
) -> dict[str, Any]:
    """Return a Serve config with these values in the engine's ``autoscaling_config``."""

    def changed(item: dict[str, Any]) -> dict[str, Any]:
        if item["name"] != deployment:
            return item
        return {**item, "autoscaling_config": {**item["autoscaling_config"], **block}}

    applications = [
        {**application, "deployments": [changed(item) for item in application["deployments"]]}
        for application in config["applications"]
    ]
    return {**config, "applications": applications}
