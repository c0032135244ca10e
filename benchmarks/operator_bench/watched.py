"""When objects appeared and changed, by a watch of our own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from freehold.kube.client import KubeClient
from freehold.kube.resources import Resource


@dataclass(slots=True)
class Watched:
    """What a watch has seen; times are of this process's monotonic clock.

    Attributes:
        first: When each object was seen first, by its name.
        last: When it changed last.
        bodies: What it was first.
        current: The objects whose status speaks of their spec.
        latest: When anything changed.
    """

    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    current: set[str] = field(default_factory=set)
    latest: float = 0.0
    task: asyncio.Task[None] | None = None

    def take(self, body: dict[str, Any]) -> None:
        """Take an object as it is now."""
        metadata, now = body["metadata"], time.monotonic()
        name = metadata["name"]
        self.first.setdefault(name, now)
        self.bodies.setdefault(name, body)
        self.last[name] = self.latest = now
        status = body.get("status") or {}
        if status.get("observedGeneration") == metadata.get("generation"):
            self.current.add(name)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until a condition holds; the watch must not have failed."""
        while not reached():
            assert self.task is not None
            if self.task.done():
                self.task.result()
                raise RuntimeError("the watch ended")
            await asyncio.sleep(0.02)

    def stop(self) -> None:
        """End the watch."""
        if self.task is not None:
            self.task.cancel()


async def watch(client: KubeClient, resource: Resource, namespace: str) -> Watched:
    """Begin to watch a namespace's objects of a kind."""
    found, connected = Watched(), asyncio.Event()
    found.task = asyncio.create_task(_follow(client, resource, namespace, found, connected))
    await connected.wait()
    return found


async def _follow(
    client: KubeClient,
    resource: Resource,
    namespace: str,
    found: Watched,
    connected: asyncio.Event,
) -> None:
    configuration = client.configuration
    known: Any = await configuration.auth_settings()
    headers = {"Authorization": known["BearerToken"]["value"]}
    url = f"{configuration.host}{resource.path(namespace)}?watch=1&timeoutSeconds=3600"
    timeout = aiohttp.ClientTimeout(total=None)
    session = aiohttp.ClientSession(headers=headers, timeout=timeout, read_bufsize=2**21)
    async with session, session.get(url, ssl=False) as answer:
        answer.raise_for_status()
        connected.set()
        async for line in answer.content:
            found.take(json.loads(line)["object"])
