"""Trouble of a whole cluster: kinds that come and go, servers that end, hang and start again."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.error import HTTPError

import pytest
import yaml
from tests.control_plane.cluster import Cluster
from tests.control_plane.plane import ControlPlane
from tests.control_plane.processes import Processes
from tests.installation.kuberay import KubeRay, kuberay_crds, running_kuberay
from tests.integration.harness import ROOT, fresh_namespace
from tests.integration.models import OF_RAY_SERVICE, Models, assert_no_bug, of, owner_of
from tests.integration.operator import (
    RACK,
    Operator,
    condition,
    example,
    start_operator,
    until,
    wait_until_ready,
)

Object = dict[str, Any]
OUR_L4 = {
    "apiVersion": "freehold.dev/v1alpha1",
    "kind": "AcceleratorClass",
    "metadata": {"name": "our-l4"},
    "spec": {"extends": "l4-24gb"},
}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """Servers of our own, since kinds belong to a whole cluster."""
    with ControlPlane() as own:
        own.cluster.apply_crds(ROOT / "crds", kuberay_crds())
        own.cluster.add_nodes(RACK)
        yield own


@pytest.fixture(scope="module")
def kuberay(plane: ControlPlane) -> Iterator[KubeRay]:
    with running_kuberay(plane.cluster, plane.processes) as found:
        yield found


@pytest.fixture(scope="module")
def place(plane: ControlPlane) -> Iterator[Models]:
    with fresh_namespace(plane.cluster) as namespace:
        yield Models(plane.cluster, namespace)


@pytest.fixture(scope="module")
def operator(
    plane: ControlPlane, kuberay: KubeRay, place: Models, shared_processes: Processes
) -> Operator:
    """An operator that starts where KubeRay's kinds are missing."""
    remove_kuberay(plane.cluster)
    arguments = (f"--namespace={place.namespace}", "--no-leader-election", "--relist-interval=2")
    environment = kuberay.environment
    return start_operator(shared_processes, plane.cluster.kubeconfig, environment, *arguments)


@pytest.fixture
def models(operator: Operator, place: Models) -> Iterator[Models]:
    """The models; whatever a test does, the operator goes on and is well and says so."""
    yield place
    assert operator.server.running
    assert '"ok": true' in operator.get("/healthz")
    assert '"ok": true' in operator.get("/readyz")
    assert_no_bug(operator)
    place.kubectl("delete", "fmd", "--all", "--wait=false")


@pytest.fixture
def name() -> str:
    """A name of the test's own: after trouble, what deleted models leave is collected late."""
    return f"guard-{secrets.token_hex(3)}"


@pytest.fixture
def serving(plane: ControlPlane, models: Models, name: str) -> Models:
    """A model that serves, with KubeRay's kinds."""
    plane.cluster.apply_crds(kuberay_crds())
    models.apply(name)
    models.wait(name, "Ready", "True")
    return models


def remove_kuberay(cluster: Cluster) -> None:
    cluster.kubectl("delete", "crd", "rayservices.ray.io", "rayclusters.ray.io")


def test_a_model_may_come_before_its_class_and_before_kuberay(
    plane: ControlPlane, operator: Operator, models: Models
) -> None:
    models.apply("early", hardware={"candidates": [{"name": "ours", "accelerator": "our-l4"}]})
    assert "our-l4" in models.wait("early", "Ready", "False", "UnknownAccelerator")["message"]
    plane.cluster.apply(OUR_L4)
    models.wait("early", "Ready", "False", "KubeRayMissing")
    # who may connect is settled before KubeRay can make a pod
    policies = models.cluster.list("networkpolicy", models.namespace, of("early"))
    assert [it["metadata"]["name"] for it in policies] == ["early-head", "early-pods"]
    assert '"ok": true' in operator.get("/readyz")
    plane.cluster.apply_crds(kuberay_crds())
    models.wait("early", "Ready", "True")


def test_kuberay_may_go_and_come_again(plane: ControlPlane, serving: Models, name: str) -> None:
    before = serving.owned(name)
    remove_kuberay(plane.cluster)
    serving.wait(name, "Ready", "False", "KubeRayMissing")
    plane.cluster.apply_crds(kuberay_crds())
    serving.wait(name, "Ready", "True")
    after = serving.owned(name)
    assert after["RayService"]["metadata"]["uid"] != before["RayService"]["metadata"]["uid"]
    for kind in ("ControllerRevision", "ConfigMap", "Service", "Secret"):
        assert after[kind]["metadata"]["uid"] == before[kind]["metadata"]["uid"]


FIRST_HAS = {"ConfigMap", "ControllerRevision", "RayService", "Service"}


