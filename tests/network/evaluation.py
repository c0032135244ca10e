"""What NetworkPolicies let in, by the documented semantics of ``networking.k8s.io/v1``.

Pure, and of ingress alone: who may connect to a pod, as an engine that enforces the policies would
answer. Sentences in quotes are of https://kubernetes.io/docs/concepts/services-networking/network-policies/
and of the API's reference.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]
Labels = Mapping[str, str]
NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Pod:
    """An end of a connection.

    Attributes:
        namespace: Its namespace.
        labels: Its labels.
        ports: Numbers of its container ports by (name, protocol).
        address: Its IP address, which an ``ipBlock`` names; "" where none matters.
        node: Its node; "" where none matters.
    """

    namespace: str
    labels: Labels
    ports: Mapping[tuple[str, str], int] = field(default_factory=dict)
    address: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class Outside:
    """What connects and is no pod: a node, or what is outside of the cluster.

    Attributes:
        address: Its IP address.
        node: The node that it is; "" for none.
    """

    address: str
    node: str = ""


def pod_of(found: Object) -> Pod:
    """Return a Pod object as an end of a connection."""
    metadata, spec = found["metadata"], found["spec"]
    ports = {
        (port["name"], port.get("protocol", "TCP")): port["containerPort"]
        for container in spec["containers"]
        for port in container.get("ports") or ()
        if "name" in port
    }
    address = (found.get("status") or {}).get("podIP", "")
    node = spec.get("nodeName", "")
    return Pod(metadata["namespace"], metadata.get("labels") or {}, ports, address, node)


@dataclass(frozen=True, slots=True)
class Network:
    """A cluster's policies and the labels of its namespaces.

    Attributes:
        policies: NetworkPolicies.
        namespaces: Labels by the namespace's name; the one that the API server adds is implied.
    """

    policies: Sequence[Object]
    namespaces: Mapping[str, Labels]

    def lets_in(self, source: Pod | Outside, target: Pod, port: int, protocol: str = "TCP") -> bool:
        """Return whether a connection comes about."""
        # "a pod cannot block access to itself", and "traffic to and from the node where a Pod is
        # running is always allowed"
        if source is target or (isinstance(source, Outside) and source.node == target.node != ""):
            return True
        selecting = [it for it in self.policies if _selects(it, target)]
        if not selecting:
            return True
        # "policies do not conflict; they are additive"
        return any(
            self._is_from(rule, policy, source) and _is_to(rule, target, port, protocol)
            for policy in selecting
            for rule in policy["spec"].get("ingress") or ()
        )

    def _is_from(self, rule: Object, policy: Object, source: Pod | Outside) -> bool:
        """Tell by a rule's peers: "if this field is empty or missing, [it] matches all sources"."""
        peers = rule.get("from") or ()
        home = policy["metadata"]["namespace"]
        return not peers or any(self._is_peer(peer, home, source) for peer in peers)

    def _is_peer(self, peer: Object, home: str, source: Pod | Outside) -> bool:
        if "ipBlock" in peer:
            return _is_within(peer["ipBlock"], source.address)
        if isinstance(source, Outside):
            return False
        if "namespaceSelector" in peer:
            labels = {NAME_LABEL: source.namespace, **self.namespaces.get(source.namespace, {})}
            near = matches(peer["namespaceSelector"], labels)
        else:
            near = source.namespace == home
        return near and matches(peer.get("podSelector") or {}, source.labels)


def _selects(policy: Object, target: Pod) -> bool:
    spec = policy["spec"]
    # "if no policyTypes are specified [...] Ingress will always be set"
    of_ingress = "Ingress" in (spec.get("policyTypes") or ("Ingress",))
    here = policy["metadata"]["namespace"] == target.namespace
    return of_ingress and here and matches(spec.get("podSelector") or {}, target.labels)


def _is_within(block: Object, address: str) -> bool:
    if not address:
        return False
    found = ipaddress.ip_address(address)
    blocks = [ipaddress.ip_network(it) for it in (block["cidr"], *block.get("except", ()))]
    return found in blocks[0] and not any(found in it for it in blocks[1:])


def _is_to(rule: Object, target: Pod, port: int, protocol: str) -> bool:
    """Tell by a rule's ports: "if this field is empty or missing, this rule matches all ports"."""
    ports = rule.get("ports") or ()
    return not ports or any(_is_port(it, target, port, protocol) for it in ports)


def _is_port(wanted: Object, target: Pod, port: int, protocol: str) -> bool:
    if wanted.get("protocol", "TCP") != protocol:
        return False
    first = wanted.get("port")
    if first is None:
        return True
    if isinstance(first, str):
        return target.ports.get((first, protocol)) == port
    last: int = wanted.get("endPort", first)
    return bool(first <= port <= last)


def matches(selector: Object, labels: Labels) -> bool:
    """Return whether a label selector matches; an empty one matches everything."""
    same = all(
        labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()
    )
    return same and all(_holds(it, labels) for it in selector.get("matchExpressions") or ())


def _holds(requirement: Object, labels: Labels) -> bool:
    value = labels.get(requirement["key"])
    match requirement["operator"]:
        case "In":
            return value in requirement["values"]
        case "NotIn":
            return value not in requirement["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise AssertionError(f"no operator of a label selector: {requirement['operator']}")


def reached(network: Network, source: Pod | Outside, target: Pod, ports: Iterable[int]) -> set[int]:
    """Return the ports of a pod that a source reaches."""
    return {port for port in ports if network.lets_in(source, target, port)}
