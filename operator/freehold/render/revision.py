"""What a rollout decided, frozen in a ControllerRevision, and the objects that come of it.

The revision holds the objects as they were rendered, so that another release of the operator, with
other policies, images or probes, applies the very same ones. Only the user's numbers are laid over
them. The Serve config stays the text that it is: as data in JSON, 10.0 would come back as 10 and
the keys in another order, and the text would be another one.

    data:
      format: 1
      spec: {rollout, scaling}     parts of the spec as the user wrote them (plan/rollout.py)
      plan                         status.plan
      modelCommit                  what the model's revision meant; absent where nobody looked
      modelDigest, modelFiles      digest of the source's files, and digits of each; likewise
      model                        the model's shape, where a pod has read it
      maxNumSeqs                   sequences that a replica runs at once
      podsPerReplica
      servingDigest                SHA-256 of the archive with the code inside Ray
      deployment                   the Serve deployment that runs the engine
      objects                      in the order of application, with one replica
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from freehold.api.faults import Fault
from freehold.api.modeldeployment import ModelDeployment
from freehold.api.names import (
    API_VERSION,
    FAILED_ANNOTATION,
    MODEL_LABEL,
    REVISION_ANNOTATION,
    child_labels,
)
from freehold.plan.canonical import digest
from freehold.plan.failure import Failure, read_failure
from freehold.plan.plan import Plan
from freehold.plan.rollout import Decided, SpecParts
from freehold.render.endpoint_service import leading_to
from freehold.render.gcs_fault_tolerance import GcsFaultTolerance
from freehold.render.numbers import Numbers, canonical_model, with_numbers, with_scaling_settings
from freehold.render.objects import canonical_objects
from freehold.render.scaling import autoscaling_config
from freehold.render.serve_config import server_deployment_name
from freehold.render.serving_config_map import archive_digest
from freehold.render.source_pin import UNPINNED, SourcePin

KIND = "ControllerRevision"
_API_VERSION = "apps/v1"
_FORMAT = 1
_HASH_DIGITS = 10
_ENDPOINT = "Service"
_TEXTS = ("servingDigest", "deployment")
_COUNTS = ("maxNumSeqs", "podsPerReplica")


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a rollout decided.

    Attributes:
        parts: The spec's parts at that time.
        plan: Its ``status.plan``.
        pin: What the model's source is held to.
        model: The model's shape, where a pod has read it.
        max_num_seqs: Sequences that a replica runs at once.
        pods_per_replica: Pods of one replica.
        serving_digest: SHA-256 of the archive with the code inside Ray.
        deployment: The Serve deployment that runs the engine.
        objects: ConfigMap, RayService and Service, with one replica.
    """

    parts: SpecParts
    plan: Mapping[str, Any]
    pin: SourcePin
    model: Mapping[str, Any] | None
    max_num_seqs: int
    pods_per_replica: int
    serving_digest: str
    deployment: str
    objects: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Revision:
    """A ControllerRevision of ours.

    Attributes:
        name: Its name.
        model: The ModelDeployment's name.
        number: Its place in the history; the highest is the newest.
        frozen: What it holds.
        failure: That its rollout was given up; None where it was not.
    """

    name: str
    model: str
    number: int
    frozen: Frozen
    failure: Failure | None = None

    @property
    def decided(self) -> Decided:
        """Return what a decision about the next revision needs to know of this one."""
        candidate = self.frozen.plan["candidate"]
        return Decided(self.name, self.frozen.parts, candidate, self.failure)

    @property
    def config_map(self) -> str:
        """Return the name of the ConfigMap with the code inside Ray; others may share it."""
        return str(self._object("ConfigMap")["metadata"]["name"])

    @property
    def served_name(self) -> str:
        """Return the name under which it serves the model."""
        model = self.frozen.parts.rollout["model"]
        return str(model.get("servedName") or self.model)

    @property
    def ray_service(self) -> Mapping[str, Any]:
        """Return its RayService with one replica."""
        return self._object("RayService")

    def _object(self, kind: str) -> Mapping[str, Any]:
        (found,) = (item for item in self.frozen.objects if item["kind"] == kind)
        return found


