"""The parts of Freehold's way, each measured by leaving it out."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

import freehold
from freehold.local.replica_address import REPLICA_PORTS
from freehold.render.request_path import DIRECT_ENVIRONMENT
from freehold.serving.api_keys import ApiKeys
from freehold.serving.guard import App, Guard
from path_bench.client import Round
from path_bench.family import environment
from path_bench.rounds import Figures, measure
from path_bench.targets import HOST, Model, Target, haproxy_places, ray_head, wait_for_token

_GUARD_REQUESTS = 20_000
_KEY = "0" * 64
_BODY = b'{"model": "llama", "prompt": "' + b"Once upon a time. " * 100 + b'", "max_tokens": 40}'
# One round of the no-op server: 16 streams, 400 chunks each, of which none costs an engine's step.
_NOOP = (16, 16, 400)
_CODE = os.pathsep.join(str(Path(p).parents[1]) for p in (__file__, freehold.__file__))


def replica_url(target: Target) -> str:
    """Return where the replica answers itself, so that a request does not pass HAProxy.

    Raises:
        RuntimeError: When none of the family's ports serves the model.
    """
    for port in target.family.listening(REPLICA_PORTS):
        url = f"http://{HOST}:{port}"
        try:
            answer = httpx.get(f"{url}/v1/models", trust_env=False, timeout=10)
        except httpx.TransportError:
            continue
        if answer.status_code == 200 and target.model.name in answer.text:
            return url
    raise RuntimeError(f"no replica of {target.path} answers on a port of its own")


def way_costs(folder: Path, rounds: int) -> dict[str, float]:
    """Return CPU microseconds for each chunk of a server that streams and computes nothing.

    Three ways: uvicorn alone, Serve's direct ingress at the replica's own port, and HAProxy before
    it; of each the median over the rounds, after one that is discarded. The client's share is not
    among them.
    """
    costs: dict[str, float] = {}
    with _uvicorn(folder) as target:
        costs |= _chunk_costs(target, "uvicorn alone", target.base_url, rounds, ("server",))
    with _serve(folder) as target:
        own = replica_url(target)
        costs |= _chunk_costs(target, "Serve's direct ingress", own, rounds, ("server",))
        url = target.base_url
        costs |= _chunk_costs(target, "the same behind HAProxy", url, rounds, ("server",))
        costs |= _chunk_costs(target, "HAProxy itself", url, rounds, ("proxy",))
    return costs


def _chunk_costs(
    target: Target, name: str, url: str, rounds: int, roles: tuple[str, ...]
) -> dict[str, float]:
    figures = [measure(target.family, Round(url, "noop", *_NOOP)) for _ in range(rounds + 1)][1:]

    def of(figure: Figures) -> float:
        return sum(figure.cpu.get(role, 0.0) for role in roles)

    return {name: statistics.median(map(of, figures)) * 1e6}


@contextmanager
def _uvicorn(folder: Path) -> Iterator[Target]:
    target = Target.prepare("uvicorn", Model("noop", folder, {}), folder)
    port = target.base_url.rpartition(":")[2]
    command = [sys.executable, "-m", "uvicorn", "path_bench.noop:stream", "--no-access-log"]
    with _up(target):
        target.family.start(
            [*command, "--host", HOST, "--port", port], environment(PYTHONPATH=_CODE)
        )
        wait_for_token(target, time.perf_counter())
        yield target


@contextmanager
def _serve(folder: Path) -> Iterator[Target]:
    target = Target.prepare("serve", Model("noop", folder, {}), folder)
    settings = DIRECT_ENVIRONMENT | haproxy_places(target)
    settings |= {"RAY_SERVE_HAPROXY_NBTHREAD": "1", "PYTHONPATH": _CODE}
    application = {
        "name": "noop",
        "route_prefix": "/",
        "import_path": "path_bench.noop_serve:app",
    }
    with _up(target):
        ray_head(target, int(target.base_url.rpartition(":")[2]), settings, application)
        wait_for_token(target, time.perf_counter())
        yield target


@contextmanager
def _up(target: Target) -> Iterator[None]:
    try:
        yield
    finally:
        target.family.stop()


def guard_microseconds() -> float:
    """Return what the guard adds to one request of an ordinary client, with a key of two."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("former", "present"):
            (Path(folder) / name).write_text(f"{name}-{_KEY}")
        return asyncio.run(_compare(ApiKeys(Path(folder))))


async def _compare(keys: ApiKeys) -> float:
    bare = await _time(_nothing)
    guarded = await _time(Guard(_nothing, keys))
    return (guarded - bare) / _GUARD_REQUESTS * 1e6


async def _time(app: App) -> float:
    names = (b"host", b"user-agent", b"accept", b"content-type", b"content-length", b"x-request-id")
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/completions",
        "root_path": "",
        "headers": [
            *((name, b"a value of some length") for name in names),
            (b"authorization", f"Bearer present-{_KEY}".encode()),
        ],
    }
    start = time.perf_counter()
    for _ in range(_GUARD_REQUESTS):
        await app(scope, _receive, _send)
    return time.perf_counter() - start


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({})


async def _receive() -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": _BODY}


async def _send(message: MutableMapping[str, Any]) -> None:
    return None
