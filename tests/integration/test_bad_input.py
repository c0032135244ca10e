"""Bad input and the operator: a condition that says who must do what, and no restart to heal it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster, KubectlFailed
from tests.control_plane.nodes import SimulatedNode, Taint
from tests.control_plane.processes import Processes
from tests.installation.kuberay import KubeRay
from tests.integration.models import Models, assert_no_bug, without_server_fields
from tests.integration.operator import (
    RACK,
    Operator,
    example,
    start_operator,
    until,
)
from tests.unit.sources.configs import config
from tests.unit.sources.fake_hub import FakeHub

from freehold.api.status import LONGEST_MESSAGE, MOST_ITEMS

Object = dict[str, Any]
ON_THE_HUB = "acme/tiny"
B200 = SimulatedNode(
    "b200",
    {"nvidia.com/gpu.product": "NVIDIA-B200", "nvidia.com/gpu.count": "8"},
    [Taint("nvidia.com/gpu")],
    {"cpu": "192", "memory": "2000Gi", "nvidia.com/gpu": "8"},
)


@pytest.fixture(scope="module", autouse=True)
def rack(cluster: Cluster) -> Iterator[None]:
    with cluster.standing(RACK):
        yield


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    """A hub with one model that no catalogue knows."""
    found = FakeHub(ON_THE_HUB)
    found.put("config.json", config("qwen3-4b"))
    found.put("model.safetensors", b"x" * 4096)
    with found.running():
        yield found


@pytest.fixture(scope="module")
def operator(
    cluster: Cluster,
    kuberay: KubeRay,
    hub: FakeHub,
    shared_processes: Processes,
    shared_namespace: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Operator:
    """An operator for all tests of this file."""
    cache = tmp_path_factory.mktemp("hub")
    at_hub = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(cache)}
    arguments = (f"--namespace={shared_namespace}", "--no-leader-election")
    return start_operator(
        shared_processes, cluster.kubeconfig, kuberay.environment | at_hub, *arguments
    )


@pytest.fixture
def models(cluster: Cluster, operator: Operator, shared_namespace: str) -> Iterator[Models]:
    """What the tests do with models; those of a test are deleted after it."""
    found = Models(cluster, shared_namespace)
    yield found
    cluster.kubectl("delete", "fmd", "--all", "-n", shared_namespace, "--wait=false")
    assert operator.server.running
    assert_no_bug(operator)


def source(location: str, **more: Any) -> Object:
    return {"source": f"hf://{location}", "contextLength": 4096, **more}


def test_a_model_that_nobody_knows_is_refused_until_the_source_is_corrected(
    models: Models,
) -> None:
    models.apply("unknown", model=source("acme/nothing"))
    message = models.refused("unknown", "UnknownModel")
    assert "acme/nothing" in message
    models.wait("unknown", "Stalled", "True", "UnknownModel")
    models.apply("unknown", model=source(ON_THE_HUB))
    models.wait("unknown", "Planned", "True", "PlanMade")


def test_a_hub_that_is_away_is_asked_again(models: Models, hub: FakeHub) -> None:
    hub.refuses = (503, "")
    try:
        models.apply("away", model=source(ON_THE_HUB, revision="v1"))
        models.refused("away", "SourceUnreachable")
        # it may pass, so nobody is called yet
        models.wait("away", "Stalled", "False")
    finally:
        hub.refuses = None
    models.wait("away", "Planned", "True", "PlanMade")


def test_a_gated_model_without_a_secret_says_what_to_do(models: Models) -> None:
    gated = {"source": "hf://meta-llama/Llama-Guard-3-8B", "contextLength": 8192}
    models.apply("gated", model=gated)
    message = models.refused("gated", "GatedModel")
    assert "spec.model.credentials.secretRef" in message and "HF_TOKEN" in message
    models.apply("gated", model={**gated, "credentials": {"secretRef": {"name": "hf-token"}}})
    models.wait("gated", "Planned", "True", "PlanMade")


def test_hardware_that_is_not_there_is_named_beside_the_nearest_until_it_comes(
    cluster: Cluster, models: Models
) -> None:
    candidates = [{"name": "b200", "accelerator": "b200-180gb"}]
    models.apply("elsewhere", hardware={"candidates": candidates})
    ready = models.wait("elsewhere", "Ready", "False", "NoHardware")
    assert "no node carries b200-180gb" in ready["message"]
    assert "l4-24gb on 4 nodes would carry it" in ready["message"]
    models.wait("elsewhere", "Planned", "True")
    assert models.children("elsewhere") == []
    cluster.add_nodes([B200])
    try:
        models.wait("elsewhere", "Ready", "True")
    finally:
        cluster.remove_nodes([B200.name])


def test_of_two_with_one_served_name_the_older_serves_until_it_goes(
    cluster: Cluster, models: Models
) -> None:
    model = example("llama-guard-3-8b")["spec"]["model"] | {"servedName": "guard"}
    models.apply("older", model=model)
    # ages are told to the second
    older = models.get("older")["metadata"]["creationTimestamp"]
    until("a second has passed", lambda: now_of(cluster, models.namespace) > older)
    models.apply("younger", model=model)
    message = models.refused("younger", "ServedNameTaken")
    assert f"{models.namespace}/older" in message and "spec.model.servedName" in message
    models.wait("older", "Ready", "True")
    cluster.kubectl("delete", "fmd", "older", "-n", models.namespace, "--wait=false")
    models.wait("younger", "Ready", "True")


def now_of(cluster: Cluster, namespace: str) -> str:
    """Return the API server's time, as it stands in objects."""
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "now-"}}
    made = cluster.kubectl(
        "create", "-n", namespace, "--dry-run=server", "-ojson", "-f-", stdin=json.dumps(probe)
    )
    return str(json.loads(made)["metadata"]["creationTimestamp"])


