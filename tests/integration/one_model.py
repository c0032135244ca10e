"""A ModelDeployment of a test beside a running operator, and all that became of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from tests.control_plane.cluster import Cluster
from tests.installation.kuberay import KubeRay
from tests.integration.operator import apply_model, condition, until, wait_for_condition

Object = dict[str, Any]
# What the operator makes for a model; the Secret, which it may not read, left aside.
CHILDREN = (
    "networkpolicies",
    "configmaps",
    "services",
    "rayservices",
    "controllerrevisions",
)


@dataclass(frozen=True, slots=True)
class Model:
    """One model.

    Attributes:
        cluster: Where it is.
        namespace: Its namespace.
        name: Its name.
        kuberay: KubeRay and the fake of Ray.
    """

    cluster: Cluster
    namespace: str
    name: str
    kuberay: KubeRay

    @property
    def now(self) -> Object:
        """The ModelDeployment."""
        return self._get("fmd")

    @property
    def status(self) -> Object:
        """Its status."""
        return dict(self.now["status"])

    @property
    def service(self) -> Object:
        """Its RayService."""
        return self._get("rayservice")

    @property
    def application(self) -> Object:
        """The one application of its Serve config."""
        (found,) = yaml.safe_load(self.service["spec"]["serveConfigV2"])["applications"]
        return dict(found)

    @property
    def revisions(self) -> dict[str, int]:
        """The numbers of its revisions by their names."""
        found = self.all("controllerrevisions")
        return {it["metadata"]["name"]: it["revision"] for it in found}

    @property
    def endpoint(self) -> Object:
        """The Service at which it answers."""
        return self._get("service")

    @property
    def leads_to(self) -> str | None:
        """The RayCluster that its endpoint leads to."""
        found: str | None = self.endpoint["spec"]["selector"].get("ray.io/cluster")
        return found

    @property
    def active(self) -> str:
        """The RayCluster that serves, as KubeRay says."""
        return str(self.service["status"]["activeServiceStatus"]["rayClusterName"])

    @property
    def pending(self) -> str | None:
        """The RayCluster that is to take over, as KubeRay says."""
        found: Object = self.service["status"].get("pendingServiceStatus") or {}
        return found.get("rayClusterName")

    @property
    def ray_clusters(self) -> list[str]:
        """The names of its RayClusters, those being deleted left out."""
        found = self.cluster.list("rayclusters", self.namespace, self._of_ray_service)
        return sorted(it["metadata"]["name"] for it in found if not _is_ending(it))

    @property
    def engines(self) -> set[str]:
        """The ids of all replicas on the cluster that serves."""
        found = self.kuberay.ray.model(self.namespace, self.name)["clusters"][self.active]
        return {replica for replicas in found.values() for replica in replicas}

    def live_bounds(self, ray_cluster: str) -> tuple[int, int]:
        """Return the least and the most replicas of one of its RayClusters."""
        found = self.cluster.get("raycluster", ray_cluster, self.namespace)
        assert found is not None
        (group,) = found["spec"]["workerGroupSpecs"]
        return group["minReplicas"], group["maxReplicas"]

    def all(self, kind: str) -> list[Object]:
        """Return its objects of a kind, by the label that the operator gives them."""
        return self.cluster.list(kind, self.namespace, f"freehold.dev/model={self.name}")

    def pods(self, ray_cluster: str) -> list[Object]:
        """Return the pods of one of its RayClusters."""
        found = self.cluster.list("pods", self.namespace, f"ray.io/cluster={ray_cluster}")
        return [it for it in found if not _is_ending(it)]

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Apply a manifest with kubectl."""
        apply_model(self.cluster, self.namespace, manifest)

    def edit(self, **spec: Any) -> None:
        """Merge fields into the spec."""
        self.kubectl("patch", "fmd", self.name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in its namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def wait(self, kind: str, status: str, reason: str = "") -> Object:
        """Wait until a condition has a status, and a reason where one is given."""
        return wait_for_condition(self.cluster, self.namespace, self.name, kind, status, reason)

    def until(self, what: str, holds: Callable[[Object], Any]) -> Object:
        """Wait until the status is as wanted, for the present generation; returns it."""

        def reached() -> Object | None:
            found = self.now
            status: Object = found.get("status") or {}
            seen = status.get("observedGeneration") == found["metadata"]["generation"]
            return status if seen and holds(status) else None

        try:
            return until(what, reached)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; the status is {json.dumps(self.status)}") from None

    def until_settled(self, *former: str) -> str:
        """Wait until nothing is under way, and the revision that serves is none of the former."""
        status = self.until("it is settled", lambda it: _is_settled(it, former))
        return str(status["currentRevision"])

    def told(self, kind: str) -> str:
        """Return a condition as ``STATUS/REASON: MESSAGE``."""
        found = condition(self.now, kind)
        return f"{found.get('status')}/{found.get('reason')}: {found.get('message')}"

    def children(self) -> dict[str, Object]:
        """Return its children as their owner means them, by kind and name."""
        found = [it for kind in CHILDREN for it in self.all(kind)]
        return {f"{it['kind']} {it['metadata']['name']}": _meant(it) for it in found}

    def _get(self, kind: str) -> Object:
        found = self.cluster.get(kind, self.name, self.namespace)
        assert found is not None, f"no {kind} {self.name} in {self.namespace}"
        return found

    @property
    def _of_ray_service(self) -> str:
        return f"ray.io/originated-from-cr-name={self.name}"


def _is_ending(item: Object) -> bool:
    return "deletionTimestamp" in item["metadata"]


def _is_settled(status: Object, former: Iterable[str]) -> bool:
    current = status.get("currentRevision")
    settled = condition({"status": status}, "Reconciling").get("reason") == "Settled"
    return bool(settled and current and current == status["updateRevision"]) and (
        current not in former
    )


def _meant(item: Object) -> Object:
    """Return an object without what KubeRay writes: a RayService's status and so its version."""
    if item["kind"] != "RayService":
        return item
    told = ("resourceVersion", "managedFields")
    metadata = {key: it for key, it in item["metadata"].items() if key not in told}
    return {**item, "metadata": metadata, "status": None}
