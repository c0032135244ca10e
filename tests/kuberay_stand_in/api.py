"""The API server, as plain dicts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from kubernetes.aio import client, config

Object = dict[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: where the API server has it."""

    version: str
    name: str
    plural: str

    def path(self, namespace: str, name: str = "") -> str:
        """Return the path of one object, of a namespace's, or with ``""`` of all of them."""
        root = f"/api/{self.version}" if "/" not in self.version else f"/apis/{self.version}"
        parts = [root, *(["namespaces", namespace] if namespace else []), self.plural]
        return "/".join([*parts, *([name] if name else [])])


RAY_SERVICE = Kind("ray.io/v1", "RayService", "rayservices")
RAY_CLUSTER = Kind("ray.io/v1", "RayCluster", "rayclusters")
POD = Kind("v1", "Pod", "pods")
SERVICE = Kind("v1", "Service", "services")
SECRET = Kind("v1", "Secret", "secrets")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
ROLE = Kind("rbac.authorization.k8s.io/v1", "Role", "roles")
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")


class ApiError(Exception):
    """The API server refused; ``status`` is its HTTP status, ``message`` its sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.message = _message(text)


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text


class Api:
    """Reads and writes objects."""

    def __init__(self, connection: client.ApiClient) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls, kubeconfig: Path) -> Api:
        """Return the API of a kubeconfig's cluster."""
        settings = client.Configuration()
        await config.load_kube_config(str(kubeconfig), client_configuration=settings)
        return cls(client.ApiClient(settings))

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def get(self, kind: Kind, key: Key) -> Object:
        """Return one object."""
        return await self._call("GET", kind.path(*key))

    async def create(self, kind: Kind, item: Object) -> Object:
        """Create an object; returns it as stored."""
        body = {"apiVersion": kind.version, "kind": kind.name, **item}
        return await self._call("POST", kind.path(item["metadata"]["namespace"]), body)

    async def update(self, kind: Kind, item: Object, *, status: bool = False) -> Object:
        """Write the whole object, or with ``status`` its status."""
        metadata = item["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"])
        body = {"apiVersion": kind.version, "kind": kind.name, **item}
        return await self._call("PUT", path + ("/status" if status else ""), body)

    async def delete(self, kind: Kind, key: Key) -> Object:
        """Delete an object, and in the background what it owns; returns the answer."""
        return await self._call("DELETE", kind.path(*key), {"propagationPolicy": "Background"})

    async def list(self, kind: Kind, namespace: str, selector: str) -> Object:
        """Return the list of a namespace's objects, or with ``""`` of all."""
        query = urlencode({"labelSelector": selector})
        return await self._call("GET", f"{kind.path(namespace)}?{query}")

    async def watch(
        self, kind: Kind, namespace: str, selector: str, since: str
    ) -> AsyncIterator[Object]:
        """Give the changes since a resource version, until the API server ends the watch."""
        query = {"labelSelector": selector, "resourceVersion": since, "watch": "true"}
        response = await self._send("GET", f"{kind.path(namespace)}?{urlencode(query)}", None)
        pending = b""
        try:
            async for chunk in response.content.iter_any():
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)
        finally:
            response.close()

    async def _call(self, method: str, path: str, body: Any = None) -> Object:
        response = await self._send(method, path, body)
        data: Object = await response.json()
        return data

    async def _send(self, method: str, path: str, body: Any) -> Any:
        headers = {"Content-Type": "application/json", "User-Agent": "kuberay-stand-in"}
        await self._connection.update_params_for_auth(
            headers, [], ["BearerToken"], path, method, body
        )
        url = self._connection.configuration.host + path
        answer = await self._connection.rest_client.request(method, url, headers, body)
        response = answer.response
        if response.status >= 400:
            raise ApiError(response.status, (await response.text())[:2000])
        return response
