"""Status and Events: written when they say something new, and by nobody else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from freehold.api.names import API_VERSION, GROUP
from freehold.controller.gather import Seen
from freehold.controller.queue import Key
from freehold.kube.client import KubeClient, Object
from freehold.kube.errors import KubeError
from freehold.kube.resources import EVENTS, MODEL_DEPLOYMENTS
from freehold.status.changes import EventToPost, transitions, worth_writing

_CONTROLLER = f"{GROUP}/operator"
# What a change that can wait waits for at the most.
_LEAST_INTERVAL_S = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Written:
    """A status that was written.

    Attributes:
        at: When, in seconds since the epoch.
        status: The status.
        version: The resource version that it made.
    """

    at: float
    status: Mapping[str, Any]
    version: int


@dataclass(slots=True)
class Reporter:
    """Writes statuses.

    Attributes:
        client: The API server.
        instance: Name of this process, in Events.
        seen: Is told of the status that stands, {} where the model is gone, for metrics.
    """

    client: KubeClient
    instance: str
    seen: Callable[[Key, Mapping[str, Any]], None] = lambda key, status: None
    _last: dict[Key, _Written] = field(default_factory=dict)

    def known(self, seen: Seen) -> Mapping[str, Any]:
        """Return the status that stands: as it was seen, or as we wrote it since then."""
        last = self._last.get(seen.key)
        return last.status if last is not None and last.version > seen.version else seen.status

    async def report(self, seen: Seen, status: dict[str, Any], now: datetime) -> float | None:
        """Write a status if it says something new, and post the Events of what changed.

        Returns:
            Seconds until a change that can wait is to be written; None where there is none.

        Raises:
            KubeError: It could not be written.
        """
        old = self.known(seen)
        self.seen(seen.key, status)
        if status == old:
            return None
        last = self._last.get(seen.key)
        age = now.timestamp() - last.at if last else _LEAST_INTERVAL_S
        if not worth_writing(status, old, age):
            return max(1.0, _LEAST_INTERVAL_S - age)
        written = await self.client.apply_status(MODEL_DEPLOYMENTS, _status_of(seen, status))
        version = int(written["metadata"]["resourceVersion"])
        self._last[seen.key] = _Written(now.timestamp(), status, version)
        await self._post(seen, transitions(old, status), now)
        return None

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a model that is gone.

        Its numbers too: a pass that ran while it was deleted has told of them once more.
        """
        self._last.pop(key, None)
        self.seen(key, {})

    async def _post(self, seen: Seen, events: list[EventToPost], now: datetime) -> None:
        """Post Events; one that is lost is not worth another pass, and would come twice then."""
        try:
            for event in events:
                await self.client.create(EVENTS, _event(seen, event, self.instance, now))
        except KubeError as error:
            _log.warning("an Event could not be posted: %s", error)


def _status_of(seen: Seen, status: dict[str, Any]) -> Object:
    """Return the object to apply; with its uid, so that no other of the name gets this status."""
    metadata = {"name": seen.key.name, "namespace": seen.key.namespace, "uid": seen.uid}
    return {
        "apiVersion": API_VERSION,
        "kind": MODEL_DEPLOYMENTS.kind,
        "metadata": metadata,
        "status": status,
    }


def _event(seen: Seen, event: EventToPost, instance: str, now: datetime) -> Object:
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"generateName": f"{seen.key.name}-", "namespace": seen.key.namespace},
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": event.type,
        "reason": event.reason,
        "note": event.message[:1024],
        "action": "Reconcile",
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": MODEL_DEPLOYMENTS.kind,
            "name": seen.key.name,
            "namespace": seen.key.namespace,
            "uid": seen.uid,
        },
        "reportingController": _CONTROLLER,
        "reportingInstance": instance,
    }
