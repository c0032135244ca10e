"""All that one model becomes on a cluster, in the order in which it is applied."""

from __future__ import annotations

from typing import Any

import yaml

from freehold.api.faults import Fault
from freehold.api.modeldeployment import ModelDeployment
from freehold.plan.plan import Plan
from freehold.render.ray_service import ray_service
from freehold.render.serve_config import serve_application, serve_config, to_yaml


def model_serve_config(model: ModelDeployment, plan: Plan) -> dict[str, Any]:
    """Return the Serve config of a cluster that serves this model alone."""
    application = serve_application(model, plan)
    return serve_config([application] if application else [])


def model_objects(
    model: ModelDeployment, plan: Plan, namespace: str
) -> list[dict[str, Any]] | Fault:
    """Return the model's objects as plain data, or what keeps them from being rendered."""
    service = ray_service(model, plan, to_yaml(model_serve_config(model, plan)), namespace)
    return service if isinstance(service, Fault) else [service]


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
