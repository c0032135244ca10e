"""Whether a node suits a pod: what the scheduler asks of an empty node, and nothing else.

Judged are node selector and required node affinity, taints, cordons and resources, as the
scheduler's filters NodeAffinity, TaintToleration, NodeUnschedulable and NodeResourcesFit do. Not
judged is what other pods and volumes decide: what is free now, pod affinity, a volume's zone. One
thing is stricter: a node that is not Ready suits nobody, whatever the pod tolerates.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from freehold.plan.node import Node, Taint
from freehold.plan.quantity import counted_by_scheduler

# Effects that keep a pod off a node; PreferNoSchedule only lowers the node's score.
_HARD_EFFECTS = frozenset({"NoSchedule", "NoExecute"})
_CORDON = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_INT64 = range(-(2**63), 2**63)
# What a pod may ask for as a whole instead of by container.
_POD_LEVEL = re.compile(r"cpu|memory|hugepages-.+")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement on a node's labels or, for a field, on its name.

    Attributes:
        key: Label key.
        operator: In, NotIn, Exists, DoesNotExist, Gt or Lt.
        values: The values that the operator compares with.
        field: Whether ``key`` is a field of the object; the scheduler knows metadata.name alone.
    """

    key: str
    operator: str
    values: frozenset[str]
    field: bool = False

    def holds(self, node: Node) -> bool:
        """Say whether a node meets it."""
        found = node.name if self.field else node.labels.get(self.key)
        match self.operator:
            case "In":
                return found in self.values
            case "NotIn":
                return found not in self.values
            case "Exists":
                return found is not None
            case "DoesNotExist":
                return found is None
        return _compares(found, self.operator, next(iter(self.values), ""))


def _compares(found: str | None, operator: str, bound: str) -> bool:
    """Compare as numbers; what is none is neither greater nor less."""
    left, right = _integer(found or ""), _integer(bound)
    if left is None or right is None:
        return False
    return left > right if operator == "Gt" else left < right


def _integer(text: str) -> int | None:
    number = int(text) if _INTEGER.fullmatch(text) else None
    return number if number is not None and number in _INT64 else None


@dataclass(frozen=True, slots=True)
class Toleration:
    """A toleration of a pod; empty strings match everything.

    Attributes:
        key: Taint key.
        exists: Whether any value is tolerated.
        value: Taint value.
        effect: Taint effect.
    """

    key: str
    exists: bool
    value: str
    effect: str

    def tolerates(self, taint: Taint) -> bool:
        """Say whether it tolerates a taint."""
        return (
            self.effect in ("", taint.effect)
            and self.key in ("", taint.key)
            and (self.exists or self.value == taint.value)
        )


