"""The fake's control routes, and what a test calls to use them."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import asdict
from typing import Any

from aiohttp import web
from tests.fake_ray.rays import Rays
from tests.fake_ray.steering import Steering

PREFIX = "/_control/"


async def answer(rays: Rays, request: web.Request) -> web.Response:
    """Answer a control request.

    ``GET hosts``: how often each ``Host`` was asked. ``GET models/NAMESPACE/NAME``: what was asked
    of a model, how it is steered, and its clusters. ``PUT`` on it: steer it, with the fields of
    ``Steering``. ``POST models/NAMESPACE/NAME/restart-head``: its clusters forget their
    applications.
    """
    parts = request.path.removeprefix(PREFIX).split("/")
    match request.method, parts:
        case "GET", ["hosts"]:
            return web.json_response(rays.hosts)
        case "GET", ["models", namespace, name]:
            return web.json_response(_told(rays, namespace, name))
        case "PUT", ["models", namespace, name]:
            try:
                rays.steer(namespace, name, Steering.read(await request.json()))
            except ValueError as error:
                return web.Response(status=400, text=str(error))
            return web.json_response(_told(rays, namespace, name))
        case "POST", ["models", namespace, name, "restart-head"]:
            rays.restart_head(namespace, name)
            return web.json_response(_told(rays, namespace, name))
    return web.Response(status=404, text=f"no control route {request.method} {request.path}")


def _told(rays: Rays, namespace: str, name: str) -> dict[str, Any]:
    found = rays.clusters.values()
    clusters = [one for one in found if (one.namespace, one.model) == (namespace, name)]
    return {
        **asdict(rays.asked(namespace, name)),
        "steering": asdict(rays.steering(namespace, name)),
        "clusters": {
            one.name: {
                part.name: part.replicas
                for item in one.applications.values()
                for part in item.deployments
            }
            for one in clusters
        },
    }


class Control:
    """Steers a fake that runs at ``url``, such as ``http://127.0.0.1:8123``."""

    def __init__(self, url: str) -> None:
        self.url = url
        # never through a proxy, least of all through the fake itself
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def hosts(self) -> dict[str, int]:
        """Return how often each host was asked, ``name:port`` as it was asked for."""
        found: dict[str, int] = self._call("GET", "hosts")
        return found

    def model(self, namespace: str, name: str) -> dict[str, Any]:
        """Return what was asked of a model, its steering, and the replicas of its clusters."""
        found: dict[str, Any] = self._call("GET", f"models/{namespace}/{name}")
        return found

    def steer(self, namespace: str, name: str, **steering: Any) -> None:
        """Steer a model, with the fields of ``Steering``; fields not given go back to normal."""
        self._call("PUT", f"models/{namespace}/{name}", steering)

    def restart_head(self, namespace: str, name: str) -> None:
        """Have a model's clusters forget their applications."""
        self._call("POST", f"models/{namespace}/{name}/restart-head")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + PREFIX + path, data, method=method)
        with self._opener.open(request, timeout=10) as response:
            return json.load(response)
