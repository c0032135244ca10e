"""What a model is to be: the revision that stands, a new one, or why there can be none.

This is where the pure parts meet: rollout (is anything to be decided?), planning for the cluster,
rendering, freezing. Only the model's source may be asked, and only for a rollout.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from freehold.api import conditions as api
from freehold.api.architecture import ModelDescription
from freehold.api.faults import Fault
from freehold.api.manifest import parse_object
from freehold.api.modeldeployment import ModelDeployment
from freehold.api.names import PAUSED_ANNOTATION
from freehold.cluster_plan import Refusal, plan_on_cluster, refusal
from freehold.compose import Planned, check_arguments
from freehold.controller.commits import Commits
from freehold.controller.describing import Describer
from freehold.controller.gather import Seen
from freehold.controller.queue import Key
from freehold.controller.served_names import ServedNames
from freehold.controller.world import World
from freehold.kube.client import Object
from freehold.plan.plan import NoPlan, Plan
from freehold.plan.rollout import (
    GoBack,
    Keep,
    Rescale,
    Return,
    RollOut,
    SpecParts,
    decide,
    progress_deadline,
    spec_parts,
)
from freehold.render.gcs_fault_tolerance import GcsFaultTolerance
from freehold.render.revision import Frozen, Revision, freeze, frozen_of, rescaled
from freehold.render.source_pin import UNPINNED, SourcePin
from freehold.serving_archive import serving_archive
from freehold.sources.describe import Described, cannot_be_read
from freehold.sources.told import Told
from freehold.status.outcome import Finding
from freehold.status.plan_status import plan_status
from freehold.status.refusal import refusal_of_faults


@dataclass(frozen=True, slots=True)
class Decision:
    """What a model is to be.

    Attributes:
        model: The model as parsed; None where it cannot be.
        revision: The revision whose objects are to be there; None where there is none.
        new: That revision as it is still to be written.
        number: The place that it is to have in the history, where it has another one.
        failed: The revision that the spec asks for, where its rollout was given up.
        refused: Why the present spec cannot be carried out; the revision is then the last one.
        look_again: Seconds after which the source is to be read again; None where a watch tells.
    """

    model: ModelDeployment | None
    revision: Revision | None
    new: Object | None = None
    number: int | None = None
    failed: Revision | None = None
    refused: Finding | None = None
    look_again: float | None = None


@dataclass(frozen=True, slots=True)
class Decider:
    """Decides for one model at a time.

    Attributes:
        world: Classes and nodes.
        commits: What branches of the hub mean.
        describer: Has sources read by pods.
        names: Who holds which served name.
        tolerance: Where Ray keeps its state; None for in the head alone.
        archive: The code that runs inside Ray.
    """

    world: World
    commits: Commits
    describer: Describer
    names: ServedNames
    tolerance: GcsFaultTolerance | None = None
    archive: bytes = field(default_factory=serving_archive)

    async def decide(self, seen: Seen, serves: bool) -> Decision:
        """Return what a model is to be.

        Args:
            seen: The model.
            serves: Whether it serves, so that its candidate stays.
        """
        model, faults = parse_object(seen.model)
        if not isinstance(model, ModelDeployment):
            return Decision(None, seen.standing, refused=refusal_of_faults(faults))
        spec, known = seen.model["spec"], [it.decided for it in seen.revisions]
        parts, deadline = spec_parts(spec), progress_deadline(spec)
        gone = not serves and await self._hardware_is_gone(model, seen, parts)
        match decide(parts, known, hardware_gone=gone, deadline=deadline):
            case Keep(name):
                return Decision(model, seen.revision(name))
            case Return(name):
                return Decision(model, seen.revision(name), number=_next_number(seen))
            case GoBack(name, failed):
                return Decision(model, seen.revision(name), failed=seen.revision(failed))
            case Rescale(name):
                former = seen.revision(name)
                assert former is not None, "a decision names what it was given"
                return _new(model, seen, rescaled(former.frozen, model, parts))
            case RollOut(_, prefer):
                found = await self._roll_out(model, seen, parts, prefer, gone=gone)
                if isinstance(found, Finding):
                    again = self.describer.look_again(model, found)
                    return Decision(model, seen.standing, refused=found, look_again=again)
                return _new(model, seen, found)
        raise AssertionError("every kind of decision is taken above")

    async def _roll_out(
        self,
        model: ModelDeployment,
        seen: Seen,
        parts: SpecParts,
        prefer: str | None,
        *,
        gone: bool,
    ) -> Frozen | Finding:
        """Plan and render anew, or return why that cannot be.

        Args:
            model: The model.
            seen: What is there.
            parts: The spec's parts.
            prefer: The candidate to stay with.
            gone: Whether the hardware is to be chosen anew; where that is all, the source stays
                what it was.
        """
        holder = self.names.holder(seen.key)
        if holder != seen.key:
            return Finding(api.SERVED_NAME_TAKEN, _taken(model, holder))
        faults = check_arguments(model)
        if faults:
            return refusal_of_faults(faults)
        newest = seen.newest
        if gone and newest is not None and newest.frozen.parts.rollout == parts.rollout:
            source: Told | Finding = _former(newest)
        else:
            source = await self._source(model, seen)
        if isinstance(source, Finding):
            return source
        planned = await self._plan(model, prefer, source.model)
        if isinstance(planned, Finding):
            return planned
        pin = source.pin
        if pin == UNPINNED:
            pin = SourcePin(await self.commits.commit_of(model.spec.model))
        plan = planned.answer
        assert isinstance(plan, Plan), "refusals are findings"
        frozen = frozen_of(
            model,
            plan,
            parts,
            plan_status(plan).model_dump(mode="json", by_alias=True, exclude_none=True),
            namespace=seen.key.namespace,
            archive=self.archive,
            pin=pin,
            uid=seen.uid,
            shape=source.model.to_dict() if source.model else None,
            tolerance=self.tolerance,
        )
        return refusal_of_faults([frozen]) if isinstance(frozen, Fault) else frozen

    async def _source(self, model: ModelDeployment, seen: Seen) -> Told | Finding:
        """Return what is known of the source now; nothing where this process is to look."""
        scheme = model.spec.model.source.partition("://")[0]
        if self.describer.is_asked(model):
            if _is_paused(seen):
                return Finding(api.DESCRIBING_MODEL, "Its source is not read while it is paused.")
            known = _is_known(model, self.world)
            classes = self.world.catalog.catalog.classes
            return await self.describer.look(model, seen, classes, pin_only=known)
        if scheme != "hf" and model.spec.model.architecture is None:
            return refusal_of_faults([cannot_be_read(scheme, "hf://")])
        return Told()

    async def _plan(
        self, model: ModelDeployment, prefer: str | None, shape: ModelDescription | None
    ) -> Planned | Finding:
        world = self.world
        arguments: dict[str, Any] = {"prefer": prefer}
        if shape is not None:
            arguments["described"] = Described(shape, model.spec.model.source)
        places = (model, world.catalog, world.hardware)
        if shape is not None or _is_known(model, world):
            planned = plan_on_cluster(*places, **arguments)
        else:
            # the hub takes its time, and nobody else shall wait for it
            planned = await asyncio.to_thread(plan_on_cluster, *places, **arguments)
        if isinstance(planned, tuple):
            return refusal_of_faults(planned)
        if isinstance(planned.answer, NoPlan):
            return _refused(refusal(planned, world.catalog, world.hardware))
        if planned.described.gated and model.spec.model.credentials is None:
            return Finding(api.GATED_MODEL, _gated(model))
        return planned

    async def _hardware_is_gone(self, model: ModelDeployment, seen: Seen, parts: SpecParts) -> bool:
        """Tell whether a model that does not serve had better be placed elsewhere.

        Only where its pods find no node, another candidate can be had and the chosen one can not.
        What a rollout was given up for stays as it was until the spec changes.
        """
        newest = seen.newest
        if newest is None or newest.failure or model.spec.suspend:
            return False
        shape = _former(newest).model if _is_same_model(newest, parts) else None
        if shape is None and not _is_known(model, self.world):
            return False
        if not any(pod.unschedulable for pod in seen.pods):
            return False
        chosen = newest.decided.candidate
        planned = await self._plan(model, chosen, shape)
        return not isinstance(planned, Finding) and _candidate(planned) != chosen


_BY_WORD = {
    "NoHardware": api.NO_HARDWARE,
    "NoEngineImage": api.NO_ENGINE_IMAGE,
    "DoesNotFit": api.NOTHING_FITS,
}


def _refused(found: Refusal) -> Finding:
    return Finding(_BY_WORD[found.reason], found.message)


def _candidate(planned: Planned) -> str:
    assert isinstance(planned.answer, Plan), "refusals are findings"
    return planned.answer.candidate


def _is_known(model: ModelDeployment, world: World) -> bool:
    """Tell whether the model can be described without asking its source."""
    source = model.spec.model
    scheme, _, location = source.source.partition("://")
    known = scheme == "hf" and world.catalog.catalog.model(location) is not None
    return source.architecture is not None or known


def _former(revision: Revision) -> Told:
    """Return what a revision holds of the source."""
    shape = revision.frozen.model
    return Told(ModelDescription.model_validate(shape) if shape else None, revision.frozen.pin)


def _is_same_model(revision: Revision, parts: SpecParts) -> bool:
    return revision.frozen.parts.rollout.get("model") == parts.rollout.get("model")


def _is_paused(seen: Seen) -> bool:
    annotations = seen.model["metadata"].get("annotations") or {}
    return bool(annotations.get(PAUSED_ANNOTATION) == "true")


def _gated(model: ModelDeployment) -> str:
    return (
        f"{model.spec.model.source} is given out only to those who accepted its licence, and "
        "spec.model.credentials names no Secret. Accept the licence on the hub, put the account's "
        "token into a Secret of this namespace under the key HF_TOKEN, and name the Secret in "
        "spec.model.credentials.secretRef."
    )


def _taken(model: ModelDeployment, holder: Key) -> str:
    return (
        f"The served name {model.served_name} belongs to the older ModelDeployment {holder}. "
        "Give this one another spec.model.servedName."
    )


def _new(model: ModelDeployment, seen: Seen, frozen: Frozen) -> Decision:
    """Return the decision for a new revision, or for an old one with the same content."""
    number = _next_number(seen)
    raw = freeze(frozen, seen.key.name, seen.key.namespace, seen.uid, number)
    known = seen.revision(raw["metadata"]["name"])
    if known is not None:
        return Decision(model, known, number=number)
    revision = Revision(raw["metadata"]["name"], seen.key.name, number, frozen)
    return Decision(model, revision, new=raw)


def _next_number(seen: Seen) -> int:
    return seen.newest.number + 1 if seen.newest else 1
