"""What the policy on pod templates refuses at a real API server, and what lifts each limit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster, KubectlFailed
from tests.integration.admission import Spec, guarded_cluster, model, refused, worker
from tests.integration.refusals import refusals

VALUES: dict[str, dict[str, Any]] = {
    "strict": {},
    "privileged": {"allowPrivileged": True},
    "host-path": {"allowHostPath": True},
    "host-namespaces": {"allowHostNamespaces": True},
    "accounts": {"allowedServiceAccounts": ["trainer", "a.b"]},
}


def container(**fields: Any) -> Spec:
    return worker(containers=[{"name": "ray-worker", **fields}])


def secured(**context: Any) -> Spec:
    return container(securityContext=context)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cluster]:
    with guarded_cluster(VALUES) as cluster:
        yield cluster


SECURITY: list[tuple[str, Any]] = [
    ("privileged", True),
    ("privileged", "yes"),
    ("allowPrivilegeEscalation", True),
    ("procMount", "Unmasked"),
    ("capabilities.add", ["SYS_ADMIN"]),
    ("capabilities.add", ["CHOWN", "ALL"]),
    ("windowsOptions.hostProcess", True),
    ("seccompProfile.type", "Unconfined"),
    ("appArmorProfile.type", "Unconfined"),
    ("seLinuxOptions.type", "spc_t"),
    ("seLinuxOptions.user", "root"),
    ("seLinuxOptions.role", "sysadm_r"),
]
APPARMOR = "container.apparmor.security.beta.kubernetes.io/ray-worker"


def within(path: str, value: Any) -> dict[str, Any]:
    """Return a mapping with a value at a dotted path."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


LIMITED: list[tuple[str, Spec, str]] = [
    *(
        ("privileged", secured(**within(path, value)), f".securityContext.{path}: found")
        for path, value in SECURITY
    ),
    *(
        (
            "privileged",
            {
                "templates": {
                    pod: {"spec": {kind: [{"name": "x", "securityContext": {"privileged": True}}]}}
                }
            },
            f"spec.templates.{pod}.spec.{kind}[name=x].securityContext.privileged: found true",
        )
        for pod in ("head", "worker")
        for kind in ("containers", "initContainers", "ephemeralContainers")
    ),
    (
        "privileged",
        worker(securityContext=within("windowsOptions.hostProcess", True)),
        "spec.templates.worker.spec.securityContext.windowsOptions.hostProcess: found true",
    ),
    (
        "privileged",
        {"templates": {"worker": {"metadata": {"annotations": {APPARMOR: "unconfined"}}}}},
        "spec.templates.worker.metadata.annotations: found",
    ),
    (
        "host-path",
        worker(volumes=[{"name": "v", "hostPath": {"path": "/etc"}}]),
        "spec.templates.worker.spec.volumes[name=v].hostPath: found",
    ),
    (
        "host-path",
        worker(volumes=[{"name": "v", "hostPath": {}}]),
        "volumes[name=v].hostPath: found",
    ),
    (
        "host-path",
        worker(volumes=[{"emptyDir": None, "hostPath": "/"}]),
        "volumes[name=].hostPath: found /",
    ),
    *(
        ("host-namespaces", worker(**{field: value}), f"spec.templates.worker.spec.{field}: found")
        for field in ("hostNetwork", "hostPID", "hostIPC")
        for value in (True, "true", 1)
    ),
    (
        "host-namespaces",
        container(ports=[{"containerPort": 1}, {"hostPort": 80}]),
        'containers[name=ray-worker].ports: found [{"hostPort":80}]',
    ),
    *(
        (
            "accounts",
            {"templates": {pod: {"spec": {field: "trainer"}}}},
            f"spec.templates.{pod}.spec.{field}: found trainer; allowed: the account of spec",
        )
        for pod in ("head", "worker")
        for field in ("serviceAccountName", "serviceAccount")
    ),
    ("accounts", {"serviceAccountName": "models", **worker(serviceAccountName="a.b")}, "found a.b"),
]
VALUE_OF = {
    "privileged": "allowPrivileged",
    "host-path": "allowHostPath",
    "host-namespaces": "allowHostNamespaces",
    "accounts": "allowedServiceAccounts",
}


@pytest.fixture(scope="module")
def told_of_pods(guarded: Cluster) -> dict[tuple[str, int], str]:
    """What is said of each limited spec where nothing lifts the limit, and in each namespace."""
    told = {}
    texts = {str(i): json.dumps(model("one", **spec)) for i, (_, spec, _) in enumerate(LIMITED)}
    for namespace in ("strict", *VALUE_OF):
        answers = refusals(guarded, namespace, texts, "--dry-run=server")
        told |= {(namespace, int(i)): it for i, it in answers.items()}
    return told


@pytest.mark.parametrize("i", range(len(LIMITED)), ids=lambda i: json.dumps(LIMITED[i][1]))
def test_what_a_pod_may_not_ask_is_refused_and_named(
    told_of_pods: dict[tuple[str, int], str], i: int
) -> None:
    lifting, _, sentence = LIMITED[i]
    told = told_of_pods["strict", i]
    assert "(Forbidden)" in told
    assert sentence in told
    assert (
        f"Ask the administrator of the cluster to allow more: value admission.{VALUE_OF[lifting]}"
        in told
    )


