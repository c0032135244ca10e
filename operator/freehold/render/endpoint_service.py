"""The Service at which a model answers: ours, so that it outlives whatever is behind it.

KubeRay's own Service leads to every pod that is ready. Of a replica over several nodes only the
first runs a proxy, and workers come and go with the load; the head's proxy knows every replica and
wakes a model at zero, so this one leads to the head alone, and to the workers besides only where
they are to answer while there is no head.
"""

from __future__ import annotations

from typing import Any

from freehold.api.names import MODEL_LABEL, child_labels

ENDPOINT_PORT = 8000
# KubeRay's labels on pods, which no template overrides; the last one is on every worker, and on a
# head while its proxy is healthy.
_CLUSTER_LABEL = "ray.io/cluster"
HEAD_LABEL = {"ray.io/node-type": "head"}
_ANSWERS = {"ray.io/serve": "true"}


def endpoint_service(model_name: str, namespace: str) -> dict[str, Any]:
    """Return the Service, which leads to any cluster's head until ``leading_to`` names one."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": model_name,
            "namespace": namespace,
            "labels": child_labels(model_name),
        },
        "spec": {
            "type": "ClusterIP",
            "selector": {MODEL_LABEL: model_name, **HEAD_LABEL, **_ANSWERS},
            "ports": [
                {
                    "name": "http",
                    "port": ENDPOINT_PORT,
                    "targetPort": ENDPOINT_PORT,
                    "protocol": "TCP",
                    "appProtocol": "http",
                }
            ],
        },
    }


def leading_to(
    service: dict[str, Any], ray_cluster: str | None, *, to_workers: bool = False
) -> dict[str, Any]:
    """Return the Service as it leads to one RayCluster; None, before there is one, to any.

    Args:
        service: The Service as it is frozen.
        ray_cluster: The RayCluster that serves.
        to_workers: Whether it leads to that one's workers, too: it is what serves now that
            decides, and not the revision that is rolled out.
    """
    if ray_cluster is None:
        return service
    selector = {**service["spec"]["selector"], _CLUSTER_LABEL: ray_cluster}
    if to_workers:
        selector = {name: it for name, it in selector.items() if name not in HEAD_LABEL}
    return {**service, "spec": {**service["spec"], "selector": selector}}


def endpoint_url(model_name: str, namespace: str) -> str:
    """Return the base URL for OpenAI clients inside the cluster.

    >>> endpoint_url("llama", "models")
    'http://llama.models.svc:8000/v1'
    """
    return f"http://{model_name}.{namespace}.svc:{ENDPOINT_PORT}/v1"
