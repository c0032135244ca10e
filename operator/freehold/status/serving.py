"""Whether requests are answered.

KubeRay's Ready says only that there are endpoints, and Serve's RUNNING that its health checks
pass: an engine may be dead behind both. So a request of one token has the last word.
"""

from __future__ import annotations

import re

from freehold.api import conditions as api
from freehold.api.conditions import REASONS
from freehold.api.faults import counted
from freehold.status.facts import Check, first_finding
from freehold.status.message import agreeing, full_stop, words_of
from freehold.status.outcome import Finding, Outcome
from freehold.status.past import Past
from freehold.status.placed import placed
from freehold.status.placement import failed_of, in_the_way, starting, trouble_of, wakes
from freehold.status.planned import is_planned
from freehold.status.ray_service_state import RUNNING, RayServiceState, ServedCluster

# What keeps a changed spec from being placed while what the former one asked for goes on.
_TOUCHES_NO_POD = (
    api.NO_HARDWARE,
    api.NO_ENGINE_IMAGE,
    api.CHILD_REFUSED,
    api.CHILD_NOT_OURS,
    api.API_KEYS_MISSING,
    api.RAY_SERVICE_INVALID,
)
# As in "ray::ServeReplica:chat:Server.initialize_and_get_metadata() (pid=7, ip=10.0.0.3, ...)".
_ADDRESS = re.compile(r"\bip=([0-9A-Fa-f.:]+)")


def serving(outcome: Outcome, past: Past) -> Finding | None:
    """Return the finding of Serving, or None where nothing new is known."""
    if not outcome.observed:
        return None
    return first_finding(_CHECKS, outcome, past, _answers(outcome))


def rolled_out(outcome: Outcome) -> bool:
    """Return whether the RayService's present spec is what runs, everywhere, and has answered.

    What decides when the update revision becomes the current one. Zero replicas need not answer.
    """
    service = outcome.ray_service
    if service is None or not service.observed or service.refusal is not None:
        return False
    if outcome.replicas.maximum == 0:
        return True
    if service.active is None or not service.active.running or service.upgrading:
        return False
    if not _serve_says_so(outcome, service.active):
        return False
    return _rests_at_zero(outcome) or _has_answered(outcome)


def _serve_says_so(outcome: Outcome, active: ServedCluster) -> bool:
    """Return whether Serve itself runs the present application; where it never answers, let it."""
    said = outcome.submission
    return said.is_of(active.name, RUNNING) if said is not None else outcome.engines is None


def needs_probe(outcome: Outcome) -> bool:
    """Return whether a request of one token is due: engines run that none has been asked of.

    Where Serve does not tell its engines, until one request has been answered. Never at zero
    replicas, where a request would wake one.
    """
    service = outcome.ray_service
    if service is None or service.active is None or outcome.replicas.maximum == 0:
        return False
    probe, engines = outcome.probe, outcome.engines
    if engines is not None:
        asked = probe.engines if probe is not None and probe.answered else frozenset()
        return bool(engines.running - asked)
    if outcome.replicas.minimum == 0:
        return False
    return service.active.running and (probe is None or not probe.answered)


def trouble_of_rollout(outcome: Outcome) -> Finding | None:
    """Return what keeps a rollout from going on beside what serves; None where nothing does."""
    service = outcome.ray_service
    if service is None or service.active is None:
        return None
    if service.pending is not None:
        return _failure(outcome, service.pending) or trouble_of(outcome, service.pending.name)
    if outcome.rollout is None:
        return None
    found = _failure(outcome, service.active)
    if found is None and outcome.rollout.kind == "NewReplicas":
        # a successor's pod stands in the same cluster
        found = trouble_of(outcome, service.active.name)
    return found


def still_to_come(outcome: Outcome) -> str:
    """Return in a sentence what a rollout without any trouble waits for; "" for nothing known."""
    service = outcome.ray_service
    if service is None:
        return ""
    if not service.observed:
        return _not_acted_on(service)
    cluster = service.pending or service.active
    if cluster is None or cluster.running:
        return ""
    pods = starting(outcome, cluster.name)
    return pods.message if pods is not None else _deploying(cluster)


def _suspended(outcome: Outcome, _past: Past) -> Finding | None:
    if not outcome.suspended:
        return None
    return Finding(api.SUSPENDED, "spec.suspend is true: requests are not answered.")


def _nothing_is_planned(outcome: Outcome, _past: Past) -> Finding | None:
    if is_planned(outcome):
        return None
    return Finding(api.NOT_PLANNED, "There is no plan: nothing can answer.")


def _nothing_is_wanted(outcome: Outcome, _past: Past) -> Finding | None:
    if outcome.replicas.maximum > 0 or outcome.ray_service is None:
        return None
    return Finding(api.SCALED_TO_ZERO, "No replica is wanted, and no request changes that.")


