"""The guard before a real app that is as open as the engine's own, asked by a real client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from freehold.serving.api_keys import ApiKeys
from freehold.serving.guard import NOT_FOR_CLIENTS, Guard, Message

KEY = "fh-0123456789"
ASKS = {"model": "m", "prompt": "Hello"}
REFUSED = {
    "message": "A valid API key is needed here. Send it as the header Authorization: Bearer KEY.",
    "type": "invalid_request_error",
    "param": None,
    "code": "invalid_api_key",
}


@dataclass
class Engine:
    """An app with the engine's routes and CORS, and what reached it."""

    bodies: list[bytes] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    def app(self) -> Starlette:
        open_to_all = Middleware(
            CORSMiddleware,
            allow_origins=["*"],
            allow_credentials=True,
            allow_methods=["*"],
            allow_headers=["*"],
        )
        routes = [
            Route("/health", self.health),
            Route("/v1/models", self.models),
            Route("/v1/models/{id:path}", self.models),
            Route("/v1/completions", self.complete, methods=["POST"]),
            Route("/metrics", self.models),
        ]
        return Starlette(routes=routes, middleware=[open_to_all])

    async def health(self, request: Request) -> Response:
        return Response()

    async def models(self, request: Request) -> Response:
        self.headers.append(request.headers)
        return JSONResponse({"object": "list"})

    async def complete(self, request: Request) -> Response:
        self.headers.append(request.headers)
        self.bodies.append(await request.body())
        return StreamingResponse(self.chunks(), media_type="text/event-stream")

    async def chunks(self) -> AsyncIterator[str]:
        for word in ("one", "two", "[DONE]"):
            yield f"data: {word}\n\n"


@dataclass
class Visit:
    """A client of a guarded engine."""

    engine: Engine
    guard: Guard

    def ask(self, method: str, path: str, key: str | None = KEY, **given: Any) -> httpx.Response:
        headers = {**given.pop("headers", {})}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.guard)
            async with httpx.AsyncClient(transport=transport, base_url="http://m") as client:
                return await client.request(method, path, headers=headers, **given)

        return asyncio.run(send())


@pytest.fixture
def visit(tmp_path: Path) -> Visit:
    (tmp_path / "one").write_text(KEY)
    (tmp_path / "two").write_text("another\n")
    engine = Engine()
    return Visit(engine, Guard(engine.app(), ApiKeys(tmp_path)))


@pytest.mark.parametrize("key", [KEY, "another"])
def test_each_of_the_keys_opens_and_none_goes_on_to_the_engine(visit: Visit, key: str) -> None:
    answer = visit.ask("POST", "/v1/completions", key, json=ASKS)
    assert answer.status_code == 200
    assert answer.text == "data: one\n\ndata: two\n\ndata: [DONE]\n\n"
    assert visit.ask("GET", "/v1/models", key).json() == {"object": "list"}
    for headers in visit.engine.headers:
        assert key not in json.dumps(dict(headers))


