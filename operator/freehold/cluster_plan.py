"""Planning for a cluster: by the nodes that it has, and the classes that its users added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.faults import Fault, counted
from freehold.api.manifest import parse_object
from freehold.api.modeldeployment import ModelDeployment
from freehold.catalog.builtin import Catalog
from freehold.compose import Planned, plan_model
from freehold.plan import explain
from freehold.plan.accelerator import Accelerator, resolve_class
from freehold.plan.plan import NoPlan, Plan, Rejection
from freehold.plan.planner import Option, Question
from freehold.render.hardware import NO_ENGINE_IMAGE, NO_SUCH_NODES, Hardware
from freehold.sources.describe import Described

# Candidates and classes that a message names; of more, their number.
_LISTED = 4


@dataclass(frozen=True, slots=True)
class ClusterCatalog:
    """The catalogue as a cluster's users have it.

    Attributes:
        catalog: The built-in classes with the cluster's own before them.
        broken: What keeps an object of the cluster from being a class, by its name. A class that
            extends nothing that exists is whole here, and at fault where a model names it.
    """

    catalog: Catalog
    broken: Mapping[str, tuple[Fault, ...]]


@dataclass(frozen=True, slots=True)
class NearClass:
    """An accelerator class that nodes of the cluster carry.

    Attributes:
        name: Name of the class.
        nodes: Nodes that carry it.
        replica: How the model would lie on it, in words; "" where it does not fit.
    """

    name: str
    nodes: int
    replica: str

    def __str__(self) -> str:
        """Return the class in words."""
        fits = f"would carry it as {self.replica}" if self.replica else "would not carry it"
        return f"{self.name} on {counted(self.nodes, 'node')} {fits}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no candidate can be had on a cluster.

    Attributes:
        reason: NoHardware where nodes are missing, NoEngineImage where only an image is, and
            DoesNotFit where no such hardware would carry the model.
        message: The candidates with their reasons, and what the cluster has instead.
        nearest: The classes that its nodes carry, first those that would carry the model.
    """

    reason: Literal["NoHardware", "NoEngineImage", "DoesNotFit"]
    message: str
    nearest: tuple[NearClass, ...] = ()


def read_cluster_catalog(builtin: Catalog, objects: Iterable[Mapping[str, Any]]) -> ClusterCatalog:
    """Return the catalogue with the cluster's AcceleratorClass objects.

    An object that cannot be read takes the name of a built-in class all the same: its author
    meant to replace it.
    """
    own: list[AcceleratorClass] = []
    broken: dict[str, tuple[Fault, ...]] = {}
    for data in objects:
        item, faults = parse_object(data)
        if isinstance(item, AcceleratorClass):
            own.append(item)
        else:
            broken[data["metadata"]["name"]] = faults
    whole = builtin.with_classes(own)
    kept = {name: it for name, it in whole.classes.items() if name not in broken}
    return ClusterCatalog(Catalog(whole.models, MappingProxyType(kept)), MappingProxyType(broken))


def plan_on_cluster(
    model: ModelDeployment,
    catalog: ClusterCatalog,
    hardware: Hardware,
    *,
    prefer: str | None = None,
    offline: bool = False,
    described: Described | None = None,
) -> Planned | tuple[Fault, ...]:
    """Plan one model for the first candidate that the cluster has or can grow to have.

    Args:
        model: The model.
        catalog: Known models and classes.
        hardware: What the cluster's nodes carry.
        prefer: Name of the candidate to stay with while it carries the model and can be had.
        offline: Whether the hub must not be asked.
        described: What the source was found to hold; None to look now.

    Returns:
        As ``plan_model`` does. Candidates without nodes are rejected with ``NoSuchNodes``, those
        without an image with ``NoEngineImage``; ``refusal`` sums up where none remains.
    """
    faults = tuple(_broken_classes(model, catalog))
    if faults:
        return faults

    def judge(question: Question, option: Option) -> Plan | Rejection:
        return hardware.consider(model, question, option)

    return plan_model(
        model, catalog.catalog, offline=offline, judge=judge, prefer=prefer, described=described
    )


def _broken_classes(model: ModelDeployment, catalog: ClusterCatalog) -> Iterable[Fault]:
    hardware = model.spec.hardware
    for i, candidate in enumerate(hardware.candidates if hardware else ()):
        for fault in catalog.broken.get(candidate.accelerator, ()):
            yield Fault(
                path=f"spec.hardware.candidates[{i}].accelerator",
                found=f"AcceleratorClass {candidate.accelerator}, which is not whole: {fault}",
                allowed="a class that can be read",
            )


def refusal(planned: Planned, catalog: ClusterCatalog, hardware: Hardware) -> Refusal:
    """Sum up why a model that was planned on a cluster has no plan there."""
    answer = planned.answer
    assert isinstance(answer, NoPlan), "a plan is no refusal"
    lacking = [it for it in answer.rejected if it.reason == NO_SUCH_NODES]
    imageless = [it for it in answer.rejected if it.reason == NO_ENGINE_IMAGE]
    if imageless:
        return Refusal("NoEngineImage", _listed(imageless))
    if not lacking:
        return Refusal("DoesNotFit", _listed(answer.rejected))
    near = _nearest(planned, catalog, hardware)
    chosen = planned.question.in_order
    what = _listed(answer.rejected) if chosen else _any_class(len(lacking))
    has = "; ".join(str(item) for item in near[:_LISTED]) or "no accelerator that Freehold knows"
    more = f"; and {len(near) - _LISTED} more" if len(near) > _LISTED else ""
    return Refusal("NoHardware", f"{what}. The cluster has {has}{more}", near)


def _listed(rejected: Iterable[Rejection]) -> str:
    items = [f"{it.candidate}: {it.message}" for it in rejected]
    more = [f"and {counted(len(items) - _LISTED, 'candidate')} more"]
    return ". ".join(items[:_LISTED] + (more if len(items) > _LISTED else []))


def _any_class(number: int) -> str:
    would = "the accelerator class" if number == 1 else f"any of the {number} accelerator classes"
    return f"no nodes for {would} that would carry the model"


def _nearest(
    planned: Planned, catalog: ClusterCatalog, hardware: Hardware
) -> tuple[NearClass, ...]:
    """Return the classes that nodes carry, first those that would carry the model."""
    classes = catalog.catalog.classes
    found = []
    for name in sorted(classes):
        accelerator = resolve_class(name, classes, name)
        if isinstance(accelerator, Fault) or accelerator.vendor == "cpu":
            continue
        nodes = hardware.of(accelerator).usable
        if nodes:
            found.append(NearClass(name, nodes, _replica(planned, accelerator, hardware)))
    return tuple(sorted(found, key=lambda it: (not it.replica, it.name)))


def _replica(planned: Planned, accelerator: Accelerator, hardware: Hardware) -> str:
    """Return how the model would lie on a class, in words; "" where it does not."""
    for purchase in ("OnDemand", "Spot"):
        option = Option(accelerator.name, accelerator, purchase)
        question = Question(
            model=planned.question.model,
            settings=planned.question.settings,
            context=planned.question.context,
            workload=planned.question.workload,
            options=(option,),
        )
        found = hardware.consider(planned.model, question, option)
        if isinstance(found, Plan):
            return f"{explain.replica(accelerator, found.layout)}, {purchase}"
    return ""
