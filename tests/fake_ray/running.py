"""The fake, running: in a thread of a test's process, or as a process of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from aiohttp import web
from tests.fake_ray.control import Control
from tests.fake_ray.rays import Rays
from tests.fake_ray.server import FakeRay
from tests.fake_ray.services import ServicesOfCluster


@asynccontextmanager
async def served(port: int, seconds: float, kubeconfig: Path | None) -> AsyncIterator[str]:
    """Run the fake in this event loop; gives its address.

    Args:
        port: Port on the loopback address; 0 for a free one.
        seconds: How long an application takes to come up.
        kubeconfig: Cluster whose Services are looked up; None to go by names alone.
    """
    services = ServicesOfCluster(kubeconfig) if kubeconfig is not None else None
    if services is not None:
        await services.start()
    runner = web.AppRunner(FakeRay(Rays(seconds), services).application(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        host, chosen = runner.addresses[0][:2]
        yield f"http://{host}:{chosen}"
    finally:
        await runner.cleanup()
        if services is not None:
            await services.stop()


@contextmanager
def fake_ray(kubeconfig: Path | None = None, seconds: float = 0.2) -> Iterator[Control]:
    """Run the fake in a thread, on a free port; gives what steers it."""
    loop, stop, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        try:
            async with served(0, seconds, kubeconfig) as url:
                found.append(url)
                ready.set()
                await stop.wait()
        finally:
            ready.set()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    ready.wait()
    if not found:
        raise RuntimeError("the fake of Ray did not start; its error is above")
    try:
        yield Control(found[0])
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
