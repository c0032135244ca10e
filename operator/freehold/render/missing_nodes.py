"""What a cluster lacks for a plan, in words: what was looked for, what there is, who keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from freehold.api.faults import counted
from freehold.plan.explain import gib
from freehold.plan.layout import Layout
from freehold.render.cluster import Search
from freehold.render.placement import Obstacle, Placement


@dataclass(frozen=True, slots=True)
class Wanted:
    """The nodes that a replica takes.

    Attributes:
        accelerator: Name of the class.
        layout: Devices and nodes.
        purchase: OnDemand or Spot.
        placement: What each pod asks of its node; None where nothing of the class is there.
    """

    accelerator: str
    layout: Layout
    purchase: str
    placement: Placement | None

    def __str__(self) -> str:
        """Return the nodes in words."""
        layout, what = self.layout, f"{self.purchase} node"
        devices = f"{layout.devices_per_node} x {self.accelerator}"
        if layout.nodes == 1:
            return f"{counted(1, what)} with {devices}"
        return f"{counted(layout.nodes, what)} with {devices} each"


def missing_nodes(
    wanted: Wanted, found: Search, *, other_purchase: int, carrying: int, largest: int
) -> str:
    """Return why the nodes of a cluster are not those that a replica takes.

    Args:
        wanted: What is looked for.
        found: What there is.
        other_purchase: Nodes that would suit, were they purchased as was asked.
        carrying: Nodes that carry the class at all.
        largest: The most devices that one of these has.
    """
    there = f"has {found.nodes}" if found.nodes else "has none"
    if found.pods > found.nodes:
        there = f"has room for {found.pods} such pods"
    why = [_kept_off(it, count, _asked(wanted)) for it, count in found.missed]
    if other_purchase:
        other = "OnDemand" if wanted.purchase == "Spot" else "Spot"
        why.append(f"{counted(other_purchase, f'{other} node')} would do: set purchase: {other}")
    if not why and not found.nodes:
        why.append(_none_at_all(wanted, carrying, largest))
    return "; ".join([f"a replica takes {wanted} and the cluster {there}", *why])


def _none_at_all(wanted: Wanted, carrying: int, largest: int) -> str:
    name, devices = wanted.accelerator, wanted.layout.devices_per_node
    if not carrying:
        return f"no node carries {name}"
    nodes = counted(carrying, "node")
    verb = "carries" if carrying == 1 else "carry"
    if largest < devices:
        return f"{nodes} {verb} {name}, but at most {largest} of the {devices} devices"
    return f"{nodes} {verb} {name}, but not the labels that spec.templates.worker asks for"


def _kept_off(why: Obstacle, count: int, asked: dict[str, int]) -> str:
    is_, has, offers = ("is", "has", "offers") if count == 1 else ("are", "have", "offer")
    match why.kind:
        case "NotReady":
            return f"{count} more {is_} not Ready"
        case "Cordoned":
            return f"{count} more {is_} cordoned"
        case "Tainted":
            return f"{count} more {has} the taint {why.detail}, which the pods do not tolerate"
    amount = _amount(why.detail, asked[why.detail])
    return f"{count} more {offers} less {why.detail} than the {amount} that a pod asks for"


def _asked(wanted: Wanted) -> dict[str, int]:
    return dict(wanted.placement.requests) if wanted.placement else {}


def _amount(resource: str, number: int) -> str:
    """Return an amount as the scheduler counts it in the unit that people read."""
    if resource == "cpu":
        return f"{number / 1000:g}"
    if resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        return gib(number)
    return str(number)
