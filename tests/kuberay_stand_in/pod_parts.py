"""What KubeRay adds to the pods of a RayCluster's templates: containers, volumes, a port."""

from __future__ import annotations

import copy

from tests.kuberay_stand_in import pod_env
from tests.kuberay_stand_in.api import Object
from tests.kuberay_stand_in.ray_start import METRICS_PORT, SHELL

_AUTOSCALER = (
    "ray kuberay-autoscaler --cluster-name $(RAY_CLUSTER_NAME) "
    "--cluster-namespace $(RAY_CLUSTER_NAMESPACE)"
)


def account_of(cluster: Object) -> str:
    """Return the name of the service account of a head that scales its cluster."""
    given = cluster["spec"]["headGroupSpec"]["template"]["spec"].get("serviceAccountName")
    name: str = given or cluster["metadata"]["name"]
    return name


def add_metrics_port(ray: Object) -> None:
    """Name the port of Ray's metrics, where the template does not."""
    ports = ray.setdefault("ports", [])
    if not any(it.get("name") == "metrics" for it in ports):
        ports.append({"name": "metrics", "containerPort": METRICS_PORT})


def add_empty_dir(
    spec: Object, container: Object, name: str, path: str, *, memory: bool = False
) -> None:
    """Mount an empty folder, unless the template mounts something there.

    Args:
        spec: The pod's spec.
        container: Where it is mounted.
        name: The volume's name; it is made once for all containers.
        path: The folder.
        memory: Whether it is one of memory, no larger than the container's.
    """
    mounts = container.setdefault("volumeMounts", [])
    if any(one["mountPath"] == path for one in mounts):
        return
    volumes = spec.setdefault("volumes", [])
    if not any(one["name"] == name for one in volumes):
        resources = container.get("resources") or {}
        found = (resources.get("requests") or {}) | (resources.get("limits") or {})
        size = {"sizeLimit": found["memory"]} if memory and "memory" in found else {}
        volumes.append({"name": name, "emptyDir": ({"medium": "Memory"} if memory else {}) | size})
    mounts.append({"name": name, "mountPath": path})


def wait_for_head(ray: Object, address: str) -> Object:
    """Return the init container that ends once a worker's head answers."""
    script = f"until ray health-check --address {address}; do sleep 5; done"
    waiting = {
        "name": "wait-gcs-ready",
        "image": ray["image"],
        "command": list(SHELL),
        "args": [script],
        "env": copy.deepcopy(ray["env"]),
        "resources": _amounts("200m", "256Mi"),
    }
    given = ("imagePullPolicy", "securityContext", "volumeMounts")
    return waiting | {key: copy.deepcopy(ray[key]) for key in given if key in ray}


def autoscaler(cluster: Object, ray: Object) -> Object:
    """Return the container of Ray's autoscaler, which runs beside the head."""
    options = cluster["spec"].get("autoscalerOptions") or {}
    sidecar = {
        "name": "autoscaler",
        "image": ray["image"],
        "imagePullPolicy": "IfNotPresent",
        "command": list(SHELL),
        "args": [_AUTOSCALER],
        "env": [*pod_env.of_autoscaler(_AUTOSCALER), *pod_env.of_token(cluster)],
        "resources": _amounts("500m", "512Mi"),
    }
    sidecar["env"] += options.get("env") or []
    given = ("image", "imagePullPolicy", "command", "args", "resources")
    more = ("volumeMounts", "securityContext", "envFrom")
    return sidecar | {key: copy.deepcopy(options[key]) for key in (*given, *more) if key in options}


def _amounts(cpu: str, memory: str) -> Object:
    amounts = {"cpu": cpu, "memory": memory}
    return {"requests": amounts, "limits": dict(amounts)}
