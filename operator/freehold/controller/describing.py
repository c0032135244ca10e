"""Has a source read by a pod of the model's own, and takes its answer.

What a pod answers stands in its status until the rollout is written, so nothing is remembered here
but what a former pod failed with, which stays said while another one tries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from freehold.api import conditions as api
from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.modeldeployment import ModelDeployment
from freehold.controller.cache import Cache
from freehold.controller.gather import Seen
from freehold.controller.queue import Key
from freehold.kube.client import KubeClient, Object
from freehold.kube.errors import AlreadyExists, Conflict, Denied, Invalid, NotFound
from freehold.kube.resources import PODS
from freehold.render.describe_pod import describe_pod
from freehold.sources.told import NotTold, Told, read_told
from freehold.status.outcome import Finding
from freehold.status.pod_state import read_pod
from freehold.status.raw import instant, items, mapping, text
from freehold.status.refusal import refusal_of_faults

# A source that gave no answer is read again after so long: somebody may have mended it.
AGAIN_S = 120.0
# A folder of a node is mounted at once where it is there.
_MOUNTED_S = 15.0
_ENDED = ("Succeeded", "Failed")


@dataclass(slots=True)
class Describer:
    """Looks after the pods that read sources.

    Attributes:
        client: The API server.
        cache: Is told of pods that were made.
        now: The present.
        image: The operator's own image; None to make no such pods.
        offline: Whether pods ask public hubs, too, instead of this process.
    """

    client: KubeClient
    cache: Cache
    now: Callable[[], datetime]
    image: str | None = None
    offline: bool = False
    _failed: dict[tuple[Key, str], Finding] = field(default_factory=dict)

    def is_asked(self, model: ModelDeployment) -> bool:
        """Tell whether a pod is to read the model's source, and not this process."""
        if self.image is None:
            return False
        source = model.spec.model
        own = not source.source.startswith("hf://") or source.credentials is not None
        return own or self.offline

    async def look(
        self,
        model: ModelDeployment,
        seen: Seen,
        classes: Mapping[str, AcceleratorClass],
        *,
        pin_only: bool,
    ) -> Told | Finding:
        """Return what a pod has found at the source, or what there is to say until then.

        Args:
            model: The model.
            seen: What is there.
            classes: The accelerator classes that there are.
            pin_only: Whether only the commit or digest is asked for.

        Raises:
            KubeError: The API server must act.
        """
        assert self.image is not None, "is_asked was asked"
        place = (seen.key.namespace, seen.uid, self.image)
        pod = describe_pod(model, *place, classes, pin_only=pin_only)
        name = pod["metadata"]["name"]
        await self._delete(it for it in seen.describing if it["metadata"]["name"] != name)
        live = next((it for it in seen.describing if it["metadata"]["name"] == name), None)
        if live is None or live["metadata"].get("deletionTimestamp"):
            return await self._begin(pod, model, seen, live)
        if not _has_ended(live):
            waits = _waiting(live, model) or self._has_no_folder(live, model)
            return waits or self._known(seen, name) or _reading(name, model)
        found = _answer(live, model, pin_only=pin_only)
        if isinstance(found, Told):
            self._failed.pop((seen.key, name), None)
            return found
        self._failed[seen.key, name] = found
        if self._is_old(live):
            await self._delete([live])
        return found

    def look_again(self, model: ModelDeployment, found: Finding) -> float | None:
        """Return the seconds after which there may be more to say; None where a watch tells."""
        if not self.is_asked(model):
            return None
        return _MOUNTED_S if found.reason is api.DESCRIBING_MODEL else AGAIN_S

    def _has_no_folder(self, pod: Object, model: ModelDeployment) -> Finding | None:
        """Return that a node has no such folder, which the kubelet tells in an Event alone."""
        source, state = model.spec.model.source, read_pod(pod)
        began = instant(text(mapping(pod, "status").get("startTime")))
        if not (source.startswith("file://") and state.waits_for_volumes and began):
            return None
        if (self.now() - began).total_seconds() < _MOUNTED_S:
            return None
        return Finding(
            api.DESCRIBE_FAILED,
            f"The pod {state.name}, which reads {source}, does not start: the node {state.node} "
            "has no such folder, or cannot open it. It goes on by itself once the folder is there; "
            f"see `kubectl describe pod {state.name}`.",
        )

    async def clear(self, seen: Seen) -> None:
        """Delete the pods of a model whose rollout is written."""
        self.forget(seen.key)
        await self._delete(seen.describing)

    def forget(self, key: Key) -> None:
        """Forget what pods of a model failed with."""
        for known in [it for it in self._failed if it[0] == key]:
            del self._failed[known]

    async def _begin(
        self, pod: Object, model: ModelDeployment, seen: Seen, live: Object | None
    ) -> Finding:
        """Make the pod, unless its predecessor is still on its way out."""
        name = pod["metadata"]["name"]
        if live is None:
            try:
                self.cache.seen(PODS, await self.client.create(PODS, pod), ours=True)
            except (Denied, Invalid) as error:
                words = f"The API server refuses the pod {name}, which would read the source: "
                return Finding(api.DESCRIBE_FAILED, f"{words}{error}")
            except AlreadyExists:
                pass  # not seen yet, or not gone yet: the watch will tell
        return self._known(seen, name) or _reading(name, model)

    def _known(self, seen: Seen, name: str) -> Finding | None:
        return self._failed.get((seen.key, name))

    def _is_old(self, pod: Object) -> bool:
        ended = instant(text(_terminated(pod).get("finishedAt")))
        ended = ended or instant(text(pod["metadata"].get("creationTimestamp")))
        return ended is None or (self.now() - ended).total_seconds() >= AGAIN_S

    async def _delete(self, pods: Any) -> None:
        for pod in pods:
            metadata = pod["metadata"]
            if metadata.get("deletionTimestamp"):
                continue
            try:
                place = metadata["namespace"], metadata["name"]
                await self.client.delete(PODS, *place, metadata["uid"])
            except (Conflict, NotFound):
                self.cache.gone(PODS, metadata)


