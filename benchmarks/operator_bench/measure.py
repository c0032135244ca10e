"""One size: models applied at once, and the same RayServices by a bare client."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.operator_bench.watched import Watched, watch
from tests.control_plane.nodes import SimulatedNode, Taint
from tests.control_plane.plane import ControlPlane
from tests.control_plane.processes import Processes, Server
from tests.installation.kuberay import kuberay_crds
from tests.integration.harness import ROOT
from tests.integration.operator import example, start_operator

from freehold.api.names import MODEL_LABEL
from freehold.kube.client import KubeClient, load_configuration
from freehold.kube.resources import (
    BY_KIND,
    MODEL_DEPLOYMENTS,
    RAY_SERVICES,
    SECRETS,
    Resource,
)

OPERATED, BARE, BARE_WHOLE = "operated", "bare", "bare-whole"
# What the operator makes for a model.
CHILDREN = (SECRETS, *BY_KIND.values())
# Requests under way at once, of either client.
AT_ONCE = 32
_QUIET_S = 3.0
NODE = SimulatedNode(
    "l4",
    {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.count": "1"},
    [Taint("nvidia.com/gpu")],
    {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"},
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one size showed; times in seconds, memory in MiB.

    Attributes:
        models: How many.
        applied: Until the API server had taken them all.
        ray_services: Until every RayService existed.
        settled: Until every status spoke of its spec and none was written any more.
        first: Per object, from its creation to its RayService: median and 99th percentile.
        last: Per object, from its creation to the last write of its status: the same two.
        cpu: CPU seconds of the operator until all was settled.
        memory: Its resident memory then.
        memory_at_start: Its resident memory before.
        rest_cpu: Share of a core that it takes at rest.
        bare: Seconds in which a bare client wrote the same RayServices.
        bare_whole: Seconds in which it wrote all that the operator had written for a model.
    """

    models: int
    applied: float
    ray_services: float
    settled: float
    first: tuple[float, float]
    last: tuple[float, float]
    cpu: float
    memory: float
    memory_at_start: float
    rest_cpu: float
    bare: float
    bare_whole: float

    @property
    def ratio(self) -> float:
        """Return how many times as long as the bare client the RayServices took."""
        return self.ray_services / self.bare

    @property
    def ratio_whole(self) -> float:
        """Return how many times as long as the bare client everything took."""
        return self.settled / self.bare_whole


async def measure(size: int, rest_seconds: float) -> Measured:
    """Start a control plane and an operator, and measure one size."""
    with _running() as (plane, server):
        configuration = await load_configuration(str(plane.cluster.kubeconfig))
        async with KubeClient(configuration) as client:
            memory_at_start = server.usage()[0] / 2**20
            services = await watch(client, RAY_SERVICES, OPERATED)
            statuses = await watch(client, MODEL_DEPLOYMENTS, OPERATED)
            began, cpu = time.monotonic(), server.usage()[1]
            await _all_at_once(size, lambda i: _create(client, MODEL_DEPLOYMENTS, _model(i)))
            applied = time.monotonic() - began
            await services.until(lambda: len(services.first) == size)
            await statuses.until(lambda: _settled(statuses, size))
            ended = statuses.latest
            used = server.usage()
            rest = await _at_rest(server, rest_seconds)
            services.stop()
            statuses.stop()
            bare = await _bare(client, size, services)
            bare_whole = await _bare_whole(client, size)
    return Measured(
        models=size,
        applied=applied,
        ray_services=max(services.first.values()) - began,
        settled=ended - began,
        first=_percentiles(services.first[it] - statuses.first[it] for it in services.first),
        last=_percentiles(statuses.last[it] - statuses.first[it] for it in statuses.first),
        cpu=used[1] - cpu,
        memory=used[0] / 2**20,
        memory_at_start=memory_at_start,
        rest_cpu=rest,
        bare=bare,
        bare_whole=bare_whole,
    )


