"""The charts, by the real Helm and against a real API server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.control_plane.cluster import Cluster, KubectlFailed
from tests.control_plane.nodes import SimulatedNode
from tests.control_plane.plane import ControlPlane
from tests.installation.helm import (
    CHART,
    CRDS_CHART,
    SYSTEM,
    HelmFailed,
    helm,
    render,
    rendered_objects,
)
from tests.integration.harness import ROOT
from tests.network import matrix
from tests.network.evaluation import NAME_LABEL, Network, Pod, matches, reached

from freehold.cli.peers import PeersType

DATA = Path(__file__).parent / "data"
CASES = sorted(path.parent.name for path in (DATA / "charts").glob("*/values.yaml"))
UPDATE = "FREEHOLD_UPDATE_GOLDEN"
# What nobody gets who is not trusted with everything.
FORBIDDEN_VERBS = {"*", "bind", "escalate", "impersonate"}
FORBIDDEN_RESOURCES = {"*", "pods/exec", "pods/proxy", "services/proxy", "nodes/proxy"}


def values_of(case: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((DATA / "charts" / case / "values.yaml").read_text())
    return values


@pytest.fixture(scope="module")
def bare() -> Iterator[Cluster]:
    """A cluster of our own without any of our kinds, and the namespaces that the cases name."""
    with ControlPlane() as plane:
        cluster = plane.cluster
        cluster.add_nodes([SimulatedNode("ordinary")])
        for name in (SYSTEM, "models", "guards"):
            cluster.kubectl("create", "namespace", name)
        cluster.apply_crds(DATA / "service_monitor_minimal_crd.yaml")
        yield cluster


@pytest.mark.parametrize("case", CASES)
def test_lint_finds_nothing(bare: Cluster, case: str) -> None:
    helm(bare, "lint", "--strict", CHART, values=values_of(case))


def test_lint_finds_nothing_in_the_kinds(bare: Cluster) -> None:
    helm(bare, "lint", "--strict", CRDS_CHART, values={"labels": {"team": "serving"}})


@pytest.mark.parametrize("case", CASES)
def test_renders_the_golden_bytes(bare: Cluster, case: str) -> None:
    """Where a difference is meant, ``FREEHOLD_UPDATE_GOLDEN=1`` writes it."""
    golden = DATA / "charts" / case / "expected.yaml"
    found = render(bare, values_of(case))
    if os.environ.get(UPDATE):
        golden.write_text(found)
    assert found == golden.read_text()


@pytest.mark.parametrize("case", CASES)
def test_the_api_server_admits_every_object(bare: Cluster, case: str) -> None:
    text = render(bare, values_of(case))
    answer = bare.kubectl(
        *("apply", "--dry-run=server", "--validate=strict", "--filename=-"), stdin=text
    )
    assert len(answer.splitlines()) == len([it for it in yaml.safe_load_all(text) if it])


@pytest.mark.parametrize("case", CASES)
def test_no_rule_gives_more_than_is_named(bare: Cluster, case: str) -> None:
    roles = [it for it in rendered_objects(bare, values_of(case)) if it["kind"].endswith("Role")]
    rules = [rule for role in roles for rule in role["rules"]]
    assert rules
    for rule in rules:
        assert not FORBIDDEN_VERBS & set(rule["verbs"]), rule
        assert not FORBIDDEN_RESOURCES & set(rule["resources"]), rule
        # what it derives it makes, and never reads
        assert "secrets" not in rule["resources"] or rule["verbs"] == ["create"], rule
        assert "*" not in rule["apiGroups"], rule


def test_named_namespaces_get_the_rights_and_no_other(bare: Cluster) -> None:
    objects = rendered_objects(bare, values_of("two-namespaces"))
    (cluster_role,) = (
        it for it in objects if (it["kind"], it["metadata"]["name"]) == ("ClusterRole", "freehold")
    )
    namespaced = {"modeldeployments", "rayservices", "pods", "services", "configmaps"}
    assert not namespaced & {name for rule in cluster_role["rules"] for name in rule["resources"]}
    roles = {it["metadata"]["namespace"]: it for it in objects if it["kind"] == "Role"}
    assert roles.keys() == {"models", "guards", SYSTEM}
    assert {name for rule in roles[SYSTEM]["rules"] for name in rule["resources"]} == {
        "leases",
        "secrets",
    }
    everywhere = rendered_objects(bare, {})
    (wide,) = (
        it
        for it in everywhere
        if (it["kind"], it["metadata"]["name"]) == ("ClusterRole", "freehold")
    )
    assert wide["rules"] == cluster_role["rules"] + roles["models"]["rules"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        pytest.param({"replica": 3}, "additional properties 'replica' not allowed", id="a typo"),
        pytest.param(
            {"metrics": {"serviceMonitor": {"enable": True}}},
            "at '/metrics/serviceMonitor': additional properties 'enable' not allowed",
            id="a typo further down",
        ),
        pytest.param(
            {"replicas": "three"}, "at '/replicas': got string, want integer", id="a wrong type"
        ),
        pytest.param(
            {"image": {"digest": "0123"}},
            "at '/image/digest': '0123' does not match pattern",
            id="a digest without its algorithm",
        ),
        pytest.param(
            {"global": {"imageRegistry": "https://mirror.example.com"}},
            "at '/global/imageRegistry': 'https://mirror.example.com' does not match pattern",
            id="a registry as a URL",
        ),
        pytest.param(
            {"image": {"tag": "1.0.0", "digest": f"sha256:{'0' * 64}"}},
            "image.tag and image.digest are both set: an image is named by one of them",
            id="an image by tag and digest",
        ),
        pytest.param(
            {"metrics": {"service": False, "serviceMonitor": {"enabled": True}}},
            "metrics.serviceMonitor.enabled needs metrics.service",
            id="a ServiceMonitor without a Service",
        ),
        pytest.param(
            {"extraEnv": [{"name": "POD_NAME", "value": "other"}]},
            "at '/extraEnv/0/name': 'not' failed",
            id="an environment variable of the chart's own",
        ),
        pytest.param(
            {"networkPolicy": {"prometheus": [{"podSelectr": {}}]}},
            "at '/networkPolicy/prometheus/0': additional properties 'podSelectr' not allowed",
            id="a typo in a peer",
        ),
        pytest.param(
            {"networkPolicy": {"kuberay": [{"ipBlock": {"cidr": "::/0"}, "podSelector": {}}]}},
            "at '/networkPolicy/kuberay/0': 'not' failed",
            id="a peer by address and labels",
        ),
        pytest.param(
            {"networkPolicy": {"kuberay": [{}]}},
            "at '/networkPolicy/kuberay/0': minProperties: got 0, want 1",
            id="a peer that would be everybody",
        ),
        pytest.param(
            {"admission": {"hostPathPrefixes": ["/srv/../etc"]}},
            "at '/admission/hostPathPrefixes/0': 'not' failed",
            id="a path that leads out of another",
        ),
        pytest.param(
            {"gcsFaultTolerance": {"redisAddress": "redis"}},
            "at '/gcsFaultTolerance/redisAddress': 'redis' does not match pattern",
            id="a Redis without a port",
        ),
        pytest.param(
            {"gcsFaultTolerance": {"passwordSecret": {"name": "redis", "key": "password"}}},
            "at '/gcsFaultTolerance/redisAddress': minLength: got 0, want 1",
            id="a password of no Redis",
        ),
        pytest.param(
            {"gcsFaultTolerance": {"redisAddress": "a:1", "passwordSecret": {"name": "redis"}}},
            "at '/gcsFaultTolerance/passwordSecret/key': minLength: got 0, want 1",
            id="a password's Secret without its entry",
        ),
        pytest.param(
            {"gcsFaultTolerance": {"redisAddress": "a:1", "passwordSecret": {"key": "password"}}},
            "at '/gcsFaultTolerance/passwordSecret/key': maxLength: got 8, want 0",
            id="a password's entry without its Secret",
        ),
        pytest.param(
            {"admission": {"hostPathPrefixes": ["srv"]}},
            "at '/admission/hostPathPrefixes/0': 'srv' does not match pattern",
            id="a path from nowhere",
        ),
    ],
)
def test_wrong_values_are_refused(bare: Cluster, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(HelmFailed) as refused:
        render(bare, values)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("peers", "reaches"),
    [
        pytest.param(None, {"Prometheus"}, id="as it is"),
        pytest.param([], set(), id="nobody"),
        pytest.param(
            [{"namespaceSelector": {"matchLabels": {"team": "search"}}}],
            {"a pod of the search team"},
            id="another namespace",
        ),
    ],
)
def test_only_prometheus_reaches_the_operator_s_metrics_and_nobody_else_anything(
    bare: Cluster, peers: list[Any] | None, reaches: set[str]
) -> None:
    given = {} if peers is None else {"networkPolicy": {"prometheus": peers}}
    objects = rendered_objects(bare, given | {"metrics": {"port": 9090}})
    (deployment,) = (it for it in objects if it["kind"] == "Deployment")
    pod = Pod(SYSTEM, deployment["spec"]["template"]["metadata"]["labels"])
    policies = [it for it in objects if it["kind"] == "NetworkPolicy"]
    network = Network(policies, matrix.NAMESPACES)
    found = {
        name: ports
        for name, source in matrix.SOURCES.items()
        if (ports := reached(network, Pod(*source), pod, (443, 8080, 9090)))
    }
    assert found == {name: {9090} for name in reaches}


def test_the_operator_is_told_of_the_peers_that_the_chart_names(bare: Cluster) -> None:
    objects = rendered_objects(bare, values_of("everything"))
    (deployment,) = (it for it in objects if it["kind"] == "Deployment")
    own = Pod(SYSTEM, deployment["spec"]["template"]["metadata"]["labels"])
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told = {
        option: PeersType().convert(value, None, None)
        for option, _, value in (it.partition("=") for it in container["args"])
        if option.endswith("-peers")
    }
    values = values_of("everything")["networkPolicy"]
    assert told["--kuberay-peers"] == (*values["kuberay"],)
    assert told["--prometheus-peers"] == (*values["prometheus"],)
    assert told["--client-peers"] == (*values["clients"],)
    (peer,) = told["--operator-peers"]
    assert matches(peer["podSelector"], own.labels)
    assert peer["namespaceSelector"] == {"matchLabels": {NAME_LABEL: SYSTEM}}


def test_a_chart_that_holds_ours_may_have_globals_of_its_own(bare: Cluster) -> None:
    assert render(bare, {"global": {"storageClass": "fast"}}) == render(bare, {})


def test_every_value_changes_something_in_some_case() -> None:
    """Hold the cases to what values.yaml offers: a value that no case sets is not tested."""
    offered = yaml.safe_load((CHART / "values.yaml").read_text())
    tried: set[str] = {name for case in CASES for name in values_of(case)}
    assert set(offered) == tried


def test_the_pod_is_admitted_where_pod_security_is_restricted(bare: Cluster) -> None:
    bare.kubectl("label", "namespace", "guards", "pod-security.kubernetes.io/enforce=restricted")
    (deployment,) = (it for it in rendered_objects(bare, {}) if it["kind"] == "Deployment")
    template = deployment["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "operator", "namespace": "guards", **template["metadata"]},
        "spec": template["spec"] | {"serviceAccountName": "default"},
    }
    check = ("create", "--dry-run=server", "--validate=strict", "--filename=-")
    bare.kubectl(*check, stdin=yaml.safe_dump(pod))
    # the same pod without what the level asks for: it is the level that is tested, and it is on
    del pod["spec"]["containers"][0]["securityContext"]
    with pytest.raises(KubectlFailed, match='violates PodSecurity "restricted'):
        bare.kubectl(*check, stdin=yaml.safe_dump(pod))


def test_examples_are_admitted_once_the_kinds_are_installed(bare: Cluster) -> None:
    kinds = helm(bare, "template", "freehold-crds", CRDS_CHART)
    bare.kubectl("apply", "--server-side", "--filename=-", stdin=kinds)
    bare.kubectl(
        "wait", "--for=condition=Established", "--timeout=60s", "--filename=-", stdin=kinds
    )
    bare.kubectl(
        *("apply", "--dry-run=server", "--validate=strict", "--namespace=models"),
        *(f"--filename={path}" for path in sorted((ROOT / "examples").glob("*.yaml"))),
    )