def test_a_name_that_leaves_no_room_for_kuberay_s_own_is_refused_at_once(models: Models) -> None:
    with pytest.raises(KubectlFailed, match="at most 40"):
        models.apply("x" * 41)
    models.apply("x" * 40)
    models.wait("x" * 40, "Ready", "True")


def test_a_status_stays_small_whatever_others_say(models: Models, kuberay: KubeRay) -> None:
    """Sixteen candidates are rejected at length, and Serve fails with a traceback of 200 kB."""
    lengthy = [
        {"name": f"{'c' * 37}-{i:02}", "accelerator": "h100-80gb", "parallelism": {"tensor": 7}}
        for i in range(15)
    ]
    l4 = {"name": "l4", "accelerator": "l4-24gb"}
    words = "\n".join(f"  File 'engine.py', line {i}: \x1b[31m{'é' * 100}" for i in range(1000))
    kuberay.ray.steer(models.namespace, "wordy", status="DEPLOY_FAILED", message=words)
    models.apply("wordy", hardware={"candidates": [*lengthy, l4]})
    ready = models.wait("wordy", "Ready", "False", "DeployFailed")
    assert len(ready["message"]) <= LONGEST_MESSAGE
    status = models.get("wordy")["status"]
    assert len(status["plan"]["rejected"]) == MOST_ITEMS
    assert len(json.dumps(status)) < 32 * 1024


def test_somebody_s_config_map_with_a_model_s_label_stays(
    models: Models, operator: Operator
) -> None:
    models.apply("labelled")
    models.wait("labelled", "Ready", "True")
    models.kubectl("create", "configmap", "theirs", "--from-literal=a=b")
    models.kubectl("label", "configmap", "theirs", "freehold.dev/model=labelled")
    models.another_pass(operator, "labelled")
    models.wait("labelled", "Ready", "True")
    assert models.cluster.get("configmap", "theirs", models.namespace)


