"""The Serve config of a model: what the engine is told, how it scales, which way requests take."""

from __future__ import annotations

from typing import Any

import pytest
from ray.serve._private.deploy_utils import get_app_code_version
from ray.serve.schema import ServeDeploySchema
from tests.unit.render.rendered import (
    Planned,
    case_files,
    config_of,
    llm_of,
    on,
    planned,
    planned_file,
    server_of,
    two_nodes,
)

from freehold.errors import ManifestInvalid
from freehold.plan.engine_settings import DECIDED_ON_CORES, OWNED_BY_PLAN
from freehold.render.engine_kwargs import engine_kwargs
from freehold.render.request_path import (
    DIRECT_ENVIRONMENT,
    application_environment,
    queue_limit,
)
from freehold.render.scaling import surge
from freehold.render.serve_config import serve_application, server_deployment_name

# the one argument that is rendered without being decided
EXTENSION = "worker_extension_cls"


def cpu_model() -> Any:
    return planned_file(case_files()["gemma-3-270m"])


@pytest.mark.parametrize(
    ("target", "seconds"), [(None, 2.0), ({"timeToFirstToken": "1m30s"}, 90.0)]
)
def test_the_policy_is_told_how_long_a_request_may_wait(
    target: dict[str, str] | None, seconds: float
) -> None:
    scaling = {"minReplicas": 1, "maxReplicas": 4} | ({"target": target} if target else {})
    block = server_of(planned(autoscaling=scaling))["autoscaling_config"]
    assert block["target_ongoing_requests"] == seconds
    assert block["policy"]["policy_kwargs"] == {"seats": 8}


@pytest.mark.parametrize(
    "more", [{"target": {"timeToFirstToken": "9s"}}, {"scaleToZeroAfter": "1m"}, {"maxReplicas": 7}]
)
def test_other_scaling_settings_are_no_other_code_to_serve(more: dict[str, Any]) -> None:
    scaling = {"minReplicas": 0, "maxReplicas": 4}
    configs = [config_of(planned(autoscaling=it)) for it in (scaling, scaling | more)]
    one, other = (ServeDeploySchema(**it).applications[0] for it in configs)
    assert one != other
    assert get_app_code_version(one) == get_app_code_version(other)


def test_autoscaling_bounds_are_the_users() -> None:
    scaling = {"minReplicas": 0, "maxReplicas": 9, "scaleToZeroAfter": "1h30m"}
    block = server_of(planned(autoscaling=scaling))["autoscaling_config"]
    assert (block["min_replicas"], block["max_replicas"]) == (0, 9)
    assert block["downscale_to_zero_delay_s"] == 5400.0


def test_serve_adds_no_delay_to_what_the_policy_decides() -> None:
    block = server_of(planned(replicas=1))["autoscaling_config"]
    assert (block["upscale_delay_s"], block["downscale_delay_s"]) == (0.0, 0.0)


@pytest.mark.parametrize("spec", [{"replicas": 0}, {"suspend": True}])
def test_a_model_without_replicas_has_no_application(spec: dict[str, Any]) -> None:
    item = planned(**spec)
    assert serve_application(*item) is None
    assert config_of(item)["applications"] == []


def test_without_replicas_or_autoscaling_there_is_one() -> None:
    block = server_of(planned())["autoscaling_config"]
    assert (block["min_replicas"], block["max_replicas"]) == (1, 1)


def test_serve_llm_cannot_have_slashes_and_dots_in_a_deployments_name() -> None:
    name = "meta-llama/Llama-3.1-8B"
    model = {"source": "hf://meta-llama/Llama-3.1-8B-Instruct", "servedName": name}
    item = planned(model=model)
    expected = "FreeholdServer:meta-llama--Llama-3_1-8B"
    assert server_of(item)["name"] == server_deployment_name(name) == expected
    assert llm_of(item)["model_loading_config"]["model_id"] == name


def test_directly_the_engines_queue_counts_as_ongoing() -> None:
    """A request that waits for one of Serve's slots is invisible to the autoscaler there."""
    server = server_of(planned(), "direct")
    assert server["max_queued_requests"] == queue_limit(8) == 256
    assert server["max_ongoing_requests"] == 8 + 256


def test_through_the_stock_ingress_what_waits_waits_in_serve() -> None:
    server = server_of(planned(), "stock")
    assert (server["max_ongoing_requests"], server["max_queued_requests"]) == (8, 256)


@pytest.mark.parametrize("path", ["direct", "stock"])
def test_who_comes_too_many_is_told_when_to_come_again(path: Any) -> None:
    answer = server_of(planned(), path)["backpressure_config"]
    assert answer == {"status_code": 429, "retry_after_s": 5}