def _serve_gave_up(outcome: Outcome, past: Past) -> Finding | None:
    service = outcome.ray_service
    cluster = (service.active or service.pending) if service else None
    found = _failure(outcome, cluster) if cluster else None
    if found is None or not outcome.running:
        return found
    run = agreeing(outcome.running, "runs", "run")
    others = f"{counted(outcome.running, 'replica')} of before still {run}."
    changing = outcome.rollout is not None or outcome.rolled_back is not None
    if changing and past.was(api.SERVING) and not _is_unanswered(outcome):
        # Serve keeps what runs when it cannot deploy a change (Ray 2.60)
        return Finding(api.ANSWERS, others)
    return Finding(found.reason, f"{found.message} {others}")


def _failure(outcome: Outcome, cluster: ServedCluster) -> Finding | None:
    failed = next((item for item in cluster.applications if item.failed), None)
    if failed is not None:
        return _gave_up(outcome, cluster, failed.name, failed.words)
    retry = outcome.retry
    if retry is None or retry.cluster != cluster.name or cluster.running:
        return None
    # to those who watch it has failed until it runs, or each try would be news
    return _gave_up(outcome, cluster, outcome.name, retry.words)


def _gave_up(outcome: Outcome, cluster: ServedCluster, name: str, words: str) -> Finding:
    failed = failed_of(outcome, cluster.name)
    # of an engine whose pod is gone Serve knows only that it is not there
    pod = "" if failed is not None else _in_pod(outcome, cluster, words)
    said = failed.message if failed is not None else full_stop(words_of(words))
    message = f"Serve could not deploy {name} on cluster {cluster.name}{pod}: {said}"
    if outcome.retry is not None and outcome.retry.cluster == cluster.name:
        message += f" Given to Serve again {counted(outcome.retry.tries, 'time')}."
    return Finding(api.DEPLOY_FAILED, message)


def _in_pod(outcome: Outcome, cluster: ServedCluster, words: str) -> str:
    """Return in which pod it was, by the address that Ray puts into a remote traceback."""
    addresses = _ADDRESS.findall(words)
    pods = [it for it in outcome.pods_of(cluster.name) if it.address and it.address in addresses]
    return f" (pod {pods[-1].name})" if pods else ""


def _former_cluster_answers(outcome: Outcome, past: Past) -> Finding | None:
    """While a cluster is built beside it, KubeRay says nothing of the applications that serve."""
    service = outcome.ray_service
    if service is None or not service.upgrading or service.active is None:
        return None
    if not past.was(api.SERVING) or _is_unanswered(outcome):
        return None
    if not (service.endpoints or outcome.running):
        return None
    if _rests_at_zero(outcome):
        return _sleeps(outcome, past)
    message = f"Cluster {service.active.name} answers until the new one takes over."
    return Finding(api.ANSWERS, message)


def _something_is_unhealthy(outcome: Outcome, past: Past) -> Finding | None:
    if past.was(api.SERVING) and _has_answered(outcome) and outcome.engines is not None:
        return None  # what Serve calls so is a replica that has ended: others answer
    service = outcome.ray_service
    active = service.active if service else None
    sick = next((item for item in active.applications if item.unhealthy), None) if active else None
    if active is None or sick is None:
        return None
    said = full_stop(words_of(sick.words))
    return Finding(api.UNHEALTHY, f"{sick.name} on cluster {active.name} is unhealthy: {said}")


def _nothing_is_placed(outcome: Outcome, past: Past) -> Finding | None:
    found = placed(outcome, past)
    if found is None or found.reason.holds or found.reason in _TOUCHES_NO_POD:
        return None if outcome.serving_cluster else _not_placed()
    return None if past.was(api.SERVING) and outcome.running else _not_placed()


def _not_placed() -> Finding:
    return Finding(api.NOT_PLACED, "Nothing runs yet that could answer.")


def _kuberay_has_not_acted(outcome: Outcome, past: Past) -> Finding | None:
    service = outcome.ray_service
    if service is None or service.observed or past.was(api.SERVING):
        return None
    return Finding(api.AWAITING_KUBERAY, _not_acted_on(service))


def _not_acted_on(service: RayServiceState) -> str:
    return f"KubeRay has not acted on generation {service.generation} of {service.name} yet."


def _serve_is_deploying(outcome: Outcome, past: Past) -> Finding | None:
    service = outcome.ray_service
    cluster = (service.active or service.pending) if service else None
    if service is None or cluster is None or (service.active and cluster.running):
        return None
    if past.was(api.SERVING) and not _is_unanswered(outcome) and _goes_on_answering(outcome):
        return Finding(api.ANSWERS, _answers(outcome).message)
    return Finding(api.DEPLOYING, _deploying(cluster))


