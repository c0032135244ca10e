"""One test for each trap of Ray Serve LLM and KubeRay that a rendered object must not fall into.

Each names what happens to a naive config; Ray 2.60 and KubeRay 1.7 do it without a word.
"""

from __future__ import annotations

import copy
import importlib.resources
import json
import math
from typing import Any, get_args

import pytest
from tests.unit.render.rendered import (
    Planned,
    case_files,
    config_of,
    container_of,
    group_of,
    llm_of,
    mappings,
    on,
    planned,
    planned_file,
    server_of,
    service_of,
    two_nodes,
)

from freehold.render.request_path import RequestPath
from freehold.render.schema import check_serve_config
from freehold.render.serve_config import to_yaml

CASES = case_files()
PATHS: tuple[RequestPath, ...] = get_args(RequestPath)
FRONT = {"direct": "LLMRouter", "stock": "OpenAiIngress"}
# Fields of Ray's AutoscalingConfig that are left out, each for a reason.
ABSENT = {
    "smoothing_factor",  # deprecated: upscaling_factor and downscaling_factor
    "upscale_smoothing_factor",  # deprecated: upscaling_factor
    "downscale_smoothing_factor",  # deprecated: downscaling_factor
    "initial_replicas",  # any change of the deployment goes back to it, however many run
}
# Whatever bears on scaling, under any of the names that Serve LLM has for it.
SCALING = {
    "autoscaling_config",
    "deployment_config",
    "ingress_deployment_config",
    "max_ongoing_requests",
    "max_queued_requests",
    "max_replicas",
    "min_replicas",
    "num_replicas",
    "target_ongoing_requests",
}


def every_config() -> list[Any]:
    """Return each case on each path, as parameters."""
    return [
        pytest.param(config_of(planned_file(file), path), path, id=f"{name}-{path}")
        for name, file in CASES.items()
        for path in PATHS
    ]


def autoscaling_fields() -> set[str]:
    """Return the fields that the pinned Ray has for autoscaling."""
    data = importlib.resources.files("freehold.render") / "data" / "serve_config.schema.json"
    schema = json.loads(data.read_text("utf-8"))
    return set(schema["$defs"]["AutoscalingConfig"]["properties"])


@pytest.mark.parametrize(("config", "path"), every_config())
def test_trap_1_targets_and_slots_are_finite_for_every_deployment(
    config: dict[str, Any], path: RequestPath
) -> None:
    """Serve LLM's own values are 1e9, with which nothing ever scales or is turned away."""
    (application,) = config["applications"]
    server, front = application["deployments"]
    for deployment in (server, front):
        assert 0 < deployment["max_ongoing_requests"] <= 100_000
    assert server["max_ongoing_requests"] < 10_000
    assert 0 < server["max_queued_requests"] < 10_000
    target = server["autoscaling_config"]["target_ongoing_requests"]
    assert 0 < target < 1_000
    assert target <= server["max_ongoing_requests"] or path == "stock"
    if path == "stock":
        assert math.isfinite(front["autoscaling_config"]["target_ongoing_requests"])


@pytest.mark.parametrize(("config", "path"), every_config())
def test_trap_2_nothing_about_scaling_stands_in_args(
    config: dict[str, Any], path: RequestPath
) -> None:
    """Serve takes args for code: a change there restarts every replica of the application."""
    (application,) = config["applications"]
    names = {key for _, found in mappings(application["args"]) for key in found}
    assert names & SCALING == set(), path


def test_trap_2_changed_bounds_leave_args_and_code_as_they_are() -> None:
    def code(**spec: Any) -> str:
        (application,) = config_of(planned(**spec))["applications"]
        return to_yaml({key: application[key] for key in application if key != "deployments"})

    fixed = code(replicas=1)
    assert code(replicas=7) == fixed
    assert code(autoscaling={"minReplicas": 0, "maxReplicas": 9}) == fixed
    deep = {"minReplicas": 2, "maxReplicas": 3, "target": {"timeToFirstToken": "9s"}}
    assert code(autoscaling=deep) == fixed


@pytest.mark.parametrize(("config", "path"), every_config())
def test_trap_3_the_autoscaling_block_is_complete(
    config: dict[str, Any], path: RequestPath
) -> None:
    """A block under deployments[] replaces the builder's whole; Serve's defaults fill the gaps."""
    (application,) = config["applications"]
    block = application["deployments"][0]["autoscaling_config"]
    assert set(block) == autoscaling_fields() - ABSENT, path
    assert None not in block.values()


