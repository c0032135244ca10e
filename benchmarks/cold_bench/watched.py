"""What is seen of a model from outside while it starts, a quarter of a second apart."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.control_plane.cluster import holds
from tests.control_plane.plain_api import RequestFailed
from tests.repeating import repeated

Object = dict[str, Any]
_EVERY_SECONDS = 0.25
# What ends each part of a start, in the order in which they follow each other.
TOKEN = "first token"
PARTS = (
    *("RayService", "head pod", "head ready", "worker pod", "worker runs"),
    *("application runs", TOKEN),
)
# Of a start with a first replica; a user applies a RayService, and of a Deployment come pods.
OF_FREEHOLD = frozenset(PARTS)
OF_A_RAY_SERVICE = OF_FREEHOLD - {"RayService"}
OF_VLLM = frozenset({"worker pod", "worker runs", TOKEN})
# A head is there before, and an application runs at zero replicas too.
OF_A_WAKE = OF_VLLM


class Watchable(Protocol):
    """What is watched."""

    def pods(self) -> list[Object]:
        """Return all pods."""

    def ray_service(self) -> Object | None:
        """Return the RayService, if there is one."""


def seen(
    pods: Iterable[Object], ray_service: Object | None, workers: Mapping[str, str]
) -> frozenset[str]:
    """Return which parts have ended, but for the token.

    Args:
        pods: All pods.
        ray_service: The RayService, if there is one.
        workers: Labels of the pods with an engine.
    """
    found = list(pods)
    heads = [it for it in found if _labels(it).get("ray.io/node-type") == "head"]
    engines = [it for it in found if workers.items() <= _labels(it).items()]
    ended = {
        "RayService": ray_service is not None,
        "head pod": bool(heads),
        "head ready": any(holds(it, "Ready") for it in heads),
        "worker pod": bool(engines),
        "worker runs": any(map(_runs, engines)),
        "application runs": _serves((ray_service or {}).get("status") or {}),
    }
    return frozenset(name for name, true in ended.items() if true)


@dataclass
class Watched:
    """A start as it goes on.

    Attributes:
        model: Who starts.
        workers: Labels of its pods with an engine.
        parts: Parts that count.
        began: On the monotonic clock.
        moments: Seconds from there to the end of each part.
    """

    model: Watchable
    workers: Mapping[str, str]
    parts: frozenset[str]
    began: float = field(default_factory=time.monotonic)
    moments: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        """Take down what is seen for the first time; nothing where the API server is too busy."""
        with suppress(RequestFailed):
            pods = self.model.pods()
            asks = self.parts & {"RayService", "application runs"}
            ray_service = self.model.ray_service() if asks else None
            self.note(*seen(pods, ray_service, self.workers))

    def end(self) -> None:
        """Take down that a token came: with it has ended what was not told in time."""
        self.note(*PARTS)

    def note(self, *parts: str) -> None:
        """Take down that parts have ended by now."""
        now = time.monotonic() - self.began
        for part in self.parts & frozenset(parts):
            self.moments.setdefault(part, now)


@contextmanager
def watching(
    model: Watchable, workers: Mapping[str, str], parts: frozenset[str]
) -> Iterator[Watched]:
    """Inside, it is looked at again and again; the time counts from the beginning."""
    found = Watched(model, workers, parts)
    with repeated(found.look, _EVERY_SECONDS):
        yield found


def _labels(item: Object) -> Mapping[str, str]:
    return item["metadata"].get("labels") or {}


def _runs(pod: Object) -> bool:
    containers = (pod.get("status") or {}).get("containerStatuses") or []
    return any("running" in (it.get("state") or {}) for it in containers)


def _serves(status: Object) -> bool:
    """Return whether KubeRay says of a cluster's applications that they run."""
    clusters = (status.get(name) or {} for name in ("activeServiceStatus", "pendingServiceStatus"))
    told = [(it.get("applicationStatuses") or {}).values() for it in clusters]
    return any(one and all(it.get("status") == "RUNNING" for it in one) for one in told)
