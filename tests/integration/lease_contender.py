"""A process that waits for a lease and then writes as fast as it is let: what an operator does.

    python -m tests.integration.lease_contender KUBECONFIG NAMESPACE IDENTITY

SIGTERM ends it as it ends an operator; exit status 3 says that the lease was lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys

from freehold.kube.client import KubeClient, load_configuration
from freehold.kube.errors import KubeError
from freehold.kube.lease import LeaderElector, LeaseLost, LeaseTiming
from freehold.kube.resources import CONFIG_MAPS

# Shorter than the defaults, and long enough for a busy machine.
TIMING = LeaseTiming(lease_duration=6, renew_deadline=4.0, retry_period=0.5)
LEASE = "freehold-operator"
LOST = 3


async def main(kubeconfig: str, namespace: str, identity: str) -> int:
    """Lead until told to end, or until the lease is lost; return the exit status."""
    configuration = await load_configuration(kubeconfig)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with KubeClient(configuration) as leases:
        elector = LeaderElector(
            leases, namespace=namespace, name=LEASE, identity=identity, timing=TIMING
        )
        await elector.acquire()
        renewal = asyncio.create_task(elector.renew())
        async with KubeClient(configuration, lease_seconds=elector.remaining) as client:
            writing = asyncio.create_task(_write(client, namespace, identity, stop))
            await asyncio.wait({renewal, writing}, return_when=asyncio.FIRST_COMPLETED)
        if renewal.done() and isinstance(renewal.exception(), LeaseLost):
            print(renewal.exception(), file=sys.stderr)  # noqa: T201
            return LOST
        renewal.cancel()
        await elector.release()
    return 0


async def _write(client: KubeClient, namespace: str, identity: str, stop: asyncio.Event) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"by": identity}}
    body |= {"metadata": {"namespace": namespace, "name": "written"}}
    while not stop.is_set():
        with contextlib.suppress(KubeError):
            await client.apply(CONFIG_MAPS, body)
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
