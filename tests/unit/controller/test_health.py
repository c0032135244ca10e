"""What the probes answer, over real HTTP."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from freehold.controller.health import Check, Found, HealthServer, Phase, able_to_lead, not_older
from freehold.controller.metrics import Metrics
from freehold.errors import MachineUnfit

HOST = "127.0.0.1"


def server(
    live: Mapping[str, Check] | None = None, ready: Mapping[str, Check] | None = None
) -> HealthServer:
    registry = CollectorRegistry()
    Metrics(registry, version="1.2.3")
    return HealthServer(registry, live=live or {}, ready=ready or {}, port=0, host=HOST)


async def get(port: int, path: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{HOST}:{port}{path}") as answer,
    ):
        text = answer.content_type.startswith("text/")
        return answer.status, await (answer.text() if text else answer.json())


async def test_metrics_are_served_as_prometheus_asks_for_them() -> None:
    async with server() as running:
        status, text = await get(running.port, "/metrics")
    assert status == 200
    assert 'freehold_build_info{version="1.2.3"} 1.0' in text


async def test_it_is_alive_while_nothing_is_older_than_it_can_be() -> None:
    ages = {"pass": 0.0}
    checks = {"passes": not_older("the oldest pass", lambda: ages["pass"], 600)}
    async with server(live=checks) as running:
        assert await get(running.port, "/healthz") == (
            200,
            {
                "ok": True,
                "checks": {
                    "passes": {"ok": True, "found": "the oldest pass: 0 s, of 600 s at most"}
                },
            },
        )
        ages["pass"] = 601.0
        status, body = await get(running.port, "/healthz")
    assert status == 503
    assert not body["ok"]
    assert body["checks"]["passes"]["found"] == "the oldest pass: 601 s, of 600 s at most"


@pytest.mark.parametrize(
    ("phase", "status"),
    [
        (Phase.STARTING, 503),
        (Phase.STANDBY, 200),
        (Phase.LISTING, 503),
        (Phase.LEADING, 200),
        (Phase.STOPPING, 503),
    ],
)
async def test_it_is_ready_while_it_waits_for_the_lease_and_while_it_leads(
    phase: Phase, status: int
) -> None:
    async with server(ready={"phase": able_to_lead(lambda: phase)}) as running:
        found, body = await get(running.port, "/readyz")
    assert found == status
    assert body["checks"]["phase"]["found"] == phase.value


async def test_one_check_that_fails_is_enough_and_all_are_told() -> None:
    checks = {"a": lambda: Found(True, "fine"), "b": lambda: Found(False, "broken")}
    async with server(live=checks) as running:
        status, body = await get(running.port, "/healthz")
    assert status == 503
    assert set(body["checks"]) == {"a", "b"}


async def test_a_check_that_breaks_fails_and_says_why() -> None:
    def broken() -> Found:
        raise KeyError("lost")

    async with server(live={"a": broken}) as running:
        status, body = await get(running.port, "/healthz")
    assert status == 503
    assert body["checks"]["a"]["found"] == "the check failed: KeyError: 'lost'"


async def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        busy = HealthServer(CollectorRegistry(), live={}, ready={}, port=port, host=HOST)
        with pytest.raises(MachineUnfit) as told:
            await busy.__aenter__()
    assert str(told.value) == (
        f"--metrics-port: nothing can listen at port {port} (Address already in use); stop what "
        f"listens there (`ss -ltnp 'sport = :{port}'` names it) or give another port (the "
        "chart's value metrics.port)"
    )
