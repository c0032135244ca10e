"""Runs the stand-in: ``python -m tests.kuberay_stand_in --kubeconfig FILE``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from functools import partial
from pathlib import Path

from tests.kuberay_stand_in.api import POD, RAY_CLUSTER, RAY_SERVICE, SERVICE, Api, Kind, Object
from tests.kuberay_stand_in.dashboard import Dashboard
from tests.kuberay_stand_in.ray_clusters import RayClusters
from tests.kuberay_stand_in.ray_services import RayServices
from tests.kuberay_stand_in.service_names import ServiceNames
from tests.kuberay_stand_in.work_queue import WorkQueue
from tests.kuberay_stand_in.world import Settings, World, head_address

_WORKERS = 4


async def _run(kubeconfig: Path, namespace: str, settings: Settings) -> None:
    api = await Api.connect(kubeconfig)
    world = World(api, namespace)
    dashboard = Dashboard(ServiceNames(partial(head_address, world)))
    services = WorkQueue(
        "RayService", RayServices(world, dashboard, settings).reconcile, settings.delay
    )
    clusters = WorkQueue("RayCluster", RayClusters(world, settings).reconcile, settings.delay)
    _route(world, services, clusters)
    try:
        async with asyncio.TaskGroup() as tasks:
            await world.watch(tasks)
            for queue in (services, clusters):
                for _ in range(_WORKERS):
                    tasks.create_task(queue.work())
            sys.stdout.write("the stand-in for KubeRay's operator watches\n")
            sys.stdout.flush()
    finally:
        await dashboard.close()
        await api.close()


def _route(world: World, services: WorkQueue, clusters: WorkQueue) -> None:
    """Have each change looked at by the passes over the objects that it concerns.

    An EndpointSlice makes no pass: KubeRay counts endpoints when it looks at a RayService anyway.
    """
    queues = {RAY_SERVICE.name: services, RAY_CLUSTER.name: clusters}

    def told(kind: Kind, item: Object) -> None:
        metadata = item["metadata"]
        names = [(one["kind"], one["name"]) for one in metadata.get("ownerReferences") or []]
        for concerned, name in [*names, (kind.name, metadata["name"])]:
            if concerned in queues:
                queues[concerned].add((metadata["namespace"], name))

    for kind in (RAY_SERVICE, RAY_CLUSTER, POD, SERVICE):
        world.caches[kind.name].told = partial(told, kind)


def main() -> None:
    """Read the arguments and run until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.kuberay_stand_in", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--namespace", default="", help="the only one to watch (default: all)")
    parser.add_argument("--delay", type=float, default=0.2, help="between passes, s (default: 0.2)")
    parser.add_argument(
        "--delay-at-rest",
        type=float,
        help="the same for a RayService with nothing to do, as for thousands of them, s",
    )
    parser.add_argument(
        "--deletion-delay",
        type=float,
        default=60.0,
        help="until a replaced cluster is deleted, s (default: 60)",
    )
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    at_rest = given.delay if given.delay_at_rest is None else given.delay_at_rest
    settings = Settings(given.delay, at_rest, given.deletion_delay)

    async def stoppable() -> None:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await _run(given.kubeconfig, given.namespace, settings)

    asyncio.run(stoppable())


if __name__ == "__main__":
    main()
