"""Which Ray cluster is behind a Service, as the cluster's own DNS and proxy would find it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from kubernetes.aio import client, config


class Services(Protocol):
    """Finds the Ray cluster behind a Service."""

    async def ray_cluster(self, namespace: str, service: str) -> str | None:
        """Return the RayCluster of a ready pod behind the Service; None if there is none."""


class ServicesOfCluster:
    """Asks the API server for the Service's endpoints and for their pods."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._client: client.ApiClient | None = None

    async def start(self) -> None:
        """Read the kubeconfig."""
        settings = client.Configuration()
        await config.load_kube_config(str(self._kubeconfig), client_configuration=settings)
        self._client = client.ApiClient(settings)

    async def stop(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    async def ray_cluster(self, namespace: str, service: str) -> str | None:
        """Return the RayCluster of a ready pod behind the Service; None if there is none."""
        slices = await client.DiscoveryV1Api(self._client).list_namespaced_endpoint_slice(
            namespace, label_selector=f"kubernetes.io/service-name={service}"
        )
        for endpoint in (one for item in slices.items for one in item.endpoints or []):
            conditions, pod = endpoint.conditions, endpoint.target_ref
            if conditions and conditions.ready and pod and pod.name:
                return await self._cluster_of(namespace, pod.name)
        return None

    async def _cluster_of(self, namespace: str, pod: str) -> str | None:
        try:
            found: Any = await client.CoreV1Api(self._client).read_namespaced_pod(pod, namespace)
        except client.ApiException as error:
            if error.status == 404:
                return None
            raise
        return (found.metadata.labels or {}).get("ray.io/cluster")