@pytest.mark.parametrize("i", range(len(LIMITED)), ids=lambda i: json.dumps(LIMITED[i][1]))
def test_its_value_lifts_the_limit_and_no_other_does(
    told_of_pods: dict[tuple[str, int], str], i: int
) -> None:
    admitting = {name for name in VALUE_OF if not told_of_pods[name, i]}
    assert admitting == {LIMITED[i][0]}


HARMLESS: list[Spec] = [
    {"templates": {}},
    {
        "templates": {
            "head": {},
            "worker": {"metadata": {"annotations": {APPARMOR: "runtime/default"}}},
        }
    },
    {"templates": {"worker": {"spec": None, "metadata": None}}},
    worker(
        containers=None,
        volumes=None,
        serviceAccountName=None,
        hostNetwork=None,
        securityContext=None,
    ),
    container(securityContext=None, ports=None),
    container(env=[{"name": "A", "value": "b"}], ports=[{"containerPort": 80, "hostPort": 0}]),
    secured(privileged=False, allowPrivilegeEscalation=False, procMount="Default"),
    secured(privileged=None, capabilities=None, seccompProfile=None),
    secured(capabilities={"drop": ["ALL"], "add": ["CHOWN", "NET_BIND_SERVICE"]}),
    secured(seccompProfile={"type": "Localhost", "localhostProfile": "a"}, runAsUser=0),
    secured(seLinuxOptions={"type": "container_t", "level": "s0", "user": ""}),
    worker(volumes=[{"name": "v", "emptyDir": {}, "hostPath": None}], hostUsers=False),
    worker(hostNetwork=False, hostPID=False, hostIPC=False, shareProcessNamespace=True),
    {
        "serviceAccountName": "models",
        **worker(serviceAccountName="models", serviceAccount="models"),
    },
    worker(serviceAccountName=""),
]


@pytest.mark.parametrize("spec", HARMLESS, ids=json.dumps)
def test_what_a_pod_may_ask_is_admitted(guarded: Cluster, spec: Spec) -> None:
    assert refused(guarded, "strict", **spec) == ""


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            {"templates": {"head": {"spec": []}}},
            "spec.templates.head.spec: found []; allowed: a mapping.",
        ),
        (
            worker(containers={"a": {"securityContext": {"privileged": True}}}),
            '.containers: found {"a":{"securityContext":{"privileged":true}}}; allowed: a list.',
        ),
        (
            worker(initContainers="x"),
            "spec.templates.worker.spec.initContainers: found x; allowed: a list.",
        ),
        (worker(volumes={"hostPath": {}}), "spec.templates.worker.spec.volumes: found"),
        (worker(containers=[None]), "containers[name=]: found null; allowed: a mapping."),
        (worker(volumes=["/etc"]), "volumes[name=]: found /etc; allowed: a mapping."),
        (container(securityContext=[]), "containers[name=ray-worker].securityContext: found []"),
        (
            worker(containers=[{"name": {"a": 1}, "securityContext": 1}]),
            'containers[name={"a":1}]',
        ),
        # no directive of kubectl's patches hides what stands beside it
        (worker(**{"$patch": "delete", "hostNetwork": True}), "hostNetwork: found true"),
        (
            worker(
                containers=[
                    {"$patch": "replace"},
                    {"name": "x", "securityContext": {"privileged": True}},
                ]
            ),
            "containers[name=x].securityContext.privileged: found true",
        ),
        (
            worker(volumes=[{"name": "v", "$retainKeys": ["hostPath"], "hostPath": {"path": "/"}}]),
            "volumes[name=v].hostPath",
        ),
    ],
    ids=str,
)
def test_nothing_of_another_shape_gets_around(guarded: Cluster, spec: Spec, sentence: str) -> None:
    assert sentence in refused(guarded, "strict", **spec)


def test_overlays_as_large_as_an_object_may_be_can_be_judged(guarded: Cluster) -> None:
    env = [{"name": f"V{i}", "value": "x" * 20} for i in range(60)]
    pods = [
        {"name": f"c{i}", "image": "x", "env": env, "ports": [{"containerPort": 80}]}
        for i in range(100)
    ]
    for it in pods:
        it["securityContext"] = {"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}
    both = {"spec": {"containers": pods, "volumes": [{"name": f"v{i}"} for i in range(100)]}}
    manifest = model("large", templates={"head": both, "worker": both})
    guarded.apply(manifest, namespace="strict")
    guarded.kubectl("label", "fmd", "large", "-n", "strict", "a=b")
    guarded.kubectl(
        "patch", "fmd", "large", "-n", "strict", "--type=merge", "-p", '{"spec":{"suspend":true}}'
    )
    pods[99]["securityContext"] = {"privileged": True}
    with pytest.raises(KubectlFailed, match=r"head\.spec\.containers\[name=c99\]"):
        guarded.apply(manifest, namespace="strict")