@contextmanager
def _running() -> Iterator[tuple[ControlPlane, Server]]:
    with ControlPlane(simulate_nodes=True) as plane:
        cluster = plane.cluster
        cluster.apply_crds(ROOT / "crds", kuberay_crds())
        cluster.add_nodes([NODE])
        for namespace in (OPERATED, BARE, BARE_WHOLE):
            cluster.kubectl("create", "namespace", namespace)
        arguments = (f"--namespace={OPERATED}", "--no-leader-election")
        with Processes.begin("freehold-bench-") as processes:
            operator = start_operator(processes, cluster.kubeconfig, {}, *arguments)
            yield plane, operator.server


def _model(number: int) -> dict[str, Any]:
    model = example("llama-guard-3-8b")
    model["metadata"] = {"name": _name(number), "namespace": OPERATED}
    return model


def _name(number: int) -> str:
    return f"model-{number:05}"


async def _create(client: KubeClient, resource: Resource, body: dict[str, Any]) -> None:
    await client.create(resource, body)


async def _all_at_once(size: int, create: Callable[[int], Awaitable[None]]) -> None:
    """Create so many objects, as many at a time as the operator writes."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with slots:
            await create(number)

    await asyncio.gather(*(one(number) for number in range(size)))


def _settled(statuses: Watched, size: int) -> bool:
    """Tell whether every status speaks of its spec and none was written for a while."""
    quiet = time.monotonic() - statuses.latest > _QUIET_S
    return quiet and len(statuses.current) == size


async def _at_rest(server: Server, seconds: float) -> float:
    """Return the share of a core that the operator takes while nothing happens."""
    before, began = server.usage()[1], time.monotonic()
    await asyncio.sleep(seconds)
    return (server.usage()[1] - before) / (time.monotonic() - began)


async def _bare(client: KubeClient, size: int, services: Watched) -> float:
    """Write the operator's RayServices once more, as fast as the API server takes them."""
    bodies = [_as_written(body, BARE) for body in services.bodies.values()]
    began = time.monotonic()
    await _all_at_once(size, lambda i: _create(client, RAY_SERVICES, bodies[i]))
    return time.monotonic() - began


async def _bare_whole(client: KubeClient, size: int) -> float:
    """Write models, their children and their statuses, one model after the other in each slot."""
    found = [await client.list_all(kind, OPERATED) for kind in (MODEL_DEPLOYMENTS, *CHILDREN)]
    models, *children = (_by_model(items) for items, _ in found)
    of_a_kind = [*zip(CHILDREN, children, strict=True)]

    async def one(number: int) -> None:
        (model,) = models[_name(number)]
        await client.create(MODEL_DEPLOYMENTS, _as_written(model, BARE_WHOLE))
        for kind, bodies in of_a_kind:
            for body in bodies[_name(number)]:
                await client.create(kind, _as_written(body, BARE_WHOLE))
        told = {"apiVersion": model["apiVersion"], "kind": model["kind"], "status": model["status"]}
        metadata = {"name": _name(number), "namespace": BARE_WHOLE}
        await client.apply_status(MODEL_DEPLOYMENTS, told | {"metadata": metadata})

    began = time.monotonic()
    await _all_at_once(size, one)
    return time.monotonic() - began


def _by_model(bodies: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for body in bodies:
        metadata = body["metadata"]
        found[(metadata.get("labels") or {}).get(MODEL_LABEL, metadata["name"])].append(body)
    return found


def _as_written(body: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return an object without what belongs to the one that it was read from."""
    kept = {name: it for name, it in body.items() if name not in ("metadata", "status")}
    told = {name: body["metadata"].get(name) for name in ("name", "labels", "annotations")}
    if body["kind"] == "Service":
        drop = ("clusterIP", "clusterIPs")
        kept["spec"] = {name: it for name, it in body["spec"].items() if name not in drop}
    return kept | {"metadata": told | {"namespace": namespace}}


def _percentiles(values: Iterator[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
