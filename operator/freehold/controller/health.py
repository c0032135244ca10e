"""The operator's small HTTP server: ``/metrics``, ``/healthz`` and ``/readyz``.

``/healthz`` fails when work has stood still for longer than work can take: then only a restart
helps. ``/readyz`` fails while this process could not take over or do its work. Both answer 200 or
503 with what each check found:

    {"ok": false, "checks": {"passes": {"ok": false, "found": "the oldest pass takes 1900 s, ..."}}}

Neither asks the API server: a restart of ours does not heal it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

from freehold.errors import MachineUnfit


class Phase(StrEnum):
    """Where the life of an operator process stands."""

    STARTING = "starting"
    STANDBY = "waits for the lease"
    LISTING = "leads, and lists what there is"
    LEADING = "leads"
    STOPPING = "ends"


class Found(NamedTuple):
    """What a check found.

    Attributes:
        ok: Whether all is well.
        found: A sentence.
    """

    ok: bool
    found: str


Check = Callable[[], Found]


def not_older(what: str, age: Callable[[], float], bound: float) -> Check:
    """Return a check that fails when something takes longer than it can take.

    Args:
        what: What it is, such as "the oldest pass".
        age: Its present age in seconds, 0.0 where there is none.
        bound: Seconds that it may take.
    """

    def check() -> Found:
        seconds = age()
        return Found(seconds <= bound, f"{what}: {seconds:.0f} s, of {bound:.0f} s at most")

    return check


def able_to_lead(phase: Callable[[], Phase]) -> Check:
    """Return a check that holds while a process waits for the lease or does the leader's work."""

    def check() -> Found:
        now = phase()
        return Found(now in (Phase.STANDBY, Phase.LEADING), now.value)

    return check


class HealthServer:
    """Serves until its ``async with`` ends.

    Attributes:
        port: Where it listens, once it does.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        live: Mapping[str, Check],
        ready: Mapping[str, Check],
        port: int,
        host: str | None = None,
    ) -> None:
        """Serve nothing yet.

        Args:
            registry: What ``/metrics`` shows.
            live: The checks of ``/healthz`` by name.
            ready: The checks of ``/readyz`` by name.
            port: Where to listen; 0 for a free one.
            host: At which address; None for all.
        """
        self.port = port
        self._host = host
        app = web.Application()
        app.router.add_get("/metrics", make_aiohttp_handler(registry))
        app.router.add_get("/healthz", _answering(live))
        app.router.add_get("/readyz", _answering(ready))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def __aenter__(self) -> HealthServer:
        """Begin to listen.

        Raises:
            MachineUnfit: The port is taken, or not for this process.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise MachineUnfit(_port_words(self.port, error)) from error
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """End, at once but for answers under way."""
        await self._runner.cleanup()


def _port_words(port: int, error: OSError) -> str:
    why = os.strerror(error.errno) if error.errno else str(error)
    return (
        f"--metrics-port: nothing can listen at port {port} ({why}); stop what listens there "
        f"(`ss -ltnp 'sport = :{port}'` names it) or give another port (the chart's value "
        "metrics.port)"
    )


def _answering(checks: Mapping[str, Check]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        found = {name: _run(check) for name, check in checks.items()}
        ok = all(each.ok for each in found.values())
        body = {"ok": ok, "checks": {name: each._asdict() for name, each in found.items()}}
        return web.json_response(body, status=200 if ok else 503)

    return answer


def _run(check: Check) -> Found:
    """Run a check; one that breaks tells what broke."""
    try:
        return check()
    except Exception as error:
        return Found(False, f"the check failed: {type(error).__name__}: {error}")
