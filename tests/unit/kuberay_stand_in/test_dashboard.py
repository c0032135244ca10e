"""The stand-in asks a Ray head that it finds by its pod, without a cluster's DNS."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.kuberay_stand_in.dashboard import Dashboard
from tests.kuberay_stand_in.service_names import ServiceNames

HEAD = "chat-abcde-head-svc.models.svc.cluster.local"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


async def of_head(
    asks: Callable[[Dashboard, str], Awaitable[Any]], heads: dict[tuple[str, str], str]
) -> tuple[Any, list[web.Request]]:
    """Ask a head that listens on the loopback address; returns the answer and what was asked."""
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        return web.json_response({"applications": {"chat": {"status": "RUNNING"}}})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    dashboard = Dashboard(ServiceNames(lambda *key: heads.get(key, "")))
    try:
        port = runner.addresses[0][1]
        return await asks(dashboard, f"http://{HEAD}:{port}"), asked
    finally:
        await dashboard.close()
        await runner.cleanup()


def test_a_head_is_found_by_its_pod_and_shown_the_token() -> None:
    async def asks(dashboard: Dashboard, address: str) -> dict[str, Any]:
        return await dashboard.applications(address, "s3cret")

    heads = {("models", "chat-abcde"): "127.0.0.1"}
    found, (asked,) = asyncio.run(of_head(asks, heads))
    assert found == {"chat": {"status": "RUNNING"}}
    assert asked.headers["x-ray-authorization"] == "Bearer s3cret"
    assert asked.path == "/api/serve/applications/"
    assert asked.headers["Host"].startswith(HEAD)


def test_a_head_without_an_address_is_no_answer() -> None:
    async def asks(dashboard: Dashboard, address: str) -> None:
        with pytest.raises(aiohttp.ClientError, match="the head has no address yet"):
            await dashboard.applications(address, "")

    _, asked = asyncio.run(of_head(asks, {}))
    assert asked == []


def test_the_proxy_of_a_node_is_asked_by_its_address() -> None:
    async def asks(dashboard: Dashboard, address: str) -> list[bool]:
        port = int(address.rsplit(":", maxsplit=1)[1])
        return [await dashboard.proxy_is_healthy(it, port) for it in ("127.0.0.1", "")]

    found, (asked,) = asyncio.run(of_head(asks, {}))
    assert found == [True, False] and asked.path == "/-/healthz"
