"""Requests at given times, each a stream, in a process of its own.

Reads what to ask as JSON from standard input and prints what it saw as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass

import aiohttp

# Random tokens, others each time: no two prompts begin alike, so none is in the prefix cache.
_TOKENS = (1_000, 100_000)
_PATIENCE = aiohttp.ClientTimeout(total=600)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to send.

    Attributes:
        url: Of completions.
        model: Served name.
        requests: Of each the second at which it is sent, its prompt tokens, and the tokens asked
            for.
    """

    url: str
    model: str
    requests: list[tuple[float, int, int]]


async def _one(
    session: aiohttp.ClientSession, asked: Asked, at: float, prompt: list[int], output: int
) -> tuple[float, float, float]:
    """Return when it was sent, had its first token and its last, on the monotonic clock."""
    body = {
        "model": asked.model,
        "prompt": prompt,
        "max_tokens": output,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
    }
    await asyncio.sleep(max(0.0, at - time.monotonic()))
    began, first, tail = time.monotonic(), 0.0, b""
    async with session.post(asked.url, json=body) as answer:
        if answer.status != 200:
            raise RuntimeError(f"HTTP {answer.status}: {(await answer.text())[:300]}")
        async for data in answer.content.iter_any():
            first = first or time.monotonic()
            tail = tail[-100:] + data
    if b"data: [DONE]" not in tail:
        raise RuntimeError(f"the stream ended early: {tail!r}")
    return began, first, time.monotonic()


async def _all(asked: Asked) -> list[tuple[float, float, float]]:
    prompts = [[random.randrange(*_TOKENS) for _ in range(it[1])] for it in asked.requests]
    connections = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connections, timeout=_PATIENCE) as session:
        begin = time.monotonic()
        them = zip(asked.requests, prompts, strict=True)
        return await asyncio.gather(
            *(_one(session, asked, begin + at, prompt, out) for (at, _, out), prompt in them)
        )


def main() -> None:
    """Ask what standard input says."""
    try:
        print(json.dumps(asyncio.run(_all(Asked(**json.load(sys.stdin))))))
    except (RuntimeError, aiohttp.ClientError, TimeoutError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