def test_a_secret_that_pods_miss_is_told_until_it_is_there(
    models: Models, kuberay: KubeRay
) -> None:
    """Nodes are simulated, so what a kubelet would say is written by hand."""
    kuberay.ray.steer(models.namespace, "tokenless", status="DEPLOYING")
    models.apply("tokenless")
    models.wait("tokenless", "Ready", "False", "Deploying")
    (worker,) = models.pods("tokenless", "worker")
    healthy = worker["status"]
    (container,) = healthy["containerStatuses"]
    words = {"reason": "CreateContainerConfigError", "message": 'secret "hf-token" not found'}
    waits = {**container, "ready": False, "state": {"waiting": words}}
    models.cluster.say_of(worker, {"containerStatuses": [waits], "conditions": not_ready(healthy)})
    ready = models.wait("tokenless", "Ready", "False", "PodsCrashing")
    assert 'secret "hf-token" not found' in ready["message"]
    models.cluster.say_of(worker, healthy)
    kuberay.ray.steer(models.namespace, "tokenless")
    models.wait("tokenless", "Ready", "True")


def test_pods_that_a_quota_refuses_are_told_until_there_is_room(models: Models) -> None:
    models.kubectl("create", "quota", "few", "--hard=pods=1")
    models.apply("crowded")
    told = models.wait("crowded", "Ready", "False", "PodsNotMade")["message"]
    assert "exceeded quota: few" in told and "\n" not in told
    models.kubectl("delete", "quota", "few")
    models.wait("crowded", "Ready", "True")


def not_ready(status: Object) -> list[Object]:
    return [
        {**it, "status": "False"} if it["type"] in ("Ready", "ContainersReady") else it
        for it in status["conditions"]
    ]


@pytest.mark.thorough
def test_a_token_that_was_deleted_is_made_again_when_a_pod_misses_it(models: Models) -> None:
    models.apply("robbed")
    models.wait("robbed", "Ready", "True")
    (worker,) = models.pods("robbed", "worker")
    before = models.token("robbed")
    models.kubectl("delete", "secret", models.token_secret("robbed"))
    (container,) = worker["status"]["containerStatuses"]
    words = {"reason": "CreateContainerConfigError", "message": "not found"}
    waits = {**container, "ready": False, "state": {"waiting": words}}
    models.cluster.say_of(worker, {"containerStatuses": [waits]})
    until("it is there again", lambda: models.token("robbed"))
    assert models.token("robbed")["data"] == before["data"]


def test_a_revision_that_was_tampered_with_is_written_anew(models: Models) -> None:
    models.apply("tampered")
    models.wait("tampered", "Ready", "True")
    (good,) = models.revisions("tampered")
    service = models.ray_service("tampered")
    models.kubectl("annotate", "fmd", "tampered", "freehold.dev/paused=true")
    models.wait("tampered", "Reconciling", "False", "Paused")
    bad = without_server_fields(good)
    bad["data"]["plan"]["candidate"] = "another"
    models.kubectl("replace", "--force", "-f-", stdin=json.dumps(bad))
    models.kubectl("annotate", "fmd", "tampered", "freehold.dev/paused-")
    until(
        "it is as it was",
        lambda: [it["data"] for it in models.revisions("tampered")] == [good["data"]],
    )
    models.wait("tampered", "Ready", "True")
    assert (
        models.ray_service("tampered")["metadata"]["generation"]
        == service["metadata"]["generation"]
    )


def test_a_revision_of_another_release_s_format_changes_nothing(
    models: Models, operator: Operator
) -> None:
    models.apply("downgraded")
    models.wait("downgraded", "Ready", "True")
    (ours,) = models.revisions("downgraded")
    before = models.ray_service("downgraded")["metadata"]
    later = without_server_fields(ours) | {"data": {"format": 2}, "revision": 7}
    later["metadata"]["name"] = "downgraded-0123456789"
    models.kubectl("create", "-f-", stdin=json.dumps(later))
    models.another_pass(operator, "downgraded")
    assert models.wait("downgraded", "Ready", "True")["reason"] == "Answers"
    assert (
        models.ray_service("downgraded")["metadata"]["resourceVersion"] == before["resourceVersion"]
    )
    assert models.get("downgraded")["status"]["currentRevision"] == ours["metadata"]["name"]
