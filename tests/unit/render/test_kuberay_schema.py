"""A rendered RayService has only fields that KubeRay knows, of the types that it takes.

``FREEHOLD_KUBERAY_CRDS`` names a folder with KubeRay's own ``ray.io_rayservices.yaml``; then the
whole object is held to it, pods included. Without it the object is held to the fields of KubeRay
1.7 that Freehold writes, as they are listed below; pods only so far as their outer fields.
"""

from __future__ import annotations

import copy
import functools
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from tests.unit.render.rendered import (
    Planned,
    case_files,
    mappings,
    planned,
    planned_file,
    service_of,
    two_nodes,
)

VARIABLE = "FREEHOLD_KUBERAY_CRDS"
Schema = dict[str, Any]

STRING, INTEGER, BOOLEAN = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
STRINGS = {"type": "object", "additionalProperties": STRING}


def of(*required: str, **properties: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


_CONTAINER = of(
    "name",
    name=STRING,
    image=STRING,
    env={"type": "array", "items": {"type": "object"}},
    envFrom={"type": "array", "items": {"type": "object"}},
    ports={"type": "array", "items": of(name=STRING, containerPort=INTEGER)},
    lifecycle={"type": "object"},
    readinessProbe={"type": "object"},
    resources=of(requests=STRINGS, limits=STRINGS),
    volumeMounts={"type": "array", "items": of(name=STRING, mountPath=STRING, readOnly=BOOLEAN)},
)
_POD = of(
    "containers",
    affinity={"type": "object"},
    containers={"type": "array", "items": _CONTAINER},
    imagePullSecrets={"type": "array", "items": STRINGS},
    priorityClassName=STRING,
    serviceAccountName=STRING,
    tolerations={"type": "array", "items": STRINGS},
    volumes={"type": "array", "items": {"type": "object"}},
)
_TEMPLATE = of(metadata=of(labels=STRINGS), spec=_POD)
_GROUP = of(
    *("groupName", "maxReplicas", "minReplicas", "template"),
    groupName=STRING,
    replicas=INTEGER,
    minReplicas=INTEGER,
    maxReplicas=INTEGER,
    numOfHosts=INTEGER,
    rayStartParams=STRINGS,
    scaleStrategy=of(workersToDelete={"type": "array", "items": STRING}),
    template=_TEMPLATE,
)
_CLUSTER = of(
    "headGroupSpec",
    rayVersion=STRING,
    enableInTreeAutoscaling=BOOLEAN,
    autoscalerOptions=of(version={"enum": ["v1", "v2"]}, idleTimeoutSeconds=INTEGER),
    authOptions=of(mode={"enum": ["disabled", "token"]}, secretName=STRING),
    gcsFaultToleranceOptions=of(
        redisAddress=STRING,
        redisPassword=of(valueFrom=of(secretKeyRef=of("key", name=STRING, key=STRING))),
    ),
    headGroupSpec=of("template", rayStartParams=STRINGS, template=_TEMPLATE),
    workerGroupSpecs={"type": "array", "items": _GROUP},
)
OWN_LIST = of(
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayService"},
    metadata=of("name", name=STRING, namespace=STRING, labels=STRINGS),
    spec=of(
        "rayClusterConfig",
        suspend=BOOLEAN,
        upgradeStrategy=of(type=STRING),
        excludeHeadPodFromServeSvc=BOOLEAN,
        serveConfigV2=STRING,
        rayClusterConfig=_CLUSTER,
    ),
)


@functools.cache
def schema() -> Schema:
    """Return the schema to hold objects to, closed to unknown fields, and say which it is."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        sys.stdout.write(f"{VARIABLE} is not set: held to the list in {Path(__file__).name}\n")
        return dict(closed(OWN_LIST))
    path = Path(folder) / "ray.io_rayservices.yaml"
    sys.stdout.write(f"held to {path}\n")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    versions = yaml.load(path.read_bytes(), Loader=loader)["spec"]["versions"]
    (found,) = [it["schema"]["openAPIV3Schema"] for it in versions if it["name"] == "v1"]
    found["properties"]["metadata"] = OWN_LIST["properties"]["metadata"]
    return dict(closed(found))


def closed(value: Any) -> Any:
    """Return a structural schema that refuses the fields that the API server would drop."""
    if isinstance(value, list):
        return [closed(item) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: closed(item) for key, item in value.items()}
    # a property may be called "type" or "properties", then its value is a schema and no word
    is_object = isinstance(value.get("properties"), dict) and value.get("type") == "object"
    if is_object and not value.get("x-kubernetes-preserve-unknown-fields"):
        result.setdefault("additionalProperties", False)
    if value.get("x-kubernetes-int-or-string") is True:
        result["type"] = ["integer", "string"]
    return result


def problems(service: dict[str, Any]) -> list[str]:
    errors = Draft202012Validator(schema()).iter_errors(service)
    return [f"{error.json_path}: {error.message}" for error in errors]


def services() -> list[Any]:
    items: dict[str, Planned] = {
        name: planned_file(path)
        for name, path in case_files().items()
        if name != "gemma-3-270m"  # refused: no image for its class
    }
    items |= {"two-nodes": two_nodes(), "suspended": planned(suspend=True)}
    return [pytest.param(service_of(item), id=name) for name, item in items.items()]


@pytest.mark.parametrize("service", services())
def test_kuberay_knows_every_field(service: dict[str, Any]) -> None:
    assert problems(service) == []


def test_the_schema_refuses_what_kuberay_would_drop() -> None:
    """So that the test above would see a typo: one at each level, pods and all."""
    service = service_of(two_nodes())
    levels = [place for place, _ in mappings(service) if not _free(place)]
    assert len(levels) > 25
    for place in levels:
        changed: Any = copy.deepcopy(service)
        inner = changed
        for part in place:
            inner = inner[part]
        inner["replica"] = 1
        assert problems(changed), place


def _free(place: tuple[Any, ...]) -> bool:
    """Return whether any key is allowed there, or the short list does not look so far."""
    open_maps = {"labels", "rayStartParams", "limits", "requests"}
    unlisted = {"affinity", "env", "volumes", "readinessProbe"}
    beyond = unlisted if not os.environ.get(VARIABLE) else set()
    return place[-1:] in {(name,) for name in open_maps} or bool({*place} & beyond)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("suspend",), "no"),
        (("serveConfigV2",), {}),
        (("rayClusterConfig", "autoscalerOptions", "version"), "v3"),
        (("rayClusterConfig", "authOptions", "mode"), "none"),
        (("rayClusterConfig", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("rayClusterConfig", "workerGroupSpecs", 0, "numOfHosts"), "2"),
        (("rayClusterConfig", "workerGroupSpecs", 0, "maxReplicas"), None),
    ],
)
def test_the_schema_refuses_wrong_types(place: tuple[Any, ...], value: Any) -> None:
    service = service_of(planned())
    inner = service["spec"]
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    assert len(problems(service)) == 1
