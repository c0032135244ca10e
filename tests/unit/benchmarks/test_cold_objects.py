"""What Freehold is measured beside has the same engine, and nothing else of Freehold's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from benchmarks.cold_bench.objects import (
    freehold_model,
    plain_ray_service,
    served_name,
    vllm_server,
)

from freehold.render.schema import check_serve_config

ROOT = Path(__file__).parents[3]
# On cores, with a worker's environment of its own, a claim, and a check of the weights.
RENDERED: dict[str, Any] = yaml.safe_load(
    (ROOT / "tests/golden/cpu-on-a-cluster/ray-service.yaml").read_text()
)
IMAGE = "registry.example/ray-llm:2.60.0-cpu"
OURS = {"FREEHOLD", "RAY_SERVE", "PYTHONPATH", "server_cls", "callback", "max_queued_requests"}


def _config(service: dict[str, Any]) -> dict[str, Any]:
    return dict(yaml.safe_load(service["spec"]["serveConfigV2"]))


def _llm(service: dict[str, Any]) -> dict[str, Any]:
    (application,) = _config(service)["applications"]
    (llm,) = application["args"]["llm_configs"]
    return dict(llm)


def _containers(service: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = service["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [dict(it["template"]["spec"]["containers"][0]) for it in groups]


@pytest.mark.parametrize("least", [0, 1])
def test_nothing_of_freeholds_is_left_in_the_plain_ray_service(least: int) -> None:
    plain = plain_ray_service(RENDERED, least)
    text = yaml.safe_dump(plain)
    assert "freehold" in yaml.safe_dump(RENDERED) and "freehold" not in text.lower()
    assert not [word for word in OURS if word in text]
    for container in _containers(plain):
        assert not {"env", "envFrom", "readinessProbe", "livenessProbe"} & container.keys()


def test_settings_of_serve_are_its_own_but_for_the_replicas() -> None:
    config = _config(plain_ray_service(RENDERED, 0))
    assert check_serve_config(config) == ()
    (application,) = config["applications"]
    assert "deployments" not in application and "runtime_env" not in application
    bounds = {"autoscaling_config": {"min_replicas": 0, "max_replicas": 1}}
    assert _llm(plain_ray_service(RENDERED, 0))["deployment_config"] == bounds


def test_the_plain_ray_service_has_the_same_engine_in_pods_of_the_same_size() -> None:
    plain = plain_ray_service(RENDERED, 1)
    ours, theirs = _llm(RENDERED), _llm(plain)
    for name in ("model_loading_config", "placement_group_config"):
        assert theirs[name] == ours[name]
    # without what only Freehold thinks of
    environment = {**theirs["runtime_env"]["env_vars"], "TORCHDYNAMO_DISABLE": "1"}
    assert environment == ours["runtime_env"]["env_vars"] != theirs["runtime_env"]["env_vars"]
    extension = ours["engine_kwargs"]["worker_extension_cls"]
    assert {**theirs["engine_kwargs"], "worker_extension_cls": extension} == ours["engine_kwargs"]
    for mine, other in zip(_containers(RENDERED), _containers(plain), strict=True):
        assert (mine["image"], mine["resources"]) == (other["image"], other["resources"])


@pytest.mark.parametrize("least", [0, 1])
def test_its_workers_follow_its_replicas(least: int) -> None:
    (group,) = plain_ray_service(RENDERED, least)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (least, least, 1)


def test_plain_vllm_is_given_the_same_arguments_and_weights() -> None:
    deployment, service = vllm_server(RENDERED, 1)
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == IMAGE
    assert container["command"][3:5] == ["--model", "/mnt/models/weights.models/tiny/v1"]
    words = " ".join(container["command"])
    assert "--tensor-parallel-size 2" in words and "--enforce-eager" in words
    assert served_name(RENDERED) == "team/tiny-0.3" in words and "freehold" not in words
    assert {it["name"] for it in container["env"]} == {
        "OMP_NUM_THREADS",
        "VLLM_CPU_OMP_THREADS_BIND",
    }
    assert [it["name"] for it in pod["spec"]["volumes"]] == ["shared-memory", "weights"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()


def test_the_model_deployment_keeps_all_but_its_replicas() -> None:
    manifest = yaml.safe_load((ROOT / "examples/quickstart/gemma-3-270m.yaml").read_text())
    model = freehold_model(manifest, 1)
    assert model["spec"]["autoscaling"] == {"minReplicas": 1, "maxReplicas": 1}
    assert {**model["spec"], "autoscaling": manifest["spec"]["autoscaling"]} == manifest["spec"]
