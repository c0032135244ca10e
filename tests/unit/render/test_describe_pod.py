"""The pod that reads a source: what it may, what it has, and when it is another one."""

from __future__ import annotations

from typing import Any

from tests.unit.render.rendered import planned

from freehold.catalog.builtin import builtin_catalog
from freehold.render.describe_pod import describe_pod

SHAPE = planned()[1].model.to_dict()
IMAGE = "registry.example/freehold:1"


def pod(source: str = "s3://models/llama", pin_only: bool = False, **spec: Any) -> dict[str, Any]:
    model = {"source": source, "architecture": SHAPE, "contextLength": 8192}
    model |= spec.pop("model", {})
    found, _ = planned(model=model, **spec)
    classes = builtin_catalog().classes
    return describe_pod(found, "models", "the-uid", IMAGE, classes, pin_only=pin_only)


def container(found: dict[str, Any]) -> dict[str, Any]:
    (only,) = found["spec"]["containers"]
    return dict(only)


def test_it_has_no_right_and_nothing_that_pod_security_restricted_forbids() -> None:
    spec = pod()["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    security = container(pod())["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert spec["activeDeadlineSeconds"] == 600
    assert spec["restartPolicy"] == "Never"
    assert "serviceAccountName" not in spec
    assert pod(serviceAccountName="models")["spec"]["serviceAccountName"] == "models"


def test_it_is_the_models_own_and_no_pod_of_its_ray_cluster() -> None:
    metadata = pod()["metadata"]
    assert metadata["namespace"] == "models"
    assert metadata["labels"]["freehold.dev/model"] == "llama"
    assert metadata["labels"]["freehold.dev/task"] == "describe"
    assert not any(name.startswith("ray.io/") for name in metadata["labels"])
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("ModelDeployment", "the-uid")
    assert len(metadata["name"].replace("llama", "x" * 40)) <= 63


def test_another_question_is_another_pod() -> None:
    secret = {"credentials": {"secretRef": {"name": "keys"}}}
    asked = [
        pod(),
        pod(pin_only=True),
        pod("s3://models/another"),
        pod(model={"revision": "march"}),
        pod(model=secret),
        pod(serviceAccountName="models"),
    ]
    assert len({it["metadata"]["name"] for it in asked}) == len(asked)
    assert pod(replicas=5) == pod()


def test_it_says_what_to_read_and_where_to_leave_the_answer() -> None:
    found = container(pod(pin_only=True, model={"revision": "march"}))
    assert found["args"] == [
        "describe",
        "s3://models/llama",
        "--output=/dev/termination-log",
        "--revision=march",
        "--pin-only",
    ]
    assert found["terminationMessagePath"] == "/dev/termination-log"
    assert found["image"] == IMAGE


def test_it_reaches_a_source_by_the_workers_own_variables_and_no_others() -> None:
    env = [
        {"name": "HTTPS_PROXY", "value": "http://proxy"},
        {"name": "AWS_ENDPOINT_URL", "value": "http://minio:9000"},
        {"name": "HF_HOME", "value": "/cache"},
        {"name": "PYTHONPATH", "value": "/opt"},
        {"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"},
    ]
    worker = {"spec": {"containers": [{"name": "ray-worker", "env": env}]}}
    found = container(pod(templates={"worker": worker}))["env"]
    assert {it["name"]: it["value"] for it in found} == {
        "HOME": "/tmp",
        "HF_HOME": "/tmp",
        "HTTPS_PROXY": "http://proxy",
        "AWS_ENDPOINT_URL": "http://minio:9000",
    }


def test_an_overlay_of_another_shape_breaks_nothing() -> None:
    for worker in ({}, {"spec": None}, {"spec": {"containers": "x"}}):
        assert container(pod(templates={"worker": worker}))["env"]


def test_a_source_on_the_nodes_is_read_on_those_of_the_candidates() -> None:
    spec = pod("file:///srv/models/llama")["spec"]
    assert spec["tolerations"] == [{"operator": "Exists"}]
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    keys = {it["key"] for term in required["nodeSelectorTerms"] for it in term["matchExpressions"]}
    assert {"nvidia.com/gpu.product", "cloud.google.com/gke-accelerator"} <= keys
    # what would be rented does not matter to where the folder is
    assert not any("spot" in key.lower() for key in keys)
    anywhere = pod("file:///srv/models/llama", hardware=None)["spec"]
    assert "affinity" not in anywhere
    assert "affinity" not in pod()["spec"]
    assert "tolerations" not in pod()["spec"]
