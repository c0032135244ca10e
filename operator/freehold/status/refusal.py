"""Why a spec cannot be carried out, as a finding: from faults, or from the planner's refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from freehold.api import conditions as api
from freehold.api.conditions import Reason
from freehold.api.faults import Cause, Fault, counted
from freehold.plan.plan import NoPlan, Rejection
from freehold.status.message import full_stop
from freehold.status.outcome import Finding

_CAUSES: Mapping[Cause, Reason] = {
    Cause.VALUE: api.INVALID_SPEC,
    Cause.ACCELERATOR: api.UNKNOWN_ACCELERATOR,
    Cause.MODEL: api.UNKNOWN_MODEL,
    Cause.ACCESS: api.GATED_MODEL,
    Cause.UNREACHABLE: api.SOURCE_UNREACHABLE,
}
# Words of the planner that say what the cluster lacks, not the spec.
_OF_THE_CLUSTER: Mapping[str, Reason] = {
    "NoEngineImage": api.NO_ENGINE_IMAGE,
    "NoSuchNodes": api.NO_HARDWARE,
}
_TOLD = 3


def refusal_of_faults(faults: Sequence[Fault]) -> Finding:
    """Return the refusal of a spec with faults; what the user must mend stands first.

    Raises:
        ValueError: There are no faults.
    """
    if not faults:
        raise ValueError("a refusal needs at least one fault")
    ordered = sorted(faults, key=lambda it: list(Cause).index(it.cause))
    told = [full_stop(str(fault)) for fault in ordered[:_TOLD]]
    more = len(ordered) - len(told)
    rest = [f"And {counted(more, 'more fault')}."] if more else []
    return Finding(_CAUSES[ordered[0].cause], " ".join([*told, *rest]))


def refusal_of_no_plan(answer: NoPlan) -> Finding:
    """Return the refusal of a model that no candidate carries.

    Where a candidate would do but for what the cluster lacks, that is the cause: somebody may add
    it without touching the spec.
    """
    for word, reason in _OF_THE_CLUSTER.items():
        lacking = [item for item in answer.rejected if item.reason == word]
        if lacking:
            return Finding(reason, _candidates(lacking))
    unknown = [item for item in answer.rejected if item.reason == "UnknownAccelerator"]
    if unknown and len(unknown) == len(answer.rejected):
        return Finding(api.UNKNOWN_ACCELERATOR, _candidates(unknown))
    return Finding(api.NOTHING_FITS, _candidates(answer.rejected))


def refusal_on_cluster(word: str, message: str) -> Finding:
    """Return the refusal of a model that no candidate of a cluster carries, summed up elsewhere.

    Args:
        word: NoHardware, NoEngineImage or DoesNotFit.
        message: The candidates with their reasons.
    """
    known = (api.NO_HARDWARE, api.NO_ENGINE_IMAGE)
    reason = next((item for item in known if item.name == word), api.NOTHING_FITS)
    return Finding(reason, message)


def _candidates(rejected: Sequence[Rejection]) -> str:
    if not rejected:
        return "There is no candidate to consider."
    told = [full_stop(f"{item.candidate}: {item.message}") for item in rejected[:_TOLD]]
    more = len(rejected) - len(told)
    rest = [f"And {counted(more, 'more candidate')}."] if more else []
    return " ".join([*told, *rest])
