"""All that one model becomes on a cluster, in the order in which it is applied."""

from __future__ import annotations

from typing import Any

import yaml

from freehold.api.faults import Fault
from freehold.api.modeldeployment import ModelDeployment
from freehold.plan.plan import Plan
from freehold.render.api_keys import token_secret_name
from freehold.render.endpoint_service import endpoint_service
from freehold.render.gcs_fault_tolerance import GcsFaultTolerance
from freehold.render.network_policies import network_policies
from freehold.render.numbers import canonical_model, numbers_of, with_numbers
from freehold.render.ray_service import ray_service
from freehold.render.scaling import surge_percent
from freehold.render.serve_config import (
    serve_application,
    serve_config,
    server_deployment_name,
    to_yaml,
)
from freehold.render.serving_config_map import serving_config_map
from freehold.render.source_pin import UNPINNED, SourcePin


def model_serve_config(
    model: ModelDeployment, plan: Plan, pin: SourcePin = UNPINNED
) -> dict[str, Any]:
    """Return the Serve config of a cluster that serves this model alone."""
    application = serve_application(model, plan, pin=pin, surge_percent=surge_percent(model.spec))
    return serve_config([application] if application else [])


def canonical_objects(
    model: ModelDeployment,
    plan: Plan,
    namespace: str,
    archive: bytes,
    pin: SourcePin = UNPINNED,
    uid: str | None = None,
    tolerance: GcsFaultTolerance | None = None,
) -> list[dict[str, Any]] | Fault:
    """Return the objects as they are frozen: with one replica, led to by any cluster.

    Args:
        model: The model; its replicas and ``suspend`` are not looked at.
        plan: Its plan.
        namespace: Namespace of the objects.
        archive: The code that runs inside Ray.
        pin: What the model's source is held to.
        uid: The model's uid; None for objects to look at.
        tolerance: Where Ray keeps its state; None for in the head alone.

    Returns:
        ConfigMap, RayService and Service, or what keeps them from being rendered.
    """
    one = canonical_model(model)
    text = to_yaml(model_serve_config(one, plan, pin))
    config_map = serving_config_map(model.name, namespace, archive)
    code, tokens = config_map["metadata"]["name"], token_secret_name(model.name, uid)
    service = ray_service(one, plan, text, namespace, code, tokens, tolerance)
    if isinstance(service, Fault):
        return service
    return [config_map, service, endpoint_service(model.name, namespace)]


def model_objects(
    model: ModelDeployment, plan: Plan, namespace: str, archive: bytes
) -> list[dict[str, Any]] | Fault:
    """Return the model's objects with its own numbers, or what keeps them from being rendered.

    With the NetworkPolicies of an installation whose settings are the usual ones.
    """
    objects = canonical_objects(model, plan, namespace, archive)
    if isinstance(objects, Fault):
        return objects
    numbers, deployment = numbers_of(model.spec), server_deployment_name(model.served_name)
    numbered = [
        with_numbers(item, numbers, deployment, plan.candidate)
        if item["kind"] == "RayService"
        else item
        for item in objects
    ]
    return [*network_policies(model, namespace), *numbered]


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and a value that occurs twice, twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def object_yaml(value: dict[str, Any]) -> str:
    """Return an object as YAML for people and kubectl, the same bytes for the same object."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
