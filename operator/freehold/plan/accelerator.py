"""Accelerator classes resolved: ``extends`` followed, quantities turned into bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from freehold.api.acceleratorclass import AcceleratorClass, AcceleratorClassSpec, NodeShape
from freehold.api.faults import Cause, Fault, unknown_name
from freehold.api.scalars import quantity_bytes

# What device plugins for RDMA networks have in their resource names: vpc.amazonaws.com/efa,
# rdma/hca_shared_devices, networking.gke.io.networks/rdma-0.
_RDMA = ("/efa", "rdma")


@dataclass(frozen=True, slots=True)
class Offer:
    """The price of one device for one hour.

    Attributes:
        amount: Price in ``currency``.
        currency: ISO 4217 code.
        provider: Who asks it.
        region: Where; "" if it is not bound to a region.
    """

    amount: Decimal
    currency: str
    provider: str
    region: str


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A class of accelerator, complete.

    Attributes:
        name: Name of the class.
        vendor: Its maker; ``cpu`` for workers without an accelerator.
        memory: Bytes that one device offers.
        cores: Cores of one worker; 0 unless the vendor is ``cpu``.
        features: Number formats it computes in, or stores with ``-weights``.
        fast_link: Whether tensor parallelism inside a node pays.
        link: Name of that link.
        shapes: Machines that carry it.
        spec: The merged spec, for what only rendering needs.
    """

    name: str
    vendor: str
    memory: int
    cores: int
    features: frozenset[str]
    fast_link: bool
    link: str
    shapes: tuple[NodeShape, ...]
    spec: AcceleratorClassSpec

    def __hash__(self) -> int:
        """Return what tells most classes apart; their shapes hold mappings, which have no hash."""
        return hash((self.name, self.memory))

    @property
    def node_sizes(self) -> tuple[int, ...]:
        """Return the device counts that a node may have, ascending."""
        return tuple(sorted({shape.devices for shape in self.shapes}))

    @property
    def joins_nodes(self) -> bool:
        """Say whether a fast network joins its nodes, so that tensor parallelism may cross them.

        Machines with a fast link inside come with an RDMA network outside (InfiniBand, EFA, ICI);
        others where a shape asks for a device of such a network. Cores share memory in a node only.
        """
        if self.vendor == "cpu":
            return False
        names = (name for shape in self.shapes for name in shape.extra_resources or ())
        return self.fast_link or any(word in name for name in names for word in _RDMA)

    def cheapest(self, purchase: str, devices_per_node: int) -> Offer | None:
        """Return the lowest list price among nodes that hold ``devices_per_node`` devices."""
        offers = [
            Offer(Decimal(price.amount), price.currency, shape.provider, price.region or "")
            for shape in self.shapes
            if shape.devices >= devices_per_node
            for price in shape.prices or ()
            if price.purchase == purchase
        ]
        return min(offers, key=lambda o: (o.currency != "USD", o.amount, o.provider), default=None)


def resolve_class(
    name: str, classes: Mapping[str, AcceleratorClass], path: str
) -> Accelerator | Fault:
    """Return the class ``name`` complete, or the fault at ``path`` that keeps it from being so."""
    chain: list[AcceleratorClass] = []
    wanted: str | None = name
    while wanted is not None:
        if wanted not in classes:
            where = path if not chain else f"AcceleratorClass {chain[-1].name}: spec.extends"
            fault = unknown_name(where, wanted, classes, "accelerator class")
            return replace(fault, cause=Cause.ACCELERATOR)
        if any(item.name == wanted for item in chain):
            circle = " -> ".join([*(item.name for item in chain), wanted])
            return Fault(path, f"classes that extend each other: {circle}", "a chain that ends")
        chain.append(classes[wanted])
        wanted = classes[wanted].spec.extends
    return _complete(name, _merged(chain), path)


def _merged(chain: list[AcceleratorClass]) -> AcceleratorClassSpec:
    """Return the spec where each class takes from the next what it does not say itself."""
    spec = chain[-1].spec
    for item in reversed(chain[:-1]):
        own = {key: getattr(item.spec, key) for key in item.spec.model_fields_set}
        spec = spec.model_copy(update=own)
    return spec


def _complete(name: str, spec: AcceleratorClassSpec, path: str) -> Accelerator | Fault:
    if not (spec.vendor and spec.memory and spec.node_shapes):
        needed = "vendor, memory and nodeShapes, its own or inherited"
        return Fault(path, f"the class {name!r}, which is incomplete", needed)
    link = spec.interconnect
    return Accelerator(
        name=name,
        vendor=spec.vendor,
        memory=quantity_bytes(spec.memory),
        cores=(spec.cores or 1) if spec.vendor == "cpu" else 0,
        features=frozenset(spec.features or ()),
        fast_link=bool(link and link.fast),
        link=link.type if link else "no link",
        shapes=spec.node_shapes,
        spec=spec,
    )