def _answer(pod: Object, model: ModelDeployment, *, pin_only: bool) -> Told | Finding:
    """Return what a pod that has ended told, or why that is of no use."""
    try:
        told = read_told(text(_terminated(pod).get("message")))
        if told.faults:
            return refusal_of_faults(told.faults)
        _require(told, model, pin_only=pin_only)
        return told
    except NotTold as error:
        name, why = pod["metadata"]["name"], _end(pod)
        return Finding(
            api.DESCRIBE_FAILED,
            f"The pod {name}, which reads the source, is of no use: {error}{why}. It is tried "
            f"again; see `kubectl logs {name}`.",
        )


def _require(told: Told, model: ModelDeployment, *, pin_only: bool) -> None:
    """Take an answer to what was asked and to nothing else.

    Raises:
        NotTold: It is none.
    """
    of_hub = model.spec.model.source.startswith("hf://")
    pinned = told.pin.commit if of_hub else told.pin.digest
    other = told.pin.digest if of_hub else told.pin.commit
    if pinned is None or other is not None:
        raise NotTold(f"it told no {'commit' if of_hub else 'digest'}")
    if (told.model is None) is not pin_only:
        raise NotTold("it told no model")


def _waiting(pod: Object, model: ModelDeployment) -> Finding | None:
    """Return what keeps a pod from starting; None where nothing is known to."""
    state = read_pod(pod)
    words = state.unschedulable or state.evicted or "; ".join(str(it) for it in state.troubles)
    if not words:
        return None
    message = (
        f"The pod {state.name}, which reads {model.spec.model.source}, does not start: {words}"
    )
    return Finding(api.DESCRIBE_FAILED, message)


def _reading(name: str, model: ModelDeployment) -> Finding:
    return Finding(api.DESCRIBING_MODEL, f"The pod {name} reads {model.spec.model.source}.")


def _has_ended(pod: Mapping[str, Any]) -> bool:
    """Tell a pod whose container has ended for good; the kubelet says so of the pod a moment later.

    One that a node ended may have no container.
    """
    return mapping(pod, "status").get("phase") in _ENDED or bool(_terminated(pod))


def _terminated(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    for status in items(mapping(pod, "status").get("containerStatuses")):
        return mapping(status, "state", "terminated")
    return {}


def _end(pod: Mapping[str, Any]) -> str:
    """Return how a pod ended, in brackets."""
    status, ended = mapping(pod, "status"), _terminated(pod)
    told = (text(status.get("reason")), text(ended.get("reason")))
    words = [it for it in told if it and it != "Completed"]
    words += [f"exit code {ended['exitCode']}"] if ended.get("exitCode") else []
    words += [text(status.get("message"))] if text(status.get("message")) else []
    return f" ({', '.join(words)})" if words else ""
