"""What may pass to the engine's own HTTP app.

With direct streaming the engine's app answers clients itself, with every route it has: loading
adapters, reading metrics, raw tokenisation. Only the OpenAI routes are open here, and headers by
which a client would steer Ray or the engine are taken out.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_ROUTES = frozenset(
    {
        ("GET", "/health"),
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/responses"),
    }
)
# vLLM takes a priority, a rank or a session from these, Ray a timeout or an adapter; a client that
# may set them can starve others or send work where it does not belong.
STEERING_HEADERS = frozenset(
    {
        b"x-vllm-priority",
        b"x-data-parallel-rank",
        b"x-data-parallel-host-name",
        b"x-request-disconnect-disabled",
        b"x-request-timeout-seconds",
        b"serve-multiplexed-model-id",
        b"serve_multiplexed_model_id",
    }
)


class Guard:
    """ASGI middleware: an allow-list of routes, and headers stripped. Streams pass untouched."""

    def __init__(self, app: App) -> None:
        """Stand before ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request on, or refuse it in the shape that OpenAI's clients understand."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            if not is_open(scope["method"], _path(scope)):
                await _refuse(send, scope["method"], _path(scope))
                return
            headers = [h for h in scope["headers"] if h[0].lower() not in STEERING_HEADERS]
            scope = {**scope, "headers": headers}
        await self._app(scope, receive, send)


def is_open(method: str, path: str) -> bool:
    """Return whether a route of the engine is open to clients."""
    return (method, path) in OPEN_ROUTES or (method == "GET" and path.startswith("/v1/models/"))


def _path(scope: Scope) -> str:
    # Serve mounts the app under the route prefix: `root_path` holds it and `path` repeats it
    return scope["path"].removeprefix(scope.get("root_path", "")) or "/"


async def _refuse(send: Send, method: str, path: str) -> None:
    error = {
        "message": f"{method} {path} is not served here.",
        "type": "invalid_request_error",
        "param": None,
        "code": "not_found",
    }
    body = json.dumps({"error": error}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})
