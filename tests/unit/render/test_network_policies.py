"""Who reaches which port of a model's pods, by evaluation of the policies that are rendered."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from tests.kuberay_stand_in.pods import head_pod, worker_pod
from tests.network import matrix
from tests.network.evaluation import Network, Pod, pod_of, reached
from tests.unit.render.rendered import Planned, planned, service_of

from freehold.api.modeldeployment import ModelDeployment
from freehold.render.change import owned_differs
from freehold.render.network_policies import Peers, network_policies

Object = dict[str, Any]
ROLES: tuple[matrix.Role, ...] = ("head", "worker")
_OVERLAY = {"metadata": {"labels": {"freehold.dev/model": "gemma", "team": "a"}}}
# What a user writes on the pods takes no pod out of the policies, and puts none into another's.
PODS: dict[str, Planned] = {
    "plain": planned(),
    "labelled": planned(templates={"head": _OVERLAY, "worker": _OVERLAY}),
    "bare": planned(templates={"head": {"metadata": None}, "worker": {"metadata": None}}),
}


def pods_of(item: Planned) -> dict[matrix.Role, Pod]:
    """Return a head and a worker as KubeRay makes them."""
    metadata = {"name": "llama-abcde", "namespace": matrix.MODELS}
    cluster = {"metadata": metadata, "spec": service_of(item)["spec"]["rayClusterConfig"]}
    (group,) = cluster["spec"]["workerGroupSpecs"]
    found = {"head": head_pod(cluster, ""), "worker": worker_pod(cluster, group, {})}
    place = {"namespace": matrix.MODELS}
    return {role: pod_of(it | {"metadata": it["metadata"] | place}) for role, it in found.items()}


def asking(allowed: Object | None) -> ModelDeployment:
    endpoint = {} if allowed is None else {"endpoint": {"allowedNamespaces": allowed}}
    return planned(**endpoint)[0]


def policies(allowed: Object | None = None, peers: Peers | None = None) -> list[Object]:
    return network_policies(asking(allowed), matrix.MODELS, peers)


def network(found: list[Object]) -> Network:
    return Network(found, matrix.NAMESPACES)


@pytest.mark.parametrize("pods", PODS)
@pytest.mark.parametrize("source", matrix.SOURCES)
@pytest.mark.parametrize("allowed", matrix.ALLOWED)
def test_everyone_reaches_what_the_matrix_says_and_nothing_else(
    allowed: str, source: str, pods: str
) -> None:
    found, targets = network(policies(matrix.ALLOWED[allowed])), pods_of(PODS[pods])
    client = Pod(*matrix.SOURCES[source])
    for role in ROLES:
        ports = matrix.PORTS[role].values()
        assert reached(found, client, targets[role], ports) == matrix.expected(
            allowed, source, role
        ), role


def test_other_protocols_are_the_model_s_own() -> None:
    found, (head, _) = network(policies({"from": "All"})), pods_of(PODS["plain"]).values()
    for name, source in matrix.SOURCES.items():
        for protocol in ("UDP", "SCTP"):
            own = name == "the same model"
            assert found.lets_in(Pod(*source), head, 8000, protocol) is own, name


def test_pods_of_another_model_are_left_to_its_own_policies() -> None:
    found = network(policies())
    assert found.lets_in(Pod(matrix.FOREIGN, {}), Pod(*matrix.SOURCES["a pod of the namespace"]), 1)


def test_the_installation_s_peers_are_taken_as_they_are_written() -> None:
    own = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": matrix.SYSTEM}}}
    block = {"ipBlock": {"cidr": "10.0.0.0/8"}}
    found = network(policies(peers=Peers(kuberay=(), freehold=(own,), prometheus=(block, own))))
    targets = pods_of(PODS["plain"])
    reach = {
        name: [reached(found, Pod(*source), targets[it], matrix.PORTS[it].values()) for it in ROLES]
        for name, source in matrix.SOURCES.items()
        if source.namespace != matrix.MODELS
    }
    beside = reach.pop("a pod beside Freehold's operator")
    assert beside == [{8265, 8000, 8080, 9101}, {8080, 9101}]
    assert reach.pop("Freehold's operator") == beside
    assert set(map(str, reach.values())) == {str([set(), set()])}
    outside = Pod(matrix.FOREIGN, {}, address="10.1.2.3")
    assert reached(found, outside, targets["worker"], (8000, 8080)) == {8080}


@pytest.mark.parametrize("allowed", matrix.ALLOWED)
@pytest.mark.parametrize("to_workers", [False, True])
def test_the_installation_s_clients_reach_the_endpoint_and_nothing_else(
    allowed: str, to_workers: bool
) -> None:
    peers = Peers(clients=({"ipBlock": {"cidr": "10.0.0.0/8"}},))
    model = asking(matrix.ALLOWED[allowed])
    found = network(network_policies(model, matrix.MODELS, peers, to_workers=to_workers))
    targets, client = pods_of(PODS["plain"]), Pod(matrix.FOREIGN, {}, address="10.1.2.3")
    reach = {it: reached(found, client, targets[it], matrix.PORTS[it].values()) for it in ROLES}
    assert reach == {"head": {8000}, "worker": {8000} if to_workers else set()}


def test_nobody_is_let_in_by_a_list_of_nobody() -> None:
    """A rule whose peers are an empty list would let in everyone."""
    found = policies(peers=Peers(kuberay=(), freehold=(), prometheus=()))
    assert all(rule["from"] for it in found for rule in it["spec"]["ingress"])
    head = pods_of(PODS["plain"])["head"]
    prometheus = Pod(*matrix.SOURCES["Prometheus"])
    assert reached(network(found), prometheus, head, matrix.PORTS["head"].values()) == set()


def test_the_usual_peers_are_the_chart_s_defaults() -> None:
    from tests.unit.charts.test_values import ROOT

    values = yaml.safe_load((ROOT / "charts" / "freehold" / "values.yaml").read_text())
    own = values["networkPolicy"]
    usual = Peers()
    assert (own["kuberay"], own["prometheus"]) == ([*usual.kuberay], [*usual.prometheus])
    assert own["clients"] == [*usual.clients]


def _add(path: str, value: Any) -> Any:
    def change(spec: Object) -> None:
        *parents, last = path.split(".")
        inner: Any = spec
        for name in parents:
            inner = inner[int(name) if name.isdigit() else name]
        if isinstance(inner, list):
            inner.append(value)
        else:
            inner[last] = value

    return change


# What somebody may do to the policy of the heads so that more is let in.
OPENED = {
    "a rule": _add("ingress.-", {}),
    "a port": _add("ingress.1.ports.-", {"port": 6379, "protocol": "TCP"}),
    "a range of ports": _add("ingress.1.ports.0.endPort", 10001),
    "a peer": _add("ingress.1.from.-", {"namespaceSelector": {}}),
    "every namespace": _add("ingress.1.from.0.namespaceSelector", {}),
    "fewer pods": _add("podSelector.matchLabels.app", "x"),
    "fewer pods by expression": _add(
        "podSelector.matchExpressions", [{"key": "app", "operator": "Exists"}]
    ),
    "another type": _add("policyTypes", ["Egress"]),
    "no rule's ports": lambda spec: spec["ingress"][1].pop("ports"),
    "no peers": lambda spec: spec["ingress"][1].pop("from"),
}


@pytest.mark.parametrize("change", OPENED.values(), ids=OPENED)
def test_what_opens_a_policy_is_seen_as_a_change_of_ours(change: Any) -> None:
    _, desired = policies()
    assert owned_differs(desired, desired) == []
    live = copy.deepcopy(desired)
    change(live["spec"])
    assert live != desired
    assert owned_differs(desired, live) != []


def test_labels_and_annotations_that_others_add_are_left_to_them() -> None:
    _, desired = policies()
    live = copy.deepcopy(desired)
    live["metadata"] |= {"annotations": {"a": "b"}, "uid": "1"}
    live["metadata"]["labels"]["team"] = "a"
    assert owned_differs(desired, live) == []