def frozen_of(
    model: ModelDeployment,
    plan: Plan,
    parts: SpecParts,
    plan_status: Mapping[str, Any],
    *,
    namespace: str,
    archive: bytes,
    pin: SourcePin = UNPINNED,
    uid: str | None = None,
    shape: Mapping[str, Any] | None = None,
    tolerance: GcsFaultTolerance | None = None,
) -> Frozen | Fault:
    """Return what a rollout of this plan freezes, or what keeps it from being rendered.

    Args:
        model: The model.
        plan: Its plan.
        parts: The spec's parts as the API server stores it.
        plan_status: The plan as ``status.plan`` shows it.
        namespace: Namespace of the objects.
        archive: The code that runs inside Ray.
        pin: What the model's source is held to.
        uid: The model's uid; None for objects to look at.
        shape: The model's shape, where a pod has read it.
        tolerance: Where Ray keeps its state; None for in the head alone.
    """
    objects = canonical_objects(model, plan, namespace, archive, pin, uid, tolerance)
    if isinstance(objects, Fault):
        return objects
    return Frozen(
        parts=parts,
        plan=plan_status,
        pin=pin,
        model=shape,
        max_num_seqs=plan.max_num_seqs,
        pods_per_replica=plan.layout.nodes,
        serving_digest=archive_digest(archive),
        deployment=server_deployment_name(model.served_name),
        objects=tuple(objects),
    )


def rescaled(frozen: Frozen, model: ModelDeployment, parts: SpecParts) -> Frozen:
    """Return the same with the scaling settings that the model's spec asks for now."""
    spec = canonical_model(model).spec
    settings = autoscaling_config(spec, frozen.max_num_seqs)
    objects = tuple(
        with_scaling_settings(item, settings, frozen.deployment)
        if item["kind"] == "RayService"
        else item
        for item in frozen.objects
    )
    return replace(frozen, parts=parts, objects=objects)


def freeze(
    frozen: Frozen, model_name: str, namespace: str, owner_uid: str, number: int
) -> dict[str, Any]:
    """Return the ControllerRevision; the same content has the same name.

    Args:
        frozen: What it is to hold.
        model_name: The ModelDeployment's name.
        namespace: Its namespace.
        owner_uid: Its uid.
        number: The revision's place in the history.
    """
    data = _data(frozen)
    return {
        "apiVersion": _API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": revision_name(model_name, data),
            "namespace": namespace,
            "labels": child_labels(model_name),
            "ownerReferences": [owner_reference(model_name, owner_uid)],
        },
        "revision": number,
        "data": data,
    }


def revision_name(model_name: str, data: Mapping[str, Any]) -> str:
    """Return the name of the revision with these data: at most 51 characters."""
    return f"{model_name}-{digest(data, _HASH_DIGITS)}"


def owner_reference(model_name: str, uid: str) -> dict[str, Any]:
    """Return the reference by which an object goes when its ModelDeployment does."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "name": model_name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owned(item: Mapping[str, Any], owner_uid: str | None) -> dict[str, Any]:
    """Return a child as it belongs to its model; as it is without the model's uid."""
    if owner_uid is None:
        return dict(item)
    metadata = dict(item["metadata"])
    model = metadata["labels"][MODEL_LABEL]
    metadata["ownerReferences"] = [owner_reference(model, owner_uid)]
    return {**item, "metadata": metadata}


def objects_of(
    frozen: Frozen,
    numbers: Numbers,
    *,
    owner_uid: str | None = None,
    ray_cluster: str | None = None,
    to_workers: bool = False,
    revision: str | None = None,
) -> list[dict[str, Any]]:
    """Return the objects in the order in which they are applied.

    Args:
        frozen: What was decided.
        numbers: What the user decides without a new revision.
        owner_uid: The ModelDeployment's uid; None for objects to look at.
        ray_cluster: The RayCluster that serves; None before there is one.
        to_workers: Whether clients are led to its workers, too.
        revision: Its name, which the children bear: where only a field is gone between two
            revisions, that tells their children apart. An archive is many revisions' own.
    """
    result = []
    for item in frozen.objects:
        if item["kind"] == "RayService":
            group = frozen.plan["candidate"]
            item = with_numbers(item, numbers, frozen.deployment, group)
        elif item["kind"] == _ENDPOINT:
            item = leading_to(dict(item), ray_cluster, to_workers=to_workers)
        if revision is not None and item["kind"] != "ConfigMap":
            item = _annotated(item, revision)
        result.append(owned(item, owner_uid))
    return result


def endpoint_of(
    revision: Revision, *, owner_uid: str, ray_cluster: str, to_workers: bool
) -> dict[str, Any]:
    """Return a revision's Service, as it leads to a cluster; as ``objects_of`` returns it.

    Args:
        revision: The revision.
        owner_uid: The ModelDeployment's uid.
        ray_cluster: The RayCluster that serves.
        to_workers: Whether clients are led to its workers, too.
    """
    (item,) = (it for it in revision.frozen.objects if it["kind"] == _ENDPOINT)
    item = leading_to(dict(item), ray_cluster, to_workers=to_workers)
    return owned(_annotated(item, revision.name), owner_uid)


