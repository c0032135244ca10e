"""A model's NetworkPolicies beside a running operator: before its pods, as the spec has them, ours.

No engine enforces policies here; what they let in is told by evaluating what the API server holds.
On a real node it is tried by connecting (``tests/cluster/test_who_connects.py``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.nodes import SimulatedNode
from tests.control_plane.processes import Processes
from tests.installation.kuberay import KubeRay
from tests.integration.hardware import devices
from tests.integration.one_model import Model, Object
from tests.integration.operator import Operator, example, start_operator, until
from tests.integration.recording import recording
from tests.network import matrix
from tests.network.evaluation import Network, Pod, pod_of, reached

NAME = "llama-guard-3-8b"
HEAD, PODS = f"{NAME}-head", f"{NAME}-pods"
L4 = {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.count": "1"}
NODES = [
    *devices("policies-l4", L4, 4),
    SimulatedNode("policies-heads", allocatable={"cpu": "64", "memory": "256Gi"}),
]


@pytest.fixture(scope="module", autouse=True)
def nodes(cluster: Cluster) -> Iterator[None]:
    with cluster.standing(NODES):
        yield


@pytest.fixture
def operator(cluster: Cluster, kuberay: KubeRay, processes: Processes, namespace: str) -> Operator:
    return start(cluster, kuberay, processes, namespace)


@pytest.fixture
def model(cluster: Cluster, operator: Operator, kuberay: KubeRay, namespace: str) -> Model:
    return Model(cluster, namespace, NAME, kuberay)


@pytest.fixture
def serving(model: Model) -> str:
    """A model that answers; returns its revision."""
    model.apply(example(NAME))
    return model.until_settled()


def start(
    cluster: Cluster, kuberay: KubeRay, processes: Processes, namespace: str, *settings: str
) -> Operator:
    """Start an operator for the test's namespace alone."""
    own = (f"--namespace={namespace}", "--no-leader-election", *settings)
    name = f"operator-{len(processes.servers)}"
    return start_operator(processes, cluster.kubeconfig, kuberay.environment, *own, name=name)


def policies(model: Model) -> dict[str, Object]:
    return {it["metadata"]["name"]: it for it in model.all("networkpolicies")}


def reach(model: Model, source: str) -> dict[matrix.Role, set[int]]:
    """Return which ports of the running pods a source reaches, as the matrix speaks of it."""
    namespace, labels = matrix.SOURCES[source]
    client = Pod(
        model.namespace if namespace == matrix.MODELS else namespace,
        {key: NAME if it == matrix.NAME else it for key, it in labels.items()},
    )
    network = Network([*policies(model).values()], matrix.NAMESPACES)
    found: dict[matrix.Role, set[int]] = {}
    for pod in model.pods(model.active):
        role: matrix.Role = pod["metadata"]["labels"]["ray.io/node-type"]
        found[role] = reached(network, client, pod_of(pod), matrix.PORTS[role].values())
    return found


def as_expected(model: Model, allowed: str) -> bool:
    """Tell whether everybody reaches what the matrix says of the pods that run."""
    return all(
        reach(model, source)
        == {role: matrix.expected(allowed, source, role) for role in matrix.PORTS}
        for source in matrix.SOURCES
    )


def version(item: Object) -> int:
    return int(item["metadata"]["resourceVersion"])


def test_they_are_there_before_kuberay_is_asked_for_pods(model: Model) -> None:
    with recording(model.cluster, model.namespace) as services:
        model.apply(example(NAME))
        model.until_settled()
        until("the watch has the first", lambda: services.states)
    found = policies(model)
    assert found.keys() == {HEAD, PODS}
    assert max(map(version, found.values())) < version(services.states[0])
    assert as_expected(model, "by default")


def test_who_may_reach_the_endpoint_is_no_rollout(model: Model, serving: str) -> None:
    pods = {it["metadata"]["uid"] for it in model.pods(model.active)}
    for allowed in ("All", "Selector", "Same"):
        # a merge patch would keep a selector that is not written any more
        model.edit(endpoint={"allowedNamespaces": None})
        model.edit(endpoint={"allowedNamespaces": matrix.ALLOWED[allowed]})
        until(f"the policies are as {allowed} wants", lambda it=allowed: as_expected(model, it))
        assert model.until_settled() == serving
    assert model.revisions.keys() == {serving}
    assert {it["metadata"]["uid"] for it in model.pods(model.active)} == pods


