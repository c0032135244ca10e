"""Which nodes a worker pod may run on: node affinity, tolerations and device resources."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from freehold.api.acceleratorclass import NodeShape, SelectorRequirement, SelectorTerm, Toleration
from freehold.api.faults import Fault
from freehold.plan.accelerator import Accelerator
from freehold.plan.plan import Plan

Requirement = dict[str, Any]
Term = list[Requirement]

# Device plugins' names, for classes that leave them out.
_PLUGIN_NAMES = {
    "nvidia": "nvidia.com/gpu",
    "amd": "amd.com/gpu",
    "intel": "habana.ai/gaudi",
    "google": "google.com/tpu",
    "aws": "aws.amazon.com/neuron",
}
_OPPOSITE = {"In": "NotIn", "NotIn": "In", "Exists": "DoesNotExist", "DoesNotExist": "Exists"}
# Terms of one shape. What spot is not, is the product of what its marks are not.
_MOST_TERMS = 64


@dataclass(frozen=True, slots=True)
class NoSpotNodes(Fault):
    """The class does not say how any environment marks spot nodes."""


@dataclass(frozen=True, slots=True)
class UnwieldySpotMarks(Fault):
    """What spot nodes bear is said in so many words that its opposite has too many terms."""


@dataclass(frozen=True, slots=True)
class NodeChoice:
    """Where the pods of a worker group may run, and what they take there.

    Attributes:
        terms: Node selector terms, one of which must hold; empty for any node.
        tolerations: Taints of these nodes.
        resources: Kubernetes resources of one pod: its devices and what comes with them.
    """

    terms: tuple[Term, ...]
    tolerations: tuple[dict[str, Any], ...]
    resources: dict[str, str]


def node_choice(plan: Plan) -> NodeChoice | NoSpotNodes | UnwieldySpotMarks:
    """Return the nodes whose shape carries a pod of the plan, as it is to be purchased.

    Pods of a group are alike, so of shapes that name their devices differently those are taken
    that agree with the first.
    """
    layout = plan.layout
    found = _choice(plan.accelerator, plan.purchase, layout.devices_per_node, layout.nodes > 1)
    if found is None:
        return _no_spot(plan) if plan.purchase == "Spot" else _unwieldy_marks(plan)
    return found


# A thousand models ask for the nodes of a few classes.
@functools.lru_cache(256)
def _choice(
    accelerator: Accelerator, purchase: str, devices: int, joined: bool
) -> NodeChoice | None:
    """Return the nodes for pods of so many devices; None where no shape can be told apart."""
    spot = purchase == "Spot"
    able = shapes_for(accelerator, purchase)
    shapes = [shape for shape in able if shape.devices >= devices]
    if not shapes:
        return None
    resources = _resources(accelerator, shapes[0], devices, joined)
    shapes = [it for it in shapes if _resources(accelerator, it, devices, joined) == resources]
    terms = [term for shape in shapes for term in shape_terms(accelerator, shape, spot)]
    return NodeChoice(
        terms=tuple(_joined(terms)) if all(terms) else (),
        tolerations=tuple(shape_tolerations(shapes, spot)),
        resources=resources,
    )


def shapes_for(accelerator: Accelerator, purchase: str) -> tuple[NodeShape, ...]:
    """Return the shapes of a class whose nodes can be told by how they are purchased."""
    if purchase == "Spot":
        return tuple(it for it in accelerator.shapes if it.spot is not None)
    return tuple(it for it in accelerator.shapes if not _unwieldy(accelerator, it))


def device_resource(accelerator: Accelerator, shape: NodeShape) -> str | None:
    """Return the resource name of a shape's devices; None for bare cores, which are no device."""
    if accelerator.vendor == "cpu":
        return None
    named = shape.resource_name or accelerator.spec.resource_name
    return named or _PLUGIN_NAMES[accelerator.vendor]


def shape_terms(accelerator: Accelerator, shape: NodeShape, spot: bool) -> Iterator[Term]:
    """Yield the terms of one shape, spot or not; an empty one stands for any node."""
    marks = _spot_marks(accelerator, shape)
    kinds = [_plain(mark.match_expressions) for mark in marks] if spot else list(_none_of(marks))
    for labels in plain_terms(shape):
        for kind in kinds or [[]]:
            yield [*labels, *kind]


def plain_terms(shape: NodeShape) -> Iterator[Term]:
    """Yield the terms of one shape however it is purchased; an empty one stands for any node."""
    for term in shape.node_selector_terms or (None,):
        yield _plain(term.match_expressions) if term else []


