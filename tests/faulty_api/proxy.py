"""The proxy itself: lets requests through, strikes some of them, notes all of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import aiohttp
from aiohttp import web
from tests.faulty_api.faults import (
    Answer,
    Cut,
    Delay,
    ExpireWatch,
    Fault,
    Hang,
    HoldAnswer,
    LoseAnswer,
    Malformed,
    Refuse,
    Rule,
    Stall,
)
from tests.faulty_api.journal import Journal, Request
from tests.faulty_api.upstream import Upstream
from yarl import URL

# Those of one connection, which the proxy makes anew (RFC 9110, section 7.6.1).
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"}
)
_LARGEST_BODY = 64 * 2**20


@dataclass(eq=False, slots=True)
class _Open:
    """A request that is not answered to the end.

    Attributes:
        request: What is noted of it.
        struck: Holds the fault that strikes its answer, once one does.
    """

    request: Request
    struck: asyncio.Future[Fault]


@dataclass(slots=True)
class Proxy:
    """Lives in one event loop; ``inject`` must be called there.

    Attributes:
        upstream: The real server.
        journal: What has been asked for.
        rules: What goes wrong; the first that strikes counts.
        tokens: Bearer token by client, given to requests without credentials.
    """

    upstream: Upstream
    journal: Journal = field(default_factory=Journal)
    rules: list[Rule] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    _open: set[_Open] = field(default_factory=set)

    def app_for(self, client: str) -> web.Application:
        """Return what serves one client."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._handle(client, request)

        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", handle)
        return app

    def inject(self, rule: Rule) -> None:
        """Let something go wrong from now on, and strike answers that are on their way."""
        self.rules.append(rule)
        if not rule.fault.strikes_open:
            return
        for answer in list(self._open):
            if not answer.struck.done() and _strikes(rule, answer.request):
                answer.struck.set_result(rule.fault)

    async def _handle(self, client: str, request: web.Request) -> web.StreamResponse:
        agent = request.headers.get("User-Agent", "")
        noted = Request(client, request.method, request.raw_path, agent, time.monotonic())
        self.journal.all.append(noted)
        fault = self._fault_for(noted)
        going = _Open(noted, asyncio.get_running_loop().create_future())
        self._open.add(going)
        try:
            return await self._instead(fault, request, noted) or await self._forward(
                fault, request, going
            )
        finally:
            self._open.discard(going)

    def _fault_for(self, noted: Request) -> Fault | None:
        for rule in self.rules:
            if _strikes(rule, noted):
                noted.fault = type(rule.fault).__name__
                return rule.fault
        return None

    async def _instead(
        self, fault: Fault | None, request: web.Request, noted: Request
    ) -> web.Response | None:
        """Do what a fault does before the server is asked; None where the server is to be asked."""
        match fault:
            case Answer(status=status, retry_after=retry_after):
                noted.give(status)
                wait = {} if retry_after is None else {"Retry-After": str(retry_after)}
                return web.json_response(fault.body, status=status, headers=wait)
            case Malformed():
                noted.give(200)
                return web.Response(text='{"kind": "Half', content_type="application/json")
            case Hang():
                await _for_ever()
            case Refuse():
                _abort(request)
            case Delay(seconds=seconds):
                await asyncio.sleep(seconds)
        return None

    async def _forward(
        self, fault: Fault | None, request: web.Request, going: _Open
    ) -> web.StreamResponse:
        headers = _end_to_end(request.headers)
        token = self.tokens.get(going.request.client)
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token}")
        url = URL(f"{self.upstream.server}{request.raw_path}", encoded=True)
        try:
            async with (
                self.upstream.session(headers).request(
                    request.method, url, headers=headers, data=await request.read() or None
                ) as answer,
                _dropped_if_cancelled(answer),
            ):
                if isinstance(fault, LoseAnswer | HoldAnswer):
                    await answer.read()
                    going.request.give(0)
                if isinstance(fault, LoseAnswer):
                    _abort(request)
                if isinstance(fault, HoldAnswer):
                    await _for_ever()
                return await self._answer(fault, request, going, answer)
        except aiohttp.ClientError:
            _abort(request)

    async def _answer(
        self,
        fault: Fault | None,
        request: web.Request,
        going: _Open,
        answer: aiohttp.ClientResponse,
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=_end_to_end(answer.headers))
        going.request.give(answer.status)
        await response.prepare(request)
        if isinstance(fault, Stall | ExpireWatch) and not going.struck.done():
            going.struck.set_result(fault)
        left = fault.after if isinstance(fault, Cut) else None
        await _pour(answer, response, going.struck, left)
        if going.struck.done():
            going.request.fault = type(going.struck.result()).__name__
            await _strike(going.struck.result(), request, response)
        elif left is not None:
            _abort(request)
        await response.write_eof()
        return response


def _strikes(rule: Rule, noted: Request) -> bool:
    return rule.strikes(
        client=noted.client, method=noted.method, path=noted.path, watch=noted.is_watch
    )


async def _pour(
    answer: aiohttp.ClientResponse,
    response: web.StreamResponse,
    struck: asyncio.Future[Fault],
    limit: int | None,
) -> None:
    """Hand the body on as it comes, until its end, a fault, or so many bytes."""
    while not struck.done():
        chunk = asyncio.ensure_future(answer.content.readany())
        either: list[asyncio.Future[Any]] = [chunk, struck]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not chunk.done():
                chunk.cancel()
        if struck.done() or not (data := await chunk):
            return
        await response.write(data if limit is None else data[:limit])
        if limit is not None and (limit := limit - len(data)) <= 0:
            return


async def _strike(fault: Fault, request: web.Request, response: web.StreamResponse) -> None:
    """Do to an answer on its way what a fault does."""
    match fault:
        case Stall():
            await _for_ever()
        case ExpireWatch():
            event = {"type": "ERROR", "object": Answer(410).body}
            await response.write(json.dumps(event).encode() + b"\n")
        case _:
            _abort(request)


async def _for_ever() -> NoReturn:
    """Wait until the client goes away, or the proxy ends."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


@asynccontextmanager
async def _dropped_if_cancelled(answer: aiohttp.ClientResponse) -> AsyncIterator[None]:
    """End the connection to the server at once where nobody takes the rest of its answer.

    TLS would say farewell first, and wait for the server to do so, beyond the end of the loop.
    """
    try:
        yield
    except asyncio.CancelledError:
        if answer.connection is not None and answer.connection.transport is not None:
            answer.connection.transport.abort()
        raise


def _abort(request: web.Request) -> NoReturn:
    """End the connection without another byte."""
    if request.transport is not None:
        request.transport.abort()
    raise asyncio.CancelledError


def _end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
