"""The fake's HTTP server: a forward proxy that answers everything itself, by host name."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from aiohttp import web
from tests.fake_ray import control
from tests.fake_ray.rays import Cluster, Rays
from tests.fake_ray.services import Services

_SERVICE = re.compile(r"(?P<service>[a-z0-9.-]+?)\.(?P<namespace>[a-z0-9-]+)\.svc(\.[a-z0-9.-]+)?$")
_DASHBOARD = 8265
_APPLICATIONS = "/api/serve/applications"
_LOG_FILE = "/api/v0/logs/file"
_COMPLETIONS = ("/v1/completions", "/v1/chat/completions")


class FakeRay:
    """Answers for every Ray cluster there is.

    Args:
        rays: The state.
        services: Finds what is behind a Service; None to go by KubeRay's names alone, where
            ``<model>``, ``<model>-head-svc`` and ``<model>-serve-svc`` stand for the newest of a
            model's clusters that serves.
    """

    def __init__(self, rays: Rays, services: Services | None = None) -> None:
        self.rays, self._services = rays, services

    def application(self) -> web.Application:
        """Return the server's application."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith(control.PREFIX):
            return await control.answer(self.rays, request)
        host, port = request.url.host or "", request.url.port
        asked = f"{host}:{port}"
        self.rays.hosts[asked] = self.rays.hosts.get(asked, 0) + 1
        service = _SERVICE.match(host)
        if service is None:
            return _node(request)  # a pod's own address
        namespace, name = service["namespace"], service["service"]
        cluster = await self._cluster(namespace, name)
        if cluster is None:
            return web.Response(status=503, text=f"no ready pod behind {name} in {namespace}")
        if port == _DASHBOARD:
            return await self._dashboard(request, cluster)
        return await self._endpoint(request, cluster)

    async def _cluster(self, namespace: str, service: str) -> Cluster | None:
        of_cluster = service.removesuffix("-head-svc")
        if (namespace, of_cluster) in self.rays.clusters:
            return self.rays.clusters[(namespace, of_cluster)]
        model = service.removesuffix("-head-svc").removesuffix("-serve-svc")
        if self._services is None:
            found = self.rays.serving(namespace, model)
        else:
            name = await self._services.ray_cluster(namespace, service)
            found = self.rays.cluster(namespace, name) if name else None
        if found is None and service.endswith("-head-svc"):
            return self.rays.cluster(namespace, of_cluster)
        return found

    async def _dashboard(self, request: web.Request, cluster: Cluster) -> web.Response:
        steering = self.rays.steering_of(cluster)
        token = _token(request)
        asked = self.rays.asked(cluster.namespace, cluster.model)
        if token and token not in asked.tokens:
            asked.tokens.append(token)
        if steering.dashboard != 200:
            return web.Response(status=steering.dashboard, text="the dashboard is steered to fail")
        if steering.token is not None and token != steering.token:
            return web.Response(status=401, text="Unauthorized: Missing authentication token")
        if request.path == _LOG_FILE:
            known = request.query["filename"] == f"serve/freehold_scaling_{cluster.model}.log"
            found = steering.scaling if known else ""
            return web.Response(status=200 if found else 500, text=f"{found}\n")
        if request.path.rstrip("/") != _APPLICATIONS:
            return _node(request)
        if request.method == "PUT":
            self.rays.put(cluster, await request.json())
            return web.Response()
        return web.json_response(self.rays.details(cluster))

    async def _endpoint(self, request: web.Request, cluster: Cluster) -> web.Response:
        if request.path == "/-/healthz":
            return _node(request)
        steering = self.rays.steering_of(cluster)
        asked = self.rays.asked(cluster.namespace, cluster.model)
        asked.requests[request.path] = asked.requests.get(request.path, 0) + 1
        key = _token(request)
        if key and key not in asked.keys:
            asked.keys.append(key)
        if steering.hangs:
            await asyncio.Event().wait()
        models = self.rays.models(cluster)
        if not models:
            return web.Response(status=404, text=f"Path '{request.path}' not found.")
        if steering.answer != 200:
            error = {"message": "EngineDeadError", "type": "InternalServerError"}
            return web.json_response({"error": error}, status=steering.answer)
        if request.path == "/v1/models":
            listed = [{"id": name, "object": "model"} for name in models]
            return web.json_response({"object": "list", "data": listed})
        if request.path in _COMPLETIONS:
            self.rays.wake(cluster)
            return _completion(request.path, await request.json(), models)
        return web.Response(status=404, text="Not Found")


def _node(request: web.Request) -> web.Response:
    """Answer for a node's agent and its Serve proxy: both are well."""
    if request.path in ("/-/healthz", "/api/local_raylet_healthz", "/api/healthz"):
        return web.Response(text="success")
    return web.Response(status=404, text="Not Found")


def _token(request: web.Request) -> str:
    headers = request.headers
    header = headers.get("X-Ray-Authorization") or headers.get("Authorization") or ""
    return header.removeprefix("Bearer ")


def _completion(path: str, body: dict[str, Any], models: list[str]) -> web.Response:
    name = body.get("model")
    if name not in models:
        error = {"message": f'Could not find model with id "{name}"', "type": "NotFoundError"}
        return web.json_response({"error": error}, status=404)
    chat = path.startswith("/v1/chat")
    said: dict[str, Any] = {"index": 0, "finish_reason": "length"}
    said |= {"message": {"role": "assistant", "content": "a"}} if chat else {"text": "a"}
    return web.json_response(
        {
            "id": "fake-1",
            "object": "chat.completion" if chat else "text_completion",
            "created": 0,
            "model": name,
            "choices": [said],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
    )
