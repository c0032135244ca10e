"""The evaluation of NetworkPolicies is held to what Kubernetes' documentation says of examples."""

from __future__ import annotations

from typing import Any

import pytest
from tests.network.evaluation import Network, Outside, Pod, matches, pod_of, reached

NAMESPACES = {"default": {}, "other": {"project": "myproject"}, "alices": {"user": "alice"}}
DB = Pod("default", {"role": "db"}, {("redis", "TCP"): 6379, ("dns", "UDP"): 53}, node="a")
CLIENT = {"role": "client"}
ALICE = {"namespaceSelector": {"matchLabels": {"user": "alice"}}}
CLIENTS = {"podSelector": {"matchLabels": CLIENT}}


def policy(spec: dict[str, Any], namespace: str = "default") -> dict[str, Any]:
    return {
        "metadata": {"name": "test", "namespace": namespace},
        "spec": {"podSelector": {}} | spec,
    }


def network(*specs: dict[str, Any]) -> Network:
    return Network([policy(it) for it in specs], NAMESPACES)


def ingress(*rules: dict[str, Any], **spec: Any) -> Network:
    return network({"policyTypes": ["Ingress"], "ingress": list(rules), **spec})


# The page's first example, but for its egress.
DOCUMENTED = ingress(
    {
        "from": [
            {"ipBlock": {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}},
            {"namespaceSelector": {"matchLabels": {"project": "myproject"}}},
            {"podSelector": {"matchLabels": {"role": "frontend"}}},
        ],
        "ports": [{"protocol": "TCP", "port": 6379}],
    },
    podSelector={"matchLabels": {"role": "db"}},
)


@pytest.mark.parametrize(
    ("source", "is_let_in"),
    [
        (Outside("172.17.0.1"), True),
        (Outside("172.17.0.255"), True),
        (Outside("172.17.2.0"), True),
        (Outside("172.17.255.255"), True),
        (Outside("172.17.1.7"), False),
        (Outside("10.0.0.1"), False),
        (Pod("other", {}), True),
        (Pod("default", {"role": "frontend"}), True),
        (Pod("default", {"role": "backend"}), False),
        (Pod("alices", {"role": "frontend"}), False),
        (Pod("alices", {}, address="172.17.0.1"), True),
    ],
)
def test_the_documented_example(source: Pod | Outside, is_let_in: bool) -> None:
    assert reached(DOCUMENTED, source, DB, (6379, 6380)) == ({6379} if is_let_in else set())
    # what no policy selects is open
    assert DOCUMENTED.lets_in(source, Pod("default", {"role": "web"}), 6380)
    assert DOCUMENTED.lets_in(source, Pod("other", {"role": "db"}), 6380)


def test_one_peer_of_two_selectors_is_not_two_peers() -> None:
    both, either = ingress({"from": [ALICE | CLIENTS]}), ingress({"from": [ALICE, CLIENTS]})
    sources = {
        "her client": Pod("alices", CLIENT),
        "hers": Pod("alices", {}),
        "a client here": Pod("default", CLIENT),
        "a client elsewhere": Pod("other", CLIENT),
    }
    assert [name for name, it in sources.items() if both.lets_in(it, DB, 80)] == ["her client"]
    assert [name for name, it in sources.items() if either.lets_in(it, DB, 80)] == [
        "her client",
        "hers",
        "a client here",
    ]


@pytest.mark.parametrize(
    ("found", "is_open"),
    [
        pytest.param(network(), True, id="no policy"),
        pytest.param(network({"policyTypes": ["Ingress"]}), False, id="default deny all ingress"),
        pytest.param(ingress({}), True, id="allow all ingress"),
        pytest.param(ingress({"from": [], "ports": []}), True, id="a rule of nobody is of all"),
        pytest.param(network({"policyTypes": ["Egress"]}), True, id="of egress alone"),
        pytest.param(network({"policyTypes": ["Ingress", "Egress"]}), False, id="deny all"),
        pytest.param(network({"egress": [{}]}), False, id="no types, ingress implied"),
        pytest.param(network({"policyTypes": ["Ingress"]}, {"ingress": [{}]}), True, id="they add"),
    ],
)
def test_defaults(found: Network, is_open: bool) -> None:
    assert found.lets_in(Pod("other", {}), DB, 6379) is is_open


@pytest.mark.parametrize(
    ("ports", "tcp", "udp"),
    [
        pytest.param([{"port": 6379}], {6379}, set(), id="TCP unless told"),
        pytest.param([{"port": "redis"}], {6379}, set(), id="by name"),
        pytest.param([{"port": "dns", "protocol": "UDP"}], set(), {53}, id="a name of a protocol"),
        pytest.param([{"port": "dns"}], set(), set(), id="a name of another protocol"),
        pytest.param([{"port": "http"}], set(), set(), id="a name that the pod has not"),
        pytest.param([{"port": 6000, "endPort": 6379}], {6379}, set(), id="a range"),
        pytest.param([{"port": 6380, "endPort": 7000}], set(), set(), id="another range"),
        pytest.param([{"protocol": "UDP"}], set(), {53, 6379}, id="all of a protocol"),
        pytest.param([], {53, 6379}, {53, 6379}, id="all"),
    ],
)
def test_ports(ports: list[dict[str, Any]], tcp: set[int], udp: set[int]) -> None:
    found, source = ingress({"ports": ports}), Pod("other", {})
    for protocol, wanted in (("TCP", tcp), ("UDP", udp)):
        assert {it for it in (53, 6379) if found.lets_in(source, DB, it, protocol)} == wanted


def test_a_pod_s_own_node_and_the_pod_itself_are_always_let_in() -> None:
    closed = network({"policyTypes": ["Ingress"]})
    assert closed.lets_in(Outside("10.0.0.1", node="a"), DB, 6379)
    assert not closed.lets_in(Outside("10.0.0.2", node="b"), DB, 6379)
    assert closed.lets_in(DB, DB, 6379)


def test_a_namespace_is_found_by_the_name_that_the_api_server_labels_it_with() -> None:
    named = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}
    found = ingress({"from": [named]})
    assert [it for it in NAMESPACES if found.lets_in(Pod(it, {}), DB, 80)] == ["other"]


@pytest.mark.parametrize(
    ("operator", "values", "wanted"),
    [
        ("In", ["a", "b"], ["a"]),
        ("NotIn", ["a", "b"], ["c", "none"]),
        ("Exists", None, ["a", "c"]),
        ("DoesNotExist", None, ["none"]),
    ],
)
def test_expressions(operator: str, values: list[str] | None, wanted: list[str]) -> None:
    labels = {"a": {"tier": "a"}, "c": {"tier": "c"}, "none": {"other": "a"}}
    requirement = {"key": "tier", "operator": operator, "values": values}
    found = [it for it in labels if matches({"matchExpressions": [requirement]}, labels[it])]
    assert found == wanted
    both = {"matchLabels": {"tier": "c"}, "matchExpressions": [requirement]}
    assert matches(both, labels["c"]) is ("c" in wanted)


def test_a_pod_is_read_as_the_api_server_has_it() -> None:
    port = {"name": "redis", "containerPort": 6379}
    unnamed = {"containerPort": 53, "protocol": "UDP"}
    found = pod_of(
        {
            "metadata": {"namespace": "default", "labels": {"role": "db"}},
            "spec": {"nodeName": "a", "containers": [{"ports": [port, unnamed]}, {}]},
            "status": {"podIP": "10.0.0.9"},
        }
    )
    assert found == Pod("default", {"role": "db"}, {("redis", "TCP"): 6379}, "10.0.0.9", "a")
