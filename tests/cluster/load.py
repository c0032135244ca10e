"""Clients that ask one request after the other, and a count of what became of each."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from tests.cluster.model import Model

# More than the sixteen that one replica of the quick start's model runs and the two that may wait.
MANY = 40
# Longer than any cold start: what is given up earlier would be the client's doing.
_PATIENCE = aiohttp.ClientTimeout(total=900)


@dataclass(frozen=True)
class Request:
    """A request that came back.

    Attributes:
        began: When it was sent, on the monotonic clock.
        seconds: How long it took.
        status: HTTP status; 0 where the connection broke.
        words: The answer's id, or what was said instead of an answer.
    """

    began: float
    seconds: float
    status: int
    words: str = ""


@dataclass
class Load:
    """Requests so far.

    Attributes:
        ended: Those that came back.
        sent: How many were sent.
    """

    ended: list[Request] = field(default_factory=list)
    sent: int = 0

    @property
    def answered(self) -> int:
        """How many were answered."""
        return sum(it.status == 200 for it in self.ended)

    @property
    def lost(self) -> list[Request]:
        """Those that were not answered."""
        return [it for it in self.ended if it.status != 200]


@contextmanager
def load(model: Model, clients: int, tokens: int = 32, pause: float = 0) -> Iterator[Load]:
    """Keep clients asking as long as the context lasts; at its end each has its last answer.

    Args:
        model: Who is asked.
        clients: How many ask at once.
        tokens: Tokens of each answer.
        pause: Seconds between an answer and the same client's next request.
    """
    found, stop = Load(), threading.Event()
    target = (model.url, model.key, model.name, tokens)
    thread = threading.Thread(
        target=lambda: asyncio.run(_all(found, stop, clients, pause, *target))
    )
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


async def _all(
    found: Load, stop: threading.Event, clients: int, pause: float, *target: Any
) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=_PATIENCE, connector=connector) as session:
        given = (session, found, stop, pause)
        await asyncio.gather(*(_client(*given, it, *target) for it in range(clients)))


async def _client(
    session: aiohttp.ClientSession,
    found: Load,
    stop: threading.Event,
    pause: float,
    number: int,
    *target: Any,
) -> None:
    while not stop.is_set():
        found.sent += 1
        began = time.monotonic()
        status, words = await _ask(session, number, *target)
        found.ended.append(Request(began, time.monotonic() - began, status, words))
        await asyncio.sleep(pause)


async def _ask(
    session: aiohttp.ClientSession, number: int, url: str, key: str, name: str, tokens: int
) -> tuple[int, str]:
    asked = {"model": name, "prompt": f"Story {number}:", "max_tokens": tokens, "ignore_eos": True}
    headers = {"Authorization": f"Bearer {key}"}
    try:
        async with session.post(f"{url}/v1/completions", json=asked, headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text)["id"] if answer.status == 200 else text[:300]
    except (aiohttp.ClientError, OSError) as error:
        return 0, repr(error)
