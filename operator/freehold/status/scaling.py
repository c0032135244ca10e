"""Why a model has as many replicas as it has: what the policy inside Serve tells of its load."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from freehold.api.faults import counted
from freehold.status.decisions import read_line
from freehold.status.message import agreeing, sentence
from freehold.status.outcome import Engines, Outcome, ScalingDecision
from freehold.status.past import Past
from freehold.status.raw import count, mapping, text

_WAKING = "Waking"
# As the policy writes a time.
_SECONDS = re.compile("[1-9][0-9]{0,9}s")
_RATES = ("promptTokensPerSecond", "generatedTokensPerSecond")


def read_scaling(line: str) -> ScalingDecision | None:
    """Return what a line of the policy's log says; None where it is none.

    Args:
        line: The last line, as ``freehold.serving.scaling`` writes it.
    """
    return _decision(read_line(line))


def scaling(outcome: Outcome, past: Past) -> dict[str, Any] | None:
    """Return ``status.scaling``; what this pass has not heard of stays as it was."""
    if outcome.replicas.maximum == 0 or outcome.suspended:
        return None  # nothing decides
    former = mapping(past.raw, "scaling")
    told = _last(outcome) or _decision(former)
    if told is None:
        return None
    engines = outcome.engines
    starting = engines.starting if engines else count(former.get("starting"))
    figures = {
        "queued": told.queued,
        "running": told.running,
        "desired": told.desired,
        "ready": told.ready,
        "starting": starting,
        "learned": told.learned or _learned(mapping(former, "learned")) or None,
    }
    known = {name: it for name, it in figures.items() if it is not None}
    return {"reason": told.reason, "message": sentence(told.message), **known}


def _last(outcome: Outcome) -> ScalingDecision | None:
    """Return the last decision; from zero Serve decides without asking the policy."""
    engines = outcome.engines
    if engines is not None and engines.target and not engines.running:
        return _wakes(engines)
    return outcome.scaling


def _wakes(engines: Engines) -> ScalingDecision:
    is_ = agreeing(engines.target, "is", "are")
    told = f"No replica runs yet and {counted(engines.target, 'replica')} {is_} wanted."
    return ScalingDecision(_WAKING, told)


def _decision(raw: Mapping[str, Any]) -> ScalingDecision | None:
    """Return a decision as the log and the status have it; None where it is none."""
    reason, message = text(raw.get("reason")), text(raw.get("message"))
    if not (reason and message):
        return None
    return ScalingDecision(
        reason,
        message,
        running=count(raw.get("running")),
        queued=count(raw.get("queued")),
        desired=count(raw.get("desired")),
        ready=count(raw.get("ready")),
        learned=_learned(mapping(raw, "learned")),
    )


def _learned(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was learned, or {} where it is not told as it should be."""
    rates = {name: count(raw.get(name)) for name in _RATES}
    if None in rates.values():
        return {}
    took = text(raw.get("coldStart"))
    return {**rates, "coldStart": took} if _SECONDS.fullmatch(took) else rates
