"""The API server's client: objects in and out as plain data, one error tree.

It stands on the official client's configuration (kubeconfig, credentials and their renewal, TLS)
and leaves out its models and its transport: they cost more than the request itself, and what it
writes as JSON is not what Go writes, which matters (see ``encoded``). Nothing is retried here:
whoever asked has a queue that comes back, and knows better when.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from freehold.api.names import FIELD_MANAGER, STATUS_FIELD_MANAGER
from freehold.kube.errors import (
    AlreadyExists,
    KindMissing,
    KubeError,
    Transient,
    error_of,
)
from freehold.kube.fence import seconds_to_write
from freehold.kube.resources import Resource

Object = dict[str, Any]

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
# What one page of a list holds: a thousand RayServices are some ten megabytes.
_PAGE = 500
# Longer than the API server's own limit for a request that is not a watch.
_TIMEOUT_S = 30.0
# Requests under way at once; the API server lets 200 writes through at a time.
_AT_ONCE = 32


class CallObserver(Protocol):
    """Is told of every request when it has ended."""

    def __call__(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Take one request; the code is 0 where there was no answer."""


def _nobody(verb: str, resource: str, code: int, seconds: float) -> None:
    """Watch nothing."""


async def load_configuration(kubeconfig: str | None = None) -> Configuration:
    """Return the cluster's address and credentials: a pod's own, or a kubeconfig's.

    Args:
        kubeconfig: Path of a kubeconfig; None for the pod's service account, and where there is
            none, what ``kubectl`` would take.

    Raises:
        kubernetes.config.ConfigException: There is neither.
    """
    configuration = Configuration()
    if kubeconfig is None:
        try:
            kubernetes_config.load_incluster_config(client_configuration=configuration)
            return configuration
        except kubernetes_config.ConfigException:
            pass
    await kubernetes_config.load_kube_config(
        config_file=kubeconfig, client_configuration=configuration
    )
    return configuration


