"""Whether the children exist and the pods that serving needs run on nodes."""

from __future__ import annotations

from freehold.api import conditions as api
from freehold.api.faults import counted
from freehold.status.facts import Check, first_finding
from freehold.status.message import full_stop
from freehold.status.outcome import Finding, Outcome
from freehold.status.past import Past
from freehold.status.placement import in_the_way, starting, wakes
from freehold.status.planned import is_planned


def placed(outcome: Outcome, past: Past) -> Finding | None:
    """Return the finding of Placed, or None where nothing new is known."""
    if outcome.refusal is not None and api.PLACED in outcome.refusal.reason.conditions:
        return outcome.refusal
    if not outcome.observed:
        return None
    pods = outcome.pods_of(outcome.serving_cluster)
    running = sum(pod.running for pod in pods)
    message = f"{running} of {len(pods)} pods of cluster {outcome.serving_cluster} run."
    return first_finding(_CHECKS, outcome, past, Finding(api.PODS_RUNNING, message))


def _suspended(outcome: Outcome, _past: Past) -> Finding | None:
    if not outcome.suspended:
        return None
    pods = len(outcome.pods)
    left = f"{counted(pods, 'pod')} still to end" if pods else "no pods are left"
    return Finding(api.SUSPENDED, f"spec.suspend is true: {left}.")


def _kuberay_is_missing(outcome: Outcome, _past: Past) -> Finding | None:
    if outcome.kuberay:
        return None
    message = "The cluster does not know rayservices.ray.io: KubeRay is not installed."
    return Finding(api.KUBERAY_MISSING, message)


def _child_is_refused(outcome: Outcome, _past: Past) -> Finding | None:
    return outcome.child_refusal or outcome.lacks


def _nothing_is_planned(outcome: Outcome, _past: Past) -> Finding | None:
    if is_planned(outcome):
        return None
    return Finding(api.NOT_PLANNED, "There is no plan to place.")


def _old_cluster_is_still_there(outcome: Outcome, _past: Past) -> Finding | None:
    rollout = outcome.rollout
    if rollout is None or not rollout.waits_for:
        return None
    message = f"The new cluster is made when {rollout.waits_for} is gone (rollout Recreate)."
    return Finding(api.WAITING_FOR_OLD_CLUSTER, message)


def _ray_service_is_not_there(outcome: Outcome, _past: Past) -> Finding | None:
    service = outcome.ray_service
    if service is None:
        return Finding(api.CREATING, f"RayService {outcome.name} does not exist yet.")
    if service.deleting:
        return Finding(api.CREATING, f"RayService {service.name} is being deleted.")
    return None


def _kuberay_refuses_it(outcome: Outcome, _past: Past) -> Finding | None:
    service = outcome.ray_service
    if service is None or service.refusal is None:
        return None
    said = full_stop(service.refusal)
    return Finding(api.RAY_SERVICE_INVALID, f"KubeRay refuses RayService {service.name}: {said}")


def _kuberay_gave_up(outcome: Outcome, _past: Past) -> Finding | None:
    service = outcome.ray_service
    if service is None or not service.timed_out:
        return None
    said = full_stop((service.ready.message if service.ready else "") or "no reason given")
    message = f"KubeRay gave up starting RayService {service.name} and deleted its pods: {said}"
    return Finding(api.INITIALIZING_TIMEOUT, message)


def _nothing_is_wanted(outcome: Outcome, _past: Past) -> Finding | None:
    if outcome.replicas.maximum > 0:
        return None
    return Finding(api.PODS_RUNNING, "No replica is wanted.")


def _kuberay_has_not_acted(outcome: Outcome, _past: Past) -> Finding | None:
    service = outcome.ray_service
    if service is None or outcome.serving_cluster:
        return None
    if service.observed:
        return Finding(api.CREATING, f"RayService {service.name} has no RayCluster yet.")
    message = f"KubeRay has not acted on RayService {service.name} yet."
    return Finding(api.AWAITING_KUBERAY, message)


def _no_replica_can_run(outcome: Outcome, past: Past) -> Finding | None:
    """Serve goes on when its last replica is gone; whether the next one can run decides."""
    engines = outcome.engines
    if engines is None or engines.running or not engines.target or wakes(outcome, past):
        return None
    return in_the_way(outcome)


def _serve_runs(outcome: Outcome, past: Past) -> Finding | None:
    """What serves is placed: pods that come on top are a matter of scaling or of a rollout."""
    service = outcome.ray_service
    if service is None or service.active is None:
        return None
    if service.active.running or (past.was(api.SERVING) and _goes_on(outcome)):
        pods = outcome.pods_of(service.active.name)
        running = sum(pod.running for pod in pods)
        message = f"{running} of {len(pods)} pods of cluster {service.active.name} run."
        return Finding(api.PODS_RUNNING, message)
    return None


def _goes_on(outcome: Outcome) -> bool:
    """Return whether the engines of a cluster that served are there still."""
    service = outcome.ray_service
    if outcome.engines is not None:
        return bool(outcome.engines.running)
    return service is not None and service.upgrading and service.endpoints > 0


def _pods_cannot_run(outcome: Outcome, _past: Past) -> Finding | None:
    return in_the_way(outcome)


def _pods_are_starting(outcome: Outcome, _past: Past) -> Finding | None:
    cluster = outcome.serving_cluster
    return starting(outcome, cluster) if cluster else None


_CHECKS: tuple[Check, ...] = (
    _suspended,  # nothing is to run
    _kuberay_is_missing,  # nobody would act on a RayService
    _child_is_refused,
    _nothing_is_planned,
    _old_cluster_is_still_there,
    _ray_service_is_not_there,
    _kuberay_refuses_it,
    _kuberay_gave_up,
    _nothing_is_wanted,
    _kuberay_has_not_acted,
    _no_replica_can_run,
    _serve_runs,
    _pods_cannot_run,
    _pods_are_starting,
)
