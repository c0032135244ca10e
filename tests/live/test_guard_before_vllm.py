"""The guard before the engine's own app, built as Ray builds it; no engine is started behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route
from vllm.entrypoints.launchers.app import build_app
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser

from freehold.serving.api_keys import ApiKeys
from freehold.serving.guard import Guard, is_open

KEY = "fh-0123456789"
BEARER = {"Authorization": f"Bearer {KEY}"}
ORIGIN = {"Origin": "https://elsewhere.example"}
PREFLIGHT = ORIGIN | {"Access-Control-Request-Method": "POST"}


def engine_app() -> Any:
    arguments = make_arg_parser(FlexibleArgumentParser()).parse_args([])
    return build_app(arguments, supported_tasks=("generate", "embed"))


@pytest.fixture(scope="module")
def engine() -> Any:
    return engine_app()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("keys")
    (folder / "key").write_text(KEY)
    app = engine_app()
    # as Ray adds to an app that is built already
    app.middleware_stack = None
    app.add_middleware(Guard, keys=ApiKeys(folder))
    return app


def ask(app: Any, method: str, path: str, **headers: str) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://m") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(send())


def routes(app: Any) -> list[tuple[str, str]]:
    found = (it for it in app.routes if isinstance(it, Route))
    return [(method, it.path) for it in found for method in sorted(it.methods or ())]


def test_of_all_the_engines_routes_none_but_health_is_answered_without_a_key(
    engine: Any, guarded: Any
) -> None:
    known = routes(engine)
    assert {("POST", "/v1/chat/completions"), ("POST", "/tokenize")} <= {*known}
    assert len(known) > 20
    for method, path in known:
        status = ask(guarded, method, path).status_code
        assert (status == 401) == ((method, path) != ("GET", "/health")), (method, path, status)


def test_with_a_key_what_is_not_openais_is_not_there(engine: Any, guarded: Any) -> None:
    closed = [(method, path) for method, path in routes(engine) if not is_open(method, path)]
    assert len(closed) > 10
    for method, path in closed:
        assert ask(guarded, method, path, **BEARER).status_code == 404, (method, path)


def test_the_engine_lets_every_page_read_and_the_guard_none(engine: Any, guarded: Any) -> None:
    """What is closed here is open without the guard, or the test would prove nothing."""
    assert shared(ask(engine, "GET", "/version", **ORIGIN))
    assert shared(ask(engine, "OPTIONS", "/v1/completions", **PREFLIGHT))
    for method, path, headers in (
        ("GET", "/v1/models", BEARER | ORIGIN),
        ("GET", "/health", ORIGIN),
        ("OPTIONS", "/v1/completions", PREFLIGHT),
        ("OPTIONS", "/v1/completions", PREFLIGHT | BEARER),
    ):
        assert not shared(ask(guarded, method, path, **headers)), (method, path)


def shared(answer: httpx.Response) -> list[str]:
    return [name for name in answer.headers if name.startswith("access-control-")]