class KubeClient:
    """Reads and writes objects.

    Every method raises an error of ``kube.errors``; writes raise ``NotLeading`` when the lease is
    not ours for long enough.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        lease_seconds: Callable[[], float] | None = None,
        observe: CallObserver = _nobody,
    ) -> None:
        """Make a client; use it as an asynchronous context manager.

        Args:
            configuration: Address and credentials.
            lease_seconds: For how long this process surely still leads; None to write always.
            observe: Is told of every request.
        """
        self.configuration = configuration
        self._api = ApiClient(configuration)
        self._session: aiohttp.ClientSession | None = None
        self._lease_seconds = lease_seconds
        self._observe = observe
        self._proxy = configuration.proxy or _environment_proxy(configuration.host)
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def __aenter__(self) -> KubeClient:
        """Return itself."""
        connector = aiohttp.TCPConnector(limit=_AT_ONCE, ssl=self._api.rest_client.ssl_context)
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()
        await self._api.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """Return one object."""
        return await self._call("get", resource, resource.path(namespace, name))

    async def list_all(
        self, resource: Resource, namespace: str | None = None, label_selector: str = ""
    ) -> tuple[list[Object], str]:
        """Return all objects and the resource version that they stand for, page by page.

        Items of a list do not say what they are where the kind is built in; here they do.
        """
        told = {"apiVersion": resource.api_version, "kind": resource.kind}
        query = {"limit": str(_PAGE), "labelSelector": label_selector}
        items: list[Object] = []
        while True:
            page = await self._call("list", resource, resource.path(namespace), query)
            items += [told | item for item in page.get("items") or []]
            following = page["metadata"].get("continue")
            if not following:
                return items, page["metadata"].get("resourceVersion", "")
            query["continue"] = following

    async def serves(self, resource: Resource) -> bool:
        """Tell whether the API server knows a kind; it needs no right to answer that."""
        try:
            found = await self._call("get", resource, resource.group_path)
        except KindMissing:
            return False
        return any(it.get("name") == resource.plural for it in found.get("resources") or [])

    async def create(self, resource: Resource, body: Object) -> Object:
        """Create an object that must not be there yet."""
        path = resource.path(body["metadata"].get("namespace"))
        return await self._call("create", resource, path, _writer(FIELD_MANAGER), body)

    async def has(self, resource: Resource, namespace: str, name: str) -> bool:
        """Tell whether an object is there, with the right to create alone.

        The API server goes through a create of an object of that name and writes nothing.
        """
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name, "namespace": namespace},
        }
        query = _writer(FIELD_MANAGER) | {"dryRun": "All"}
        try:
            await self._call("create", resource, resource.path(namespace), query, body)
        except AlreadyExists:
            return True
        return False

    async def replace(self, resource: Resource, body: Object) -> Object:
        """Replace an object by one with the resource version that was read."""
        path = _path_of(resource, body)
        return await self._call("update", resource, path, _writer(FIELD_MANAGER), body)

    async def apply(self, resource: Resource, body: Object) -> Object:
        """Apply what we own of an object, server-side and forced.

        With ``metadata.uid`` only that very object is written, and none is made.
        """
        path = _path_of(resource, body)
        query = _writer(FIELD_MANAGER) | {"force": "true"}
        return await self._call("patch", resource, path, query, body, APPLY)

    async def apply_status(self, resource: Resource, body: Object) -> Object:
        """Apply an object's status, under the field manager of statuses."""
        path = _path_of(resource, body, "status")
        query = _writer(STATUS_FIELD_MANAGER) | {"force": "true"}
        return await self._call("patch", resource, path, query, body, APPLY, "/status")

    async def patch_json(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        operations: list[Object],
        subresource: str = "",
    ) -> Object:
        """Carry out a JSON patch; a ``test`` in it that does not hold is ``Invalid``."""
        path, part = resource.path(namespace, name, subresource), subresource and f"/{subresource}"
        query = _writer(FIELD_MANAGER)
        return await self._call("patch", resource, path, query, operations, JSON_PATCH, part)

    async def delete(self, resource: Resource, namespace: str | None, name: str, uid: str) -> None:
        """Delete the very object with that uid; its children follow in the background."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        await self._call("delete", resource, resource.path(namespace, name), {}, body)

    async def _call(
        self,
        verb: str,
        resource: Resource,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        subresource: str = "",
    ) -> Object:
        """Send one request and return the object that answers it."""
        url = f"{self.configuration.host}{path}"
        told = {key: value for key, value in (query or {}).items() if value}
        if told:
            url += f"?{urlencode(told)}"
        async with self._slots:
            seconds = self._seconds_for(verb)
            start, code = time.monotonic(), 0
            try:
                code, content, retry_after = await self._send(
                    verb, url, body, content_type, seconds
                )
            finally:
                self._observe(verb, resource.plural + subresource, code, time.monotonic() - start)
        return _object(code, content, retry_after)

    def _seconds_for(self, verb: str) -> float:
        """Return how long a request may take: no write outlives the lease."""
        reads = verb in ("get", "list")
        return seconds_to_write(_TIMEOUT_S, None if reads else self._lease_seconds)

    async def _send(
        self, verb: str, url: str, body: Any, content_type: str, seconds: float
    ) -> tuple[int, bytes, str | None]:
        assert self._session is not None, "the client is used as a context manager"
        headers = {"Accept": JSON, "Content-Type": content_type}
        options: dict[str, Any] = {"headers": headers, "proxy": self._proxy}
        if self.configuration.tls_server_name:
            options["server_hostname"] = self.configuration.tls_server_name
        if body is not None:
            options["data"] = encoded(body)
        try:
            async with asyncio.timeout(seconds):
                await self._api.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
                async with self._session.request(_METHOD[verb], url, **options) as answer:
                    content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            what = str(error) or f"no answer within {seconds:.0f} s"
            raise Transient(f"the API server cannot be reached: {what}") from error
        return answer.status, content, answer.headers.get("Retry-After")


def encoded(body: Any) -> bytes:
    """Return JSON as Go writes it: keys sorted, no spaces, and ``<``, ``>`` and ``&`` escaped.

    The API server keeps a ControllerRevision's data as the bytes that were sent, writes them anew
    in its own way at any later patch, and then refuses the patch since immutable data changed: be
    it ours or the garbage collector's, which orphans by a strategic merge patch.
    """
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return text.translate(_ESCAPED).encode()


# As encoding/json does it (``SetEscapeHTML``); outside texts JSON has none of these.
_ESCAPED = {ord(it): f"\\u{ord(it):04x}" for it in "<>&\u2028\u2029"}

_METHOD = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
}


def _environment_proxy(host: str) -> str | None:
    """Return the proxy that the environment names for the API server.

    Asked once: a session that trusts the environment reads it, and ~/.netrc, in a thread for each
    request.
    """
    url = urlsplit(host)
    return None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)


def _writer(manager: str) -> dict[str, str]:
    """Return the query of a write: who writes, and that no field may be dropped silently."""
    return {"fieldManager": manager, "fieldValidation": "Strict"}


def _path_of(resource: Resource, body: Object, subresource: str | None = None) -> str:
    metadata = body["metadata"]
    return resource.path(metadata.get("namespace"), metadata["name"], subresource)


def _object(code: int, content: bytes, retry_after: str | None) -> Object:
    if code >= 300:
        raise error_of(code, content, retry_after)
    try:
        found = json.loads(content)
    except ValueError as error:
        raise Transient("the API server's answer is not JSON", code) from error
    if not isinstance(found, dict):
        raise Transient("the API server's answer is no object", code)
    return found


__all__ = ["KubeClient", "KubeError", "Object", "load_configuration"]
