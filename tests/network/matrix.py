"""Who reaches which port of a model's pods, as data.

Tests hold the policies to it by evaluation, and by connecting on a node where an engine enforces
them. The model is ``NAME`` in the namespace ``MODELS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

NAME, OTHER = "llama", "gemma"
MODELS, SEARCH, FOREIGN = "models", "search", "foreign"
KUBERAY_SYSTEM, SYSTEM, MONITORING = "kuberay-system", "freehold-system", "monitoring"
# Namespaces with what labels they bear beside their name.
NAMESPACES: Mapping[str, Mapping[str, str]] = {
    MODELS: {"team": "serving"},
    SEARCH: {"team": "search"},
    FOREIGN: {},
    KUBERAY_SYSTEM: {},
    SYSTEM: {},
    MONITORING: {},
}

Role = Literal["head", "worker"]
# What listens in the pods, by what opens it. The dashboard, its autoscaler and the GCS are the
# head's alone; Ray's workers and a replica's own ports are some of many.
_ON_EVERY_NODE = {
    "Serve's proxy": 8000,
    "Ray's metrics": 8080,
    "HAProxy's statistics": 8404,
    "HAProxy's metrics": 9101,
    "a worker process of Ray": 10002,
    "a replica": 30000,
    "another replica": 31000,
    "the agent": 52365,
}
_ON_THE_HEAD = {
    "the GCS": 6379,
    "the dashboard": 8265,
    "Serve's proxy behind HAProxy": 8500,
    "Ray's client server": 10001,
    "the autoscaler's metrics": 44217,
    "the dashboard's metrics": 44227,
}
PORTS: Mapping[Role, Mapping[str, int]] = {
    "head": _ON_EVERY_NODE | _ON_THE_HEAD,
    "worker": _ON_EVERY_NODE,
}
_SERVE, _DASHBOARD, _METRICS = {8000}, {8265}, {8080, 9101}


class Source(NamedTuple):
    """A pod that connects.

    Attributes:
        namespace: Its namespace.
        labels: Its labels.
    """

    namespace: str
    labels: Mapping[str, str]


_KUBERAY = {"app.kubernetes.io/component": "kuberay-operator"}
SOURCES: Mapping[str, Source] = {
    "the same model": Source(MODELS, {"freehold.dev/model": NAME}),
    "another model of the namespace": Source(MODELS, {"freehold.dev/model": OTHER}),
    "a pod of the namespace": Source(MODELS, {"app": "chat"}),
    "a pod of the search team": Source(SEARCH, {"app": "chat"}),
    "a pod of a foreign namespace": Source(FOREIGN, {"app": "chat"}),
    "a model of the same name in a foreign namespace": Source(
        FOREIGN, {"freehold.dev/model": NAME, "ray.io/node-type": "head"}
    ),
    "KubeRay's operator, by its chart": Source(
        KUBERAY_SYSTEM, {**_KUBERAY, "app.kubernetes.io/name": "kuberay-operator"}
    ),
    "KubeRay's operator, by its manifests": Source(
        KUBERAY_SYSTEM, {**_KUBERAY, "app.kubernetes.io/name": "kuberay"}
    ),
    "a pod beside KubeRay's operator": Source(KUBERAY_SYSTEM, {}),
    "Freehold's operator": Source(
        SYSTEM, {"app.kubernetes.io/name": "freehold", "app.kubernetes.io/instance": "freehold"}
    ),
    "a pod beside Freehold's operator": Source(SYSTEM, {}),
    "Prometheus": Source(MONITORING, {"app.kubernetes.io/name": "prometheus"}),
    "a pod beside Prometheus": Source(MONITORING, {}),
}

# spec.endpoint.allowedNamespaces, and whom it lets to the head's port 8000.
ALLOWED: Mapping[str, dict[str, Any] | None] = {
    "by default": None,
    "Same": {"from": "Same"},
    "All": {"from": "All"},
    "Selector": {"from": "Selector", "selector": {"matchLabels": {"team": "search"}}},
    "Selector of expressions": {
        "from": "Selector",
        "selector": {
            "matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["search"]}]
        },
    },
    "Selector of nothing": {"from": "Selector", "selector": {}},
}
_EVERYWHERE = set(NAMESPACES)
_CLIENTS_IN: Mapping[str, set[str]] = {
    "by default": {MODELS},
    "Same": {MODELS},
    "All": _EVERYWHERE,
    "Selector": {SEARCH},
    "Selector of expressions": _EVERYWHERE - {SEARCH},
    "Selector of nothing": _EVERYWHERE,
}


def expected(allowed: str, source: str, role: Role, *, to_workers: bool = False) -> set[int]:
    """Return the ports that a source is to reach.

    Args:
        allowed: One of ``ALLOWED``.
        source: One of ``SOURCES``.
        role: Which pod of the model it connects to.
        to_workers: Whether clients are led to workers, too.
    """
    if source == "the same model":
        return set(PORTS[role].values())
    client = SOURCES[source].namespace in _CLIENTS_IN[allowed]
    found = set(_SERVE) if client and (role == "head" or to_workers) else set()
    if role == "head" and source.startswith(("KubeRay's operator", "Freehold's operator")):
        found |= _DASHBOARD | _SERVE
    return found | _METRICS if source == "Prometheus" else found
