"""The Services that KubeRay makes for a RayCluster and for a RayService."""

from __future__ import annotations

from typing import Any

from tests.kuberay_stand_in.api import Kind, Object

_DEFAULT_PORTS = {
    "client": 10001,
    "dashboard": 8265,
    "gcs-server": 6379,
    "metrics": 8080,
    "serve": 8000,
}


def owner(kind: Kind, item: Object) -> list[Object]:
    """Return the owner references of a child of ``item``."""
    metadata = item["metadata"]
    reference = {"apiVersion": kind.version, "kind": kind.name, "name": metadata["name"]}
    flags = {"controller": True, "blockOwnerDeletion": True}
    return [{**reference, "uid": metadata["uid"], **flags}]


def ports(cluster: Object) -> dict[str, int]:
    """Return the ports of a cluster's head by name: those it names, or KubeRay's own."""
    container = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    named = {
        item.get("name") or f"{item['containerPort']}-port": item["containerPort"]
        for item in container.get("ports") or []
    }
    return {"metrics": _DEFAULT_PORTS["metrics"]} | (named or _DEFAULT_PORTS)


def head_service(cluster: Object) -> Object:
    """Return the Service of a cluster's head, but for its owner."""
    name = cluster["metadata"]["name"]
    labels = {
        "app.kubernetes.io/created-by": "kuberay-operator",
        "app.kubernetes.io/name": "kuberay",
        "ray.io/cluster": name,
        "ray.io/identifier": f"{name}-head",
        "ray.io/node-type": "head",
    }
    return _service(
        cluster,
        f"{name}-head-svc",
        labels,
        {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": labels,
            "ports": [
                {"name": port, "port": number, "appProtocol": "tcp"}
                for port, number in sorted(ports(cluster).items())
            ],
        },
    )


def peers_service(cluster: Object) -> Object:
    """Return the Service by which the hosts of one replica find each other."""
    name = cluster["metadata"]["name"]
    selector = {"ray.io/cluster": name, "ray.io/node-type": "worker"}
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector}
    return _service(cluster, f"{name}-headless", {"ray.io/headless-worker-svc": name}, spec)


def head_service_of(ray_service: Object, cluster: Object) -> Object:
    """Return the RayService's own Service of the head of ``cluster``."""
    name = ray_service["metadata"]["name"]
    labels = _originated(name) | {
        "ray.io/identifier": f"{name}-head",
        "ray.io/node-type": "head",
    }
    return _service(ray_service, f"{name}-head-svc", labels, head_service(cluster)["spec"])


def serve_service_of(ray_service: Object, cluster: Object) -> Object:
    """Return the Service of all of a cluster's pods that take requests."""
    name = ray_service["metadata"]["name"]
    return _service(
        ray_service,
        f"{name}-serve-svc",
        _originated(name) | {"ray.io/serve": f"{name}-serve"},
        {
            "selector": {"ray.io/cluster": cluster["metadata"]["name"], "ray.io/serve": "true"},
            "ports": [
                {"name": port, "port": number}
                for port, number in sorted(ports(cluster).items())
                if port == "serve" or port.startswith("serve-")
            ],
        },
    )


def _originated(name: str) -> dict[str, str]:
    return {"ray.io/originated-from-cr-name": name, "ray.io/originated-from-crd": "RayService"}


def _service(parent: Object, name: str, labels: dict[str, str], spec: dict[str, Any]) -> Object:
    namespace = parent["metadata"]["namespace"]
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec}