def label_keys(accelerator: Accelerator) -> frozenset[str]:
    """Return the key of every label that a class looks at."""
    marks = (it.spot.node_selector_terms or () for it in accelerator.shapes if it.spot)
    terms = itertools.chain(
        *(it.node_selector_terms or () for it in accelerator.shapes), itertools.chain(*marks)
    )
    return frozenset(it.key for term in terms for it in term.match_expressions)


def shape_tolerations(shapes: Iterable[NodeShape], spot: bool) -> list[dict[str, Any]]:
    """Return the tolerations of shapes, each once."""
    given: list[Toleration] = []
    for shape in shapes:
        given += shape.tolerations or ()
        if spot and shape.spot:
            given += shape.spot.tolerations or ()
    return [toleration.to_dict() for toleration in dict.fromkeys(given)]


def _no_spot(plan: Plan) -> NoSpotNodes:
    return NoSpotNodes(
        path="spec.hardware.candidates[].purchase",
        found=f"Spot for the candidate {plan.candidate}, of a class with no spot nodes",
        allowed="OnDemand",
        hint=f"Write OnDemand, or say under nodeShapes[].spot of {plan.accelerator.name} how your "
        "environment marks them.",
    )


def _unwieldy_marks(plan: Plan) -> UnwieldySpotMarks:
    return UnwieldySpotMarks(
        path=f"AcceleratorClass {plan.accelerator.name}: spec.nodeShapes[].spot.nodeSelectorTerms",
        found=f"marks whose opposite takes more than {_MOST_TERMS} terms",
        allowed="fewer terms of several expressions; a term of one expression costs nothing",
    )


def _resources(
    accelerator: Accelerator, shape: NodeShape, devices: int, joined: bool
) -> dict[str, str]:
    """Return the resources of one pod; bare cores are asked for as CPU."""
    name = device_resource(accelerator, shape)
    if name is None:
        return {}
    # fabric adapters are for traffic between nodes; inside one they would only be taken away
    extra = (shape.extra_resources or {}) if joined else {}
    return {name: str(devices)} | dict(sorted(extra.items()))


def _spot_marks(accelerator: Accelerator, shape: NodeShape) -> tuple[SelectorTerm, ...]:
    """Return what tells spot nodes of a shape from others.

    A shape that has no word on it may stand in the environment of one that has: what a labeller
    finds on premises it finds on a cloud's nodes too. There every mark of the class counts.
    """
    if shape.spot is not None:
        return shape.spot.node_selector_terms or ()
    others = (it.spot.node_selector_terms or () for it in accelerator.shapes if it.spot)
    return tuple(dict.fromkeys(itertools.chain.from_iterable(others)))


def _unwieldy(accelerator: Accelerator, shape: NodeShape) -> bool:
    marks = _spot_marks(accelerator, shape)
    return math.prod(len(mark.match_expressions) for mark in marks) > _MOST_TERMS


def _plain(expressions: Iterable[SelectorRequirement]) -> Term:
    return [expression.to_dict() for expression in expressions]


def _none_of(terms: Iterable[SelectorTerm]) -> Iterator[Term]:
    """Yield terms of which one holds where none of the given ones does (De Morgan).

    Where spot nodes carry no taint, only this keeps on-demand replicas off them. Gt and Lt have
    no opposite among the operators and are passed over.
    """
    for picked in itertools.product(*(term.match_expressions for term in terms)):
        yield [
            {**expression.to_dict(), "operator": _OPPOSITE[expression.operator]}
            for expression in picked
            if expression.operator in _OPPOSITE
        ]


def _joined(terms: Iterable[Term]) -> list[Term]:
    """Return terms that say the same, those that differ in one label's values made one."""
    found: list[Term] = []
    for term in terms:
        for i, other in enumerate(found):
            both = _join(other, term)
            if both is not None:
                found[i] = both
                break
        else:
            found.append(term)
    return found


def _join(one: Term, other: Term) -> Term | None:
    """Return the term that holds where either does, if there is one."""
    if len(one) != len(other):
        return None
    apart = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if not apart:
        return one
    (i, *more) = apart
    same_label = one[i]["key"] == other[i]["key"]
    if more or not same_label or {one[i]["operator"], other[i]["operator"]} != {"In"}:
        return None
    values = list(dict.fromkeys([*one[i]["values"], *other[i]["values"]]))
    return [*one[:i], {**one[i], "values": values}, *one[i + 1 :]]
