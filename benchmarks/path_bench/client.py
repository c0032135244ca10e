"""One round of load: streams of completions, in a process of its own.

Reads a round as JSON from its first argument and prints what it saw as JSON. It does as little as
it can for each chunk, since it shares the cores with what it measures.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp

PROMPT = "Once upon a time, in a village by the sea, there lived a"
_USAGE = re.compile(rb'"completion_tokens":\s*(\d+)')


@dataclass(frozen=True, slots=True)
class Round:
    """What to send.

    Attributes:
        base_url: Such as ``http://127.0.0.1:8000``.
        model: Served name.
        streams: Requests under way at once.
        requests: Requests in all.
        tokens: Tokens asked for in each.
        key: Key that the requests bear; "" for none.
    """

    base_url: str
    model: str
    streams: int
    requests: int
    tokens: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """One answer: seconds to its first and last chunk, and its tokens as the server counts them."""

    first: float
    last: float
    tokens: int
    chunks: int


async def send(session: aiohttp.ClientSession, work: Round) -> Stream:
    """Send one request and read its stream to the end.

    Raises:
        RuntimeError: When the answer is no whole stream with all its tokens.
    """
    body = {
        "model": work.model,
        "prompt": PROMPT,
        "max_tokens": work.tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"Authorization": f"Bearer {work.key}"} if work.key else {}
    url = f"{work.base_url}/v1/completions"
    start = time.perf_counter()
    first = last = 0.0
    chunks, tail = 0, b""
    async with session.post(url, json=body, headers=headers) as answer:
        if answer.status != 200:
            raise RuntimeError(f"HTTP {answer.status}: {(await answer.text())[:300]}")
        async for data in answer.content.iter_any():
            last = time.perf_counter() - start
            first = first or last
            chunks += data.count(b"data: ")
            tail = tail[-600:] + data
    counted = _USAGE.findall(tail)
    if b"data: [DONE]" not in tail or not counted:
        raise RuntimeError(f"the stream ended early: {tail[-300:]!r}")
    # two of the chunks are the usage and the end mark
    return Stream(first, last, int(counted[-1]), chunks - 2)


async def run(work: Round) -> dict[str, Any]:
    """Keep ``streams`` requests under way until all are answered."""
    todo = iter(range(work.requests))

    async def one_stream(session: aiohttp.ClientSession) -> list[Stream]:
        return [await send(session, work) for _ in todo]

    timeout = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=timeout
    ) as session:
        start, cpu = time.perf_counter(), time.process_time()
        done = await asyncio.gather(*(one_stream(session) for _ in range(work.streams)))
        seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "cpu": time.process_time() - cpu,
        "streams": [asdict(stream) for streams in done for stream in streams],
    }


def main() -> None:
    """Run the round that the first argument describes."""
    try:
        print(json.dumps(asyncio.run(run(Round(**json.loads(sys.argv[1]))))))
    except (RuntimeError, aiohttp.ClientError, TimeoutError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
