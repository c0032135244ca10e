"""What KubeRay made of a RayService, without what differs from one time to the next."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.control_plane.cluster import Cluster

Object = dict[str, Any]
_KINDS = ("services", "serviceaccounts", "roles", "rolebindings")
_OWN = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation")
_TIMES = ("lastTransitionTime", "lastUpdateTime", "stateTransitionTimes")
_ADDRESSES = ("podIP", "serviceIP", "clusterIP", "clusterIPs")
_HASH = "ray.io/hash-without-replicas-and-workers-to-delete"
# of a pod: what the API server and the scheduler say
_OTHERS = ("nodeName", "tolerations", "priority", "preemptionPolicy", "dnsPolicy", "schedulerName")
_EVERY_NAMESPACE_HAS = "default"


def facts(cluster: Cluster, namespace: str, name: str) -> Object:
    """Return the children and the statuses of the only RayService of a namespace.

    Names that are drawn, addresses, times and hashes are words in capitals; pods that differ in
    nothing else are one, with their count. What equals the RayService's template, and is long, is
    said to be as given.
    """
    service = cluster.get("rayservice", name, namespace)
    assert service is not None
    (live,) = cluster.list("rayclusters", namespace)
    words = _Words(live, namespace)
    found: Object = {kind: _kept(cluster.list(kind, namespace)) for kind in _KINDS}
    found["rayservice"] = _ray_service(service)
    found["raycluster"] = _ray_cluster(service, live)
    pods = [_pod(live, pod) for pod in cluster.list("pods", namespace)]
    told: Object = {key: words.instead(item) for key, item in found.items()}
    for kind in _KINDS:
        told[kind].sort(key=lambda item: item["metadata"]["name"])
    return told | {"pods": _counted([words.instead(pod) for pod in pods])}


def _kept(items: list[Object]) -> list[Object]:
    return [_plain(item) for item in items if item["metadata"]["name"] != _EVERY_NAMESPACE_HAS]


def _ray_service(service: Object) -> Object:
    told = _plain(service)
    for part in ("activeServiceStatus", "pendingServiceStatus"):
        # a copy of the RayCluster's, as old as the last status that said something else
        told["status"].get(part, {}).pop("rayClusterStatus", None)
    told["metadata"] = {"finalizers": told["metadata"].get("finalizers")}
    return {"metadata": told["metadata"], "status": told["status"]}


def _ray_cluster(service: Object, live: Object) -> Object:
    told = _plain(live)
    made, given = live["spec"], service["spec"]["rayClusterConfig"]
    told["replicas"] = [group["replicas"] for group in made["workerGroupSpecs"]]
    for group, pattern in zip(made["workerGroupSpecs"], given["workerGroupSpecs"], strict=True):
        group["replicas"] = pattern["replicas"]
    told["spec"] = "as given" if made == given else made
    return told


def _pod(live: Object, pod: Object) -> Object:
    """Return a pod without its status and what others than KubeRay put into it."""
    told = _plain(pod)
    del told["status"]
    spec = told["spec"]
    for part in _OTHERS:
        spec.pop(part, None)
    spec["volumes"] = [it for it in spec["volumes"] if not _is_api_access(it)]
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        mounts = [it for it in container.get("volumeMounts", []) if not _is_api_access(it)]
        container["volumeMounts"] = mounts
        for part in ("terminationMessagePath", "terminationMessagePolicy"):
            container.pop(part, None)
        if container["name"] == "wait-gcs-ready":
            # in whose words it waits does not matter
            asked = re.findall(r"ray health-check --address ([^ ;]+)", " ".join(container["args"]))
            container["args"] = sorted(set(asked))
    if spec.get("affinity") in [_affinity(group) for group in _groups(live)]:
        spec["affinity"] = "as given"
    return told


def _groups(live: Object) -> list[Object]:
    spec = live["spec"]
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def _affinity(group: Object) -> Any:
    return group["template"]["spec"].get("affinity", {})


def _is_api_access(item: Object) -> bool:
    return str(item["name"]).startswith("kube-api-access-")


def _plain(item: Object) -> Object:
    """Return an object without what the API server and the clock say."""
    told = _without_times(json.loads(json.dumps(item)))
    metadata = told["metadata"]
    for key in _OWN:
        metadata.pop(key, None)
    for owner in metadata.get("ownerReferences", []):
        del owner["uid"]
    if "generateName" in metadata:
        metadata["name"] = f"{metadata['generateName']}*"
    for key in ("apiVersion", "kind"):
        told.pop(key, None)
    return dict(told)


def _without_times(item: Any) -> Any:
    if isinstance(item, list):
        kept = [_without_times(it) for it in item]
        return sorted(kept, key=lambda it: str(it["type"])) if _are_conditions(kept) else kept
    if not isinstance(item, dict):
        return item
    kept = {key: _without_times(it) for key, it in item.items() if key not in _TIMES}
    drawn = {key: "ADDRESS" for key in _ADDRESSES if kept.get(key) not in (None, "None", ["None"])}
    return kept | drawn


def _are_conditions(items: list[Any]) -> bool:
    wanted = {"type", "reason"}
    return bool(items) and all(isinstance(it, dict) and wanted <= set(it) for it in items)


def _counted(pods: list[Object]) -> list[Object]:
    texts = [json.dumps(pod, sort_keys=True) for pod in pods]
    return [{"count": texts.count(text), **json.loads(text)} for text in sorted(set(texts))]


class _Words:
    """Puts words in the place of drawn names and hashes."""

    def __init__(self, live: Object, namespace: str) -> None:
        annotations = live["metadata"]["annotations"]
        self._drawn = {
            annotations[_HASH]: "HASH",
            live["metadata"]["name"]: "CLUSTER",
            namespace: "NAMESPACE",
        }

    def instead(self, item: Any) -> Any:
        """Return an object with the words."""
        text = json.dumps(item)
        for drawn, word in self._drawn.items():
            text = text.replace(drawn, word)
        text = re.sub(r'(CLUSTER-[a-z0-9-]*(head|worker))-[a-z0-9]{5}"', r'\1-*"', text)
        return json.loads(re.sub(r'(replica-name": "[^"]+)-[a-z0-9]{5}"', r'\1-*"', text))