SPOILED = {
    "a rule more": {"op": "add", "path": "/spec/ingress/-", "value": {}},
    "a port more": {
        "op": "add",
        "path": "/spec/ingress/0/ports/-",
        "value": {"port": 6379, "protocol": "TCP"},
    },
    "every port": {"op": "remove", "path": "/spec/ingress/1/ports"},
    "everybody": {"op": "remove", "path": "/spec/ingress/1/from"},
    "every namespace": {
        "op": "add",
        "path": "/spec/ingress/1/from/0/namespaceSelector",
        "value": {},
    },
    "other pods": {
        "op": "replace",
        "path": "/spec/podSelector/matchLabels",
        "value": {"app": "nobody"},
    },
}


def test_what_is_opened_by_hand_is_closed_again(model: Model, serving: str) -> None:
    before = policies(model)[HEAD]["spec"]
    for what, operation in SPOILED.items():
        model.kubectl("patch", "netpol", HEAD, "--type=json", "-p", json.dumps([operation]))
        until(f"{what} is put back", lambda: policies(model)[HEAD]["spec"] == before)
    # what is of use to somebody else stays
    model.kubectl("annotate", "netpol", HEAD, "example.com/reviewed=yes")
    model.kubectl("patch", "netpol", HEAD, "--type=json", "-p", json.dumps([SPOILED["everybody"]]))
    until("it is put back", lambda: policies(model)[HEAD]["spec"] == before)
    assert policies(model)[HEAD]["metadata"]["annotations"] == {"example.com/reviewed": "yes"}


def test_those_that_are_deleted_or_lose_their_label_are_there_again(
    model: Model, serving: str
) -> None:
    before = {name: it["metadata"]["uid"] for name, it in policies(model).items()}
    model.kubectl("delete", "netpol", PODS)
    model.kubectl("label", "netpol", HEAD, "freehold.dev/model-")
    until("both are there", lambda: policies(model).keys() == before.keys())
    uids = {name: it["metadata"]["uid"] for name, it in policies(model).items()}
    assert (uids[PODS] != before[PODS], uids[HEAD]) == (True, before[HEAD])
    assert as_expected(model, "by default")


def test_somebody_elses_keeps_the_model_from_being_opened(model: Model) -> None:
    theirs = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": HEAD},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
    }
    model.cluster.apply(theirs, namespace=model.namespace)
    model.apply(example(NAME))
    model.wait("Ready", "False", "ChildNotOurs")
    assert f"A NetworkPolicy named {HEAD} is there already" in model.told("Ready")
    assert model.all("rayservice") == []
    model.kubectl("delete", "netpol", HEAD)
    model.until_settled()
    assert policies(model).keys() == {HEAD, PODS}


def test_they_go_with_the_model(model: Model, serving: str) -> None:
    owners = [it["metadata"]["ownerReferences"] for it in policies(model).values()]
    assert [(it["kind"], it["uid"]) for (it,) in owners] == [
        ("ModelDeployment", model.now["metadata"]["uid"])
    ] * 2
    model.kubectl("delete", "fmd", NAME)
    until("none is left", lambda: not policies(model))


def test_settings_of_the_installation_apply_to_models_that_run(
    cluster: Cluster, kuberay: KubeRay, processes: Processes, namespace: str
) -> None:
    model = Model(cluster, namespace, NAME, kuberay)
    first = start(cluster, kuberay, processes, namespace)
    model.apply(example(NAME))
    revision = model.until_settled()
    pods = {it["metadata"]["uid"] for it in model.pods(model.active)}
    first.server.stop()

    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": matrix.FOREIGN}}}
    option = f"--prometheus-peers={json.dumps([peer])}"
    second = start(cluster, kuberay, processes, namespace, option)
    scraped = {"head": {8080, 9101}, "worker": {8080, 9101}}
    until(
        "Prometheus sits elsewhere",
        lambda: reach(model, "a pod of a foreign namespace") == scraped,
    )
    assert reach(model, "Prometheus") == {"head": set(), "worker": set()}
    second.server.stop()

    theirs = json.loads(json.dumps(policies(model)[PODS]))
    theirs["metadata"] = {"name": "theirs", "labels": theirs["metadata"]["labels"]}
    cluster.apply(theirs, namespace=namespace)
    start(cluster, kuberay, processes, namespace, "--no-network-policies")
    until("only somebody else's is left", lambda: policies(model).keys() == {"theirs"})
    assert model.until_settled() == revision
    assert model.revisions.keys() == {revision}
    assert {it["metadata"]["uid"] for it in model.pods(model.active)} == pods
