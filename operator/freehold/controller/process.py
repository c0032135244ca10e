"""The operator's process: it waits for the lease, leads, and ends when told to or when it lost it.

A standby has no cache that could grow stale: nothing is read before the lease is held. A process
that has lost the lease ends instead of waiting for it again; what it knew is not to be trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from freehold import __version__
from freehold.controller.health import HealthServer, Phase, able_to_lead, not_older
from freehold.controller.install_key import InstallKey, wait_for_install_key
from freehold.controller.metrics import Metrics
from freehold.controller.operator import Operator, Settings
from freehold.controller.until_stopped import Stopped, until_stopped
from freehold.kube.client import KubeClient, load_configuration
from freehold.kube.endpoint import ModelEndpoints
from freehold.kube.errors import NotLeading
from freehold.kube.lease import LeaderElector, LeaseLost

LEASE_NAME = "freehold-operator"
# A pass waits for single requests only; one that takes longer hangs.
_LONGEST_PASS_S = 600.0
# A look lists everything at the most, page by page.
_LONGEST_LOOK_S = 600.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Process:
    """One process of the operator.

    Attributes:
        settings: How it runs.
        key_file: File with the installation's key.
        key_secret: Name of the Secret that is mounted there, in the lease's namespace, to be made
            where it is missing; None to make none.
        lease_namespace: Namespace of the lease; None to lead without one.
        identity: Name of this process in the lease.
        metrics_port: Port of metrics and probes; 0 for a free one.
        phase: What it does now.
    """

    settings: Settings
    key_file: Path
    key_secret: str | None
    lease_namespace: str | None
    identity: str
    metrics_port: int
    phase: Phase = Phase.STARTING

    async def run(self) -> int:
        """Run until told to stop.

        Returns:
            The exit code: 0 when it was told to, 1 when it lost the lease.
        """
        configuration = await load_configuration()
        registry = CollectorRegistry()
        metrics = Metrics(registry, version=__version__)
        stop = asyncio.Event()
        _stop_on_signals(stop)
        async with contextlib.AsyncExitStack() as stack:
            leasing = await stack.enter_async_context(
                KubeClient(configuration, observe=metrics.api_call)
            )
            elector = self._elector(leasing)
            client = KubeClient(
                configuration,
                lease_seconds=elector.remaining if elector else None,
                observe=metrics.api_call,
            )
            await stack.enter_async_context(client)
            endpoints = ModelEndpoints(elector.remaining if elector else None)
            await stack.enter_async_context(endpoints)
            try:
                key = await until_stopped(stop, self._key(leasing))
            except Stopped:
                return 0
            operator = Operator(client, configuration, endpoints, metrics, key, self.settings)
            operator.informers.take_signals = lambda: _stop_on_signals(stop)
            metrics.read_leader(lambda: self._leads(elector))
            await stack.enter_async_context(self._health(registry, operator))
            return await self._lead(elector, operator, stop)

    async def _key(self, client: KubeClient) -> InstallKey:
        named = self.key_secret is not None and self.lease_namespace is not None
        secret = (self.lease_namespace or "", self.key_secret or "") if named else None
        return await wait_for_install_key(client, self.key_file, secret)

    async def _lead(
        self, elector: LeaderElector | None, operator: Operator, stop: asyncio.Event
    ) -> int:
        if elector is None:
            return await self._operate(operator, stop)
        self.phase = Phase.STANDBY
        try:
            await until_stopped(stop, elector.acquire())
        except Stopped:
            await elector.release()  # it may have been granted just now
            return 0
        renewal = asyncio.create_task(elector.renew())
        renewal.add_done_callback(lambda _: stop.set())
        try:
            code = await self._operate(operator, stop)
        finally:
            lost = renewal.done()
            renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError, LeaseLost):
                await renewal
            if not lost:
                await elector.release()
        if lost:
            _log.error("the lease is lost; another process may lead")
        return 1 if lost else code

    async def _operate(self, operator: Operator, stop: asyncio.Event) -> int:
        self.phase = Phase.LISTING
        operating = asyncio.create_task(operator.run(stop))
        listed = asyncio.create_task(operator.informers.listed.wait())
        await asyncio.wait({operating, listed}, return_when=asyncio.FIRST_COMPLETED)
        self.phase = Phase.LEADING
        code = 0
        try:
            await operating
        except* NotLeading:
            code = 1
        finally:
            self.phase = Phase.STOPPING
            listed.cancel()
        return code

    def _elector(self, client: KubeClient) -> LeaderElector | None:
        if self.lease_namespace is None:
            return None
        return LeaderElector(
            client, namespace=self.lease_namespace, name=LEASE_NAME, identity=self.identity
        )

    def _leads(self, elector: LeaderElector | None) -> bool:
        if elector is not None:
            return elector.remaining() > 0
        return self.phase in (Phase.LISTING, Phase.LEADING)

    def _health(self, registry: CollectorRegistry, operator: Operator) -> HealthServer:
        queue, informers = operator.queue, operator.informers
        return HealthServer(
            registry,
            live={
                "passes": not_older(
                    "the oldest pass", lambda: queue.longest_running, _LONGEST_PASS_S
                ),
                "watches": not_older(
                    "the last look at what is watched", informers.age, _LONGEST_LOOK_S
                ),
            },
            ready={"lead": able_to_lead(lambda: self.phase)},
            port=self.metrics_port,
        )


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
