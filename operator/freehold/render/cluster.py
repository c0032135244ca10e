"""The nodes of a cluster, asked again and again which of them suit a pod."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from freehold.plan.node import Node
from freehold.render.placement import Obstacle, Placement, barred, too_small


@dataclass(frozen=True, slots=True)
class Search:
    """What a cluster has for pods of one kind.

    Attributes:
        nodes: Nodes that suit them.
        pods: Pods that these nodes hold while they are empty.
        missed: Nodes with the right labels that do not suit all the same, counted by what keeps
            the pods off them, the most frequent first.
    """

    nodes: int
    pods: int
    missed: tuple[tuple[Obstacle, int], ...]


class Cluster:
    """A cluster's nodes at one moment.

    Nodes that no pod could tell apart are judged once, and the same question is answered once: a
    thousand models on hundreds of nodes ask few different ones.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        """Keep the nodes; they must not change any more."""
        self.nodes = tuple(sorted(nodes, key=lambda node: node.name))
        self._kinds: dict[frozenset[str], list[list[Node]]] = {}
        self._answers: dict[Placement, Search] = {}

    def search(self, placement: Placement) -> Search:
        """Return what there is for pods with this placement."""
        found = self._answers.get(placement)
        if found is None:
            found = self._answers[placement] = self._search(placement)
        return found

    def _search(self, placement: Placement) -> Search:
        nodes = pods = 0
        missed: Counter[Obstacle] = Counter()
        for alike in self._apart(placement):
            bar = barred(placement, alike[0])
            if bar is not None and bar.kind == "OtherLabels":
                continue
            for node in alike:
                why = bar or too_small(placement, node)
                if why is None:
                    nodes += 1
                    pods += placement.fitting(node)
                elif _is_meant(placement, node):
                    missed[why] += 1
        order = sorted(missed.items(), key=lambda it: (-it[1], it[0].kind, it[0].detail))
        return Search(nodes, pods, tuple(order))

    def tell_apart_by(self, keys: frozenset[str]) -> list[list[Node]]:
        """Return the nodes in groups that differ in one of these labels, or are alike in more.

        Groups made once serve every placement that looks at some of their labels.
        """
        for known, groups in self._kinds.items():
            if keys <= known:
                return groups
        self._kinds[keys] = _kinds(self.nodes, keys)
        return self._kinds[keys]

    def _apart(self, placement: Placement) -> list[list[Node]]:
        """Return the nodes in groups that the placement can tell apart by more than their size."""
        if placement.names_nodes:
            return [[node] for node in self.nodes]
        return self.tell_apart_by(placement.label_keys)


def _kinds(nodes: Iterable[Node], keys: frozenset[str]) -> list[list[Node]]:
    alike: dict[object, list[Node]] = {}
    for node in nodes:
        labels = frozenset((key, node.labels[key]) for key in keys & node.labels.keys())
        alike.setdefault((labels, node.taints, node.ready, node.cordoned), []).append(node)
    return list(alike.values())


def _is_meant(placement: Placement, node: Node) -> bool:
    """Say whether a node is one that was looked for: by its labels, or else by its devices."""
    if placement.selector or placement.terms is not None:
        return True
    return all(name in node.allocatable for name, _ in placement.requests if "/" in name)
