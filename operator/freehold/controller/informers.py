"""What is watched: kopf's watch streams fill the cache, and nothing else happens here.

kopf lists and watches, and survives watches that expire or fall silent. Its machinery for changes,
timers and finalizers stays unused: no handler decides anything, and nothing is written. A watch of
a kind that is removed ends all of kopf's; then, and when a kind appears, the watches are begun
anew with the kinds that there are. So KubeRay may come after us, go and come again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import kopf
from kubernetes.aio.client.configuration import Configuration

from freehold.api.names import GROUP, MANAGED_BY, MODEL_LABEL, RAY_SERVICE_LABEL
from freehold.controller.cache import Cache
from freehold.controller.kopf_tasks import run_until_one_ends
from freehold.kube.client import KubeClient
from freehold.kube.errors import KindMissing, KubeError
from freehold.kube.resources import (
    ACCELERATOR_CLASSES,
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    MODEL_DEPLOYMENTS,
    NETWORK_POLICIES,
    NODES,
    PODS,
    RAY_CLUSTERS,
    RAY_SERVICES,
    SERVICES,
    Resource,
)

# What is watched, and the labels that the server selects by: of a cluster's pods and services
# nearly all are somebody else's.
WATCHED: Mapping[Resource, str] = {
    MODEL_DEPLOYMENTS: "",
    ACCELERATOR_CLASSES: "",
    NODES: "",
    RAY_SERVICES: MODEL_LABEL,
    RAY_CLUSTERS: RAY_SERVICE_LABEL,
    CONTROLLER_REVISIONS: MODEL_LABEL,
    SERVICES: MODEL_LABEL,
    CONFIG_MAPS: MODEL_LABEL,
    NETWORK_POLICIES: MODEL_LABEL,
    PODS: MODEL_LABEL,
}


# Between two attempts to watch.
_PAUSE_S = 1.0
# Newer than every resource version: of a kind that is not there, nothing is.
_NEWEST = 2**63 - 1

_log = logging.getLogger(__name__)


class _NoDiffBase(kopf.DiffBaseStorage):
    """Remembers no last state: only change handlers need one, and there are none."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        return None


@dataclass(slots=True)
class Informers:
    """Keeps the cache like the cluster.

    Attributes:
        client: Lists and looks which kinds there are.
        configuration: Address and credentials for the watches.
        cache: What is kept.
        namespaces: The namespaces to watch; none for all.
        look_every: Seconds between two looks at which kinds there are.
        relist_every: Seconds between two lists of everything, which find what a watch has lost.
        on_kinds: Is told when the API server serves other kinds.
        take_signals: Takes the process's signals back, which kopf takes to itself.
        kinds: What is watched now.
        listed: Set once everything has been listed.
        listed_at: When everything was listed last, on the loop's clock.
        turned_at: When the kinds were looked at last, whatever the API server answered.
    """

    client: KubeClient
    configuration: Configuration
    cache: Cache
    namespaces: Collection[str] = ()
    look_every: float = 10.0
    relist_every: float = 600.0
    on_kinds: Callable[[], None] = lambda: None
    take_signals: Callable[[], None] = lambda: None
    kinds: frozenset[Resource] = frozenset()
    listed: asyncio.Event = field(default_factory=asyncio.Event)
    listed_at: float = 0.0
    turned_at: float | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until told to stop; what goes wrong is logged and begun anew."""
        while not stop.is_set():
            self._turn()
            try:
                await self._watch(stop)
            except Exception as error:  # kopf's own errors are of no public class
                _log.warning("the watches ended and begin anew: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _PAUSE_S)

    def age(self) -> float:
        """Return the seconds since the last look at the kinds, 0 where none was due yet.

        An API server that is away does not make it grow: looks that fail are looks.
        """
        if self.turned_at is None:
            return 0.0
        return asyncio.get_running_loop().time() - self.turned_at

    def _turn(self) -> None:
        self.turned_at = asyncio.get_running_loop().time()

    async def relist(self) -> None:
        """List everything that is watched, and repair the cache by it.

        Raises:
            KubeError: A list failed; what was listed before it stands.
        """
        for resource in WATCHED:
            for namespace in self._scopes(resource):
                await self._relist(resource, namespace)
        self.listed_at = asyncio.get_running_loop().time()
        self.listed.set()

    async def _relist(self, resource: Resource, namespace: str | None) -> None:
        try:
            found = await self.client.list_all(resource, namespace, WATCHED[resource])
        except KindMissing:
            found = [], str(_NEWEST)
        self.cache.relist(resource, namespace, *found)

    def _scopes(self, resource: Resource) -> list[str | None]:
        """Return the namespaces to list a kind in; None for all at once."""
        return [*self.namespaces] if resource.namespaced and self.namespaces else [None]

    async def _watch(self, stop: asyncio.Event) -> None:
        """Watch the kinds that there are until they are others, or the watches end."""
        self.kinds = await self._served()
        await self.relist()
        self.on_kinds()
        ended = asyncio.Event()
        watches = asyncio.create_task(self._kopf(ended))
        others = [asyncio.create_task(it) for it in (stop.wait(), self._until_other_kinds())]
        try:
            await asyncio.wait({watches, *others}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.set()
            for other in others:
                other.cancel()
            await watches

    async def _served(self) -> frozenset[Resource]:
        served = [resource for resource in WATCHED if await self.client.serves(resource)]
        return frozenset(served)

    async def _until_other_kinds(self) -> None:
        """Return when the API server serves other kinds; list everything now and then.

        Soon after the watches have begun, too: nobody tells of what went between our list and
        theirs.
        """
        first = True
        while True:
            await asyncio.sleep(min(self.look_every, self.relist_every))
            self._turn()
            try:
                if await self._served() != self.kinds:
                    return
                now = asyncio.get_running_loop().time()
                if first or now - self.listed_at >= self.relist_every:
                    await self.relist()
                    first = False
            except KubeError as error:
                _log.warning("what there is could not be listed: %s", error)

    async def _kopf(self, ended: asyncio.Event) -> None:
        """Run kopf's watches until they are told to end."""
        tasks = await kopf.spawn_tasks(
            registry=_registry(self.cache, self.configuration, self.kinds),
            settings=_settings(),
            clusterwide=not self.namespaces,
            namespaces=self.namespaces,
            stop_flag=ended,
            # kopf asks the system for the user's name otherwise, and our number has none
            identity=cast("Any", MANAGED_BY),
        )
        self.take_signals()
        await run_until_one_ends(tasks, ended)