ROUTES = [
    ("POST", "/v1/completions"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/m"),
    ("GET", "/metrics"),
    ("GET", "/nowhere"),
    ("OPTIONS", "/v1/completions"),
    ("HEAD", "/health"),
    ("POST", "/health"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("key", [None, "", "wrong", f"{KEY}0", KEY[:-1]])
def test_without_a_key_every_route_gives_the_same_answer(
    visit: Visit, method: str, path: str, key: str | None
) -> None:
    answer = visit.ask(method, path, key)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    if method != "HEAD":
        assert answer.json() == {"error": REFUSED}
    assert visit.engine.headers == []


def test_health_is_told_to_everybody(visit: Visit) -> None:
    assert visit.ask("GET", "/health", None).status_code == 200


def test_a_body_is_not_even_read_before_a_key_was_shown(visit: Visit) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was asked for")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": []}
    asyncio.run(visit.guard(scope, receive, send))
    assert sent[0]["status"] == 401


def test_an_engine_that_asks_for_no_key_gives_none_on_either() -> None:
    engine = Engine()
    visit = Visit(engine, Guard(engine.app(), None))
    assert visit.ask("GET", "/v1/models", None).status_code == 200
    assert visit.ask("GET", "/v1/models", "any").status_code == 200
    assert all("authorization" not in headers for headers in engine.headers)


def test_a_page_of_another_site_may_neither_ask_nor_read(visit: Visit) -> None:
    origin = {"Origin": "https://elsewhere.example"}
    preflight = origin | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    for headers, key in ((preflight, None), (preflight, KEY), (origin, KEY)):
        for method in ("OPTIONS", "GET", "POST"):
            path = "/v1/models" if method == "GET" else "/v1/completions"
            answer = visit.ask(method, path, key, headers=headers, json=ASKS)
            assert not [name for name in answer.headers if name.startswith("access-control")]
    assert visit.ask("OPTIONS", "/v1/completions", headers=preflight).status_code == 404


@pytest.mark.parametrize("name", NOT_FOR_CLIENTS)
def test_a_field_that_steers_is_refused_by_its_name(visit: Visit, name: str) -> None:
    for value in (0, -1, "x", {"a": 1}, False):
        answer = visit.ask("POST", "/v1/completions", json={**ASKS, name: value})
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["param"], error["code"]) == (name, "unsupported_parameter")
        assert (
            error["message"]
            == f"{name} is not taken from clients here. Leave it out of the request."
        )
    assert visit.engine.bodies == []
    assert visit.ask("POST", "/v1/completions", json={**ASKS, name: None}).status_code == 200


def test_a_field_is_found_however_it_is_spelled(visit: Visit) -> None:
    spelled = [
        b'{"prompt": "x", "pri\\u006frity": -9}',
        b'{"priority": null, "priority": -9}',
        '{"priority": -9}'.encode("utf-16"),
    ]
    for content in spelled:
        assert visit.ask("POST", "/v1/completions", content=content).status_code == 400
    assert visit.engine.bodies == []


def test_what_only_looks_like_such_a_field_is_let_through(visit: Visit) -> None:
    body = {"prompt": '"priority": 1', "metadata": {"priority": 1}}
    assert visit.ask("POST", "/v1/completions", json=body).status_code == 200


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b'"x"', b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_json_object_is_refused_here(visit: Visit, content: bytes) -> None:
    answer = visit.ask("POST", "/v1/completions", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"
    assert visit.engine.bodies == []


def test_a_body_reaches_the_engine_byte_by_byte_as_it_was_sent(visit: Visit) -> None:
    content = b'{ "prompt":"\xc3\xa9\\u00e9", "temperature": 1.0, "model":"m"}'

    async def parts() -> AsyncIterator[bytes]:
        for i in range(0, len(content), 7):
            yield content[i : i + 7]

    assert visit.ask("POST", "/v1/completions", content=parts()).status_code == 200
    assert visit.engine.bodies == [content]


async def asked_of(guard: Guard, bodies: list[bytes], **headers: str) -> tuple[list[Message], int]:
    """Return what a request was answered whose body comes in parts, and how many were read."""
    read: list[bytes] = []

    async def receive() -> Message:
        if len(read) == len(bodies):
            await asyncio.Future()  # the client waits for its answer
        read.append(bodies[len(read)])
        more = len(read) < len(bodies)
        return {"type": "http.request", "body": read[-1], "more_body": more}

    async def send(message: Message) -> None:
        sent.append(message)

    sent: list[Message] = []
    told = {"authorization": f"Bearer {KEY}", **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in told.items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": raw}
    await guard(scope, receive, send)
    return sent, len(read)


TOO_LARGE = {
    "message": "The body is larger than 32 MiB, the most that is taken here. Send less at once.",
    "type": "invalid_request_error",
    "param": None,
    "code": "request_too_large",
}
MIB = b" " * (1 << 20)


@pytest.mark.parametrize(
    ("headers", "read"),
    [({"Content_Length": str((32 << 20) + 1)}, 0), ({"content_length": "7"}, 33), ({}, 33)],
    ids=["it says so", "it says less", "it says nothing"],
)
async def test_a_body_that_is_too_large_is_refused_and_not_read_on(
    visit: Visit, headers: dict[str, str], read: int
) -> None:
    sent, parts = await asked_of(visit.guard, [MIB] * 40, **headers)
    start, body = sent
    assert start["status"] == 413
    assert json.loads(body["body"]) == {"error": TOO_LARGE}
    assert parts == read
    assert visit.engine.headers == []


async def test_a_body_of_the_largest_size_reaches_the_engine(visit: Visit) -> None:
    bodies = [b"{}", *[MIB] * 31, MIB[2:]]
    sent, parts = await asked_of(visit.guard, bodies, content_length=str(32 << 20))
    assert sent[0]["status"] == 200
    assert parts == len(bodies)
    assert [len(body) for body in visit.engine.bodies] == [32 << 20]


@pytest.mark.parametrize("said", ["", "-1", "many", "\u00b2"])
async def test_a_size_that_is_none_says_nothing(visit: Visit, said: str) -> None:
    sent, _ = await asked_of(visit.guard, [b"{}"], content_length=said)
    assert sent[0]["status"] == 200


def test_a_client_that_hangs_up_amid_its_body_never_reaches_the_engine(visit: Visit) -> None:
    sends: list[Message] = [
        {"type": "http.request", "body": b'{"prompt"', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return sends.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError(message)

    headers = [(b"authorization", f"Bearer {KEY}".encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": headers}
    asyncio.run(visit.guard(scope, receive, send))
    assert visit.engine.headers == []


def test_a_hang_up_after_the_body_is_told_to_the_engine(tmp_path: Path) -> None:
    heard: list[str] = []

    async def engine(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        await request.body()
        heard.append((await receive())["type"])

    sends: list[Message] = [
        {"type": "http.request", "body": b"{}", "more_body": False},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return sends.pop(0)

    async def send(message: Message) -> None:
        """Take no notice."""

    scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": []}
    with_no_keys = Guard(engine, None)
    try:
        asyncio.run(with_no_keys(scope, receive, send))
    except ClientDisconnect:
        heard.append("too early")
    assert heard == ["http.disconnect"]
