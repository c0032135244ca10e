"""Candidates judged by the nodes that a cluster has or can grow to have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from freehold.api.faults import Fault
from freehold.api.modeldeployment import ModelDeployment
from freehold.plan.accelerator import Accelerator
from freehold.plan.plan import Plan, Rejection
from freehold.plan.planner import Option, Question, consider
from freehold.render.cluster import Cluster, Search
from freehold.render.engine_image import engine_image
from freehold.render.missing_nodes import Wanted, missing_nodes
from freehold.render.node_choice import (
    Term,
    device_resource,
    label_keys,
    node_choice,
    plain_terms,
    shape_terms,
    shape_tolerations,
    shapes_for,
)
from freehold.render.placement import (
    Placement,
    Requirement,
    in_order,
    read_placement,
    read_terms,
    read_tolerations,
)
from freehold.render.pod_template import worker_template

NO_SUCH_NODES = "NoSuchNodes"
NO_ENGINE_IMAGE = "NoEngineImage"


@dataclass(frozen=True, slots=True)
class OnCluster:
    """What a cluster has of one accelerator class.

    Attributes:
        nodes: Nodes that carry at least one of its devices, however purchased; usable or not.
        usable: Those of them on which pods may start.
        shapes: The class with those of its shapes alone that a usable node has, by purchase;
            None where there is none.
    """

    nodes: int
    usable: int
    shapes: dict[str, Accelerator | None]

    @property
    def largest(self) -> int:
        """Return the most devices that a node has."""
        sizes = (it.node_sizes[-1] for it in self.shapes.values() if it is not None)
        return max(sizes, default=0)


class Hardware:
    """What a cluster has of every class that was asked about.

    Each is looked up once. Make a new one when nodes change; a class that changed is seen.
    """

    def __init__(self, cluster: Cluster) -> None:
        """Keep the cluster's nodes at one moment."""
        self.cluster = cluster
        self._found: dict[str, tuple[Accelerator, OnCluster]] = {}

    def of(self, accelerator: Accelerator) -> OnCluster:
        """Return what there is of a class."""
        known = self._found.get(accelerator.name)
        if known is None or known[0] != accelerator:
            known = accelerator, _on_cluster(accelerator, self.cluster)
            self._found[accelerator.name] = known
        return known[1]

    def consider(
        self, model: ModelDeployment, question: Question, option: Option
    ) -> Plan | Rejection:
        """Return the best plan on one candidate that the cluster has or can grow to have.

        The layout is the one that is planned without a cluster, if there are nodes for it; else
        one for nodes of the sizes that there are. Where an autoscaler can make such nodes, it is
        asked for by the pods.
        """
        planned = consider(question, option)
        if isinstance(planned, Rejection):
            return planned
        found = _Candidate(self, model, question, option).on_nodes(planned)
        if isinstance(found, Rejection):
            return found
        image = engine_image(model, found)
        if isinstance(image, Fault):
            return Rejection(option.name, NO_ENGINE_IMAGE, str(image), found.memory)
        return found


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A candidate of a model beside the hardware that there is."""

    hardware: Hardware
    model: ModelDeployment
    question: Question
    option: Option

    def on_nodes(self, planned: Plan) -> Plan | Rejection:
        """Return the plan if its nodes can be had, one for other nodes, or what is missing."""
        grows = bool(self.option.accelerator.spec.provisionable)
        if not grows and not self.hardware.of(self.option.accelerator).nodes:
            return self._rejection(planned, None)
        placement = self._placement(planned)
        if isinstance(placement, Fault):
            return Rejection(planned.candidate, NO_SUCH_NODES, str(placement), planned.memory)
        if grows or self._holds(planned, placement):
            return planned
        return self._narrower() or self._rejection(planned, placement)

    def _holds(self, plan: Plan, placement: Placement) -> bool:
        return self.hardware.cluster.search(placement).pods >= plan.layout.nodes

    def _placement(self, plan: Plan) -> Placement | Fault:
        """Return what the workers of a plan ask of their nodes, the user's overlay included."""
        nodes = node_choice(plan)
        if isinstance(nodes, Fault):
            return nodes
        return read_placement(worker_template(self.model, plan, "", nodes))

    def _narrower(self) -> Plan | None:
        """Return a plan for the sizes of nodes that there are, where they are not all sizes."""
        question, option, whole = self.question, self.option, self.option.accelerator
        there = self.hardware.of(whole).shapes[option.purchase]
        if there is None or there.node_sizes == whole.node_sizes:
            return None
        plan = consider(question, replace(option, accelerator=there))
        if isinstance(plan, Rejection):
            return None
        offer = whole.cheapest(option.purchase, plan.layout.devices_per_node)
        plan = replace(plan, accelerator=whole, offer=offer)
        placement = self._placement(plan)
        fits = not isinstance(placement, Fault) and self._holds(plan, placement)
        return plan if fits else None

    def _rejection(self, plan: Plan, placement: Placement | None) -> Rejection:
        """Return what is missing; without a placement there is nothing of the class at all."""
        cluster, there = self.hardware.cluster, self.hardware.of(plan.accelerator)
        message = missing_nodes(
            Wanted(plan.accelerator.name, plan.layout, plan.purchase, placement),
            cluster.search(placement) if placement else Search(0, 0, ()),
            other_purchase=self._other_purchase(plan) if placement else 0,
            carrying=there.nodes,
            largest=there.largest,
        )
        return Rejection(plan.candidate, NO_SUCH_NODES, message, plan.memory)

    def _other_purchase(self, plan: Plan) -> int:
        """Return how many nodes would suit if the other purchase had been asked for."""
        other = "OnDemand" if plan.purchase == "Spot" else "Spot"
        placement = self._placement(replace(plan, purchase=other))
        return 0 if isinstance(placement, Fault) else self.hardware.cluster.search(placement).nodes


