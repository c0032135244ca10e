"""What a model's own cluster answers is whatever its author runs: it steers nothing here."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from tests.unit.virtual_time import run as in_virtual_time

from freehold.kube import endpoint
from freehold.kube.endpoint import ModelEndpoints
from freehold.kube.errors import NotLeading

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
MODEL = "http://chat-head-svc.models.svc:8000/v1"
HEAD = ("chat-head-svc", "models", "token")


@asynccontextmanager
async def answered_by(
    answer: Answer, lease: Callable[[], float] | None = None
) -> AsyncIterator[tuple[ModelEndpoints, list[str]]]:
    """Yield endpoints behind a proxy that answers for everybody, and the URLs it was asked for."""
    asked: list[str] = []

    async def noted(request: web.Request) -> web.StreamResponse:
        asked.append(str(request.url))
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", noted)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (_, port), *_ = runner.addresses
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("http_proxy", f"http://127.0.0.1:{port}")
        patched.delenv("no_proxy", raising=False)
        patched.delenv("NO_PROXY", raising=False)
        async with ModelEndpoints(lease) as found:
            yield found, asked
    await runner.cleanup()


async def test_a_token_and_what_came_instead() -> None:
    said = [
        web.json_response({"choices": [{"text": "a"}]}),
        web.json_response({"error": "dead"}, status=500),
        web.json_response({"data": []}),
    ]

    async def answer(_: web.Request) -> web.Response:
        return said.pop(0)

    async with answered_by(answer) as (endpoints, _):
        assert await endpoints.answers(MODEL, "chat", "key") == ""
        assert "answered 500" in await endpoints.answers(MODEL, "chat", "key")
        assert "answered without a choice" in await endpoints.answers(MODEL, "chat", "key")


async def test_nobody_is_followed_elsewhere() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://secrets.other.svc/"})

    async with answered_by(answer) as (endpoints, asked):
        assert "answered 302" in await endpoints.answers(MODEL, "chat", "key")
        assert await endpoints.serve_details(*HEAD) is None
        assert await endpoints.last_line(*HEAD, "node", "log") == ""
        assert not await endpoints.declare(*HEAD, {})
        assert len(asked) == 4 and not any("secrets" in it for it in asked)


async def test_what_one_leaves_behind_is_told_to_no_other() -> None:
    cookies: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie", ""))
        return web.Response(headers={"Set-Cookie": "mine=1; Domain=svc; Path=/"})

    async with answered_by(answer) as (endpoints, _):
        await endpoints.serve_details(*HEAD)
        await endpoints.serve_details("other-head-svc", "models", "token")
    assert cookies == ["", ""]


async def test_no_more_is_read_than_an_honest_one_would_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoint, "_LONG", 1000)
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        found = web.StreamResponse()
        await found.prepare(request)
        while sent < 100 << 20:
            await found.write(b"x" * 65536)
            sent += 65536
        return found

    async with answered_by(endless) as (endpoints, _):
        assert "more than" in await endpoints.answers(MODEL, "chat", "key")
        assert await endpoints.serve_details(*HEAD) is None
        assert await endpoints.last_line(*HEAD, "node", "log") == ""
    assert sent < 100 << 20


async def test_nothing_is_unpacked() -> None:
    packed = gzip.compress(json.dumps({"applications": {}}).encode())

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with answered_by(answer) as (endpoints, _):
        assert await endpoints.serve_details(*HEAD) is None


async def test_json_as_deep_as_the_sea_is_none() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="[" * 100_000)

    async with answered_by(answer) as (endpoints, _):
        assert await endpoints.serve_details(*HEAD) is None


def test_a_dashboard_that_kept_us_waiting_is_left_alone_for_a_while() -> None:
    asked: list[str] = []

    async def story() -> None:
        async with ModelEndpoints() as endpoints:

            async def nothing(_method: str, url: str, _most: int, **_: object) -> tuple[int, bytes]:
                asked.append(url)
                raise TimeoutError

            endpoints._ask = nothing  # type: ignore[method-assign]
            for _ in range(4):
                assert await endpoints.serve_details(*HEAD) is None
            assert len(asked) == 2, "once may happen to anybody"
            await endpoints.serve_details("other-head-svc", "models", "token")
            assert len(asked) == 3, "others are asked all the same"
            times = []
            for _ in range(300):
                await asyncio.sleep(1)
                before = len(asked)
                await endpoints.serve_details(*HEAD)
                times += [asyncio.get_running_loop().time()] * (len(asked) - before)
            pauses = [round(b - a) for a, b in itertools.pairwise(times)]
            assert pauses == [20, 40, 60, 60, 60]

    in_virtual_time(story())


async def test_without_the_lease_serve_is_given_nothing() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    left = 5.0
    async with answered_by(answer, lambda: left) as (endpoints, asked):
        assert await endpoints.declare(*HEAD, {})
        left = 0.0
        with pytest.raises(NotLeading):
            await endpoints.declare(*HEAD, {"applications": []})
        assert len(asked) == 1