def test_only_the_stock_path_switches_direct_streaming_off_for_itself() -> None:
    (direct,) = config_of(planned(), "direct")["applications"]
    (stock,) = config_of(planned(), "stock")["applications"]
    assert stock["runtime_env"] == {"env_vars": application_environment("stock")}
    ((name, value),) = application_environment("stock").items()
    assert (DIRECT_ENVIRONMENT[name], value) == ("1", "0")
    assert name not in direct["runtime_env"]["env_vars"]
    assert direct["args"] == stock["args"]


@pytest.mark.parametrize(
    ("rollout", "percent"), [(None, 25), ({"type": "BlueGreen"}, 25), ({"type": "Recreate"}, 0)]
)
def test_replicas_start_beside_those_that_they_replace_unless_the_hardware_goes_first(
    rollout: dict[str, str] | None, percent: int
) -> None:
    spec = {"rollout": rollout} if rollout else {}
    (application,) = config_of(planned(**spec))["applications"]
    engine, front = application["deployments"]
    assert (engine["max_surge_percent"], front["max_surge_percent"]) == (percent, 100)


def test_a_machine_that_need_not_have_room_for_one_more_is_told_nothing_of_it() -> None:
    application = serve_application(*planned())
    assert application is not None and "max_surge_percent" not in str(application)


@pytest.mark.parametrize(("most", "expected"), [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2)])
def test_a_share_of_the_most_replicas_stands_beside_them_rounded_up(
    most: int, expected: int
) -> None:
    model, _ = planned(replicas=most)
    assert surge(model.spec) == expected
    model, _ = planned(replicas=most, rollout={"type": "Recreate"})
    assert surge(model.spec) == 0


def test_a_long_queue_is_allowed_for_large_batches() -> None:
    assert queue_limit(1) == 256
    assert queue_limit(256) == 16 * 256


def test_the_plan_comes_first_and_the_users_arguments_by_name() -> None:
    args = {"kv_cache_dtype": "fp8", "enable_prefix_caching": True, "block_size": 32}
    told = llm_of(planned(engine={"args": args}))["engine_kwargs"]
    assert list(told.items()) == [
        ("tensor_parallel_size", 1),
        ("pipeline_parallel_size", 1),
        ("max_model_len", 8192),
        ("max_num_seqs", 8),
        ("gpu_memory_utilization", 0.9),
        ("block_size", 32),
        ("enable_prefix_caching", True),
        ("kv_cache_dtype", "fp8"),
    ]


def test_the_order_of_the_users_arguments_changes_nothing() -> None:
    args = {"kv_cache_dtype": "fp8", "block_size": 32}
    turned = dict(reversed(args.items()))
    assert list(turned) != list(args)
    one, other = (llm_of(planned(engine={"args": it})) for it in (args, turned))
    assert list(one["engine_kwargs"]) == list(other["engine_kwargs"])


def test_what_the_plan_read_of_the_arguments_is_said_once() -> None:
    args = {"gpu_memory_utilization": 0.8, "max_num_seqs": 4}
    told = llm_of(planned(engine={"args": args}))["engine_kwargs"]
    assert (told["gpu_memory_utilization"], told["max_num_seqs"]) == (0.8, 4)


def test_metas_fp8_checkpoint_is_allowed_its_deprecated_method() -> None:
    """vLLM refuses fbgemm_fp8 unless it is told that one knows."""
    source = "hf://meta-llama/Llama-3.1-405B-Instruct-FP8"
    item = planned(
        model={"source": source, "contextLength": 8192},
        hardware=on("h200-141gb", parallelism={"tensor": 8}),
    )
    assert item[1].model.checkpoint.quantization == "fbgemm_fp8"
    assert llm_of(item)["engine_kwargs"]["allow_deprecated_quantization"] is True
    assert "allow_deprecated_quantization" not in llm_of(two_nodes())["engine_kwargs"]


def test_workers_on_bare_cores_are_told_how_much_memory_is_theirs() -> None:
    item = cpu_model()
    told = llm_of(item)["engine_kwargs"]
    assert told["kv_cache_memory_bytes"] == int(item[1].memory.kv_cache) > 0
    assert told["distributed_executor_backend"] == "mp"
    assert (told["dtype"], told["enforce_eager"]) == ("bfloat16", True)


def other_than(value: Any) -> Any:
    return not value if isinstance(value, bool) else f"other than {value}"


def decided_anywhere() -> list[tuple[str, Any, Planned]]:
    """Return all that plans decide, each with a plan that does."""
    meta = "hf://meta-llama/Llama-3.1-405B-Instruct-FP8"
    deprecated = planned(
        model={"source": meta, "contextLength": 8192, "revision": "main"},
        hardware=on("h200-141gb", parallelism={"tensor": 8}),
    )
    found = {}
    for item in (deprecated, cpu_model()):
        for name, value in llm_of(item)["engine_kwargs"].items():
            found[name] = (name, value, item)
    del found[EXTENSION]
    return list(found.values())