def _on_cluster(accelerator: Accelerator, cluster: Cluster) -> OnCluster:
    cluster.tell_apart_by(label_keys(accelerator))
    found = [cluster.search(it) for it in _one_device(accelerator)]
    usable = sum(it.nodes for it in found)
    missed = sum(count for it in found for _, count in it.missed)
    shapes = {
        purchase: _present(accelerator, purchase, cluster) if usable else None
        for purchase in ("OnDemand", "Spot")
    }
    return OnCluster(usable + missed, usable, shapes)


def _present(accelerator: Accelerator, purchase: str, cluster: Cluster) -> Accelerator | None:
    """Return a class with those of its shapes alone that a usable node has."""
    if accelerator.vendor == "cpu":
        return accelerator
    spot = purchase == "Spot"
    shapes = []
    for shape in shapes_for(accelerator, purchase):
        placement = Placement(
            selector=(),
            terms=_alternatives([*shape_terms(accelerator, shape, spot)]),
            tolerations=read_tolerations(shape_tolerations([shape], spot)),
            requests=_devices(device_resource(accelerator, shape), shape.devices),
        )
        if cluster.search(placement).nodes:
            shapes.append(shape)
    return replace(accelerator, shapes=tuple(shapes)) if shapes else None


def _one_device(accelerator: Accelerator) -> Iterator[Placement]:
    """Yield what a pod with one device of a class asks for, for each name of its devices."""
    for name in dict.fromkeys(device_resource(accelerator, it) for it in accelerator.shapes):
        shapes = [it for it in accelerator.shapes if device_resource(accelerator, it) == name]
        yield Placement(
            selector=(),
            terms=_alternatives([term for shape in shapes for term in plain_terms(shape)]),
            tolerations=read_tolerations(shape_tolerations(shapes, spot=True)),
            requests=_devices(name, 1),
        )


def _alternatives(terms: list[Term]) -> tuple[tuple[Requirement, ...], ...] | None:
    """Return the terms of a placement; None where one of them stands for any node."""
    if not all(terms):
        return None
    return read_terms({"matchExpressions": term} for term in terms)


def _devices(name: str | None, number: int) -> tuple[tuple[str, int], ...]:
    return in_order({"pods": 1, name or "cpu": number})
