"""What a pass knows before it looks, what was decided, and what is to be there; all of it pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from freehold.api import conditions as api
from freehold.api.faults import counted
from freehold.api.modeldeployment import ModelDeployment
from freehold.api.names import PAUSED_ANNOTATION
from freehold.api.scalars import duration_seconds
from freehold.controller.carry_out import CarriedOut, Manner
from freehold.controller.decide import Decision
from freehold.controller.gather import Seen
from freehold.kube.client import Object
from freehold.kube.resources import RAY_SERVICES, SERVICES
from freehold.render.change import Change, change
from freehold.render.endpoint_service import endpoint_url
from freehold.render.gcs_fault_tolerance import workers_answer
from freehold.render.network_policies import Peers, network_policies
from freehold.render.numbers import first_of, numbers_of
from freehold.render.revision import Revision, endpoint_of, objects_of, owned, revision_of
from freehold.render.scaling import replica_bounds, surge
from freehold.status.message import agreeing
from freehold.status.outcome import (
    DEFAULT_PROGRESS_DEADLINE,
    Outcome,
    Replicas,
    RolledBack,
    Rollout,
)
from freehold.status.past import read_past
from freehold.status.raw import count
from freehold.status.ray_service_state import DEPLOYING, RayServiceState

# Changes that the user is told of before they are made.
_COSTLY = ("NewReplicas", "NewCluster")


def standing_service(seen: Seen) -> RayServiceState | None:
    """Return the RayService with the clusters that are there, whatever its status says."""
    there = {it.name for it in seen.ray_clusters if not it.deleting}
    return seen.ray_service.standing(there) if seen.ray_service else None


def beginning(seen: Seen, known: Mapping[str, Any]) -> Outcome:
    """Return what is known before anything is looked at."""
    metadata, spec = seen.model["metadata"], seen.model["spec"]
    annotations = metadata.get("annotations") or {}
    return Outcome(
        name=seen.key.name,
        generation=metadata.get("generation", 0),
        deleting=bool(metadata.get("deletionTimestamp")),
        suspended=spec.get("suspend") is True,
        paused=annotations.get(PAUSED_ANNOTATION) == "true",
        assessed=False,
        observed=False,
        current_revision=str(known.get("currentRevision") or ""),
        update_revision=str(known.get("updateRevision") or ""),
        addresses=(("openai", endpoint_url(seen.key.name, seen.key.namespace)),),
    )


def with_decision(outcome: Outcome, decision: Decision, seen: Seen) -> Outcome:
    """Add what was decided."""
    model, revision = decision.model, decision.revision
    outcome = replace(
        outcome, assessed=True, refusal=decision.refused, look_again=decision.look_again
    )
    if model is not None:
        numbers = numbers_of(model.spec)
        outcome = replace(
            outcome,
            replicas=Replicas(numbers.least, numbers.most),
            progress_deadline=_deadline(model),
        )
    if revision is None:
        return replace(outcome, current_revision="", update_revision="")
    outcome = replace(outcome, plan=revision.frozen.plan, update_revision=revision.name)
    if decision.failed is not None:
        return _gone_back(outcome, revision, decision.failed)
    current = seen.revision(outcome.current_revision)
    return replace(
        outcome,
        current_revision=current.name if current else "",
        rollout=_rollout(seen, current, revision, model),
    )


def _gone_back(outcome: Outcome, stands: Revision, failed: Revision) -> Outcome:
    """Add that one revision stands though another one is asked for, which failed."""
    cause = failed.failure.cause if failed.failure else ""
    return replace(
        outcome,
        current_revision=stands.name,
        update_revision=failed.name,
        rolled_back=RolledBack(failed.name, stands.name, cause),
    )


def _rollout(
    seen: Seen, current: Revision | None, wanted: Revision, model: ModelDeployment | None
) -> Rollout | None:
    """Return what it means to come from the revision that serves to the one that is wanted."""
    if current is None or current.name == wanted.name:
        return None
    found = change(wanted.ray_service, current.ray_service, exact=True)
    return Rollout(found.kind, _told(found, model), started=seen.asked.get(wanted.name))


def _told(found: Change, model: ModelDeployment | None) -> tuple[str, ...]:
    """Return what changes, and before it how replicas are replaced, where they are."""
    if model is None or found.kind != "NewReplicas" or not replica_bounds(model.spec)[1]:
        return found.reasons
    room = surge(model.spec)
    if not room:
        return ("Each replica ends before its successor starts", *found.reasons)
    start = agreeing(room, "starts beside its predecessor", "start beside their predecessors")
    return (f"Up to {counted(room, 'replica')} at a time {start}", *found.reasons)


def held_back(seen: Seen, desired: list[Object], model: ModelDeployment) -> Rollout | None:
    """Return what is not applied while the model is paused."""
    service = _ray_service(desired)
    live = seen.children.get(("RayService", service["metadata"]["name"]))
    found = change(service, live) if live is not None else None
    if found is None or found.kind == "Nothing":
        return None
    return Rollout(found.kind, _told(found, model))


def with_done(outcome: Outcome, done: CarriedOut) -> Outcome:
    """Add what became of the children."""
    rollout = outcome.rollout
    if done.waits_for:
        rollout = replace(rollout or Rollout("NewCluster"), waits_for=done.waits_for)
    return replace(outcome, child_refusal=done.refused, lacks=done.lacks, rollout=rollout)


def is_news(seen: Seen, outcome: Outcome, known: Mapping[str, Any]) -> bool:
    """Tell whether something costly is about to begin that the status does not speak of yet."""
    if outcome.rolled_back is not None:
        return not read_past(known).had(api.STALLED, api.ROLLED_BACK.name)
    if outcome.rollout is None or outcome.rollout.kind not in _COSTLY:
        return False
    return bool(seen.status.get("updateRevision") != outcome.update_revision)


def first_replicas(
    seen: Seen, outcome: Outcome, revision: Revision, known: Mapping[str, Any]
) -> int | None:
    """Return the replicas that a cluster begins with which is to take over from another one.

    As many as are wanted there when the rollout begins; what was written for it then stands. None
    where no cluster is to take over.
    """
    if not _takes_over(seen, outcome):
        return None
    live = seen.children.get((RAY_SERVICES.kind, seen.key.name))
    if live is not None and revision_of(live) == revision.name:
        return first_of(live, revision.frozen.plan["candidate"])
    return count(known.get("desiredReplicas"))


def _takes_over(seen: Seen, outcome: Outcome) -> bool:
    """Tell whether a cluster is to serve in the place of another one, be that gone already."""
    rollout, service = outcome.rollout, standing_service(seen)
    if seen.ray_service is not None and seen.ray_service.upgrading:
        return True
    if outcome.rolled_back is not None:
        return service is None or service.active is None
    return rollout is not None and rollout.kind == "NewCluster"


def manner_of(seen: Seen, outcome: Outcome, model: ModelDeployment) -> Manner:
    """Return how what runs is replaced, and whether it is just now.

    There is room for further replicas only while they are needed: Ray asks for one more than that
    where a pod is lost.
    """
    active = seen.ray_service.active if seen.ray_service else None
    begins = outcome.rollout is not None and outcome.rollout.kind == "NewReplicas"
    goes_on = active is not None and any(it.status == DEPLOYING for it in active.applications)
    room = surge(model.spec) if begins or goes_on else 0
    return Manner(recreate=model.spec.recreates, surge=room)


def desired_objects(
    seen: Seen,
    revision: Revision,
    model: ModelDeployment,
    first: int | None,
    peers: Peers | None,
) -> list[Object]:
    """Return the objects that are to be there, in the order of application.

    Args:
        seen: What is there.
        revision: The revision that stands.
        model: The model, with the numbers that are laid over it.
        first: Replicas that a cluster begins with which takes over; None where none does.
        peers: Who connects to every model; None for no NetworkPolicies.
    """
    active = seen.ray_service.active if seen.ray_service else None
    serving = _serving(seen)
    children = objects_of(
        revision.frozen,
        numbers_of(model.spec, first),
        owner_uid=seen.uid,
        ray_cluster=active.name if active else None,
        to_workers=serving is not None and workers_answer(serving["spec"]),
        revision=revision.name,
    )
    # who may connect is written before all else: pods are open without
    return [*_policies(seen, revision, model, peers), *children]


def leading_endpoint(seen: Seen) -> Object | None:
    """Return the endpoint's Service as it stands, but leading to the cluster that serves.

    KubeRay turns over by itself, and takes the former cluster away a minute later, whatever keeps
    us from all other writing. None where there is no Service of ours, or nothing serves.
    """
    live = seen.children.get((SERVICES.kind, seen.key.name))
    revision = seen.revision(revision_of(live)) if live is not None else None
    serving = _serving(seen)
    if revision is None or serving is None:
        return None
    return endpoint_of(
        revision,
        owner_uid=seen.uid,
        ray_cluster=serving["metadata"]["name"],
        to_workers=workers_answer(serving["spec"]),
    )


def _serving(seen: Seen) -> Object | None:
    """Return the RayCluster that serves."""
    active = seen.ray_service.active if seen.ray_service else None
    names = (it for it in seen.clusters if active and it["metadata"]["name"] == active.name)
    return next(names, None)


def _policies(
    seen: Seen, revision: Revision, model: ModelDeployment, peers: Peers | None
) -> list[Object]:
    """Return who may connect to the clusters that are there, and to the one that is to be."""
    if peers is None:
        return []
    wanted = revision.ray_service["spec"]["rayClusterConfig"]
    specs = [wanted, *(it["spec"] for it in seen.clusters)]
    to_workers = any(workers_answer(it) for it in specs)
    found = network_policies(model, seen.key.namespace, peers, to_workers=to_workers)
    return [owned(it, seen.uid) for it in found]


def _ray_service(objects: list[Object]) -> Object:
    return next(it for it in objects if it["kind"] == RAY_SERVICES.kind)


def is_serving(status: Mapping[str, Any]) -> bool:
    """Tell whether a status says that requests are answered."""
    conditions = status.get("conditions") or []
    return any(it.get("type") == "Serving" and it.get("status") == "True" for it in conditions)


def _deadline(model: ModelDeployment) -> timedelta:
    rollout = model.spec.rollout
    if rollout is None or rollout.progress_deadline is None:
        return DEFAULT_PROGRESS_DEADLINE
    return timedelta(seconds=duration_seconds(rollout.progress_deadline))
