"""What KubeRay and Serve have given up for good is begun again, later and later.

KubeRay gives up a RayService whose first cluster was not ready within its initializing timeout,
and looks at it no more until it is another one. Serve gives up an application that could not start
and tries again when it is given another; the cause may have been a Secret or a file that has come
since. Nothing that serves is touched by either.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from freehold.controller.backoff import Backoff
from freehold.controller.engines import Observer
from freehold.controller.gather import Seen
from freehold.controller.queue import Key
from freehold.kube.client import KubeClient
from freehold.kube.errors import NotFound
from freehold.kube.resources import RAY_SERVICES
from freehold.status.outcome import Outcome, Retry
from freehold.status.ray_service_state import DEPLOY_FAILED

# Where Serve did not take it.
_SOON_S = 5.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """Begins again what was given up.

    Attributes:
        client: The API server.
        observer: The way to Serve.
    """

    client: KubeClient
    observer: Observer
    _services: Backoff = field(default_factory=Backoff)
    _applications: Backoff = field(default_factory=Backoff)
    _retries: dict[Key, tuple[str, Retry]] = field(default_factory=dict)

    async def look(self, seen: Seen, outcome: Outcome) -> float | None:
        """Begin again what is due.

        Returns:
            Seconds until something is due; None where there is nothing to do.

        Raises:
            KubeError: What was given up could not be deleted.
        """
        if outcome.suspended or outcome.paused or outcome.deleting:
            return None
        wait = await self._service(seen)
        return wait if wait is not None else await self._application(seen, outcome)

    async def _service(self, seen: Seen) -> float | None:
        """Delete a RayService that KubeRay gave up, so that it is made anew."""
        service = seen.ray_service
        if service is None or not service.timed_out or service.deleting:
            return None
        wait = self._services.wait(seen.key, "RayService")
        if wait > 0:
            return wait
        with contextlib.suppress(NotFound):
            place = (seen.key.namespace, service.name)
            await self.client.delete(RAY_SERVICES, *place, service.uid)
        self._services.tried(seen.key)
        return None

    async def _application(self, seen: Seen, outcome: Outcome) -> float | None:
        """Give Serve again an application that it gave up."""
        said = outcome.submission
        if said is None or not said.is_of(said.cluster, DEPLOY_FAILED):
            return None
        what = _what(outcome, said.cluster)
        wait = self._applications.wait(seen.key, what)
        if wait > 0:
            return wait
        emptied = not _may_run(outcome, said.cluster)
        if await self.observer.declare_again(seen, said.cluster, emptied=emptied):
            self._applications.tried(seen.key)
            tries = self._applications.times(seen.key, what)
            self._retries[seen.key] = what, Retry(said.cluster, said.words, tries)
        return self._applications.wait(seen.key, what) or _SOON_S

    def retry(self, key: Key, outcome: Outcome) -> Retry | None:
        """Return that an application of a model is given to Serve again, as it is applied now."""
        what, retry = self._retries.get(key, ("", None))
        return retry if retry is not None and what == _what(outcome, retry.cluster) else None

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a model that is well or gone."""
        self._services.forget(key)
        self._applications.forget(key)
        self._retries.pop(key, None)


def _what(outcome: Outcome, cluster: str) -> str:
    """Return what is tried: the revision that is applied, on a cluster."""
    back = outcome.rolled_back
    return f"{back.to if back else outcome.update_revision} on {cluster}"


def _may_run(outcome: Outcome, cluster: str) -> bool:
    """Return whether replicas of an application may run that answer requests."""
    service, engines = outcome.ray_service, outcome.engines
    if service is None or service.active is None or service.active.name != cluster:
        return False
    return engines is None or bool(engines.running)