@dataclass(frozen=True, slots=True)
class Placement:
    """What a pod asks of its node.

    Attributes:
        selector: Labels that must be there with these values.
        terms: Alternatives, of which one must hold; None for any node, empty for none.
        tolerations: Taints that do not keep it away.
        requests: Resources by name, devices first, in the scheduler's numbers; one pod among them.
    """

    selector: tuple[tuple[str, str], ...]
    terms: tuple[tuple[Requirement, ...], ...] | None
    tolerations: tuple[Toleration, ...]
    requests: tuple[tuple[str, int], ...]

    @property
    def label_keys(self) -> frozenset[str]:
        """Return the keys of every label that it looks at."""
        terms = (it.key for term in self.terms or () for it in term if not it.field)
        return frozenset((*(key for key, _ in self.selector), *terms))

    @property
    def names_nodes(self) -> bool:
        """Say whether it tells nodes apart by their names."""
        return any(it.field for term in self.terms or () for it in term)

    def admits(self, node: Node) -> bool:
        """Say whether a node's labels are such as it asks for."""
        if any(node.labels.get(key) != value for key, value in self.selector):
            return False
        return self.terms is None or any(all(it.holds(node) for it in term) for term in self.terms)

    def tolerates(self, taint: Taint) -> bool:
        """Say whether a taint does not keep it away."""
        return any(it.tolerates(taint) for it in self.tolerations)

    def fitting(self, node: Node) -> int:
        """Return how many such pods the node holds when it is empty."""
        return min(node.allocatable.get(name, 0) // amount for name, amount in self.requests)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a pod off a node.

    Attributes:
        kind: OtherLabels, NotReady, Cordoned, Tainted or TooSmall.
        detail: The taint, or the resource with what is asked for and what is there; "" for none.
    """

    kind: Literal["OtherLabels", "NotReady", "Cordoned", "Tainted", "TooSmall"]
    detail: str = ""


def obstacle(placement: Placement, node: Node) -> Obstacle | None:
    """Return the first thing that keeps a pod off a node; None for a node that suits it."""
    return barred(placement, node) or too_small(placement, node)


def barred(placement: Placement, node: Node) -> Obstacle | None:
    """Return what keeps a pod off a node whatever its size."""
    if not placement.admits(node):
        return Obstacle("OtherLabels")
    if not node.ready:
        return Obstacle("NotReady")
    if node.cordoned and not placement.tolerates(_CORDON):
        return Obstacle("Cordoned")
    for taint in node.taints:
        if taint.effect in _HARD_EFFECTS and not placement.tolerates(taint):
            return Obstacle("Tainted", str(taint))
    return None


def too_small(placement: Placement, node: Node) -> Obstacle | None:
    """Return the resource of which a node has too little for a pod."""
    for name, amount in placement.requests:
        if amount > node.allocatable.get(name, 0):
            return Obstacle("TooSmall", name)
    return None


def suits(node: Node, template: Mapping[str, Any]) -> bool:
    """Say whether a pod of a template could run on a node that is empty."""
    return obstacle(read_placement(template), node) is None


def read_placement(template: Mapping[str, Any]) -> Placement:
    """Return what the pods of a template ask of their node.

    Raises:
        ValueError: A request is no quantity.
    """
    spec = template.get("spec") or {}
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return Placement(
        selector=tuple(sorted((spec.get("nodeSelector") or {}).items())),
        terms=None if required is None else read_terms(required.get("nodeSelectorTerms") or ()),
        tolerations=read_tolerations(spec.get("tolerations") or ()),
        requests=in_order(_requests(spec)),
    )


def in_order(requests: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Return requests in the order in which a shortage is told: devices first."""
    return tuple(sorted(requests.items(), key=lambda it: ("/" not in it[0], it[0])))


def read_terms(terms: Iterable[Mapping[str, Any]]) -> tuple[tuple[Requirement, ...], ...]:
    """Return node selector terms without the empty ones, which no node meets."""
    read = (
        (
            *(_requirement(it, field=False) for it in term.get("matchExpressions") or ()),
            *(_requirement(it, field=True) for it in term.get("matchFields") or ()),
        )
        for term in terms
    )
    return tuple(term for term in read if term)


def read_tolerations(tolerations: Iterable[Mapping[str, Any]]) -> tuple[Toleration, ...]:
    """Return tolerations from their objects."""
    return tuple(
        Toleration(
            key=it.get("key") or "",
            exists=it.get("operator") == "Exists",
            value=it.get("value") or "",
            effect=it.get("effect") or "",
        )
        for it in tolerations
    )


def _requirement(data: Mapping[str, Any], *, field: bool) -> Requirement:
    return Requirement(data["key"], data["operator"], frozenset(data.get("values") or ()), field)


def _requests(spec: Mapping[str, Any]) -> dict[str, int]:
    """Return a pod's requests (``PodRequests`` in ``k8s.io/component-helpers/resource``).

    Init containers run one after the other before the others; those that restart stay beside them.
    """
    total: Counter[str] = Counter()
    for container in spec.get("containers") or ():
        total += _asked(container)
    staying: Counter[str] = Counter()
    starting: Counter[str] = Counter()
    for container in spec.get("initContainers") or ():
        asked = _asked(container)
        if container.get("restartPolicy") == "Always":
            total += asked
            staying += asked
            asked = Counter()
        starting |= asked + staying
    whole = _amounts((spec.get("resources") or {}).get("requests") or {})
    found = {**(total | starting), **{k: v for k, v in whole.items() if _POD_LEVEL.fullmatch(k)}}
    return {**(Counter(found) + _amounts(spec.get("overhead") or {})), "pods": 1}


def _asked(container: Mapping[str, Any]) -> Counter[str]:
    """Return a container's requests; where it has only a limit, that is its request."""
    resources = container.get("resources") or {}
    return _amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _amounts(quantities: Mapping[str, Any]) -> Counter[str]:
    return Counter({name: counted_by_scheduler(name, it) for name, it in quantities.items()})
