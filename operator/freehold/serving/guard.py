"""What may pass to the engine's own HTTP app, and from whom.

With direct streaming the engine's app answers clients itself, with every route it has: loading
adapters, reading metrics, raw tokenisation. Here a key is asked for before anything else, only the
OpenAI routes are open, bodies have a largest size, and what would steer the engine instead of
asking it is kept off.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from freehold.serving.api_keys import ApiKeys

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Asked by what watches over the replica, which has no key; it tells nothing but that it runs.
HEALTH = ("GET", "/health")
OPEN_ROUTES = frozenset(
    {
        HEALTH,
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/responses"),
    }
)
# All that the engine reads of an honest request. Not among them: what gives a request a priority, a
# rank or another one's id (by which that one can be aborted), the client's key, and Origin, which
# the engine would answer by letting pages of any site read with its user's credentials.
HANDED_ON = frozenset(
    {
        *(b"accept", b"content-length", b"content-type", b"host", b"user-agent"),
        *(b"traceparent", b"tracestate"),
    }
)
# Fields of a body by which a client would overtake others, take another request's id, point the
# engine at other hosts' memory, reach into its extensions, or choose with whom it shares cached
# prompts. They are refused: a client that is not told would believe in what it did not get.
NOT_FOR_CLIENTS = (
    "priority",
    "request_id",
    "kv_transfer_params",
    "ec_transfer_params",
    "vllm_xargs",
    "cache_salt",
)
# Bytes of a body. It is kept in memory and parsed, here and by the engine, between the tokens of
# everybody else's streams. A million tokens of text are some five MiB; images come within the body,
# in base64, and this holds a dozen photographs of two MiB.
LARGEST_BODY = 32 << 20


class _TooLarge(Exception):
    """A body is larger than ``LARGEST_BODY``."""


class Guard:
    """ASGI middleware: keys, open routes, sizes, headers and fields. Answers pass untouched."""

    def __init__(self, app: App, keys: ApiKeys | None) -> None:
        """Stand before ``app``.

        Args:
            app: The engine's own app.
            keys: Of which a request must bear one; None to ask for none.
        """
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request on, or refuse it in the shape that OpenAI's clients understand."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], _path(scope)
        if not self._admits(scope, (method, path)):
            await _answer(send, 401, _NO_KEY, [(b"www-authenticate", b"Bearer")])
            return
        if not is_open(method, path):
            await _answer(send, 404, _error("not_found", f"{method} {path} is not served here."))
            return
        if method == "POST":
            body = await _admitted(scope, receive, send)
            if body is None:
                return
            receive = _beginning_with(body, receive)
        headers = [header for header in scope["headers"] if header[0].lower() in HANDED_ON]
        await self._app({**scope, "headers": headers}, receive, send)

    def _admits(self, scope: Scope, route: tuple[str, str]) -> bool:
        return self._keys is None or route == HEALTH or self._keys.admit(scope["headers"])


def is_open(method: str, path: str) -> bool:
    """Return whether a route of the engine is open to clients."""
    return (method, path) in OPEN_ROUTES or (method == "GET" and path.startswith("/v1/models/"))


def _path(scope: Scope) -> str:
    # Serve mounts the app under the route prefix: `root_path` holds it and `path` repeats it
    return scope["path"].removeprefix(scope.get("root_path", "")) or "/"


async def _admitted(scope: Scope, receive: Receive, send: Send) -> bytes | None:
    """Return a request's body, or None where it was refused or nobody is there to answer."""
    try:
        body = await _whole(scope, receive)
    except _TooLarge:
        # the server drops what still comes: were it to close at once, no client would see this
        await _answer(send, 413, _TOO_LARGE)
        return None
    wrong = _wrong(body) if body is not None else None
    if wrong is not None:
        await _answer(send, 400, wrong)
        return None
    return body


async def _whole(scope: Scope, receive: Receive) -> bytes | None:
    """Return a request's body, or None where the client hung up before its end.

    The engine, too, reads all of it before it begins, so nothing is held up by waiting for it.

    Raises:
        _TooLarge: It says that it is, or is; nothing more was read then.
    """
    size = 0
    parts: list[bytes] = []
    if _declared(scope) > LARGEST_BODY:
        raise _TooLarge
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST_BODY:
            raise _TooLarge
        if not message.get("more_body", False):
            return b"".join(parts)


def _declared(scope: Scope) -> int:
    """Return the size that a request says its body has; 0 where it does not say."""
    said = (value for name, value in scope["headers"] if name.lower() == b"content-length")
    return max((int(value) for value in said if value.isdigit()), default=0)


def _beginning_with(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that tells once more what was read, and then what comes after it."""
    read: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return read.pop() if read else await receive()

    return again


def _wrong(body: bytes) -> dict[str, Any] | None:
    """Return why a body is refused, or None.

    It is read as the engine reads it, or a field could be spelled so that only one of us sees it.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return _error("invalid_json", "The body is not JSON.")
    if not isinstance(fields, dict):
        return _error("invalid_json", "The body is not a JSON object.")
    for name in NOT_FOR_CLIENTS:
        if fields.get(name) is not None:
            words = f"{name} is not taken from clients here. Leave it out of the request."
            return _error("unsupported_parameter", words, name)
    return None


def _error(code: str, message: str, param: str | None = None) -> dict[str, Any]:
    return {"message": message, "type": "invalid_request_error", "param": param, "code": code}


# One answer for a key that is missing, malformed or wrong: nobody shall learn how near they are.
_NO_KEY = _error(
    "invalid_api_key",
    "A valid API key is needed here. Send it as the header Authorization: Bearer KEY.",
)
_TOO_LARGE = _error(
    "request_too_large",
    f"The body is larger than {LARGEST_BODY >> 20} MiB, the most that is taken here. Send less at "
    "once.",
)


async def _answer(
    send: Send, status: int, error: dict[str, Any], extra: list[tuple[bytes, bytes]] | None = None
) -> None:
    body = json.dumps({"error": error}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *(extra or ()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
