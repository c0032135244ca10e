"""What KubeRay asks of a Ray head over HTTP; ``HTTP_PROXY`` may lead it to a fake of Ray."""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from tests.kuberay_stand_in.api import Object

_APPLICATIONS = "/api/serve/applications/"


class Dashboard:
    """Asks dashboards and proxies; each call raises ``OSError`` or ``aiohttp.ClientError``.

    Args:
        names: Resolves names where there is no proxy.
    """

    def __init__(self, names: AbstractResolver) -> None:
        timeout = aiohttp.ClientTimeout(total=2)
        # another head has another address at once
        connector = aiohttp.TCPConnector(resolver=names, use_dns_cache=False)
        self._session = aiohttp.ClientSession(trust_env=True, timeout=timeout, connector=connector)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def applications(self, address: str, token: str) -> dict[str, Object]:
        """Return the status of Serve's applications, as a RayService has it."""
        url = address + _APPLICATIONS
        query = {"api_type": "declarative"}
        async with self._session.get(url, params=query, headers=_headers(token)) as answer:
            answer.raise_for_status()
            told = await answer.json()
        return {name: _status(item) for name, item in (told.get("applications") or {}).items()}

    async def put(self, address: str, token: str, config: Any) -> None:
        """Have Serve run the applications of a config."""
        url = address + _APPLICATIONS
        async with self._session.put(url, json=config, headers=_headers(token)) as answer:
            answer.raise_for_status()

    async def proxy_is_healthy(self, address: str, port: int) -> bool:
        """Return whether the Serve proxy of a node is healthy."""
        if not address:
            return False
        try:
            async with self._session.get(f"http://{address}:{port}/-/healthz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False


def _headers(token: str) -> dict[str, str]:
    return {"x-ray-authorization": f"Bearer {token}"} if token else {}


def _status(application: Object) -> Object:
    deployments = {
        name: _words(item) for name, item in (application.get("deployments") or {}).items()
    }
    found = _words(application)
    return found | ({"serveDeploymentStatuses": deployments} if deployments else {})


def _words(item: Object) -> Object:
    return {key: item[key] for key in ("status", "message") if item.get(key)}