def test_a_model_that_is_made_again_takes_over_nothing_of_its_predecessor(
    plane: ControlPlane, serving: Models, name: str
) -> None:
    """What the first one owned is still there when the second one comes, and goes later."""
    collector = plane.servers["kube-controller-manager"]
    first = serving.get(name)["metadata"]["uid"]
    collector.send(signal.SIGSTOP)
    try:
        serving.kubectl("delete", "fmd", name, "--wait=false")
        serving.apply(name)
        second = serving.get(name)["metadata"]["uid"]
        assert second != first
        told = serving.wait(name, "Reconciling", "True", "Retrying")["message"]
        assert "belongs to a deleted ModelDeployment of this name" in told
        owners = {(it["kind"], owner_of(it)) for it in serving.children(name)}
        assert {kind for kind, owner in owners if owner == second} == {"ControllerRevision"}
        assert {kind for kind, owner in owners if owner == first} == FIRST_HAS
    finally:
        collector.send(signal.SIGCONT)
    serving.wait(name, "Ready", "True")
    assert len(serving.owned(name)) == 6


def test_a_field_of_another_release_is_named_until_it_is_gone(
    plane: ControlPlane, serving: Models, name: str
) -> None:
    """The kinds are of a later release than the operator, and then as old as it is."""
    plane.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f-", stdin=later_kind())
    manifest = example("llama-guard-3-8b", later="x") | {"metadata": {"name": "modern"}}
    until("the field is known", lambda: accepted(serving, manifest))
    # watches that began before show objects as the former kind has them, for a while
    until("the field is named", lambda: "spec.later" in looked_at_again(serving, "modern"))
    serving.wait("modern", "Ready", "False", "InvalidSpec")
    # in a status it is nobody's fault
    patch = json.dumps({"status": {"later": "x"}})
    serving.kubectl("patch", "fmd", name, "--subresource=status", "--type=merge", f"-p={patch}")
    serving.kubectl("scale", "fmd", name, "--replicas=2")
    serving.wait(name, "Planned", "True")
    plane.cluster.apply_crds(ROOT / "crds")
    until("the field is forgotten", lambda: "spec.later" not in looked_at_again(serving, "modern"))
    serving.wait("modern", "Ready", "True")


def looked_at_again(models: Models, name: str) -> str:
    """Touch a model, and return what its condition Planned says."""
    look = secrets.token_hex(4)
    models.kubectl("annotate", "fmd", name, f"look={look}", "--overwrite")
    return str(condition(models.get(name), "Planned").get("message", ""))


def later_kind() -> str:
    """Return the kind with a field more in its spec and in its status."""
    crd = yaml.safe_load((ROOT / "crds" / "freehold.dev_modeldeployments.yaml").read_text())
    (version,) = crd["spec"]["versions"]
    for part in ("spec", "status"):
        fields = version["schema"]["openAPIV3Schema"]["properties"][part]["properties"]
        fields["later"] = {"type": "string"}
    return json.dumps(crd)


def accepted(models: Models, manifest: Object) -> bool:
    command = ("-n", models.namespace, "apply", "--validate=strict", "-f-")
    done = models.cluster.run("kubectl", *command, stdin=json.dumps(manifest))
    return done.returncode == 0


@pytest.mark.thorough
@pytest.mark.parametrize(
    "silent",
    [
        pytest.param(ControlPlane.api_server_stopped, id="away"),
        pytest.param(ControlPlane.api_server_hanging, id="hangs"),
    ],
)
def test_an_api_server_that_does_not_answer_is_waited_for(
    silent: Callable[[ControlPlane], AbstractContextManager[None]],
    plane: ControlPlane,
    operator: Operator,
    serving: Models,
    name: str,
) -> None:
    with silent(plane):
        before = unanswered(operator)
        until("a request was given up", lambda: unanswered(operator) > before)
        assert '"ok": true' in operator.get("/healthz")
    goes_on(serving, name)


def test_an_operator_may_start_before_the_api_server(
    plane: ControlPlane, operator: Operator, serving: Models, name: str
) -> None:
    with plane.api_server_stopped():
        operator.server.stop()
        operator.server.start()
        until("it is alive", lambda: answers(operator, "/healthz") == 200)
        until("it has met nobody", lambda: unanswered(operator) > 0)
        assert answers(operator, "/readyz") == 503
    wait_until_ready(operator)
    goes_on(serving, name)


def unanswered(operator: Operator) -> float:
    """Return how many requests to the API server had no answer."""
    samples = [line for line in operator.get("/metrics").splitlines() if 'code="0"' in line]
    return sum(float(it.rpartition(" ")[2]) for it in samples)


def answers(operator: Operator, path: str) -> int:
    try:
        operator.get(path)
    except HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0
    return 200


def goes_on(models: Models, name: str) -> None:
    """Have a change and a lost child seen to, with nothing twice."""
    before = models.owned(name)
    models.kubectl("delete", "service", name, "--wait=false")
    models.kubectl("scale", "fmd", name, "--replicas=2")

    def done() -> bool:
        found = models.cluster.get("service", name, models.namespace)
        (cluster,) = models.cluster.list("raycluster", models.namespace, OF_RAY_SERVICE + name)
        (group,) = cluster["spec"]["workerGroupSpecs"]
        return (
            found is not None
            and found["metadata"]["uid"] != before["Service"]["metadata"]["uid"]
            and group["minReplicas"] == 2
        )

    until("the service is back and there are two replicas", done)
    models.wait(name, "Ready", "True")
    assert models.owned(name).keys() == before.keys()
