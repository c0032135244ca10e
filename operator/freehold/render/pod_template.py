"""The pod templates of a model's Ray cluster: the head and the workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freehold.api.modeldeployment import ModelDeployment
from freehold.api.names import MODEL_LABEL
from freehold.plan.plan import Plan
from freehold.render.node_choice import NodeChoice
from freehold.render.overlay import overlaid
from freehold.render.pod_size import PodSize, head_size, worker_size
from freehold.render.request_path import DIRECT_ENVIRONMENT
from freehold.render.source_access import source_access

Template = dict[str, Any]

HEAD_CONTAINER = "ray-head"
WORKER_CONTAINER = "ray-worker"
# KubeRay finds the dashboard and the Serve port by these names.
_HEAD_PORTS = {"gcs": 6379, "dashboard": 8265, "client": 10001, "serve": 8000, "metrics": 8080}
_WORKER_PORTS = {"serve": 8000, "metrics": 8080}
_SHARED_MEMORY = "shared-memory"
_RAYLET_HEALTH = "http://localhost:52365/api/local_raylet_healthz"
_PROXY_HEALTH = "http://localhost:8000/-/healthz"
# Images need not have pkill.
_END_PROXY_SOFTLY = """
proxies=$(for it in /proc/[0-9]*; do [[ $(readlink $it/exe) == */haproxy ]] && echo ${it##*/}; done)
kill -USR1 $proxies
while kill -0 $proxies 2>/dev/null; do sleep 0.2; done
:
"""


def head_template(model: ModelDeployment, image: str, *, outlived: bool = False) -> Template:
    """Return the head's template.

    It bears no service account: with the autoscaler in it, KubeRay makes one that may change the
    cluster, and another one could not.

    Args:
        model: The model.
        image: The image.
        outlived: Whether workers answer while there is no head.
    """
    container = _container(HEAD_CONTAINER, image, _HEAD_PORTS, head_size())
    if outlived:
        container["lifecycle"] = _soft_end_of_proxy()
    templates = model.spec.templates
    template = _template(model, {"containers": [container]})
    return _marked(model, overlaid(template, templates.head if templates else None))


def worker_template(
    model: ModelDeployment,
    plan: Plan,
    image: str,
    nodes: NodeChoice,
    *,
    outlives_head: bool = False,
) -> Template:
    """Return the template of the pods of a replica, one for each node that it spans.

    Args:
        model: The model.
        plan: Its plan.
        image: The image.
        nodes: Where the pods may run.
        outlives_head: Whether the pods answer while there is no head.
    """
    container = _container(WORKER_CONTAINER, image, _WORKER_PORTS, worker_size(plan))
    access = source_access(model)
    container["env"] += access.env
    if access.env_from:
        container["envFrom"] = list(access.env_from)
    container["resources"] |= {"limits": dict(nodes.resources)} if nodes.resources else {}
    shared = {"name": _SHARED_MEMORY, "mountPath": "/dev/shm"}
    container["volumeMounts"] = [shared, *access.mounts]
    if plan.layout.nodes > 1:
        container["readinessProbe"] = _raylet_probe()
    elif outlives_head:
        container["readinessProbe"] = _proxy_probe()
    spec: dict[str, Any] = {
        **access.pod,
        "containers": [container],
        "volumes": [_shared_memory(plan), *access.volumes],
        **_placement(nodes),
    }
    templates = model.spec.templates
    template = _template(model, spec, access.labels)
    return _marked(model, overlaid(template, templates.worker if templates else None))


def _template(
    model: ModelDeployment, spec: Mapping[str, Any], labels: Mapping[str, str] | None = None
) -> Template:
    """Return a template with metadata of its own: KubeRay would write an empty one into it."""
    return {"metadata": {"labels": {MODEL_LABEL: model.name, **(labels or {})}}, "spec": dict(spec)}


def _marked(model: ModelDeployment, template: Template) -> Template:
    """Return a template whose label of the model is ours, whatever an overlay says.

    NetworkPolicies go by it: without it pods are open to everyone, and with another model's they
    are let into that model.
    """
    return overlaid(template, {"metadata": {"labels": {MODEL_LABEL: model.name}}})


def _container(name: str, image: str, ports: Mapping[str, int], size: PodSize) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "env": [{"name": key, "value": value} for key, value in DIRECT_ENVIRONMENT.items()],
        "ports": [{"name": key, "containerPort": number} for key, number in ports.items()],
        "resources": {"requests": {"cpu": str(size.cores), "memory": size.memory}},
    }


def _raylet_probe() -> dict[str, Any]:
    """Return a probe for groups over several nodes.

    KubeRay's own also asks Serve's proxy, which runs only where a replica's first process is: the
    other nodes of a replica would never be ready (ray-project/kuberay#2552). What is ready by this
    probe need not have a proxy, and KubeRay's Service leads to all that is ready: a Service of
    such a model must lead to the head, whose proxy knows every replica.
    """
    return _probe(_RAYLET_HEALTH)


def _proxy_probe() -> dict[str, Any]:
    """Return a probe for workers that answer while there is no head.

    KubeRay's own also asks the agent for the raylet, and one failure is enough. The agent asks the
    head, which takes it a second of the probe's two while that is away, so a busy node's worker
    would leave the endpoint just then. What is missed is little: a raylet that ends takes its
    container along.
    """
    return _probe(_PROXY_HEALTH)


def _soft_end_of_proxy() -> dict[str, Any]:
    """Return what a head does before it is killed, for as long as its pod is given.

    Clients keep their connections to a head that goes, and would be cut off in the middle of an
    answer. At this signal HAProxy takes no more, tells clients to connect anew, which leads them to
    workers, and ends with the last answer that is under way (HAProxy's management guide, 4).
    """
    return {"preStop": {"exec": {"command": ["bash", "-c", _END_PROXY_SOFTLY]}}}


def _probe(url: str) -> dict[str, Any]:
    check = f"wget --tries 1 -T 2 -q -O- {url} | grep success"
    return {
        "exec": {"command": ["bash", "-c", check]},
        "initialDelaySeconds": 10,
        "periodSeconds": 5,
        "timeoutSeconds": 3,
        "failureThreshold": 3,
    }


def _shared_memory(plan: Plan) -> dict[str, Any]:
    size = worker_size(plan).shared_memory
    return {"name": _SHARED_MEMORY, "emptyDir": {"medium": "Memory", "sizeLimit": size}}


def _placement(nodes: NodeChoice) -> dict[str, Any]:
    placement: dict[str, Any] = {}
    if nodes.terms:
        terms = [{"matchExpressions": list(term)} for term in nodes.terms]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        placement["affinity"] = {"nodeAffinity": required}
    if nodes.tolerations:
        placement["tolerations"] = list(nodes.tolerations)
    return placement