def _settings() -> kopf.OperatorSettings:
    """Return kopf's settings, each with its reason."""
    found = kopf.OperatorSettings()
    found.peering.standalone = True  # the Lease decides who runs
    found.posting.enabled = False  # events are posted with the status, once
    found.scanning.disabled = True  # a watch of all CRDs costs more than all of ours together
    found.watching.chunk_size = 500
    for resource, selector in WATCHED.items():
        if selector:
            found.watching.label_selectors[_place(resource)] = selector
    found.queueing.idle_timeout = found.queueing.exit_timeout = 0.5  # the handlers only take notes
    found.process.ultimate_exiting_timeout = None  # it would kill the process, not the watches
    found.networking.request_timeout = 30
    found.networking.connect_timeout = 5
    found.persistence.finalizer = f"{GROUP}/kopf"  # never the names that other operators share
    found.persistence.diffbase_storage = _NoDiffBase()
    return found


def _registry(
    cache: Cache, configuration: Configuration, kinds: Collection[Resource]
) -> kopf.OperatorRegistry:
    """Return kopf's handlers: one for each kind, which tells the cache."""
    found = kopf.OperatorRegistry()
    kopf.on.login(registry=found)(_login(configuration))
    for resource in kinds:
        kopf.on.event(*_place(resource), registry=found)(_tell(cache, resource))
    return found


def _place(resource: Resource) -> tuple[str, str, str]:
    """Return a kind as kopf's decorators and settings take it."""
    return resource.group, resource.version, resource.plural


def _tell(cache: Cache, resource: Resource) -> Callable[..., Any]:
    async def tell(event: kopf.RawEvent, **_: Any) -> None:
        body: Mapping[str, Any] = event["object"]
        if event["type"] == "DELETED":
            cache.gone(resource, body["metadata"])
        else:
            cache.seen(resource, body)

    tell.__name__ = f"see_{resource.plural}"
    return tell


def _login(configuration: Configuration) -> Callable[..., Any]:
    async def login(**unused: Any) -> kopf.ConnectionInfo:
        """Hand over the client's credentials; asked again when the server refuses them."""
        known: Mapping[str, Any] = await configuration.auth_settings()
        bearer = known.get("BearerToken") or {}
        scheme, _, token = str(bearer.get("value") or "").rpartition(" ")
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            scheme=scheme or None,
            token=token or None,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
        )

    return login
