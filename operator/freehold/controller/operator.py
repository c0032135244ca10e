"""The operator of one cluster: informers fill the cache, changes the queue; workers empty it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kubernetes.aio.client.configuration import Configuration

from freehold.controller import logs
from freehold.controller.cache import Cache, Snapshot
from freehold.controller.carry_out import Writer
from freehold.controller.commits import Commits
from freehold.controller.decide import Decider
from freehold.controller.deletion import Deletions
from freehold.controller.describing import Describer
from freehold.controller.engines import Observer
from freehold.controller.informers import Informers
from freehold.controller.install_key import InstallKey
from freehold.controller.metrics import Metrics
from freehold.controller.probes import Probes
from freehold.controller.queue import Key, PassQueue
from freehold.controller.reconcile import Next, Reconciler
from freehold.controller.recovery import Recovery
from freehold.controller.report import Reporter
from freehold.controller.secrets_of_models import ModelSecrets
from freehold.controller.served_names import ServedNames
from freehold.controller.until_stopped import Stopped, until_stopped
from freehold.controller.world import World
from freehold.kube.client import KubeClient
from freehold.kube.endpoint import ModelEndpoints
from freehold.kube.errors import NotLeading
from freehold.kube.resources import (
    ACCELERATOR_CLASSES,
    MODEL_DEPLOYMENTS,
    NODES,
    PODS,
    Resource,
)
from freehold.render.gcs_fault_tolerance import GcsFaultTolerance
from freehold.render.network_policies import Peers
from freehold.status.pod_state import read_pod

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How an operator runs.

    Attributes:
        namespaces: Namespaces whose models are looked after; none for all.
        workers: Passes at once.
        relist_every: Seconds between two lists of everything.
        image_registry: Registry that the images of the built-in classes come from; None to leave
            them.
        peers: Who connects to every model; None for no NetworkPolicies.
        describe_image: The operator's own image, for the pods that read sources; None to make none.
        tolerance: Where the Ray clusters of what is rolled out from now on keep their state; None
            for in their heads alone.
        offline: Whether this process asks no hub itself.
        instance: Name of this process, in Events.
    """

    namespaces: Collection[str] = ()
    workers: int = 8
    relist_every: float = 600.0
    image_registry: str | None = None
    peers: Peers | None = field(default_factory=Peers)
    describe_image: str | None = None
    tolerance: GcsFaultTolerance | None = None
    offline: bool = False
    instance: str = "freehold"


class Operator:
    """Looks after the ModelDeployments of a cluster for as long as it leads."""

    def __init__(
        self,
        client: KubeClient,
        configuration: Configuration,
        endpoints: ModelEndpoints,
        metrics: Metrics,
        key: InstallKey,
        settings: Settings,
    ) -> None:
        """Put the parts together; nothing is read or written yet."""
        self.queue = PassQueue()
        self.settings = settings
        self._metrics = metrics
        self._cache = Cache(self._changed)
        self._world = World(self._cache, settings.image_registry)
        self._names = ServedNames()
        self.informers = Informers(
            client,
            configuration,
            self._cache,
            settings.namespaces,
            relist_every=settings.relist_every,
            on_kinds=self._all_again,
        )
        describer = Describer(
            client,
            self._cache,
            now=lambda: datetime.now(UTC),
            image=settings.describe_image,
            offline=settings.offline,
        )
        observer = Observer(endpoints, Probes(endpoints.answers, self.queue.add), key)
        self.reconciler = Reconciler(
            cache=self._cache,
            decider=Decider(self._world, Commits(), describer, self._names, settings.tolerance),
            writer=Writer(client, self._cache, ModelSecrets(client, key)),
            observer=observer,
            recovery=Recovery(client, observer),
            deletions=Deletions(client),
            reporter=Reporter(client, settings.instance, metrics.model_seen),
            kinds=lambda: self.informers.kinds,
            now=lambda: datetime.now(UTC),
            peers=settings.peers,
            forget=self.queue.forget,
        )
        self._waiting: set[Key] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; a pass that runs is finished.

        Raises:
            NotLeading: Another process leads.
        """
        metrics, queue = self._metrics, self.queue
        metrics.read_queue(lambda: queue.depth, lambda: queue.age, lambda: queue.longest_running)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.informers.run(stop))
            for _ in range(self.settings.workers):
                group.create_task(self._work(stop))

    async def _work(self, stop: asyncio.Event) -> None:
        """Take keys until told to stop; nothing before everything was listed."""
        with contextlib.suppress(Stopped):
            await until_stopped(stop, self.informers.listed.wait())
            while not stop.is_set():
                await self._look_at(await until_stopped(stop, self.queue.take()))

    async def _look_at(self, key: Key) -> None:
        began = time.monotonic()
        following = Next(failed=True)
        try:
            with logs.about(MODEL_DEPLOYMENTS.kind, *key):
                following = await self.reconciler.reconcile(key)
            self._metrics.pass_ended("retried" if following.failed else "done", _since(began))
        except NotLeading:
            raise
        except Exception:
            # a bug of ours must not keep the other models from being looked after
            _log.exception("a pass ended unforeseen; this is a bug in Freehold")
            self._metrics.pass_ended("crashed", _since(began))
        finally:
            self.queue.done(key, failed=following.failed, after=following.after)

    def _changed(self, resource: Resource, old: Snapshot | None, new: Snapshot | None) -> None:
        """Take what another object means: a model to look at, or hardware for those that wait."""
        self._world.changed(resource)
        if old is not None and (new is None or new.uid != old.uid):
            self.reconciler.checked.discard(old.uid)
        if resource in (NODES, ACCELERATOR_CLASSES):
            self._all_again()
            return
        key = next((it.model for it in (new, old) if it is not None), None)
        if key is None:
            return
        if resource == PODS and new is not None:
            self.reconciler.failed_pods.seen(key, read_pod(new.body), datetime.now(UTC))
        if resource == MODEL_DEPLOYMENTS:
            self._model_changed(key, old, new)
        else:
            self.queue.add(key)

    def _model_changed(self, key: Key, old: Snapshot | None, new: Snapshot | None) -> None:
        """Look at a model that was changed; not at one whose status alone was, by us."""
        if old is not None and new is not None and old.asks == new.asks:
            return
        for other in self._names.take(key, new.body if new else None):
            self.queue.add(other)
        self.queue.add(key)
        if new is None:
            self._metrics.model_gone(key)

    def _all_again(self) -> None:
        """Look at every model: kinds, nodes or classes are others now."""
        for key in self._cache.keys():  # noqa: SIM118  (no mapping)
            self.queue.add(key)


def _since(began: float) -> float:
    return time.monotonic() - began