def _goes_on_answering(outcome: Outcome) -> bool:
    """Return whether what served still does while Serve takes a change in place."""
    if outcome.engines is not None:
        return bool(outcome.engines.running)
    service = outcome.ray_service
    applications = service.active.applications if service and service.active else ()
    return outcome.rollout is not None and bool(applications and service and service.endpoints)


def _deploying(cluster: ServedCluster) -> str:
    if not cluster.applications:
        return f"Serve on cluster {cluster.name} has no application yet."
    app = next((item for item in cluster.applications if item.status != "RUNNING"), None)
    app = app or cluster.applications[0]
    parts = [f"{item.name} {item.status}" for item in app.deployments if item.status != "HEALTHY"]
    detail = f" ({', '.join(parts)})" if parts else ""
    return f"Serve on cluster {cluster.name} says {app.status or 'nothing'} of {app.name}{detail}."


def _no_endpoints(outcome: Outcome, _past: Past) -> Finding | None:
    service = outcome.ray_service
    ready = service.ready if service else None
    if service is None or (ready is not None and ready.status == "True"):
        return None
    said = full_stop((ready.message if ready else "") or "it does not say why")
    return Finding(api.NO_SERVE_ENDPOINTS, f"RayService {service.name} is not ready: {said}")


def _rests_at_zero(outcome: Outcome) -> bool:
    engines = outcome.engines
    if engines is None or engines.target or engines.running:
        return False
    return outcome.replicas.minimum == 0


def _sleeps(outcome: Outcome, _past: Past) -> Finding | None:
    if not _rests_at_zero(outcome):
        return None
    return Finding(api.SCALED_TO_ZERO, "No replica runs; the first request wakes one.")


def _wakes(outcome: Outcome, past: Past) -> Finding | None:
    engines = outcome.engines
    if engines is None or engines.running:
        return None
    is_ = agreeing(engines.target, "is", "are")
    starting = f"{counted(engines.target, 'replica')} of {outcome.name} {is_}"
    if not wakes(outcome, past):
        return Finding(api.DEPLOYING, f"{starting} starting, none runs.")
    trouble = in_the_way(outcome)
    why = f" {trouble.message}" if trouble is not None else ""
    return Finding(api.WAKING, f"A request has come: {starting} starting.{why}")


def _has_answered(outcome: Outcome) -> bool:
    """Return whether one of the engines that run now has answered; any, where none is known."""
    probe, engines = outcome.probe, outcome.engines
    if probe is None or not probe.answered:
        return False
    return engines is None or bool(engines.running & probe.engines)


def _is_unanswered(outcome: Outcome) -> bool:
    """Return whether a request to engines that run now has come back without an answer."""
    probe, engines = outcome.probe, outcome.engines
    if probe is None or probe.answered:
        return False
    return engines is None or bool(engines.running & probe.engines)


def _request_failed(outcome: Outcome, _past: Past) -> Finding | None:
    if outcome.probe is None or not _is_unanswered(outcome):
        return None
    said = full_stop(words_of(outcome.probe.error))
    return Finding(api.ENDPOINT_UNANSWERED, f"A request of one token was not answered: {said}")


def _nothing_has_been_asked(outcome: Outcome, past: Past) -> Finding | None:
    """New engines beside or instead of those that answered are asked without a word in status."""
    if _has_answered(outcome):
        return None
    former = past.of(api.SERVING)
    if former is not None and former.status == "True":
        woken = former.reason == api.WAKING.name
        return Finding(REASONS[former.reason], former.message) if woken else _answers(outcome)
    what = counted(outcome.running, "engine") if outcome.engines else "What runs"
    return Finding(api.PROBING, f"{what} of {outcome.name} has not answered a first request yet.")


def _answers(outcome: Outcome) -> Finding:
    if outcome.engines is None:
        return Finding(api.ANSWERS, f"{outcome.name} has answered a request.")
    running, wanted = outcome.running, outcome.engines.target
    of_all = f"{running} of {counted(max(running, wanted), 'replica')} of {outcome.name}"
    message = f"{of_all} {agreeing(running, 'answers', 'answer')}."
    return Finding(api.ANSWERS, message)


_CHECKS: tuple[Check, ...] = (
    _suspended,  # nothing is to answer
    _nothing_is_planned,
    _nothing_is_wanted,
    _serve_gave_up,  # Serve's words are more than that pods wait
    _former_cluster_answers,
    _something_is_unhealthy,
    _nothing_is_placed,
    _serve_is_deploying,
    _kuberay_has_not_acted,  # what runs is what was asked for before
    _no_endpoints,
    _sleeps,  # what sleeps must not be asked: that would wake it
    _wakes,
    _request_failed,
    _nothing_has_been_asked,
)
