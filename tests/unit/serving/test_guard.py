"""In front of the engine's own app only OpenAI's routes are open, and streams are not touched."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from freehold.serving.guard import OPEN_ROUTES, Guard, Message, Receive, Scope, Send, is_open

CHUNKS = [b'data: {"choices": [1]}\n\n', b"", b"data: [DONE]\n\n"]


class FakeEngine:
    """An ASGI app that keeps what reached it and streams ``CHUNKS``."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.bodies: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.bodies.append(await receive())
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        for chunk in CHUNKS:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Visit:
    """What one scope led to."""

    def __init__(self, **scope: Any) -> None:
        self.engine = FakeEngine()
        self.sent: list[Message] = []
        self.received = {"type": "http.request", "body": b"{}", "more_body": False}
        asyncio.run(Guard(self.engine, None)(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        return self.received

    async def _send(self, message: Message) -> None:
        self.sent.append(message)


def visit(method: str, path: str, root: str | None = "", **headers: str) -> Visit:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": sent}
    return Visit(**scope, **({} if root is None else {"root_path": root}))


@pytest.mark.parametrize(("method", "path"), sorted(OPEN_ROUTES | {("GET", "/v1/models/org/m")}))
def test_the_open_routes_reach_the_engine(method: str, path: str) -> None:
    assert len(visit(method, path).engine.scopes) == 1


def test_what_openai_clients_ask_for_is_open() -> None:
    asked = ("chat/completions", "completions", "embeddings", "responses")
    assert all(is_open("POST", f"/v1/{route}") for route in asked)
    assert is_open("GET", "/v1/models")
    assert is_open("GET", "/health")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/load_lora_adapter"),
        ("POST", "/v1/unload_lora_adapter"),
        ("GET", "/metrics"),
        ("POST", "/tokenize"),
        ("POST", "/invocations"),
        ("GET", "/openapi.json"),
        ("GET", "/docs"),
        ("GET", "/"),
        ("GET", ""),
        ("GET", "/version"),
        ("GET", "/v1/completions"),
        ("POST", "/v1/models"),
        ("DELETE", "/v1/models/org/m"),
        ("POST", "/health"),
        ("POST", "/v1/completions/"),
        ("POST", "//v1/completions"),
        ("POST", "/V1/completions"),
        ("GET", "/v1/modelsx"),
    ],
)
def test_every_other_route_is_closed_in_openais_shape(method: str, path: str) -> None:
    seen = visit(method, path)
    assert seen.engine.scopes == []
    start, body = seen.sent
    assert start["status"] == 404
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"content-length"] == str(len(body["body"])).encode()
    assert json.loads(body["body"]) == {
        "error": {
            "message": f"{method} {path or '/'} is not served here.",
            "type": "invalid_request_error",
            "param": None,
            "code": "not_found",
        }
    }
    assert not body.get("more_body")


@pytest.mark.parametrize("root", [None, ""])
def test_an_app_at_the_root_has_no_prefix(root: str | None) -> None:
    assert visit("GET", "/v1/models", root).engine.scopes


def test_a_route_prefix_is_looked_past_and_handed_on() -> None:
    (scope,) = visit("POST", "/chat/v1/completions", "/chat").engine.scopes
    assert (scope["path"], scope["root_path"]) == ("/chat/v1/completions", "/chat")
    assert visit("GET", "/chat/metrics", "/chat").engine.scopes == []
    assert visit("GET", "/chat", "/chat").engine.scopes == []


def test_a_prefix_that_is_also_a_route_opens_nothing() -> None:
    assert visit("GET", "/v1/models/v1/load_lora_adapter", "/v1/models").engine.scopes == []
    assert visit("POST", "/v1/v1/completions", "/v1").engine.scopes


def test_only_what_the_engine_needs_of_the_headers_is_handed_on() -> None:
    (scope,) = visit(
        "POST",
        "/v1/completions",
        Content_Type="application/json",
        authorization="Bearer k",
        x_api_key="k",
        cookie="a=b",
        origin="https://elsewhere.example",
        X_vLLM_Priority="-100",
        x_data_parallel_rank="1",
        x_request_id="somebody-else-s",
        x_session_id="s",
        x_request_disconnect_disabled="?1",
        x_request_timeout_seconds="99999",
        x_serve_router_kv_token_key="k",
        serve_multiplexed_model_id="a",
        endpoint_load_metrics_format="text",
        user_agent="OpenAI/Python",
        traceparent="00-0-0-00",
    ).engine.scopes
    assert [name for name, _ in scope["headers"]] == [
        b"Content-Type",
        b"user-agent",
        b"traceparent",
    ]


def test_the_callers_scope_is_left_as_it_was() -> None:
    headers = [(b"x-vllm-priority", b"1")]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/health", "headers": headers}
    engine = FakeEngine()

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(_message: Message) -> None:
        """Take no notice."""

    asyncio.run(Guard(engine, None)(scope, receive, send))
    assert engine.scopes[0]["headers"] == []
    assert scope["headers"] is headers
    assert headers == [(b"x-vllm-priority", b"1")]


def test_a_stream_passes_chunk_by_chunk() -> None:
    seen = visit("POST", "/v1/chat/completions")
    assert seen.engine.bodies == [seen.received]
    assert [message.get("body") for message in seen.sent[1:]] == [*CHUNKS, b""]
    assert [message.get("more_body") for message in seen.sent[1:]] == [True, True, True, False]


def test_a_chunk_is_handed_on_before_the_next_is_made() -> None:
    order: list[str] = []

    async def engine(_scope: Scope, _receive: Receive, send: Send) -> None:
        for number in range(3):
            order.append(f"made {number}")
            await send({"type": "http.response.body", "body": b"", "more_body": True})

    async def send(_message: Message) -> None:
        order.append("sent")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/health", "headers": []}
    asyncio.run(Guard(engine, None)(scope, receive, send))
    assert order == ["made 0", "sent", "made 1", "sent", "made 2", "sent"]


def test_a_websocket_is_closed_and_never_reaches_the_engine() -> None:
    seen = Visit(type="websocket", path="/v1/realtime", headers=[])
    assert seen.engine.scopes == []
    assert seen.sent == [{"type": "websocket.close", "code": 1008}]


def test_the_lifespan_is_the_engines() -> None:
    seen = Visit(type="lifespan")
    assert seen.engine.scopes == [{"type": "lifespan"}]
    assert seen.sent == [{"type": "lifespan.startup.complete"}]