def read_revision(raw: Mapping[str, Any], *, checked: bool = False) -> Revision | Fault:
    """Return what a ControllerRevision holds, or what is wrong with it.

    One whose data do not match its name was not written by us, or not whole. Nor was one with
    objects elsewhere: whoever may write it in one namespace would have us write into another.

    Args:
        raw: The object.
        checked: Whether its data were compared with its name before; they never change.
    """
    metadata, data = _mapping(raw.get("metadata")), _mapping(raw.get("data"))
    name, model = metadata.get("name"), _mapping(metadata.get("labels")).get(MODEL_LABEL)
    if not isinstance(name, str) or not isinstance(model, str):
        return _unreadable(str(name), "metadata", "no label of a model", f"the label {MODEL_LABEL}")
    if data.get("format") != _FORMAT:
        found = f"format {data.get('format')!r}"
        return _unreadable(name, "data.format", found, f"{_FORMAT}, which this release writes")
    whole = checked or (_is_whole(data) and revision_name(model, data) == name)
    if not (whole and _is_at_home(data, metadata.get("namespace"), model)):
        return _unreadable(name, "data", "something that was changed", "what its name is made of")
    number = raw.get("revision")
    if not isinstance(number, int):
        return _unreadable(name, "revision", repr(number), "a whole number")
    told = _mapping(metadata.get("annotations")).get(FAILED_ANNOTATION)
    return Revision(name, model, number, _frozen(data), read_failure(told))


def _data(frozen: Frozen) -> dict[str, Any]:
    data = {
        "format": _FORMAT,
        "spec": {"rollout": frozen.parts.rollout, "scaling": frozen.parts.scaling},
        "plan": frozen.plan,
        "modelCommit": frozen.pin.commit,
        "modelDigest": frozen.pin.digest,
        "modelFiles": dict(frozen.pin.files) or None,
        "model": frozen.model,
        "maxNumSeqs": frozen.max_num_seqs,
        "podsPerReplica": frozen.pods_per_replica,
        "servingDigest": frozen.serving_digest,
        "deployment": frozen.deployment,
        "objects": list(frozen.objects),
    }
    return {name: value for name, value in data.items() if value is not None}


def _frozen(data: Mapping[str, Any]) -> Frozen:
    return Frozen(
        parts=SpecParts(data["spec"]["rollout"], data["spec"]["scaling"]),
        plan=data["plan"],
        pin=SourcePin(
            data.get("modelCommit"), data.get("modelDigest"), data.get("modelFiles") or {}
        ),
        model=data.get("model"),
        max_num_seqs=data["maxNumSeqs"],
        pods_per_replica=data["podsPerReplica"],
        serving_digest=data["servingDigest"],
        deployment=data["deployment"],
        objects=tuple(data["objects"]),
    )


def _is_whole(data: Mapping[str, Any]) -> bool:
    """Return whether all is there that is read; the digest then vouches for the rest."""
    spec, objects = _mapping(data.get("spec")), data.get("objects")
    return (
        all(isinstance(spec.get(part), dict) for part in ("rollout", "scaling"))
        and isinstance(_mapping(data.get("plan")).get("candidate"), str)
        and all(isinstance(data.get(name), str) for name in _TEXTS)
        and all(isinstance(data.get(name), int) for name in _COUNTS)
        and isinstance(objects, list)
        and [_mapping(it).get("kind") for it in objects] == ["ConfigMap", "RayService", "Service"]
    )


def revision_of(child: Mapping[str, Any]) -> str:
    """Return the name of the revision whose child an object is; "None" where it bears none."""
    return str((child["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION))


def _annotated(item: Mapping[str, Any], revision: str) -> dict[str, Any]:
    metadata = {**item["metadata"], "annotations": {REVISION_ANNOTATION: revision}}
    return {**item, "metadata": metadata}


def _is_at_home(data: Mapping[str, Any], namespace: Any, model: str) -> bool:
    """Return whether all objects stand beside their revision, under the model's name."""
    placed = [(it["kind"], _mapping(it.get("metadata"))) for it in data["objects"]]
    return all(
        metadata.get("namespace") == namespace
        and (kind == "ConfigMap" or metadata.get("name") == model)
        for kind, metadata in placed
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _unreadable(name: str, field: str, found: str, allowed: str) -> Fault:
    return Fault(
        path=f"ControllerRevision {name}: {field}",
        found=found,
        allowed=allowed,
        hint="Restore it, or delete it: the model is then planned and rolled out anew.",
    )
