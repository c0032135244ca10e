"""Which nodes a worker pod may run on: node affinity, tolerations and device resources."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from freehold.api.acceleratorclass import NodeShape, SelectorRequirement, SelectorTerm, Toleration
from freehold.api.faults import Fault
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


@dataclass(frozen=True, slots=True)
class NoSpotNodes(Fault):
    """The class does not say how any environment marks spot nodes."""


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


def node_choice(plan: Plan) -> NodeChoice | NoSpotNodes:
    """Return the nodes whose shape carries a pod of the plan, as it is to be purchased.

    Pods of a group are alike, so of shapes that name their devices differently those are taken
    that agree with the first.
    """
    spot = plan.purchase == "Spot"
    shapes = [s for s in plan.accelerator.shapes if s.devices >= plan.layout.devices_per_node]
    if spot:
        shapes = [shape for shape in shapes if shape.spot is not None]
    if not shapes:
        return _no_spot(plan)
    resources = _resources(plan, shapes[0])
    shapes = [shape for shape in shapes if _resources(plan, shape) == resources]
    terms = [term for shape in shapes for term in _terms(shape, spot)]
    return NodeChoice(
        terms=tuple(_joined(terms)) if all(terms) else (),
        tolerations=tuple(_tolerations(shapes, spot)),
        resources=resources,
    )


def _no_spot(plan: Plan) -> NoSpotNodes:
    return NoSpotNodes(
        path="spec.hardware.candidates[].purchase",
        found=f"Spot for the candidate {plan.candidate}, of a class with no spot nodes",
        allowed="OnDemand",
        hint=f"Write OnDemand, or say under nodeShapes[].spot of {plan.accelerator.name} how your "
        "environment marks them.",
    )


def _resources(plan: Plan, shape: NodeShape) -> dict[str, str]:
    """Return the resources of one pod; bare cores are no device and are asked for as CPU."""
    vendor = plan.accelerator.vendor
    if vendor == "cpu":
        return {}
    name = shape.resource_name or plan.accelerator.spec.resource_name or _PLUGIN_NAMES[vendor]
    # fabric adapters are for traffic between nodes; inside one they would only be taken away
    extra = (shape.extra_resources or {}) if plan.layout.nodes > 1 else {}
    return {name: str(plan.layout.devices_per_node)} | dict(sorted(extra.items()))


def _terms(shape: NodeShape, spot: bool) -> Iterator[Term]:
    """Yield the terms of one shape; an empty one stands for any node."""
    marks = (shape.spot.node_selector_terms if shape.spot else None) or ()
    kinds = [_plain(mark.match_expressions) for mark in marks] if spot else list(_none_of(marks))
    for term in shape.node_selector_terms or (None,):
        labels = _plain(term.match_expressions) if term else []
        for kind in kinds or [[]]:
            yield [*labels, *kind]


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


def _tolerations(shapes: Iterable[NodeShape], spot: bool) -> list[dict[str, Any]]:
    given: list[Toleration] = []
    for shape in shapes:
        given += shape.tolerations or ()
        if spot and shape.spot:
            given += shape.spot.tolerations or ()
    return [toleration.to_dict() for toleration in dict.fromkeys(given)]
