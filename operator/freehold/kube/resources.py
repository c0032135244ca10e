"""The kinds that the operator reads and writes, and their paths."""

from __future__ import annotations

from dataclasses import dataclass

from freehold.api.names import GROUP, VERSION


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API server names it.

    Attributes:
        group: API group, "" for the core.
        version: API version.
        plural: Name in paths.
        kind: Name in objects.
        namespaced: Whether its objects live in namespaces.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Return what objects of the kind bear as ``apiVersion``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_path(self) -> str:
        """Return the path below which the group's version lives."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """Return the path of the kind, of a namespace's objects, or of one object."""
        place = self.group_path + (f"/namespaces/{namespace}" if namespace else "")
        return "/".join(part for part in (place, self.plural, name, subresource) if part)


MODEL_DEPLOYMENTS = Resource(GROUP, VERSION, "modeldeployments", "ModelDeployment")
ACCELERATOR_CLASSES = Resource(GROUP, VERSION, "acceleratorclasses", "AcceleratorClass", False)
RAY_SERVICES = Resource("ray.io", "v1", "rayservices", "RayService")
RAY_CLUSTERS = Resource("ray.io", "v1", "rayclusters", "RayCluster")
CONTROLLER_REVISIONS = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
SERVICES = Resource("", "v1", "services", "Service")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
PODS = Resource("", "v1", "pods", "Pod")
NODES = Resource("", "v1", "nodes", "Node", False)
# written, never read
SECRETS = Resource("", "v1", "secrets", "Secret")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")

BY_KIND = {
    resource.kind: resource
    for resource in (RAY_SERVICES, CONTROLLER_REVISIONS, SERVICES, CONFIG_MAPS, NETWORK_POLICIES)
}