def test_no_argument_overrides_what_the_plan_decided() -> None:
    tried = decided_anywhere()
    assert {"tensor_parallel_size", "revision", "dtype"} < {name for name, _, _ in tried}
    for name, value, (model, plan) in tried:
        revision = model.spec.model.revision
        with pytest.raises(ManifestInvalid) as error:
            engine_kwargs(plan, {name: other_than(value)}, revision)
        assert f"spec.engine.args.{name}: found " in str(error.value)
        assert f"which Freehold sets for this model on {plan.accelerator.name}" in str(error.value)
        same = engine_kwargs(plan, {name: value}, revision)
        assert list(same.items()) == list(engine_kwargs(plan, {}, revision).items())


def test_workers_on_cores_are_extended_unless_the_user_does() -> None:
    ours = "freehold.serving.matrix_tiles.MatrixTiles"
    assert llm_of(cpu_model())["engine_kwargs"][EXTENSION] == ours
    assert EXTENSION not in llm_of(planned())["engine_kwargs"]
    own = {EXTENSION: "theirs.Extension"}
    assert engine_kwargs(cpu_model()[1], own)[EXTENSION] == "theirs.Extension"


def test_what_is_rendered_of_the_plan_is_owned_or_read_by_it_or_compared() -> None:
    read = {"max_num_seqs", "gpu_memory_utilization"}
    compared = {"allow_deprecated_quantization", *DECIDED_ON_CORES}
    decided = {name for name, _, _ in decided_anywhere()}
    assert read | compared < decided
    assert decided - read - compared <= {*OWNED_BY_PLAN}


def test_whole_numbers_are_rendered_as_integers() -> None:
    item = planned(engine={"args": {"max_num_batched_tokens": 1e6, "max_num_seqs": 32.0}})
    told = llm_of(item)["engine_kwargs"]
    assert (told["max_num_batched_tokens"], told["max_num_seqs"]) == (1000000, 32)
    assert isinstance(told["max_num_batched_tokens"], int)
    assert isinstance(told["max_num_seqs"], int)


@pytest.mark.parametrize(
    ("seqs", "batch"), [(2048, None), (2049, 4098), (9000, 16384), (16384, 16384)]
)
def test_a_step_is_stated_where_the_engines_default_may_be_too_small(
    seqs: int, batch: int | None
) -> None:
    told = llm_of(planned(engine={"args": {"max_num_seqs": seqs}}))["engine_kwargs"]
    assert told.get("max_num_batched_tokens") == batch
    both = {"max_num_seqs": seqs, "max_num_batched_tokens": 20000}
    told = llm_of(planned(engine={"args": both}))["engine_kwargs"]
    assert told["max_num_batched_tokens"] == 20000


def test_workers_on_bare_cores_are_bound_to_none() -> None:
    llm = llm_of(cpu_model())
    assert llm["accelerator_config"] == {"kind": "cpu"}
    assert llm["placement_group_config"]["bundles"] == [{"CPU": 1}, {"CPU": 1}]
    assert llm["runtime_env"]["env_vars"] == {
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "TORCHDYNAMO_DISABLE": "1",
    }


def test_accelerators_need_none_of_that() -> None:
    llm = llm_of(planned())
    assert {"accelerator_config", "runtime_env"} & {*llm} == set()
    assert {"kv_cache_memory_bytes", "dtype", "enforce_eager"} & {*llm["engine_kwargs"]} == set()


def test_only_a_replica_of_one_node_is_kept_together() -> None:
    assert llm_of(planned())["placement_group_config"]["strategy"] == "STRICT_PACK"
    assert llm_of(two_nodes())["placement_group_config"]["strategy"] == "PACK"


def test_no_credential_stands_in_the_config() -> None:
    model = {
        "source": "hf://meta-llama/Llama-3.1-8B-Instruct",
        "credentials": {"secretRef": {"name": "the-secret"}},
    }
    text = str(config_of(planned(model=model)))
    assert "the-secret" not in text
    assert "HF_TOKEN" not in text


def test_a_pinned_revision_reaches_the_engine() -> None:
    source = "hf://meta-llama/Llama-3.1-8B-Instruct"
    branch = planned(model={"source": source, "contextLength": 8192})
    commit = planned(model={"source": source, "contextLength": 8192, "revision": "0e9e39f"})
    assert "revision" not in llm_of(branch)["engine_kwargs"]
    assert llm_of(commit)["engine_kwargs"]["revision"] == "0e9e39f"


def test_elsewhere_a_revision_is_a_name_that_says_nothing_to_the_engine() -> None:
    model, plan = planned_file(case_files()["weights-s3"])
    source = model.spec.model.model_copy(update={"revision": "march"})
    named = model.model_copy(update={"spec": model.spec.model_copy(update={"model": source})})
    assert llm_of((named, plan)) == llm_of((model, plan))
