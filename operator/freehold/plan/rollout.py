"""Whether what the user wrote asks for a new revision, and of which kind.

The spec is taken as the API server stores it: the parsed model has defaults filled in, and a
default of another release is no edit of the user's. A rollout happens only when the user changed
the object, so nothing else is looked at here: no catalogue, price, node or release.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from freehold.plan.canonical import canonical, canonical_json
from freehold.plan.failure import Failure
from freehold.plan.plan import NoPlan, Plan
from freehold.plan.planner import Question, make_plan

# What takes effect without a revision: counts are overlaid on the frozen objects, the rest is the
# operator's own business.
_WITHOUT_REVISION = (
    ("replicas",),
    ("suspend",),
    ("managedBy",),
    ("autoscaling", "minReplicas"),
    ("autoscaling", "maxReplicas"),
    ("rollout", "progressDeadline"),
    ("endpoint", "allowedNamespaces"),
)
# What only the block with the scaling settings says, which Serve takes in place.
_SCALING = ("target", "scaleToZeroAfter")


@dataclass(frozen=True, slots=True)
class SpecParts:
    """A spec as written, split by what a change of it costs; both parts in canonical form.

    Attributes:
        rollout: What a rollout decides.
        scaling: What only the scaling settings depend on; empty for a fixed count.
    """

    rollout: Mapping[str, Any]
    scaling: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decided:
    """What an existing revision was made from.

    Attributes:
        name: Name of the revision.
        parts: The spec's parts at that time.
        candidate: The candidate that was chosen.
        failure: That its rollout was given up; None where it was not.
    """

    name: str
    parts: SpecParts
    candidate: str
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """The newest revision stands."""

    revision: str


@dataclass(frozen=True, slots=True)
class Return:
    """The spec asks for a revision again: that one is the newest again, and is tried again."""

    revision: str


@dataclass(frozen=True, slots=True)
class GoBack:
    """The rollout of the newest revision was given up: the last one that served stands.

    Attributes:
        revision: The one that stands.
        failed: The one that the spec asks for.
    """

    revision: str
    failed: str


@dataclass(frozen=True, slots=True)
class Rescale:
    """A new revision with the objects of this one, but for their scaling settings."""

    revision: str


@dataclass(frozen=True, slots=True)
class RollOut:
    """A new revision, planned and rendered anew.

    Attributes:
        changed: Fields that differ from the newest revision, as ``spec.model.contextLength``;
            empty for the first one, and where the hardware is gone.
        prefer: The candidate to keep while it is listed and carries the model; None to choose.
    """

    changed: tuple[str, ...] = ()
    prefer: str | None = None


Decision = Keep | Return | GoBack | Rescale | RollOut


def spec_parts(spec: Mapping[str, Any]) -> SpecParts:
    """Split a ModelDeployment's ``spec`` as the API server stores it."""
    rollout = canonical(spec)
    written = rollout.get("autoscaling")
    scaling = {it: written[it] for it in _SCALING if it in written} if written else {}
    for path in (*_WITHOUT_REVISION, *(("autoscaling", name) for name in _SCALING)):
        _remove(rollout, path)
    return SpecParts(rollout, scaling)


def progress_deadline(spec: Mapping[str, Any]) -> str:
    """Return ``spec.rollout.progressDeadline`` as it is written; "" where it is not."""
    return str((spec.get("rollout") or {}).get("progressDeadline") or "")


def decide(
    spec: SpecParts,
    revisions: Sequence[Decided],
    *,
    hardware_gone: bool = False,
    deadline: str = "",
) -> Decision:
    """Return what the spec asks for.

    A spec that goes back to what an earlier revision was made from gets that very revision, as a
    Deployment gets its old ReplicaSet: its cluster may still stand, and rendered anew by another
    release it would be a third one.

    One whose rollout was given up is not tried again while the spec goes on asking for it, whatever
    counts are changed meanwhile: whoever scales a model by load would have it tried with every
    step. It is where the spec has asked for another one in between, or for another deadline.

    Args:
        spec: The present spec.
        revisions: The model's revisions, oldest first.
        hardware_gone: Whether the newest revision does not serve and the cluster neither has nor
            can make nodes for its candidate, so that the choice may be made again.
        deadline: ``spec.rollout.progressDeadline`` as it is written; "" where it is not.
    """
    if not revisions or hardware_gone:
        return RollOut()
    newest = revisions[-1]
    same = [it for it in reversed(revisions) if _equal(it.parts.rollout, spec.rollout)]
    if newest in same:
        if not _equal(newest.parts.scaling, spec.scaling):
            return Rescale(newest.name)
        return _again(newest, revisions, deadline)
    for revision in same:
        if _equal(revision.parts.scaling, spec.scaling):
            return Return(revision.name)
    if same:
        return Rescale(same[0].name)
    changed = changed_fields(newest.parts.rollout, spec.rollout)
    hardware = any(_is_below(field, "spec.hardware") for field in changed)
    return RollOut(changed, None if hardware else newest.candidate)


def _again(newest: Decided, revisions: Sequence[Decided], deadline: str) -> Decision:
    """Return what becomes of the newest revision while the spec goes on asking for it."""
    failure = newest.failure
    if failure is None:
        return Keep(newest.name)
    names = {it.name for it in revisions}
    if failure.deadline != deadline or failure.back_to not in names - {newest.name}:
        return Return(newest.name)
    return GoBack(failure.back_to, newest.name)


def standing(revisions: Sequence[Decided]) -> str:
    """Return the revision whose objects stand while nothing is decided; "" without any.

    Args:
        revisions: The model's revisions, oldest first.
    """
    if not revisions:
        return ""
    failure, names = revisions[-1].failure, [it.name for it in revisions]
    return failure.back_to if failure and failure.back_to in names else names[-1]


def changed_fields(old: Any, new: Any) -> tuple[str, ...]:
    """Return the paths of the fields that differ, sorted; the deepest that still name one."""
    return tuple(sorted(set(_differences(canonical(old), canonical(new), "spec"))))


def plan_preferring(question: Question, candidate: str | None) -> Plan | NoPlan:
    """Return the plan of the candidate if it is listed and carries the model, else any plan."""
    preferred = [option for option in question.options if option.name == candidate]
    if preferred:
        others = [option for option in question.options if option.name != candidate]
        first = replace(question, options=(*preferred, *others), in_order=True)
        answer = make_plan(first)
        if isinstance(answer, Plan) and answer.candidate == candidate:
            return answer
    return make_plan(question)


def _remove(spec: dict[str, Any], path: tuple[str, ...]) -> None:
    """Remove a field, and its parent where that then says nothing."""
    name, *below = path
    inner = spec.get(name)
    if not below:
        spec.pop(name, None)
    elif isinstance(inner, dict):
        _remove(inner, tuple(below))
        if not inner:
            del spec[name]


def _differences(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in old.keys() | new.keys():
            if name not in old or name not in new:
                yield f"{path}.{name}"
            else:
                yield from _differences(old[name], new[name], f"{path}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _differences(before, after, f"{path}[{i}]")
    elif not _equal(old, new):
        yield path


def _equal(old: Any, new: Any) -> bool:
    """Compare as JSON: to Python true is 1, to an engine it may not be."""
    return canonical_json(old) == canonical_json(new)


def _is_below(field: str, parent: str) -> bool:
    return field == parent or field.startswith((f"{parent}.", f"{parent}["))