@pytest.mark.parametrize("count", [1, 2, 16])
def test_trap_4_fixed_replicas_are_equal_bounds(count: int) -> None:
    """num_replicas leaves the builder's autoscaling in force, which then wins."""
    server = server_of(planned(replicas=count))
    block = server["autoscaling_config"]
    assert [block[name] for name in ("min_replicas", "max_replicas")] == [count] * 2


@pytest.mark.parametrize(("config", "path"), every_config())
def test_trap_4_num_replicas_is_never_written(config: dict[str, Any], path: RequestPath) -> None:
    assert not any("num_replicas" in found for _, found in mappings(config)), path


@pytest.mark.parametrize(("config", "path"), every_config())
def test_trap_8_what_is_rendered_passes_the_check(
    config: dict[str, Any], path: RequestPath
) -> None:
    assert check_serve_config(config) == (), path


@pytest.mark.parametrize("path", PATHS)
def test_trap_8_a_typo_is_refused_at_every_level(path: RequestPath) -> None:
    """Serve answers 200 to keys that it does not know, at every level."""
    config = config_of(planned_file(CASES["gemma-3-270m"]), path)
    levels = [place for place, _ in mappings(config) if not free(place)]
    assert len(levels) >= 10
    for place in levels:
        changed: Any = copy.deepcopy(config)
        inner = changed
        for part in place:
            inner = inner[part]
        inner["max_ongoing_request"] = 1
        faults = [str(fault) for fault in check_serve_config(changed)]
        assert len(faults) == 1, (place, faults)
        assert "max_ongoing_request" in faults[0], place


def free(place: tuple[Any, ...]) -> bool:
    """Return whether Ray takes any key there, such as variables, resources and policies' own."""
    anything = {"env_vars", "bundles", "policy_kwargs"}
    return bool(anything & {*place}) or place[-1:] == ("runtime_env",)


@pytest.mark.parametrize(("config", "path"), every_config())
def test_trap_13_the_front_deployment_is_overridden(
    config: dict[str, Any], path: RequestPath
) -> None:
    """The environment variables and arguments that should scale the ingress are read nowhere."""
    (application,) = config["applications"]
    front = application["deployments"][1]
    assert front["name"] == FRONT[path]
    assert front["max_ongoing_requests"] == 100_000
    if path == "stock":
        block = front["autoscaling_config"]
        assert [block[f"{name}_replicas"] for name in ("min", "initial", "max")] == [1, 1, 1]


def test_trap_9_pods_of_a_replica_over_nodes_have_a_probe_of_their_own() -> None:
    """KubeRay's own probe asks a Serve proxy that only one node of the replica has."""
    probe = container_of(two_nodes())["readinessProbe"]
    (shell, option, check) = probe["exec"]["command"]
    assert (shell, option) == ("bash", "-c")
    assert "52365/api/local_raylet_healthz" in check
    assert ":8000" not in check
    assert "/-/healthz" not in check


def test_trap_9_pods_that_are_a_whole_replica_keep_kuberays_probe() -> None:
    assert "readinessProbe" not in container_of(planned())


def every_case() -> list[Any]:
    pairs = [*((name, planned_file(file)) for name, file in CASES.items())]
    return [pytest.param(item, id=name) for name, item in [*pairs, ("two-nodes", two_nodes())]]


@pytest.mark.parametrize("item", every_case())
def test_trap_10_no_accelerator_type_is_asked_for(item: Planned) -> None:
    """A group at zero does not offer one, so it would stay at zero for ever."""
    assert "accelerator_type" not in to_yaml(config_of(item))
    bundles = llm_of(item)["placement_group_config"]["bundles"]
    assert len(bundles) == item[1].layout.devices
    assert {name for bundle in bundles for name in bundle} <= {"GPU", "CPU"}


@pytest.mark.parametrize("accelerator", ["l4-24gb", "h100-80gb", "h200-141gb", "a100-80gb"])
def test_trap_10_not_even_where_the_class_has_rays_name_for_it(accelerator: str) -> None:
    item = planned(hardware=on(accelerator))
    assert item[1].accelerator.spec.ray_accelerator_type
    assert "accelerator_type" not in json.dumps(service_of(item))


def test_trap_14_what_kuberay_would_write_is_written_already() -> None:
    """Adding its finalizer, KubeRay stores empty fields, and the next apply is in conflict."""
    for item in (planned(), two_nodes()):
        cluster = service_of(item)["spec"]["rayClusterConfig"]
        group = group_of(item)
        assert group["scaleStrategy"] == {}
        for template in (cluster["headGroupSpec"]["template"], group["template"]):
            assert template["metadata"] == {"labels": {"freehold.dev/model": "llama"}}
