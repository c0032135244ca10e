"""Who may connect to a model's pods, as NetworkPolicies.

A pod lets in what the policies that select it name together, and once there is one, nothing else.
So all that Ray opens besides (GCS, client port, agents, replicas' own ports) is closed to everyone
but the model itself without being named. Egress stays open: hubs, buckets and name servers are
elsewhere in every cluster. The kubelet's probes need no rule, since a pod's own node is always
let in.

No part of a revision: who may connect is no matter of what runs, and follows the spec and the
installation's settings at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from freehold.api.modeldeployment import ModelDeployment
from freehold.api.names import MODEL_LABEL, child_labels
from freehold.render.endpoint_service import ENDPOINT_PORT, HEAD_LABEL

Peer = Mapping[str, Any]

# Ray's own on every node, and HAProxy's where one runs (``--metrics-export-port`` and
# ``RAY_SERVE_HAPROXY_METRICS_PORT``).
METRICS_PORTS = (8080, 9101)
DASHBOARD_PORT = 8265


def labelled(name: str, value: str) -> Peer:
    """Return the pods with a label, in every namespace."""
    return {"namespaceSelector": {}, "podSelector": {"matchLabels": {name: value}}}


@dataclass(frozen=True, slots=True)
class Peers:
    """Who connects to every model of an installation, as NetworkPolicies name peers.

    Attributes:
        kuberay: KubeRay's operator. Its chart and its Kustomize manifests name it differently and
            share the label of its component.
        freehold: Freehold's operator.
        prometheus: What reads metrics, by the label of both the Prometheus operator's pods and
            the Prometheus chart's.
        clients: Who reaches every endpoint besides those whom a model's own spec lets in.
    """

    kuberay: tuple[Peer, ...] = (labelled("app.kubernetes.io/component", "kuberay-operator"),)
    freehold: tuple[Peer, ...] = (labelled("app.kubernetes.io/name", "freehold"),)
    prometheus: tuple[Peer, ...] = (labelled("app.kubernetes.io/name", "prometheus"),)
    clients: tuple[Peer, ...] = ()


def network_policies(
    model: ModelDeployment,
    namespace: str,
    peers: Peers | None = None,
    *,
    to_workers: bool = False,
) -> list[dict[str, Any]]:
    """Return the policies of a model: one for all of its pods, one for its heads besides.

    Args:
        model: The model.
        namespace: Its namespace.
        peers: Who connects to every model; None for what is usual.
        to_workers: Whether clients are led to workers, too.
    """
    peers = peers or Peers()
    pods = {MODEL_LABEL: model.name}
    same_model: Peer = {"podSelector": {"matchLabels": pods}}
    clients = _rule([_clients(model), *peers.clients], (ENDPOINT_PORT,))
    of_pods = [*_rule([same_model]), *_rule(peers.prometheus, METRICS_PORTS)]
    of_pods += clients if to_workers else []
    of_head = [
        # KubeRay submits to the dashboard and asks the proxy for its health; so does Freehold
        *_rule([*peers.kuberay, *peers.freehold], (DASHBOARD_PORT, ENDPOINT_PORT)),
        *clients,
    ]
    return [
        _policy(model.name, namespace, "pods", pods, of_pods),
        _policy(model.name, namespace, "head", {**pods, **HEAD_LABEL}, of_head),
    ]


def _clients(model: ModelDeployment) -> Peer:
    """Return the pods that ``spec.endpoint.allowedNamespaces`` lets in."""
    endpoint = model.spec.endpoint
    allowed = endpoint.allowed_namespaces if endpoint else None
    if allowed is None or allowed.from_ == "Same":
        return {"podSelector": {}}
    return {"namespaceSelector": allowed.selector.to_dict() if allowed.selector else {}}


def _rule(peers: Iterable[Peer], ports: Iterable[int] = ()) -> list[dict[str, Any]]:
    """Return a rule in a list; none for nobody, since a rule without peers lets everyone in."""
    rule: dict[str, Any] = {"from": list(peers)}
    if not rule["from"]:
        return []
    numbers = [{"port": port, "protocol": "TCP"} for port in ports]
    return [rule | {"ports": numbers} if numbers else rule]


def _policy(
    name: str, namespace: str, part: str, pods: Mapping[str, str], rules: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": f"{name}-{part}",
            "namespace": namespace,
            "labels": child_labels(name),
        },
        "spec": {
            "podSelector": {"matchLabels": dict(pods)},
            "policyTypes": ["Ingress"],
            "ingress": rules,
        },
    }
