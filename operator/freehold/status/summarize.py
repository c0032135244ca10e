"""From what a pass has learned to the status: the only place that sets Ready."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from freehold.api import conditions as api
from freehold.api.conditions import ConditionType
from freehold.api.names import MODEL_LABEL
from freehold.api.status import MOST_ITEMS
from freehold.status.all_facts import Facts, all_facts, new_facts
from freehold.status.message import full_stop, sentence
from freehold.status.outcome import Outcome
from freehold.status.past import Past, read_past
from freehold.status.pod_state import WORKER
from freehold.status.raw import count, items, mapping, text, timestamp
from freehold.status.scaled import desired_replicas
from freehold.status.scaling import scaling
from freehold.status.verdict import Summary, Verdict, verdict


def summarize(outcome: Outcome, old_status: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the whole status, in camelCase, as it stands in the object.

    The same arguments give the same status. Conditions that nothing new is known of stay as they
    are, with the generation they spoke of.

    Args:
        outcome: What the pass has learned.
        old_status: The status as it was written last; {} before the first.
        now: The present, with its time zone.
    """
    past = read_past(old_status)
    new = new_facts(outcome, past)
    facts = all_facts(new, past)
    judged = verdict(outcome, facts, past, now)
    stale = {kind for kind, found in new.items() if found is None and past.of(kind) is not None}
    summaries = _summaries(judged, facts)
    conditions = [
        _condition(outcome, past, now, kind, summaries[kind], kind in stale)
        for kind in ConditionType
    ]
    serves = facts[api.SERVING].reason.holds
    return {
        "observedGeneration": _observed_generation(outcome, past),
        "conditions": conditions,
        **dict(_decided(outcome, past)),
        **dict(_counted(outcome, past, serves)),
        **dict(_told(outcome, past, serves)),
    }


def _summaries(judged: Verdict, facts: Facts) -> dict[ConditionType, Summary]:
    of_facts = {kind: Summary(it.reason.status, it) for kind, it in facts.items()}
    of_all: dict[ConditionType, Summary] = {
        api.READY: judged.ready,
        api.RECONCILING: judged.reconciling,
        api.STALLED: judged.stalled,
    }
    return {**of_all, **of_facts}


def _condition(
    outcome: Outcome, past: Past, now: datetime, kind: ConditionType, told: Summary, stale: bool
) -> dict[str, Any]:
    former = past.of(kind)
    unchanged = former is not None and former.status == told.status and past.since(kind)
    spoke_of = former.observed_generation if former is not None and stale else outcome.generation
    return {
        "type": kind.value,
        "status": told.status,
        "reason": told.finding.reason.name,
        "message": sentence(full_stop(told.finding.message.strip() or told.finding.reason.meaning)),
        "observedGeneration": outcome.generation if spoke_of is None else spoke_of,
        "lastTransitionTime": former.since if former and unchanged else timestamp(now),
    }


def _observed_generation(outcome: Outcome, past: Past) -> int:
    """Return the generation that the status speaks of: the former one until all is known."""
    former = count(past.raw.get("observedGeneration"))
    known = outcome.assessed and (outcome.observed or outcome.refusal is not None)
    return outcome.generation if known or former is None else min(former, outcome.generation)


def _decided(outcome: Outcome, past: Past) -> Iterator[tuple[str, Any]]:
    """Yield revisions and plan, the former ones where the pass did not get to them."""
    current, update = outcome.current_revision, outcome.update_revision
    plan: Mapping[str, Any] = outcome.plan or {}
    if not outcome.assessed:
        current = current or text(past.raw.get("currentRevision"))
        update = update or text(past.raw.get("updateRevision"))
        plan = plan or mapping(past.raw, "plan")
    if current:
        yield "currentRevision", current
    if update:
        yield "updateRevision", update
    if plan:
        yield "plan", _bounded(plan)


def _bounded(plan: Mapping[str, Any]) -> dict[str, Any]:
    if "rejected" not in plan:
        return dict(plan)
    rejected = [
        {**item, "message": sentence(text(item.get("message")))} for item in items(plan["rejected"])
    ]
    return {**plan, "rejected": rejected[:MOST_ITEMS]}


def _counted(outcome: Outcome, past: Past, serves: bool) -> Iterator[tuple[str, Any]]:
    """Yield the numbers of replicas: that exist, that answer, that are wanted."""
    if outcome.observed:
        yield "replicas", _existing(outcome)
        if outcome.engines is not None or not serves:
            yield "readyReplicas", outcome.running if serves else 0
        else:
            yield "readyReplicas", count(past.raw.get("readyReplicas")) or 0
    else:
        for key in ("replicas", "readyReplicas"):
            yield key, count(past.raw.get(key)) or 0
    yield "desiredReplicas", desired_replicas(outcome, past)
    yield "selector", f"{MODEL_LABEL}={outcome.name}"


def _existing(outcome: Outcome) -> int:
    """Return how many replicas the serving cluster has pods for, whole or in part."""
    workers = [pod for pod in outcome.pods_of(outcome.serving_cluster) if pod.role == WORKER]
    nodes = count((outcome.plan or {}).get("nodes")) or 1
    return -(-len(workers) // nodes)


def _told(outcome: Outcome, past: Past, serves: bool) -> Iterator[tuple[str, Any]]:
    """Yield where it answers, what serves it, and why it has as many replicas."""
    if outcome.addresses:
        pairs = outcome.addresses[:MOST_ITEMS]
        yield "addresses", [{"name": name, "url": url} for name, url in pairs]
    why = scaling(outcome, past)
    if why is not None:
        yield "scaling", why
    service = outcome.ray_service
    if service is not None:
        revision = outcome.current_revision or outcome.update_revision
        workload = {"name": service.name, "kind": "RayService", "revision": revision}
        yield "workloads", [{**workload, "ready": serves}]
    elif not outcome.observed and list(items(past.raw.get("workloads"))):
        yield "workloads", [dict(item) for item in items(past.raw.get("workloads"))][:MOST_ITEMS]
