"""What Ray gets of a request where it serves directly, and when it is asked for health no more."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from ray._common.utils import import_attr
from ray.serve._private import constants
from ray.serve._private.http_util import validate_http_proxy_callback_return

from freehold.render.request_path import application_environment
from freehold.serving import ray_http
from freehold.serving.guard import Message, Receive, Scope, Send
from freehold.serving.ray_http import STEERING

KEPT = [(b"Authorization", b"Bearer k"), (b"x-request-id", b"r")]


async def _never() -> Message:
    raise AssertionError("nothing is read of the request")


def asked(scope: Scope) -> tuple[list[Scope], list[Message]]:
    """Return what an app gets of a scope through what Ray is told to put before it, and answers."""
    (name,) = application_environment("direct").values()
    (middleware,) = validate_http_proxy_callback_return(import_attr(name)())
    found, sent = list[Scope](), list[Message]()

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        found.append(scope)

    async def send(message: Message) -> None:
        sent.append(message)

    made: Any = middleware.cls(app, *middleware.args, **middleware.kwargs)
    asyncio.run(made(scope, _never, send))
    return found, sent


def test_a_request_comes_without_them_and_its_sender_s_scope_is_left_as_it_was() -> None:
    steering = [(b"X-Request-Timeout-Seconds", b"1"), (b"x-request-disconnect-disabled", b"?1")]
    scope = {"type": "http", "path": "/v1/models", "headers": [*steering, *KEPT]}
    assert asked(scope) == ([{**scope, "headers": KEPT}], [])
    assert scope["headers"] == [*steering, *KEPT]


def test_what_has_no_headers_passes() -> None:
    assert asked({"type": "lifespan"}) == ([{"type": "lifespan"}], [])


@pytest.mark.parametrize("prefix", ["", "/chat"])
def test_a_replica_without_its_engine_is_not_healthy(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_dead = threading.Event()
    monkeypatch.setattr(ray_http, "IS_DEAD", is_dead)
    scope = {"type": "http", "path": f"{prefix}/-/healthz", "headers": []}
    assert asked(scope) == ([scope], [])
    is_dead.set()
    handed_on, (start, body) = asked(scope)
    assert (handed_on, start["status"]) == ([], 503)
    assert body["body"] == b"the engine is dead"
    others = {**scope, "path": "/v1/completions"}
    assert asked(others) == ([others], [])


def test_ray_has_no_other_header_that_a_request_brings_and_that_ends_or_keeps_it() -> None:
    """Those of routing are taken off by HAProxy, an id of a request is for its sender's logs."""
    known = {
        value.encode()
        for name, value in vars(constants).items()
        if name.startswith("SERVE_HTTP_REQUEST_") and name.endswith("_HEADER")
    }
    assert known == STEERING | {b"x-request-id"}


def test_ray_asks_for_middlewares_by_the_variable_that_is_set() -> None:
    (name,) = application_environment("direct")
    assert hasattr(constants, name)
